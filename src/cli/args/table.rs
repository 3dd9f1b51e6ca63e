//! The commands by name: a word, or Docker's two, of which the first is a group.

use super::command::Command;
use super::nearest;
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};

/// All there is to be called.
pub struct Table {
    pub commands: &'static [&'static Command],
    /// Other names for some of them.
    pub aliases: &'static [(&'static str, &'static Command)],
}

/// What a name on the command line stands for.
pub enum Named {
    Command(&'static Command),
    /// The first word of two, without the second.
    Group(&'static str),
}

impl Table {
    /// Takes as many words as name something.
    pub fn find(&self, first: &OsStr, rest: &mut impl Iterator<Item = OsString>) -> Result<Named> {
        if let Some(command) = self.called(first) {
            return Ok(Named::Command(command));
        }
        let unknown = |name: &OsStr, hint| Error::new(format_args!("unknown command: {}", name.display())).hint(hint);
        let near = |word: &OsStr, known: Vec<&str>, before: &str| {
            nearest::question(&word.to_string_lossy(), known.into_iter(), before)
        };
        let Some(group) = self.groups().into_iter().find(|group| *group == first) else {
            let first_words = self.names().map(|(name, _)| name.split(' ').next().unwrap_or(name)).collect();
            let hint = near(first, first_words, "ccrun ") + "see 'ccrun --help'";
            return Err(unknown(first, hint).with_status(1));
        };
        match rest.next() {
            None => Ok(Named::Group(group)),
            Some(word) if word == "--help" || word == "-h" || word == "help" => Ok(Named::Group(group)),
            Some(word) => {
                let name = [first, OsStr::new(" "), &word].into_iter().collect::<OsString>();
                let words = self.of_group(group).into_iter().map(|(word, _)| word).collect();
                let hint = near(&word, words, &format!("ccrun {group} ")) + &format!("see 'ccrun {group} --help'");
                self.called(&name).map(Named::Command).ok_or_else(|| unknown(&name, hint).with_status(1))
            }
        }
    }

    /// The first words of two, in order, each once.
    pub fn groups(&self) -> Vec<&'static str> {
        let mut groups: Vec<&str> =
            self.names().filter_map(|(name, _)| name.split_once(' ')).map(|(group, _)| group).collect();
        crate::sort::by_key(&mut groups, |group| *group);
        groups.dedup();
        groups
    }

    /// The second words of a group with their commands, in order.
    pub fn of_group(&self, group: &str) -> Vec<(&'static str, &'static Command)> {
        let split =
            |(name, command): (&'static str, _)| name.split_once(' ').map(|(first, word)| (first, word, command));
        let own = self.names().filter_map(split).filter(|(first, ..)| *first == group);
        let mut words: Vec<_> = own.map(|(_, word, command)| (word, command)).collect();
        crate::sort::by_key(&mut words, |(word, _)| *word);
        words
    }

    fn names(&self) -> impl Iterator<Item = (&'static str, &'static Command)> {
        self.commands.iter().map(|command| (command.name, *command)).chain(self.aliases.iter().copied())
    }

    fn called(&self, name: &OsStr) -> Option<&'static Command> {
        self.names().find(|(own, _)| *own == name).map(|(_, command)| command)
    }
}
