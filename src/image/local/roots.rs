//! What layers say about their roots, which older versions of ccrun did not note.

use super::layers::{self, LayerDraft, note_root, noted_root, record_path};
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::layer::{Root, reread_root};
use crate::store::Store;
use crate::store::drafts::Draft;
use crate::sys::fs;
use std::fs::File;
use std::os::fd::AsFd;

/// What a layer says about its root. One that ccrun 0.3 unpacked is brought up to date.
pub fn of(store: &Store, diff_id: &Digest) -> Result<Root> {
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
    let sandboxed = store.sandbox().spawn(&layers::path(store, diff_id), &mut || {
        let root = fs::open(c"/", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        let reread = record.as_ref().and_then(|record| reread_root(record, root.as_fd()).ok());
        let found = reread.map_or_else(|| Root::of_directory(root.as_fd()), Ok)?;
        Ok(found.to_string().into_bytes())
    })?;
    let text = String::from_utf8(sandboxed.wait()?).unwrap_or_default();
    let root = text.parse().map_err(|()| Error::new(format!("layer {}: '{text}' is no root", diff_id.short())))?;
    note_root(&draft, store, diff_id, &root)?;
    Ok(root)
}
