//! `-v`, `--mount` and `--tmpfs`.

use super::{csv, numbers};
use crate::cli::args::{Many, Parsed, many, utf8};
use crate::cli::names;
use crate::container::spec::{Mount, Source, Tmpfs};
use crate::error::{Error, Result};
use crate::isolation::devices::{self, Harmless};
use std::path::{Component, Path, PathBuf};

pub const VOLUME: Many =
    many(Some('v'), "volume", "SOURCE:DIR[:ro]", "Mount a file or directory of the host or a named volume");
pub const MOUNT: Many = many(None, "mount", "type=…,…", "Mount a bind, volume or tmpfs, in words");
pub const TMPFS: Many = many(None, "tmpfs", "DIR[:OPTIONS]", "Mount an empty file system in memory");

type Parse = fn(&str) -> Result<Mount>;

const PARSERS: [(Many, Parse); 3] = [(VOLUME, volume), (MOUNT, in_words), (TMPFS, tmpfs)];

/// The mounts that the flags ask for, in their order.
pub fn read(parsed: &Parsed) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for (flag, parse, value) in parsed.in_order(&PARSERS) {
        let made = parse(utf8(value, &format!("--{}", flag.long))?)?;
        if mounts.iter().any(|other: &Mount| other.target == made.target) {
            return Err(Error::new(format_args!("Duplicate mount point: {}", made.target.display())));
        }
        mounts.push(made);
    }
    Ok(mounts)
}

/// `SOURCE:TARGET[:OPTIONS]`, or `TARGET` alone for a volume without a name.
fn volume(text: &str) -> Result<Mount> {
    let wrong =
        |why: &str| Error::new(format_args!("invalid volume specification: '{text}': {why}")).hint("SOURCE:DIR[:ro]");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, goal, options) = match parts[..] {
        [goal] => (None, goal, ""),
        [source, goal] => (Some(source), goal, ""),
        [source, goal, options] => (Some(source), goal, options),
        _ => return Err(wrong("too many colons")),
    };
    let (mut read_only, mut copy) = (None, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let is_new = match option {
            "ro" | "rw" => read_only.replace(option == "ro").is_none(),
            "nocopy" => copy.replace(false).is_none(),
            // Labels for SELinux, and consistency modes for macOS.
            "z" | "Z" | "consistent" | "cached" | "delegated" => true,
            other => is_private(other)?,
        };
        if !is_new {
            return Err(Error::new(format_args!("invalid mode: {options}")));
        }
    }
    let is_root = Path::new(goal).is_absolute() && Path::new(goal).components().count() == 1;
    let target = target(goal)
        .map_err(|_| wrong(if is_root { "destination can't be '/'" } else { "mount path must be absolute" }))?;
    let source = match source {
        None => Source::Anonymous,
        Some("") => return Err(wrong("empty source")),
        Some(path) if path.starts_with(['/', '.']) => bind(absolute(path)?, &target)?,
        Some(name) => Source::Volume(names::check_volume(name)?),
    };
    if copy.is_some() && matches!(source, Source::Bind(_) | Source::Device(_)) {
        return Err(wrong("nocopy is for volumes"));
    }
    Ok(Mount { source, target, read_only: read_only.unwrap_or(false), copy: copy.unwrap_or(true) })
}

/// Whether `mode` is a propagation that is accepted. Mounts are always private here. That is close enough to slave, but
/// shared is refused: the container's mounts would never show on the host.
fn is_private(mode: &str) -> Result<bool> {
    match mode {
        "private" | "rprivate" | "slave" | "rslave" => Ok(true),
        "shared" | "rshared" => {
            Err(Error::new(format_args!("invalid mode: {mode}"))
                .hint("what a container mounts does not show on the host"))
        }
        _ => Err(Error::new(format_args!("invalid mode: {mode}")).hint("ro, rw, z and nocopy are known")),
    }
}

/// `type=bind,source=/a,target=/b,readonly`.
fn in_words(text: &str) -> Result<Mount> {
    let wrong = |why: String| MOUNT.flag.invalid(text, &why);
    let (mut kind, mut source, mut goal, mut options) = ("volume", None, None, Vec::new());
    let (mut read_only, mut copy) = (false, true);
    let is_on = |key: &str, value: &str| match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(wrong(format!("invalid value for {key}: {value}"))),
    };
    let fields = csv::fields(text).map_err(wrong)?;
    for field in &fields {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        let key = &*key.to_ascii_lowercase();
        match key {
            "type" => kind = value,
            "source" | "src" => source = Some(value),
            "target" | "dst" | "destination" => goal = Some(value),
            "readonly" | "ro" => read_only = is_on(key, value)?,
            "volume-nocopy" => copy = !is_on(key, value)?,
            "tmpfs-size" => options.push(format!(
                "size={}",
                numbers::size(value).ok_or_else(|| wrong(format!("invalid value for {key}: {value}")))?
            )),
            "tmpfs-mode" if !value.is_empty() && value.bytes().all(|b| matches!(b, b'0'..=b'7')) => {
                options.push(format!("mode={value}"))
            }
            "bind-propagation" => drop(is_private(value)?),
            "consistency" if ["", "default", "consistent", "cached", "delegated"].contains(&value) => {}
            // Mounts below are always included, and read-only if that is asked for.
            "bind-recursive" if ["enabled", "readonly"].contains(&value) => {}
            _ => return Err(wrong(format!("unexpected key or value in '{field}'"))),
        }
    }
    let target = target(goal.ok_or_else(|| wrong("target is required".into()))?)?;
    let source = match (&*kind.to_ascii_lowercase(), source) {
        ("bind" | "volume", Some("")) => return Err(wrong("source is empty".into())),
        ("bind", Some(path)) => {
            let path = absolute(path)?;
            if !path.exists() {
                return Err(Error::new(format_args!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    path.display()
                )));
            }
            bind(path, &target)?
        }
        ("bind", None) => return Err(wrong("source is required".into())),
        ("volume", Some(name)) => Source::Volume(names::check_volume(name)?),
        ("volume", None) => Source::Anonymous,
        ("tmpfs", None) => Source::Tmpfs(Tmpfs { options: options.join(","), ..Tmpfs::default() }),
        ("tmpfs", Some(_)) => return Err(wrong("a tmpfs has no source".into())),
        _ => return Err(wrong(format!("mount type unknown: \"{kind}\"")).hint("bind, volume and tmpfs are known")),
    };
    Ok(Mount { source, target, read_only, copy })
}

/// `DIR[:OPTIONS]`: options of tmpfs(5) and attributes of the mount.
fn tmpfs(text: &str) -> Result<Mount> {
    let (goal, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut made, mut read_only, mut kept) = (Tmpfs::default(), false, Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').map_or(option, |(key, _)| key) {
            "size" | "mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks" => kept.push(option),
            "exec" | "noexec" => made.exec = option == "exec",
            "suid" | "nosuid" => made.suid = option == "suid",
            "dev" | "nodev" => made.dev = option == "dev",
            "ro" | "rw" => read_only = option == "ro",
            _ => {
                return Err(Error::new(format_args!("invalid tmpfs option [\"{option}\"]"))
                    .hint("size, mode, uid, gid, nr_inodes, exec, suid and dev are known"));
            }
        }
    }
    made.options = kept.join(",");
    Ok(Mount { source: Source::Tmpfs(made), target: target(goal)?, read_only, copy: false })
}

/// The target path, cleaned as in Docker: `..` removes the name before it, even if that is a link.
fn target(text: &str) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(text).components() {
        if part == Component::ParentDir {
            path.pop();
        } else {
            path.push(part);
        }
    }
    if !path.is_absolute() || path == Path::new("/") || text.contains('\0') {
        return Err(Error::new(format_args!("invalid mount path: '{text}' mount path must be absolute, and not '/'")));
    }
    Ok(path)
}

/// The source for a file of the host. Of the devices only those that every container has can be bound: nobody inside could
/// open another one.
fn bind(path: PathBuf, target: &Path) -> Result<Source> {
    match devices::kind_of(&path) {
        Some(Harmless::Known(device)) => Ok(Source::Device(device)),
        Some(Harmless::Other) => {
            let (path, target) = (path.display(), target.display());
            Err(Error::new(format_args!("{path} is a device, which a mount does not let anybody open"))
                .hint(format_args!("give it by --device {path}:{target}")))
        }
        None => Ok(Source::Bind(path)),
    }
}

/// Notes for the user about these mounts.
pub fn notes(mounts: &[Mount]) -> Vec<String> {
    let sources = mounts.iter().filter_map(|mount| match &mount.source {
        Source::Bind(path) if devices::are_in(path) => Some(path),
        _ => None,
    });
    sources
        .map(|path| {
            format!("devices in {} cannot be opened in the container; --device gives one that can", path.display())
        })
        .collect()
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(format_args!("mount source {path}"), &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_volume_is_read() {
        let made = |text| volume(text).unwrap();
        assert_eq!(
            made("data:/a/"),
            Mount { source: Source::Volume("data".into()), target: "/a".into(), read_only: false, copy: true }
        );
        assert_eq!(
            made("/tmp:/a:ro,z"),
            Mount { source: Source::Bind("/tmp".into()), target: "/a".into(), read_only: true, copy: true }
        );
        assert_eq!(made("/a").source, Source::Anonymous);
        assert_eq!(made("/a/../b/./c/").target, Path::new("/b/c"));
        assert!(!made("data:/a:nocopy,rw,cached,rslave").copy);
        let said = |text| volume(text).unwrap_err().to_string();
        assert!(said("/tmp:/a:zz").starts_with("invalid mode: zz"));
        assert!(said("/tmp:/a:ro,rw").starts_with("invalid mode: ro,rw"));
        assert!(said("/tmp:/a:rshared").contains("does not show on the host"));
        assert!(said("/tmp:/a:nocopy").contains("for volumes"));
        assert!(said("/tmp:rel").contains("mount path must be absolute"));
        assert!(said("/tmp:/").contains("destination can't be '/'") && said("/tmp://").contains("can't be '/'"));
        assert!(said("a:b:c:d").contains("too many colons"));
        assert!(said("!x:/a").contains("invalid characters"));
    }

    #[test]
    fn mounts_in_words_are_read() {
        let made = in_words("type=bind,source=/tmp,target=/a,readonly").unwrap();
        assert_eq!(
            made,
            Mount { source: Source::Bind("/tmp".into()), target: "/a".into(), read_only: true, copy: true }
        );
        let tmpfs = in_words("type=tmpfs,dst=/t,tmpfs-size=1m").unwrap();
        assert!(matches!(tmpfs.source, Source::Tmpfs(made) if made.options == "size=1048576"));
        let quoted = in_words("type=bind,\"source=/tmp/../tmp\",\"target=/a,b\"").unwrap();
        assert_eq!(quoted.target, Path::new("/a,b"));
        for (text, said) in [
            ("type=tmpfs,target=\"/a\"", "flag: parse error on line 1, column 19: bare \" in non-quoted field"),
            ("type=bind,source=/nope-at-all,target=/a", "bind source path does not exist: /nope-at-all"),
            ("type=x,target=/a", "mount type unknown"),
            ("type=bind,source=/tmp", "target is required"),
            ("type=volume,target=/a,bogus=1", "unexpected key"),
            ("type=volume,target=/a,volume-nocopy=perhaps", "invalid value for volume-nocopy"),
            ("type=bind,source=/tmp,target=/a,bind-propagation=shared", "does not show on the host"),
            ("type=bind,source=/tmp,target=/a,bind-recursive=writable", "unexpected key"),
        ] {
            assert!(in_words(text).unwrap_err().to_string().contains(said), "{text}");
        }
    }

    #[test]
    fn unknown_tmpfs_options_are_refused() {
        let made = |text| match tmpfs(text).unwrap().source {
            Source::Tmpfs(made) => made,
            other => panic!("{other:?}"),
        };
        assert_eq!(made("/t"), Tmpfs::default());
        let open = Tmpfs { options: "size=1m,mode=700".into(), exec: true, suid: false, dev: false, attributes: 0 };
        assert_eq!(made("/t:size=1m,mode=700,exec"), open);
        for bad in ["/t:bogus", "/t:huge=always", "rel", "/", "/..", "a/../../b"] {
            assert!(tmpfs(bad).is_err(), "{bad}");
        }
    }
}
