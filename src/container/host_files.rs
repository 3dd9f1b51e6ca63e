//! The container's own /etc/hosts, /etc/hostname and /etc/resolv.conf, bound over the image's: they depend on the
//! machine, not on the image.

use crate::error::Result;
use crate::isolation::mounts::{self, Kind};
use crate::isolation::network::Network;
use crate::isolation::procfs;
use crate::sys::fd::OwnedFd;
use crate::sys::{fs, mount};
use libc::{O_CREAT, O_TRUNC, O_WRONLY};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// Writes the files into the container's directory `dir`, and returns each with its target, opened.
/// Reads the host's files, and so must run before pivot_root.
pub fn write(dir: BorrowedFd<'_>, hostname: &str, network: Network) -> Result<Vec<(&'static str, OwnedFd)>> {
    let host = |path| fs::read_record(path).unwrap_or_default();
    let (hosts, resolv) = match network {
        Network::None => (HOSTS.to_owned(), resolv_conf(host)),
        Network::Host => (host("/etc/hosts"), host("/etc/resolv.conf")),
    };
    let files = [
        (c"hosts", "/etc/hosts", hosts),
        (c"hostname", "/etc/hostname", format!("{hostname}\n")),
        (c"resolv.conf", "/etc/resolv.conf", resolv),
    ];
    let write = |(name, target, text): (&CStr, &'static str, String)| {
        let file = fs::openat(dir, name, O_CREAT | O_TRUNC | O_WRONLY, 0o644)?;
        fs::write_all(file.as_fd(), text.as_bytes()).map_err(|error| error.context(format_args!("write {target}")))?;
        Ok((target, file))
    };
    files.into_iter().map(write).collect()
}

/// Binds a file inside `root`. Does nothing if a mount covers the image's /etc (`is_covered`), is read-only and lacks the
/// file.
pub fn mount(root: BorrowedFd<'_>, file: BorrowedFd<'_>, target: &Path, is_covered: bool) -> Result<()> {
    let place = match mounts::mount_point(root, target, Kind::File) {
        Err(error) if is_covered && matches!(error.errno(), Some(libc::EROFS | libc::EACCES | libc::EPERM)) => {
            return Ok(());
        }
        place => place?,
    };
    procfs::check_target(place.as_fd(), target, None)?;
    mounts::attach(mount::open_tree(file, c"", false)?.as_fd(), place.as_fd())
}

/// The host's name servers without those on its loopback interface, which the container cannot reach: instead of
/// systemd's stub the real ones, and public ones if none is left.
fn resolv_conf(host: impl Fn(&'static str) -> String) -> String {
    let is_loopback = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("nameserver") && words.next().is_some_and(|a| a.starts_with("127.") || a == "::1")
    };
    let without_loopback = |text: String| {
        let lines: Vec<&str> = text.lines().filter(|line| !is_loopback(line)).collect();
        let any = lines.iter().any(|line| line.starts_with("nameserver"));
        (lines.iter().map(|line| format!("{line}\n")).collect::<String>(), any)
    };
    let (text, any) = without_loopback(host("/etc/resolv.conf"));
    if any {
        return text;
    }
    let (behind, any) = without_loopback(host("/run/systemd/resolve/resolv.conf"));
    if any { behind } else { format!("{text}nameserver 8.8.8.8\nnameserver 8.8.4.4\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_on_loopback_are_replaced() {
        let of = |main: &'static str, stub: &'static str| {
            resolv_conf(|path| if path == "/etc/resolv.conf" { main } else { stub }.to_owned())
        };
        assert_eq!(of("search x\nnameserver 10.0.0.1\nnameserver 127.0.0.1\n", ""), "search x\nnameserver 10.0.0.1\n");
        assert_eq!(of("nameserver 127.0.0.53\n", "nameserver 10.1.1.1\n"), "nameserver 10.1.1.1\n");
        assert_eq!(of("", ""), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }
}
