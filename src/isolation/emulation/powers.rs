//! Which of root's powers a process has by its own account: capabilities(7), "Effect of user ID changes on
//! capabilities". The real ones are always all that the container has, as its real id is always root's.

use super::ids::Ids;

/// Capabilities by number, a bit each.
pub const CHOWN: u64 = 1 << 0;
pub const SETGID: u64 = 1 << 6;
pub const SETUID: u64 = 1 << 7;
pub const MKNOD: u64 = 1 << 27;

/// Those over files, which follow the id that counts for files: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER,
/// FSETID, LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE.
const OVER_FILES: u64 = 0b11111 | 1 << 9 | MKNOD | 1 << 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Powers {
    pub permitted: u64,
    pub effective: u64,
    /// What a program of root's begins with.
    bounding: u64,
    /// PR_SET_KEEPCAPS: whether `permitted` stays when root becomes somebody else.
    pub kept: bool,
}

impl Powers {
    /// Of the first process, in a container that has the capabilities `bounding`.
    pub fn new(uid: u32, bounding: u64) -> Powers {
        let own = if uid == 0 { bounding } else { 0 };
        Powers { permitted: own, effective: own, bounding, kept: false }
    }

    pub fn can(&self, capability: u64) -> bool {
        self.effective & capability != 0
    }

    /// What setuid(2), setreuid(2) and setresuid(2) do besides.
    pub fn after_setuid(mut self, old: Ids, new: Ids) -> Powers {
        let is_root = |ids: Ids| [ids.real, ids.effective, ids.saved].contains(&0);
        if is_root(old) && !is_root(new) && !self.kept {
            (self.permitted, self.effective) = (0, 0);
        }
        if old.effective == 0 && new.effective != 0 {
            self.effective = 0;
        }
        if old.effective != 0 && new.effective == 0 {
            self.effective = self.permitted;
        }
        self
    }

    /// What setfsuid(2) does besides.
    pub fn after_setfsuid(mut self, old: Ids, new: Ids) -> Powers {
        if old.file == 0 && new.file != 0 {
            self.effective &= !OVER_FILES;
        }
        if old.file != 0 && new.file == 0 {
            self.effective |= self.permitted & OVER_FILES;
        }
        self
    }

    /// What execve(2) does besides, `user` being who the program begins as.
    pub fn after_exec(self, user: Ids) -> Powers {
        let permitted = if user.real == 0 || user.effective == 0 { self.bounding } else { 0 };
        let effective = if user.effective == 0 { permitted } else { 0 };
        Powers { permitted, effective, kept: false, ..self }
    }

    /// capset(2); None where it is not allowed.
    pub fn after_capset(self, effective: u64, permitted: u64) -> Option<Powers> {
        let allowed = permitted & !self.permitted == 0 && effective & !permitted == 0;
        allowed.then_some(Powers { permitted, effective, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = 0xa804_25fb;

    fn ids(real: u32, effective: u32, saved: u32) -> Ids {
        Ids { real, effective, saved, file: effective }
    }

    #[test]
    fn they_come_and_go_with_the_effective_id() {
        let root = Powers::new(0, ALL);
        let away = root.after_setuid(ids(0, 0, 0), ids(0, 5, 0));
        assert_eq!((away.permitted, away.effective), (ALL, 0));
        let for_files = away.after_setfsuid(ids(0, 5, 0), Ids { file: 0, ..ids(0, 5, 0) });
        assert!(for_files.can(CHOWN) && for_files.can(MKNOD) && !for_files.can(SETUID));
        assert_eq!(for_files.after_setuid(ids(0, 5, 0), ids(0, 0, 0)), root);
        let without = root.after_setfsuid(ids(0, 0, 0), Ids { file: 5, ..ids(0, 0, 0) });
        assert!(!without.can(CHOWN) && without.can(SETUID));
        // Only setfsuid brings back what setfsuid took.
        assert!(!without.after_setuid(Ids { file: 5, ..ids(0, 0, 0) }, ids(0, 0, 0)).can(CHOWN));
        let gone = root.after_setuid(ids(0, 0, 0), ids(5, 5, 5));
        assert_eq!((gone.permitted, gone.effective), (0, 0));
    }

    #[test]
    fn a_program_begins_with_what_its_owner_has() {
        let nobody = Powers::new(5, ALL);
        assert_eq!(nobody.effective, 0);
        let su = nobody.after_exec(ids(5, 0, 0));
        assert_eq!((su.permitted, su.effective), (ALL, ALL));
        assert_eq!(su.after_exec(ids(5, 5, 5)).permitted, 0);
        let called_by_root = su.after_exec(ids(0, 5, 5));
        assert_eq!((called_by_root.permitted, called_by_root.effective), (ALL, 0));
    }

    #[test]
    fn kept_ones_come_back_by_capset_and_no_others() {
        let keeps = Powers { kept: true, ..Powers::new(0, ALL) };
        let kept = keeps.after_setuid(ids(0, 0, 0), ids(5, 5, 5));
        assert_eq!((kept.permitted, kept.effective), (ALL, 0));
        assert!(kept.after_capset(SETGID, SETGID | SETUID).is_some_and(|powers| powers.can(SETGID)));
        assert_eq!(kept.after_capset(SETGID, 0), None);
        assert_eq!(kept.after_capset(0, 1 << 21), None);
        assert!(!kept.after_exec(ids(5, 5, 5)).kept);
    }
}
