//! Who a process is by its own account: credentials(7), and the rules of setresuid(2) and its kin.

use super::powers::Powers;
use std::collections::HashMap;
use std::rc::Rc;

/// An argument that leaves an id as it is; no id itself.
pub const UNCHANGED: u32 = u32::MAX;

/// The most supplementary groups (NGROUPS_MAX).
pub const MOST_GROUPS: usize = 65536;

/// The four user ids, or the four group ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    /// The one that counts for files; it follows the effective one.
    pub file: u32,
}

/// An errno instead of new ids.
type Changed = std::result::Result<Ids, i32>;

impl Ids {
    pub fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, file: id }
    }

    fn known(&self) -> [u32; 3] {
        [self.real, self.effective, self.saved]
    }

    /// setuid(2), setgid(2).
    pub fn set(self, id: u32, privileged: bool) -> Changed {
        if id == UNCHANGED {
            return Err(libc::EINVAL);
        }
        if privileged {
            return Ok(Ids::all(id));
        }
        if id != self.real && id != self.saved {
            return Err(libc::EPERM);
        }
        Ok(Ids { effective: id, file: id, ..self })
    }

    /// setreuid(2), setregid(2).
    pub fn set_real_effective(self, real: u32, effective: u32, privileged: bool) -> Changed {
        let mut new = self;
        if real != UNCHANGED {
            if !privileged && real != self.real && real != self.effective {
                return Err(libc::EPERM);
            }
            new.real = real;
        }
        if effective != UNCHANGED {
            if !privileged && !self.known().contains(&effective) {
                return Err(libc::EPERM);
            }
            new.effective = effective;
        }
        if real != UNCHANGED || (effective != UNCHANGED && effective != self.real) {
            new.saved = new.effective;
        }
        new.file = new.effective;
        Ok(new)
    }

    /// setresuid(2), setresgid(2).
    pub fn set_each(self, [real, effective, saved]: [u32; 3], privileged: bool) -> Changed {
        let allowed = |id: &u32| *id == UNCHANGED || privileged || self.known().contains(id);
        if ![real, effective, saved].iter().all(allowed) {
            return Err(libc::EPERM);
        }
        let same = |new: u32, old: u32| new == UNCHANGED || new == old;
        let same_effective = effective == UNCHANGED || (effective == self.effective && effective == self.file);
        if same(real, self.real) && same_effective && same(saved, self.saved) {
            return Ok(self);
        }
        let chosen = |new: u32, old: u32| if new == UNCHANGED { old } else { new };
        let effective = chosen(effective, self.effective);
        Ok(Ids { real: chosen(real, self.real), effective, saved: chosen(saved, self.saved), file: effective })
    }

    /// setfsuid(2), setfsgid(2), which never fail: what is not allowed changes nothing.
    pub fn set_file(self, id: u32, privileged: bool) -> Ids {
        let allowed = privileged || id == self.file || self.known().contains(&id);
        if id == UNCHANGED || !allowed { self } else { Ids { file: id, ..self } }
    }
}

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
        groups.sort_unstable();
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

    const EPERM: Changed = Err(libc::EPERM);

    fn ids(real: u32, effective: u32, saved: u32) -> Ids {
        Ids { real, effective, saved, file: effective }
    }

    #[test]
    fn setuid_is_final_for_root_and_switches_for_others() {
        assert_eq!(ids(0, 0, 0).set(7, true), Ok(Ids::all(7)));
        assert_eq!(Ids::all(7).set(0, false), EPERM);
        assert_eq!(Ids::all(7).set(7, false), Ok(Ids::all(7)));
        // A set-user-id program goes back and forth.
        assert_eq!(ids(7, 9, 9).set(7, false), Ok(ids(7, 7, 9)));
        assert_eq!(ids(7, 7, 9).set(9, false), Ok(ids(7, 9, 9)));
        // The effective id alone is no way back.
        assert_eq!(ids(7, 8, 9).set(8, false), EPERM);
        assert_eq!(Ids::all(0).set(UNCHANGED, true), Err(libc::EINVAL));
    }

    #[test]
    fn setreuid_saves_the_effective_id_when_the_real_one_is_set() {
        assert_eq!(ids(0, 0, 0).set_real_effective(UNCHANGED, 7, true), Ok(ids(0, 7, 7)));
        assert_eq!(ids(0, 0, 0).set_real_effective(UNCHANGED, 0, true), Ok(ids(0, 0, 0)));
        assert_eq!(ids(7, 9, 9).set_real_effective(9, 7, false), Ok(ids(9, 7, 7)));
        assert_eq!(ids(7, 9, 9).set_real_effective(UNCHANGED, 7, false), Ok(ids(7, 7, 9)));
        assert_eq!(ids(7, 9, 5).set_real_effective(UNCHANGED, 5, false), Ok(ids(7, 5, 5)));
        assert_eq!(ids(7, 9, 5).set_real_effective(5, UNCHANGED, false), EPERM);
        assert_eq!(ids(7, 9, 5).set_real_effective(UNCHANGED, 0, false), EPERM);
        assert_eq!(ids(7, 9, 5).set_real_effective(UNCHANGED, UNCHANGED, false), Ok(ids(7, 9, 5)));
    }

    #[test]
    fn setresuid_takes_any_of_the_three_in_any_place() {
        assert_eq!(ids(1, 2, 3).set_each([3, 1, 2], false), Ok(ids(3, 1, 2)));
        assert_eq!(ids(1, 2, 3).set_each([UNCHANGED, 3, UNCHANGED], false), Ok(ids(1, 3, 3)));
        assert_eq!(ids(1, 2, 3).set_each([1, 2, 4], false), EPERM);
        assert_eq!(Ids::all(0).set_each([UNCHANGED, 5, UNCHANGED], true), Ok(ids(0, 5, 0)));
        // The file id follows, but what changes nothing does not move it either (Linux 6.1).
        let moved = Ids { file: 9, ..Ids::all(0) };
        assert_eq!(moved.set_each([UNCHANGED, 0, UNCHANGED], true), Ok(Ids::all(0)));
        assert_eq!(moved.set_each([UNCHANGED; 3], true), Ok(moved));
    }

    #[test]
    fn setfsuid_never_fails() {
        assert_eq!(Ids::all(0).set_file(5, true), Ids { file: 5, ..Ids::all(0) });
        assert_eq!(Ids::all(4).set_file(5, false), Ids::all(4));
        assert_eq!(ids(1, 2, 3).set_file(3, false).file, 3);
        assert_eq!(Ids { file: 5, ..Ids::all(0) }.set_file(5, false).file, 5);
        assert_eq!(Ids::all(0).set_file(UNCHANGED, true), Ids::all(0));
    }

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
