use super::Bundle;
use crate::container::document::Document;
use crate::container::spec::read::{Unknown, read};
use crate::container::spec::{ContainerSpec, Root, Seccomp, Source};
use crate::json::json;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn captured(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bundles").join(name).with_extension("json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Translates a document, with a root file system that exists.
fn translate(mut value: Value) -> Result<(ContainerSpec, Vec<String>), String> {
    value["root"]["path"] = env!("CARGO_MANIFEST_DIR").into();
    let document = Document::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let bundle = Bundle { dir: PathBuf::from("/bundle"), document };
    let root = bundle.root().map_err(|error| error.to_string())?;
    let (spec, missing, _) = read(&bundle.document, root, &bundle.dir).map_err(|error| error.to_string())?;
    Ok((spec, missing))
}

fn missing(value: Value) -> Vec<String> {
    translate(value).unwrap().1
}

#[test]
fn unsupported_properties_of_each_captured_bundle_are_listed() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bundles");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        found.insert(name.clone(), missing(captured(&name)));
    }
    let lines = found.iter().flat_map(|(name, list)| {
        let list = if list.is_empty() { vec!["nothing".to_owned()] } else { list.clone() };
        std::iter::once(name.clone()).chain(list.into_iter().map(|line| format!("    {line}")))
    });
    let text: String = lines.map(|line| line + "\n").collect();
    if let Some(path) = std::env::var_os("CCRUN_WRITE_MISSING") {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, include_str!("../../../tests/it/bundles/missing.txt"));
}

/// The smallest document that runs.
fn plain() -> Value {
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "user"}, {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "network"}, {"type": "cgroup"},
            ],
            "uidMappings": mapping, "gidMappings": mapping,
        },
    })
}

#[test]
fn each_unsupported_property_is_named() {
    assert_eq!(missing(plain()), [""; 0]);
    // A JSON pointer, the value to put there (`-`: at the end of the list), and the expected message.
    for line in include_str!("refused.txt").lines().filter(|line| !line.is_empty()) {
        let [place, value, said] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut document = plain();
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| panic!("{line}"));
        if let Some(list) = place.strip_suffix("/-") {
            document.pointer_mut(list).and_then(Value::as_array_mut).unwrap().push(value);
        } else {
            let (parent, name) = place.rsplit_once('/').unwrap();
            match document.pointer_mut(parent).unwrap_or_else(|| panic!("{line}")) {
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
                parent => parent[name] = value,
            }
        }
        assert_eq!(missing(document), [said], "{line}");
    }
}

fn spec(change: impl FnOnce(&mut Value)) -> ContainerSpec {
    let mut value = plain();
    change(&mut value);
    let (spec, missing) = translate(value).unwrap();
    assert_eq!(missing, [""; 0]);
    spec
}

#[test]
fn a_bundle_gets_none_of_ccruns_defaults() {
    let spec = spec(|_| ());
    assert!(spec.shut.masked.is_empty() && spec.shut.read_only.is_empty() && spec.settings.is_empty());
    assert!(spec.kernel.sys.is_none() && !spec.kernel.cgroup);
    assert!(spec.kernel.dev.shm.is_none() && spec.kernel.dev.mqueue.is_none());
    assert!(!spec.own_files && !spec.init && spec.security.seccomp == Seccomp::Unconfined && spec.hostname.is_empty());
    assert_eq!(spec.limits.controllers(), []);
    assert_eq!(spec.security.capabilities, crate::isolation::capabilities::Set::default());
    assert_eq!((spec.process.user.as_str(), spec.process.umask, spec.process.env.len()), ("0:0", 0o022, 0));
}

#[test]
fn a_user_by_name_is_an_extension() {
    let named = spec(|value| value["ccrun"] = json!({"user": "bob:staff", "groups": ["wheel"], "init": true}));
    assert_eq!((named.process.user.as_str(), named.init, named.process.only_groups), ("bob:staff", true, false));
    let numbers = spec(|value| value["process"]["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [9]}));
    assert_eq!((numbers.process.user.as_str(), numbers.process.only_groups), ("7:8", true));
    assert_eq!((named.process.groups, numbers.process.groups), (vec!["wheel".to_owned()], vec!["9".to_owned()]));
}

#[test]
fn zero_is_no_limit_but_cgroups_path_makes_a_cgroup() {
    let zeros = spec(|value| {
        value["linux"]["resources"] = json!({
            "memory": {"limit": 0, "swap": 0, "kernel": 0, "disableOOMKiller": false},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "idle": 0}, "pids": {"limit": 0},
            "blockIO": {"weight": 0, "leafWeight": 0},
        });
    });
    assert_eq!((zeros.limits.controllers(), zeros.limits.pids), (Vec::new(), Some(-1)));
    let grouped = spec(|value| value["linux"]["cgroupsPath"] = "/a/b/c".into());
    assert_eq!(grouped.limits.controllers().len(), 1);
    let place = (grouped.cgroup_parent.as_deref(), grouped.cgroup_name.as_deref());
    assert_eq!(place, (Some(Path::new("a/b")), Some("c")));
    // Swap is not limited because the memory is.
    let memory = spec(|value| value["linux"]["resources"] = json!({"memory": {"limit": 1 << 20}})).limits.memory;
    assert_eq!((memory.limit, memory.swap), (Some(1 << 20), Some(-1)));
}

#[test]
fn mounts_keep_their_order_and_the_last_option_wins() {
    let mounts = spec(|value| {
        let more = json!([
            {"destination": "/b/c", "type": "tmpfs", "options": ["noexec", "exec", "noatime", "relatime", "size=1m"]},
            {"destination": "/b", "type": "bind", "source": "b", "options": ["rbind", "ro", "rro", "nodev"]},
            {"destination": "/c", "source": "/c", "options": ["bind", "ro", "rw"]},
        ]);
        let list = value["mounts"].as_array_mut().unwrap();
        list.extend(more.as_array().unwrap().iter().cloned());
    })
    .mounts;
    let targets: Vec<&str> = mounts.iter().filter_map(|mount| mount.target.to_str()).collect();
    assert_eq!(targets, ["/b/c", "/b", "/c"]);
    let Source::Tmpfs(tmpfs) = &mounts[0].source else { panic!("{:?}", mounts[0]) };
    assert_eq!((tmpfs.exec, tmpfs.attributes, tmpfs.options.as_str()), (true, 0, "size=1m"));
    let direct = |at: usize| match &mounts[at].source {
        Source::Direct(direct) => direct.clone(),
        other => panic!("{other:?}"),
    };
    let (b, c) = (direct(1), direct(2));
    // Read-only and nodev; the mounts below it are read-only alone.
    assert_eq!((b.path.to_str(), b.recursive, b.attributes, b.attributes_below), (Some("/bundle/b"), true, 5, 1));
    assert_eq!((c.path.to_str(), c.recursive, c.attributes, c.attributes_below), (Some("/c"), false, 0, 0));
}

#[test]
fn an_unknown_capability_is_a_warning() {
    let mut value = plain();
    value["process"]["capabilities"] = json!({"bounding": ["CAP_KILL", "CAP_NEW", "KILL"]});
    let document = Document::parse(value.to_string().as_bytes()).unwrap();
    let (spec, missing, unknown) = read(&document, Root::Host, Path::new("/")).unwrap();
    assert_eq!((spec.security.capabilities.names(), missing), (vec!["CAP_KILL".to_owned()], Vec::new()));
    let names: Vec<&str> = unknown.iter().map(|Unknown { capability }| capability.as_str()).collect();
    assert_eq!(names, ["CAP_NEW", "KILL"]);
}
