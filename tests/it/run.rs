//! Steps 0 and 1 of the challenge: a command, its words, its streams, its status.

use crate::cases;
use crate::sandbox::{Mode, Sandbox};

cases! {
    Every:
        echo_prints_its_words,
        ls_of_nothing_ends_with_its_own_words,
        statuses_are_the_commands_own,
}

fn echo_prints_its_words(t: &Sandbox) {
    t.ccrun(&["run", "echo", "Hello", "Coding", "Challenges!"]).ok().prints("Hello Coding Challenges!\n").quiet();
}

fn ls_of_nothing_ends_with_its_own_words(t: &Sandbox) {
    let own = t.command("ls", &["madeupdir"]).out();
    let out = t.ccrun(&["run", "ls", "madeupdir"]).out().exit(own.status);
    assert_eq!(out.stderr, own.stderr);
    assert_ne!(own.status, 0);
}

fn statuses_are_the_commands_own(t: &Sandbox) {
    for status in [0, 1, 3, 42, 124, 255] {
        t.sh(&format!("exit {status}")).out().exit(status).quiet();
    }
    let _ = Mode::Root;
}
