//! How much room a container takes.

use crate::cli::output::units;
use crate::error::Result;
use crate::image::local::images;
use crate::store::Store;
use crate::store::containers::Record;
use serde_json::Value;

/// What a container has written, and with its image's files.
pub fn shown(store: &Store, record: &Record) -> Result<String> {
    let own = store.usage(&store.root().join("containers").join(&record.id).join("upper"))?;
    Ok(format!("{} (virtual {})", units::size(own), units::size(own + of_image(store, record))))
}

/// The bytes of the image that a container was made from.
fn of_image(store: &Store, record: &Record) -> u64 {
    let id = record.image_id.as_deref().and_then(images::id_of_record);
    let image = id.and_then(|id| images::load(store, &id).ok().flatten());
    image.map_or(0, |image| image.size(store))
}

/// Adds what `--size` asks for: the bytes that the container has written, and those of all its files.
pub fn add_to(store: &Store, record: &Record, value: &mut Value) -> Result<()> {
    let own = store.usage(&store.root().join("containers").join(&record.id).join("upper"))?;
    value["SizeRw"] = own.into();
    value["SizeRootFs"] = (own + of_image(store, record)).into();
    Ok(())
}
