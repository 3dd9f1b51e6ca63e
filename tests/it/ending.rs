//! `kill`, `stop`, `wait` and `rename`: what other commands do to a container that runs.

use crate::cases;
use crate::sandbox::{Running, Sandbox};
use std::time::Instant;

cases! {
    Every:
        kill_sends_a_signal,
        stop_asks_first_and_kills_then,
        wait_tells_the_exit_code,
        a_name_can_be_changed,
        words_that_are_wrong_are_errors;
}

/// A container `box` that says `ready` and runs `script`.
fn start(t: &Sandbox, flags: &[&str], script: &str) -> Running {
    let script = format!("{script}; echo ready; while :; do sleep 0.02; done");
    let of_run = ["run", "--name", "box"];
    let running = t.ccrun(&[&of_run, flags, &["--rootfs", &t.busybox, "/bin/sh", "-c", &script]].concat()).spawn();
    running.until("ready");
    running
}

fn kill_sends_a_signal(t: &Sandbox) {
    let running = start(t, &[], "trap 'echo got usr1' USR1; trap 'echo got hup' HUP");
    for (signal, text) in [("USR1", "got usr1"), ("sigusr1", "got usr1"), ("10", "got usr1"), ("HUP", "got hup")] {
        t.ccrun(&["kill", "-s", signal, "box"]).ok().quiet().prints("box\n");
        running.until(text);
    }
    t.ccrun(&["kill", "box"]).ok().prints("box\n");
    running.wait().exit(137);
    let id = t.ccrun(&["inspect", "-f", "{{.Id}}", "box"]).ok().line().to_owned();
    t.ccrun(&["kill", "box"]).out().error(1, &format!("Cannot kill container: box: Container {id} is not running"));
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn stop_asks_first_and_kills_then(t: &Sandbox) {
    let running = start(t, &[], "trap 'echo bye; exit 7' TERM");
    t.ccrun(&["stop", "box"]).ok().prints("box\n");
    running.wait().exit(7).has("bye\n");
    // One that does not run is stopped already.
    t.ccrun(&["stop", "box"]).ok().prints("box\n");
    t.ccrun(&["rm", "box"]).ok();
    let running = start(t, &[], "trap '' TERM; trap 'exit 8' INT");
    t.ccrun(&["stop", "-s", "INT", "-t", "20", "box"]).ok();
    running.wait().exit(8);
    t.ccrun(&["rm", "box"]).ok();
    let running = start(t, &["--rm"], "trap '' TERM");
    let began = Instant::now();
    t.ccrun(&["stop", "-t", "1", "box"]).ok();
    assert!((1..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    running.wait().exit(137);
    // With --rm it is gone when stop returns.
    t.nothing_left();
}

fn wait_tells_the_exit_code(t: &Sandbox) {
    for flags in [&["--rm"][..], &[]] {
        let running = start(t, flags, "trap 'exit 9' TERM");
        let waiting = [t.ccrun(&["wait", "box"]).spawn(), t.ccrun(&["wait", "box"]).spawn()];
        crate::sandbox::pause(200);
        t.ccrun(&["stop", "box"]).ok();
        running.wait().exit(9);
        waiting.into_iter().for_each(|waiting| drop(waiting.wait().exit(0).prints("9\n")));
    }
    t.ccrun(&["wait", "box"]).ok().prints("9\n");
    t.ccrun(&["rm", "box"]).ok();
    t.nothing_left();
}

fn a_name_can_be_changed(t: &Sandbox) {
    t.ccrun(&["run", "--name", "other", "--rootfs", &t.busybox, "true"]).ok();
    let running = start(t, &["--rm"], "true");
    t.ccrun(&["rename", "box", "other"]).out().error(1, "Conflict. The container name \"/other\" is already in use");
    t.ccrun(&["rename", "box", "box"]).out().error(1, "Renaming a container with the same name as its current name");
    t.ccrun(&["rename", "box", "a/b"]).out().error(1, "Invalid container name (a/b)");
    t.ccrun(&["rename", "box", "chest"]).ok().quiet();
    t.ccrun(&["ps", "--format", "{{.Names}}"]).ok().prints("chest\n");
    t.ccrun(&["inspect", "-f", "{{.Name}}", "chest"]).ok().prints("/chest\n");
    t.ccrun(&["kill", "box"]).out().error(1, "No such container: box");
    t.ccrun(&["kill", "chest"]).ok();
    running.wait().exit(137);
    // Its maker knew it by another name.
    assert_eq!(t.names_in("names"), ["other"]);
    t.ccrun(&["rename", "other", "box"]).ok();
    t.ccrun(&["rm", "box"]).ok();
    assert!(t.names_in("names").is_empty());
    t.nothing_left();
}

fn words_that_are_wrong_are_errors(t: &Sandbox) {
    for command in ["kill", "stop", "wait"] {
        t.ccrun(&[command]).out().error(1, &format!("'ccrun {command}' requires at least 1 argument"));
        t.ccrun(&[command, "nope"]).out().error(1, "No such container: nope");
    }
    t.ccrun(&["rename", "nope"]).out().error(1, "'ccrun rename' requires at least 2 arguments");
    t.ccrun(&["rename", "nope", "box"]).out().error(1, "No such container: nope");
    t.ccrun(&["kill", "-s", "BAD", "x"]).out().error(1, "Invalid signal: BAD");
    t.ccrun(&["stop", "-s", "99", "x"]).out().error(1, "Invalid signal: 99");
    t.ccrun(&["stop", "-t", "x", "x"]).out().error(1, "invalid argument \"x\" for \"-t, --timeout\" flag");
}
