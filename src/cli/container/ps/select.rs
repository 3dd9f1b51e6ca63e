//! `ps --filter`: which containers are listed.

use crate::cli::args::Parsed;
use crate::cli::filter::{FILTER, Filters, label_fits};
use crate::error::Result;
use crate::store::Store;
use crate::store::containers::{Container, Status};
use crate::sys::fs::Time;

const KNOWN: &[&str] = &[
    "ancestor", "before", "exited", "health", "id", "is-task", "label", "name", "network", "since", "status", "volume",
];
const STATUSES: &[&str] = &["created", "restarting", "removing", "running", "paused", "exited", "dead"];
const HEALTHS: &[&str] = &["starting", "healthy", "unhealthy", "none"];

pub struct Selection {
    filters: Filters,
    /// Selects containers made before and after these times.
    before: Option<Time>,
    since: Option<Time>,
}

impl Selection {
    /// Reads the filters and checks their values.
    pub fn read(parsed: &Parsed) -> Result<Selection> {
        let filters = Filters::parse(parsed, FILTER, KNOWN)?;
        filters.check("status", STATUSES)?;
        filters.check("health", HEALTHS)?;
        filters.check("is-task", &["true", "false", "1", "0"])?;
        filters.check_all("exited", "it is a number", |value| value.parse::<i32>().is_ok())?;
        Ok(Selection { filters, before: None, since: None })
    }

    /// Looks up the containers that `before` and `since` name.
    pub fn find_containers(&mut self, store: &Store) -> Result<()> {
        let created = |name: &str| -> Result<Option<Time>> {
            let word = self.filters.all(name).last();
            word.map(|word| Ok(store.container(&store.find_container(word)?)?.state.created)).transpose()
        };
        (self.before, self.since) = (created("before")?, created("since")?);
        Ok(())
    }

    /// Whether it asks for ended containers.
    pub fn takes_ended(&self) -> bool {
        self.filters.all("exited").chain(self.filters.all("status")).next().is_some()
    }

    /// Whether it selects a container: one value of each filter must match, and all labels.
    pub fn takes(&self, container: &Container) -> bool {
        let state = &container.state;
        let in_time = self.before.is_none_or(|before| state.created < before)
            && self.since.is_none_or(|since| state.created > since);
        let labels = container.labels();
        let fits = |name: &str, value: &str| match (name, state.status) {
            ("ancestor", _) => {
                let image_id = container.image_id().unwrap_or_default();
                let image_id = image_id.trim_start_matches("sha256:");
                let value_id = value.trim_start_matches("sha256:");
                container.image() == value
                    || container.image() == format!("{value}:latest")
                    || !value_id.is_empty() && image_id.starts_with(value_id)
            }
            ("exited", Status::Exited) => value.parse() == Ok(state.exit_code),
            ("health", _) => value == "none",
            ("id", _) => container.id.starts_with(value),
            ("is-task", _) => ["false", "0"].contains(&value),
            ("name", _) => name_fits(container.name(), value),
            ("network", _) => container.network() == value,
            ("status", status) => status.word() == value,
            ("volume", _) => container.has_mount(value),
            _ => false,
        };
        let any = KNOWN.iter().filter(|name| !["before", "label", "since"].contains(name));
        in_time
            && self.filters.all("label").all(|wanted| label_fits(&labels, wanted))
            && any.into_iter().all(|name| {
                let mut values = self.filters.all(name).peekable();
                values.peek().is_none() || values.any(|value| fits(name, value))
            })
    }
}

/// Whether a container's name contains `pattern`, or begins (`^`) or ends (`$`) with it: the part of Docker's regular
/// expressions that people use. Docker's names begin with a slash.
fn name_fits(name: &str, pattern: &str) -> bool {
    let (at_start, pattern) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (at_end, pattern) = pattern.strip_suffix('$').map_or((false, pattern), |rest| (true, rest));
    let fits = |name: &str, pattern: &str| match (at_start, at_end) {
        (true, true) => name == pattern,
        (true, false) => name.starts_with(pattern),
        (false, true) => name.ends_with(pattern),
        (false, false) => name.contains(pattern),
    };
    fits(name, pattern) || fits(&format!("/{name}"), pattern)
}

#[cfg(test)]
mod tests {
    use super::name_fits;

    #[test]
    fn names_fit_as_in_docker() {
        for pattern in ["web", "we", "^web$", "^/web$", "/web", "b$", "^w", ""] {
            assert!(name_fits("web", pattern), "{pattern}");
        }
        for pattern in ["^eb", "we$", "^/we$", "x", "web1"] {
            assert!(!name_fits("web", pattern), "{pattern}");
        }
    }
}
