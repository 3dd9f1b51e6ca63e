//! The beginnings of blobs that did not come whole, kept for the next pull.
//!
//! `partial/<digest>` holds the bytes as they came. Whoever writes there holds a lock on the file.
//! Nothing here is trusted: what is made of it must have the right digest in the end. So
//! nothing is synced either, and every failure only means that there is nothing kept.
//! What would come again at once is not kept: to write it would take the disk's time from the layer.

use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;
use crate::store::Store;
use crate::store::locks::{self, Taken};
use crate::sys::fs;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where they are in the store.
const DIR: &str = "partial";
/// Smaller blobs come again as fast as they are read back.
const SIZE_MIN: u64 = 1 << 20;
/// After so many bytes we know how fast a blob comes,
const SAMPLE: usize = 512 << 10;
/// and to keep it must spare somebody more waiting than this.
const WAIT_MIN: Duration = Duration::from_secs(2);
/// The disk must have room for so many times the blob: most of it is for the files that are in it.
const ROOM: u64 = 6;
/// What nobody came back for.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is kept of one blob; ours to read and then to add to.
pub struct Partial {
    path: PathBuf,
    file: File,
    /// The size of the whole blob.
    size: u64,
    /// What came first, until we know whether it is worth to be kept.
    sample: Option<Vec<u8>>,
}

impl Partial {
    /// What is kept of a blob, which may be nothing yet. `None` when the blob is not worth it, the
    /// disk is short, or somebody else is at it.
    pub fn open(store: &Store, blob: &Descriptor) -> Option<Partial> {
        if blob.size < SIZE_MIN {
            return None;
        }
        store.dir(DIR).ok()?;
        let path = path(store, &blob.digest);
        let file = claim(&path)?;
        let kept = file.metadata().ok()?.len();
        let sample = (kept == 0).then(Vec::new);
        let partial = Partial { path, file, size: blob.size, sample };
        let room = fs::fstatfs(partial.file.as_fd()).ok()?.available;
        if kept > blob.size || room < blob.size.saturating_sub(kept).saturating_mul(ROOM) {
            partial.remove();
            return None;
        }
        Some(partial)
    }

    /// Reads on in what is kept; 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.file.read(buffer).unwrap_or(0)
    }

    /// Adds what has come, once all that is kept has been read; `waited` is how long we have waited for all of
    /// it. `None` when it is not worth it, or the disk is full: then all of it goes.
    pub fn append(mut self, bytes: &[u8], waited: Duration) -> Option<Partial> {
        let written = match &mut self.sample {
            None => self.file.write_all(bytes).is_ok(),
            Some(sample) => {
                sample.extend_from_slice(bytes);
                if sample.len() < SAMPLE {
                    return Some(self);
                }
                let size = self.size as f64 / sample.len() as f64;
                waited.as_secs_f64() * size > WAIT_MIN.as_secs_f64() && self.file.write_all(sample).is_ok()
            }
        };
        self.sample = None;
        if written {
            return Some(self);
        }
        self.remove();
        None
    }

    /// Forgets what is kept.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How many bytes are kept of a blob.
pub fn length(store: &Store, digest: &Digest) -> u64 {
    std::fs::metadata(path(store, digest)).map_or(0, |meta| meta.len())
}

/// Removes what nobody came back for within a day.
pub fn sweep(store: &Store) {
    let digests = store.names_in(DIR).unwrap_or_default().into_iter().filter_map(|name| Digest::from_hex(&name).ok());
    for path in digests.map(|digest| path(store, &digest)) {
        let modified = std::fs::symlink_metadata(&path).and_then(|meta| meta.modified()).ok();
        if modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > AGE_MAX)
            && let Some(_lock) = claim(&path)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn path(store: &Store, digest: &Digest) -> PathBuf {
    store.root().join(DIR).join(digest.hex())
}

/// The file with its lock; `None` when somebody else has it, or has removed it by then.
fn claim(path: &Path) -> Option<File> {
    match locks::take(path, libc::O_CREAT, libc::LOCK_EX | libc::LOCK_NB) {
        Ok(Taken::Ours(file)) => Some(file.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestStore;

    fn blob(size: u64) -> Descriptor {
        Descriptor::new("", Digest::of(b"blob"), size)
    }

    #[test]
    fn what_was_kept_is_read_and_added_to() {
        let store = TestStore::new();
        let blob = blob(SIZE_MIN);
        let slowly = WAIT_MIN;
        let first = vec![7; SAMPLE];
        let partial = Partial::open(&store, &blob).unwrap().append(&first, slowly).unwrap();
        assert_eq!(length(&store, &blob.digest), first.len() as u64);
        // One at a time.
        assert!(Partial::open(&store, &blob).is_none());
        drop(partial);
        let mut partial = Partial::open(&store, &blob).unwrap();
        let mut buffer = vec![0; SAMPLE + 1];
        assert_eq!(partial.read(&mut buffer), SAMPLE);
        assert_eq!(buffer[..SAMPLE], first);
        assert_eq!(partial.read(&mut buffer), 0);
        let partial = partial.append(b"de", Duration::ZERO).unwrap();
        assert_eq!(std::fs::read(&partial.path).unwrap(), [&first[..], b"de"].concat());
        partial.remove();
        assert_eq!(length(&store, &blob.digest), 0);
    }

    #[test]
    fn what_comes_at_once_is_not_kept() {
        let store = TestStore::new();
        let partial = Partial::open(&store, &blob(SIZE_MIN)).unwrap();
        let partial = partial.append(&vec![7; SAMPLE - 1], Duration::ZERO).unwrap();
        assert!(partial.append(b"x", Duration::from_millis(900)).is_none());
        assert!(!path(&store, &blob(0).digest).exists());
    }

    #[test]
    fn what_cannot_be_is_dropped() {
        let store = TestStore::new();
        assert!(Partial::open(&store, &blob(SIZE_MIN - 1)).is_none());
        assert!(Partial::open(&store, &blob(u64::MAX)).is_none());
        // Longer than the blob.
        let path = path(&store, &blob(0).digest);
        File::create(&path).unwrap().set_len(SIZE_MIN + 1).unwrap();
        assert!(Partial::open(&store, &blob(SIZE_MIN)).is_none());
        assert!(!path.exists());
    }

    #[test]
    fn only_what_is_old_and_nobodys_is_swept() {
        let store = TestStore::new();
        let dir = store.dir(DIR).unwrap();
        let path = |name: &str| dir.join(Digest::of(name.as_bytes()).hex());
        let file = |name: &str, age: u64| {
            let file = File::create(path(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
            file
        };
        file("new", 0);
        file("old", 25 * 3600);
        let busy = file("busy", 25 * 3600);
        fs::flock(busy.as_fd(), libc::LOCK_EX).unwrap();
        sweep(&store);
        assert!(path("new").exists() && path("busy").exists() && !path("old").exists());
        // What has no digest for a name is not ours.
        std::fs::rename(path("new"), dir.join("letter")).unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(25 * 3600);
        File::options().write(true).open(dir.join("letter")).unwrap().set_modified(old).unwrap();
        sweep(&store);
        assert!(dir.join("letter").exists());
    }
}
