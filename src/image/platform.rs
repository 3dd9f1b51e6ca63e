//! Platforms: which of an index's images this machine can run.

use crate::error::{Error, Result};
use std::fmt;

/// An operating system and a processor, with Go's names for them, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// A platform as a manifest or image config spells it.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let os = match os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        let variant = variant.unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = match (architecture.to_ascii_lowercase().as_str(), variant.as_str()) {
            ("i386" | "i486" | "i586" | "i686" | "386", _) => ("386".to_owned(), String::new()),
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64".to_owned(), String::new()),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64".to_owned(), variant.to_owned()),
            ("aarch64" | "arm64", "" | "8" | "v8" | "v8.0") => ("arm64".to_owned(), String::new()),
            ("aarch64" | "arm64", variant) => ("arm64".to_owned(), variant.to_owned()),
            ("armhf", _) => ("arm".to_owned(), "v7".to_owned()),
            ("armel", _) => ("arm".to_owned(), "v6".to_owned()),
            ("arm", "" | "7") => ("arm".to_owned(), "v7".to_owned()),
            ("arm", "5" | "6" | "8") => ("arm".to_owned(), format!("v{variant}")),
            (architecture, variant) => (architecture.to_owned(), variant.to_owned()),
        };
        Platform { os, architecture, variant: Some(variant).filter(|variant| !variant.is_empty()) }
    }

    /// The machine we run on.
    pub fn host() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Platform::new("linux", architecture, None)
    }

    /// Reads the value of `--platform`: `linux/arm64`, `linux/arm/v7`, `arm64`.
    pub fn parse(text: &str) -> Result<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(is_word) {
            return Err(
                Error::new(format_args!("invalid platform '{text}'")).hint("give OS/ARCH[/VARIANT], as linux/arm64")
            );
        }
        match parts.as_slice() {
            ["linux"] => Ok(Platform::host()),
            [architecture] => {
                let platform = Platform::new("linux", architecture, None);
                let known = ["amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "s390x", "loong64", "mips64le"];
                if !known.contains(&platform.architecture.as_str()) {
                    return Err(Error::new(format_args!(
                        "platform '{text}': unknown operating system or architecture"
                    )));
                }
                Ok(platform)
            }
            [os, architecture] => Ok(Platform::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Platform::new(os, architecture, Some(variant))),
            _ => {
                Err(Error::new(format_args!("invalid platform '{text}'"))
                    .hint("give OS/ARCH[/VARIANT], as linux/arm64"))
            }
        }
    }

    /// What runs on this platform, the best first: itself, then what its processor also understands.
    pub fn candidates(&self) -> Vec<Platform> {
        let with = |architecture: &str, variant: String| Platform::new(&self.os, architecture, Some(&variant));
        let level = |variant: &Option<String>| -> Option<u32> { variant.as_ref()?.strip_prefix('v')?.parse().ok() };
        let mut candidates = vec![self.clone()];
        match self.architecture.as_str() {
            "amd64" => {
                let level = level(&self.variant).unwrap_or(1).min(16);
                candidates.extend((1..level).rev().map(|level| with("amd64", format!("v{level}"))));
                candidates.push(with("386", String::new()));
            }
            "arm64" => {
                let variant = self.variant.as_deref().unwrap_or("v8");
                if let Some((major, minor)) = variant.split_once('.') {
                    let minor = minor.parse::<u32>().unwrap_or(0).min(32);
                    candidates.extend((0..minor).rev().map(|minor| match minor {
                        0 => with("arm64", major.to_owned()),
                        _ => with("arm64", format!("{major}.{minor}")),
                    }));
                }
                candidates.push(with("arm64", "v8".to_owned()));
                candidates.extend((5..=8).rev().map(|level| with("arm", format!("v{level}"))));
            }
            "arm" => {
                let level = level(&self.variant).unwrap_or(7).min(16);
                candidates.extend((5..level.max(5)).rev().map(|level| with("arm", format!("v{level}"))));
            }
            _ => {}
        }
        if *self == Platform::host() {
            // Docker would find nothing where only such an entry is; this processor can run it.
            let at = 1.min(candidates.len());
            candidates.splice(at..at, (2..=x86_level()).rev().map(|level| with("amd64", format!("v{level}"))));
        }
        candidates
    }

    /// What builders write where an index's entry is no image, but describes another one (an attestation).
    pub fn unknown() -> Platform {
        Platform::new("unknown", "unknown", None)
    }

    /// Whether this is the entry of an index that describes another one (an attestation), and no image.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    /// Whether an image for this platform can be expected to run on `machine`.
    pub fn runs_on(&self, machine: &Platform) -> bool {
        machine.candidates().contains(self)
    }

    pub fn architecture(&self) -> &str {
        &self.architecture
    }
}

/// The x86-64 microarchitecture level of this processor, by the features that its psABI lists.
#[cfg(target_arch = "x86_64")]
fn x86_level() -> u32 {
    macro_rules! all {
        ($($feature:tt),*) => { $(std::is_x86_feature_detected!($feature))&&* };
    }
    if !all!("cmpxchg16b", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2") {
        return 1;
    }
    if !all!("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave") {
        return 2;
    }
    if all!("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl") { 4 } else { 3 }
}

#[cfg(not(target_arch = "x86_64"))]
fn x86_level() -> u32 {
    1
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(platforms: &[Platform]) -> Vec<String> {
        platforms.iter().map(Platform::to_string).collect()
    }

    #[test]
    fn names_are_normalised_as_containerd_does() {
        for (text, shown) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("arm64", "linux/arm64"),
            ("armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("Linux/S390X", "linux/s390x"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "/", "linux/", "a/b/c/d", "bogus", "linux/a b", "linux/a\nb"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_order_is_dockers() {
        let order = |text: &str| shown(&Platform::parse(text).unwrap().candidates());
        assert_eq!(order("linux/amd64/v3"), ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]);
        assert_eq!(order("linux/arm/v7"), ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]);
        assert_eq!(order("linux/arm/v5"), ["linux/arm/v5"]);
        let arm64 = order("linux/arm64/v8.2");
        assert_eq!(arm64[..4], ["linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64", "linux/arm64"]);
        assert_eq!(arm64[4..], ["linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]);
        assert_eq!(order("linux/riscv64"), ["linux/riscv64"]);
        assert!(Platform::host().runs_on(&Platform::host()));
        assert!(!Platform::parse("linux/s390x").unwrap().runs_on(&Platform::host()));
    }
}
