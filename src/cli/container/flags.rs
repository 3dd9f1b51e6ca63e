//! The flags of a new container, each kind read and checked as Docker does.

pub mod block_io;
pub mod cidfile;
pub mod container;
pub mod csv;
pub mod device;
pub mod environment;
pub mod limits;
pub mod mount;
pub mod numbers;
pub mod operand;
pub mod process;
pub mod pull;
pub mod resources;
pub mod security;
pub mod streams;
pub mod ulimit;

use super::{explain, step};
use crate::cli::args::Flag;
use crate::cli::image::pull::JOBS;
use {
    block_io::*, container::*, environment::*, limits::*, mount::*, operand::*, process::*, pull::*, resources::*,
    security::*,
};

/// The flags of `ccrun run`, in the order of its help.
pub const OF_RUN: &[Flag] = &[
    // What it runs on.
    ROOTFS.flag,
    BUNDLE.flag,
    IMAGE.flag,
    PULL.flag,
    PLATFORM.flag,
    JOBS.flag,
    // The command.
    streams::INTERACTIVE.flag,
    streams::TTY.flag,
    ENV.flag,
    ENV_FILE.flag,
    WORKDIR.flag,
    USER.flag,
    GROUP_ADD.flag,
    // The container.
    NAME.flag,
    cidfile::CIDFILE.flag,
    HOSTNAME.flag,
    ENTRYPOINT.flag,
    RM.flag,
    // Its files.
    VOLUME.flag,
    MOUNT.flag,
    TMPFS.flag,
    READ_ONLY.flag,
    INIT.flag,
    NO_INIT.flag,
    NETWORK.flag,
    // Its limits.
    MEMORY.flag,
    MEMORY_SWAP.flag,
    MEMORY_RESERVATION.flag,
    MEMORY_SWAPPINESS.flag,
    CPUS.flag,
    CPU_SHARES.flag,
    CPU_QUOTA.flag,
    CPU_PERIOD.flag,
    CPUSET_CPUS.flag,
    CPUSET_MEMS.flag,
    PIDS_LIMIT.flag,
    BLKIO_WEIGHT.flag,
    BLKIO_WEIGHT_DEVICE.flag,
    DEVICE_READ_BPS.flag,
    DEVICE_WRITE_BPS.flag,
    DEVICE_READ_IOPS.flag,
    DEVICE_WRITE_IOPS.flag,
    OOM_SCORE_ADJ.flag,
    OOM_KILL_DISABLE.flag,
    SHM_SIZE.flag,
    CGROUP_PARENT.flag,
    STATS.flag,
    // What the command may do.
    CAP_ADD.flag,
    CAP_DROP.flag,
    PRIVILEGED.flag,
    SECURITY_OPT.flag,
    ulimit::ULIMIT.flag,
    device::DEVICE.flag,
    QUIET.flag,
    explain::FLAG.flag,
    step::FLAG.flag,
];
