//! System calls that are never made: a filter of the prober's own hands each over to a second thread,
//! which answers it. What a container's filter forbids doesn't come so far, as the stricter of two
//! filters decides. So every number can be tried with any arguments, and nothing ever happens.

use std::io;

/// The sixth argument of a call that is only tried.
const MARK: u64 = 0x5ecc_0de5;
/// What a call that the container's filter lets through is answered; no errno of the kernel's.
pub const LET_THROUGH: i32 = 4000;

#[repr(C)]
struct Step {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> Step {
    Step { code, jt, jf, k }
}

/// struct seccomp_notif.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// struct seccomp_notif_resp.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;

/// Tries calls in this thread; another one of this process lets them through.
pub fn start() -> io::Result<()> {
    let program = [
        // The low half of the sixth argument.
        step(0x20, 0, 0, 56),
        step(0x15, 0, 1, MARK as u32),
        step(0x06, 0, 0, 0x7fc0_0000),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: plain numbers, and a program whose instructions live across the call that copies them.
    let listener = unsafe {
        super::check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) as i32
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    std::thread::spawn(move || let_all_through(listener));
    Ok(())
}

fn let_all_through(listener: i32) {
    loop {
        let mut notification = Notification::default();
        // SAFETY: RECEIVE writes one struct seccomp_notif, which is ours and all zero, as it must be.
        if unsafe { libc::ioctl(listener, RECEIVE as _, &raw mut notification) } < 0 {
            continue;
        }
        let response = Response { id: notification.id, value: 0, error: -LET_THROUGH, flags: 0 };
        // SAFETY: SEND reads one struct seccomp_notif_resp, which lives across the call.
        unsafe { libc::ioctl(listener, SEND as _, &raw const response) };
    }
}

/// Tries a call of this machine's own ABI (or with x32's bit in the number); gives the errno.
pub fn try_native(number: u32, arguments: [u64; 2]) -> i32 {
    let [first, second] = arguments;
    // SAFETY: the call is not made: the mark hands it over, or the container's filter answers it before.
    let ret = unsafe { libc::syscall(number.into(), first, second, 0u64, 0u64, 0u64, MARK) };
    if ret < 0 { io::Error::last_os_error().raw_os_error().expect("an errno") } else { 0 }
}

/// Tries a call as a 32-bit program makes it.
#[cfg(target_arch = "x86_64")]
pub fn try_i386(number: u32, arguments: [u64; 2]) -> i32 {
    let mut ret = u64::from(number);
    // SAFETY: as above, the call is not made. `int 0x80` takes its sixth argument from ebp, which the
    // compiler wants back as it was, and rbx too; the call zeroes r8 to r11.
    unsafe {
        std::arch::asm!(
            "push rbp",
            "push rbx",
            "mov ebp, {mark:e}",
            "mov ebx, {first:e}",
            "int 0x80",
            "pop rbx",
            "pop rbp",
            mark = in(reg) MARK,
            first = in(reg) arguments[0],
            inout("rax") ret,
            in("rcx") arguments[1],
            in("rdx") 0u64,
            in("rsi") 0u64,
            in("rdi") 0u64,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    -(ret as i32)
}
