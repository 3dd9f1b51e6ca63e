//! `ccrun run --bundle`: a container from an OCI bundle.

use super::{SHARED_NETWORK, start};
use crate::cli::args::Parsed;
use crate::cli::container::flags::cidfile::{CIDFILE, CidFile};
use crate::cli::container::flags::container::{BUNDLE, INIT, NAME, NO_INIT, RM, STATS, init};
use crate::cli::container::flags::pull::QUIET;
use crate::cli::container::flags::streams::{Ids, Streams};
use crate::cli::container::shown;
use crate::cli::container::{explain, step};
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

/// The flags that go with --bundle; config.json has everything else.
const BESIDE: [&str; 10] = [
    explain::FLAG.flag.long,
    step::FLAG.flag.long,
    BUNDLE.flag.long,
    NAME.flag.long,
    CIDFILE.flag.long,
    RM.flag.long,
    STATS.flag.long,
    INIT.flag.long,
    NO_INIT.flag.long,
    QUIET.flag.long,
];

pub fn run(parsed: &Parsed, dir: &Path) -> Result<u8> {
    if let Some(flag) = parsed.given().find(|flag| !BESIDE.contains(&flag.long)) {
        return Err(Error::new(format_args!("conflicting options: cannot specify both --bundle and --{}", flag.long))
            .hint("a bundle's config.json says it"));
    }
    if let Some(operand) = parsed.operands.first() {
        return Err(Error::new(format_args!("--bundle takes no command: {}", operand.to_string_lossy()))
            .hint("it stands in config.json, process.args"));
    }
    let name = parsed.get(NAME)?;
    let cidfile = CidFile::read(parsed)?;
    let mut bundle = Bundle::read(dir)?;
    let streams = Streams::without_terminal()?.of_command(true, Ids { single: false, root: true });
    let id = names::random_id()?;
    let image = bundle.dir().display().to_string();
    let ccrun = bundle.extension();
    ccrun.stdio = streams.map(stdio).to_vec();
    ccrun.init = init(parsed).or(ccrun.init);
    (ccrun.id, ccrun.image, ccrun.image_id) = (Some(id.clone()), Some(image), None);
    (ccrun.remove, ccrun.stats) = (Some(parsed.is_on(RM)), Some(parsed.is_on(STATS)));
    // Check it before opening the store, from which a name is taken below.
    bundle.spec()?;
    let (store, map) = store::open(parsed)?;
    if !map.is_shifted() {
        return Err(Error::new("--bundle: only root of the host can run a bundle")
            .hint("the ids of its container are chosen by config.json, which takes root"));
    }
    bundle.extension().name = Some(name.unwrap_or_else(|| names::random_name(&store, &id)));
    let (mut spec, unknown) = bundle.spec()?;
    for Unknown { capability } in unknown {
        note(&format!("process.capabilities: {capability} is unknown and left out"));
    }
    spec.shown = shown::of(parsed, &spec, &[], None)?;
    bundle.extension().inspect = Some(spec.shown.clone());
    if spec.network == Network::Host {
        note(SHARED_NETWORK);
    }
    let searched = || format!("the command was looked for in the root file system of {}", bundle.dir().display());
    start(parsed, (&store, &map), (&spec, bundle.document()), None, cidfile.as_ref(), searched)
}
