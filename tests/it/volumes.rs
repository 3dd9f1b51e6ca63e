//! Volumes with a name: made, listed, used and removed, in Docker's words.

use crate::cases;
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

cases! {
    Every:
        a_volume_is_made_listed_and_removed,
        a_volume_in_use_stays,
        volumes_are_filtered_and_shown_as_one_likes,
        prune_takes_those_without_a_name,
        names_that_no_volume_has;
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn names(t: &Sandbox, args: &[&str]) -> Vec<String> {
    let out = t.ccrun(&[&["volume", "ls", "-q"], args].concat()).ok().quiet();
    out.stdout.lines().map(str::to_owned).collect()
}

fn a_volume_is_made_listed_and_removed(t: &Sandbox) {
    t.ccrun(&["volume", "ls"]).ok().prints("DRIVER    VOLUME NAME\n");
    t.ccrun(&["volume", "create", "data"]).ok().prints("data\n").quiet();
    t.ccrun(&["volume", "create", "data"]).ok().prints("data\n").quiet();
    let anonymous = t.ccrun(&["volume", "create"]).ok().quiet().line().to_owned();
    assert!(anonymous.len() == 64 && anonymous.bytes().all(|byte| byte.is_ascii_hexdigit()), "{anonymous}");
    // `run -v` makes one, too.
    t.run(&["-v", "made:/v", "/bin/sh", "-c", "echo x >/v/f"]).ok();
    let mut expected = vec![anonymous.clone(), "data".to_owned(), "made".to_owned()];
    expected.sort();
    assert_eq!(names(t, &[]), expected);
    t.ccrun(&["volume", "ls"]).ok().has("DRIVER    VOLUME NAME\n").has("local     data\n");
    // What is in it is there for the next one.
    t.run(&["-v", "made:/v", "cat", "/v/f"]).ok().prints("x\n");
    t.run(&["-v", "data:/v", "/bin/sh", "-c", "echo y >/v/g; ls -ld /v | cut -c1-10"]).ok().prints("drwxr-xr-x\n");
    let told = json_of(&t.ccrun(&["volume", "inspect", "data"]).ok().quiet().stdout);
    let mountpoint = format!("{}/volumes/data/_data", t.store.display());
    let keys: Vec<&String> = told[0].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"]);
    assert_eq!((&told[0]["Mountpoint"], &told[0]["Labels"]), (&json!(mountpoint), &Value::Null));
    assert_eq!(std::fs::read_to_string(format!("{mountpoint}/g")).expect("read"), "y\n");
    t.ccrun(&["volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}}", "data"]).ok().prints("data local local\n");
    t.ccrun(&["inspect", "-f", "{{.Mountpoint}}", "data"]).ok().prints(&format!("{mountpoint}\n"));
    t.ccrun(&["inspect", "--type", "volume", "data"]).ok().has("\"Name\": \"data\"");
    t.ccrun(&["volume", "rm", "data", &anonymous]).ok().quiet().prints(&format!("data\n{anonymous}\n"));
    t.ccrun(&["volume", "remove", "made"]).ok().prints("made\n");
    assert_eq!(names(t, &[]), Vec::<String>::new());
    assert_eq!(t.names_in("volumes"), Vec::<String>::new());
    t.nothing_left();
}

fn a_volume_in_use_stays(t: &Sandbox) {
    t.ccrun(&["run", "--name", "user", "-v", "data:/v", "--rootfs", &t.busybox, "/bin/sh", "-c", "echo x >/v/f"]).ok();
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "user"]).ok().line().to_owned();
    let in_use = format!("remove data: volume is in use - [{id}]");
    t.ccrun(&["volume", "rm", "data"]).out().error(1, &in_use).prints("");
    t.ccrun(&["volume", "rm", "-f", "data"]).out().error(1, &in_use).prints("");
    t.ccrun(&["volume", "prune", "-af"]).ok().prints("Total reclaimed space: 0B\n");
    // By --mount, and while it runs, too.
    let mount = "type=volume,source=other,target=/v";
    let running = t.run(&["--name", "runs", "--mount", mount, "/bin/sh", "-c", "echo up; exec sleep 60"]).spawn();
    running.until("up");
    t.ccrun(&["volume", "rm", "other"]).out().error(1, "remove other: volume is in use - [");
    t.ccrun(&["rm", "-f", "runs"]).ok();
    running.wait();
    t.ccrun(&["volume", "rm", "other", "data", "nope"])
        .out()
        .exit(1)
        .prints("other\n")
        .says("get nope: no such volume\n");
    // Both containers' ids are told.
    t.ccrun(&["run", "--name", "second", "-v", "data:/w", "--rootfs", &t.busybox, "true"]).ok();
    let second = t.ccrun(&["inspect", "-f", "{{.Id}}", "second"]).ok().line().to_owned();
    t.ccrun(&["volume", "rm", "data"]).out().exit(1).says(&id).says(&second);
    t.ccrun(&["rm", "-v", "user", "second"]).ok();
    t.ccrun(&["volume", "rm", "data"]).ok().prints("data\n");
    t.ccrun(&["volume", "rm", "data"]).out().error(1, "get data: no such volume").prints("");
    t.ccrun(&["volume", "rm", "-f", "data"]).ok().prints("data\n").quiet();
}

fn volumes_are_filtered_and_shown_as_one_likes(t: &Sandbox) {
    t.ccrun(&["volume", "create", "--label", "kind=db", "--label", "plain", "labelled"]).ok();
    t.ccrun(&["volume", "create", "free"]).ok();
    t.ccrun(&["run", "--name", "user", "-v", "used:/v", "--rootfs", &t.busybox, "true"]).ok();
    for (filters, expected) in [
        (&[][..], &["free", "labelled", "used"][..]),
        (&["dangling=true"], &["free", "labelled"]),
        (&["dangling=false"], &["used"]),
        (&["label=kind"], &["labelled"]),
        (&["label=kind=db", "label=plain"], &["labelled"]),
        (&["label=kind=web"], &[]),
        (&["name=us"], &["used"]),
        (&["name=us", "name=fr"], &["free", "used"]),
        (&["driver=local", "dangling=1"], &["free", "labelled"]),
        (&["driver=nfs"], &[]),
    ] {
        let args: Vec<&str> = filters.iter().flat_map(|filter| ["-f", filter]).collect();
        assert_eq!(names(t, &args), expected, "{filters:?}");
    }
    let row = json_of(&t.ccrun(&["volume", "ls", "--format", "json", "-f", "label=kind"]).ok().stdout);
    assert_eq!(
        (&row["Name"], &row["Labels"], &row["Scope"], &row["Links"]),
        (&json!("labelled"), &json!("kind=db,plain="), &json!("local"), &json!("N/A"))
    );
    t.ccrun(&["volume", "ls", "--format", "{{.Name}}:{{.Driver}}", "-f", "name=free"]).ok().prints("free:local\n");
    t.ccrun(&["volume", "inspect", "-f", "{{json .Labels}}", "labelled"])
        .ok()
        .prints("{\"kind\":\"db\",\"plain\":\"\"}\n");
    let failed = |filter: &str, text: &str| drop(t.ccrun(&["volume", "ls", "-f", filter]).out().error(1, text));
    failed("bogus=1", "invalid filter 'bogus'");
    failed("dangling=maybe", "invalid filter 'dangling=maybe'");
    failed("dangling", "bad format of filter");
}

fn prune_takes_those_without_a_name(t: &Sandbox) {
    let make = |args: &[&str]| t.ccrun(&[&["volume", "create"], args].concat()).ok().line().to_owned();
    let (named, anonymous) = (make(&["named"]), make(&[]));
    t.ccrun(&["run", "--name", "user", "-v", "used:/v", "--rootfs", &t.busybox, "true"]).ok();
    std::fs::write(t.store.join("volumes").join(&anonymous).join("_data/f"), "x").expect("write");
    let warning = "WARNING! This will remove anonymous local volumes not used by at least one container.\n\
                   Are you sure you want to continue? [y/N] ";
    t.ccrun(&["volume", "prune"]).stdin("n\n").ok().prints(warning);
    t.ccrun(&["volume", "prune", "-a"]).stdin("n\n").ok().has("remove all local volumes not used by at least");
    assert_eq!(names(t, &[]).len(), 3);
    t.ccrun(&["volume", "prune", "-f", "--filter", "label=x"]).ok().prints("Total reclaimed space: 0B\n");
    let gone = format!("Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 1B\n");
    t.ccrun(&["volume", "prune", "-f"]).ok().quiet().prints(&gone);
    assert_eq!(names(t, &[]), [named.as_str(), "used"]);
    let anonymous = make(&[]);
    t.ccrun(&["system", "prune", "-f"]).ok();
    // Without --volumes none goes; but the container was its user.
    assert!(names(t, &[]).contains(&anonymous));
    let out = t.ccrun(&["system", "prune", "-f", "--volumes"]).ok().quiet();
    out.prints(&format!("Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B\n"));
    assert_eq!(names(t, &[]), [named.as_str(), "used"]);
    let labelled = make(&["--label", "keep", "kept"]);
    t.ccrun(&["volume", "prune", "-af", "--filter", "label!=keep"])
        .ok()
        .prints("Deleted Volumes:\nnamed\nused\n\nTotal reclaimed space: 0B\n");
    assert_eq!(names(t, &[]), [labelled.as_str()]);
    t.ccrun(&["volume", "prune", "-f", "--filter", "bogus=x"]).out().error(1, "invalid filter 'bogus'");
    t.nothing_left();
}

fn names_that_no_volume_has(t: &Sandbox) {
    let create = |name: &str| t.ccrun(&["volume", "create", name]).out();
    create("x").error(1, "create x: ");
    for name in ["a/b", "../x", ".hidden", "a b", "ä1"] {
        create(name).error(1, "includes invalid characters for a local volume name");
    }
    t.ccrun(&["volume", "create", "a1", "b1"]).out().exit(1);
    t.ccrun(&["volume", "create", "-d", "nfs", "a1"]).out().error(1, "plugin \"nfs\" not found");
    for word in ["nope", "../containers", "..", "a/b", "", "."] {
        t.ccrun(&["volume", "inspect", word]).out().error(1, &format!("get {word}: no such volume")).prints("[]\n");
        t.ccrun(&["volume", "rm", word]).out().error(1, &format!("get {word}: no such volume"));
    }
    t.ccrun(&["volume", "rm"]).out().error(1, "'ccrun volume rm' requires at least 1 argument");
    t.ccrun(&["volume"]).ok().has("\n  create ").has("\n  inspect ").has("\n  ls ").has("\n  prune ").has("\n  rm ");
    assert_eq!(names(t, &[]), Vec::<String>::new());
}
