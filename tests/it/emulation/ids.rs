//! Programs that change who they are: `it --inside ids WORD …`.

use crate::image::sha256;
use crate::random::Random;
use crate::sys;
use std::fmt::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::mpsc::channel;

pub fn run(words: &[&str]) {
    match words {
        ["show"] => print!("{}", show()),
        ["drop", uid, gid] => drop_to(uid.parse().expect("uid"), gid.parse().expect("gid")),
        ["trial", seed] => print!("{}", trial(seed.parse().expect("seed"))),
        ["trials", count] => print!("{}", trials(count.parse().expect("count"))),
        ["digest", count] => println!("{}", sha256(trials(count.parse().expect("count")).as_bytes())),
        ["interrupted", count] => interrupted(count.parse().expect("count")),
        ["many", count] => many(count.parse().expect("count")),
        _ => panic!("ids {words:?}?"),
    }
}

/// All that the kernel tells a thread of itself.
fn show() -> String {
    let three = |number| {
        let mut ids = [0u32; 3];
        let at: [u64; 3] = std::array::from_fn(|n| (&raw mut ids[n]) as u64);
        assert_eq!(sys::raw(number, at), 0);
        format!("{}/{}/{}", ids[0], ids[1], ids[2])
    };
    let mut groups = [0u32; 64];
    let count = sys::raw(libc::SYS_getgroups, [64, groups.as_mut_ptr() as u64, 0]);
    // Asking for no change tells the file ids.
    let file = |number| sys::raw(number, [u32::MAX.into(), 0, 0]);
    let single = [libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid];
    let single: Vec<i64> = single.into_iter().map(|number| sys::raw(number, [0; 3])).collect();
    format!(
        "{} {} {} {} {single:?} {:?}\n",
        three(libc::SYS_getresuid),
        file(libc::SYS_setfsuid),
        three(libc::SYS_getresgid),
        file(libc::SYS_setfsgid),
        &groups[..count as usize]
    )
}

/// apt's DropPrivileges (apt-pkg/contrib/fileutl.cc), with another thread looking on.
fn drop_to(uid: u32, gid: u32) {
    let (ask, asked) = channel::<()>();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        while asked.recv().is_ok() {
            tell.send(show()).expect("send");
        }
    });
    let other = || {
        ask.send(()).expect("send");
        told.recv().expect("receive")
    };
    print!("{}{}", show(), other());
    sys::drop_to(uid, gid).expect("drop");
    print!("{}{}", show(), other());
    for (what, back) in [("setuid", libc::SYS_setuid), ("setgid", libc::SYS_setgid)] {
        println!("{what}(0) = {}", sys::raw(back, [0; 3]));
    }
    println!("seteuid(0): {}", sys::seteuid(0).expect_err("must fail"));
    print!("{}{}", show(), other());
    let child = Command::new("/proc/self/exe").args(["--inside", "ids", "show"]).output().expect("start");
    print!("{}", String::from_utf8_lossy(&child.stdout));
}

/// Each in a process of its own.
fn trials(count: u64) -> String {
    let mut all = String::new();
    for seed in 1..=count {
        let args = ["--inside", "ids", "trial", &seed.to_string()];
        let out = Command::new("/proc/self/exe").args(args).output().expect("start");
        all += &String::from_utf8_lossy(&out.stdout);
        all += &String::from_utf8_lossy(&out.stderr);
    }
    all
}

/// Younger architectures have no such call, and other numbers for all of them.
#[cfg(target_arch = "x86_64")]
const LCHOWN: i64 = libc::SYS_lchown;
#[cfg(not(target_arch = "x86_64"))]
const LCHOWN: i64 = -1;

/// Calls at random, with ids from a few, and what each answers and leaves.
fn trial(seed: u64) -> String {
    let mut random = Random::new(seed);
    let path = format!("/tmp/trial{seed}");
    std::fs::write(&path, "").expect("write");
    let c_path = std::ffi::CString::new(path.clone()).expect("a path");
    let mut all = format!("trial {seed} {}\n", sys::raw(libc::SYS_setgroups, [0; 3]));
    for _ in 0..16 {
        let mut id = || [0, 0, 1, 2, 3, 4, u32::MAX, u32::MAX][random.below(8)];
        let (a, b, c) = (id(), id(), id());
        let ids = [a.into(), b.into(), c.into()];
        let file = std::fs::metadata(&path).expect("stat");
        let groups: Vec<u32> = [a, b, c].into_iter().filter(|id| *id < 4).collect();
        let mut header = [0x2008_0522u32, 0];
        let mut data = powers();
        let (number, arguments) = match random.below(17) {
            0 => (libc::SYS_setuid, ids),
            1 => (libc::SYS_setgid, ids),
            2 | 3 => (libc::SYS_setreuid, ids),
            4 => (libc::SYS_setregid, ids),
            5 | 6 => (libc::SYS_setresuid, ids),
            7 => (libc::SYS_setresgid, ids),
            8 => (libc::SYS_setfsuid, ids),
            9 => (libc::SYS_setfsgid, ids),
            10 => (libc::SYS_setgroups, [groups.len() as u64, groups.as_ptr() as u64, 0]),
            11 => {
                // Whose it is not may not, which is not emulated.
                if sys::raw(libc::SYS_setfsuid, [u32::MAX.into(), 0, 0]) == i64::from(file.uid()) {
                    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o4755)).expect("chmod");
                }
                (libc::SYS_getuid, ids)
            }
            12 => (libc::SYS_prctl, [libc::PR_SET_KEEPCAPS as u64, u64::from(a == 0), 0]),
            13 | 14 => {
                // Mostly what it has, and sometimes some of it.
                (data[0], data[3]) = if b == 0 { (data[1], data[4]) } else { (data[1] & 1 << (b & 7), 0) };
                if c == 0 {
                    data[1] |= 1 << 21;
                } else if c == 1 {
                    data[1] = data[0];
                }
                (libc::SYS_capset, [header.as_mut_ptr() as u64, data.as_ptr() as u64, 0])
            }
            _ => (LCHOWN, [c_path.as_ptr() as u64, a.into(), b.into()]),
        };
        let answer = sys::raw(number, arguments);
        let file = std::fs::metadata(&path).expect("stat");
        let addresses = [libc::SYS_setgroups, LCHOWN, libc::SYS_capset];
        let arguments = if addresses.contains(&number) { [0; 3] } else { arguments };
        writeln!(all, "{number} {arguments:x?} = {answer}; {}:{} {:o}", file.uid(), file.gid(), file.mode())
            .expect("write");
        writeln!(all, "{:x?}", powers()).expect("write");
        all += &show();
    }
    all
}

/// capget(2): effective, permitted, inheritable, of 32 capabilities each.
fn powers() -> [u32; 6] {
    let header = [0x2008_0522u32, 0];
    let mut data = [0; 6];
    assert_eq!(sys::raw(libc::SYS_capget, [header.as_ptr() as u64, data.as_mut_ptr() as u64, 0]), 0);
    data
}

/// As many different users as one likes, one after another.
fn many(count: u32) {
    let mut refused = 0;
    for uid in 1..=count {
        if sys::raw(libc::SYS_setresuid, [u64::from(uid), 0, 0]) < 0 {
            refused += 1;
        }
        if uid % 100 == 0 {
            let groups: Vec<u32> = (0..60_000 - uid).collect();
            let _ = sys::raw(libc::SYS_setgroups, [groups.len() as u64, groups.as_ptr() as u64, 0]);
        }
    }
    println!("refused {}", if refused > 0 { "some" } else { "none" });
}

/// Makes files as another user while signals come: none may be made twice.
fn interrupted(count: u32) {
    sys::drop_to(1000, 1000).expect("drop");
    sys::restarting_alarms(200);
    for n in 0..count {
        std::fs::File::create_new(format!("/tmp/interrupted{n}")).expect("create");
        std::fs::create_dir(format!("/tmp/interrupted-dir{n}")).expect("mkdir");
        assert_eq!(sys::raw(libc::SYS_getuid, [0; 3]), 1000);
    }
    println!("made");
}
