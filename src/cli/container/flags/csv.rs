//! Fields separated by commas, quoted as Go's encoding/csv reads them: what `--mount` is made of.

/// The fields of the first record. A field in quotes may hold commas, line breaks and, doubled, quotes.
pub fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let (mut rest, mut position) = (text, Position { line: 1, column: 1 });
    // Skip blank lines before the record.
    while let Some(tail) = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")) {
        (rest, position.line) = (tail, position.line + 1);
    }
    if rest.is_empty() {
        return Err("value is empty".into());
    }
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                position.column += 1;
                in_quotes(quoted, &mut position)?
            }
            None => {
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                let field = &rest[..end];
                let is_last = !rest[end..].starts_with(',');
                let field = if is_last { field.strip_suffix('\r').unwrap_or(field) } else { field };
                if let Some(at) = field.find('"') {
                    position.column += at;
                    return Err(position.error("bare \" in non-quoted field"));
                }
                position.column += end;
                (field.to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(fields),
        }
        position.column += 1;
    }
}

#[derive(Clone, Copy)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn error(self, why: &str) -> String {
        let place = format!("parse error on line {}, column {}: {why}", self.line, self.column);
        if self.line > 1 { format!("record on line 1; {place}") } else { place }
    }
}

/// The field at the beginning of `text`, which follows an opening quote, and the text after the closing one: a comma or
/// the end of the record.
fn in_quotes<'a>(text: &'a str, position: &mut Position) -> Result<(String, &'a str), String> {
    let mut field = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let part = &rest[..at];
        field += &part.replace("\r\n", "\n");
        match part.rfind('\n') {
            Some(last) => {
                position.line += part.matches('\n').count();
                position.column = part.len() - last;
            }
            None => position.column += part.len(),
        }
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('"') {
            field.push('"');
            position.column += 2;
            rest = more;
            continue;
        }
        if after.is_empty() || after.starts_with([',', '\n']) || after.starts_with("\r\n") || after == "\r" {
            position.column += 1;
            return Ok((field, after));
        }
        return Err(position.error("extraneous or missing \" in quoted-field"));
    }
    position.column += rest.len();
    Err(position.error("extraneous or missing \" in quoted-field"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("a,b", &["a", "b"][..]),
            ("a", &["a"]),
            ("a,", &["a", ""]),
            (",", &["", ""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("type=bind,\"source=/a,b\",target=/c", &["type=bind", "source=/a,b", "target=/c"]),
            ("\"say \"\"hi\"\"\"", &["say \"hi\""]),
            ("\"\"", &[""]),
            ("\"\",x", &["", "x"]),
            (" a , b ", &[" a ", " b "]),
            ("a,b\nc,d", &["a", "b"]),
            ("a,b\r\nc", &["a", "b"]),
            ("\na", &["a"]),
            ("\"a\nb\",c", &["a\nb", "c"]),
            ("\"a\r\nb\",c", &["a\nb", "c"]),
            ("é,\"ü,\"", &["é", "ü,"]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn errors_are_gos() {
        for (text, said) in [
            ("", "value is empty"),
            ("a\"b", "parse error on line 1, column 2: bare \" in non-quoted field"),
            ("x,source=\"/a,b\"", "parse error on line 1, column 10: bare \" in non-quoted field"),
            ("\"a", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
            ("\"a\"b", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
            ("x,\"a\" ,b", "parse error on line 1, column 5: extraneous or missing \" in quoted-field"),
            (
                "\"a\nbc\"d",
                "record on line 1; parse error on line 2, column 3: extraneous or missing \" in quoted-field",
            ),
        ] {
            assert_eq!(fields(text).unwrap_err(), said, "{text:?}");
        }
    }
}
