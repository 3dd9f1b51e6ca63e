//! Every thing by itself, as `docker system df -v` shows it.

use super::Usage;
use crate::cli::container::ps;
use crate::cli::image::selection;
use crate::cli::output::{listing, units};
use crate::image::digest::Digest;
use crate::image::local::images::Image;
use crate::image::local::refs::Ref;
use crate::store::containers::Container;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeSet;

pub fn shown(usage: &Usage, names: &[Ref]) -> String {
    // The newest first, as in the list of images.
    let mut images: Vec<_> = usage.images.iter().map(|image| (image, line_of(usage, image, names))).collect();
    images.sort_by_cached_key(|(image, line)| (Reverse(selection::created(image)), line.clone()));
    let tables = [
        ("Images", IMAGES, images.into_iter().map(|(_, line)| line).collect()),
        ("Containers", CONTAINERS, containers(usage)),
        ("Local Volumes", VOLUMES, volumes(usage)),
    ];
    let table = |(kind, headings, lines): (&str, &[&str], Vec<Vec<String>>)| {
        let head = headings.iter().map(|heading| (*heading).to_owned()).collect();
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(lines).collect();
        format!("{kind} space usage:\n\n{}\n", listing::table(&lines))
    };
    tables.into_iter().map(table).collect::<String>() + "Build cache usage: 0B\n"
}

const IMAGES: &[&str] =
    &["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"];
const CONTAINERS: &[&str] =
    &["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"];
const VOLUMES: &[&str] = &["VOLUME NAME", "LINKS", "SIZE"];

fn line_of(usage: &Usage, image: &Image, names: &[Ref]) -> Vec<String> {
    let others = usage.images.iter().filter(|other| other.id != image.id);
    let others: BTreeSet<&Digest> = others.flat_map(|other| &other.config.diff_ids).collect();
    let own: BTreeSet<&Digest> = image.config.diff_ids.iter().collect();
    let room = |diff_ids: &mut dyn Iterator<Item = &&Digest>| -> u64 {
        diff_ids.filter_map(|diff_id| usage.layers.get(*diff_id)).sum()
    };
    let (all, shared) = (room(&mut own.iter()), room(&mut own.intersection(&others)));
    let name = names.iter().find(|name| name.image == image.id && name.reference.tag().is_some());
    let none = || "<none>".to_owned();
    vec![
        name.map_or_else(none, |name| name.reference.familiar_name()),
        name.and_then(|name| name.reference.tag()).map_or_else(none, str::to_owned),
        image.id.short(),
        units::ago(selection::created(image)),
        units::size(all),
        units::room(shared),
        units::room(all - shared),
        usage.used.iter().filter(|id| **id == image.id).count().to_string(),
    ]
}

fn containers(usage: &Usage) -> Vec<Vec<String>> {
    let line = |(container, bytes): &(Container, u64)| {
        let fields = ps::fields(container, false);
        let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let size = units::size(*bytes);
        let [id, image, command] = ["ID", "Image", "Command"].map(field);
        let [volumes, created, status, names] = ["LocalVolumes", "RunningFor", "Status", "Names"].map(field);
        vec![id, image, command, volumes, size, created, status, names]
    };
    usage.containers.iter().map(line).collect()
}

fn volumes(usage: &Usage) -> Vec<Vec<String>> {
    let line = |(name, bytes): &(String, u64)| vec![name.clone(), usage.links(name).to_string(), units::size(*bytes)];
    usage.volumes.iter().map(line).collect()
}
