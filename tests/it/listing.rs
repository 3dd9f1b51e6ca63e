//! What is told of containers: `ps`, `inspect`, `system df`, `version`, as scripts written for Docker read it.

pub mod files;

use crate::cases;
use crate::image::Image;
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox};
use crate::tar::Tar;
use serde_json::{Value, json};

cases! {
    Every:
        the_newest_container_comes_first,
        as_many_as_are_asked_for,
        a_container_takes_room,
        containers_are_filtered,
        wrong_values_of_filters_are_errors,
        inspect_has_what_scripts_read,
        inspect_shows_what_was_asked_for,
        the_room_is_told_in_order,
        a_version_has_a_format,
        containers_of_an_older_version_are_told_of;
    Root:
        a_container_out_of_memory_is_told_of;
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn inspect(t: &Sandbox, name: &str) -> Value {
    json_of(&t.ccrun(&["inspect", name]).ok().quiet().stdout)[0].clone()
}

/// A container called so that has ended.
fn ended(t: &Sandbox, name: &str, args: &[&str]) {
    t.ccrun(&[&["run", "--name", name], args, &["--rootfs", &t.busybox, "true"]].concat()).ok();
}

fn the_newest_container_comes_first(t: &Sandbox) {
    // More than one in a second, whatever their ids.
    let names: Vec<String> = (0..8).map(|n| format!("box{n}")).collect();
    for name in &names {
        ended(t, name, &[]);
    }
    let listed = t.ccrun(&["ps", "-a", "--format", "{{.Names}}"]).ok().quiet().stdout;
    let newest_first: Vec<&str> = names.iter().rev().map(String::as_str).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), newest_first);
    let listed = t.ccrun(&["system", "df", "-v"]).ok().quiet().stdout;
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.rsplit_once(" box").map(|(_, n)| n)).collect();
    assert_eq!(listed, ["7", "6", "5", "4", "3", "2", "1", "0"]);
}

fn as_many_as_are_asked_for(t: &Sandbox) {
    for name in ["first", "second", "third"] {
        ended(t, name, &[]);
    }
    let names = |args: &[&str]| {
        let out = t.ccrun(&[&["ps", "--format", "{{.Names}}"], args].concat()).ok().quiet().stdout;
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), Vec::<String>::new());
    assert_eq!(names(&["-l"]), ["third"]);
    assert_eq!(names(&["--latest"]), ["third"]);
    assert_eq!(names(&["-n", "2"]), ["third", "second"]);
    assert_eq!(names(&["-n2"]), ["third", "second"]);
    assert_eq!(names(&["--last=9"]).len(), 3);
    assert_eq!(names(&["-a", "-n", "1"]), ["third"]);
    assert_eq!(names(&["-a", "-n", "-1"]).len(), 3);
    assert_eq!(names(&["-n", "1", "-f", "name=first"]), ["first"]);
    t.ccrun(&["ps", "-n", "two"]).out().error(1, "invalid argument \"two\" for --last");
}

fn a_container_takes_room(t: &Sandbox) {
    let registry = Registry::open();
    let image = Image::busybox(&t.busybox).layer(Tar::new().file("big", 0o644, vec![b'x'; 1_000_000]));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    let script = "head -c 300000 /dev/zero >/f; mkdir -m 700 /d; head -c 5000 /dev/zero >/d/g";
    t.ccrun(&["run", "--name", "box", &name, "/bin/sh", "-c", script]).ok();
    let size = t.ccrun(&["ps", "-a", "--format", "{{.Size}}"]).ok().quiet().line().to_owned();
    let (own, with_image) = size.split_once(" (virtual ").expect("both sizes");
    assert!(own == "305kB" && with_image.starts_with("3.2") && with_image.ends_with("MB)"), "{size}");
    let table = t.ccrun(&["ps", "-as"]).ok().quiet().has("NAMES     SIZE\n");
    table.has(&format!("box       {size}\n"));
    t.ccrun(&["ps", "-a"]).ok().lacks("SIZE");
    let row = json_of(&t.ccrun(&["ps", "-a", "--format", "json"]).ok().stdout);
    assert_eq!((&row["Size"], &row["Networks"]), (&json!(size), &json!("none")));
    let told = json_of(&t.ccrun(&["inspect", "-s", "box"]).ok().stdout);
    assert_eq!(told[0]["SizeRw"], 305_000);
    assert!(told[0]["SizeRootFs"].as_u64().is_some_and(|size| size > 3_000_000), "{told}");
    assert!(inspect(t, "box").get("SizeRw").is_none());
}

fn containers_are_filtered(t: &Sandbox) {
    let registry = Registry::open();
    let image = Image::busybox(&t.busybox).set("Labels", json!({"kind": "test", "x.y": "1"}));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    ended(t, "plain", &["-v", "vol:/v"]);
    t.ccrun(&["run", "--name", "labelled", &name, "/bin/sh", "-c", "exit 3"]).out().exit(3);
    ended(t, "newest", &["--network", "host"]);
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "plain"]).ok().line().to_owned();
    for (filter, expected) in [
        ("label=kind", &["labelled"][..]),
        ("label=kind=test", &["labelled"]),
        ("label=kind=other", &[]),
        ("before=labelled", &["plain"]),
        ("since=labelled", &["newest"]),
        (&format!("since={}", &id[..12]), &["newest", "labelled"]),
        ("name=^lab", &["labelled"]),
        ("name=^/plain$", &["plain"]),
        ("name=^lain$", &[]),
        (&format!("id={}", &id[..10]), &["plain"]),
        ("volume=vol", &["plain"]),
        ("volume=/v", &["plain"]),
        ("volume=/w", &[]),
        ("network=host", &["newest"]),
        ("network=nothing", &[]),
        ("exited=3", &["labelled"]),
        ("status=exited", &["newest", "labelled", "plain"]),
        ("status=running", &[]),
        ("status=paused", &[]),
        ("health=none", &["newest", "labelled", "plain"]),
        ("health=healthy", &[]),
        (&format!("ancestor={name}"), &["labelled"]),
        (&format!("ancestor={}", &image.id()[7..19]), &["labelled"]),
        ("ancestor=other", &[]),
    ] {
        let out = t.ccrun(&["ps", "-a", "--format", "{{.Names}}", "-f", filter]).ok().quiet().stdout;
        assert_eq!(out.lines().collect::<Vec<_>>(), expected, "{filter}");
    }
    let out = t.ccrun(&["ps", "-a", "--format", "{{.Labels}}|{{.Mounts}}|{{.LocalVolumes}}|{{.Networks}}"]).ok().stdout;
    assert_eq!(out, "|||0|host\n".replacen("||", "|", 1) + "kind=test,x.y=1||0|none\n|vol|1|none\n");
    // Labels decide over what prune takes.
    t.ccrun(&["container", "prune", "-f", "--filter", "label!=kind"]).ok();
    assert_eq!(t.ccrun(&["ps", "-a", "--format", "{{.Names}}"]).ok().stdout, "labelled\n");
    t.ccrun(&["container", "prune", "-f", "--filter", "label=kind=other"]).ok().prints("Total reclaimed space: 0B\n");
    t.ccrun(&["container", "prune", "-f", "--filter", "label=kind"]).ok().has("Deleted Containers:\n");
}

fn wrong_values_of_filters_are_errors(t: &Sandbox) {
    ended(t, "box", &[]);
    for (command, filter, text) in [
        ("ps", "status=bogus", "invalid filter 'status=bogus'"),
        ("ps", "status=", "invalid filter 'status='"),
        ("ps", "exited=abc", "invalid filter 'exited=abc'"),
        ("ps", "exited=", "invalid filter 'exited='"),
        ("ps", "health=fine", "invalid filter 'health=fine'"),
        ("ps", "is-task=perhaps", "invalid filter 'is-task=perhaps'"),
        ("ps", "before=nope", "No such container: nope"),
        ("ps", "since=nope", "No such container: nope"),
        ("ps", "bogus=1", "invalid filter 'bogus'"),
        ("ps", "label!=x", "invalid filter 'label!'"),
        ("ps", "name", "bad format of filter"),
        ("images", "dangling=perhaps", "invalid filter 'dangling=perhaps'"),
        ("images", "until=someday", "invalid filter 'until=someday'"),
        ("images", "since=nope", "No such image: nope:latest"),
        ("container prune", "until=someday", "invalid filter 'until=someday'"),
        ("container prune", "name=box", "invalid filter 'name'"),
        ("image prune", "until=someday", "invalid filter 'until=someday'"),
        ("image prune", "dangling=perhaps", "invalid filter 'dangling=perhaps'"),
        ("system prune", "until=someday", "invalid filter 'until=someday'"),
        ("system prune", "bogus=1", "invalid filter 'bogus'"),
        ("volume ls", "dangling=perhaps", "invalid filter 'dangling=perhaps'"),
        ("volume prune", "until=1h", "invalid filter 'until'"),
        ("volume prune", "all=perhaps", "invalid filter 'all=perhaps'"),
    ] {
        let force: &[&str] = if command.ends_with("prune") { &["-f"] } else { &[] };
        let words: Vec<&str> = command.split(' ').chain(["--filter", filter]).collect();
        t.ccrun(&[&words, force].concat()).out().error(1, text).prints("");
    }
    t.ccrun(&["ps", "-aq"]).ok().has("\n");
}

/// All that `docker inspect` has, with the types that Docker gives them.
fn inspect_has_what_scripts_read(t: &Sandbox) {
    ended(t, "box", &[]);
    let told = inspect(t, "box");
    for (path, expected) in [
        ("State.Status", json!("exited")),
        ("State.Running", json!(false)),
        ("State.Paused", json!(false)),
        ("State.Restarting", json!(false)),
        ("State.OOMKilled", json!(false)),
        ("State.Dead", json!(false)),
        ("State.Pid", json!(0)),
        ("State.Error", json!("")),
        ("RestartCount", json!(0)),
        ("Platform", json!("linux")),
        ("Config.Hostname", json!("container")),
        ("Config.User", json!("")),
        ("Config.Tty", json!(false)),
        ("Config.OpenStdin", json!(false)),
        ("Config.Cmd", json!(["true"])),
        ("Config.Entrypoint", Value::Null),
        ("Config.WorkingDir", json!("")),
        ("Config.Labels", json!({})),
        ("Config.Volumes", Value::Null),
        ("HostConfig.Memory", json!(0)),
        ("HostConfig.NanoCpus", json!(0)),
        ("HostConfig.PidsLimit", Value::Null),
        ("HostConfig.Binds", Value::Null),
        ("HostConfig.NetworkMode", json!("none")),
        ("HostConfig.RestartPolicy", json!({"Name": "no", "MaximumRetryCount": 0})),
        ("HostConfig.ReadonlyRootfs", json!(false)),
        ("HostConfig.Privileged", json!(false)),
        ("HostConfig.CapAdd", Value::Null),
        ("HostConfig.CapDrop", Value::Null),
        ("HostConfig.AutoRemove", json!(false)),
        ("HostConfig.ShmSize", json!(64 << 20)),
        ("HostConfig.Devices", json!([])),
        ("HostConfig.PortBindings", json!({})),
        ("HostConfig.LogConfig.Type", json!("none")),
        ("Mounts", json!([])),
        ("NetworkSettings.IPAddress", json!("")),
        ("NetworkSettings.Ports", json!({})),
        ("NetworkSettings.Networks.none.IPAddress", json!("")),
    ] {
        let value = path.split('.').try_fold(&told, |value, name| value.get(name));
        assert_eq!(value, Some(&expected), "{path}");
    }
    // RFC 3339 with what there is below a second.
    let times = [&told["Created"], &told["State"]["StartedAt"], &told["State"]["FinishedAt"]].map(|time| {
        let time = time.as_str().expect("a time");
        assert!(time.len() > 22 && time.contains('.') && time.ends_with('Z'), "{time}");
        // The fraction has no zeros at its end, which must not change the order.
        let (whole, fraction) = time.trim_end_matches('Z').split_once('.').expect("a fraction");
        format!("{whole}.{fraction:0<9}")
    });
    assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
    for (template, text) in [
        ("{{.State.OOMKilled}} {{.State.Error}}|{{.HostConfig.RestartPolicy.Name}}", "false |no"),
        ("{{.HostConfig.Binds}}{{.HostConfig.CapAdd}}{{.Config.Entrypoint}}{{.Config.Labels}}", "[][][]map[]"),
        ("{{range .Mounts}}{{.Source}}{{end}}{{len .Mounts}}", "0"),
        ("{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}}{{end}}", "none="),
        ("{{.NetworkSettings.Networks.none.IPAddress}}{{json .NetworkSettings.Ports}}", "{}"),
        ("{{index .Config.Labels \"nothing\"}}{{.HostConfig.Memory}}", "0"),
    ] {
        t.ccrun(&["inspect", "-f", template, "box"]).ok().quiet().prints(&format!("{text}\n"));
    }
}

fn inspect_shows_what_was_asked_for(t: &Sandbox) {
    let registry = Registry::open();
    let image = Image::busybox(&t.busybox).set("Labels", json!({"kind": "test"})).set("Env", json!(["A=1", "B=2"]));
    let image = image.set("Entrypoint", json!(["/bin/sh", "-c"])).set("Cmd", json!(["exit 4"]));
    let image = image.set("Volumes", json!({"/data": {}})).set("StopSignal", json!("SIGUSR1"));
    registry.push("some/app", "v1", &image);
    let name = format!("{}/some/app:v1", registry.host);
    t.ccrun(&["run", "--name", "image", &name]).out().exit(4);
    let told = inspect(t, "image");
    assert_eq!((&told["Path"], &told["Args"]), (&json!("/bin/sh"), &json!(["-c", "exit 4"])));
    let config = &told["Config"];
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/bin/sh", "-c"]), &json!(["exit 4"])));
    assert_eq!((&config["Labels"], &config["StopSignal"]), (&json!({"kind": "test"}), &json!("SIGUSR1")));
    assert_eq!((&config["Image"], &config["Volumes"]), (&json!(name), &json!({"/data": {}})));
    let env: Vec<&str> = config["Env"].as_array().expect("env").iter().filter_map(Value::as_str).collect();
    assert!(["A=1", "B=2"].iter().all(|own| env.contains(own)) && !env.iter().any(|own| own.starts_with("HOSTNAME=")));
    let mount = &told["Mounts"][0];
    assert_eq!(
        (&mount["Type"], &mount["Destination"], &mount["RW"]),
        (&json!("volume"), &json!("/data"), &json!(true))
    );
    let source = mount["Source"].as_str().expect("a source");
    assert!(std::path::Path::new(source).is_dir() && source.starts_with(t.store.to_str().expect("UTF-8")), "{source}");

    // Limits need cgroups, which users may not have.
    let limits: &[&str] =
        if t.mode == Mode::Root { &["-m", "64m", "--cpus", "0.5", "--pids-limit", "50"] } else { &[] };
    let bind = format!("{}:/b:ro", t.dir.display());
    let asked = [
        "run",
        "--name",
        "all",
        "-i",
        "-e",
        "C=3",
        "-w",
        "/tmp",
        "-u",
        "0:0",
        "-h",
        "hh",
        "--entrypoint",
        "/bin/sh",
        "--read-only",
        "--cap-add",
        "net_admin",
        "--cap-drop",
        "CAP_CHOWN",
        "-v",
        &bind,
        "-v",
        "vol:/v",
        "-v",
        "/anon",
        "--tmpfs",
        "/tt:size=1m",
        "--mount",
        "type=tmpfs,target=/mt",
        "--shm-size",
        "1m",
        "--ulimit",
        "nofile=64:128",
        "--security-opt",
        "no-new-privileges",
        "--oom-score-adj",
        "100",
        "--network",
        "host",
    ];
    t.ccrun(&[&asked[..], limits, &[&name, "-c", "exit 0"]].concat()).out().exit(0);
    let told = inspect(t, "all");
    let (config, host) = (&told["Config"], &told["HostConfig"]);
    for (value, expected) in [
        (&config["Hostname"], json!("hh")),
        (&config["User"], json!("0:0")),
        (&config["WorkingDir"], json!("/tmp")),
        (&config["OpenStdin"], json!(true)),
        (&config["Tty"], json!(false)),
        (&config["Entrypoint"], json!(["/bin/sh"])),
        (&config["Cmd"], json!(["-c", "exit 0"])),
        (&host["ReadonlyRootfs"], json!(true)),
        (&host["CapAdd"], json!(["CAP_NET_ADMIN"])),
        (&host["CapDrop"], json!(["CAP_CHOWN"])),
        (&host["Binds"], json!([bind, "vol:/v"])),
        (&host["Tmpfs"], json!({"/tt": "size=1m"})),
        (&host["ShmSize"], json!(1 << 20)),
        (&host["Ulimits"], json!([{"Name": "nofile", "Soft": 64, "Hard": 128}])),
        (&host["SecurityOpt"], json!(["no-new-privileges"])),
        (&host["OomScoreAdj"], json!(100)),
        (&host["NetworkMode"], json!("host")),
        (&told["NetworkSettings"]["Networks"]["host"]["IPAddress"], json!("")),
    ] {
        assert_eq!(value, &expected, "{told:#}");
    }
    if t.mode == Mode::Root {
        let limits = ["Memory", "MemorySwap", "NanoCpus", "CpuQuota", "PidsLimit"].map(|name| host[name].clone());
        assert_eq!(limits, [json!(64 << 20), json!(64 << 20), json!(500_000_000), json!(0), json!(50)]);
    }
    assert!(config["Env"].as_array().expect("env").contains(&json!("C=3")));
    let mounts = told["Mounts"].as_array().expect("mounts");
    let at = |target: &str| mounts.iter().find(|mount| mount["Destination"] == target).unwrap_or(&Value::Null).clone();
    let source = t.dir.to_str().expect("UTF-8");
    let bind = json!({"Type": "bind", "Source": source, "Destination": "/b", "Mode": "ro", "RW": false, "Propagation": "rprivate"});
    assert_eq!(at("/b"), bind);
    let volume = at("/v");
    assert_eq!(
        (&volume["Type"], &volume["Name"], &volume["Driver"]),
        (&json!("volume"), &json!("vol"), &json!("local"))
    );
    assert_eq!(volume["Source"], format!("{}/volumes/vol/_data", t.store.display()));
    assert_eq!(
        (&at("/anon")["Type"], &at("/mt")["Type"], &at("/tt")),
        (&json!("volume"), &json!("tmpfs"), &Value::Null)
    );
    // In Docker's order.
    let text = t.ccrun(&["inspect", "all"]).ok().stdout;
    let place = |name: &str| text.find(&format!("        \"{name}\": ")).unwrap_or_else(|| panic!("{name}: {text}"));
    let places = ["Id", "Created", "Path", "Args", "State", "Image", "Name", "HostConfig", "Mounts", "NetworkSettings"]
        .map(place);
    assert!(places.is_sorted(), "{places:?}");
}

fn the_room_is_told_in_order(t: &Sandbox) {
    for name in ["vb", "va", "vc"] {
        t.ccrun(&["volume", "create", name]).ok();
    }
    let registry = Registry::open();
    // All of one date; their ids have another order.
    for name in ["ib", "ia", "ie", "id", "ic"] {
        let layer = Tar::new().file(name, 0o644, "x");
        registry.push(name, "v1", &Image::busybox(&t.busybox).layer(layer));
        t.ccrun(&["pull", "-q", &format!("{}/{name}:v1", registry.host)]).ok();
    }
    let out = t.ccrun(&["system", "df", "-v"]).ok().quiet().stdout;
    let place = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text}: {out}"));
    let images = ["/ia ", "/ib ", "/ic ", "/id ", "/ie "].map(place);
    assert!(images.is_sorted(), "{out}");
    assert!(["\nva ", "\nvb ", "\nvc "].map(place).is_sorted(), "{out}");
}

fn a_version_has_a_format(t: &Sandbox) {
    let version = env!("CARGO_PKG_VERSION");
    t.ccrun(&["version", "--format", "{{.Server.Version}}"]).ok().quiet().prints(&format!("{version}\n"));
    t.ccrun(&["version", "-f", "{{.Client.Version}} {{.Client.Os}}"]).ok().prints(&format!("{version} linux\n"));
    let told = json_of(&t.ccrun(&["version", "--format", "json"]).ok().stdout);
    assert_eq!(told["Server"]["Version"], version);
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    assert_eq!((&told["Client"]["Arch"], &told["Server"]["Arch"]), (&json!(arch), &json!(arch)));
    t.ccrun(&["version"]).ok().has(&format!("ccrun version {version}, "));
    t.ccrun(&["version", "-f", "{{.Bogus}}"]).out().error(1, "can't evaluate field Bogus");
}

/// As ccrun 0.3 wrote them.
fn containers_of_an_older_version_are_told_of(t: &Sandbox) {
    ended(t, "box", &[]);
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "box"]).ok().line().to_owned();
    let dir = t.store.join("containers").join(&id);
    let record = json!({
        "id": id, "name": "box", "image": "alpine", "imageId": null, "command": ["sh", "-c", "exit 7"],
        "created": 1_767_323_045, "remove": false, "cgroup": [], "stopSignal": null, "init": true, "volumes": ["data"],
    });
    std::fs::write(dir.join("config.json"), record.to_string()).expect("write");
    std::fs::remove_file(dir.join("state.json")).expect("rm");
    std::fs::write(dir.join("exit.json"), r#"{"code":7,"finished":1767323046}"#).expect("write");
    let out = t.ccrun(&["ps", "-a", "--format", "{{.Names}} {{.CreatedAt}} {{.Mounts}} {{.Networks}}"]).ok().quiet();
    out.prints("box 2026-01-02 03:04:05 +0000 UTC data none\n");
    t.ccrun(&["ps", "-a", "-f", "exited=7", "--format", "{{.Names}}"]).ok().prints("box\n");
    let told = inspect(t, "box");
    assert_eq!(told["Created"], "2026-01-02T03:04:05Z");
    assert_eq!((&told["State"]["ExitCode"], &told["State"]["FinishedAt"]), (&json!(7), &json!("2026-01-02T03:04:06Z")));
    assert_eq!((&told["Config"]["Cmd"], &told["HostConfig"]["Memory"]), (&json!(["sh", "-c", "exit 7"]), &json!(0)));
    assert_eq!((&told["Mounts"][0]["Name"], &told["Mounts"][0]["Type"]), (&json!("data"), &json!("volume")));
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_container_out_of_memory_is_told_of(t: &Sandbox) {
    let hog = "x=a; while :; do x=$x$x; done";
    let out = t.ccrun(&["run", "--name", "hog", "-m", "8m", "--rootfs", &t.busybox, "/bin/sh", "-c", hog]).out();
    if out.status == 125 {
        crate::skip!("no memory cgroup: {}", out.stderr);
    }
    assert_eq!(out.status, 137, "{}", out.stderr);
    t.ccrun(&["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hog"]).ok().prints("true 137\n");
}
