//! `--pull`, `--platform` and `--quiet`: how to get the image of a new container.

use crate::cli::args::{Flag, Parsed, Switch, Typed, one, switch};
use crate::cli::image::pull::{self, jobs, platform};
use crate::error::{Error, Result};
use crate::image::local::images::{Image, not_found};
use crate::image::platform::Platform;
use crate::store::Store;

pub const PULL: Typed<When> =
    one(None, "pull", "WHEN", "Pull the image: always, missing (default) or never").parsed_by(when);
pub const PLATFORM: Typed<Platform> = platform("Platform of the image, if it is not this machine's");
pub const QUIET: Switch = switch(Some('q'), "quiet", "Do not show the progress of a pull");

/// When to pull an image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    Missing,
    Never,
}

fn when(_: &Flag, text: &str) -> Result<Option<When>> {
    match text {
        "always" => Ok(Some(When::Always)),
        "missing" => Ok(Some(When::Missing)),
        "never" => Ok(Some(When::Never)),
        _ => Err(Error::new(format_args!(
            "invalid pull option: '{text}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

/// How to find an image.
pub struct Pull {
    platform: Option<Platform>,
    jobs: usize,
    when: When,
    quiet: bool,
}

impl Pull {
    pub fn read(parsed: &Parsed) -> Result<Pull> {
        Ok(Pull {
            platform: parsed.get(PLATFORM)?,
            jobs: jobs(parsed)?,
            when: parsed.get(PULL)?.unwrap_or(When::Missing),
            quiet: parsed.is_on(QUIET),
        })
    }

    /// Finds the image in the store, or pulls it.
    pub fn image(&self, store: &Store, word: &str) -> Result<Image> {
        let platform = self.platform.as_ref();
        let here = if self.when == When::Always { None } else { pull::find(store, word, platform)? };
        if let Some(image) = here {
            return Ok(image);
        }
        if self.when == When::Never {
            return Err(not_found(word).hint("--pull=never forbids to fetch it"));
        }
        pull::for_run(store, word, platform, self.jobs, self.quiet)
    }
}
