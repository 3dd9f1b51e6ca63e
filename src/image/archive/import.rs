//! Importing: a root file system's tar becomes an image of one layer.

use super::change;
use super::files::Piece;
use super::manifest;
use super::spool::{Spool, spool};
use crate::error::{Error, Result};
use crate::image::compression::Compression;
use crate::image::digest::{Digest, Hasher};
use crate::image::install::Progress;
use crate::image::install::{Installed, Parts, install};
use crate::image::local::refs::{self, Ref};
use crate::image::manifest::{Descriptor, Layer};
use crate::image::origin::{Blob, Origin};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::retry::Failure;
use crate::json::json;
use crate::store::Store;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::BufRead;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the new image is to be.
pub struct Import<'a> {
    pub name: Option<&'a Reference>,
    /// Dockerfile instructions.
    pub changes: &'a [&'a str],
    pub message: &'a str,
    pub platform: &'a Platform,
}

/// Makes an image of the tar that is `input` or comes through it, compressed or not.
pub fn import(store: &Store, input: File, wanted: &Import<'_>, progress: &mut dyn Progress) -> Result<Installed> {
    let mut settings = Map::new();
    for line in wanted.changes.iter().flat_map(|change| change.lines()).filter(|line| !line.trim().is_empty()) {
        change::apply(&mut settings, line)?;
    }
    let (spool, (diff_id, size)) = spool(store, input, hash)?;
    let created = rfc3339(SystemTime::now());
    let config = config(settings, &diff_id, wanted, &created);
    let layer = manifest::layer(&diff_id, size);
    let manifest = manifest::manifest(&config, std::slice::from_ref(&layer));
    let layers = [Layer { blob: layer, compression: Compression::None }];
    let parts = Parts { layers: &layers, config: &config, manifest: &manifest };
    install(store, &Whole(&spool, size), &parts, progress, |image| {
        let Some(reference) = wanted.name.cloned() else { return Ok(()) };
        let (digest, platform) = (Digest::of(&manifest), wanted.platform.to_string());
        refs::write(store, &Ref { reference, image, digest, platform })
    })
}

/// Digest and length of all that comes.
fn hash(plain: &mut dyn BufRead) -> Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut count = 0;
    loop {
        let ready = plain.fill_buf().map_err(|error| Error::io("read the archive", &error))?;
        if ready.is_empty() {
            return Ok((hasher.finish(), count));
        }
        hasher.update(ready);
        let length = ready.len();
        count += length as u64;
        plain.consume(length);
    }
}

/// All that was spooled is one blob.
struct Whole<'a>(&'a Spool<'a>, u64);

impl Origin for Whole<'_> {
    fn open(&self, _: &Descriptor, from: u64) -> std::result::Result<Box<dyn Blob + '_>, Failure> {
        let mut piece = Piece::new(&self.0.file, 0, self.1)?;
        piece.skip(from);
        Ok(Box::new(piece))
    }
}

/// The image's config, with one step of history as Docker writes it.
fn config(settings: Map<String, Value>, diff_id: &Digest, wanted: &Import<'_>, created: &str) -> Vec<u8> {
    let platform = wanted.platform.to_string();
    let mut platform = platform.split('/');
    let mut config = json!({
        "os": platform.next(),
        "architecture": platform.next(),
        "created": created,
        "comment": wanted.message,
        "config": settings,
        "history": [{ "created": created, "comment": wanted.message }],
        "rootfs": { "type": "layers", "diff_ids": [diff_id.to_string()] },
    });
    if let (Some(variant), Value::Object(config)) = (platform.next(), &mut config) {
        config.insert("variant".to_owned(), variant.into());
    }
    config.to_string().into_bytes()
}

/// A time as configs have it: `2024-05-22T18:18:12.052034407Z`.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years that begin in March have their leap day at the end; 400 of them have 146 097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second, nanosecond) = (second / 3600, second / 60 % 60, second % 60, since.subsec_nanos());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::config::Config;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_docker_does() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (951_868_799, "2000-02-29T23:59:59.000000007Z"),
            (1_716_401_892, "2024-05-22T18:18:12.000000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::new(seconds, 7)), text);
        }
    }

    #[test]
    fn the_config_is_one_that_is_understood() {
        let platform = Platform::parse("linux/arm/v7").unwrap();
        let wanted = Import { name: None, changes: &[], message: "Imported from -", platform: &platform };
        let mut settings = Map::new();
        change::apply(&mut settings, "CMD [\"sh\"]").unwrap();
        let config = Config::parse(&config(settings, &Digest::of(b""), &wanted, "2024-05-22T18:18:12Z")).unwrap();
        assert_eq!((config.platform, config.diff_ids), (platform.clone(), vec![Digest::of(b"")]));
        assert_eq!((config.cmd, config.history.len()), (vec!["sh".to_owned()], 1));
        assert_eq!(config.history[0].comment, "Imported from -");
    }
}
