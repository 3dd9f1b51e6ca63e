//! Mirrors: places that are asked before a registry itself.
//!
//! `$CCRUN_REGISTRY_MIRRORS` names them, else `$XDG_CONFIG_HOME/ccrun/mirrors` (in `~/.config` without the
//! variable), else `/etc/ccrun/mirrors`: the first that there is counts alone. Each line of a file names one,
//! in the order in which they are asked; in the variable commas stand between them. `#` begins a comment.
//!
//! ```text
//! https://mirror.example.org                    for docker.io
//! quay.io https://cache.example.org/proxy/quay  for quay.io, at …/proxy/quay/v2/…
//! ```

use crate::error::{Error, Result};
use crate::image::url::{self, Url};
use std::path::{Path, PathBuf};

const VARIABLE: &str = "CCRUN_REGISTRY_MIRRORS";
const SYSTEM_FILE: &str = "/etc/ccrun/mirrors";
/// The registry that is meant where none is named.
const USUAL: &str = "docker.io";

/// The mirrors of the registry `domain`, in the order in which to ask them.
pub fn of(domain: &str) -> Result<Vec<Url>> {
    if let Ok(entries) = std::env::var(VARIABLE) {
        return read(entries.split(','), domain).map_err(|error| error.context(format_args!("${VARIABLE}")));
    }
    let files = user_file().into_iter().chain([PathBuf::from(SYSTEM_FILE)]);
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => return of_file(&file, &text, domain),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(format_args!("read {}", file.display()), &error)),
        }
    }
    Ok(Vec::new())
}

fn user_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(config.join("ccrun/mirrors"))
}

fn of_file(file: &Path, text: &str, domain: &str) -> Result<Vec<Url>> {
    read(text.lines(), domain).map_err(|error| error.context(file.display().to_string()))
}

fn read<'a>(entries: impl Iterator<Item = &'a str>, domain: &str) -> Result<Vec<Url>> {
    let mut mirrors = Vec::new();
    for entry in entries {
        let entry = entry.split('#').next().unwrap_or_default().trim();
        let words: Vec<&str> = entry.split_whitespace().collect();
        let (registry, address) = match words[..] {
            [] => continue,
            [address] => (USUAL, address),
            [registry, address] => (registry, address),
            _ => return Err(Error::new(format_args!("'{entry}' is not [REGISTRY] URL"))),
        };
        let mirror = Url::parse(address)?;
        // A manifest that a tag names has no digest to be checked by.
        if !mirror.is_secure() && !url::is_loopback(mirror.host()) {
            return Err(Error::new(format_args!("the mirror {mirror} does not use https")));
        }
        if registry == domain {
            mirrors.push(mirror);
        }
    }
    Ok(mirrors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, domain: &str) -> std::result::Result<Vec<String>, String> {
        let mirrors = read(text.lines(), domain).map_err(|error| error.to_string())?;
        Ok(mirrors.iter().map(Url::to_string).collect())
    }

    #[test]
    fn mirrors_are_of_one_registry_and_in_order() {
        let text = "# ours\nhttps://one\n\n  docker.io\thttps://two/prefix  # near\nquay.io http://127.0.0.1:5000\n";
        assert_eq!(shown(text, "docker.io").unwrap(), ["https://one/", "https://two/prefix"]);
        assert_eq!(shown(text, "quay.io").unwrap(), ["http://127.0.0.1:5000/"]);
        assert!(shown(text, "ghcr.io").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_told_whoever_they_concern() {
        for (text, error) in [
            ("a b c", "'a b c' is not [REGISTRY] URL"),
            ("quay.io http://mirror", "the mirror http://mirror/ does not use https"),
            ("mirror.example.org", "invalid URL 'mirror.example.org'"),
        ] {
            assert_eq!(shown(text, "docker.io").unwrap_err(), error);
        }
    }
}
