//! The attempts: each made by a child, so that one that succeeds changes nothing for the next.

use super::Tell;
use crate::sys;
use crate::sys::raw::{Answer, apart, at, of, syscall};
use std::cell::Cell;
use std::ffi::CStr;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Families of sockets: the numbers of those that open, in whatever type they have.
pub fn socket_families() -> String {
    let opens = |family: &i32| {
        [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET]
            .iter()
            .any(|&kind| matches!(socket(*family, kind, 0), Answer::Value(_)))
    };
    (1..46).filter(opens).map(|family| family.to_string()).collect::<Vec<_>>().join(" ")
}

fn socket(family: i32, kind: i32, protocol: i32) -> Answer {
    apart(|| syscall(libc::SYS_socket, [family as u64, kind as u64, protocol as u64, 0, 0, 0]))
}

const NULL: u64 = 0;
const NEW_USER: u64 = libc::CLONE_NEWUSER as u64;
const HERE: u64 = libc::AT_FDCWD as u64;
// The same on every architecture, as all numbers from 424 on; the crate does not know them all.
const IO_URING_SETUP: i64 = 425;
const OPEN_TREE: i64 = 428;
const MOVE_MOUNT: i64 = 429;
const FSOPEN: i64 = 430;
const CLONE3: i64 = 435;
const PIDFD_GETFD: i64 = 438;

fn text(text: &'static CStr) -> u64 {
    text.as_ptr() as usize as u64
}

fn open(path: &str) -> Answer {
    let opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    opened.map_or_else(|e| of(&e), |_| Answer::Value(0))
}

type Attempt = (&'static str, fn() -> Answer);

/// Each with what an attacker would have of it.
const ATTEMPTS: &[Attempt] = &[
    // Namespaces: each is a way to more of the kernel.
    ("unshare-user", || syscall(libc::SYS_unshare, [NEW_USER, 0, 0, 0, 0, 0])),
    ("unshare-mount", || syscall(libc::SYS_unshare, [libc::CLONE_NEWNS as u64, 0, 0, 0, 0, 0])),
    ("unshare-user-and-all", || {
        let all = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWCGROUP;
        syscall(libc::SYS_unshare, [all as u64, 0, 0, 0, 0, 0])
    }),
    ("clone-user", || syscall(libc::SYS_clone, [NEW_USER | libc::SIGCHLD as u64, 0, 0, 0, 0, 0])),
    ("clone3-user", || {
        let arguments: [u64; 8] = [NEW_USER, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
        syscall(CLONE3, [at(&arguments), 64, 0, 0, 0, 0])
    }),
    ("setns", || {
        let own = std::fs::File::open("/proc/self/ns/net").expect("open");
        syscall(libc::SYS_setns, [own.as_raw_fd() as u64, 0, 0, 0, 0, 0])
    }),
    // Mounts.
    ("mount", || syscall(libc::SYS_mount, [text(c"none"), text(c"/tmp"), text(c"tmpfs"), 0, NULL, 0])),
    ("mount-proc", || syscall(libc::SYS_mount, [text(c"none"), text(c"/tmp"), text(c"proc"), 0, NULL, 0])),
    ("mount-cgroup", || syscall(libc::SYS_mount, [text(c"none"), text(c"/tmp"), text(c"cgroup"), 0, text(c"rdma"), 0])),
    ("remount", || {
        let flags = libc::MS_REMOUNT | libc::MS_BIND;
        syscall(libc::SYS_mount, [text(c"none"), text(c"/proc/sys"), NULL, flags, NULL, 0])
    }),
    ("open_tree", || syscall(OPEN_TREE, [HERE, text(c"/"), 1, 0, 0, 0])),
    ("fsopen", || syscall(FSOPEN, [text(c"tmpfs"), 0, 0, 0, 0, 0])),
    // Devices and file handles.
    ("mknod-disk", || {
        let device = 8 << 8;
        let answer =
            syscall(libc::SYS_mknodat, [HERE, text(c"/tmp/disk"), u64::from(libc::S_IFBLK | 0o600), device, 0, 0]);
        // That it is there is nothing yet: it would have to open, and be one (BLKGETSIZE64).
        let opened = std::fs::File::open("/tmp/disk");
        let _ = std::fs::remove_file("/tmp/disk");
        match (answer, opened) {
            (Answer::Value(_), Ok(disk)) => {
                syscall(libc::SYS_ioctl, [disk.as_raw_fd() as u64, 0x8008_1272, at(&Cell::new(0u64)), 0, 0, 0])
            }
            (Answer::Value(_), Err(error)) => of(&error),
            (error, _) => error,
        }
    }),
    ("open_by_handle_at", || {
        // A handle of ext4's root directory, number 2, as the attack called shocker guesses it.
        let handle: [u32; 4] = [8, 1, 2, 0];
        let place = std::fs::File::open("/").expect("open");
        let flags = libc::O_RDONLY as u64;
        syscall(libc::SYS_open_by_handle_at, [place.as_raw_fd() as u64, at(&handle), flags, 0, 0, 0])
    }),
    // Doors that the kernel should not have open to strangers.
    ("io_uring_setup", || syscall(IO_URING_SETUP, [8, at(&Cell::new([0u64; 15])), 0, 0, 0, 0])),
    ("userfaultfd", || syscall(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0])),
    ("bpf", || syscall(libc::SYS_bpf, [0, at(&[1u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0]), 48, 0, 0, 0])),
    ("perf_event_open", || {
        // Type software, size 64, config cpu-clock.
        let event: [u32; 32] = std::array::from_fn(|n| [1, 64].get(n).copied().unwrap_or(0));
        syscall(libc::SYS_perf_event_open, [at(&event), 0, u64::MAX, u64::MAX, 0, 0])
    }),
    ("kexec_load", || syscall(libc::SYS_kexec_load, [0, 0, NULL, 0, 0, 0])),
    ("init_module", || syscall(libc::SYS_init_module, [NULL, 0, NULL, 0, 0, 0])),
    ("delete_module", || syscall(libc::SYS_delete_module, [text(c"nope"), 0, 0, 0, 0, 0])),
    ("syslog", || syscall(libc::SYS_syslog, [10, NULL, 0, 0, 0, 0])),
    ("acct", || syscall(libc::SYS_acct, [text(c"/nope"), 0, 0, 0, 0, 0])),
    ("swapon", || syscall(libc::SYS_swapon, [text(c"/nope"), 0, 0, 0, 0, 0])),
    ("reboot", || syscall(libc::SYS_reboot, [0, 0, 0, 0, 0, 0])),
    ("clock_settime", || syscall(libc::SYS_clock_settime, [0, at(&[0i64, -1]), 0, 0, 0, 0])),
    ("quotactl", || syscall(libc::SYS_quotactl, [0, NULL, 0, NULL, 0, 0])),
    ("personality", || syscall(libc::SYS_personality, [libc::ADDR_NO_RANDOMIZE as u64, 0, 0, 0, 0, 0])),
    // Keys are no namespace's.
    ("keyctl", || syscall(libc::SYS_keyctl, [0, -3i64 as u64, 0, 0, 0, 0])),
    ("add_key", || syscall(libc::SYS_add_key, [text(c"user"), text(c"ccrun"), text(c"x"), 1, -2i64 as u64, 0])),
    ("request_key", || syscall(libc::SYS_request_key, [text(c"user"), text(c"ccrun"), NULL, -2i64 as u64, 0, 0])),
    // PID 1 may be the runtime.
    ("ptrace-init", || match std::process::id() {
        1 => Answer::Errno(libc::EPERM),
        _ => syscall(libc::SYS_ptrace, [u64::from(libc::PTRACE_SEIZE as u32), 1, 0, 0, 0, 0]),
    }),
    ("pidfd_getfd-init", || match (std::process::id(), syscall(libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0])) {
        (1, _) => Answer::Errno(libc::EPERM),
        (_, Answer::Value(pidfd)) => syscall(PIDFD_GETFD, [pidfd as u64, 0, 0, 0, 0, 0]),
        (_, error) => error,
    }),
    // Switches of the host.
    ("core_pattern", || open("/proc/sys/kernel/core_pattern")),
    ("modprobe", || open("/proc/sys/kernel/modprobe")),
    ("sysrq", || open("/proc/sysrq-trigger")),
    ("uevent_helper", || open("/sys/kernel/uevent_helper")),
    ("cgroup", || std::fs::create_dir("/sys/fs/cgroup/x").map_or_else(|e| of(&e), |()| Answer::Value(0))),
    // Families of sockets that were ways to root.
    ("socket-alg", || socket(38, 5, 0)),
    ("socket-vsock", || socket(40, libc::SOCK_STREAM, 0)),
    ("socket-rxrpc", || socket(33, libc::SOCK_DGRAM, 0)),
    ("socket-key", || socket(15, libc::SOCK_RAW, 2)),
    ("xfrm", xfrm),
    // Typing into a terminal.
    ("tiocsti", || on_own_terminal(libc::TIOCSTI as u64)),
    ("tiocsti-high", || on_own_terminal(libc::TIOCSTI as u64 | 1 << 32)),
    ("tioclinux", || on_own_terminal(libc::TIOCLINUX as u64)),
    // The same calls by other doors.
    ("unknown", || syscall(9999, [0; 6])),
    #[cfg(target_arch = "x86_64")]
    ("x32-mount", || syscall(libc::SYS_mount | X32, [text(c"none"), text(c"/tmp"), text(c"tmpfs"), 0, NULL, 0])),
    #[cfg(target_arch = "x86_64")]
    ("x32-getpid", || syscall(libc::SYS_getpid | X32, [0; 6])),
    #[cfg(target_arch = "x86_64")]
    ("i386-mount", || sys::raw::i386(21, [0, 0, 0, 0, 0])),
    #[cfg(target_arch = "x86_64")]
    ("i386-unshare", || sys::raw::i386(310, [NEW_USER as u32, 0, 0, 0, 0])),
    #[cfg(target_arch = "x86_64")]
    ("i386-keyctl", || sys::raw::i386(288, [0, -3i32 as u32, 0, 0, 0])),
    #[cfg(target_arch = "x86_64")]
    ("i386-socket-alg", || sys::raw::i386(359, [38, 5, 0, 0, 0])),
    #[cfg(target_arch = "x86_64")]
    ("i386-socketcall-alg", || sys::raw::i386(102, [1, sys::raw::low_memory(&[38, 5, 0]), 0, 0, 0])),
    // Last, as they leave nothing for others to try, where they succeed.
    ("umount", || syscall(libc::SYS_umount2, [text(c"/proc/sys"), libc::MNT_DETACH as u64, 0, 0, 0, 0])),
    ("move_mount", || syscall(MOVE_MOUNT, [HERE, text(c"/proc/sys"), HERE, text(c"/tmp"), 0, 0])),
    ("pivot_root", || syscall(libc::SYS_pivot_root, [text(c"/tmp"), text(c"/tmp"), 0, 0, 0, 0])),
];

#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

pub fn all(tell: Tell) {
    for (name, attempt) in ATTEMPTS {
        tell(&format!("try.{name}"), &apart(attempt));
    }
}

pub fn one(name: &str, tell: Tell) {
    for name in name.split(',') {
        let found = ATTEMPTS.iter().find(|(known, _)| *known == name);
        let (_, attempt) = found.unwrap_or_else(|| panic!("no attempt is called {name}"));
        tell(&format!("try.{name}"), &apart(attempt));
    }
}

/// A letter for the terminal that is standard input, as if somebody had typed it.
pub fn on_standard_input(tell: Tell) {
    let type_a_letter = |request: u64| apart(|| syscall(libc::SYS_ioctl, [0, request, at(b"#"), 0, 0, 0]));
    tell("tty.tiocsti", &type_a_letter(libc::TIOCSTI as u64));
    tell("tty.tiocsti-high", &type_a_letter(libc::TIOCSTI as u64 | 1 << 32));
    // Paste the selection: 3.
    let paste = apart(|| syscall(libc::SYS_ioctl, [0, libc::TIOCLINUX as u64, at(&[3u8]), 0, 0, 0]));
    tell("tty.tioclinux", &paste);
    tell("tty.is", &u8::from(std::io::IsTerminal::is_terminal(&std::io::stdin())));
    tell("tty.controlling", &apart(|| open("/dev/tty")));
}

/// The same on a terminal that was made for it.
fn on_own_terminal(request: u64) -> Answer {
    let (ours, theirs) = match sys::openpty(24, 80) {
        Ok(pair) => pair,
        Err(error) => return of(&error),
    };
    // Its end would be a hang-up, which ends us before we have told.
    std::mem::forget(ours);
    let theirs = theirs.as_raw_fd() as u64;
    syscall(libc::SYS_setsid, [0; 6]);
    syscall(libc::SYS_ioctl, [theirs, libc::TIOCSCTTY as u64, 0, 0, 0, 0]);
    syscall(libc::SYS_ioctl, [theirs, request, at(b"#"), 0, 0, 0])
}

/// XFRM_MSG_NEWSA, which begins the way into the kernel's ESP; the kernel's answer to it.
fn xfrm() -> Answer {
    let socket = match syscall(libc::SYS_socket, [16, libc::SOCK_RAW as u64, 6, 0, 0, 0]) {
        Answer::Value(fd) => fd as u64,
        error => return error,
    };
    // nlmsghdr: length, type and flags (request, ack), sequence, port; then an empty xfrm_usersa_info.
    let mut message = [0u32; 60];
    (message[0], message[1], message[2]) = (240, 16 | 5 << 16, 1);
    let sent = syscall(libc::SYS_sendto, [socket, at(&message), 240, 0, NULL, 0]);
    let Answer::Value(_) = sent else { return sent };
    let answer = Cell::new([0i32; 64]);
    match syscall(libc::SYS_recvfrom, [socket, at(&answer), 256, libc::MSG_DONTWAIT as u64, NULL, 0]) {
        Answer::Value(_) => match answer.get()[4] {
            0 => Answer::Value(0),
            errno => Answer::Errno(-errno),
        },
        error => error,
    }
}
