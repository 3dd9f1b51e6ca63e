//! `ccrun system df`.

use super::flag::{Command, switch};
use super::listing::{self, Headings};
use super::parse::Parsed;
use super::{filter, ps, rmi, units};
use crate::container::create;
use crate::error::Result;
use crate::image::digest::Digest;
use crate::image::local::images::{self, Image};
use crate::image::local::layers::Notes;
use crate::image::local::refs;
use crate::store::Store;
use crate::store::containers::{Record, State, short};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub static COMMAND: Command = Command {
    name: "system df",
    usage: "[OPTIONS]",
    summary: "Show how much room things take",
    flags: &[listing::FORMAT, switch(Some('v'), "verbose", "Show each image, container and volume")],
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
    /// Bytes of each layer.
    layers: BTreeMap<Digest, u64>,
    /// The images that containers stand on, as often as they do.
    used: Vec<Digest>,
    containers: Vec<(Record, State, u64)>,
    /// Names and bytes.
    volumes: Vec<(String, u64)>,
}

fn run(parsed: &Parsed) -> Result<u8> {
    let (store, _) = super::open_store(parsed)?;
    create::sweep(&store)?;
    let usage = Usage::of(&store)?;
    let text = match parsed.text("format")? {
        None if parsed.is_on("verbose") => usage.each(&store)?,
        format => {
            let default = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
            listing::show(format, default, HEADINGS, &usage.sums())?
        }
    };
    super::print(&text)?;
    Ok(0)
}

impl Usage {
    fn of(store: &Store) -> Result<Usage> {
        let ids = images::ids(store)?;
        let images: Vec<Image> = ids.iter().filter_map(|id| images::load(store, id).ok().flatten()).collect();
        let diff_ids = images.iter().flat_map(|image| &image.config.diff_ids);
        let layers = diff_ids.map(|diff_id| (*diff_id, Notes::read(store, diff_id).size)).collect();
        let mut containers = Vec::new();
        for id in store.container_ids()? {
            let Ok(record) = store.record(&id) else { continue };
            let bytes = store.usage(&store.root().join("containers").join(&id).join("upper"))?;
            containers.push((record, store.container_state(&id)?, bytes));
        }
        let mut volumes = Vec::new();
        for entry in std::fs::read_dir(store.root().join("volumes")).into_iter().flatten().flatten() {
            volumes.push((entry.file_name().to_string_lossy().into_owned(), store.usage(&entry.path().join("_data"))?));
        }
        volumes.sort();
        let used = rmi::users(store)?.into_iter().map(|user| user.image).collect();
        Ok(Usage { images, layers, used, containers, volumes })
    }

    fn sums(&self) -> Vec<Value> {
        let row = |kind: &str, total: usize, active: usize, size: u64, reclaimable: u64| {
            let share = (reclaimable * 100).checked_div(size).map(|share| format!(" ({share}%)")).unwrap_or_default();
            json!({
                "Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(),
                "Size": units::room(size), "Reclaimable": units::room(reclaimable) + &share,
            })
        };
        let (active, idle): (Vec<&Image>, Vec<_>) = self.images.iter().partition(|image| self.used.contains(&image.id));
        let needed: BTreeSet<&Digest> = active.iter().flat_map(|image| &image.config.diff_ids).collect();
        let unneeded = self.layers.iter().filter(|(diff_id, _)| !needed.contains(diff_id));
        let running = self.containers.iter().filter(|(_, state, _)| *state == State::Running);
        let ended = self.containers.iter().filter(|(_, state, _)| *state != State::Running);
        let bytes = |volumes: &mut dyn Iterator<Item = &(String, u64)>| volumes.map(|(_, bytes)| bytes).sum();
        let is_linked = |(name, _): &&(String, u64)| self.links(name) > 0;
        vec![
            row(
                "Images",
                active.len() + idle.len(),
                active.len(),
                self.layers.values().sum(),
                unneeded.map(|(_, bytes)| bytes).sum(),
            ),
            row(
                "Containers",
                self.containers.len(),
                running.count(),
                self.containers.iter().map(|(.., bytes)| bytes).sum(),
                ended.map(|(.., bytes)| bytes).sum(),
            ),
            row(
                "Local Volumes",
                self.volumes.len(),
                self.volumes.iter().filter(is_linked).count(),
                bytes(&mut self.volumes.iter()),
                bytes(&mut self.volumes.iter().filter(|volume| !is_linked(volume))),
            ),
            row("Build Cache", 0, 0, 0, 0),
        ]
    }

    /// How many containers a volume is mounted into.
    fn links(&self, volume: &str) -> usize {
        self.containers.iter().filter(|(record, ..)| record.volumes.iter().any(|name| name == volume)).count()
    }

    /// Every thing by itself, as `docker system df -v` shows it.
    fn each(&self, store: &Store) -> Result<String> {
        let head = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut images = vec![head(&[
            "REPOSITORY",
            "TAG",
            "IMAGE ID",
            "CREATED",
            "SIZE",
            "SHARED SIZE",
            "UNIQUE SIZE",
            "CONTAINERS",
        ])];
        let (names, _) = refs::list(store)?;
        for image in &self.images {
            let others = self.images.iter().filter(|other| other.id != image.id);
            let others: BTreeSet<&Digest> = others.flat_map(|other| &other.config.diff_ids).collect();
            let own: BTreeSet<&Digest> = image.config.diff_ids.iter().collect();
            let bytes = |diff_id: &&&Digest| self.layers.get(diff_id).copied().unwrap_or(0);
            let shared: u64 = own.iter().filter(|diff_id| others.contains(*diff_id)).map(|d| bytes(&d)).sum();
            let all: u64 = own.iter().map(|d| bytes(&d)).sum();
            let tag = names.iter().find(|name| name.image == image.id && name.reference.tag().is_some());
            let none = || "<none>".to_owned();
            images.push(vec![
                tag.map_or_else(none, |name| name.reference.familiar_name()),
                tag.and_then(|name| name.reference.tag()).map_or_else(none, str::to_owned),
                image.id.short(),
                units::ago(filter::created(image)),
                units::size(all),
                units::room(shared),
                units::room(all - shared),
                self.used.iter().filter(|id| **id == image.id).count().to_string(),
            ]);
        }
        let mut containers =
            vec![head(&["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"])];
        for (record, state, bytes) in &self.containers {
            let fields = ps::fields(record, state, false);
            let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            containers.push(vec![
                short(&record.id).to_owned(),
                field("Image"),
                field("Command"),
                record.volumes.len().to_string(),
                units::size(*bytes),
                field("RunningFor"),
                field("Status"),
                field("Names"),
            ]);
        }
        let mut volumes = vec![head(&["VOLUME NAME", "LINKS", "SIZE"])];
        let row = |(name, bytes): &(String, u64)| vec![name.clone(), self.links(name).to_string(), units::size(*bytes)];
        volumes.extend(self.volumes.iter().map(row));
        Ok(format!(
            "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache \
             usage: 0B\n",
            listing::table(&images),
            listing::table(&containers),
            listing::table(&volumes)
        ))
    }
}
