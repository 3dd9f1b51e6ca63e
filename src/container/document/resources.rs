//! Limits: `linux.resources`. A 0 means "not set" in most of them, as engines send it.

use super::object::{At, Json, object, words};
use crate::error::Result;
use serde_json::Value;
use std::collections::BTreeMap;

object! {
    #[derive(Default)]
    pub struct Resources {
        memory: Option<MemoryLimits> = "memory",
        cpu: Option<CpuLimits> = "cpu",
        pids: Option<PidsLimit> = "pids",
        block_io: Option<BlockIoLimits> = "blockIO",
        devices: Vec<DeviceRule> = "devices",
        hugepage_limits: Vec<HugepageLimit> = "hugepageLimits",
        unified: BTreeMap<String, String> = "unified",
    } keeps unread: ["network", "rdma"]
    /// In bytes.
    #[derive(Default)]
    pub struct MemoryLimits {
        limit: Option<Bytes> = "limit",
        reservation: Option<Bytes> = "reservation",
        /// Memory and swap together.
        swap: Option<Bytes> = "swap",
        kernel: Option<Bytes> = "kernel",
        kernel_tcp: Option<Bytes> = "kernelTCP",
        swappiness: Option<Percent> = "swappiness",
        disable_oom_killer: Option<bool> = "disableOOMKiller",
        use_hierarchy: Option<bool> = "useHierarchy",
        check_before_update: Option<bool> = "checkBeforeUpdate",
    }
    #[derive(Default)]
    pub struct CpuLimits {
        shares: Option<u64> = "shares",
        quota: Option<Quota> = "quota",
        period: Option<u64> = "period",
        cpus: Option<String> = "cpus",
        mems: Option<String> = "mems",
        burst: Option<u64> = "burst",
        realtime_runtime: Option<i64> = "realtimeRuntime",
        realtime_period: Option<u64> = "realtimePeriod",
        idle: Option<i64> = "idle",
    }
    pub struct PidsLimit {
        limit: Option<i64> = "limit",
    }
    #[derive(Default)]
    pub struct BlockIoLimits {
        weight: Option<Weight> = "weight",
        leaf_weight: Option<Weight> = "leafWeight",
        weight_device: Vec<WeightDevice> = "weightDevice",
        read_bps: Vec<ThrottleDevice> = "throttleReadBpsDevice",
        write_bps: Vec<ThrottleDevice> = "throttleWriteBpsDevice",
        read_iops: Vec<ThrottleDevice> = "throttleReadIOPSDevice",
        write_iops: Vec<ThrottleDevice> = "throttleWriteIOPSDevice",
    }
    pub struct WeightDevice {
        major: u32 = "major",
        minor: u32 = "minor",
        weight: Option<Weight> = "weight",
        leaf_weight: Option<Weight> = "leafWeight",
    }
    pub struct ThrottleDevice {
        major: u32 = "major",
        minor: u32 = "minor",
        rate: u64 = "rate",
    }
    /// A rule of the device cgroup.
    pub struct DeviceRule {
        allow: bool = "allow",
        kind: Option<RuleKind> = "type",
        major: Option<i64> = "major",
        minor: Option<i64> = "minor",
        access: Option<Access> = "access",
    }
    pub struct HugepageLimit {
        page_size: String = "pageSize",
        limit: u64 = "limit",
    }
}

words! {
    pub enum RuleKind("a type of device") {
        All = "a",
        Character = "c",
        Block = "b",
    }
}

/// Defines numbers with a range that is checked when they are read, and the name of the type in messages.
macro_rules! ranges {
    ($($(#[$meta:meta])* pub struct $name:ident($number:ty) = $range:pat, $what:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name(pub $number);

        impl Json for $name {
            fn read(value: &Value, at: &At<'_>) -> Result<Self> {
                let wide = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
                match wide.and_then(|wide| <$number>::try_from(wide).ok()) {
                    Some(number @ $range) => Ok($name(number)),
                    _ => Err(at.is_not(value, $what)),
                }
            }

            fn write(&self) -> Option<Value> {
                Some(self.0.into())
            }
        }
    )*};
}
ranges! {
    /// -1: no limit.
    pub struct Bytes(i64) = -1.., "a number of bytes, or -1";
    /// -1: no limit.
    pub struct Quota(i64) = -1.., "a number of microseconds, or -1";
    pub struct Percent(u64) = 0..=100, "a number from 0 to 100";
    pub struct Weight(u16) = 0 | 10..=1000, "a weight from 10 to 1000";
}

/// Letters of `rwm`.
#[derive(Clone, Debug, PartialEq)]
pub struct Access(String);

impl Json for Access {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let text = value.as_str().filter(|text| text.bytes().all(|letter| b"rwm".contains(&letter)));
        text.map(|text| Access(text.to_owned())).ok_or_else(|| at.is_not(value, "made of the letters r, w and m"))
    }

    fn write(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}
