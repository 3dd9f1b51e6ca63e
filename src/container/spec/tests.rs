use super::read::read;
use super::*;
use crate::container::document::Document;
use crate::isolation::cgroup::limits::{BlockIo, Cpu, Memory, Rate, Throttle};
use crate::isolation::devices::{self, Harmless};
use crate::isolation::sysctl;
use crate::json::json;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use crate::sys::resource::Rlimit;

use std::os::unix::ffi::OsStringExt;

/// As `ccrun run` makes it.
fn plain() -> ContainerSpec {
    let fresh = |options: &str, attributes| Fresh { options: options.to_owned(), attributes };
    let quiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    ContainerSpec {
        id: "0123".into(),
        name: "box".into(),
        image: "alpine".into(),
        image_id: None,
        hostname: "container".into(),
        domainname: None,
        root: Root::Host,
        read_only: false,
        process: Process {
            args: vec!["sh".into(), "-c".into(), "exit 7".into()],
            env: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            user: String::new(),
            groups: Vec::new(),
            keep_groups: false,
            only_groups: false,
            umask: DEFAULT_UMASK,
            ulimits: Vec::new(),
            streams: [Stream::Null, Stream::Inherit, Stream::Pipe],
            explicit: false,
            interactive: false,
            oom_score_adj: None,
        },
        kernel: Kernel {
            proc: fresh("", quiet | MOUNT_ATTR_NODEV),
            sys: Some(fresh("", quiet | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY)),
            dev: Dev {
                top: fresh("mode=755,size=65536k", MOUNT_ATTR_NOSUID),
                pts: fresh("newinstance,ptmxmode=0666,mode=0620,gid=5", quiet),
                shm: Some(fresh("mode=1777,size=67108864", quiet | MOUNT_ATTR_NODEV)),
                mqueue: Some(fresh("", quiet | MOUNT_ATTR_NODEV)),
            },
            cgroup: true,
        },
        own_files: true,
        mounts: Vec::new(),
        shut: Shut::docker(),
        settings: sysctl::of_own_network(65535).into(),
        ids: None,
        devices: Vec::new(),
        network: Network::None,
        limits: Limits::default(),
        cgroup_parent: None,
        cgroup_name: None,
        cgroup_namespace: true,
        stats: false,
        security: Security {
            capabilities: Set::docker(),
            no_new_privileges: false,
            seccomp: Seccomp::Default,
            privileged: false,
        },
        init: true,
        remove: false,
        stop_signal: None,
        shown: serde_json::Value::Null,
    }
}

/// Writes `spec`, reads it again, and expects the same.
fn round_trip(spec: &ContainerSpec) {
    let document = spec.document();
    let text = document.to_json().to_string();
    let parsed = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed, document, "{text}");
    let (back, missing, unknown) = read(&parsed, spec.root.clone(), Path::new("/")).unwrap();
    assert_eq!((missing, unknown.len()), (Vec::<String>::new(), 0), "{text}");
    assert_eq!(&back, spec, "{text}");
}

#[test]
fn a_specification_survives_its_document() {
    round_trip(&plain());
    let mut all = plain();
    all.process.args.push(OsString::from_vec(vec![b'a', 0xff]));
    all.process.env.push(OsString::from_vec(vec![b'A', b'=', 0xfe]));
    all.process.cwd = OsString::from_vec(vec![b'/', 0xfd]).into();
    all.process.user = "bob:staff".into();
    all.process.groups = vec!["wheel".into(), "7".into()];
    all.process.ulimits = vec![Ulimit { name: "nofile", limit: Rlimit { soft: 1, hard: u64::MAX } }];
    all.process.streams = [Stream::Terminal; 3];
    (all.process.explicit, all.process.interactive) = (true, true);
    all.process.oom_score_adj = Some(-7);
    all.image_id = Some("ab".into());
    all.read_only = true;
    all.root = Root::Directory { path: "/srv/root".into(), writable: false };
    (all.stats, all.init, all.remove) = (true, false, true);
    all.stop_signal = Some("SIGINT".into());
    all.cgroup_parent = Some("a/b".into());
    all.shown = json!({ "Config": { "Tty": true } });
    all.security = Security {
        capabilities: Set::ALL,
        no_new_privileges: true,
        seccomp: Seccomp::Profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "archMap": [] })),
        privileged: true,
    };
    all.devices = vec![Device { source: "/dev/fuse".into(), target: "/dev/f".into() }];
    round_trip(&all);
    all.security.seccomp = Seccomp::Unconfined;
    all.security.capabilities = Set::default();
    (all.network, all.cgroup_namespace, all.kernel.cgroup) = (Network::Host, false, false);
    all.settings = Vec::new();
    all.process.keep_groups = true;
    round_trip(&all);
}

#[test]
fn every_kind_of_mount_survives_its_document() {
    let Some(Harmless::Known(null)) = devices::kind_of(Path::new("/dev/null")) else { panic!() };
    let tmpfs = Tmpfs { options: "size=1m,mode=700".into(), exec: true, ..Tmpfs::default() };
    let direct = Direct {
        path: OsString::from_vec(vec![b'/', 0xff]).into(),
        recursive: true,
        attributes: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID,
        attributes_below: MOUNT_ATTR_NODEV,
    };
    let sources = [
        (Source::Bind(OsString::from_vec(vec![b'/', 0xfe]).into()), false),
        (Source::Direct(direct), false),
        (Source::Device(null), false),
        (Source::Volume("data".into()), true),
        (Source::Volume("more".into()), false),
        (Source::Anonymous, true),
        (Source::Tmpfs(tmpfs), false),
        (Source::Tmpfs(Tmpfs::default()), false),
    ];
    let mut spec = plain();
    let made = sources.into_iter().enumerate().flat_map(|(at, (source, copy))| {
        let is_direct = matches!(source, Source::Direct(_));
        let one = move |read_only: bool| Mount {
            source: source.clone(),
            target: format!("/m{at}{read_only}").into(),
            // A direct mount has read-only among its attributes.
            read_only: read_only && !is_direct,
            copy,
        };
        [one(false), one(true)]
    });
    spec.mounts = made.collect();
    round_trip(&spec);
}

#[test]
fn every_limit_survives_its_document() {
    let device = crate::isolation::cgroup::limits::Device { major: 8, minor: 1 };
    let rates = [Rate::ReadBps, Rate::WriteBps, Rate::ReadIops, Rate::WriteIops];
    let limits = Limits {
        memory: Memory { limit: Some(1 << 20), swap: Some(-1), reservation: Some(7), swappiness: Some(0) },
        cpu: Cpu {
            shares: Some(2),
            quota: Some(-1),
            period: Some(1000),
            cpus: Some("0-1".into()),
            mems: Some("0".into()),
        },
        pids: Some(-1),
        default_pids: Some(2048),
        block_io: BlockIo {
            weight: Some(10),
            weight_device: vec![(device, 1000)],
            throttle: rates.map(|what| Throttle { device, what, rate: 5 }).into(),
        },
    };
    round_trip(&ContainerSpec { limits, ..plain() });
    let memory = Memory { limit: Some(1), ..Memory::default() };
    round_trip(&ContainerSpec { limits: Limits { memory, ..Limits::default() }, ..plain() });
}
