//! `--ulimit NAME=SOFT[:HARD]`, as docker/go-units reads it.

use crate::cli::args::{Many, Parsed, many};
use crate::error::{Error, Result};
use crate::isolation::rlimit::{NAMES, Ulimit};
use crate::sys::resource::Rlimit;

pub const ULIMIT: Many =
    many(None, "ulimit", "NAME=SOFT[:HARD]", "Limit of each process, such as nofile=1024:4096; -1 for none");

/// The limits that the flags ask for; the last one of each name wins.
pub fn read(parsed: &Parsed) -> Result<Vec<Ulimit>> {
    let mut limits: Vec<Ulimit> = Vec::new();
    for text in parsed.texts(ULIMIT)? {
        let made = ulimit(text)
            .map_err(|error| error.context(format_args!("invalid argument \"{text}\" for \"--ulimit\" flag")))?;
        limits.retain(|other| other.name != made.name);
        limits.push(made);
    }
    Ok(limits)
}

fn ulimit(text: &str) -> Result<Ulimit> {
    let Some((name, values)) = text.split_once('=') else {
        return Err(
            Error::new(format_args!("invalid ulimit argument: {text}")).hint("NAME=SOFT[:HARD], as nofile=1024:4096")
        );
    };
    let Some((name, _)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
        return Err(Error::new(format_args!("invalid ulimit type: {name}")).hint(known.join(", ")));
    };
    let (soft, hard) = match values.split(':').collect::<Vec<_>>()[..] {
        [soft] => (value(soft)?, value(soft)?),
        [soft, hard] => {
            let hard = value(hard)?;
            (value(soft)?, hard)
        }
        _ => {
            return Err(Error::new(format_args!(
                "too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
            )));
        }
    };
    let wrong = "ulimit soft limit must be less than or equal to hard limit";
    match (soft, hard) {
        (u64::MAX, hard) if hard < u64::MAX => {
            Err(Error::new(format_args!("{wrong}: soft: -1 (unlimited), hard: {hard}")))
        }
        (soft, hard) if soft > hard => Err(Error::new(format_args!("{wrong}: {soft} > {hard}"))),
        (soft, hard) => Ok(Ulimit { name, limit: Rlimit { soft, hard } }),
    }
}

/// A number; -1, `unlimited` and `infinity` mean no limit.
fn value(text: &str) -> Result<u64> {
    if ["-1", "unlimited", "infinity"].contains(&text) {
        return Ok(u64::MAX);
    }
    match text.parse::<i64>() {
        Ok(number @ 0..) => Ok(number.unsigned_abs()),
        Ok(number) => Err(Error::new(format_args!("{number} is no limit")).hint("-1 is for unlimited")),
        Err(error) if matches!(error.kind(), std::num::IntErrorKind::PosOverflow) => {
            Err(Error::new(format_args!("parsing \"{text}\": value out of range")))
        }
        Err(_) => {
            Err(Error::new(format_args!("parsing \"{text}\": invalid syntax")).hint("a number, or -1 for unlimited"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_does() {
        for (text, soft, hard) in [
            ("nofile=1024:4096", 1024, 4096),
            ("nofile=50", 50, 50),
            ("core=-1", u64::MAX, u64::MAX),
            ("core=0:-1", 0, u64::MAX),
            ("stack=unlimited:infinity", u64::MAX, u64::MAX),
            ("cpu=+5", 5, 5),
        ] {
            assert_eq!(ulimit(text).unwrap().limit, Rlimit { soft, hard }, "{text}");
        }
    }

    #[test]
    fn errors_are_in_dockers_words() {
        for (text, said) in [
            ("nofile", "invalid ulimit argument: nofile; NAME=SOFT[:HARD]"),
            ("bogus=1", "invalid ulimit type: bogus; core, cpu, "),
            ("as=1", "invalid ulimit type: as"),
            ("=1", "invalid ulimit type: ;"),
            ("nofile=", "parsing \"\": invalid syntax"),
            ("nofile=a", "parsing \"a\": invalid syntax"),
            ("nofile=1=2", "parsing \"1=2\": invalid syntax"),
            ("nofile=5:4", "ulimit soft limit must be less than or equal to hard limit: 5 > 4"),
            (
                "nofile=-1:4",
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 4",
            ),
            ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
            ("nofile=-2", "-2 is no limit"),
            ("nofile=99999999999999999999", "parsing \"99999999999999999999\": value out of range"),
        ] {
            let error = ulimit(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }
}
