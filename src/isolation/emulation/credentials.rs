//! Who a process is by its own account: credentials(7).

use super::ids::{Ids, UNCHANGED};
use super::powers::Powers;
use std::collections::HashMap;
use std::rc::Rc;

/// The most supplementary groups (NGROUPS_MAX).
pub const MOST_GROUPS: usize = 65536;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub user: Ids,
    pub group: Ids,
    /// In ascending order, as the kernel keeps them.
    pub groups: Vec<u32>,
    pub powers: Powers,
}

impl Credentials {
    /// Of the first process, in a container that has the capabilities `bounding`.
    pub fn new(uid: u32, gid: u32, groups: &[u32], bounding: u64) -> Credentials {
        let mut groups = groups.to_vec();
        crate::sort::all(&mut groups);
        Credentials { user: Ids::all(uid), group: Ids::all(gid), groups, powers: Powers::new(uid, bounding) }
    }

    /// With what setuid(2), setreuid(2) and setresuid(2) do besides.
    pub fn set_user(&mut self, user: Ids) {
        self.powers = self.powers.after_setuid(self.user, user);
        self.user = user;
    }

    /// With what setfsuid(2) does besides.
    pub fn set_file_user(&mut self, user: Ids) {
        self.powers = self.powers.after_setfsuid(self.user, user);
        self.user = user;
    }

    /// What execve(2) makes of them, if a program's set-user-id and set-group-id bits give it these effective ids.
    pub fn after_exec(mut self, uid: u32, gid: u32) -> Credentials {
        self.user = Ids { real: self.user.real, ..Ids::all(uid) };
        self.group = Ids { real: self.group.real, ..Ids::all(gid) };
        self.powers = self.powers.after_exec(self.user);
        self
    }

    /// Whether it is a member, for files.
    pub fn in_group(&self, gid: u32) -> bool {
        self.group.file == gid || self.groups.binary_search(&gid).is_ok()
    }

    /// Whether it may give a file of `owner` to `uid` and `gid` (either may be [`UNCHANGED`]), not being root: chown(2).
    pub fn may_chown(&self, owner: (u32, u32), uid: u32, gid: u32) -> bool {
        let owns = self.user.file == owner.0;
        let uid_allowed = uid == UNCHANGED || (owns && uid == owner.0);
        let gid_allowed = gid == UNCHANGED || (owns && (gid == owner.1 || self.in_group(gid)));
        uid_allowed && gid_allowed
    }
}

/// All credentials that processes have or had, by number. The first are the ones that the container began with.
pub struct Table {
    all: Vec<Rc<Credentials>>,
    numbers: HashMap<Rc<Credentials>, usize>,
    /// How many groups they name together.
    groups: usize,
}

/// A process inside can make up new ones without end; PID 1 must not grow with them.
const MOST: usize = 1 << 14;
const MOST_GROUPS_TOGETHER: usize = 1 << 20;

impl Table {
    pub fn new(first: Credentials) -> Table {
        let mut table = Table { all: Vec::new(), numbers: HashMap::new(), groups: 0 };
        table.number(first);
        table
    }

    /// Those of a number; of one that was never given, the first.
    pub fn get(&self, number: usize) -> Rc<Credentials> {
        self.all.get(number).unwrap_or(&self.all[0]).clone()
    }

    /// Whether nobody ever was somebody else than at the beginning.
    pub fn has_one(&self) -> bool {
        self.all.len() == 1
    }

    /// The number of `credentials`; None when there are too many.
    pub fn number(&mut self, credentials: Credentials) -> Option<usize> {
        if let Some(number) = self.numbers.get(&credentials) {
            return Some(*number);
        }
        if self.all.len() >= MOST || self.groups + credentials.groups.len() > MOST_GROUPS_TOGETHER {
            return None;
        }
        self.groups += credentials.groups.len();
        let credentials = Rc::new(credentials);
        self.all.push(credentials.clone());
        self.numbers.insert(credentials, self.all.len() - 1);
        Some(self.all.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_changes_a_group_and_only_to_one_of_his() {
        let bob = Credentials::new(7, 70, &[90, 80], 0);
        assert!(bob.may_chown((7, 70), UNCHANGED, 80) && bob.may_chown((7, 1), 7, 90));
        assert!(bob.may_chown((7, 1), UNCHANGED, 1) && bob.may_chown((1, 1), UNCHANGED, UNCHANGED));
        assert!(!bob.may_chown((7, 70), 8, UNCHANGED) && !bob.may_chown((7, 70), UNCHANGED, 91));
        assert!(!bob.may_chown((8, 70), UNCHANGED, 70) && !bob.may_chown((8, 70), 8, UNCHANGED));
    }

    #[test]
    fn numbers_are_given_once_and_not_without_end() {
        let mut table = Table::new(Credentials::new(0, 0, &[], 0));
        assert!(table.has_one());
        assert_eq!(table.number(Credentials::new(1, 1, &[3, 2], 0)), Some(1));
        assert_eq!(table.number(Credentials::new(1, 1, &[2, 3], 0)), Some(1));
        assert_eq!(table.get(1).user.real, 1);
        assert_eq!(table.get(99).user.real, 0);
        let many: Vec<u32> = (0..MOST_GROUPS as u32).collect();
        let given = (2..100).filter(|uid| table.number(Credentials::new(*uid, 0, &many, 0)).is_some()).count();
        assert_eq!(given, 15);
        assert!((2..20_000).any(|uid| table.number(Credentials::new(uid, 1, &[], 0)).is_none()));
    }
}
