//! A store for the unit tests, without a sandbox.

use super::{Sandbox, Sandboxed, Store};
use crate::error::{Error, Result};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A store in a directory of its own, which goes away with it.
pub struct TestStore {
    store: Store,
    root: PathBuf,
}

impl TestStore {
    pub fn new() -> TestStore {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ccrun-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = Store::prepare(&std::env::temp_dir().join(name)).unwrap();
        TestStore { store: Store::open(root.clone(), Box::new(NoWalls)), root }
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

struct NoWalls;

impl Sandbox for NoWalls {
    fn spawn(&self, dir: &Path, _: &mut dyn FnMut() -> Result<Vec<u8>>) -> Result<Sandboxed> {
        Err(Error::new(format_args!("no sandbox around {} in unit tests", dir.display())))
    }

    fn root_ids(&self) -> (u32, u32) {
        (crate::sys::cred::geteuid(), crate::sys::cred::getegid())
    }
}
