//! What is here, told and tidied: images, inspect, history, tag, export, system df, prune, in Docker's words.

use crate::cases;
use crate::image::Image;
use crate::pty::Pty;
use crate::registry::Registry;
use crate::sandbox::{Mode, Sandbox, walk};
use crate::tar::{Tar, entry};
use serde_json::{Value, json};

cases! {
    Every:
        two_words_are_as_good_as_one,
        images_are_listed_as_one_likes,
        images_are_filtered,
        a_tag_is_one_more_name,
        an_image_is_told_all_of,
        an_image_cannot_talk_to_the_terminal,
        a_history_is_told_backwards,
        a_container_is_told_all_of,
        containers_are_listed_as_one_likes,
        the_room_is_told_and_given_back,
        prune_asks_first,
        prune_takes_what_cancelled_pulls_left,
        an_export_holds_what_the_container_sees,
        an_export_of_a_running_container,
        what_cannot_be_exported_is_said;
    Root:
        a_container_without_overlay_is_exported,
}

/// Two images of one layer each that share a third, pulled as `one:1` and `two:2`; the registry's host comes before.
fn two_images(t: &Sandbox) -> (String, String, [Image; 2]) {
    let registry = Registry::open();
    let base = Image::busybox(&t.busybox).set("Labels", json!({"kind": "test", "dotted.name": "x"}));
    let layer = |name: &str, size: usize| base.clone().layer(Tar::new().file(name, 0o644, vec![b'x'; size]));
    let images = [layer("one", 1_000_000).set("Env", json!(["A=1", "B=2"])), layer("two", 2_000_000)];
    let names = [format!("{}/one:1", registry.host), format!("{}/deep/two:2", registry.host)];
    registry.push("one", "1", &images[0]);
    registry.push("deep/two", "2", &images[1]);
    for name in &names {
        t.ccrun(&["pull", "-q", name]).ok();
    }
    let [one, two] = names;
    (one, two, images)
}

/// The first twelve digits of an image's id.
fn short(image: &Image) -> String {
    image.id()[7..19].to_owned()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn two_words_are_as_good_as_one(t: &Sandbox) {
    for (two, one) in [("image ls", "images"), ("container ls", "ps"), ("image rm", "rmi"), ("container rm", "rm")] {
        let words: Vec<&str> = two.split(' ').chain(["--help"]).collect();
        let help = t.ccrun(&[one, "--help"]).ok().has(&format!("Usage:  ccrun {one} ")).stdout;
        t.ccrun(&words).ok().prints(&help);
    }
    t.ccrun(&["image", "ls"]).ok().has("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    let group =
        t.ccrun(&["image"]).ok().has("\n  ls ").has("(ccrun images)").has("\n  inspect ").lacks("\n  df ").stdout;
    t.ccrun(&["image", "--help"]).ok().prints(&group);
    t.ccrun(&["help", "image"]).ok().prints(&group);
    t.ccrun(&["--help"]).ok().has("\n  image ").has("\n  system     df, prune\n");
    t.ccrun(&["image", "bogus"]).out().error(1, "unknown command: image bogus; see 'ccrun image --help'");
    t.ccrun(&["image", "inspect"]).out().error(1, "'ccrun image inspect' requires at least 1 argument");
}

fn images_are_listed_as_one_likes(t: &Sandbox) {
    let (one, two, images) = two_images(t);
    let (repository, _) = one.rsplit_once(':').expect("a tag");
    let list = |args: &[&str]| t.ccrun(&[&["images"], args].concat()).ok().quiet();
    list(&[]).has("REPOSITORY").has("IMAGE ID").has("SIZE\n").has(&short(&images[0])).lacks("DIGEST");
    list(&["--digests"]).has("DIGEST").has("sha256:");
    list(&["-q"]).prints(&format!("{}\n{}\n", short(&images[1]), short(&images[0])));
    list(&["-q", "--no-trunc", &one]).prints(&format!("{}\n", images[0].id()));
    list(&["--format", "{{.Repository}}:{{.Tag}}"]).prints(&format!("{two}\n{one}\n"));
    list(&["--format", r"{{.ID}}\t{{.Size}}\n-", &one]).prints(&format!("{}\t2.98MB\n-\n", short(&images[0])));
    let table = list(&["--format", "table {{.Tag}}\t{{.ID}}\t{{upper .Tag}}", &one]).stdout;
    assert_eq!(table, format!("TAG       IMAGE ID       TAG\n1         {}   1\n", short(&images[0])));
    let lines = list(&["--format", "json"]).stdout;
    assert_eq!(lines, list(&["--format", "{{json .}}"]).stdout);
    let rows: Vec<Value> = lines.lines().map(json_of).collect();
    assert_eq!(rows.len(), 2);
    let names: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    let docker = [
        "Containers",
        "CreatedAt",
        "CreatedSince",
        "Digest",
        "ID",
        "Repository",
        "SharedSize",
        "Size",
        "Tag",
        "UniqueSize",
        "VirtualSize",
    ];
    assert_eq!(names, docker);
    assert_eq!(rows[1]["Repository"], repository);
    assert_eq!(rows[1]["CreatedAt"], "2026-01-02 03:04:05 +0000 UTC");
    let failed = |format: &str, text: &str| drop(t.ccrun(&["images", "--format", format]).out().error(1, text));
    failed("{{.Bogus}}", "template: at <.Bogus>: can't evaluate field Bogus");
    failed("{{.ID", "template parsing error: unclosed action");
    failed("table {{bogus}}", "template parsing error: function \"bogus\" not defined");
}

fn images_are_filtered(t: &Sandbox) {
    let (one, two, images) = two_images(t);
    let new = t.file("new.tar", Tar::new().file("f", 0o644, "x").finish());
    t.ccrun(&["import", &new, "imported"]).ok();
    let names = |args: &[&str]| {
        let out = t.ccrun(&[&["images", "--format", "{{.Repository}}:{{.Tag}}"], args].concat()).ok().quiet();
        let mut names: Vec<String> = out.stdout.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    let (imported, both) = ("imported:latest".to_owned(), vec![two.clone(), one.clone()]);
    let host = one.split('/').next().expect("a host");
    for (filter, expected) in [
        ("label=kind", both.clone()),
        ("label=kind=test", both.clone()),
        ("label=kind=other", vec![]),
        ("reference=imp*", vec![imported.clone()]),
        ("reference=*/one:?", vec![one.clone()]),
        ("reference=*/*/two", vec![two.clone()]),
        ("reference=*", vec![imported.clone()]),
        ("before=imported", both.clone()),
        (&format!("since={one}"), vec![imported.clone()]),
        ("until=2026-02-01", both.clone()),
        ("until=240000h", vec![]),
        ("dangling=false", vec![two.clone(), imported.clone(), one.clone()]),
        ("dangling=true", vec![]),
    ] {
        let mut expected = expected;
        expected.sort();
        assert_eq!(names(&["-f", filter]), expected, "{filter}");
    }
    assert_eq!(names(&[&format!("{host}/one")]), [one.as_str()]);
    assert_eq!(names(&[&format!("{host}/one:2")]), Vec::<String>::new());
    assert_eq!(names(&["imp*"]), ["imported:latest"]);
    // The name moves on, the image stays without one.
    t.ccrun(&["import", &new, "moved"]).ok();
    let old = t.ccrun(&["images", "-q", "moved"]).ok().stdout;
    t.ccrun(&["tag", &one, "moved"]).ok();
    let tags = names(&["-f", "dangling=true"]);
    assert_eq!(tags, ["<none>:<none>"], "{old}");
    assert_eq!(t.ccrun(&["images", "-q", "moved"]).ok().stdout, short(&images[0]) + "\n");
    let failed = |filter: &str, text: &str| drop(t.ccrun(&["images", "-f", filter]).out().error(1, text));
    failed("bogus=1", "invalid filter 'bogus'");
    failed("bogus", "bad format of filter");
    failed("dangling=maybe", "invalid filter 'dangling=maybe'");
    failed("until=someday", "invalid filter 'until=someday'");
    failed("before=nothing", "No such image: nothing:latest");
}

fn a_tag_is_one_more_name(t: &Sandbox) {
    let (one, _, images) = two_images(t);
    t.ccrun(&["tag", &one, "mine"]).ok().prints("").quiet();
    t.ccrun(&["image", "tag", &short(&images[0]), "host.example:5000/mine:2"]).ok().prints("");
    for name in ["mine:latest", "host.example:5000/mine:2"] {
        t.ccrun(&["run", "--rm", "--pull", "never", name, "cat", "/one"]).ok();
    }
    t.ccrun(&["rmi", &one]).ok().has("Untagged: ").lacks("Deleted: ");
    t.ccrun(&["rmi", "mine"]).ok().prints("Untagged: mine:latest\n");
    t.ccrun(&["rmi", "host.example:5000/mine:2"]).ok().has(&format!("Deleted: {}\n", images[0].id()));
    t.ccrun(&["tag", "nothing", "x"]).out().error(1, "No such image: nothing:latest");
    t.ccrun(&["tag", "nothing", "UPPER"]).out().error(1, "must be lowercase");
    let digest = format!("x@{}", images[0].id());
    t.ccrun(&["tag", "nothing", &digest]).out().error(1, "refusing to create a tag with a digest reference");
    t.ccrun(&["tag", "x"]).out().error(1, "requires at least 2 arguments");
}

fn an_image_is_told_all_of(t: &Sandbox) {
    let (one, _, images) = two_images(t);
    let out = t.ccrun(&["image", "inspect", &one]).ok().quiet();
    assert!(out.stdout.starts_with("[\n    {\n        \"Id\": \"sha256:"), "{}", out.stdout);
    assert!(out.stdout.ends_with("        }\n    }\n]\n"), "{}", out.stdout);
    let all = json_of(&out.stdout);
    let image = &all[0];
    assert_eq!(image["Id"], images[0].id());
    assert_eq!(image["RepoTags"], json!([one]));
    let digest = image["RepoDigests"][0].as_str().expect("a digest");
    assert!(digest.starts_with(&format!("{}@sha256:", one.trim_end_matches(":1"))), "{digest}");
    assert_eq!(image["Created"], "2026-01-02T03:04:05.678901234Z");
    assert_eq!(image["Config"]["Env"], json!(["A=1", "B=2"]));
    assert_eq!(image["Config"]["Entrypoint"], Value::Null);
    assert_eq!((&image["Os"], &image["Architecture"]), (&json!("linux"), &json!(crate::image::HOST_ARCH)));
    assert_eq!(image["RootFS"]["Layers"], json!([images[0].layers[0].diff_id, images[0].layers[1].diff_id]));
    assert_eq!(image["RootFS"]["Type"], "layers");
    for name in ["Parent", "Comment", "DockerVersion", "Author", "Size", "GraphDriver", "Metadata"] {
        assert!(image.get(name).is_some(), "{name}");
    }
    assert_eq!(t.ccrun(&["inspect", &short(&images[0])]).ok().stdout, out.stdout);
    for (template, text) in [
        ("{{.Id}}", images[0].id()),
        ("{{json .Config.Env}}", "[\"A=1\",\"B=2\"]".to_owned()),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n".to_owned()),
        ("{{index .Config.Labels \"dotted.name\"}}{{.Config.Labels.kind}}", "xtest".to_owned()),
        ("{{index .RepoTags 0}} {{len .RootFS.Layers}} {{join .Config.Env \",\"}}", format!("{one} 2 A=1,B=2")),
        ("{{if .Config.User}}user{{else}}root{{end}}", "root".to_owned()),
    ] {
        t.ccrun(&["inspect", "-f", template, &one]).ok().prints(&(text + "\n")).quiet();
    }
    t.ccrun(&["inspect", "--format", "{{.Bogus}}", &one]).out().error(1, "can't evaluate field Bogus");
    t.ccrun(&["image", "inspect", "nothing"]).out().error(1, "ccrun: No such image: nothing:latest").prints("[]\n");
    t.ccrun(&["inspect", "nothing"]).out().error(1, "ccrun: No such object: nothing").prints("[]\n");
    // Those that are there are told nevertheless.
    let some = t.ccrun(&["image", "inspect", "nothing", &one]).out().exit(1).says("No such image: nothing:latest");
    assert_eq!(some.stdout, out.stdout);
}

fn an_image_cannot_talk_to_the_terminal(t: &Sandbox) {
    let registry = Registry::open();
    let label = "\u{1b}]0;owned\u{7}\u{202e}\r";
    registry.push("evil", "1", &Image::busybox(&t.busybox).set("Labels", json!({"a": label})));
    let name = format!("{}/evil:1", registry.host);
    t.ccrun(&["pull", "-q", &name]).ok();
    let args = ["inspect", "-f", "{{.Config.Labels.a}}", &name];
    // A program gets it as it is, a terminal does not.
    t.ccrun(&args).ok().prints(&format!("{label}\n"));
    let mut command = std::process::Command::new(&t.ccrun);
    command.args(args).env_clear().env("CCRUN_ROOT", &t.store).env("HOME", &t.dir).current_dir(&t.dir);
    let (status, seen) = Pty::spawn(command).wait();
    assert_eq!((status, seen.as_str()), (0, "\\x1b]0;owned\\x07\\u{202e}\\x0d\r\n"));
}

fn a_history_is_told_backwards(t: &Sandbox) {
    let (one, _, images) = two_images(t);
    let history = |args: &[&str]| t.ccrun(&[&["history"], args, &[&one]].concat()).ok().quiet();
    let table = history(&[]).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "IMAGE          CREATED   CREATED BY   SIZE      COMMENT");
    assert_eq!(lines[1], format!("{}   N/A       tests        1MB", short(&images[0])));
    assert!(lines[2].starts_with("<missing>      N/A       tests        1.98MB"), "{table}");
    history(&["-q"]).prints(&format!("{}\n<missing>\n", short(&images[0])));
    history(&["-q", "--no-trunc"]).prints(&format!("{}\n<missing>\n", images[0].id()));
    history(&["--human=false", "--format", "{{.Size}} {{.CreatedBy}}"]).has("1000000 tests\n");
    t.ccrun(&["history", "nothing"]).out().error(1, "No such image: nothing:latest");
}

fn a_container_is_told_all_of(t: &Sandbox) {
    let (one, _, images) = two_images(t);
    t.ccrun(&["run", "--name", "ended", &one, "/bin/sh", "-c", "exit 3"]).out().exit(3);
    let all = json_of(&t.ccrun(&["inspect", "ended"]).ok().quiet().stdout);
    let told = &all[0];
    assert_eq!(
        (&told["Name"], &told["Path"], &told["Args"]),
        (&json!("/ended"), &json!("/bin/sh"), &json!(["-c", "exit 3"]))
    );
    assert_eq!((&told["Image"], &told["Config"]["Image"]), (&json!(images[0].id()), &json!(one)));
    let state = &told["State"];
    assert_eq!((&state["Status"], &state["Running"], &state["ExitCode"]), (&json!("exited"), &json!(false), &json!(3)));
    let id = told["Id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 64 && state["FinishedAt"].as_str().is_some_and(|time| time.ends_with('Z')), "{told}");
    t.ccrun(&["inspect", "-f", "{{.Id}} {{.State.ExitCode}}", &id[..12]]).ok().prints(&format!("{id} 3\n"));
    let running = t.ccrun(&["run", "--rm", "--name", "runs", &one, "/bin/sh", "-c", "echo up; exec sleep 60"]).spawn();
    running.until("up");
    let out =
        t.ccrun(&["container", "inspect", "-f", "{{.State.Status}} {{.State.Running}} {{.State.Pid}}", "runs"]).ok();
    let pid = out.stdout.trim_end().strip_prefix("running true ").expect("running").parse::<u32>().expect("a number");
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    t.ccrun(&["rm", "-f", "runs"]).ok();
    running.wait();
    t.ccrun(&["container", "inspect", &one]).out().error(1, "No such container: ").prints("[]\n");
    t.ccrun(&["inspect", "--type", "image", "ended"]).out().error(1, "No such image: ended:latest");
    t.ccrun(&["inspect", "--type", "bogus", "ended"]).out().error(1, "\"bogus\" is not a valid value for --type");
}

fn containers_are_listed_as_one_likes(t: &Sandbox) {
    for (name, code) in [("good", 0), ("bad", 3)] {
        let script = format!("exit {code}");
        t.ccrun(&["run", "--name", name, "--rootfs", &t.busybox, "/bin/sh", "-c", &script]).out().exit(code);
    }
    let names =
        |args: &[&str]| t.ccrun(&[&["ps", "--format", "{{.Names}} {{.State}}"], args].concat()).ok().quiet().stdout;
    assert_eq!(names(&[]), "");
    assert_eq!(names(&["-a"]).lines().count(), 2);
    assert_eq!(names(&["-f", "exited=3"]), "bad exited\n");
    assert_eq!(names(&["-a", "-f", "name=goo"]), "good exited\n");
    assert_eq!(names(&["-f", "status=running"]), "");
    assert_eq!(names(&["-a", "-f", "name=goo", "-f", "name=bad"]).lines().count(), 2);
    let row = json_of(&t.ccrun(&["ps", "--format", "json", "-f", "exited=3"]).ok().stdout);
    assert_eq!((&row["Names"], &row["Image"]), (&json!("bad"), &json!(t.busybox)));
    t.ccrun(&["ps", "-f", "bogus=1"]).out().error(1, "invalid filter 'bogus'");
}

/// How many bytes the store's files hold.
fn held(t: &Sandbox) -> u64 {
    let mut bytes = 0;
    walk(&t.store, &mut |path| {
        bytes += path.symlink_metadata().ok().filter(std::fs::Metadata::is_file).map_or(0, |meta| meta.len());
    });
    bytes
}

fn the_room_is_told_and_given_back(t: &Sandbox) {
    t.ccrun(&["system", "df"]).ok().quiet().prints(
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
         Images          0         0         0B        0B\n\
         Containers      0         0         0B        0B\n\
         Local Volumes   0         0         0B        0B\n\
         Build Cache     0         0         0B        0B\n",
    );
    let (one, two, images) = two_images(t);
    let df = |kind: &str| {
        let format = "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}";
        let out = t.ccrun(&["system", "df", "--format", format]).ok().quiet();
        let line = out.stdout.lines().find_map(|line| line.strip_prefix(kind)).expect("a line of that type");
        line.trim_start().to_owned()
    };
    // The layer that both have counts once.
    assert_eq!(df("Images"), "2 0 4.983MB 4.983MB (100%)");
    let script = "head -c 300000 /dev/zero >/big; mkdir -m 700 /closed; head -c 7 /dev/zero >/closed/f; \
                  chown -R 9:9 /closed; echo x >/v/f";
    t.ccrun(&["run", "--name", "box", "-v", "vol:/v", &one, "/bin/sh", "-c", script]).out();
    assert_eq!(df("Images"), "2 1 4.983MB 2MB (40%)");
    assert_eq!(df("Containers"), "1 0 300kB 300kB (100%)");
    assert_eq!(df("Local Volumes"), "1 1 2B 0B (0%)");
    let verbose = t.ccrun(&["system", "df", "-v"]).ok().quiet();
    let verbose = verbose.has("Images space usage:\n\nREPOSITORY").has("SHARED SIZE   UNIQUE SIZE   CONTAINERS\n");
    let verbose = verbose.has("1.983MB       1MB           1\n").has("1.983MB       2MB           0\n");
    verbose.has("VOLUME NAME   LINKS     SIZE\nvol           1         2B\n").has("Build cache usage: 0B\n");
    // What is used stays: the image whose container is there, and the layer that both have.
    let pruned = t.ccrun(&["image", "prune", "-af"]).ok().quiet();
    let expected = format!("untagged: {two}\ndeleted: {}\n\nTotal reclaimed space: 2MB\n", images[1].id());
    assert!(
        pruned.stdout.starts_with("Deleted Images:\nuntagged: ") && pruned.stdout.ends_with(&expected),
        "{}",
        pruned.stdout
    );
    assert_eq!(t.layers().len(), 2);
    t.ccrun(&["run", "--rm", "--pull", "never", &one, "cat", "/one"]).ok();
    let id = t.ccrun(&["ps", "-aq", "--no-trunc"]).ok().stdout;
    let pruned = t.ccrun(&["container", "prune", "--force"]).ok().quiet();
    assert!(
        pruned.stdout.starts_with(&format!("Deleted Containers:\n{id}\nTotal reclaimed space: 30")),
        "{}",
        pruned.stdout
    );
    assert_eq!(df("Local Volumes"), "1 0 2B 2B (100%)");
    // The last user's end gives the layers back.
    assert!(held(t) > 2_900_000, "{}", held(t));
    t.ccrun(&["rmi", &one]).ok();
    assert!(t.layers().is_empty() && held(t) < 10_000, "{}", held(t));
    t.ccrun(&["system", "prune", "-af"]).ok().prints("Total reclaimed space: 0B\n").quiet();
    t.nothing_left();
}

fn prune_asks_first(t: &Sandbox) {
    let (one, ..) = two_images(t);
    let warning = "WARNING! This will remove all images without at least one container associated to them.\n\
                   Are you sure you want to continue? [y/N] ";
    for answer in ["", "n\n", "no\n", "yes\n", "\n"] {
        let out = t.ccrun(&["image", "prune", "-a"]).stdin(answer).out();
        out.exit(0).quiet().prints(warning);
    }
    t.ccrun(&["system", "prune", "--filter", "until=24h"]).ok().quiet().prints(
        "WARNING! This will remove:\n  - all stopped containers\n  - all dangling images\n  \
         - what cancelled pulls have left\n\n  Items to be pruned will be filtered with:\n  - until=24h\n\n\
         Are you sure you want to continue? [y/N] ",
    );
    let out = t.ccrun(&["system", "prune", "--volumes", "--filter", "until=24h"]).out();
    out.error(1, "the \"until\" filter is not supported with \"--volumes\"");
    let volumes = "  - all anonymous volumes not used by at least one container\n";
    t.ccrun(&["system", "prune", "-a", "--volumes"]).ok().has(volumes).has("  - all images without at least one ");
    t.ccrun(&["container", "prune"]).stdin("y\n").ok().has("WARNING! This will remove all stopped containers.\n");
    t.ccrun(&["image", "prune"])
        .stdin("y\n")
        .ok()
        .has("all dangling images.\n")
        .has("[y/N] Total reclaimed space: 0B\n");
    // What the filter leaves out stays.
    t.ccrun(&["image", "prune", "-af", "--filter", "until=2020-01-01"]).ok().prints("Total reclaimed space: 0B\n");
    t.ccrun(&["image", "prune", "-af", "--filter", "label=other"]).ok().prints("Total reclaimed space: 0B\n");
    t.ccrun(&["image", "prune", "-af", "--filter", "bogus=x"]).out().error(1, "invalid filter 'bogus'");
    t.ccrun(&["run", "--rm", "--pull", "never", &one, "true"]).ok();
    t.ccrun(&["image", "prune", "-a"])
        .stdin("Y\n")
        .ok()
        .has("Deleted Images:\n")
        .has("Total reclaimed space: 4.983MB\n");
    assert!(t.layers().is_empty());
}

fn prune_takes_what_cancelled_pulls_left(t: &Sandbox) {
    let (one, ..) = two_images(t);
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", &one]).ok().stdout;
    // As if the pull had ended when only the layers were there.
    t.ccrun(&["tag", &one, "x"]).ok();
    std::fs::remove_dir_all(t.store.join("images").join(&id.trim_end()[7..])).expect("remove the image");
    std::fs::create_dir_all(t.store.join("partial")).expect("mkdir");
    std::fs::write(t.store.join("partial").join("0".repeat(64)), vec![0; 500_000]).expect("write");
    std::fs::create_dir_all(t.store.join("tmp/draft-1-1")).expect("mkdir");
    std::fs::write(t.store.join("tmp/draft-1-1/lock"), "").expect("write");
    assert_eq!(t.layers().len(), 3);
    t.ccrun(&["system", "df", "--format", "{{.Size}} {{.Reclaimable}}"]).ok().has("5.483MB 5.483MB (100%)\n");
    t.ccrun(&["system", "prune", "-f"]).ok().quiet().prints("Total reclaimed space: 1.5MB\n");
    assert_eq!(t.layers().len(), 2);
    assert!(t.names_in("partial").is_empty());
    t.nothing_left();
}

/// Tells all of a container's files, from inside. What ccrun mounts is not the image's.
const LOOK: &str = "cd / && find . -xdev ! -path './etc/ho*' ! -path ./etc/resolv.conf ! -path ./proc ! -path ./sys \
    ! -path ./dev ! -path . | sort | while read -r f; do \
    if [ -f \"$f\" -a ! -L \"$f\" ]; then stat -c '%n %a %u %g %h %s %Y' \"$f\"; sha256sum \"$f\"; \
    else stat -c '%N %F %a %u %g %t %T %Y' \"$f\"; fi; done";

fn an_export_holds_what_the_container_sees(t: &Sandbox) {
    let registry = Registry::open();
    let files = Tar::new()
        .dir("etc/gone", 0o755)
        .file("etc/gone/f", 0o644, "x")
        .dir("etc/opaque", 0o755)
        .file("etc/opaque/old", 0o644, "x")
        .file("set-id", 0o4755, "x")
        .hardlink("set-id.too", "set-id")
        .symlink("link", "nowhere/at/all")
        .entry(
            &entry("noted", b'0', 0o755)
                .pax("mtime", "1700000000.123456789")
                .pax("SCHILY.xattr.user.note", "kept")
                .pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        );
    registry.push("app", "1", &Image::busybox(&t.busybox).layer(files));
    let name = format!("{}/app:1", registry.host);
    let long = "d".repeat(120);
    // With a single id other owners are an account of the running container's.
    let chown = if t.mode == Mode::Nosubuid { "true" } else { "chown" };
    let script = format!(
        "rm -r /etc/gone /etc/opaque; mkdir /etc/opaque; echo new >/etc/opaque/new; mkfifo /fifo; mkdir -p /{long}/{long}; \
         echo schön >/{long}/{long}/ü; ln /{long}/{long}/ü /hard; {chown} 5:6 /fifo; chmod 1777 /{long}; \
         mkdir -m 700 /closed; echo x >/closed/f; {chown} -R 9:9 /closed; touch -d @1000000000 /etc/opaque/new; \
         {LOOK}"
    );
    let before = t.ccrun(&["run", "--name", "box", &name, "/bin/sh", "-c", &script]).ok().stdout;
    let archive = t.path("out.tar");
    t.ccrun(&["export", "-o", &archive, "box"]).ok().prints("").quiet();
    let list = t.command("tar", &["--numeric-owner", "-tvf", &archive]).ok().quiet();
    let list = list.has(" link -> nowhere/at/all\n").has(" proc/\n").has(" etc/opaque/new\n").has(" etc/hosts\n");
    let list = list.lacks("etc/gone").lacks("opaque/old").lacks(" ./").lacks(" proc/1").has(" set-id\n");
    assert!(list.stdout.lines().any(|line| line.ends_with(" set-id.too link to set-id") && line.starts_with('h')));
    if t.mode != Mode::Nosubuid {
        list.has("5/6");
    }
    let bytes = std::fs::read(&archive).expect("read");
    let holds = |record: &[u8]| bytes.windows(record.len()).any(|window| window == record);
    assert!(holds(b"mtime=1700000000.123456789\n") && holds(b"SCHILY.xattr.user.note=kept\n"));
    assert!(holds(b"SCHILY.xattr.security.capability=\x01\0\0\x02\0\x04") && !holds(b"user.overlay"));
    // To stdout, byte for byte the same.
    let twice = format!("'{}' container export box | cmp - '{archive}'", t.ccrun);
    t.command("sh", &["-c", &twice]).env("CCRUN_ROOT", &t.store).ok().prints("");
    // And an image of it shows what the container saw.
    t.ccrun(&["import", &archive, "back"]).ok();
    let after = t.ccrun(&["run", "--rm", "back", "/bin/sh", "-c", LOOK]).ok().stdout;
    assert!(before.contains("./closed/f") && before.lines().count() > 30, "{before}");
    for (before, after) in before.lines().zip(after.lines()) {
        assert_eq!(before, after);
    }
    assert_eq!(before, after);
    // Into a file that has a name only when it is whole, over the old one.
    std::fs::write(&archive, "old").expect("write");
    t.ccrun(&["export", "--output", &archive, "box"]).ok();
    t.command("tar", &["-tf", &archive]).ok().has("set-id\n");
}

fn an_export_of_a_running_container(t: &Sandbox) {
    let (one, ..) = two_images(t);
    let script = "echo live >/live; rm /one; echo up; exec sleep 60";
    let running = t.ccrun(&["run", "--rm", "--name", "runs", &one, "/bin/sh", "-c", script]).spawn();
    running.until("up");
    let archive = t.path("live.tar");
    t.ccrun(&["export", "-o", &archive, "runs"]).ok().quiet();
    t.command("tar", &["-xOf", &archive, "live"]).ok().prints("live\n");
    t.command("tar", &["-tf", &archive]).ok().lacks("one\n");
    t.ccrun(&["rm", "-f", "runs"]).ok();
    running.wait();
    t.nothing_left();
}

fn a_container_without_overlay_is_exported(t: &Sandbox) {
    // On an overlay of an overlay there is no third, so the container is a copy.
    let script = format!(
        "set -e; mkdir t one two; mount -t tmpfs none t; mkdir t/l t/u t/w t/u2 t/w2
         mount -t overlay o -o lowerdir=t/l,upperdir=t/u,workdir=t/w one
         mount -t overlay o -o lowerdir=one,upperdir=t/u2,workdir=t/w2 two
         export CCRUN_ROOT=$PWD/two/store
         tar -c -C '{}' . | '{ccrun}' import - bb >/dev/null
         '{ccrun}' run --name box bb sh -c 'rm /etc/group; echo x >/new'
         '{ccrun}' export box | tar -t",
        t.busybox,
        ccrun = t.ccrun
    );
    let out = t.command("unshare", &["-m", "sh", "-c", &script]).ok().says("no overlay on the store's file system");
    out.has("bin/busybox\n").has("new\n").has("etc/passwd\n").lacks("etc/group");
}

fn what_cannot_be_exported_is_said(t: &Sandbox) {
    t.ccrun(&["run", "--name", "dir", "--rootfs", &t.busybox, "true"]).ok();
    let out = t.ccrun(&["export", "dir"]).out().error(1, "container dir was not made from an image");
    assert_eq!(out.stdout, "");
    t.ccrun(&["export", "nothing"]).out().error(1, "No such container: nothing");
    let file = t.path("missing/out.tar");
    t.ccrun(&["export", "-o", &file, "dir"]).out().exit(1);
    let mut command = std::process::Command::new(&t.ccrun);
    command.args(["export", "dir"]).env_clear().env("CCRUN_ROOT", &t.store).env("HOME", &t.dir).current_dir(&t.dir);
    let (status, seen) = Pty::spawn(command).wait();
    assert_eq!((status, seen.contains("cowardly refusing to save to a terminal")), (1, true), "{seen}");
}
