//! `ccrun system df`.

mod each;

use crate::cli::args::{Command, Parsed, Switch, switch};
use crate::cli::container::{ps, size};
use crate::cli::image::rmi;
use crate::cli::output::listing::{self, Headings};
use crate::cli::output::{self, units};
use crate::cli::store;
use crate::error::Result;
use crate::image::digest::Digest;
use crate::image::local::images::{self, Image};
use crate::image::local::layers::{self, Notes};
use crate::image::local::refs;
use crate::json::json;
use crate::store::Store;
use crate::store::containers::Container;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const VERBOSE: Switch = switch(Some('v'), "verbose", "Show each image, container and volume");

pub static COMMAND: Command = Command {
    name: "system df",
    usage: "[OPTIONS]",
    summary: "Show how much room things take",
    flags: &[listing::FORMAT.flag, VERBOSE.flag],
    operands: (0, 0),
    runs_program: false,
    failure: 1,
    run,
};

const HEADINGS: Headings = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

/// All that takes room.
struct Usage {
    images: Vec<Image>,
    /// Bytes of each layer, those too that cancelled pulls have left, as they have the beginnings of blobs.
    layers: BTreeMap<Digest, u64>,
    partial: u64,
    /// The images that containers stand on, as often as they do.
    used: Vec<Digest>,
    containers: Vec<(Container, u64)>,
    /// Names and bytes.
    volumes: Vec<(String, u64)>,
}

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = store::look_swept(parsed)?;
    let usage = Usage::of(&store)?;
    let text = match parsed.text(listing::FORMAT)? {
        None if parsed.is_on(VERBOSE) => each::shown(&usage, &refs::list(&store)?.0),
        format => {
            let default = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
            listing::show(format, default, HEADINGS, &usage.sums())?
        }
    };
    output::print(&text)?;
    Ok(0)
}

impl Usage {
    fn of(store: &Store) -> Result<Usage> {
        let ids = images::ids(store)?;
        let images: Vec<Image> = ids.iter().filter_map(|id| images::load(store, id).ok().flatten()).collect();
        let layers = layers::ids(store)?.into_iter().map(|diff_id| (diff_id, Notes::read(store, &diff_id).size));
        let partial = store.usage(&store.root().join("partial"))?;
        let mut containers = Vec::new();
        for container in ps::newest_first(store)? {
            let bytes = size::written(store, &container.id)?;
            containers.push((container, bytes));
        }
        let mut volumes = Vec::new();
        for volume in store.volumes()? {
            let bytes = store.usage(&store.volume_data(&volume.name))?;
            volumes.push((volume.name, bytes));
        }
        let used = rmi::users(store)?.into_iter().map(|user| user.image).collect();
        Ok(Usage { images, layers: crate::sort::into(layers), partial, used, containers, volumes })
    }

    fn sums(&self) -> Vec<Value> {
        let row = |kind: &str, total: usize, active: usize, size: u64, reclaimable: u64| {
            let share = (reclaimable * 100).checked_div(size).map(|share| format!(" ({share}%)")).unwrap_or_default();
            json!({
                "Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(),
                "Size": units::room(size), "Reclaimable": units::room(reclaimable) + &share,
            })
        };
        let active: Vec<&Image> = self.images.iter().filter(|image| self.used.contains(&image.id)).collect();
        let needed: BTreeSet<Digest> = crate::sort::into(active.iter().flat_map(|image| image.config.diff_ids.clone()));
        let unneeded = self.layers.iter().filter(|(diff_id, _)| !needed.contains(*diff_id));
        let is_running = |(container, _): &&(Container, u64)| container.state.is_running();
        let running: Vec<_> = self.containers.iter().filter(is_running).collect();
        let room = |containers: &mut dyn Iterator<Item = &(Container, u64)>| containers.map(|(_, bytes)| bytes).sum();
        let (in_all, in_running): (u64, u64) = (room(&mut self.containers.iter()), room(&mut running.iter().copied()));
        let (linked, free): (Vec<_>, Vec<_>) = self.volumes.iter().partition(|(name, _)| self.links(name) > 0);
        vec![
            row(
                "Images",
                self.images.len(),
                active.len(),
                self.partial + self.layers.values().sum::<u64>(),
                self.partial + unneeded.map(|(_, bytes)| bytes).sum::<u64>(),
            ),
            row("Containers", self.containers.len(), running.len(), in_all, in_all - in_running),
            row(
                "Local Volumes",
                self.volumes.len(),
                linked.len(),
                self.volumes.iter().map(|(_, bytes)| bytes).sum(),
                free.iter().map(|(_, bytes)| bytes).sum(),
            ),
            row("Build Cache", 0, 0, 0, 0),
        ]
    }

    /// How many containers a volume is mounted into.
    fn links(&self, volume: &str) -> usize {
        self.containers.iter().filter(|(container, _)| container.volumes().any(|name| name == volume)).count()
    }
}
