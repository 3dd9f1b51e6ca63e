//! What the user should know of a container's life and is no error. The words are the command line's business.

use crate::error::Error;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug)]
pub enum Notice {
    /// Memory swappiness was asked for, and no cgroup here has it.
    NoSwappiness,
    /// The container has no host ids of its own, for this reason if there is one.
    SharedIds(Option<Error>),
    /// The files of a directory cannot be shown under the container's ids, and are copied.
    Copied {
        path: PathBuf,
        error: Error,
    },
    /// They cannot be, and belong to nobody inside.
    Unmapped {
        path: PathBuf,
        error: Error,
    },
    /// Only those of the mounts below it cannot be.
    UnmappedBelow(PathBuf),
    /// There is no overlay on the store's file system, for this reason (errno): the files are copied.
    NoOverlay(i32),
    /// A device that nobody in the container can open.
    UselessDevice(PathBuf),
    /// What could not be written of the container's output.
    OutputLost(Error),
    /// What was to be written down or removed at its end could not be.
    Untidy(Error),
    OutOfMemory(OutOfMemory),
    Used(Used),
}

/// A process was ended because the container had reached its memory limit.
#[derive(Debug)]
pub struct OutOfMemory {
    /// In bytes.
    pub limit: u64,
    /// Whether all of the container was ended.
    pub is_whole: bool,
    pub biggest: Option<Biggest>,
}

/// The process that had the most memory.
#[derive(Debug)]
pub struct Biggest {
    /// Its name, and its number on the host.
    pub process: Option<(String, u32)>,
    pub bytes: u64,
}

/// What a container has used.
#[derive(Debug)]
pub struct Used {
    pub wall: Duration,
    pub cpu: Duration,
    /// In bytes.
    pub peak_memory: u64,
    /// Whether that is the container's, and not its biggest process's.
    pub is_of_container: bool,
}
