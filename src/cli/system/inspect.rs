//! `ccrun inspect`: things of all kinds.

use crate::cli::args::{Command, One, one};
use crate::cli::container::inspect::{self as container, SECURITY, SIZE};
use crate::cli::image::inspect as image;
use crate::cli::inspect::{FORMAT, inspect};
use crate::cli::volume::inspect as volume;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::store::Store;
use serde_json::Value;

const TYPE: One = one(None, "type", "TYPE", "Look only for a container, an image or a volume");

pub static COMMAND: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    summary: "Tell all about containers, images and volumes",
    flags: &[FORMAT.flag, SECURITY.flag, SIZE.flag, TYPE.flag],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run: |parsed| match parsed.text(TYPE)? {
        None | Some("" | "container") if parsed.is_on(SECURITY) => {
            inspect(parsed, &container::in_force, &container::missing)
        }
        None | Some("") => inspect(parsed, &|store, word| any(store, word, parsed.is_on(SIZE)), &container::missing),
        Some("container") => {
            inspect(parsed, &|store, word| container::find(store, word, parsed.is_on(SIZE)), &container::missing)
        }
        Some("image") if parsed.is_on(SECURITY) => {
            Err(Error::new("--security tells of running containers, not of images"))
        }
        Some("image") => inspect(parsed, &image::find, &images::not_found),
        Some("volume") => inspect(parsed, &volume::describe, &volume::missing),
        Some(other) => {
            Err(Error::new(format_args!("\"{other}\" is not a valid value for --type"))
                .hint("container, image or volume"))
        }
    },
};

/// A container or else an image or a volume.
fn any(store: &Store, word: &str, size: bool) -> Result<Option<Value>> {
    if let Ok(id) = store.find_container(word) {
        return container::describe(store, &id, size).map(Some);
    }
    match image::find(store, word) {
        Ok(None) => volume::describe(store, word),
        Err(error) => volume::describe(store, word)?.map_or(Err(error), |volume| Ok(Some(volume))),
        found => found,
    }
}
