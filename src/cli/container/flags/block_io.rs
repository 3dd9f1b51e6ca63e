//! `--blkio-weight-device`, `--device-read-bps` and similar flags: limits on single disks (docker/cli,
//! opts/throttledevice.go and weightdevice.go).

use super::numbers;
use crate::cli::args::{Flag, Many, Parsed, many, utf8};
use crate::error::{Error, Result};
use crate::isolation::cgroup::limits::{BlockIo, Device, Rate, Throttle};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

pub const BLKIO_WEIGHT_DEVICE: Many = many(None, "blkio-weight-device", "DEVICE:NUMBER", "Share of one busy disk");
pub const DEVICE_READ_BPS: Many =
    many(None, "device-read-bps", "DEVICE:BYTES", "Limit of bytes read from a disk in a second");
pub const DEVICE_WRITE_BPS: Many =
    many(None, "device-write-bps", "DEVICE:BYTES", "Limit of bytes written to a disk in a second");
pub const DEVICE_READ_IOPS: Many =
    many(None, "device-read-iops", "DEVICE:NUMBER", "Limit of reads from a disk in a second");
pub const DEVICE_WRITE_IOPS: Many =
    many(None, "device-write-iops", "DEVICE:NUMBER", "Limit of writes to a disk in a second");

const RATES: [(Many, Rate); 4] = [
    (DEVICE_READ_BPS, Rate::ReadBps),
    (DEVICE_WRITE_BPS, Rate::WriteBps),
    (DEVICE_READ_IOPS, Rate::ReadIops),
    (DEVICE_WRITE_IOPS, Rate::WriteIops),
];

pub fn devices(parsed: &Parsed) -> Result<BlockIo> {
    let mut all = BlockIo::default();
    for value in parsed.many(BLKIO_WEIGHT_DEVICE) {
        let flag = &BLKIO_WEIGHT_DEVICE.flag;
        let text = utf8(value, flag.long)?;
        let (path, weight) = split(flag, text)?;
        let weight = weight.parse().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight));
        let wrong = || flag.invalid(text, &format!("invalid weight for device: {text}"));
        let weight = weight.ok_or_else(wrong)?;
        all.weight_device.push((device(path)?, weight));
    }
    for (flag, what, value) in parsed.in_order(&RATES) {
        let text = utf8(value, flag.long)?;
        let (path, rate) = split(flag, text)?;
        let (rate, form) = match what {
            Rate::ReadBps | Rate::WriteBps => (
                numbers::size(rate),
                "<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
            ),
            Rate::ReadIops | Rate::WriteIops => (rate.parse().ok(), "<number>. Number must be a positive integer"),
        };
        let rate = rate.filter(|rate| *rate > 0).ok_or_else(|| {
            flag.invalid(text, &format!("invalid rate for device: {text}. The correct format is <device-path>:{form}"))
        })?;
        all.throttle.push(Throttle { device: device(path)?, what, rate });
    }
    Ok(all)
}

fn split<'a>(flag: &Flag, text: &'a str) -> Result<(&'a str, &'a str)> {
    let parts = text.rsplit_once(':').filter(|(path, value)| !path.is_empty() && !value.is_empty());
    let (path, value) = parts.ok_or_else(|| flag.invalid(text, &format!("bad format: {text}")))?;
    if !path.starts_with("/dev/") {
        return Err(flag.invalid(text, &format!("bad format for device path: {text}")));
    }
    Ok((path, value))
}

fn device(path: &str) -> Result<Device> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io(format_args!("stat {path}"), &e))?;
    if !meta.file_type().is_block_device() {
        return Err(Error::new(format_args!("{path} is not a block device")));
    }
    Ok(Device { major: libc::major(meta.rdev()), minor: libc::minor(meta.rdev()) })
}
