//! `--device HOST[:CONTAINER][:MODE]`, as docker/cli reads it (cli/command/container/opts.go).

use crate::cli::args::{Many, Parsed, many};
use crate::error::{Error, Result};
use crate::isolation::devices::{Device, gather};
use std::path::{Path, PathBuf};

pub const DEVICE: Many = many(
    None,
    "device",
    "HOST[:CONTAINER]",
    "Show a device of the host, or all in a directory, to be opened by whom it lets",
);

/// The devices that the flags ask for; a directory means all devices in it.
pub fn read(parsed: &Parsed) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for text in parsed.texts(DEVICE)? {
        let (source, target) = places(text)?;
        devices.extend(gather(&source, &target)?);
    }
    Ok(devices)
}

fn places(text: &str) -> Result<(PathBuf, PathBuf)> {
    let (source, target, mode) = match text.split(':').collect::<Vec<_>>()[..] {
        [source] if !source.is_empty() => (source, source, "rwm"),
        [source, mode] if is_mode(mode) => (source, source, mode),
        [source, target] => (source, target, "rwm"),
        [_, _, mode] if !is_mode(mode) => {
            return Err(Error::new(format_args!("bad mode specified: {mode}")).hint("r, w and m, each at most once"));
        }
        [source, target, mode] => (source, target, mode),
        _ => return Err(Error::new(format_args!("bad format for path: {text}")).hint("HOST[:CONTAINER][:MODE]")),
    };
    if !Path::new(target).is_absolute() || text.contains('\0') {
        return Err(Error::new(format_args!("{target} is not an absolute path")));
    }
    // Modes that cannot be enforced are refused. A missing m is fine: nothing inside can make a device node.
    if !mode.contains('r') || !mode.contains('w') {
        return Err(Error::new(format_args!("--device {text}: a device cannot be limited to {mode} here")).hint(
            "there is no device cgroup in a user namespace; leave the mode out, and the node's own mode counts",
        ));
    }
    Ok((source.into(), target.into()))
}

fn is_mode(text: &str) -> bool {
    let once = |letter| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c)) && ['r', 'w', 'm'].into_iter().all(once)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, source, target) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse"),
            ("/dev/fuse:rwm", "/dev/fuse", "/dev/fuse"),
            ("/dev/fuse:/dev/x", "/dev/fuse", "/dev/x"),
            ("/dev/fuse:/dev/x:wr", "/dev/fuse", "/dev/x"),
            ("fuse:/x", "fuse", "/x"),
        ] {
            assert_eq!(places(text).unwrap(), (source.into(), target.into()), "{text}");
        }
        for (text, said) in [
            ("", "bad format for path: "),
            ("a:b:c:d", "bad format for path: a:b:c:d"),
            ("/dev/fuse:/dev/x:zz", "bad mode specified: zz"),
            ("/dev/fuse:/dev/x:", "bad mode specified: "),
            ("/dev/fuse:/dev/x:rr", "bad mode specified: rr"),
            ("/dev/fuse:rel", "rel is not an absolute path"),
            ("rel", "rel is not an absolute path"),
            ("/dev/fuse:r", "--device /dev/fuse:r: a device cannot be limited to r here"),
            ("/dev/fuse:/x:wm", "--device /dev/fuse:/x:wm: a device cannot be limited to wm here"),
        ] {
            let error = places(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }
}
