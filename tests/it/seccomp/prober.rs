//! What a container's filter answers, found out from within: every system call number in every ABI,
//! and those calls whose arguments count with many arguments.

use crate::sys::seccomp::{LET_THROUGH, start, try_native};

/// One more than the newest number that any kernel has, with room for what comes.
const NUMBERS: u32 = 600;
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// The tries: ABI, number, first two arguments. Calls whose arguments a profile looks at are named in the
/// kernel's numbers of that ABI.
pub fn run() {
    start().expect("a filter of our own");
    each("native", 0, try_native, libc::SYS_socket, libc::SYS_personality, libc::SYS_clone, libc::SYS_ioctl);
    #[cfg(target_arch = "x86_64")]
    {
        let i386 = crate::sys::seccomp::try_i386;
        each("i386", 0, i386, 359, 136, 120, 54);
        for call in 1..=20 {
            println!("i386 socketcall({call}) {}", named(i386(102, [call, 0])));
        }
        each("x32", X32, try_native, 41, 135, 56, 514);
    }
}

fn named(answer: i32) -> String {
    match answer {
        LET_THROUGH => "allowed".to_owned(),
        libc::EPERM => "EPERM".to_owned(),
        libc::ENOSYS => "ENOSYS".to_owned(),
        other => other.to_string(),
    }
}

fn each(
    abi: &str,
    bit: u32,
    ask: fn(u32, [u64; 2]) -> i32,
    socket: libc::c_long,
    personality: libc::c_long,
    clone: libc::c_long,
    ioctl: libc::c_long,
) {
    let say = |what: &str, number: u32, arguments: [u64; 2]| {
        println!("{abi} {what} {}", named(ask(bit | number, arguments)));
    };
    // uretprobe and uprobe of x86_64 (and no others of those numbers), which programs call without knowing
    // it: the kernel asks no filter about them (6.14), and kills whoever has no probe in him.
    let unasked = |number| bit == 0 && abi == "native" && cfg!(target_arch = "x86_64") && [335, 336].contains(&number);
    for number in (0..NUMBERS).chain([9999, 983_041, 0x3fff_fff0]).filter(|number| !unasked(*number)) {
        say(&number.to_string(), number, [0, 0]);
    }
    for family in 0..64u64 {
        for high in [0, 1 << 32] {
            say(&format!("socket({:#x})", high | family), socket as u32, [high | family, 0]);
        }
    }
    for persona in [0, 1, 8, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
        say(&format!("personality({persona:#x})"), personality as u32, [persona, 0]);
    }
    for bit in 0..64 {
        say(&format!("clone({:#x})", 17 | 1u64 << bit), clone as u32, [17 | 1 << bit, 0]);
    }
    for request in [0x5401, 0x5412, 0x541c, 0x1_0000_5412, 0xffff_ffff_0000_541c, 0x5413] {
        say(&format!("ioctl({request:#x})"), ioctl as u32, [0, request]);
    }
}
