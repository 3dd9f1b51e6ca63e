//! `--user`, `--workdir` and other flags about the command.

use super::numbers::whole;
use super::{environment, ulimit};
use crate::cli::args::{Flag, Many, One, Parsed, Typed, many, one};
use crate::cli::container::request::Request;
use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::path::PathBuf;

pub const ENTRYPOINT: One = one(None, "entrypoint", "PROGRAM", "Run this in place of the image's entrypoint");
pub const WORKDIR: One = one(Some('w'), "workdir", "DIR", "Working directory in the container");
pub const USER: One = one(Some('u'), "user", "USER[:GROUP]", "Names or ids to run as");
pub const GROUP_ADD: Many =
    many(None, "group-add", "GROUP", "Name or id of one more group to be in, or keep-groups: the caller's own");

pub const OOM_SCORE_ADJ: Typed<i32> =
    one(None, "oom-score-adj", "NUMBER", "Whom the kernel ends first when out of memory, -1000 to 1000")
        .parsed_by(oom_score_adj);

pub fn read(parsed: &Parsed) -> Result<Request> {
    Ok(Request {
        command: Vec::new(),
        entrypoint: parsed.one(ENTRYPOINT).map(OsStr::to_owned),
        env: environment::read(parsed)?,
        workdir: parsed.one(WORKDIR).map(PathBuf::from),
        user: parsed.text(USER)?.map(str::to_owned),
        groups: parsed.texts(GROUP_ADD)?.into_iter().map(str::to_owned).collect(),
        ulimits: ulimit::read(parsed)?,
        oom_score_adj: parsed.get(OOM_SCORE_ADJ)?,
        ..Request::default()
    })
}

fn oom_score_adj(flag: &Flag, text: &str) -> Result<Option<i32>> {
    match whole(flag, text)? {
        None => Ok(None),
        Some(score @ -1000..=1000) => Ok(i32::try_from(score).ok()),
        Some(score) => Err(Error::new(format_args!("Invalid value {score}, range for oom score adj is [-1000, 1000]"))),
    }
}
