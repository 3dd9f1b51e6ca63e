use super::Document;
use crate::json::json;
use serde_json::Value;
use std::path::Path;

/// Bundles captured from dockerd, containerd, podman and buildah.
fn bundles() -> Vec<(String, Value)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bundles");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect()
}

fn parse(value: &Value) -> Result<Document, String> {
    Document::parse(value.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// Removes null, empty lists and empty objects, which mean the same as a missing property.
fn without_empty(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) => {
            let kept = members.iter().filter_map(|(name, value)| Some((name.clone(), without_empty(value)?)));
            let kept: serde_json::Map<_, _> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

#[test]
fn nothing_of_a_bundle_is_lost() {
    let bundles = bundles();
    assert_eq!(bundles.len(), 33);
    for (name, value) in bundles {
        let document = parse(&value).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Every property that these engines write is known.
        assert_eq!(without_empty(&document.to_json()), without_empty(&value), "{name}");
        assert_eq!(parse(&document.to_json()).as_ref(), Ok(&document), "{name}");
    }
}

/// A document with every known property.
fn full() -> Value {
    let hook = json!([{"path": "/bin/hook", "args": ["hook", "x"], "env": ["A=b"], "timeout": 5}]);
    let throttle = json!([{"major": 8, "minor": 0, "rate": 1024}]);
    json!({
        "ociVersion": "1.2.0",
        "hostname": "box",
        "domainname": "example",
        "annotations": {"a.b": "c"},
        "root": {"path": "rootfs", "readonly": true},
        "process": {
            "args": ["sh"], "env": ["A=b"], "cwd": "/", "terminal": false,
            "user": {"uid": 1, "gid": 2, "additionalGids": [3], "umask": 18},
            "capabilities": {
                "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
                "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}, {"type": "RLIMIT_AS", "soft": 1, "hard": 1}],
            "noNewPrivileges": true, "oomScoreAdj": -5, "apparmorProfile": "a", "selinuxLabel": "l",
            "consoleSize": {"width": 80, "height": 24}, "scheduler": {"policy": "SCHED_IDLE"},
            "ioPriority": {"class": "IOPRIO_CLASS_IDLE"}, "execCPUAffinity": {"initial": "0"},
        },
        "mounts": [{
            "destination": "/a", "type": "bind", "source": "a", "options": ["rbind"],
            "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}],
        }],
        "hooks": {
            "prestart": hook, "createRuntime": hook, "createContainer": hook,
            "startContainer": hook, "poststart": hook, "poststop": hook,
        },
        "linux": {
            "namespaces": [{"type": "user"}, {"type": "time"}, {"type": "network", "path": "/proc/1/ns/net"}],
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "devices": [
                {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0},
                {"path": "/dev/p", "type": "p"},
            ],
            "cgroupsPath": "/a/b",
            "resources": {
                "memory": {
                    "limit": 1, "reservation": 2, "swap": -1, "kernel": 3, "kernelTCP": 4, "swappiness": 60,
                    "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true,
                },
                "cpu": {
                    "shares": 1, "quota": -1, "period": 2, "cpus": "0", "mems": "0", "burst": 3,
                    "realtimeRuntime": 4, "realtimePeriod": 5, "idle": 1,
                },
                "pids": {"limit": -1},
                "blockIO": {
                    "weight": 10, "leafWeight": 11,
                    "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 600}],
                    "throttleReadBpsDevice": throttle, "throttleWriteBpsDevice": throttle,
                    "throttleReadIOPSDevice": throttle, "throttleWriteIOPSDevice": throttle,
                },
                "devices": [{"allow": true, "type": "b", "major": 8, "minor": -1, "access": "rm"}],
                "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
                "unified": {"memory.high": "1"},
                "network": {"classID": 1},
                "rdma": {"mlx5_1": {"hcaHandles": 3}},
            },
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "rprivate",
            "mountLabel": "m",
            "intelRdt": {"closID": "x"}, "memoryPolicy": {"mode": "MPOL_BIND"}, "netDevices": {"eth0": {}},
            "personality": {"domain": "LINUX"}, "timeOffsets": {"monotonic": {"secs": 1}},
        },
        "ccrun": {"user": "bob:staff", "groups": ["wheel"], "init": true},
    })
}

#[test]
fn every_known_property_is_kept() {
    let document = parse(&full()).unwrap();
    // `netDevices` is kept as JSON, with its empty objects.
    assert_eq!(document.to_json(), full());
}

#[test]
fn unknown_properties_are_ignored() {
    let mut value = full();
    let known = parse(&value);
    // Properties of other platforms, of other programs, and of later versions.
    for (place, name) in [
        ("", "windows"),
        ("", "vm"),
        ("", "solaris"),
        ("", "zos"),
        ("/process", "commandLine"),
        ("/process/user", "username"),
        ("/process/capabilities", "new"),
        ("/root", "new"),
        ("/mounts/0", "new"),
        ("/hooks", "new"),
        ("/linux", "new"),
        ("/linux/resources", "new"),
        ("/linux/resources/memory", "new"),
        ("/linux/namespaces/0", "new"),
        ("/ccrun", "new"),
    ] {
        value.pointer_mut(place).unwrap()[name] = json!({"x": [1]});
    }
    assert_eq!(parse(&value), known);
}

#[test]
fn null_means_missing() {
    let mut value = json!({"ociVersion": "1.0.0", "root": {"path": "r"}, "process": {"args": ["a"], "cwd": "/"}});
    let bare = parse(&value).unwrap();
    assert_eq!(bare.to_json(), value);
    for name in ["hostname", "annotations", "mounts", "hooks", "linux", "ccrun"] {
        value[name] = Value::Null;
    }
    assert_eq!(parse(&value), Ok(bare));
}

/// A JSON pointer into [`full`], the value to put there (`-`: none), and the expected message.
const BAD: &str = include_str!("bad_values.txt");

#[test]
fn a_bad_value_is_named_with_its_path() {
    let mut count = 0;
    for line in BAD.lines().filter(|line| !line.is_empty()) {
        let [place, bad, said] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut value = full();
        let (parent, name) = place.rsplit_once('/').unwrap();
        let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("{line}"));
        match (bad, parent) {
            ("-", parent) => drop(parent.as_object_mut().unwrap().remove(name)),
            (bad, Value::Array(items)) => items[name.parse::<usize>().unwrap()] = serde_json::from_str(bad).unwrap(),
            (bad, parent) => parent[name] = serde_json::from_str(bad).unwrap(),
        }
        assert_eq!(parse(&value).unwrap_err(), format!("config.json: {said}"), "{line}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn what_is_not_json_is_refused() {
    for (text, said) in [
        ("", "is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{\"a\":}", "is not JSON: expected value at line 1 column 6"),
        ("[]", "a list is not an object"),
        ("7", "7 is not an object"),
        ("{}", "ociVersion: is missing"),
    ] {
        let error = Document::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("config.json: {said}"));
    }
    let deep = "[".repeat(100_000);
    assert!(Document::parse(deep.as_bytes()).unwrap_err().to_string().contains("recursion limit exceeded"));
}
