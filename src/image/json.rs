//! JSON documents from outside, which must mean one thing.
//!
//! Of two equal keys in an object some parsers take the first, others the last: a document
//! with such keys is one image to the tool that checked it and another to the one that runs
//! it. serde_json takes the last and says nothing, so this is looked at here, before it reads.

use crate::error::{Error, Result};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;

/// How many values a document may hold. As many empty objects take some 40 MB.
const VALUES_MAX: usize = 1 << 16;
/// How much of a key is shown in an error.
const SHOWN: usize = 40;

/// Reads an object. `what` names the document in errors: `the image config`.
pub fn object(what: &str, bytes: &[u8]) -> Result<Value> {
    let value = read(what, bytes)?;
    if !value.is_object() {
        return Err(Error::new(format_args!("{what} is no JSON object")));
    }
    Ok(value)
}

/// Reads a list.
pub fn list(what: &str, bytes: &[u8]) -> Result<Vec<Value>> {
    match read(what, bytes)? {
        Value::Array(list) => Ok(list),
        _ => Err(Error::new(format_args!("{what} is no JSON list"))),
    }
}

fn read(what: &str, bytes: &[u8]) -> Result<Value> {
    if looks_like_html(bytes) {
        return Err(Error::new(format_args!("{what} is an HTML page")));
    }
    scan(bytes).map_err(|error| error.context(what))?;
    serde_json::from_slice(bytes).map_err(|error| Error::new(format_args!("{what} is no JSON: {error}")))
}

/// Whether an answer is a web page: a captive portal, a proxy or a login form spoke in the registry's place.
pub fn looks_like_html(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'<')
}

/// Looks for equal keys and counts values, in text that need not be JSON: of that, only the strings
/// and brackets count here, and what is wrong with it is for the real parser to say.
fn scan(text: &[u8]) -> Result<()> {
    // The keys of each object that is open; None for an array.
    let mut open: Vec<Option<HashSet<Cow<'_, [u8]>>>> = Vec::new();
    let mut is_key = false;
    let mut values = 1;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let Some(string) = string(&text[at..]) else { return Ok(()) };
                at += string.len() + 1;
                if let Some(Some(keys)) = open.last_mut()
                    && std::mem::take(&mut is_key)
                    && !keys.insert(unescaped(string))
                {
                    return Err(Error::new(format_args!("the key '{}' comes twice in one object", shown(string))));
                }
            }
            b'{' => {
                open.push(Some(HashSet::new()));
                is_key = true;
            }
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b',' => is_key = true,
            _ => {}
        }
        values += usize::from(matches!(byte, b'{' | b'[' | b','));
        if values > VALUES_MAX {
            return Err(Error::new(format_args!("more than {VALUES_MAX} values")));
        }
    }
    Ok(())
}

/// What comes before the quote that ends the string; None if nothing ends it.
fn string(text: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    loop {
        match text.get(end)? {
            b'"' => return Some(&text[..end]),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

/// A key as it is meant: `"\u0061"` is the key `a`.
fn unescaped(key: &[u8]) -> Cow<'_, [u8]> {
    if !key.contains(&b'\\') {
        return Cow::Borrowed(key);
    }
    match serde_json::from_slice(&[b"\"", key, b"\""].concat()) {
        Ok(Value::String(key)) => Cow::Owned(key.into_bytes()),
        _ => Cow::Borrowed(key),
    }
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    fn error(text: &str) -> String {
        object("it", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn equal_keys_are_refused_wherever_they_are() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":{"a":1,"c":[],"a":{}}}"#,
            r#"{"b":[[{"x":"}","a":1 , "a" :2}]]}"#,
            r#"{"a":{"a":1},"b":[{"a":1},"a"],"a":0}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"\"a":1,"\u0022a":2}"#,
        ] {
            assert!(error(text).contains("a' comes twice") || text.contains("u0061"), "{text}: {}", error(text));
        }
        assert_eq!(error(r#"{"mediaType":1,"mediaType":2}"#), "it: the key 'mediaType' comes twice in one object");
        for text in [
            r#"{"a":"a","b":["a","a"],"A":{"a":1},"c":{"a":1}}"#,
            r#"{"a\\":1,"a":[{"a":1},{"a":1}]}"#,
            r#"{"":1," ":2}"#,
            r#"{"a":"\"b\":1,","b":"{\"b\":1,\"b\":2}"}"#,
        ] {
            object("it", text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_is_no_object_is_named() {
        assert_eq!(error("[]"), "it is no JSON object");
        assert_eq!(error(" \n<!doctype html>"), "it is an HTML page");
        for text in
            ["", "{", "{\"", "{\"a\\", "{\"a\\\"", "}", "{}{}", "{\"a\":NaN}", "{\"\\ud800\":1}", "{\"a\":1e999}"]
        {
            assert!(error(text).starts_with("it is no JSON: "), "{text}: {}", error(text));
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        assert!(error(&"[".repeat(5000)).starts_with("it is no JSON: recursion limit"));
        assert!(error(&"[".repeat(100_000)).ends_with("values"));
        let list = |count: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(count));
        object("it", list(VALUES_MAX - 3).as_bytes()).unwrap();
        assert_eq!(error(&list(VALUES_MAX - 2)), "it: more than 65536 values");
        object("it", format!("{{\"a\":\"{}\"}}", ",".repeat(VALUES_MAX * 2)).as_bytes()).unwrap();
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let seeds = [r#"{"a":{"\u0061":[1,{"b":"\"\\"}]},"c":null,"\ud83d\ude00":-1e3}"#, r#"{"a":1,"a":2}"#];
        mutation::each(&seeds, 20_000, |bytes| {
            // What passes has as many keys as there are in the text.
            if let Ok(Value::Object(object)) = object("it", bytes) {
                assert!(object.len() <= bytes.iter().filter(|byte| **byte == b':').count());
            }
        });
    }
}
