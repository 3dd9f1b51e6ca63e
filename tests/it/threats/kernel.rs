//! The kernel's own surface: which of its doors are shut, and by how many locks.

use super::all_are;
use crate::pty::Pty;
use crate::sandbox::Sandbox;
use crate::{cases, probe::Vector};

cases! {
    Every:
        e12_nested_user_namespaces,
        e13_crypto_sockets,
        e14_ipsec_and_rxrpc,
        e15_doors_of_the_kernel,
        e16_keyrings,
        e17_typing_into_the_terminal,
        e29_files_by_handle,
        e33_other_doors_to_the_same_calls;
}

const UNCONFINED: [&str; 2] = ["--security-opt", "seccomp=unconfined"];

/// Most ways to root of the last years began in a user namespace of the attacker's own.
fn e12_nested_user_namespaces(t: &Sandbox) {
    let seen = t.attempts(&[], &["unshare-user", "clone-user", "clone3-user", "unshare-user-and-all"]);
    seen.all(&["try.unshare-user", "try.clone-user", "try.unshare-user-and-all"], "EPERM");
    // Its flags lie in memory, where no filter can see them: libc then takes clone.
    assert_eq!(seen.get("try.clone3-user"), "ENOSYS");
    // The second lock: the container's user namespace may have no child.
    let ways = ["unshare-user", "clone-user", "clone3-user", "unshare-user-and-all"];
    // Where root is emulated, clone3 is not to be had even so.
    all_are(&t.attempts(&UNCONFINED, &ways), &ways, &["ENOSPC", "ENOSYS"]);
    let user = [&UNCONFINED[..], &["--user", "1000"]].concat();
    all_are(&t.attempts(&user, &ways), &ways, &["ENOSPC"]);
}

/// CVE-2026-31431 ("Copy Fail").
fn e13_crypto_sockets(t: &Sandbox) {
    let seen = t.attempts(&[], &["socket-alg", "socket-vsock"]);
    seen.all(&["try.socket-alg", "try.socket-vsock"], "EPERM");
    if cfg!(target_arch = "x86_64") {
        let seen = t.attempts(&[], &["i386-socket-alg", "i386-socketcall-alg"]);
        // A kernel without the gate of i386 ends who knocks there.
        all_are(&seen, &["i386-socket-alg"], &["EPERM", "ENOSYS", "signal-11", "signal-31"]);
        // socketcall's arguments lie in memory: no filter can tell it apart, and Docker without AppArmor lets it through
        // as well (blocking it broke 32-bit programs, moby 3c28324). What is asserted is that this is all there is to it.
        let hole = seen.get("try.i386-socketcall-alg");
        println!("AF_ALG by i386's socketcall: {hole}");
        let known = ["done", "EPERM", "ENOSYS", "EAFNOSUPPORT", "signal-11", "signal-31"];
        assert!(known.contains(&hole), "{hole}");
    }
}

/// CVE-2026-43284, 2026-46300, 2026-43500 ("Dirty Frag").
fn e14_ipsec_and_rxrpc(t: &Sandbox) {
    let seen = t.attempts(&[], &["socket-rxrpc", "socket-key", "xfrm"]);
    all_are(&seen, &["socket-rxrpc", "socket-key"], &["EPERM"]);
    // The kernel's own word, where it has XFRM at all.
    all_are(&seen, &["xfrm"], &["EPERM", "EPROTONOSUPPORT", "EAFNOSUPPORT"]);
}

fn e15_doors_of_the_kernel(t: &Sandbox) {
    let doors = [
        "io_uring_setup",
        "userfaultfd",
        "bpf",
        "perf_event_open",
        "kexec_load",
        "init_module",
        "delete_module",
        "syslog",
        "acct",
        "swapon",
        "reboot",
        "clock_settime",
        "quotactl",
        "personality",
        "setns",
        "pivot_root",
        "open_tree",
        "move_mount",
        "fsopen",
        "mount",
        "umount",
        "ptrace-init",
        "pidfd_getfd-init",
    ];
    all_are(&t.attempts(&[], &doors), &doors, &["EPERM"]);
}

/// Keyrings belong to users, and a container's users were the host's once.
fn e16_keyrings(t: &Sandbox) {
    let seen = t.probe(&[], &["status", "try=keyctl,add_key,request_key"]);
    seen.all(&["try.keyctl", "try.add_key", "try.request_key"], "EPERM");
    assert_eq!(seen.get("keys"), "0");
    // Without the filter it is a keyring of its own that it sees, and not the one that its caller has logged in with.
    crate::probe::join_session_keyring();
    let own = |out: crate::sandbox::Out| out.exit(0).line().to_owned();
    let outside = own(t.command(&t.it, &["--inside", "keyring"]).out());
    let first = own(t.inside(&UNCONFINED, &["keyring"]).out());
    let second = own(t.inside(&UNCONFINED, &["keyring"]).out());
    assert!(first != outside && first != second && second != outside, "{outside} {first} {second}");
}

/// CVE-2017-5226, 2019-10063: letters that the host's shell takes for typed.
fn e17_typing_into_the_terminal(t: &Sandbox) {
    for flags in [&[][..], &["-i"], &["-t=false"], &["-it"]] {
        let mut command = std::process::Command::new(&t.ccrun);
        let mount = format!("{}:/it:ro", t.it);
        let run = ["run", "--rm", "--rootfs", &t.busybox, "-v", &mount];
        command.args([&run, flags, &["/it", "--inside", "probe", "tty"]].concat());
        command
            .env_clear()
            .current_dir(&t.dir)
            .env("PATH", "/usr/bin:/bin")
            .env("CCRUN_ROOT", &t.store)
            .env("HOME", &t.dir);
        let mut pty = Pty::spawn(command);
        let (status, seen) = pty.wait();
        assert_eq!(status, 0, "{seen}");
        assert!(!seen.contains('#'), "{flags:?}: something was typed: {seen}");
        let seen = Vector::parse(&seen.replace('\r', ""));
        // Whatever its standard input is: the container's own terminal, a pipe, or nothing.
        let answers = ["tty.tiocsti", "tty.tiocsti-high", "tty.tioclinux"];
        seen.all(&answers, "EPERM");
        let own = flags == ["-it"] || flags.is_empty();
        assert_eq!(seen.get("tty.controlling") == "done", own, "{flags:?}: {}", seen.get("tty.controlling"));
    }
}

/// "Shocker": any file of the host's file system by a guessed handle.
fn e29_files_by_handle(t: &Sandbox) {
    all_are(&t.attempts(&[], &["open_by_handle_at"]), &["open_by_handle_at"], &["EPERM"]);
    // Even with the capability, which is the container's own and not the host's.
    let all = ["--cap-add", "DAC_READ_SEARCH"];
    all_are(&t.attempts(&all, &["open_by_handle_at"]), &["open_by_handle_at"], &["EPERM", "ESTALE", "EOPNOTSUPP"]);
}

/// The same calls under other numbers, or ones that nobody has heard of yet.
fn e33_other_doors_to_the_same_calls(t: &Sandbox) {
    let seen = t.attempts(&[], &["unknown", "mount"]);
    assert_eq!((seen.get("try.unknown"), seen.get("try.mount")), ("ENOSYS", "EPERM"));
    if cfg!(target_arch = "x86_64") {
        let i386 = ["i386-mount", "i386-unshare", "i386-keyctl"];
        let seen = t.attempts(&[], &[&i386[..], &["x32-mount"]].concat());
        all_are(&seen, &i386, &["EPERM", "signal-11", "signal-31"]);
        all_are(&seen, &["x32-mount"], &["EPERM", "ENOSYS"]);
    }
}
