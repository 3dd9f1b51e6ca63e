//! Arguments, read by the table; nothing is done yet.

use super::command::{Command, Parsed};
use super::flag::{Flag, Kind};
use super::nearest;
use super::table::{Named, Table};
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a command line asks for.
pub enum Asked {
    Run(Parsed),
    /// Help on a command or a group of them, or on all.
    Help(Option<Named>),
    /// The steps of a start.
    Steps,
    Version,
}

/// Reads the arguments behind `ccrun` by the table.
pub fn parse(args: impl IntoIterator<Item = OsString>, table: &Table) -> Result<Asked> {
    let mut args = args.into_iter();
    let mut root = None;
    let name = loop {
        let Some(arg) = args.next() else { return Ok(Asked::Help(None)) };
        match arg.as_bytes() {
            b"-h" | b"--help" => return Ok(Asked::Help(None)),
            b"help" => {
                let topic = args.next();
                return match topic {
                    None => Ok(Asked::Help(None)),
                    Some(name) if name == "steps" => Ok(Asked::Steps),
                    Some(name) => table.find(&name, &mut args).map(|named| Asked::Help(Some(named))),
                };
            }
            b"-v" | b"--version" => return Ok(Asked::Version),
            b"--root" => {
                root = Some(args.next().ok_or_else(|| Error::new("flag needs an argument: --root").with_status(125))?);
            }
            bytes if bytes.starts_with(b"--root=") => root = Some(OsString::from_vec(bytes[7..].to_vec())),
            bytes if bytes.starts_with(b"-") => {
                return Err(Error::new(format_args!("unknown flag: {}", arg.display()))
                    .hint("see 'ccrun --help'")
                    .with_status(125));
            }
            _ => break arg,
        }
        if root.as_ref().is_some_and(|root| root.is_empty()) {
            return Err(Error::new("invalid argument \"\" for --root: it names a directory").with_status(125));
        }
    };
    let command = match table.find(&name, &mut args)? {
        Named::Command(command) => command,
        group => return Ok(Asked::Help(Some(group))),
    };
    let mut parsed = Parsed { command, root, flags: Vec::new(), operands: Vec::new() };
    let wrong = |text: String| {
        Error::new(text).hint(format_args!("see 'ccrun {} --help'", command.name)).with_status(command.failure)
    };
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            parsed.operands.extend(args.by_ref());
        } else if bytes == b"--help" || (bytes == b"-h" && short(command, 'h').is_none()) {
            return Ok(Asked::Help(Some(Named::Command(command))));
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            let (name, value) = match long.iter().position(|b| *b == b'=') {
                Some(at) => (&long[..at], Some(OsString::from_vec(long[at + 1..].to_vec()))),
                None => (long, None),
            };
            let flag = command.flags.iter().find(|flag| flag.long.as_bytes() == name);
            let flag = flag.ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                let near = nearest::question(&name, command.flags.iter().map(|flag| flag.long), "--");
                Error::new(format_args!("unknown flag: --{name}"))
                    .hint(format_args!("{near}see 'ccrun {} --help'", command.name))
                    .with_status(command.failure)
            })?;
            let value = match (flag.kind, value) {
                (Kind::Switch, value) => switch_value(value)
                    .ok_or_else(|| wrong(format!("invalid argument for --{}: it is true or false", flag.long)))?,
                (_, Some(value)) => value,
                (Kind::Maybe, None) => OsString::new(),
                (_, None) => args.next().ok_or_else(|| wrong(format!("flag needs an argument: --{}", flag.long)))?,
            };
            parsed.flags.push((flag, value));
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            short_flags(&arg, command, &mut args, &mut parsed.flags).map_err(wrong)?;
        } else {
            parsed.operands.push(arg);
            if command.runs_program {
                parsed.operands.extend(args.by_ref());
            }
        }
    }
    let (least, most) = command.operands;
    if parsed.operands.len() < least {
        let s = if least == 1 { "" } else { "s" };
        return Err(wrong(format!("'ccrun {}' requires at least {least} argument{s}", command.name)));
    }
    if parsed.operands.len() > most {
        let taken = match most {
            0 => "no arguments".to_owned(),
            1 => "at most 1 argument".to_owned(),
            _ => format!("at most {most} arguments"),
        };
        return Err(wrong(format!("'ccrun {}' takes {taken}: what is {:?}?", command.name, parsed.operands[most])));
    }
    Ok(Asked::Run(parsed))
}

/// `-it`, `-m64m`, `-m 64m`, `-m=64m`.
fn short_flags(
    arg: &OsStr,
    command: &'static Command,
    rest: &mut impl Iterator<Item = OsString>,
    flags: &mut Vec<(&'static Flag, OsString)>,
) -> std::result::Result<(), String> {
    let text = arg.to_str().ok_or_else(|| format!("unknown flag: {}", arg.display()))?;
    for (at, c) in text.char_indices().skip(1) {
        let flag = short(command, c).ok_or_else(|| format!("unknown shorthand flag: '{c}' in {text}"))?;
        let tail = &text[at + c.len_utf8()..];
        if flag.kind == Kind::Switch {
            if let Some(value) = tail.strip_prefix('=') {
                let value = switch_value(Some(value.into()))
                    .ok_or_else(|| format!("invalid argument for -{c}: it is true or false"))?;
                flags.push((flag, value));
                return Ok(());
            }
            flags.push((flag, "true".into()));
            continue;
        }
        let value = match tail.strip_prefix('=').unwrap_or(tail) {
            "" if tail.is_empty() => rest.next().ok_or_else(|| format!("flag needs an argument: '{c}' in {text}"))?,
            value => value.into(),
        };
        flags.push((flag, value));
        return Ok(());
    }
    Ok(())
}

fn short(command: &'static Command, c: char) -> Option<&'static Flag> {
    command.flags.iter().find(|flag| flag.short == Some(c))
}

fn switch_value(value: Option<OsString>) -> Option<OsString> {
    match value.as_deref().map(OsStr::as_bytes) {
        None | Some(b"true" | b"1" | b"t" | b"T" | b"TRUE" | b"True") => Some("true".into()),
        Some(b"false" | b"0" | b"f" | b"F" | b"FALSE" | b"False") => Some("false".into()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::flag::{Many, One, Switch, many, one, switch};
    use super::*;

    const INTERACTIVE: Switch = switch(Some('i'), "interactive", "");
    const TTY: Switch = switch(Some('t'), "tty", "");
    const MEMORY: One = one(Some('m'), "memory", "BYTES", "");
    const ENV: Many = many(Some('e'), "env", "NAME=VALUE", "");

    static RUN: Command = Command {
        name: "run",
        usage: "",
        summary: "",
        flags: &[INTERACTIVE.flag, TTY.flag, MEMORY.flag, ENV.flag],
        operands: (1, usize::MAX),
        runs_program: true,
        failure: 125,
        run: |_| Ok(0),
    };

    static TABLE: Table = Table { commands: &[&RUN], aliases: &[("container run", &RUN)] };

    fn parsed(line: &str) -> std::result::Result<Parsed, String> {
        match parse(line.split_whitespace().map(OsString::from), &TABLE) {
            Ok(Asked::Run(parsed)) => Ok(parsed),
            Ok(Asked::Help(Some(Named::Command(command)))) => Err(format!("help on {}", command.name)),
            Ok(Asked::Help(Some(Named::Group(group)))) => Err(format!("help on the group {group}")),
            Ok(_) => Err("help".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn everything_after_the_first_operand_belongs_to_the_command() {
        let p = parsed("run -it -m 64m -eA=1 --env B=2 alpine ls -l --memory").unwrap();
        assert!(p.is_on(INTERACTIVE) && p.is_on(TTY));
        assert_eq!(p.one(MEMORY).unwrap(), "64m");
        assert_eq!(p.many(ENV).collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert_eq!(p.operands, ["alpine", "ls", "-l", "--memory"]);
        assert_eq!(parsed("run -- -i").unwrap().operands, ["-i"]);
    }

    #[test]
    fn values_come_in_every_form_that_docker_takes() {
        for line in
            ["run -m64m x", "run -m=64m x", "run -m 64m x", "run --memory=64m x", "run --memory 64m x", "run -itm64m x"]
        {
            assert_eq!(parsed(line).unwrap().one(MEMORY).unwrap(), "64m", "{line}");
        }
        assert!(!parsed("run --tty=false x").unwrap().is_on(TTY));
        assert!(!parsed("run -t=0 x").unwrap().is_on(TTY));
        assert!(!parsed("run x").unwrap().is_on(TTY));
    }

    #[test]
    fn a_command_has_dockers_two_words_too() {
        let p = parsed("container run -it alpine ls").unwrap();
        assert!(p.is_on(TTY) && p.operands == ["alpine", "ls"] && p.command.name == "run");
        for (line, text) in [
            ("container", "help on the group container"),
            ("container --help", "help on the group container"),
            ("help container", "help on the group container"),
            ("help container run", "help on run"),
            ("container run --help", "help on run"),
            ("container bogus", "unknown command: container bogus; see 'ccrun container --help'"),
        ] {
            assert_eq!(parsed(line).err().unwrap(), text, "{line}");
        }
    }

    #[test]
    fn what_does_not_fit_the_table_is_named() {
        for (line, text) in [
            ("run --bogus x", "unknown flag: --bogus; see 'ccrun run --help'"),
            ("run -iz x", "unknown shorthand flag: 'z' in -iz; see 'ccrun run --help'"),
            ("run", "'ccrun run' requires at least 1 argument; see 'ccrun run --help'"),
            ("run -m", "flag needs an argument: 'm' in -m; see 'ccrun run --help'"),
            ("run --tty=maybe x", "invalid argument for --tty: it is true or false; see 'ccrun run --help'"),
            ("bogus", "unknown command: bogus; see 'ccrun --help'"),
        ] {
            assert_eq!(parsed(line).err().unwrap(), text);
        }
    }
}
