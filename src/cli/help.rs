//! Help, made from the table.

use super::args::table::Table;
use super::args::{Command, Flag, Value};
use super::container::run;
use std::fmt::Write;

/// What `ccrun --help` prints.
pub fn overview(table: &Table) -> String {
    let mut text = String::from(
        "ccrun pulls container images and runs them: no daemon, no root, nothing to install\n\n\
         Usage:  ccrun [--root DIR] COMMAND\n\nCommands:\n",
    );
    let is_plain = |command: &&&Command| !command.name.contains(' ');
    for command in table.commands.iter().filter(is_plain) {
        let _ = writeln!(text, "  {:<11}{}", command.name, command.summary);
    }
    text.push_str("\nGroups of commands, as Docker has them:\n");
    for group in table.groups() {
        let words: Vec<&str> = table.of_group(group).into_iter().map(|(word, _)| word).collect();
        let _ = writeln!(text, "  {group:<11}{}", words.join(", "));
    }
    text.push_str(
        "\nOptions:\n      --root DIR   Keep images and containers in DIR ($CCRUN_ROOT)\n  \
         -h, --help       This text; with a command, its flags\n  -v, --version    The version\n",
    );
    text
}

/// What `ccrun GROUP --help` prints.
pub fn of_group(table: &Table, group: &str) -> String {
    let mut text = format!("Usage:  ccrun {group} COMMAND\n\nCommands:\n");
    for (word, command) in table.of_group(group) {
        let same = if command.name.contains(' ') { String::new() } else { format!(" (ccrun {})", command.name) };
        let _ = writeln!(text, "  {word:<11}{}{same}", command.summary);
    }
    text
}

/// What `ccrun COMMAND --help` prints.
pub fn of(command: &Command) -> String {
    let mut text = format!("Usage:  ccrun {} {}\n\n{}\n", command.name, command.usage, command.summary);
    if command.name == run::COMMAND.name {
        let _ = write!(text, "\n{}", run::HOST_VIEW);
    }
    if command.flags.is_empty() {
        return text;
    }
    let left = |flag: &Flag| {
        let short = flag.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
        match flag.value {
            Value::Switch => format!("{short}--{}", flag.long),
            Value::One(name) | Value::Many(name) => format!("{short}--{} {name}", flag.long),
        }
    };
    let width = command.flags.iter().map(|flag| left(flag).len()).max().unwrap_or(0);
    text.push_str("\nOptions:\n");
    for flag in command.flags {
        let _ = writeln!(text, "  {:<width$}   {}", left(flag), flag.help);
    }
    text
}
