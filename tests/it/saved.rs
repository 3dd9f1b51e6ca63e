//! What is on disk of a container: the document that it was made from, and its state.

use crate::sandbox::{Sandbox, eventually};
use crate::{cases, procs, sys};
use serde_json::{Value, json};

cases! {
    Every:
        the_document_is_the_ocis,
        the_state_follows_the_container,
        a_user_by_name_is_noted_by_number,
        a_killed_supervisor_is_told_of,
        a_damaged_file_is_named,
        files_outlive_a_damaged_state;
    Root:
        an_end_on_a_full_disk_is_noted;
}

fn id(t: &Sandbox, name: &str) -> String {
    t.ccrun(&["inspect", "-f", "{{.Id}}", name]).ok().line().to_owned()
}

fn json_in(t: &Sandbox, id: &str, file: &str) -> Value {
    let path = t.store.join("containers").join(id).join(file);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn the_document_is_the_ocis(t: &Sandbox) {
    std::fs::create_dir(t.dir.join("src")).expect("mkdir");
    let bind = format!("{}:/a:ro", t.path("src"));
    let mut flags = vec!["run", "--name", "box", "-v", &bind, "-v", "data:/b", "--tmpfs", "/c:size=1m", "-e", "A=b"];
    flags.extend(["-w", "/w", "-u", "0:7", "--ulimit", "nofile=10:20", "--cap-drop", "ALL", "--read-only"]);
    flags.extend(["--rootfs", &t.busybox, "/bin/sh", "-c", "exit 3"]);
    t.ccrun(&flags).out().exit(3);
    let document = json_in(t, &id(t, "box"), "config.json");
    assert_eq!(document["root"], json!({ "path": t.busybox, "readonly": true }));
    assert_eq!((&document["hostname"], &document["ccrun"]["image"]), (&json!("container"), &json!(t.busybox)));
    let process = &document["process"];
    assert_eq!((&process["args"], &process["cwd"]), (&json!(["/bin/sh", "-c", "exit 3"]), &json!("/w")));
    assert!(process["env"].as_array().expect("env").contains(&json!("A=b")));
    assert_eq!(process["rlimits"], json!([{ "type": "RLIMIT_NOFILE", "soft": 10, "hard": 20 }]));
    assert_eq!(process["capabilities"], Value::Null);
    assert_eq!((&process["user"]["uid"], &process["user"]["gid"]), (&json!(0), &json!(7)));
    assert_eq!(document["ccrun"]["defaultPids"], 2048);
    let mounts = document["mounts"].as_array().expect("mounts");
    let at = |place: &str| mounts.iter().find(|mount| mount["destination"] == place).unwrap_or(&Value::Null);
    let kernel = ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"];
    let order: Vec<&str> = mounts.iter().filter_map(|mount| mount["destination"].as_str()).collect();
    assert_eq!(order, [&kernel[..], &["/a", "/b", "/c"]].concat());
    assert_eq!(at("/a")["source"], json!(t.path("src")));
    assert_eq!(at("/a")["options"], json!(["rbind", "ro", "nodev"]));
    assert_eq!((&at("/c")["type"], &at("/c")["options"][3]), (&json!("tmpfs"), &json!("size=1m")));
    let kinds = document["linux"]["namespaces"].as_array().expect("namespaces").iter();
    let kinds: Vec<&str> = kinds.filter_map(|one| one["type"].as_str()).collect();
    assert_eq!(kinds, ["user", "pid", "mount", "ipc", "uts", "network", "cgroup"]);
    assert!(document["linux"]["maskedPaths"].as_array().expect("masks").contains(&json!("/proc/kcore")));
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn the_state_follows_the_container(t: &Sandbox) {
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos();
    let script = "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done";
    let running = t.ccrun(&["run", "--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", script]).spawn();
    running.until("ready");
    let id = id(t, "box");
    let state = json_in(t, &id, "state.json");
    assert_eq!((&state["status"], &state["exitCode"]), (&json!("running"), &Value::Null));
    for (name, pid) in [("supervisor", running.pid()), ("init", child_of(running.pid()))] {
        assert_eq!(state[name], json!({ "pid": pid, "start": start_of(pid) }), "{name}");
    }
    let moment = |state: &Value, name: &str| state[name].as_u64().unwrap_or_else(|| panic!("{name}: {state}"));
    let (created, started) = (moment(&state, "created"), moment(&state, "started"));
    assert!(before <= created.into() && created <= started, "{state}");
    assert_eq!((&state["user"], &state["uidMappings"][0]["containerID"]), (&Value::Null, &json!(0)));
    let map = std::fs::read_to_string(format!("/proc/{}/uid_map", child_of(running.pid()))).expect("uid_map");
    let first: Vec<&str> = map.lines().next().expect("a line").split_whitespace().collect();
    assert_eq!(state["uidMappings"][0]["hostID"].to_string(), first[1]);
    t.ccrun(&["ps", "--format", "{{.Names}} {{.State}}"]).ok().prints("box running\n");
    running.signal(libc::SIGTERM);
    running.wait().exit(143);
    let state = json_in(t, &id, "state.json");
    assert_eq!((&state["status"], &state["exitCode"]), (&json!("exited"), &json!(143)));
    assert_eq!((moment(&state, "created"), moment(&state, "started")), (created, started));
    assert!(moment(&state, "finished") >= started, "{state}");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_user_by_name_is_noted_by_number(t: &Sandbox) {
    let script = "cp -a BUSYBOX/. . && echo bob:x:7:8::/:/bin/sh >>etc/passwd && echo staff:x:9:bob >>etc/group";
    std::fs::create_dir(t.dir.join("root")).expect("mkdir");
    t.command("sh", &["-c", &script.replace("BUSYBOX", &t.busybox)]).cwd(t.dir.join("root")).ok();
    t.ccrun(&["run", "--name", "box", "-u", "bob", "--rootfs", &t.path("root"), "true"]).ok();
    let state = json_in(t, &id(t, "box"), "state.json");
    assert_eq!(state["user"], json!({ "uid": 7, "gid": 8, "additionalGids": [8, 9] }));
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_killed_supervisor_is_told_of(t: &Sandbox) {
    let script = "echo ready; exec sleep 71.8";
    let running = t.ccrun(&["run", "--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", script]).spawn();
    running.until("ready");
    running.signal(libc::SIGKILL);
    running.wait().exit(137);
    eventually("its end", || procs::find_args(&["sleep", "71.8"]).is_empty());
    t.ccrun(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).ok().has("box Exited (137) ");
    let told = "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.State.Error}}";
    t.ccrun(&["inspect", "-f", told, "box"]).ok().prints("exited false 137 its supervisor was killed\n");
    let state = json_in(t, &id(t, "box"), "state.json");
    assert!(state["finished"].is_u64() && state["started"].is_u64(), "{state}");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_damaged_file_is_named(t: &Sandbox) {
    for (file, content) in [("config.json", "{"), ("config.json", "{}"), ("state.json", ""), ("state.json", "{}")] {
        t.ccrun(&["run", "--name", "box", "--rootfs", &t.busybox, "true"]).ok();
        let id = id(t, "box");
        std::fs::write(t.store.join("containers").join(&id).join(file), content).expect("write");
        let out = t.ccrun(&["inspect", "--type", "container", "box"]).out();
        out.error(1, &format!("{file} is damaged; ccrun rm -f {} removes the container", &id[..12]));
        t.ccrun(&["ps", "-a", "-q"]).ok().prints("");
        t.ccrun(&["rm", "box"]).ok();
        t.nothing_left();
    }
}

fn files_outlive_a_damaged_state(t: &Sandbox) {
    let script = "echo precious >/kept; echo ready; exec sleep 71.9";
    let running = t.ccrun(&["run", "--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", script]).spawn();
    running.until("ready");
    let dir = t.store.join("containers").join(id(t, "box"));
    // What a loss of power may leave.
    std::fs::write(dir.join("state.json"), "").expect("write");
    running.signal(libc::SIGKILL);
    running.wait().exit(137);
    eventually("its end", || procs::find_args(&["sleep", "71.9"]).is_empty());
    t.ccrun(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).ok().has("box Exited (137) ");
    assert_eq!(std::fs::read_to_string(dir.join("upper/kept")).expect("its file"), "precious\n");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn an_end_on_a_full_disk_is_noted(t: &Sandbox) {
    sys::private_mounts().expect("a mount namespace");
    let disk = t.dir.join("disk");
    std::fs::create_dir(&disk).expect("mkdir");
    sys::mount_tmpfs(&disk, 0, "size=1m").expect("mount");
    let t = &t.with_store("disk/store");
    let script = "cat /dev/zero >/full 2>/dev/null; exit 6";
    t.ccrun(&["run", "--name", "box", "--rootfs", &t.busybox, "/bin/sh", "-c", script]).out().exit(6);
    t.ccrun(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).ok().has("box Exited (6) ");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
    sys::unmount(&disk).expect("unmount");
}

fn child_of(pid: i32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
    children.trim().parse().unwrap_or_else(|_| panic!("more than one child: {children}"))
}

fn start_of(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    fields.split(' ').nth(19).expect("field 22").parse().expect("a number")
}
