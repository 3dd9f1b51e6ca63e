//! From answers to a program: the kernel's classic BPF, which can load a word of
//! the call (architecture, number, half an argument), compare it and jump forward.
//!
//! A filter runs at each system call, so the number is found by halves: some ten
//! steps, where a list of three hundred comparisons would take a hundred and fifty
//! on average. Neighbours with one answer become one range. The kernel (5.11) tries
//! each number once as the filter is loaded, and remembers those that are allowed
//! whatever their arguments are: for these the program is not even run.

use super::abi::Abi;
use crate::error::{Error, Result};
use crate::sys::seccomp::Instruction;

/// What becomes of a system call. The values are the kernel's SECCOMP_RET_*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    KillProcess,
    KillThread,
    /// SIGSYS.
    Trap,
    /// It is not made, and fails with this errno.
    Errno(u16),
    /// Asked of the filter's listener: not for profiles, whose agents we know nothing of.
    #[allow(dead_code)]
    Notify,
    /// Asked of a tracer, who is told this number; ENOSYS if there is none.
    Trace(u16),
    /// Allowed, and written to the audit log.
    Log,
    Allow,
}

impl Action {
    pub fn value(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Action::Notify => 0x7fc0_0000,
            Action::Trace(data) => 0x7ff0_0000 | u32::from(data),
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }
}

/// A comparison without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Holds if `argument & mask` compares so with `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u8,
    /// Where the kernel reads 32 bits of an argument, only these may count: anything can be put into the others.
    pub mask: u64,
    pub op: Op,
    pub value: u64,
}

impl Condition {
    /// On the low half of an argument that the kernel takes as an int.
    pub const fn word(argument: u8, op: Op, value: u32) -> Condition {
        Condition { argument, mask: 0xffff_ffff, op, value: value as u64 }
    }
}

/// An action for calls whose arguments fulfil all `conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub conditions: Vec<Condition>,
    pub action: Action,
}

/// What one system call is answered: the first case that holds, else `otherwise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub cases: Vec<Case>,
    pub otherwise: Action,
}

impl From<Action> for Answer {
    fn from(otherwise: Action) -> Answer {
        Answer { cases: Vec::new(), otherwise }
    }
}

/// The answers to the system calls of one ABI.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    pub abi: &'static Abi,
    /// By number as the ABI's table has it, that is without x32's bit; in any order.
    pub calls: Vec<(u32, &'a Answer)>,
    /// To numbers that are not among them.
    pub unlisted: Action,
    /// The newest number that the author of the rules knew, and what later ones are answered.
    pub newer: Option<(u32, Action)>,
}

/// What BPF_MAXINSNS allows.
const MOST: usize = 4096;

/// The program that gives the answers of `rules`, and `foreign` to every other ABI.
pub fn compile(rules: &[Rules<'_>], foreign: Action) -> Result<Vec<Instruction>> {
    let mut builder = Builder { code: Vec::with_capacity(512), returns: Vec::new() };
    let mut next = builder.ret(foreign);
    let mut archs: Vec<u32> = rules.iter().map(|rules| rules.abi.audit).collect();
    crate::sort::by_key(&mut archs, |arch| *arch);
    archs.dedup();
    // The program is written from its end, as jumps only lead forward: the last comparison first. This
    // machine's own architecture is the first of the rules, and so the last to be written.
    if let Some(native) = rules.first().map(|rules| rules.abi.audit) {
        archs.retain(|arch| *arch != native);
        archs.push(native);
    }
    for arch in archs {
        let ranges = ranges(arch, rules, foreign);
        let tree = builder.tree(&ranges);
        let load = builder.load(NUMBER, tree);
        next = builder.branch(JEQ, arch, load, next);
    }
    builder.load(ARCH, next);
    if builder.code.len() > MOST {
        let length = builder.code.len();
        return Err(Error::new(format_args!("a seccomp filter of {length} instructions; the kernel takes {MOST}")));
    }
    builder.code.reverse();
    Ok(builder.code)
}

/// From this number on the answer is so, up to the next range.
type Range<'a> = (u32, Leaf<'a>);

#[derive(Clone, Copy, PartialEq)]
enum Leaf<'a> {
    Do(Action),
    Ask(&'a Answer),
}

/// All numbers of an architecture, in ranges of one answer each.
fn ranges<'a>(arch: u32, rules: &[Rules<'a>], foreign: Action) -> Vec<Range<'a>> {
    let mut ranges: Vec<Range<'a>> = Vec::with_capacity(256);
    let mut add = |start: u32, leaf: Leaf<'a>| {
        if ranges.last().is_some_and(|last| last.0 == start) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|last| last.1 != leaf) {
            ranges.push((start, leaf));
        }
    };
    add(0, Leaf::Do(foreign));
    let mut abis: Vec<&Rules<'a>> = rules.iter().filter(|rules| rules.abi.audit == arch).collect();
    crate::sort::by_key(&mut abis, |rules| rules.abi.bit);
    for (at, rules) in abis.iter().enumerate() {
        let bit = rules.abi.bit;
        // Nearly all numbers are small: putting each into its place is quicker than to sort them. A place
        // holds one more than where among the calls its own is.
        let mut places = [0u16; 1024];
        let mut far = Vec::new();
        for (&(number, answer), at) in rules.calls.iter().zip(1..) {
            match places.get_mut(number as usize) {
                Some(place) => *place = at,
                None => far.push((number, answer)),
            }
        }
        crate::sort::by_key(&mut far, |call| call.0);
        let near = places.iter().filter(|at| **at != 0).map(|at| rules.calls[usize::from(*at) - 1]);
        add(bit, Leaf::Do(rules.unlisted));
        // Where the run of calls with one answer ends that we are in.
        let mut end = bit;
        let mut run = Leaf::Do(rules.unlisted);
        for (number, answer) in near.chain(far) {
            let leaf = if answer.cases.is_empty() { Leaf::Do(answer.otherwise) } else { Leaf::Ask(answer) };
            let at = bit | number;
            if at != end {
                add(end, Leaf::Do(rules.unlisted));
            }
            if at != end || leaf != run {
                add(at, leaf);
            }
            (end, run) = (at + 1, leaf);
        }
        add(end, Leaf::Do(rules.unlisted));
        if let Some((newest, action)) = rules.newer {
            add((bit | newest) + 1, Leaf::Do(action));
        }
        // x32 is the same architecture with a bit in the number: a rule for one is none for the other.
        if abis.get(at + 1).is_none() && bit == 0 && Abi::has_bits(arch) {
            add(super::abi::X32_BIT, Leaf::Do(foreign));
        }
    }
    ranges
}

// Operations of classic BPF (linux/bpf_common.h) and the fields of struct seccomp_data.
const LD: u16 = 0x20;
const AND: u16 = 0x54;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
pub const RET: u16 = 0x06;
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The program, its last instruction first. A [`Label`] is an instruction's distance from the end.
struct Builder {
    code: Vec<Instruction>,
    /// Where each action's newest return is.
    returns: Vec<(u32, Label)>,
}

type Label = usize;

impl Builder {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.code.push(Instruction { code, jt, jf, k });
        self.code.len() - 1
    }

    /// How many instructions the next one must skip to reach `label`.
    fn skip(&self, label: Label) -> usize {
        self.code.len() - 1 - label
    }

    /// Where to jump for an action: to one nearby that is there already, or to a new one.
    fn ret(&mut self, action: Action) -> Label {
        let value = action.value();
        // As far as an 8-bit jump surely reaches, with room for what a comparison may put between.
        let near = self.code.len().saturating_sub(240);
        if let Some((_, label)) = self.returns.iter().find(|(known, label)| *known == value && *label >= near) {
            return *label;
        }
        let label = self.push(RET, 0, 0, value);
        self.returns.retain(|(known, _)| *known != value);
        self.returns.push((value, label));
        label
    }

    /// Goes on at `next`, which may be anywhere behind.
    fn go(&mut self, next: Label) -> Label {
        match self.skip(next) {
            0 => next,
            skip => self.push(JA, 0, 0, skip as u32),
        }
    }

    fn load(&mut self, offset: u32, next: Label) -> Label {
        self.go(next);
        self.push(LD, 0, 0, offset)
    }

    /// A comparison of what was loaded with `k`. Its own jumps reach 255 instructions; further ones
    /// go by a long jump beside it.
    fn branch(&mut self, op: u16, k: u32, yes: Label, no: Label) -> Label {
        let (mut yes, mut no) = (yes, no);
        // Each long jump puts the other target one further away.
        if self.skip(yes) > 254 {
            yes = self.go(yes);
        }
        if self.skip(no) > 255 {
            no = self.go(no);
        }
        let (jt, jf) = (self.skip(yes) as u8, self.skip(no) as u8);
        self.push(op, jt, jf, k)
    }

    /// The search by halves in `ranges`.
    fn tree(&mut self, ranges: &[Range<'_>]) -> Label {
        match ranges {
            [] => self.ret(Action::KillProcess),
            [(_, Leaf::Do(action))] => self.ret(*action),
            [(_, Leaf::Ask(answer))] => self.answer(answer),
            _ => {
                let (low, high) = ranges.split_at(ranges.len() / 2);
                let above = self.tree(high);
                let below = self.tree(low);
                self.branch(JGE, high[0].0, above, below)
            }
        }
    }

    fn answer(&mut self, answer: &Answer) -> Label {
        let mut next = self.ret(answer.otherwise);
        for case in answer.cases.iter().rev() {
            let no = next;
            next = self.ret(case.action);
            for condition in case.conditions.iter().rev() {
                next = self.condition(condition, next, no);
            }
        }
        next
    }

    fn condition(&mut self, condition: &Condition, yes: Label, no: Label) -> Label {
        // What is no less is greater or equal, and so on.
        let (last, yes, no) = match condition.op {
            Op::Equal => (JEQ, yes, no),
            Op::NotEqual => (JEQ, no, yes),
            Op::Greater => (JGT, yes, no),
            Op::LessOrEqual => (JGT, no, yes),
            Op::GreaterOrEqual => (JGE, yes, no),
            Op::Less => (JGE, no, yes),
        };
        let low = self.branch(last, condition.value as u32, yes, no);
        let low = self.half(condition.argument, 0, condition.mask as u32, low);
        let (mask, value) = ((condition.mask >> 32) as u32, (condition.value >> 32) as u32);
        // Only the low half counts.
        if mask == 0 && value == 0 {
            return low;
        }
        // The halves with more weight decide, unless they are equal.
        let mut high = self.branch(JEQ, value, low, no);
        if last != JEQ {
            high = self.branch(JGT, value, yes, high);
        }
        self.half(condition.argument, 4, mask, high)
    }

    /// Loads half an argument; both architectures have the low one first.
    fn half(&mut self, argument: u8, offset: u32, mask: u32, next: Label) -> Label {
        let next = self.go(next);
        let next = if mask == u32::MAX { next } else { self.push(AND, 0, 0, mask) };
        self.load(ARGUMENTS + 8 * u32::from(argument) + offset, next)
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
