//! What is ccrun's own: `ccrun`. What `run` knows of a container and the specification has no word for.

use super::object::{Absolute, object, words};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;

object! {
    #[derive(Default)]
    pub struct Extension {
        id: Option<String> = "id",
        name: Option<String> = "name",
        /// What the user called the image, the root file system or the bundle.
        image: Option<String> = "image",
        image_id: Option<String> = "imageId",
        /// Where the root file system comes from; `root.path` itself if nothing is said.
        root: Option<RootKind> = "root",
        /// Whose ids the container has, where there is no `linux.uidMappings`.
        ids: Option<Ids> = "ids",
        /// `USER[:GROUP]`, looked up in the root file system, in place of `process.user`.
        user: Option<String> = "user",
        /// Names or numbers of groups beside it.
        groups: Vec<String> = "groups",
        /// Whether it keeps the caller's groups.
        keep_groups: Option<bool> = "keepGroups",
        /// Descriptors 0, 1 and 2.
        stdio: Vec<Stdio> = "stdio",
        /// Whether somebody is to type.
        interactive: Option<bool> = "interactive",
        /// Whether stdin or a terminal was asked for.
        explicit: Option<bool> = "explicit",
        /// Whether ccrun is PID 1, and the process its child.
        init: Option<bool> = "init",
        /// Whether ccrun makes /etc/hosts, /etc/hostname and /etc/resolv.conf.
        host_files: Option<bool> = "hostFiles",
        /// What is to be known of some of `mounts`, by destination.
        mounts: BTreeMap<String, MountExtension> = "mounts",
        /// Devices of the host's that are bound.
        devices: Vec<BoundDevice> = "devices",
        /// What `linux.seccomp` is, or what is in its place.
        seccomp: Option<SeccompSource> = "seccomp",
        /// Whether the bounding set has capabilities, too, that are newer than this program.
        all_capabilities: Option<bool> = "allCapabilities",
        privileged: Option<bool> = "privileged",
        /// Those of `linux.sysctl` that this kernel may lack.
        optional_sysctls: Vec<String> = "optionalSysctls",
        /// The group below which the container's is made, in place of `linux.cgroupsPath`.
        cgroup_parent: Option<OsString> = "cgroupParent",
        /// The limit of processes that is set where there is a cgroup, if `linux.resources` has none.
        default_pids: Option<i64> = "defaultPids",
        /// Whether nothing is kept after its end.
        remove: Option<bool> = "remove",
        /// Whether its use is told at its end.
        stats: Option<bool> = "stats",
        stop_signal: Option<String> = "stopSignal",
        /// What `inspect` shows, in Docker's words.
        inspect: Option<Value> = "inspect",
    }
    pub struct MountExtension {
        kind: MountKind = "kind",
        /// Its name, if it is a volume that has one.
        volume: Option<String> = "volume",
        /// Whether an empty volume begins with what the image has at its place.
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
        /// A directory that stays as it is.
        Covered = "covered",
        Host = "host",
    }
    pub enum Ids("an id map") {
        /// The store's, or a range of the container's own.
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
        /// `linux.seccomp` is a profile in Docker's words.
        Profile = "profile",
    }
    pub enum MountKind("a kind of mount") {
        /// A bind whose owners are mapped to the container's ids.
        Mapped = "mapped",
        Volume = "volume",
        /// A device that every container has.
        Device = "device",
    }
}
