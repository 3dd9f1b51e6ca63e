//! Help, made from the table.

use super::args::table::Table;
use super::args::{Command, Flag, Kind};
use super::container::run;
use crate::container::steps::{Side, lessons};
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
        "\nccrun help COMMAND tells more of a command, ccrun help steps how a container is made.\n\nOptions:\n      --root DIR   Keep images and containers in DIR ($CCRUN_ROOT)\n  \
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
        match flag.kind {
            Kind::Switch => format!("{short}--{}", flag.long),
            Kind::Maybe => format!("{short}--{}[={}]", flag.long, flag.value),
            Kind::One | Kind::Many => format!("{short}--{} {}", flag.long, flag.value),
        }
    };
    let width = command.flags.iter().map(|flag| left(flag).len()).max().unwrap_or(0);
    text.push_str("\nOptions:\n");
    for flag in command.flags {
        let _ = writeln!(text, "  {:<width$}   {}", left(flag), flag.help);
    }
    text
}

/// What `ccrun help steps` prints: the tables that a start runs, from which the README's is made.
pub fn steps() -> String {
    let mut text = String::from("How a container is started; `ccrun run --explain` shows it happen.\n");
    for (side, lessons) in lessons() {
        let (name, who) = match side {
            Side::Supervisor => ("supervisor", "The supervisor, which you start:"),
            Side::Init => ("PID 1", "PID 1, a clone of the supervisor in new namespaces:"),
            Side::Command => ("command", "The command, a clone of PID 1:"),
        };
        let _ = writeln!(text, "\n{who}");
        for (at, lesson) in lessons.into_iter().enumerate() {
            let step = lesson.challenge.map_or(String::new(), |step| format!("; challenge step {step}"));
            let _ = writeln!(text, "\n[{name} {}] {} ({}{step})", at + 1, lesson.name, lesson.man);
            wrap(&mut text, lesson.why);
        }
    }
    text
}

/// Adds words in indented lines of at most 80 columns.
fn wrap(text: &mut String, words: &str) {
    const WIDTH: usize = 80;
    let mut column = 0;
    for word in words.split(' ') {
        if column == 0 || column + 1 + word.len() > WIDTH {
            text.push_str(if column == 0 { "   " } else { "\n   " });
            column = 3;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push('\n');
}
