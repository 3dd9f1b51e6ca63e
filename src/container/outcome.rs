//! How a container ended, told to the user beyond its exit status.

use super::spec::ContainerSpec;
use crate::decimal;
use crate::isolation::cgroup::Cgroup;
use crate::isolation::kernel_log::{self, Killed};
use crate::sys::process::{self, Status};
use std::time::Duration;

/// Tells what there is to tell of a container that has run for `wall`; its group must still be there. Returns whether
/// a process in it was ended because it had reached its memory limit.
pub fn tell(spec: &ContainerSpec, wall: Duration, cgroup: &Cgroup, status: Status, say: &mut dyn FnMut(&str)) -> bool {
    let reached = spec.limits.memory.limit.filter(|_| cgroup.oom_kills() > 0);
    if let Some(limit) = reached {
        say(&out_of_memory(spec, limit, status));
    }
    if spec.stats {
        say(&summary(wall, cgroup));
    }
    reached.is_some()
}

fn out_of_memory(spec: &ContainerSpec, limit: u64, status: Status) -> String {
    let who = if status.code() == 137 { "the container was ended" } else { "a process in the container was ended" };
    let biggest = match kernel_log::killed_in(&spec.id) {
        Some(Killed { name, pid, bytes }) => {
            format!("; the biggest process was {name} (pid {pid} on the host) with {}", binary(bytes))
        }
        // PID 1 has lived to wait for it: then the kernel has counted what it had, though not its name.
        None if matches!(status, Status::Exited(_)) => {
            format!("; the biggest process had {}", binary(process::usage_of_children().biggest))
        }
        None => String::new(),
    };
    format!("out of memory: {who}, as it reached its limit of {} (--memory){biggest}", binary(limit))
}

/// One line, in the manner of GNU time.
fn summary(wall: Duration, cgroup: &Cgroup) -> String {
    let used = cgroup.usage();
    let ended = process::usage_of_children();
    let seconds = |time: Duration| decimal::fixed(time.as_secs_f64(), 2) + " s";
    let cpu = used.cpu.unwrap_or(ended.user + ended.system);
    let percent = 100.0 * cpu.as_secs_f64() / wall.as_secs_f64().max(1e-6);
    let peak = match used.memory_peak {
        Some(bytes) => format!("peak memory {}", binary(bytes)),
        None => format!("peak memory of the biggest process {}", binary(ended.biggest)),
    };
    format!("wall {}, CPU {} ({}%), {peak}", seconds(wall), seconds(cpu), decimal::fixed(percent, 0))
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
