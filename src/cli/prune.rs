//! What every `prune` does: it asks, removes, and reports what is gone.

use super::args::{Flag, Parsed, switch};
use super::output::{self, units};
use super::{prompt, store};
use crate::container::supervisor;
use crate::error::Result;
use crate::image::local::prune::Pruned;
use crate::image::local::remove::Removed;
use crate::isolation::idmap::IdMap;
use crate::store::Store;

pub const FORCE: Flag = switch(Some('f'), "force", "Do not ask");

/// The filters of those that remove containers or images.
pub const FILTERS: &[&str] = &["label", "until"];

/// Asks, unless `--force` says not to. The answer is what comes on stdin, terminal or not.
pub fn confirm(parsed: &Parsed, warning: &str) -> Result<bool> {
    if parsed.is_on("force") {
        return Ok(true);
    }
    let answer = prompt::line(&format!("{warning}Are you sure you want to continue? [y/N] "))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// The store, with what killed commands have left in it removed as far as that can be.
pub fn look(parsed: &Parsed) -> Result<(Store, IdMap)> {
    let (store, map) = store::look(parsed)?;
    if let Err(error) = supervisor::sweep_all(&store) {
        output::complain(&error);
    }
    Ok((store, map))
}

/// What was removed: containers by id, or volumes by name.
#[derive(Default)]
pub struct Gone {
    pub names: Vec<String>,
    pub bytes: u64,
    /// Whether something could not be removed, of which the user has been told.
    pub failed: bool,
}

impl Gone {
    /// Removes one more, and counts the room that it took.
    pub fn add(&mut self, name: String, bytes: u64, removed: Result<()>) {
        match removed {
            Ok(()) => {
                self.bytes += bytes;
                self.names.push(name);
            }
            Err(error) => {
                output::complain(&error);
                self.failed = true;
            }
        }
    }

    /// As Docker reports it.
    pub fn report(&self, what: &str) -> String {
        if self.names.is_empty() { String::new() } else { format!("Deleted {what}:\n{}\n\n", self.names.join("\n")) }
    }
}

/// Reports what is gone, as Docker does; returns the exit status.
pub fn report(containers: &Gone, volumes: &Gone, images: &Pruned) -> Result<u8> {
    let mut text = containers.report("Containers") + &volumes.report("Volumes");
    if !images.removed.is_empty() {
        let line = |removed: &Removed| match removed {
            Removed::Untagged(reference) => format!("untagged: {}\n", reference.familiar()),
            Removed::Deleted(id) => format!("deleted: {id}\n"),
        };
        text += &format!("Deleted Images:\n{}\n", images.removed.iter().map(line).collect::<String>());
    }
    let bytes = containers.bytes + volumes.bytes + images.bytes;
    output::print(&(text + &format!("Total reclaimed space: {}\n", units::room(bytes))))?;
    Ok(u8::from(containers.failed || volumes.failed))
}
