//! Layers: one directory each by diff id, shared by all images, never changed.
//!
//! Beside `layers/<diff id>/` lie `<diff id>.json`, notes of what is in it and what could not be kept,
//! `<diff id>.root`, a symbolic link whose text is what the layer says about its root ([`Root`]), and
//! `<diff id>.record`: all of the layer's tar but the bodies of its files (see [`super::rebuild`]).

use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::layer::{Root, reread_root};
use crate::json::json;
use crate::store::drafts::Draft;
use crate::store::locks::{self, Taken};
use crate::store::sweep::Gone;
use crate::store::{Store, sync_dir};
use crate::sys::{cstr, fs, process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where a layer's files are.
pub fn path(store: &Store, diff_id: &Digest) -> PathBuf {
    store.root().join("layers").join(diff_id.hex())
}

/// Whether a layer is here; if it is, it is whole.
pub fn exists(store: &Store, diff_id: &Digest) -> bool {
    path(store, diff_id).is_dir()
}

/// The diff ids of all layers that are here.
pub fn ids(store: &Store) -> Result<Vec<Digest>> {
    Ok(store.names_in("layers")?.iter().filter_map(|name| Digest::from_hex(name).ok()).collect())
}

/// What is noted beside a layer; nothing depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// How many bytes the files hold.
    pub size: u64,
    /// The length of the whole tar.
    pub stream: u64,
    /// Entries whose owner, device or xattrs this machine could not keep.
    pub owners_lost: u64,
    pub devices_lost: u64,
    pub xattrs_lost: u64,
}

impl Notes {
    /// The notes of a layer; zeros where there is none.
    pub fn read(store: &Store, diff_id: &Digest) -> Notes {
        let notes = std::fs::read(notes_path(store, diff_id)).unwrap_or_default();
        let value: Value = serde_json::from_slice(&notes).unwrap_or_default();
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
        Notes {
            size: number("size"),
            stream: number("stream"),
            owners_lost: number("ownersLost"),
            devices_lost: number("devicesLost"),
            xattrs_lost: number("xattrsLost"),
        }
    }

    /// Counts another layer in.
    pub fn add(&mut self, other: &Notes) {
        self.size += other.size;
        self.stream += other.stream;
        self.owners_lost += other.owners_lost;
        self.devices_lost += other.devices_lost;
        self.xattrs_lost += other.xattrs_lost;
    }

    fn text(&self) -> String {
        json!({
            "size": self.size,
            "stream": self.stream,
            "ownersLost": self.owners_lost,
            "devicesLost": self.devices_lost,
            "xattrsLost": self.xattrs_lost,
        })
        .to_string()
    }
}

/// Where a layer's record is.
pub(super) fn record_path(store: &Store, diff_id: &Digest) -> PathBuf {
    store.root().join("layers").join(format!("{}.record", diff_id.hex()))
}

fn notes_path(store: &Store, diff_id: &Digest) -> PathBuf {
    store.root().join("layers").join(format!("{}.json", diff_id.hex()))
}

fn root_path(store: &Store, diff_id: &Digest) -> PathBuf {
    store.root().join("layers").join(format!("{}.root", diff_id.hex()))
}

/// What is noted of a layer's root, if anything is.
pub(super) fn noted_root(store: &Store, diff_id: &Digest) -> Option<Root> {
    std::fs::read_link(root_path(store, diff_id)).ok()?.to_str()?.parse().ok()
}

pub(super) fn note_root(draft: &Draft<'_>, store: &Store, diff_id: &Digest, root: &Root) -> Result<()> {
    let (half, path) = (draft.path().join("link"), root_path(store, diff_id));
    std::os::unix::fs::symlink(root.to_string(), &half)
        .and_then(|()| std::fs::rename(&half, &path))
        .map_err(|error| Error::io(format_args!("make the link {}", path.display()), &error))
}

/// A layer that is being made.
pub struct LayerDraft<'s> {
    store: &'s Store,
    draft: Draft<'s>,
    diff_id: Digest,
}

impl<'s> LayerDraft<'s> {
    /// Begins to make a layer; waits when another process is at it. `None` when it is there (by then).
    pub fn begin(store: &'s Store, diff_id: &Digest) -> Result<Option<LayerDraft<'s>>> {
        if exists(store, diff_id) {
            return Ok(None);
        }
        let draft = Draft::named(store, &LayerDraft::name(diff_id))?;
        let draft = LayerDraft { store, draft, diff_id: *diff_id };
        Ok(Some(draft).filter(|_| !exists(store, diff_id)))
    }

    /// What a layer's draft is called in `tmp/`.
    pub fn name(diff_id: &Digest) -> String {
        format!("layer-{}", diff_id.hex())
    }

    /// The directory to unpack into.
    pub fn root(&self) -> PathBuf {
        self.draft.path().join("root")
    }

    /// A file for what the unpacker has to say.
    pub fn answer(&self) -> PathBuf {
        self.draft.path().join("answer")
    }

    /// A file for the record.
    pub fn record(&self) -> PathBuf {
        self.draft.path().join("record")
    }

    /// Makes the directory to unpack into; what an earlier try has left there goes.
    /// It belongs to container root, which fills it in the sandbox.
    pub fn clear(&self) -> Result<()> {
        let root = self.root();
        self.store.remove_tree(&root)?;
        let made = fs::mkdir(&root, 0o755).and_then(|()| fs::fchmodat(fs::CWD, &cstr(&root)?, 0o755));
        made.map_err(|error| error.renamed(format_args!("make the directory {}", root.display())))?;
        self.store.give_to_root(&root)
    }

    /// Keeps what was unpacked in a draft of this process alone, and gives the layer up to whoever waits for it.
    pub fn put_aside(self) -> Result<Draft<'s>> {
        let aside = Draft::named(self.store, &format!("{}-{}", LayerDraft::name(&self.diff_id), process::getpid()))?;
        for path in [self.root(), self.record()] {
            move_dir(&path, &aside.path().join(path.file_name().unwrap_or_default()))?;
        }
        Ok(aside)
    }

    /// Goes on with what was put aside.
    pub fn take_back(&self, aside: &Draft<'_>) -> Result<()> {
        self.store.remove_tree(&self.root())?;
        for path in [self.root(), self.record()] {
            move_dir(&aside.path().join(path.file_name().unwrap_or_default()), &path)?;
        }
        Ok(())
    }

    /// Makes the layer visible, which the caller has verified.
    pub fn publish(self, notes: &Notes, told: &Root) -> Result<()> {
        let root = self.root();
        // 1. All of it reaches the disk before its name does.
        let opened = fs::open(&cstr(&root)?, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
        fs::syncfs(opened.as_fd())?;
        // 2. What lies beside it is worth nothing without the layer, so it may come first.
        let layers = self.store.dir("layers")?;
        let (from, to) = (self.record(), record_path(self.store, &self.diff_id));
        std::fs::rename(&from, &to).map_err(|error| Error::io(format_args!("rename {}", from.display()), &error))?;
        write_through(&self.draft, &notes_path(self.store, &self.diff_id), &notes.text())?;
        note_root(&self.draft, self.store, &self.diff_id, told)?;
        // 3. The layer itself.
        move_dir(&root, &path(self.store, &self.diff_id))?;
        sync_dir(&layers)
    }
}

/// Whether a process has put the layer aside, and will go on with it.
pub fn is_aside(store: &Store, diff_id: &Digest) -> bool {
    let prefix = format!("{}-", LayerDraft::name(diff_id));
    let drafts = store.names_in("tmp").unwrap_or_default();
    let is_held =
        |name| locks::take(&store.root().join("tmp").join(name).join("lock"), 0, libc::LOCK_SH | libc::LOCK_NB);
    drafts.into_iter().any(|name| name.starts_with(&prefix) && matches!(is_held(name), Ok(Taken::Theirs)))
}

/// Writes a small file whole or not at all; the caller syncs its directory.
pub fn write_through(draft: &Draft<'_>, path: &Path, text: &str) -> Result<()> {
    fs::replace_file(path, &draft.path().join("file"), text.as_bytes(), 0o666, &fs::fsync)
}

/// Renames a directory of container root's into another directory. That writes its `..`, which
/// needs write permission on the directory itself, and `/` is mode 0555 in many an image.
fn move_dir(from: &Path, to: &Path) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::io(format_args!("rename {} to {}", from.display(), to.display()), &error);
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        other => return other.map_err(failed),
    }
    let mode = std::fs::symlink_metadata(from).map_err(failed)?.permissions();
    std::fs::set_permissions(from, Permissions::from_mode(0o755)).map_err(failed)?;
    std::fs::rename(from, to).map_err(failed)?;
    std::fs::set_permissions(to, mode).map_err(failed)
}

/// What a layer says about its root. One that ccrun 0.3 unpacked is brought up to date.
pub fn root_of(store: &Store, diff_id: &Digest) -> Result<Root> {
    noted_root(store, diff_id).map_or_else(|| upgrade(store, diff_id), Ok)
}

/// Finds out from a layer's record what it says about its root, and notes it. Containers may run on the layer: no file
/// of it changes.
fn upgrade(store: &Store, diff_id: &Digest) -> Result<Root> {
    let draft = Draft::named(store, &LayerDraft::name(diff_id))?;
    // Another process may have been faster.
    if let Some(root) = noted_root(store, diff_id) {
        return Ok(root);
    }
    let record = File::open(record_path(store, diff_id)).ok();
    let sandboxed = store.sandbox().spawn(&path(store, diff_id), &mut || {
        let root = fs::open(c"/", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        let reread = record.as_ref().and_then(|record| reread_root(record, root.as_fd()).ok());
        let found = reread.map_or_else(|| Root::of_directory(root.as_fd()), Ok)?;
        Ok(found.to_string().into_bytes())
    })?;
    let text = String::from_utf8(sandboxed.wait()?).unwrap_or_default();
    let root = text.parse().map_err(|()| Error::new(format_args!("layer {}: '{text}' is no root", diff_id.short())))?;
    note_root(&draft, store, diff_id, &root)?;
    Ok(root)
}

/// Takes layers out of sight. The caller holds the exclusive lock and knows that no image and
/// no container uses them. Their files go when what this gives is dropped, which needs no lock.
pub fn take_away<'s>(store: &'s Store, diff_ids: &BTreeSet<Digest>) -> Result<Vec<Gone<'s>>> {
    let mut gone = Vec::new();
    for diff_id in diff_ids {
        gone.push(store.put_away(&path(store, diff_id))?);
        let _ = std::fs::remove_file(notes_path(store, diff_id));
        let _ = std::fs::remove_file(record_path(store, diff_id));
        let _ = std::fs::remove_file(root_path(store, diff_id));
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestStore;

    #[test]
    fn a_layer_is_visible_when_it_is_whole() {
        let store = TestStore::new();
        let id = Digest::of(b"layer");
        let draft = LayerDraft::begin(&store, &id).unwrap().unwrap();
        draft.clear().unwrap();
        std::fs::write(draft.root().join("file"), "x").unwrap();
        draft.clear().unwrap();
        assert!(!exists(&store, &id));
        std::fs::set_permissions(draft.root(), Permissions::from_mode(0o555)).unwrap();
        std::fs::write(draft.record(), "").unwrap();
        let told = Root { opaque: true, ..Root::default() };
        draft.publish(&Notes { size: 7, ..Notes::default() }, &told).unwrap();
        assert!(exists(&store, &id) && Notes::read(&store, &id).size == 7);
        assert_eq!(root_of(&store, &id).unwrap(), told);
        assert_eq!(std::fs::metadata(path(&store, &id)).unwrap().permissions().mode() & 0o777, 0o555);
        assert!(LayerDraft::begin(&store, &id).unwrap().is_none());
        drop(take_away(&store, &BTreeSet::from([id])).unwrap());
        assert!(!exists(&store, &id) && Notes::read(&store, &id).size == 0);
        assert_eq!(std::fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(store.root().join("layers")).unwrap().count(), 0);
    }
}
