//! `ccrun run --bundle`: a container from an OCI bundle.

use super::{SHARED_NETWORK, init, start};
use crate::cli::args::{Flag, Parsed, one};
use crate::cli::container::flags::cidfile::CidFile;
use crate::cli::container::flags::streams::{Ids, Streams};
use crate::cli::container::shown;
use crate::cli::output::note;
use crate::cli::{names, store};
use crate::container::bundle::{Asked, Bundle};
use crate::error::{Error, Result};
use crate::isolation::network::Network;
use std::path::Path;

pub const FLAG: Flag = one(None, "bundle", "DIR", "Run the OCI bundle in DIR, as its config.json says (root only)");

/// What may be said beside it: all else stands in config.json.
const BESIDE: [&str; 10] = ["explain", "step", "bundle", "name", "cidfile", "rm", "stats", "init", "no-init", "quiet"];

pub fn run(parsed: &Parsed, dir: &Path) -> Result<u8> {
    if let Some((flag, _)) = parsed.in_order().find(|(flag, _)| !BESIDE.contains(flag)) {
        return Err(Error::new(format!("conflicting options: cannot specify both --bundle and --{flag}"))
            .hint("a bundle's config.json says it"));
    }
    if let Some(operand) = parsed.operands.first() {
        return Err(Error::new(format!("--bundle takes no command: {}", operand.to_string_lossy()))
            .hint("it stands in config.json, process.args"));
    }
    let name = parsed.text("name")?.map(names::check_container).transpose()?;
    let cidfile = CidFile::read(parsed)?;
    let bundle = Bundle::read(dir)?;
    let streams = Streams::without_terminal()?;
    let asked = Asked {
        id: names::random_id()?,
        name: name.map(str::to_owned).unwrap_or_default(),
        streams: streams.of_command(true, Ids { single: false, root: true }),
        init: init(parsed),
        remove: parsed.is_on("rm"),
        stats: parsed.is_on("stats"),
    };
    let mut spec = bundle.spec(asked, &mut note)?;
    let (store, map) = store::open(parsed)?;
    if !map.is_shifted() {
        return Err(Error::new("--bundle: only root of the host can run a bundle")
            .hint("the ids of its container are chosen by config.json, which takes root"));
    }
    if spec.name.is_empty() {
        spec.name = names::random_name(&store, &spec.id);
    }
    spec.shown = shown::of(parsed, &spec, &[], None)?;
    if spec.network == Network::Host {
        note(SHARED_NETWORK);
    }
    let searched = || format!("the command was looked for in the root file system of {}", bundle.dir().display());
    start(parsed, (&store, &map), &spec, None, cidfile.as_ref(), searched)
}
