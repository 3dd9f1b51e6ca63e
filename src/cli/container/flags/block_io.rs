//! `--blkio-weight`, `--device-read-bps` and their like: what disks a container may keep busy, and how much
//! (docker/cli, opts/throttledevice.go and weightdevice.go).

use super::numbers::{self, invalid};
use crate::cli::args::{Parsed, utf8};
use crate::error::{Error, Result};
use crate::isolation::cgroup::limits::{BlockIo, Device, Rate, Throttle};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

const RATES: [(&str, Rate); 4] = [
    ("device-read-bps", Rate::ReadBps),
    ("device-write-bps", Rate::WriteBps),
    ("device-read-iops", Rate::ReadIops),
    ("device-write-iops", Rate::WriteIops),
];

pub fn weight(parsed: &Parsed) -> Result<Option<u16>> {
    match numbers::whole(parsed, "blkio-weight")? {
        None | Some(0) => Ok(None),
        Some(weight @ 10..=1000) => Ok(u16::try_from(weight).ok()),
        Some(_) => Err(Error::new("Range of blkio weight is from 10 to 1000")),
    }
}

pub fn devices(parsed: &Parsed) -> Result<BlockIo> {
    let mut all = BlockIo::default();
    for (flag, value) in parsed.in_order() {
        if flag == "blkio-weight-device" {
            let text = utf8(value, flag)?;
            let (path, weight) = split(parsed, flag, text)?;
            let weight = weight.parse().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight));
            let wrong = || invalid(parsed, flag, text, &format!("invalid weight for device: {text}"));
            let weight = weight.ok_or_else(wrong)?;
            all.weight_device.push((device(path)?, weight));
        } else if let Some((_, what)) = RATES.into_iter().find(|(name, _)| *name == flag) {
            let text = utf8(value, flag)?;
            let (path, rate) = split(parsed, flag, text)?;
            let (rate, form) = match what {
                Rate::ReadBps | Rate::WriteBps => (
                    numbers::size(rate),
                    "<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
                ),
                Rate::ReadIops | Rate::WriteIops => (rate.parse().ok(), "<number>. Number must be a positive integer"),
            };
            let rate = rate.filter(|rate| *rate > 0).ok_or_else(|| {
                let why = format!("invalid rate for device: {text}. The correct format is <device-path>:{form}");
                invalid(parsed, flag, text, &why)
            })?;
            all.throttle.push(Throttle { device: device(path)?, what, rate });
        }
    }
    Ok(all)
}

fn split<'a>(parsed: &Parsed, flag: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    let parts = text.rsplit_once(':').filter(|(path, value)| !path.is_empty() && !value.is_empty());
    let (path, value) = parts.ok_or_else(|| invalid(parsed, flag, text, &format!("bad format: {text}")))?;
    if !path.starts_with("/dev/") {
        return Err(invalid(parsed, flag, text, &format!("bad format for device path: {text}")));
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
