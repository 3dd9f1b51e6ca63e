//! `ccrun inspect`: things of all kinds.

use crate::cli::args::{Command, one};
use crate::cli::container::inspect as container;
use crate::cli::image::inspect as image;
use crate::cli::inspect::{FORMAT, inspect};
use crate::cli::volume::inspect as volume;
use crate::error::{Error, Result};
use crate::image::local::images;
use crate::store::Store;
use serde_json::Value;

pub static COMMAND: Command =
    Command {
        name: "inspect",
        usage: "[OPTIONS] NAME|ID [NAME|ID...]",
        summary: "Tell all about containers, images and volumes",
        flags: &[
            FORMAT,
            container::SECURITY,
            container::SIZE,
            one(None, "type", "TYPE", "Look only for a container, an image or a volume"),
        ],
        operands: (1, usize::MAX),
        runs_program: false,
        failure: 1,
        run: |parsed| match parsed.text("type")? {
            None | Some("" | "container") if parsed.is_on("security") => {
                inspect(parsed, &container::in_force, &container::missing)
            }
            None | Some("") => inspect(parsed, &any, &container::missing),
            Some("container") => inspect(parsed, &container::find, &container::missing),
            Some("image") if parsed.is_on("security") => {
                Err(Error::new("--security tells of running containers, not of images"))
            }
            Some("image") => inspect(parsed, &image::find, &images::not_found),
            Some("volume") => inspect(parsed, &volume::describe, &volume::missing),
            Some(other) => Err(Error::new(format_args!("\"{other}\" is not a valid value for --type"))
                .hint("container, image or volume")),
        },
    };

/// A container or else an image or a volume.
fn any(store: &Store, word: &str) -> Result<Option<Value>> {
    if let Ok(id) = store.find_container(word) {
        return container::describe(store, &id).map(Some);
    }
    match image::find(store, word) {
        Ok(None) => volume::describe(store, word),
        Err(error) => volume::describe(store, word)?.map_or(Err(error), |volume| Ok(Some(volume))),
        found => found,
    }
}
