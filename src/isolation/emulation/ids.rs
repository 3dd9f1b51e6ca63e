//! The user or group ids of a process, and the rules of setresuid(2) and its kin.

/// An argument that leaves an id as it is; no id itself.
pub const UNCHANGED: u32 = u32::MAX;

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
}
