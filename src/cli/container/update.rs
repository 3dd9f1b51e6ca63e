//! `ccrun update`: changes the limits of running containers.

use super::flags::limits::{self, *};
use crate::cli::args::{Command, Parsed};
use crate::cli::store;
use crate::cli::words::{self, Outcome};
use crate::error::{Error, Result};
use crate::isolation::cgroup::limits::PERIOD;
use crate::isolation::cgroup::{Cgroup, Limits};
use crate::store::Store;

pub static COMMAND: Command = Command {
    name: "update",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Change the limits of containers that run",
    flags: &[
        MEMORY.flag,
        MEMORY_SWAP.flag,
        MEMORY_RESERVATION.flag,
        CPUS.flag,
        CPU_SHARES.flag,
        CPU_QUOTA.flag,
        CPU_PERIOD.flag,
        CPUSET_CPUS.flag,
        CPUSET_MEMS.flag,
        PIDS_LIMIT.flag,
        BLKIO_WEIGHT.flag,
    ],
    operands: (1, usize::MAX),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    let mut limits = limits::read(parsed)?;
    if limits == Limits::default() {
        return Err(
            Error::new("you must provide one or more flags when using this command").hint("see 'ccrun update --help'")
        );
    }
    // --cpus sets a quota for the default period, whatever the container's period was.
    if parsed.get(CPUS)?.is_some() {
        limits.cpu.period = limits.cpu.quota.map(|_| PERIOD);
    }
    let (store, _) = store::look_swept(parsed)?;
    words::each(parsed, |word| update(&store, word, &limits).map(|()| Outcome::Done(format!("{word}\n"))))
}

fn update(store: &Store, word: &str, limits: &Limits) -> Result<()> {
    let id = store.find_container(word)?;
    let cannot = |error: Error| error.context(format_args!("Cannot update container {word}"));
    let state = store.state(&id)?;
    if !state.is_running() {
        return Err(cannot(Error::new(format_args!("Container {id} is not running"))));
    }
    let group = Cgroup::from_paths(state.cgroup);
    if group.is_none() {
        return Err(cannot(
            Error::new("it was started without a cgroup, so that nothing limits it")
                .hint("'ccrun check' tells what is missing for one"),
        ));
    }
    group.update(limits).map_err(cannot)
}
