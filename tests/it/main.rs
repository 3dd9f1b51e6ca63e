//! The integration tests: the built ccrun, run as a user would run it.
//!
//!     it [FILTER…]              runs the tests whose names hold one of the words
//!     it --without=NAME …       the same without the one of that name
//!     it --vm [FILTER…]         the same in a virtual machine: Alpine, cgroup v2 alone (tests/vm/run)
//!     it --list                 names them
//!     it --serve-registry       a registry with the fixtures as images, until it is killed
//!     it --measure PID COMMAND… what a command and a daemon (0: none) cost
//!     it --hub COMMAND [ARG…]   runs a command where Docker Hub's names lead to that registry (root)
//!
//! A static program, so that it can be copied beside ccrun to another machine.
//! $CCRUN_BIN names the ccrun to test, $CCRUN_FIXTURES the directory that
//! rootfs-fixtures/ made, $CCRUN_IT_MODES the users to test as (root,subuid,nosubuid).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hub;
mod image;
mod inside;
mod measure;
mod probe;
mod procs;
mod pty;
mod random;
mod registry;
mod runner;
mod sandbox;
mod serve;
mod sys;
mod tar;
mod users;

mod archives;
mod bundle;
mod check;
mod commands;
mod credentials;
mod emulation;
mod ending;
mod errors;
mod explain;
mod faults;
mod host_view;
mod hostile;
mod hub_pull;
mod isolation;
mod jobs;
mod judges;
mod layers;
mod lifecycle;
mod limits;
mod listing;
mod login;
mod mounts;
mod options;
mod owner;
mod packages;
mod places;
mod privileges;
mod pull;
mod ranges;
mod readme;
mod run;
mod saved;
mod seccomp;
mod stats;
mod step;
mod store;
mod streams;
mod threats;
mod tidy;
mod transport;
mod tty;
mod unpack;
mod vm;
mod volumes;

use runner::Case;
use std::process::ExitCode;

/// The slow ones first, so that nobody waits for them at the end.
const CASES: &[&[Case]] = &[
    vm::CASES,
    judges::CASES,
    judges::debian::CASES,
    privileges::docker::CASES,
    judges::walls::CASES,
    threats::CASES,
    threats::start::CASES,
    threats::mounts::CASES,
    threats::kernel::CASES,
    threats::neighbours::CASES,
    threats::unpack::CASES,
    threats::registry::CASES,
    faults::CASES,
    faults::kill::CASES,
    faults::archive::CASES,
    faults::disk::CASES,
    hostile::documents::CASES,
    hostile::layers::CASES,
    judges::distribution::CASES,
    layers::CASES,
    layers::configs::CASES,
    layers::roots::CASES,
    lifecycle::CASES,
    limits::CASES,
    limits::inside::CASES,
    limits::ends::CASES,
    limits::places::CASES,
    readme::CASES,
    run::CASES,
    owner::CASES,
    ending::CASES,
    saved::CASES,
    explain::CASES,
    step::CASES,
    bundle::CASES,
    isolation::CASES,
    ranges::CASES,
    mounts::CASES,
    host_view::CASES,
    packages::CASES,
    seccomp::CASES,
    emulation::CASES,
    options::CASES,
    privileges::CASES,
    privileges::in_force::CASES,
    tty::CASES,
    jobs::CASES,
    streams::CASES,
    places::CASES,
    pull::CASES,
    transport::CASES,
    transport::mirrors::CASES,
    commands::CASES,
    hub_pull::CASES,
    login::CASES,
    credentials::CASES,
    unpack::CASES,
    archives::CASES,
    archives::interop::CASES,
    archives::hostile::CASES,
    archives::tools::CASES,
    check::CASES,
    stats::CASES,
    store::disk::CASES,
    store::paths::CASES,
    store::removal::CASES,
    volumes::CASES,
    listing::CASES,
    listing::files::CASES,
    errors::CASES,
    tidy::CASES,
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let cases = || CASES.iter().copied().flatten();
    match args.first().map(String::as_str) {
        Some("--case") => runner::run_case(cases().find(|case| case.name() == args[1]).expect("a case of that name")),
        Some("--list") => {
            cases().for_each(|case| println!("{}", case.name()));
            ExitCode::SUCCESS
        }
        Some("--inside") => inside::run(&args[1..]),
        Some("--serve-registry") => serve::registry(&args[1..]),
        Some("--vm") => vm::guest::main(&args[1..]),
        Some("--measure") => measure::run(&args[1..]),
        Some("--hub") => serve::hub(&args[1..]),
        _ => runner::run_all(cases(), &args),
    }
}
