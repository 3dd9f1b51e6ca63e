//! `--filter NAME=VALUE`: what a command is about.

use crate::cli::args::{Many, Parsed, many};
use crate::cli::output::units;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

pub const FILTER: Many = many(Some('f'), "filter", "NAME=VALUE", "Take only what it says; may be given many times");

/// What a command line's filters say.
pub struct Filters(Vec<(String, String)>);

impl Filters {
    /// The values of `flag` for a command that knows the filters called `known`.
    pub fn parse(parsed: &Parsed, flag: Many, known: &[&str]) -> Result<Filters> {
        let read = |text: &str| {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Error::new(format_args!("invalid argument '{text}' for --filter: bad format of filter"))
                    .hint("it is NAME=VALUE")
            })?;
            let name = name.trim().to_ascii_lowercase();
            // `label!=x` is how Docker's prune leaves some out.
            if name == "label!" && known.contains(&"label") && parsed.command.name.ends_with("prune") {
                return Ok((name, value.trim().to_owned()));
            }
            if known.contains(&name.as_str()) {
                return Ok((name, value.trim().to_owned()));
            }
            Err(Error::new(format_args!("invalid filter '{name}'"))
                .hint(format_args!("there are {}", known.join(", "))))
        };
        parsed.texts(flag)?.into_iter().map(read).collect::<Result<_>>().map(Filters)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All values of one filter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Adds a value of one filter, if there is any.
    pub fn extend(&mut self, name: &str, value: Option<String>) {
        self.0.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// Every filter as it was given.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, value)| format!("{name}={value}"))
    }

    /// Refuses values of a filter that are not among those that it has.
    pub fn check(&self, name: &str, values: &[&str]) -> Result<()> {
        self.check_all(name, &format!("it is one of {}", values.join(", ")), |value| values.contains(&value))
    }

    /// Refuses values of a filter that are not `valid`.
    pub fn check_all(&self, name: &str, hint: &str, valid: impl Fn(&str) -> bool) -> Result<()> {
        match self.all(name).find(|value| !valid(value)) {
            Some(value) => Err(Error::new(format_args!("invalid filter '{name}={value}'")).hint(hint)),
            None => Ok(()),
        }
    }

    /// A filter that is true or false.
    pub fn switch(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.all(name).last() else { return Ok(None) };
        match value {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(Error::new(format_args!("invalid filter '{name}={value}'")).hint("it is true or false")),
        }
    }

    /// The moment of `until`, in seconds since 1970.
    pub fn until(&self) -> Result<Option<i64>> {
        let Some(value) = self.all("until").last() else { return Ok(None) };
        let wrong =
            || Error::new(format_args!("invalid filter 'until={value}'")).hint("it is a time, or a span like 24h");
        units::moment(value).map(Some).ok_or_else(wrong)
    }

    /// Whether labels are as the filters want them.
    pub fn take_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.all("label").all(|wanted| label_fits(labels, wanted))
            && !self.all("label!").any(|unwanted| label_fits(labels, unwanted))
    }
}

/// Whether labels have `wanted`: `NAME` or `NAME=VALUE`.
pub fn label_fits(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|own| own == value),
        None => labels.contains_key(wanted),
    }
}
