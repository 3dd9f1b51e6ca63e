//! A profile of the user's: rules on system calls by name, in the terms of the
//! OCI runtime specification (config-linux.md, seccomp), answered as runc and
//! libseccomp answer them.

use super::Filter;
use super::abi::{ABIS, Abi};
use super::compile::{Action, Answer, Case, Condition, Op, Rules, compile};
use crate::error::Result;
use std::collections::BTreeMap;

/// A rule on some system calls.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names that an ABI doesn't have are passed over: profiles know all machines' system calls.
    pub names: Vec<String>,
    pub action: Action,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// For calls to which no rule applies.
    pub default: Action,
    /// The first is this machine's own; calls of others end the process.
    pub abis: Vec<&'static Abi>,
    pub rules: Vec<Rule>,
    pub flags: u64,
}

/// What the rules say on one call of one ABI.
#[derive(Default)]
struct Draft {
    cases: Vec<Case>,
    always: Option<Action>,
}

impl Draft {
    fn add(&mut self, rule: &Rule, abi: &Abi) {
        if rule.conditions.is_empty() {
            // The first that is unconditional decides, also over those that are not (libseccomp).
            self.always.get_or_insert(rule.action);
            return;
        }
        let conditions = || rule.conditions.iter().map(|condition| narrow(*condition, abi));
        // Several conditions on one argument are taken as alternatives (runc, matchCall).
        let is_twice =
            rule.conditions.iter().enumerate().any(|(at, condition)| {
                rule.conditions[..at].iter().any(|before| before.argument == condition.argument)
            });
        if is_twice {
            self.cases.extend(conditions().map(|one| Case { conditions: vec![one], action: rule.action }));
        } else {
            self.cases.push(Case { conditions: conditions().collect(), action: rule.action });
        }
    }

    fn answer(self, default: Action) -> Answer {
        match self.always {
            Some(action) => action.into(),
            None => Answer { cases: self.cases, otherwise: default },
        }
    }
}

/// An ABI of 32 bits has arguments of 32 bits.
fn narrow(condition: Condition, abi: &Abi) -> Condition {
    if !abi.is_narrow() {
        return condition;
    }
    let low = u64::from(u32::MAX);
    Condition { mask: condition.mask & low, value: condition.value & low, ..condition }
}

impl Profile {
    pub fn compile(&self) -> Result<Filter> {
        let answers: Vec<_> = self.abis.iter().map(|abi| self.answers(abi)).collect();
        let mut rules = Vec::new();
        for (abi, (answers, newest)) in self.abis.iter().zip(&answers) {
            rules.push(Rules {
                abi,
                calls: answers.iter().map(|(number, answer)| (*number, answer)).collect(),
                unlisted: self.default,
                newer: newest.map(|newest| (newest, Action::Errno(libc::ENOSYS as u16))),
            });
        }
        Ok(Filter { program: compile(&rules, Action::KillProcess)?, flags: self.flags })
    }

    /// The answers in one ABI; and the newest number of which the profile knows, where later ones are to
    /// be told from those that it means to deny (runc, patchbpf).
    fn answers(&self, abi: &'static Abi) -> (Vec<(u32, Answer)>, Option<u32>) {
        let mut drafts: BTreeMap<u32, Draft> = BTreeMap::new();
        let mut newest = None;
        for rule in &self.rules {
            for name in &rule.names {
                let number = abi.number(name);
                newest = newest.max(number);
                // It would say what is so already, and must not stand in the way of others.
                if rule.action == self.default {
                    continue;
                }
                if let Some(number) = number {
                    drafts.entry(number).or_default().add(rule, abi);
                }
                if let Some((number, which)) = abi.multiplexed(name) {
                    // The arguments of the call itself lie in memory, where no filter can look.
                    let conditions = vec![Condition::word(0, Op::Equal, which)];
                    drafts.entry(number).or_default().add(&Rule { names: Vec::new(), conditions, ..*rule }, abi);
                }
            }
        }
        let is_open = matches!(self.default, Action::Allow | Action::Log | Action::Trace(_));
        let answers = drafts.into_iter().map(|(number, draft)| (number, draft.answer(self.default))).collect();
        (answers, newest.filter(|_| !is_open))
    }
}

/// The ABIs of this machine that `named` holds, and always its own.
pub fn abis(named: impl Fn(&str) -> bool) -> Vec<&'static Abi> {
    ABIS.iter().enumerate().filter(|(at, abi)| *at == 0 || named(abi.name)).map(|(_, abi)| abi).collect()
}
