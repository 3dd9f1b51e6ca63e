//! `ccrun run --bundle`: a container from an OCI bundle.

use super::{SHARED_NETWORK, init, start};
use crate::cli::args::{Flag, Parsed, one};
use crate::cli::container::flags::cidfile::CidFile;
use crate::cli::container::flags::streams::{Ids, Streams};
use crate::cli::container::shown;
use crate::cli::output::note;
use crate::cli::{names, store};
use crate::container::bundle::Bundle;
use crate::container::document::Stdio;
use crate::container::spec::Stream;
use crate::container::spec::read::Unknown;
use crate::error::{Error, Result};
use crate::isolation::network::Network;
use std::path::Path;

fn stdio(stream: Stream) -> Stdio {
    match stream {
        Stream::Null => Stdio::Null,
        Stream::Inherit => Stdio::Inherit,
        Stream::Pipe => Stdio::Pipe,
        Stream::Terminal => Stdio::Terminal,
    }
}

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
    let mut bundle = Bundle::read(dir)?;
    let streams = Streams::without_terminal()?.of_command(true, Ids { single: false, root: true });
    let id = names::random_id()?;
    let image = bundle.dir().display().to_string();
    let own = bundle.own();
    own.stdio = streams.map(stdio).to_vec();
    own.init = init(parsed).or(own.init);
    (own.id, own.image, own.image_id) = (Some(id.clone()), Some(image), None);
    (own.remove, own.stats) = (Some(parsed.is_on("rm")), Some(parsed.is_on("stats")));
    // It is checked before there is a store, which names are taken from.
    bundle.spec()?;
    let (store, map) = store::open(parsed)?;
    if !map.is_shifted() {
        return Err(Error::new("--bundle: only root of the host can run a bundle")
            .hint("the ids of its container are chosen by config.json, which takes root"));
    }
    bundle.own().name = Some(name.map_or_else(|| names::random_name(&store, &id), str::to_owned));
    let (mut spec, unknown) = bundle.spec()?;
    for Unknown { capability } in unknown {
        note(&format!("process.capabilities: {capability} is unknown and left out"));
    }
    spec.shown = shown::of(parsed, &spec, &[], None)?;
    bundle.own().inspect = Some(spec.shown.clone());
    if spec.network == Network::Host {
        note(SHARED_NETWORK);
    }
    let searched = || format!("the command was looked for in the root file system of {}", bundle.dir().display());
    start(parsed, (&store, &map), (&spec, bundle.document()), None, cidfile.as_ref(), searched)
}
