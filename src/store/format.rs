//! The store's format: a number that grows whenever an older ccrun would misread what a newer one has written.
//!
//! It is the text of a symbolic link, `format`, so that each start reads it in one system call. The parts of an older
//! store are brought up to date one by one, when they are used.

use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::Path;

/// 1: ccrun up to 0.3, which wrote no number.
/// 2: what a layer says about its root lies beside the layer.
const FORMAT: u32 = 2;

/// Marks a store without a number as ours.
pub fn mark(root: &Path) {
    // Nothing depends on it yet, and a full disk locks nobody out.
    let _ = std::os::unix::fs::symlink(FORMAT.to_string(), root.join("format"));
}

/// Refuses a store of a newer ccrun. Returns whether it has a number, and writes nothing.
pub fn is_marked(root: &Path) -> Result<bool> {
    let path = root.join("format");
    let damaged =
        || Error::new(format_args!("{} is damaged", path.display())).hint(format_args!("it is a link to {FORMAT}"));
    match std::fs::read_link(&path) {
        Ok(text) => match text.to_str().and_then(|text| text.parse::<u32>().ok()).ok_or_else(damaged)? {
            ..=FORMAT => Ok(true),
            newer => {
                Err(Error::new(format_args!("store {} was made by a newer ccrun (format {newer})", root.display()))
                    .hint(format_args!(
                        "this one knows formats up to {FORMAT}: use the newer one, or another store with --root"
                    )))
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(damaged()),
        Err(error) => Err(Error::io(format_args!("read {}", path.display()), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestStore;
    use super::*;

    #[test]
    fn only_a_newer_store_is_refused() {
        let store = TestStore::new();
        let path = store.root().join("format");
        let with = |text: &str| {
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(text, &path).unwrap();
            is_marked(store.root()).map_err(|error| error.to_string())
        };
        assert!(with("1").is_ok() && with("2").is_ok());
        assert!(with("3").unwrap_err().contains("was made by a newer ccrun (format 3)"));
        assert!(with("x").unwrap_err().contains("format is damaged"));
        std::fs::remove_file(&path).unwrap();
        assert!(!is_marked(store.root()).unwrap());
        mark(store.root());
        assert!(is_marked(store.root()).unwrap() && std::fs::read_link(&path).unwrap() == Path::new("2"));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "2").unwrap();
        assert!(is_marked(store.root()).unwrap_err().to_string().contains("format is damaged"));
    }
}
