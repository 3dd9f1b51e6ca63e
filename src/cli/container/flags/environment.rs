//! The variables that the user sets with `-e` and `--env-file`.

use crate::cli::args::{Many, Parsed, many};
use crate::cli::container::request::name_of;
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub const ENV: Many = many(Some('e'), "env", "NAME[=VALUE]", "Set a variable, or pass the caller's on");
pub const ENV_FILE: Many = many(None, "env-file", "FILE", "Read variables from a file");

/// Variables in their order: a value, or `None` to remove the variable.
type Variables = Vec<(OsString, Option<OsString>)>;

/// Reads the flags: all files first, whatever the order of the flags.
pub fn read(parsed: &Parsed) -> Result<Variables> {
    let mut variables = Variables::new();
    for file in parsed.many(ENV_FILE).map(Path::new) {
        let bytes = std::fs::read(file).map_err(|e| Error::io(format_args!("open {}", file.display()), &e))?;
        of_file(&bytes, &mut variables).map_err(|error| error.context(format_args!("env file {}", file.display())))?;
    }
    for entry in parsed.many(ENV) {
        if name_of(entry).is_empty() {
            return Err(Error::new(format_args!("invalid environment variable: {}", entry.display())));
        }
        let (name, value) = variable(entry);
        variables.push((name, value));
    }
    Ok(variables)
}

/// Reads a file as Docker does (docker/cli, pkg/kvfile): the value is everything after the first `=`, including quotes
/// and spaces. A name without `=` means the caller's variable, if there is one.
fn of_file(bytes: &[u8], variables: &mut Variables) -> Result<()> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line));
        let line =
            line.map_err(|_| Error::new(format_args!("invalid utf8 bytes at line {}", number + 1)))?.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(Error::new(format_args!("no variable name on line '{line}'")));
        }
        if name.contains([' ', '\t']) {
            let text = format!("poorly formatted environment: variable '{name}' contains whitespaces");
            let error = Error::new(text);
            let is_shell = name.starts_with("export ");
            return Err(if is_shell { error.hint("the file is no shell script: leave out 'export'") } else { error });
        }
        let (name, value) = variable(OsStr::new(line));
        if value.is_some() {
            variables.push((name, value));
        }
    }
    Ok(())
}

/// `NAME=VALUE`, or `NAME` for the caller's own value, `None` if the caller has none (docker/cli, opts/env.go).
fn variable(entry: &OsStr) -> (OsString, Option<OsString>) {
    let name = name_of(entry);
    let value = match entry.as_bytes().get(name.len()..).and_then(|rest| rest.strip_prefix(b"=")) {
        Some(value) => Some(OsStr::from_bytes(value).to_owned()),
        None => std::env::var_os(name),
    };
    (name.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: impl AsRef<[u8]>) -> std::result::Result<Vec<String>, String> {
        let mut variables = Variables::new();
        of_file(text.as_ref(), &mut variables).map_err(|error| error.to_string())?;
        let shown = |(name, value): (OsString, Option<OsString>)| {
            format!("{}={}", name.display(), value.unwrap_or_default().display())
        };
        Ok(variables.into_iter().map(shown).collect())
    }

    #[test]
    fn a_file_is_read_as_docker_reads_it() {
        let text = "\u{feff}A=1\r\n  B = x\n";
        assert!(file(text).unwrap_err().contains("variable 'B ' contains whitespaces"));
        let text = "\u{feff}A=1\r\n\r\n \u{a0}\t# no\n\tB=\"q\" 'r' # s \n#x\nC=\nD==\nE=a\rb\r\r\nNO_SUCH_VARIABLE_HERE\n\u{e4}=\u{f6}";
        let read = file(text).unwrap();
        assert_eq!(read, ["A=1", "B=\"q\" 'r' # s ", "C=", "D==", "E=a\rb\r", "\u{e4}=\u{f6}"]);
        // A byte order mark is skipped at the beginning of the file only.
        assert_eq!(file("A=1\n\u{feff}B=2").unwrap(), ["A=1", "\u{feff}B=2"]);
        assert_eq!(file("PATH\n").unwrap(), [format!("PATH={}", std::env::var("PATH").unwrap())]);
        for (text, said) in [
            (&b"export X=1"[..], "variable 'export X' contains whitespaces"),
            (b"export X", "variable 'export X' contains whitespaces; the file is no shell script: leave out 'export'"),
            (b"A\tB=1", "variable 'A\\x09B' contains whitespaces"),
            (b"=x", "no variable name on line '=x'"),
            (b"A=1\nB=\xff", "invalid utf8 bytes at line 2"),
        ] {
            let error = file(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
