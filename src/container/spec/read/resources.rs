//! Translates `linux.resources`. Engines send 0 for limits that are not set.

use super::Missing;
use crate::container::document::{
    BlockIoLimits, Bytes, CpuLimits, MemoryLimits, PidsLimit, Quota, Resources, ThrottleDevice, Weight,
};
use crate::isolation::cgroup::limits::{BlockIo, Cpu, Device, Limits, Memory, Rate, Throttle};

/// The most processes that a 64-bit kernel can have (PID_MAX_LIMIT, proc_sys_kernel(5)).
const ALL_PIDS: i64 = 4 << 20;

/// `is_ours`: ccrun chooses the limits that are not set. `in_group`: the container needs a cgroup, even without limits.
pub fn limits(resources: Option<&Resources>, is_ours: bool, in_group: bool, missing: &mut Missing) -> Limits {
    // Otherwise ccrun would set a limit of its own, or make no cgroup because there is no limit.
    let no_pids = if is_ours { None } else { Some(if in_group { ALL_PIDS } else { -1 }) };
    let Some(resources) = resources else { return Limits { pids: no_pids, ..Limits::default() } };
    let Resources { memory: bytes, cpu: time, pids, block_io: disks, devices, hugepage_limits, unified, unread } =
        resources;
    let place = |name: &str| format!("linux.resources.{name}");
    let no_rules = "ccrun makes no device cgroup: a container can open the devices that have a node in it";
    missing.refuse(!devices.is_empty(), place("devices"), no_rules);
    missing.refuse(!hugepage_limits.is_empty(), place("hugepageLimits"), "ccrun does not limit huge pages");
    missing.refuse(!unified.is_empty(), place("unified"), "ccrun does not write cgroup files by name");
    unread.keys().for_each(|name| missing.push(place(name), "ccrun does not limit it"));
    let pids = pids.as_ref().and_then(|PidsLimit { limit }| *limit).filter(|limit| is_ours || *limit > 0);
    Limits {
        memory: bytes.as_ref().map(|bytes| memory(bytes, is_ours, missing)).unwrap_or_default(),
        cpu: time.as_ref().map(|time| cpu(time, missing)).unwrap_or_default(),
        pids: pids.or(no_pids),
        block_io: disks.as_ref().map(|disks| block_io(disks, missing)).unwrap_or_default(),
        default_pids: None,
    }
}

fn memory(limits: &MemoryLimits, is_ours: bool, missing: &mut Missing) -> Memory {
    let MemoryLimits {
        limit,
        reservation,
        swap,
        kernel,
        kernel_tcp,
        swappiness,
        disable_oom_killer,
        // Neither is a limit: v1 groups have long been hierarchical, and nothing is updated here.
        use_hierarchy: _,
        check_before_update: _,
    } = limits;
    let place = |name: &str| format!("linux.resources.memory.{name}");
    // -1 is the same as none in a new cgroup.
    let bytes = |value: &Option<Bytes>| value.and_then(|value| u64::try_from(value.0).ok()).filter(|value| *value > 0);
    missing.refuse(bytes(kernel).is_some(), place("kernel"), "the kernel no longer has this limit");
    missing.refuse(bytes(kernel_tcp).is_some(), place("kernelTCP"), "ccrun does not set it");
    let frozen = "a container at its limit would hang forever";
    missing.refuse(*disable_oom_killer == Some(true), place("disableOOMKiller"), frozen);
    let limit = bytes(limit);
    let swap = swap.map(|swap| swap.0).filter(|swap| *swap != 0);
    let is_less = limit.zip(swap).is_some_and(|(limit, swap)| u64::try_from(swap).is_ok_and(|swap| swap < limit));
    missing.refuse(is_less, place("swap"), "is less than the memory limit");
    missing.refuse(limit.is_none() && swap.is_some_and(|swap| swap > 0), place("swap"), "needs a memory limit");
    Memory {
        limit,
        // By default ccrun's own containers get no swap.
        swap: swap.or((limit.is_some() && !is_ours).then_some(-1)),
        reservation: bytes(reservation),
        swappiness: swappiness.map(|percent| percent.0),
    }
}

fn cpu(limits: &CpuLimits, missing: &mut Missing) -> Cpu {
    let CpuLimits { shares, quota, period, cpus, mems, burst, realtime_runtime, realtime_period, idle } = limits;
    let place = |name: &str| format!("linux.resources.cpu.{name}");
    let numbers = [
        ("burst", burst.is_some_and(|burst| burst > 0)),
        ("realtimeRuntime", realtime_runtime.is_some_and(|time| time != 0)),
        ("realtimePeriod", realtime_period.is_some_and(|time| time != 0)),
        ("idle", idle.is_some_and(|idle| idle != 0)),
    ];
    numbers.iter().for_each(|(name, is_set)| missing.refuse(*is_set, place(name), "ccrun does not set it"));
    let list = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Cpu {
        shares: shares.filter(|shares| *shares > 0),
        quota: quota.map(|Quota(quota)| quota).filter(|quota| *quota != 0),
        period: period.filter(|period| *period > 0),
        cpus: list(cpus),
        mems: list(mems),
    }
}

fn block_io(limits: &BlockIoLimits, missing: &mut Missing) -> BlockIo {
    let BlockIoLimits { weight, leaf_weight, weight_device, read_bps, write_bps, read_iops, write_iops } = limits;
    let set = |weight: &Option<Weight>| weight.map(|weight| weight.0).filter(|weight| *weight > 0);
    let no_leaves = "the kernel no longer has this weight";
    missing.refuse(set(leaf_weight).is_some(), "linux.resources.blockIO.leafWeight", no_leaves);
    let mut weights = Vec::new();
    for (at, one) in weight_device.iter().enumerate() {
        let place = format!("linux.resources.blockIO.weightDevice[{at}].leafWeight");
        missing.refuse(set(&one.leaf_weight).is_some(), place, no_leaves);
        let device = Device { major: one.major, minor: one.minor };
        weights.extend(set(&one.weight).map(|weight| (device, weight)));
    }
    let rates = [
        (Rate::ReadBps, read_bps),
        (Rate::WriteBps, write_bps),
        (Rate::ReadIops, read_iops),
        (Rate::WriteIops, write_iops),
    ];
    let throttle = |what: Rate, one: &ThrottleDevice| {
        let device = Device { major: one.major, minor: one.minor };
        Throttle { device, what, rate: one.rate }
    };
    let throttles = rates.iter().flat_map(|(what, list)| list.iter().map(move |one| throttle(*what, one)));
    BlockIo { weight: set(weight), weight_device: weights, throttle: throttles.filter(|one| one.rate > 0).collect() }
}
