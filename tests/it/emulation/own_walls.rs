//! Programs that forbid themselves something: `it --inside own-walls WORD …`.

use crate::sys;
use crate::sys::raw::{Answer, at, syscall};

const MAKING: [i64; 4] = [libc::SYS_mkdirat, libc::SYS_symlinkat, libc::SYS_mknodat, libc::SYS_openat];

pub fn run(words: &[&str]) {
    // Another user than root: what he makes is made by PID 1 where there is but one id.
    sys::become_user(1000, 1000).expect("become the user");
    match words {
        ["landlock"] => landlock(),
        ["filter", how, answer] => filter(how, u32::from_str_radix(answer, 16).expect("hexadecimal")),
        _ => panic!("own-walls {words:?}?"),
    }
}

/// Makes a directory, a link, a FIFO and a file, and prints what each is answered.
fn make_all() {
    let names = [c"/tmp/d", c"/tmp/l", c"/tmp/p", c"/tmp/f"].map(|name| name.as_ptr() as u64);
    let here = libc::AT_FDCWD as u64;
    let arguments = [
        [here, names[0], 0o755, 0, 0, 0],
        [names[0], here, names[1], 0, 0, 0],
        [here, names[2], (libc::S_IFIFO | 0o644).into(), 0, 0, 0],
        [here, names[3], (libc::O_CREAT | libc::O_WRONLY) as u64, 0o644, 0, 0],
    ];
    for (number, arguments) in MAKING.into_iter().zip(arguments) {
        println!("{}", syscall(number, arguments));
    }
}

/// Under a ruleset by which nothing may be made anywhere.
fn landlock() {
    // LANDLOCK_ACCESS_FS_MAKE_CHAR to MAKE_SYM.
    let handled: u64 = 0b111_1111 << 6;
    let ruleset = syscall(libc::SYS_landlock_create_ruleset, [at(&handled), 8, 0, 0, 0, 0]);
    let Answer::Value(ruleset) = ruleset else { return println!("no rulesets: {ruleset}") };
    set_no_new_privs();
    println!("{}", syscall(libc::SYS_landlock_restrict_self, [ruleset as u64, 0, 0, 0, 0, 0]));
    make_all();
}

/// Under a filter that gives this answer to these calls.
fn filter(how: &str, answer: u32) {
    // struct sock_filter, as two words: what to do, where to jump; and with what.
    let step = |code: u32, yes: usize, k: u32| [code | (yes as u32) << 16, k];
    let mut steps = vec![step(0x20, 0, 0)];
    steps.extend(MAKING.iter().zip(0..).map(|(number, at)| step(0x15, MAKING.len() - at, *number as u32)));
    steps.extend([step(0x06, 0, 0x7fff_0000), step(0x06, 0, answer)]);
    let (steps, length) = (steps.concat(), steps.len() as u64);
    let program = [length, steps.as_ptr() as u64];
    set_no_new_privs();
    let set = match how {
        "prctl" => syscall(libc::SYS_prctl, [libc::PR_SET_SECCOMP as u64, 2, at(&program), 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "i386" => {
            let program = [length as u32, crate::sys::raw::low_memory(&steps)];
            crate::sys::raw::i386(354, [1, 0, crate::sys::raw::low_memory(&program), 0, 0])
        }
        _ => syscall(libc::SYS_seccomp, [1, 0, at(&program), 0, 0, 0]),
    };
    println!("{set}");
    make_all();
}

fn set_no_new_privs() {
    let set = syscall(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0]);
    assert_eq!(set, Answer::Value(0));
}
