use super::super::abi::{ABIS, X32_BIT};
use super::super::interpret::{Call, run};
use super::*;

const NATIVE: &Abi = &ABIS[0];
const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

fn rules<'a>(abi: &'static Abi, calls: &[(u32, &'a Answer)], unlisted: Action) -> Rules<'a> {
    Rules { abi, calls: calls.to_vec(), unlisted, newer: None }
}

fn answer(program: &[Instruction], arch: u32, number: u32, arguments: &[u64]) -> u32 {
    let mut call = Call { arch, number, ..Call::default() };
    call.arguments[..arguments.len()].copy_from_slice(arguments);
    run(program, &call).0
}

#[test]
fn each_number_of_each_abi_gets_its_own_answer() {
    let (allow, deny) = (Answer::from(Action::Allow), Answer::from(EPERM));
    let mut all = Vec::new();
    for (at, abi) in ABIS.iter().enumerate() {
        let calls: Vec<_> = (0..400).filter(|n| n % 7 == at as u32).map(|n| (n, &allow)).collect();
        all.push(Rules { newer: Some((399, ENOSYS)), ..rules(abi, &calls, EPERM) });
    }
    all[0].calls.push((390, &deny));
    let program = compile(&all, Action::KillProcess).unwrap();
    for (at, abi) in ABIS.iter().enumerate() {
        for n in 0..1024 {
            let expected = match n {
                400.. => ENOSYS,
                _ if n % 7 == at as u32 => Action::Allow,
                _ => EPERM,
            };
            assert_eq!(answer(&program, abi.audit, abi.bit | n, &[]), expected.value(), "{} {n}", abi.name);
        }
    }
    assert_eq!(answer(&program, 0x1234, 0, &[]), Action::KillProcess.value());
}

#[test]
fn the_other_numbers_of_an_architecture_are_foreign() {
    let program = compile(&[rules(NATIVE, &[], Action::Allow)], Action::KillThread).unwrap();
    assert_eq!(answer(&program, NATIVE.audit, 77, &[]), Action::Allow.value());
    let foreign = if Abi::has_bits(NATIVE.audit) { Action::KillThread } else { Action::Allow };
    for number in [X32_BIT, X32_BIT | 77, u32::MAX] {
        assert_eq!(answer(&program, NATIVE.audit, number, &[]), foreign.value());
    }
    assert_eq!(answer(&program, ABIS[1].audit, 77, &[]), Action::KillThread.value());
}

#[test]
fn arguments_are_compared_in_all_their_bits() {
    let values = [
        0,
        1,
        5,
        6,
        7,
        0x7fff_ffff,
        0xffff_fff0,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0006,
        0x5_0000_0005,
        0x8000_0000_0000_0000,
        u64::MAX,
    ];
    let masks = [u64::MAX, 0xffff_ffff, 0xffff_ffff_0000_0000, 6, 0x1_0000_0000, 0];
    for op in [Op::Equal, Op::NotEqual, Op::Less, Op::LessOrEqual, Op::Greater, Op::GreaterOrEqual] {
        for mask in masks {
            for value in values {
                let condition = Condition { argument: 5, mask, op, value };
                let asked = Answer {
                    cases: vec![Case { conditions: vec![condition], action: Action::Allow }],
                    otherwise: EPERM,
                };
                let program = compile(&[rules(NATIVE, &[(3, &asked)], EPERM)], EPERM).unwrap();
                for argument in values {
                    let given = argument & mask;
                    let holds = match op {
                        Op::Equal => given == value,
                        Op::NotEqual => given != value,
                        Op::Less => given < value,
                        Op::LessOrEqual => given <= value,
                        Op::Greater => given > value,
                        Op::GreaterOrEqual => given >= value,
                    };
                    let expected = if holds { Action::Allow } else { EPERM };
                    let answer = answer(&program, NATIVE.audit, 3, &[9, 9, 9, 9, 9, argument]);
                    assert_eq!(answer, expected.value(), "{argument:#x} {condition:x?}");
                }
            }
        }
    }
}

#[test]
fn the_first_case_that_holds_decides_and_needs_all_its_conditions() {
    let is = |argument, value| Condition::word(argument, Op::Equal, value);
    let asked = Answer {
        cases: vec![
            Case { conditions: vec![is(0, 1), is(1, 2)], action: Action::Notify },
            Case { conditions: vec![is(0, 1)], action: Action::Errno(13) },
            Case { conditions: vec![], action: Action::Trace(5) },
        ],
        otherwise: Action::Allow,
    };
    let program = compile(&[rules(NATIVE, &[(1, &asked)], EPERM)], EPERM).unwrap();
    let cases = [([1, 2], 0x7fc0_0000), ([1, 3], 0x0005_000d), ([2, 2], 0x7ff0_0005), ([1 << 32 | 1, 2], 0x7fc0_0000)];
    for (arguments, value) in cases {
        assert_eq!(answer(&program, NATIVE.audit, 1, &arguments), value, "{arguments:x?}");
    }
}

#[test]
fn the_search_is_by_halves_however_many_ranges_there_are() {
    let allow = Answer::from(Action::Allow);
    // No two neighbours alike: the worst that numbers can do.
    let calls: Vec<_> = (0..512).map(|n| (2 * n, &allow)).collect();
    let all: Vec<_> = ABIS.iter().map(|abi| rules(abi, &calls, EPERM)).collect();
    let program = compile(&all, EPERM).unwrap();
    let mut longest = 0;
    for abi in ABIS {
        for n in 0..1024 {
            let call = Call { arch: abi.audit, number: abi.bit | n, ..Call::default() };
            let (value, steps) = run(&program, &call);
            assert_eq!(value == Action::Allow.value(), n % 2 == 0);
            longest = longest.max(steps);
        }
    }
    // Two loads, an architecture or two, a return, and for each comparison of 2^11 ranges perhaps a long jump.
    assert!(longest <= 5 + 11 + 11, "{longest} steps");
}

#[test]
fn a_program_that_the_kernel_would_not_take_is_refused() {
    let far = |n: u32| Answer {
        cases: vec![Case { conditions: vec![Condition::word(0, Op::Equal, n)], action: Action::Errno(n as u16) }],
        otherwise: EPERM,
    };
    let answers: Vec<_> = (0..1500).map(far).collect();
    let calls: Vec<_> = answers.iter().enumerate().map(|(n, answer)| (n as u32, answer)).collect();
    let error = compile(&[rules(NATIVE, &calls, EPERM)], EPERM).unwrap_err().to_string();
    assert!(error.starts_with("a seccomp filter of ") && error.ends_with("; the kernel takes 4096"), "{error}");
    let some = rules(NATIVE, &calls[..500], EPERM);
    let program = compile(&[some], EPERM).unwrap();
    for n in 0..500 {
        assert_eq!(answer(&program, NATIVE.audit, n, &[n.into()]), Action::Errno(n as u16).value());
        assert_eq!(answer(&program, NATIVE.audit, n, &[1000]), EPERM.value());
    }
}
