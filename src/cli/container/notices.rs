//! The texts of notices about a container.

use crate::container::notice::{Biggest, Notice, OutOfMemory, Used};
use crate::decimal;
use crate::error::errno_name;
use std::time::Duration;

/// The text of a notice.
pub fn text(notice: &Notice) -> String {
    match notice {
        Notice::NoSwappiness => "Your kernel does not support memory swappiness capabilities or the cgroup is not \
                                 mounted. Memory swappiness discarded."
            .to_owned(),
        Notice::SharedIds(why) => {
            let why = why.as_ref().map_or("no range is free or possible".to_owned(), ToString::to_string);
            format!("containers share their host ids here, none has a range of its own ({why})")
        }
        Notice::Copied { path, error } => {
            format!("no id-mapped mounts of {} here ({error}): copying it instead", path.display())
        }
        Notice::Unmapped { path, error } => {
            format!("no id-mapped mounts of {} here ({error}): its files are nobody's inside", path.display())
        }
        Notice::UnmappedBelow(path) => {
            let path = path.display();
            format!("no id-mapped mounts of all that is mounted below {path}: there files are nobody's")
        }
        Notice::NoOverlay(errno) => {
            let reason = errno_name(*errno);
            format!("no overlay on the store's file system ({reason}): copying the files instead")
        }
        Notice::UselessDevice(path) => {
            let why = "cannot be opened by anybody in the container, because of its owner and mode on this host";
            format!("--device {} {why}", path.display())
        }
        Notice::OutputLost(error) => format!("output of the container was lost: {error}"),
        Notice::Untidy(error) => error.to_string(),
        Notice::OutOfMemory(ended) => out_of_memory(ended),
        Notice::Used(used) => summary(used),
    }
}

fn out_of_memory(OutOfMemory { limit, is_whole, biggest }: &OutOfMemory) -> String {
    let who = if *is_whole { "the container was ended" } else { "a process in the container was ended" };
    let biggest = match biggest {
        Some(Biggest { process: Some((name, pid)), bytes }) => {
            format!("; the biggest process was {name} (pid {pid} on the host) with {}", binary(*bytes))
        }
        Some(Biggest { process: None, bytes }) => format!("; the biggest process had {}", binary(*bytes)),
        None => String::new(),
    };
    format!("out of memory: {who}, as it reached its limit of {} (--memory){biggest}", binary(*limit))
}

/// One line, in the manner of GNU time.
fn summary(Used { wall, cpu, peak_memory, is_of_container }: &Used) -> String {
    let seconds = |time: &Duration| decimal::fixed(time.as_secs_f64(), 2) + " s";
    let percent = 100.0 * cpu.as_secs_f64() / wall.as_secs_f64().max(1e-6);
    let whose = if *is_of_container { "" } else { " of the biggest process" };
    let (wall, cpu, peak) = (seconds(wall), seconds(cpu), binary(*peak_memory));
    format!("wall {wall}, CPU {cpu} ({}%), peak memory{whose} {peak}", decimal::fixed(percent, 0))
}

/// Bytes in units of 1024, as limits are given.
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = decimal::fixed(value, 1);
    format!("{}{}", number.strip_suffix(".0").unwrap_or(&number), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_units_of_1024() {
        for (bytes, text) in [(64 << 20, "64MiB"), (3 << 29, "1.5GiB"), (1000, "1000B"), (0, "0B")] {
            assert_eq!(binary(bytes), text);
        }
    }
}
