//! The kernel's parts of a container, one to a file, each a lesson: what it is,
//! why it is done in this order, and the man page to read on in.

pub mod capabilities;
pub mod cgroup;
pub mod devices;
pub mod emulation;
pub mod host_mounts;
pub mod host_view;
pub mod idmap;
pub mod kernel_log;
pub mod keyring;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod oom;
pub mod overlay;
pub mod own_file;
pub mod priority;
pub mod processes;
pub mod procfs;
pub mod ranges;
pub mod rlimit;
pub mod rootfs;
pub mod seccomp;
pub mod sysctl;
pub mod tty;
