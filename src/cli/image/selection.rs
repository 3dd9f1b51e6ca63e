//! Which images and names a command is about, by its filters.

use crate::cli::filter::Filters;
use crate::cli::glob::glob;
use crate::cli::output::units;
use crate::error::Result;
use crate::image::local::images::{self, Image};
use crate::image::local::refs::Ref;
use crate::image::reference::Reference;
use crate::store::Store;

/// Which images a command is about.
pub struct Selection {
    filters: Filters,
    pub dangling: Option<bool>,
    /// The image must be made before and after these moments.
    before: Option<i64>,
    since: Option<i64>,
    until: Option<i64>,
}

impl Selection {
    pub const KNOWN: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

    /// By the filters, and by the word that stands behind `ccrun images`.
    pub fn new(store: &Store, mut filters: Filters, word: Option<&str>) -> Result<Selection> {
        filters.extend("reference", word.map(familiar));
        let created = |name: &str| -> Result<Option<i64>> {
            let Some(word) = filters.all(name).last() else { return Ok(None) };
            let found = images::find(store, word)?.ok_or_else(|| images::not_found(word))?;
            let image = images::load(store, &found.id)?.ok_or_else(|| images::not_found(word))?;
            Ok(Some(created(&image).unwrap_or(i64::MIN)))
        };
        let (before, since) = (created("before")?, created("since")?);
        Ok(Selection { dangling: filters.switch("dangling")?, before, since, until: filters.until()?, filters })
    }

    /// Whether an image with these names is one of them.
    pub fn takes(&self, image: &Image, names: &[&Ref]) -> bool {
        let is_tagged = names.iter().any(|name| name.reference.tag().is_some());
        let dangling = match self.dangling {
            None => true,
            Some(true) => !is_tagged,
            Some(false) => !names.is_empty(),
        };
        dangling && self.takes_whatever_its_names(image)
    }

    /// Whether it is one of them as far as names do not matter.
    pub fn takes_whatever_its_names(&self, image: &Image) -> bool {
        let created = created(image).unwrap_or(i64::MIN);
        self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created < until)
            && self.filters.take_labels(&image.config.labels)
    }

    /// Whether a name is one of them; none is no name when names are asked for.
    pub fn takes_name(&self, reference: Option<&Reference>) -> bool {
        let mut patterns = self.filters.all("reference").peekable();
        patterns.peek().is_none()
            || reference.is_some_and(|own| {
                patterns.any(|pattern| glob(pattern, &own.familiar()) || glob(pattern, &own.familiar_name()))
            })
    }
}

/// When the image was made, in seconds since 1970.
pub fn created(image: &Image) -> Option<i64> {
    image.config.created.as_deref().and_then(units::rfc3339)
}

/// A name in full as the list shows it; what is no name is a pattern, and left as it is.
fn familiar(word: &str) -> String {
    match Reference::parse(word) {
        Ok(reference) if reference.tag_defaulted() => reference.familiar_name(),
        Ok(reference) => reference.familiar(),
        Err(_) => word.to_owned(),
    }
}
