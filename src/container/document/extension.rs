//! ccrun's own properties: `ccrun`. They hold what `run` knows about a container and the specification cannot express.

use super::object::{Absolute, object, words};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;

object! {
    #[derive(Default)]
    pub struct Extension {
        id: Option<String> = "id",
        name: Option<String> = "name",
        /// The image, root file system or bundle, as the user named it.
        image: Option<String> = "image",
        image_id: Option<String> = "imageId",
        /// Where the root file system comes from; `root.path` itself if missing.
        root: Option<RootKind> = "root",
        /// Where the container's ids come from, if there is no `linux.uidMappings`.
        ids: Option<Ids> = "ids",
        /// `USER[:GROUP]`, looked up in the root file system, in place of `process.user`.
        user: Option<String> = "user",
        /// Names or numbers of additional groups.
        groups: Vec<String> = "groups",
        /// Whether it keeps the caller's groups.
        keep_groups: Option<bool> = "keepGroups",
        /// Descriptors 0, 1 and 2.
        stdio: Vec<Stdio> = "stdio",
        /// Whether keys go to the container's terminal.
        interactive: Option<bool> = "interactive",
        /// Whether stdin or a terminal was asked for.
        explicit: Option<bool> = "explicit",
        /// Whether ccrun is PID 1, with the command as its child.
        init: Option<bool> = "init",
        /// Whether ccrun makes /etc/hosts, /etc/hostname and /etc/resolv.conf.
        host_files: Option<bool> = "hostFiles",
        /// More about some of `mounts`, by destination.
        mounts: BTreeMap<String, MountExtension> = "mounts",
        /// Devices of the host to bind.
        devices: Vec<BoundDevice> = "devices",
        /// The source of the system call filter.
        seccomp: Option<SeccompSource> = "seccomp",
        /// Whether the bounding set also has capabilities that are newer than this program.
        all_capabilities: Option<bool> = "allCapabilities",
        privileged: Option<bool> = "privileged",
        /// The names in `linux.sysctl` that this kernel may lack.
        optional_sysctls: Vec<String> = "optionalSysctls",
        /// The parent of the container's cgroup, in place of `linux.cgroupsPath`.
        cgroup_parent: Option<OsString> = "cgroupParent",
        /// The limit of processes that is set where there is a cgroup, if `linux.resources` has none.
        default_pids: Option<i64> = "defaultPids",
        /// Whether to remove the container when it ends.
        remove: Option<bool> = "remove",
        /// Whether to print its resource use at its end.
        stats: Option<bool> = "stats",
        stop_signal: Option<String> = "stopSignal",
        /// What `inspect` shows, in Docker's words.
        inspect: Option<Value> = "inspect",
    }
    pub struct MountExtension {
        kind: MountKind = "kind",
        /// The name of a named volume.
        volume: Option<String> = "volume",
        /// Whether an empty volume is filled with the image's files.
        copy: Option<bool> = "copy",
    }
    pub struct BoundDevice {
        source: Absolute = "source",
        destination: Absolute = "destination",
    }
}

words! {
    pub enum RootKind("a kind of root file system") {
        Image = "image",
        /// A directory that is never written to.
        Covered = "covered",
        Host = "host",
    }
    pub enum Ids("an id map") {
        /// The store's ids, or a range of the container's own.
        Store = "store",
    }
    pub enum Stdio("a stream") {
        Null = "null",
        Inherit = "inherit",
        Pipe = "pipe",
        Terminal = "terminal",
    }
    pub enum SeccompSource("a source of a filter") {
        Default = "default",
        Unconfined = "unconfined",
        /// `linux.seccomp` is a profile in Docker's format.
        Profile = "profile",
    }
    pub enum MountKind("a kind of mount") {
        /// A bind with its owners mapped to the container's ids.
        Mapped = "mapped",
        Volume = "volume",
        /// One of the devices that every container has.
        Device = "device",
    }
}
