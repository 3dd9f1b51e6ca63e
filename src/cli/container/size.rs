//! The size of a container's files.

use crate::cli::output::units;
use crate::error::Result;
use crate::image::local::images;
use crate::store::Store;
use crate::store::containers::Container;
use serde_json::Value;

/// The size of a container's own writes, and of all its files.
pub fn shown(store: &Store, container: &Container) -> Result<String> {
    let own = store.usage(&store.root().join("containers").join(&container.id).join("upper"))?;
    Ok(format!("{} (virtual {})", units::size(own), units::size(own + of_image(store, container))))
}

/// The bytes of the image that a container was made from.
fn of_image(store: &Store, container: &Container) -> u64 {
    let id = container.image_id().and_then(images::id_of_record);
    let image = id.and_then(|id| images::load(store, &id).ok().flatten());
    image.map_or(0, |image| image.size(store))
}

/// Adds the sizes for `--size` in bytes: of the container's own writes, and of all its files.
pub fn add_to(store: &Store, container: &Container, value: &mut Value) -> Result<()> {
    let own = store.usage(&store.root().join("containers").join(&container.id).join("upper"))?;
    value["SizeRw"] = own.into();
    value["SizeRootFs"] = (own + of_image(store, container)).into();
    Ok(())
}
