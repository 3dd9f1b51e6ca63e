//! Stand-in until REGISTRY's lands.
use crate::error::{Error, Result};
use crate::image::platform::Platform;
use crate::store::{
    Store,
    images::{self, Image},
};
pub fn find(store: &Store, word: &str, _p: Option<&Platform>) -> Result<Option<Image>> {
    match images::find(store, word)? {
        Some(f) => images::load(store, &f.id),
        None => Ok(None),
    }
}
pub fn for_run(_s: &Store, word: &str, _p: Option<&Platform>, _q: bool) -> Result<Image> {
    Err(Error::new(format!("no pull yet: {word}")))
}
