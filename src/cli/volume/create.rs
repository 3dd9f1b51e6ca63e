//! `ccrun volume create`.

use crate::cli::args::{Command, Many, One, Parsed, many, one};
use crate::cli::{names, output, store};
use crate::error::{Error, Result};
use crate::store::locks::Lock;
use std::collections::BTreeMap;

const DRIVER: One = one(Some('d'), "driver", "DRIVER", "Kind of volume: local is the only one");
const LABEL: Many = many(None, "label", "NAME[=VALUE]", "Note something about the volume");

pub static COMMAND: Command = Command {
    name: "volume create",
    usage: "[OPTIONS] [VOLUME]",
    summary: "Create a volume",
    flags: &[DRIVER.flag, LABEL.flag],
    operands: (0, 1),
    runs_program: false,
    failure: 1,
    run,
};

fn run(parsed: &Parsed) -> Result<u8> {
    if let Some(driver) = parsed.text(DRIVER)?.filter(|driver| *driver != "local") {
        return Err(Error::new(format_args!("error looking up volume plugin {driver}: plugin \"{driver}\" not found"))
            .hint("local is the only driver"));
    }
    let words = parsed.words()?;
    let name = match words.first() {
        Some(name) if name.len() == 1 => {
            return Err(Error::new(format_args!(
                "create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )));
        }
        Some(name) if !name.is_empty() => {
            names::check_volume(name).map_err(|error| error.context(format_args!("create {name}")))?
        }
        _ => names::random_id()?,
    };
    let mut labels = BTreeMap::new();
    for label in parsed.texts(LABEL)? {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        labels.insert(name.to_owned(), value.to_owned());
    }
    let (store, _) = store::open(parsed)?;
    let _lock = Lock::shared(&store)?;
    store.make_volume(&name, &labels, words.iter().all(|name| name.is_empty()))?;
    output::print(&format!("{name}\n")).map(|()| 0)
}
