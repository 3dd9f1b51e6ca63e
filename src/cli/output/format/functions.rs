//! The functions of templates: Go's own, and those that Docker adds.

use crate::error::{Error, Result};
use serde_json::Value;
use std::cmp::Ordering;

const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad", "print",
    "printf", "println", "slice", "split", "title", "truncate", "upper",
];

pub fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

pub fn call(name: &str, arguments: &[Value]) -> Result<Value> {
    let text = |at: usize| arguments.get(at).map(shown).unwrap_or_default();
    let number = |at: usize| {
        let number = arguments.get(at).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| Error::new(format_args!("{} is no number", text(at))))
    };
    let wants = |count: usize| match arguments.len() {
        given if given == count => Ok(()),
        given => {
            Err(Error::new(format_args!("it wants {count} argument{}, not {given}", if count == 1 { "" } else { "s" })))
        }
    };
    let first = arguments.first().unwrap_or(&Value::Null);
    Ok(match name {
        "json" => {
            wants(1)?;
            first.to_string().into()
        }
        "len" => {
            wants(1)?;
            length(first).ok_or_else(|| Error::new(format_args!("len of {}", shown(first))))?.into()
        }
        "index" => return arguments.iter().skip(1).try_fold(first.clone(), |value, at| index(&value, at)),
        "slice" => {
            wants(3)?;
            let (from, to) = (number(1)?, number(2)?);
            let out_of_range = || Error::new(format_args!("index out of range: {from}:{to}"));
            match first {
                Value::Array(items) => items.get(from..to).ok_or_else(out_of_range)?.to_vec().into(),
                _ => text(0).get(from..to).ok_or_else(out_of_range)?.into(),
            }
        }
        "join" => {
            wants(2)?;
            let items = first.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().map(shown).collect::<Vec<_>>().join(&text(1)).into()
        }
        "split" => {
            wants(2)?;
            text(0).split(&text(1)).collect::<Vec<_>>().into()
        }
        // Of ASCII letters: the tables of all others would take 27 KiB of the binary.
        "upper" | "lower" | "title" => {
            wants(1)?;
            match name {
                "upper" => text(0).to_ascii_uppercase(),
                "lower" => text(0).to_ascii_lowercase(),
                _ => title(&text(0)),
            }
            .into()
        }
        "truncate" => {
            wants(2)?;
            text(0).chars().take(number(1)?).collect::<String>().into()
        }
        "pad" => {
            wants(3)?;
            let blanks = |count: usize| " ".repeat(count.min(1000));
            if text(0).is_empty() { "".into() } else { (blanks(number(1)?) + &text(0) + &blanks(number(2)?)).into() }
        }
        "print" => print(arguments).into(),
        "println" => (arguments.iter().map(shown).collect::<Vec<_>>().join(" ") + "\n").into(),
        "printf" => printf(&text(0), arguments.get(1..).unwrap_or_default())?.into(),
        "not" => {
            wants(1)?;
            (!is_true(first)).into()
        }
        "and" => arguments.iter().find(|value| !is_true(value)).or(arguments.last()).cloned().unwrap_or_default(),
        "or" => arguments.iter().find(|value| is_true(value)).or(arguments.last()).cloned().unwrap_or_default(),
        "eq" => arguments.iter().skip(1).any(|value| value == first).into(),
        _ => {
            wants(2)?;
            let second = arguments.get(1).unwrap_or(&Value::Null);
            let order = match (first, second) {
                (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
                (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                _ => None,
            };
            match (name, order) {
                ("ne", _) => first != second,
                (_, None) => return Err(Error::new("incompatible types for comparison")),
                ("lt", Some(order)) => order == Ordering::Less,
                ("le", Some(order)) => order != Ordering::Greater,
                ("gt", Some(order)) => order == Ordering::Greater,
                (_, Some(order)) => order != Ordering::Less,
            }
            .into()
        }
    })
}

/// A value as Go prints it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// What `if` goes by: everything is true but false, 0, and what is empty or not there.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        other => length(other) != Some(0),
    }
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Null => Some(0),
        Value::String(text) => Some(text.len()),
        Value::Array(items) => Some(items.len()),
        Value::Object(map) => Some(map.len()),
        _ => None,
    }
}

fn index(value: &Value, at: &Value) -> Result<Value> {
    match (value, at) {
        (Value::Array(items), Value::Number(number)) => {
            let item = number.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?));
            item.cloned().ok_or_else(|| Error::new(format_args!("index out of range: {number}")))
        }
        // The zero value of a map of texts.
        (Value::Object(map), Value::String(key)) => Ok(map.get(key).cloned().unwrap_or_else(|| "".into())),
        (Value::Null, Value::String(_)) => Ok("".into()),
        (Value::Null, _) => Err(Error::new(format_args!("index out of range: {}", shown(at)))),
        _ => Err(Error::new(format_args!("cannot index {} with {}", shown(value), shown(at)))),
    }
}

/// Whatever is not ASCII passes for a letter.
fn title(text: &str) -> String {
    let mut begins = true;
    let cased = |c: char| {
        let is_first = std::mem::replace(&mut begins, c.is_ascii() && !c.is_ascii_alphanumeric());
        if is_first { c.to_ascii_uppercase() } else { c }
    };
    text.chars().map(cased).collect()
}

/// Go's Sprint: a blank between two that are both no texts.
fn print(arguments: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in arguments.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| arguments.get(at));
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            text.push(' ');
        }
        text.push_str(&shown(value));
    }
    text
}

/// `%s %d %v %q %t` with a width, `-` for the left side, and `%%`.
fn printf(format: &str, arguments: &[Value]) -> Result<String> {
    let mut arguments = arguments.iter();
    let mut parts = format.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            text.push('%');
            text.push_str(parts.next().unwrap_or_default());
            continue;
        }
        let digits = part.trim_start_matches('-');
        let verb = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        let width: usize = digits.get(..digits.len() - verb.len()).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let width = width.min(1000);
        let value = arguments.next().ok_or_else(|| Error::new(format_args!("too few arguments for {format:?}")))?;
        let value = match verb.chars().next() {
            Some('q') => Value::String(shown(value)).to_string(),
            Some('s' | 'd' | 'v' | 't') => shown(value),
            _ => return Err(Error::new(format_args!("'%{part}' is none of %s, %d, %v, %q and %t"))),
        };
        let padded = if part.starts_with('-') { format!("{value:<width$}") } else { format!("{value:>width$}") };
        text.push_str(&padded);
        text.push_str(verb.get(1..).unwrap_or_default());
    }
    Ok(text)
}
