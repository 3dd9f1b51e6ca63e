//! The words of a Dockerfile instruction: quotes, backslashes and `$NAME`, as Docker reads them.

use crate::error::{Error, Result};

/// Splits at blanks outside of quotes; quotes and backslashes stay as they are.
pub fn split(text: &str) -> Result<Vec<&str>> {
    let mut words = Vec::new();
    let (mut start, mut quote, mut escaped) = (None, None, false);
    for (at, c) in text.char_indices() {
        if quote.is_none() && !escaped && c.is_whitespace() {
            words.extend(start.take().and_then(|start| text.get(start..at)));
            continue;
        }
        start.get_or_insert(at);
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    if quote.is_some() {
        return Err(Error::new(format_args!("a quote that is not closed in '{text}'")));
    }
    words.extend(start.and_then(|start| text.get(start..)));
    Ok(words)
}

/// What a word means: quotes and backslashes taken away, variables put in.
pub fn expand(word: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (Some('\''), c) => out.push(c),
            (None, '\\') => out.extend(rest.next()),
            (Some(_), '\\') => match rest.next() {
                Some(c @ ('"' | '$' | '\\')) => out.push(c),
                other => {
                    out.push('\\');
                    out.extend(other);
                }
            },
            (_, '$') => out.push_str(&substitute(&mut rest, variable)?),
            (_, c) => out.push(c),
        }
    }
    Ok(out)
}

/// What `$NAME`, `${NAME}`, `${NAME:-word}` or `${NAME:+word}` stands for; the dollar is read already.
fn substitute(rest: &mut std::str::Chars<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let text = rest.as_str();
    if let Some(inner) = text.strip_prefix('{') {
        let bad = || Error::new(format_args!("'${text}': this is no variable"));
        let (inner, after) = inner.split_once('}').ok_or_else(bad)?;
        *rest = after.chars();
        let name = name_of(inner);
        let value = variable(name).filter(|value| !value.is_empty() && !name.is_empty());
        let operator = inner.get(name.len()..).unwrap_or_default();
        return match (operator.get(..2), operator.get(2..)) {
            _ if operator.is_empty() && !name.is_empty() => Ok(value.unwrap_or_default()),
            (Some(":-"), Some(word)) => Ok(value.unwrap_or_else(|| word.to_owned())),
            (Some(":+"), Some(word)) => Ok(value.map(|_| word.to_owned()).unwrap_or_default()),
            _ => Err(bad()),
        };
    }
    let name = name_of(text);
    if name.is_empty() {
        return Ok("$".to_owned());
    }
    *rest = text.get(name.len()..).unwrap_or_default().chars();
    Ok(variable(name).unwrap_or_default())
}

/// The variable's name that a text begins with.
fn name_of(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::mutation;

    fn expanded(word: &str) -> Result<String> {
        expand(word, &|name| match name {
            "A" => Some("a b".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn words_end_at_blanks() {
        assert_eq!(split(r#"  a  b="c d" e\ f 'g "h'  "#).unwrap(), ["a", r#"b="c d""#, r"e\ f", r#"'g "h'"#]);
        assert!(split("  ").unwrap().is_empty());
        assert!(split("a 'b").is_err());
    }

    #[test]
    fn words_are_what_docker_makes_of_them() {
        for (word, meant) in [
            ("plain", "plain"),
            (r#""a  b""#, "a  b"),
            (r"'$A\'", r"$A\"),
            (r"a\ b", "a b"),
            (r#""\$A \n \"""#, r#"$A \n ""#),
            ("$A/${A}x$UNSET.", "a b/a bx."),
            ("${UNSET:-d}${EMPTY:-e}${A:+f}${UNSET:+g}", "def"),
            ("5$", "5$"),
        ] {
            assert_eq!(expanded(word).unwrap(), meant, "{word}");
        }
        for bad in ["${A", "${}", "${A!}", "${A:?x}"] {
            assert!(expanded(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        mutation::each(&[r#"a="b \$c" 'd' ${A:-e} $é \"#], 5000, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            for word in split(&text).unwrap_or_default() {
                let _ = expanded(word);
            }
        });
    }
}
