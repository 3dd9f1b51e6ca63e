//! Whose a file is by the container's account, where the file system can say only one id.

use crate::sys::fs::{Statx, Time};
use std::collections::HashMap;

/// Who owns a file, and the device that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
    /// S_IFCHR or S_IFBLK, major and minor number.
    pub device: Option<(u32, u32, u32)>,
}

/// What makes a file the same under every name: links and renames keep it. An inode number is used again after
/// its file is gone, but then the file has another time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    place: (u64, u64),
    born: Time,
}

impl Identity {
    pub fn of(file: &Statx) -> Identity {
        Identity { place: (file.device(), file.inode()), born: file.born() }
    }
}

/// As many as fill a few dozen megabytes, of the container's own memory.
const MOST: usize = 1 << 18;

/// The owners that are not the real ones.
pub struct Owners {
    recent: HashMap<(u64, u64), (Time, Owner)>,
    /// What was recent until `recent` was full: nobody tells us when a file is gone, so that what is not looked at
    /// for long is forgotten.
    old: HashMap<(u64, u64), (Time, Owner)>,
    most: usize,
}

impl Owners {
    pub fn new() -> Owners {
        Owners { recent: HashMap::new(), old: HashMap::new(), most: MOST }
    }

    pub fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.old.is_empty()
    }

    pub fn get(&mut self, file: &Identity) -> Option<Owner> {
        if let Some((born, owner)) = self.recent.get(&file.place) {
            return (*born == file.born).then_some(*owner);
        }
        if self.old.is_empty() {
            return None;
        }
        let (born, owner) = self.old.remove(&file.place)?;
        if born != file.born {
            return None;
        }
        self.set(file, Some(owner));
        Some(owner)
    }

    /// None: the file is its real owner's.
    pub fn set(&mut self, file: &Identity, owner: Option<Owner>) {
        let Some(owner) = owner else {
            self.recent.remove(&file.place);
            self.old.remove(&file.place);
            return;
        };
        if self.recent.len() >= self.most && !self.recent.contains_key(&file.place) {
            self.old = std::mem::take(&mut self.recent);
        }
        self.recent.insert(file.place, (file.born, owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64, nanoseconds: u32) -> Identity {
        Identity { place: (1, inode), born: Time { seconds: 1, nanoseconds } }
    }

    fn of(uid: u32) -> Option<Owner> {
        Some(Owner { uid, gid: 0, device: None })
    }

    #[test]
    fn an_inode_used_again_is_another_file() {
        let mut owners = Owners::new();
        owners.set(&file(5, 1), of(7));
        assert_eq!(owners.get(&file(5, 1)), of(7));
        assert_eq!(owners.get(&file(5, 2)), None);
        assert_eq!(owners.get(&file(6, 1)), None);
        owners.set(&file(5, 2), of(8));
        assert_eq!((owners.get(&file(5, 1)), owners.get(&file(5, 2))), (None, of(8)));
        owners.set(&file(5, 2), None);
        assert!(owners.is_empty());
    }

    #[test]
    fn what_is_not_looked_at_is_forgotten_first() {
        let mut owners = Owners { most: 10, ..Owners::new() };
        for inode in 0..1000 {
            owners.set(&file(inode, 0), of(1));
            assert_eq!(owners.get(&file(0, 0)), of(1), "after {inode}");
            assert!(owners.recent.len() <= 10 && owners.old.len() <= 10);
        }
        assert_eq!(owners.get(&file(999, 0)), of(1));
        assert_eq!(owners.get(&file(500, 0)), None);
    }
}
