//! Which flags a command lists, and which are read for it, seen from the text.

use super::{Source, circles};
use std::collections::{BTreeMap, BTreeSet};

/// Every flag that a command, or a file that it imports, reads and the command does not list: its value would never be
/// there. What a command calls in the file of another command is left out.
pub fn read_but_not_listed(files: &[Source]) -> Vec<String> {
    let texts: BTreeMap<Vec<String>, String> =
        files.iter().map(|file| (circles::place(&file.name), without_strings(&file.code))).collect();
    let flags: BTreeSet<&str> =
        texts.values().flat_map(|text| constants(text)).filter(|(_, is_flag)| *is_flag).map(|(name, _)| name).collect();
    assert!(flags.len() > 70, "only {} flags", flags.len());
    let imports = circles::imports_of_each(files);
    let of_run = &texts[&circles::place("cli/container/flags.rs")];
    let mut offences = BTreeSet::new();
    for (command, text) in &texts {
        let Some(own) = table(text) else { continue };
        let listed: BTreeSet<&str> = words(if own.contains("OF_RUN") { of_run } else { own })
            .filter(|(_, _, behind)| behind.starts_with(".flag"))
            .map(|(_, word, _)| word)
            .collect();
        let mut seen: Vec<&Vec<String>> = texts.keys().filter(|place| place.starts_with(command)).collect();
        let mut at = 0;
        while let Some(place) = seen.get(at).copied() {
            let new = imports.get(place).into_iter().flatten().filter(|other| {
                other.starts_with(&["cli".to_owned()])
                    && !seen.contains(other)
                    && texts.get(*other).is_none_or(|text| table(text).is_none())
            });
            let new: Vec<&Vec<String>> = new.collect();
            seen.extend(new);
            at += 1;
        }
        for place in seen {
            let others: BTreeSet<&str> =
                constants(&texts[place]).filter(|(_, is_flag)| !is_flag).map(|(name, _)| name).collect();
            let read = reads(&texts[place]).filter(|name| flags.contains(name) && !others.contains(name));
            let read = read.filter(|name| !listed.contains(name));
            offences.extend(read.map(|name| format!("{}: {} reads {name}", command.join("::"), place.join("::"))));
        }
    }
    offences.into_iter().collect()
}

/// A file's table of a command.
fn table(text: &str) -> Option<&str> {
    let table = &text[text.find("pub static COMMAND: Command =")?..];
    Some(&table[..table.find("\n};")?])
}

/// The constants that a file declares, and whether they are flags.
fn constants(text: &str) -> impl Iterator<Item = (&str, bool)> {
    const KINDS: [&str; 5] = [": Switch =", ": Maybe =", ": One =", ": Many =", ": Typed<"];
    let declared = words(text).filter(|(before, ..)| before.ends_with("const "));
    declared.map(|(_, word, behind)| (word, KINDS.iter().any(|kind| behind.starts_with(kind))))
}

/// The constants that are named outside of tables, declarations, imports and other types.
fn reads(text: &str) -> impl Iterator<Item = &str> {
    let is_read = |before: &str, behind: &str| {
        let of_type = before.strip_suffix("::").and_then(|before| before.rsplit(|c: char| !c.is_alphanumeric()).next());
        let of_type = of_type.is_some_and(|name| name.starts_with(char::is_uppercase));
        let in_use = before.rfind("\nuse ").is_some_and(|at| !before[at..].contains(';'));
        !of_type && !in_use && !behind.starts_with(".flag") && !before.ends_with("const ")
    };
    words(text).filter(move |(before, _, behind)| is_read(before, behind)).map(|(_, word, _)| word)
}

/// Each word in capitals, with what stands before and behind it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(is_part)?;
            let end = text[start..].find(|c| !is_part(c)).map_or(text.len(), |length| start + length);
            at = end;
            let word = &text[start..end];
            if word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                return Some((&text[..start], word, &text[end..]));
            }
        }
    })
}

/// The code with nothing between quotes.
fn without_strings(code: &str) -> String {
    let mut parts = String::new();
    let (mut inside, mut escaped) = (false, false);
    for c in code.replace("'\"'", "' '").replace("b'\"'", "b' '").chars() {
        match c {
            '"' if !escaped => {
                inside = !inside;
                parts.push(c);
            }
            _ if !inside => parts.push(c),
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
    }
    parts
}
