//! What an image's config says of its process, taken as Docker takes it.

use crate::archives::form;
use crate::cases;
use crate::image::Image;
use crate::sandbox::{Mode, Sandbox};
use crate::tar::Tar;
use serde_json::{Value, json};

cases! {
    Every:
        an_empty_entrypoint_is_none,
        working_directories_are_cleaned_and_made,
        ids_that_do_not_fit_are_refused,
        env_files_of_other_systems_are_read;
}

fn load(t: &Sandbox, tar: Tar, settings: &[(&str, Value)]) {
    let image = Image::busybox(&t.busybox).layer(tar).set("Env", json!(["PATH=/bin"]));
    let image = settings.iter().fold(image, |image, (name, value)| image.set(name, value.clone()));
    t.ccrun(&["load"]).stdin(form::docker_old(&[(&image, &["app:1"])])).ok();
}

fn an_empty_entrypoint_is_none(t: &Sandbox) {
    for entrypoint in [json!([""]), json!([]), json!(""), Value::Null] {
        load(t, Tar::new(), &[("Entrypoint", entrypoint.clone()), ("Cmd", json!(["echo", "cmd"]))]);
        t.ccrun(&["run", "--rm", "app:1"]).ok().quiet().prints("cmd\n");
        t.ccrun(&["run", "--rm", "app:1", "echo", "own"]).ok().quiet().prints("own\n");
        load(t, Tar::new(), &[("Entrypoint", entrypoint)]);
        t.ccrun(&["run", "--rm", "app:1"]).out().error(125, "No command specified");
    }
    // Whatever is more than that counts.
    load(t, Tar::new(), &[("Entrypoint", json!(["echo", ""])), ("Cmd", json!(["cmd"]))]);
    t.ccrun(&["run", "--rm", "app:1"]).ok().prints(" cmd\n");
}

fn working_directories_are_cleaned_and_made(t: &Sandbox) {
    let link = || Tar::new().dir("real", 0o755).dir("real/inner", 0o755).symlink("link", "real/inner");
    for (wanted, is) in [
        ("/a/../b/./c/", "/b/c"),
        ("/../../x", "/x"),
        ("//y///z", "/y/z"),
        ("/..", "/"),
        // By its text, as Docker does, and not by where the link leads.
        ("/link/../there", "/there"),
        ("/none/../b", "/b"),
        ("", "/"),
    ] {
        load(t, link(), &[("WorkingDir", json!(wanted))]);
        for flags in [&[][..], &["--read-only"]] {
            let of_image = [&["run", "--rm"], flags, &["app:1", "pwd"]].concat();
            t.ccrun(&of_image).ok().quiet().prints(&format!("{is}\n"));
            let own = [&["run", "--rm", "-w", wanted], flags, &["app:1", "pwd"]].concat();
            t.ccrun(&own).ok().quiet().prints(&format!("{is}\n"));
        }
    }
    load(t, link(), &[("WorkingDir", json!("/srv/app"))]);
    t.ccrun(&["run", "--rm", "-w", "", "app:1", "pwd"]).ok().prints("/srv/app\n");
    let see = "stat -c '%u %a' . && ! touch new 2>/dev/null";
    t.ccrun(&["run", "--rm", "--read-only", "app:1", "sh", "-c", see]).ok().prints("0 755\n");
    // Below a volume it is made there; what is no directory is told as ever.
    t.ccrun(&["run", "--rm", "--read-only", "--tmpfs", "/t", "-w", "/t/in", "app:1", "sh", "-c", "pwd; touch f"])
        .ok()
        .prints("/t/in\n");
    for flags in [&[][..], &["--read-only"]] {
        let words = [&["run", "--rm"], flags, &["-w", "/bin/busybox", "app:1", "pwd"]].concat();
        t.ccrun(&words).out().error(125, "Cannot mkdir: /bin/busybox is not a directory");
    }
    t.nothing_left();
}

fn ids_that_do_not_fit_are_refused(t: &Sandbox) {
    let passwd = "root:x:0:0::/root:/bin/sh\nwide:x:4294967296:0::/:\nover:x:2147483648:0::/:\nless:x:-1:0::/:\n\
                  group:x:5:4294967296::/:\nmember:x:6:6::/:\nodd:x:7:seven::/:\nshort:x:8\n";
    let group = "root:x:0:\nwide:x:4294967296:member\n";
    let files = || Tar::new().file("etc/passwd", 0o644, passwd).file("etc/group", 0o644, group);
    let users =
        ["wide", "over", "less", "group", "5", "member", "6", "0:wide", "4294967296", "2147483648", "0:4294967296"];
    let said = "uids and gids must be in range 0-2147483647";
    load(t, files(), &[]);
    for user in users {
        t.ccrun(&["run", "--rm", "-u", user, "app:1", "id"]).out().error(125, said);
    }
    for user in ["wide", "group", "member", "4294967296", "0:4294967296"] {
        load(t, files(), &[("User", json!(user))]);
        t.ccrun(&["run", "--rm", "app:1", "id"]).out().error(125, said);
    }
    load(t, files(), &[("User", json!("odd"))]);
    t.ccrun(&["run", "--rm", "app:1", "id"]).out().error(125, "user odd has no valid gid");
    t.ccrun(&["run", "--rm", "--group-add", "wide", "-u", "0", "app:1", "id"]).out().error(125, "must be in range");
    // Who is not asked for is in nobody's way.
    t.ccrun(&["run", "--rm", "-u", "root", "app:1", "id", "-u"]).ok().prints("0\n");
    if t.mode != Mode::Nosubuid {
        t.ccrun(&["run", "--rm", "-u", "short", "app:1", "sh", "-c", "id -u; id -g"]).ok().prints("8\n0\n");
    }
}

fn env_files_of_other_systems_are_read(t: &Sandbox) {
    load(t, Tar::new(), &[]);
    let file = t.file(
        "env",
        "\u{feff}FIRST=1\r\nQUOTED=\"a b\"\r\n \t# no\r\n\r\nEMPTY=\r\nSPACE= x \nEQUALS=a=b\n\u{e4}=\u{f6}",
    );
    let out = t.ccrun(&["run", "--rm", "--env-file", &file, "app:1", "env"]).ok();
    for line in ["FIRST=1", "QUOTED=\"a b\"", "EMPTY=", "SPACE= x ", "EQUALS=a=b", "\u{e4}=\u{f6}"] {
        assert!(out.stdout.split('\n').any(|one| one == line), "{line:?} in {:?}", out.stdout);
    }
    for (text, said) in [
        (&b"A=1\nexport X=1\n"[..], "variable 'export X' contains whitespaces"),
        (b"export X", "variable 'export X' contains whitespaces"),
        (b"A\tB=1", "contains whitespaces"),
        (b"A =1", "variable 'A ' contains whitespaces"),
        (b"A=1\n=x", "no variable name on line '=x'"),
        (b"A=1\nB=\xff", "invalid utf8 bytes at line 2"),
    ] {
        t.file("bad", text);
        t.ccrun(&["run", "--rm", "--env-file", "bad", "app:1", "env"]).out().exit(125).says(said).says("env file bad");
    }
}
