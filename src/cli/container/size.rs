//! The size of a container's files.

use crate::cli::output::units;
use crate::error::Result;
use crate::image::local::images;
use crate::store::Store;
use crate::store::containers::Container;
use serde_json::Value;

/// The size of a container's own writes, and of all its files.
pub fn shown(store: &Store, container: &Container) -> Result<String> {
    let own = written(store, &container.id)?;
    Ok(format!("{} (virtual {})", units::size(own), units::size(own + of_image(store, container))))
}

/// The bytes that the container `id` has written to its root file system.
pub fn written(store: &Store, id: &str) -> Result<u64> {
    store.usage(&store.container_dir(id).join("upper"))
}

/// The bytes of the image that a container was made from.
fn of_image(store: &Store, container: &Container) -> u64 {
    let id = container.image_id().and_then(images::id_of_record);
    let image = id.and_then(|id| images::load(store, &id).ok().flatten());
    image.map_or(0, |image| image.size(store))
}

/// Adds the sizes for `--size` in bytes: of the container's own writes, and of all its files.
pub fn add_to(store: &Store, container: &Container, value: &mut Value) -> Result<()> {
    let own = written(store, &container.id)?;
    value["SizeRw"] = own.into();
    value["SizeRootFs"] = (own + of_image(store, container)).into();
    Ok(())
}
