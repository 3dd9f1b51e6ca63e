//! Refs: the names that images have here, one small file each.
//!
//! `refs/<domain>/<path>/_tags/<tag>` and `…/_digests/<hex>`. No path component of a
//! repository can begin with an underscore, so names and our own directories never meet.

use super::layers::write_through;
use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::reference::Reference;
use crate::json::json;
use crate::store::drafts::Draft;
use crate::store::{Store, sync_dir};
use crate::sys::fs;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// No repository path has more components: 255 characters hold 128 of them.
const DEPTH_MAX: usize = 129;

/// What a ref says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The name: a tag or a digest in a repository, not both.
    pub reference: Reference,
    /// The image id: the digest of its config.
    pub image: Digest,
    /// The digest of the manifest or index that the name stood for in the registry.
    pub digest: Digest,
    /// The platform that was asked for when it was pulled.
    pub platform: String,
}

/// The ref of this name; the digest decides where the reference has one.
pub fn read(store: &Store, reference: &Reference) -> Result<Option<Ref>> {
    let path = path(store, reference);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(Error::io(format_args!("read {}", path.display()), &error)),
    };
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    let digest = |name: &str| field(name).and_then(|text| Digest::parse(text).ok());
    let (Some(image), Some(digest)) = (digest("image"), digest("digest")) else {
        return Err(Error::new(format_args!("{} is damaged", path.display()))
            .hint(format_args!("remove it and pull {} again", reference.familiar())));
    };
    let platform = field("platform").unwrap_or_default().to_owned();
    Ok(Some(Ref { reference: name(reference), image, digest, platform }))
}

/// Makes or changes a ref.
pub fn write(store: &Store, entry: &Ref) -> Result<()> {
    let path = path(store, &entry.reference);
    let dir = path.parent().unwrap_or(store.root());
    let text = json!({
        "image": entry.image.to_string(),
        "digest": entry.digest.to_string(),
        "platform": entry.platform,
    });
    let draft = Draft::new(store)?;
    fs::mkdir_all(dir, 0o777).map_err(|error| error.renamed(format_args!("make the directory {}", dir.display())))?;
    write_through(&draft, &path, &text.to_string())?;
    sync_dir(dir)
}

/// Removes a ref, and the directories that it leaves empty.
pub fn remove(store: &Store, reference: &Reference) -> Result<()> {
    let path = path(store, reference);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::io(format_args!("remove {}", path.display()), &error));
        }
        _ => {}
    }
    let refs = store.root().join("refs");
    for dir in path.ancestors().skip(1).take_while(|dir| *dir != refs) {
        if std::fs::remove_dir(dir).is_err() {
            break;
        }
    }
    Ok(())
}

/// All refs by name, and what is damaged among them.
pub fn list(store: &Store) -> Result<(Vec<Ref>, Vec<Error>)> {
    let root = store.root().join("refs");
    let mut found = (Vec::new(), Vec::new());
    for domain in names(&root) {
        walk(store, &root.join(&domain), &mut vec![domain], &mut found);
    }
    crate::sort::by(&mut found.0, |a, b| a.reference.cmp(&b.reference));
    Ok(found)
}

fn walk(store: &Store, dir: &Path, components: &mut Vec<String>, found: &mut (Vec<Ref>, Vec<Error>)) {
    let repository = components.join("/");
    for name in names(dir) {
        let separator = match name.as_str() {
            "_tags" => ":",
            "_digests" => "@sha256:",
            _ if components.len() < DEPTH_MAX => {
                components.push(name.clone());
                walk(store, &dir.join(name), components, found);
                components.pop();
                continue;
            }
            _ => continue,
        };
        for file in names(&dir.join(&name)) {
            // A file that no ref could have made is not ours to judge.
            let Ok(reference) = Reference::parse(&format!("{repository}{separator}{file}")) else { continue };
            match read(store, &reference) {
                Ok(entry) => found.0.extend(entry),
                Err(error) => found.1.push(error),
            }
        }
    }
}

/// The names in a directory; none when it cannot be read or is no directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::entries(dir).unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.name.into_string().ok()).collect()
}

/// The reference as refs are named: by digest alone, or by tag.
fn name(reference: &Reference) -> Reference {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest),
        None => reference.with_tag(reference.tag().unwrap_or_default()),
    }
}

fn path(store: &Store, reference: &Reference) -> PathBuf {
    let repository = store.root().join("refs").join(reference.domain()).join(reference.path());
    match reference.digest() {
        Some(digest) => repository.join("_digests").join(digest.hex()),
        None => repository.join("_tags").join(reference.tag().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::TestStore;

    fn entry(name: &str) -> Ref {
        let reference = Reference::parse(name).unwrap();
        Ref { reference, image: Digest::of(b"i"), digest: Digest::of(b"d"), platform: "linux/amd64".into() }
    }

    #[test]
    fn refs_are_kept_by_name() {
        let store = TestStore::new();
        let pinned = format!("alpine@{}", Digest::of(b"d"));
        let all = ["alpine:3", "localhost:5000/a/b:x", "localhost:5000/a:x", &pinned];
        for name in all {
            write(&store, &entry(name)).unwrap();
        }
        let (found, damaged) = list(&store).unwrap();
        let shown: Vec<String> = found.iter().map(|entry| entry.reference.familiar()).collect();
        assert_eq!(shown, [&pinned, "alpine:3", "localhost:5000/a:x", "localhost:5000/a/b:x"]);
        assert!(damaged.is_empty());
        let both = Reference::parse(&format!("alpine:other@{}", Digest::of(b"d"))).unwrap();
        assert_eq!(read(&store, &both).unwrap().unwrap().image, Digest::of(b"i"));
        assert_eq!(read(&store, &Reference::parse("alpine").unwrap()).unwrap(), None);
        for name in all {
            remove(&store, &entry(name).reference).unwrap();
        }
        assert!(names(&store.root().join("refs")).is_empty());
    }

    #[test]
    fn a_damaged_ref_is_told_by_name_and_hides_no_other() {
        let store = TestStore::new();
        write(&store, &entry("alpine")).unwrap();
        for text in ["", "{", "[]", "{\"image\":7}", "\u{0}", "{\"image\":\"sha256:../..\",\"digest\":\"\"}"] {
            std::fs::write(store.root().join("refs/docker.io/library/alpine/_tags/bad"), text).unwrap();
            std::fs::write(store.root().join("refs/stray"), text).unwrap();
            let (found, damaged) = list(&store).unwrap();
            assert_eq!((found.len(), damaged.len()), (1, 1));
            assert!(damaged[0].to_string().contains("_tags/bad is damaged; remove it and pull alpine:bad again"));
        }
    }
}
