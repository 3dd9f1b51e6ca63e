//! Loading: from an archive's images to images in the store.

use super::files::{Blobs, Files};
use super::{Image, docker, oci};
use crate::error::{Error, Result};
use crate::image::config::Config;
use crate::image::digest::Digest;
use crate::image::install::Progress;
use crate::image::install::{Parts, install};
use crate::image::local::layers::Notes;
use crate::image::local::refs::{self, Ref};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::store::Store;

/// An image that came out of an archive.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub id: Digest,
    pub names: Vec<Reference>,
    /// Names that were another image's until now.
    pub taken: Vec<(Reference, Digest)>,
    /// What could not be kept of the layers that were unpacked now.
    pub lost: Notes,
}

/// Loads all images of an archive; `tell` hears of each when it is there. `platform` is what the user
/// asked for; without it, what the archive has is good, and of several the one for this machine.
pub fn load(
    store: &Store,
    files: &Files<'_>,
    platform: Option<&Platform>,
    progress: &mut dyn Progress,
    tell: &mut dyn FnMut(&Loaded) -> Result<()>,
) -> Result<()> {
    let mut one = |image: Image| -> Result<()> {
        let loaded = one(store, files, image, platform, progress);
        progress.finish();
        tell(&loaded?)
    };
    let mut count = 0;
    // The layout comes first: in it everything has its digest.
    if let Some(listed) = oci::list(files, platform)? {
        count += listed.len();
        // Some writers name the image in Docker's list only.
        let named = docker::list(files).ok().flatten().unwrap_or_default();
        for listed in listed {
            let mut image = oci::read(files, listed, platform)?;
            if image.names.is_empty() {
                image.names = docker::names(&named, &Digest::of(&image.config));
            }
            one(image)?;
        }
    } else {
        let listed = docker::list(files)?.ok_or_else(|| nothing_known(files))?;
        count += listed.len();
        listed.into_iter().try_for_each(|listed| one(docker::read(store, files, listed)?))?;
    }
    if count == 0 {
        return Err(Error::new("the archive holds no image"));
    }
    Ok(())
}

fn nothing_known(files: &Files<'_>) -> Error {
    if files.find("repositories").is_ok_and(|found| found.is_some()) {
        return Error::new("the archive was saved by a Docker older than 1.10")
            .hint("load it into a newer one and save it from there");
    }
    Error::new("this is no archive of images: it has neither index.json nor manifest.json")
        .hint("to make an image of a root file system, use 'ccrun import'")
}

/// Loads one image.
fn one(
    store: &Store,
    files: &Files<'_>,
    image: Image,
    wanted: Option<&Platform>,
    progress: &mut dyn Progress,
) -> Result<Loaded> {
    let platform = Config::parse(&image.config)?.platform;
    if let Some(wanted) = wanted.filter(|wanted| !platform.runs_on(wanted)) {
        return Err(Error::new(format_args!("the archive's image is for {platform}, not for the specified {wanted}")));
    }
    let (id, digest) = (Digest::of(&image.config), image.digest);
    let names = tags(&image.names);
    // What a name stood for until now; a damaged one stood for nothing.
    let old = |name: &Reference| refs::read(store, name).ok().flatten().map(|old| old.image);
    let taken = names.iter().filter_map(|name| Some((name.clone(), old(name).filter(|old| *old != id)?))).collect();
    let origin = Blobs { files, names: &image.blobs };
    let parts = Parts { layers: &image.layers, config: &image.config, manifest: &image.manifest };
    let installed = install(store, &origin, &parts, progress, |image| {
        // A name that stands for this image already knows the registry's manifest.
        for name in names.iter().filter(|name| old(name) != Some(image)) {
            let (reference, platform) = (name.clone(), platform.to_string());
            refs::write(store, &Ref { reference, image, digest, platform })?;
        }
        Ok(())
    })?;
    Ok(Loaded { id, names, taken, lost: installed.lost })
}

/// The names as tags: a digest is no name that an archive can give.
fn tags(names: &[Reference]) -> Vec<Reference> {
    let mut tags: Vec<Reference> = Vec::new();
    for name in names.iter().filter_map(|name| Some(name.with_tag(name.tag()?))) {
        if !tags.contains(&name) {
            tags.push(name);
        }
    }
    tags
}
