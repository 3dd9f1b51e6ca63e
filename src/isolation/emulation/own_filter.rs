//! Filters that a program puts upon itself (seccomp(2)).
//!
//! The kernel asks all filters about a call and takes the strictest answer. Killing, SIGSYS and an errno are stricter
//! than asking us. A tracer (SECCOMP_RET_TRACE) is not: a call that it was to see, or that was to fail because there
//! is none, would be made by us. So a filter with such an answer is refused, as by a kernel that does not know it.

use super::caller::{Caller, Step};
use crate::isolation::seccomp::abi::{ABIS, X32_BIT};
use crate::isolation::seccomp::compile::{Action, RET};
use crate::sys::notify::Answer;

/// Of classic BPF: the bits that say what an instruction is, and whether one that ends the program has a constant.
const CLASS: u16 = 0x07;
const SOURCE: u16 = 0x18;
const CONSTANT: u16 = 0;

/// BPF_MAXINSNS.
const MOST: usize = 4096;
const INSTRUCTION: usize = 8;

/// seccomp(2) and prctl(2) that set a filter.
pub fn set(caller: &Caller<'_>) -> Step<Answer> {
    let by_prctl = !ABIS.iter().any(|abi| {
        let number = abi.number("seccomp").map(|number| i64::from(abi.bit | number));
        abi.audit == caller.call.arch && number == Some(caller.call.number)
    });
    let address = match by_prctl {
        // PR_SET_SECCOMP, and the mode of one without a filter.
        true if caller.word(1) != libc::SECCOMP_MODE_FILTER => return Ok(Answer::Continue),
        _ => caller.address(2),
    };
    let (length, program) = program(caller, address)?;
    if length == 0 || length > MOST {
        return Ok(Answer::Continue);
    }
    let mut bytes = vec![0; length * INSTRUCTION];
    caller.read(program, &mut bytes)?;
    let is_weak = bytes.chunks_exact(INSTRUCTION).any(|instruction| match *instruction {
        [a, b, _, _, c, d, e, f] => is_weak(u16::from_ne_bytes([a, b]), u32::from_ne_bytes([c, d, e, f])),
        _ => false,
    });
    if is_weak { Err(Answer::Errno(libc::EINVAL)) } else { Ok(Answer::Continue) }
}

/// struct sock_fprog: how many instructions, and where. A pointer of 32-bit programs and of x32's has 32 bits.
fn program(caller: &Caller<'_>, address: u64) -> Step<(usize, u64)> {
    let native = &ABIS[0];
    let is_native = caller.call.arch == native.audit && caller.call.number & i64::from(X32_BIT) == 0;
    let mut bytes = [0; 16];
    let (size, at) = if is_native { (16, 8) } else { (8, 4) };
    caller.read(address, &mut bytes[..size])?;
    let mut pointer = [0; 8];
    pointer[..size - at].copy_from_slice(&bytes[at..size]);
    Ok((u16::from_ne_bytes([bytes[0], bytes[1]]).into(), u64::from_ne_bytes(pointer)))
}

/// Whether an instruction may end in an answer that is less strict than asking us, and neither lets the call
/// through nor only writes it to a log.
fn is_weak(code: u16, constant: u32) -> bool {
    let strictness = |value: u32| (value & 0xffff_0000) as i32;
    let fine = [Action::Allow, Action::Log].map(|action| strictness(action.value()));
    match (code & CLASS, code & SOURCE) {
        (RET, CONSTANT) => {
            let answer = strictness(constant);
            answer > strictness(Action::Notify.value()) && !fine.contains(&answer)
        }
        // What is loaded may be anything.
        (RET, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_we_would_forestall_are_refused() {
        let strict = [Action::KillProcess, Action::KillThread, Action::Trap, Action::Errno(1), Action::Notify];
        for action in strict.into_iter().chain([Action::Log, Action::Allow]) {
            assert!(!is_weak(RET, action.value()), "{action:?}");
        }
        for value in [Action::Trace(0).value(), Action::Trace(7).value(), 0x7fd0_0000, 0x7ffe_0000] {
            assert!(is_weak(RET, value), "{value:#x}");
        }
        assert!(is_weak(RET | 0x10, 0));
        // A comparison with the same number.
        assert!(!is_weak(0x15, Action::Trace(0).value()));
    }
}
