//! Lists of things: a table as Docker draws it, JSON, or what the user's template makes of each.

use crate::cli::args::{One, one};
use crate::cli::output::format::Template;
use crate::error::{Result, Visible};
use serde_json::Value;

/// The flag that every list has.
pub const FORMAT: One = one(None, "format", "FORMAT", "Use a template: 'table TEMPLATE', 'TEMPLATE' or 'json'");

/// What a field is called in the template and above its column.
pub type Headings = &'static [(&'static str, &'static str)];

/// The rows, each an object with the fields of `headings`, in the format that the user has asked for (where `\t`
/// and `\n` are a tab and a line's end, because no shell makes them) or else in the list's own.
pub fn show(asked: Option<&str>, default: &str, headings: Headings, rows: &[Value]) -> Result<String> {
    let asked = asked.map(str::trim).filter(|format| !["", "table"].contains(format));
    let format = asked.unwrap_or(default).replace("\\t", "\t").replace("\\n", "\n");
    if format == "json" {
        return Ok(rows.iter().map(|row| row.to_string() + "\n").collect());
    }
    let Some(columns) = format.strip_prefix("table") else {
        let template = Template::parse(&format)?;
        return rows.iter().map(|row| template.render(row).map(|line| line + "\n")).collect();
    };
    let template = Template::parse(columns.trim())?;
    let head = headings.iter().map(|(field, heading)| ((*field).to_owned(), Value::from(*heading)));
    let head = Value::Object(crate::sort::into(head));
    let lines = std::iter::once(&head).chain(rows).map(|row| template.render(row));
    let lines = lines.map(|line| line.map(|line| line.split('\t').map(str::to_owned).collect()));
    Ok(table(&lines.collect::<Result<Vec<Vec<String>>>>()?))
}

/// Docker's table: columns at least 10 wide, three blanks between.
pub fn table(rows: &[Vec<String>]) -> String {
    let safe = |row: &Vec<String>| row.iter().map(|cell| Visible(cell).to_string()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(safe).collect();
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count() + 3).max().unwrap_or(0).max(10)
    };
    let widths: Vec<usize> = (0..most).map(width).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<String>();
        padded.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    const HEADINGS: Headings = &[("Name", "NAME"), ("Size", "SIZE")];

    fn shown(format: &str) -> String {
        let rows = [json!({"Name": "a", "Size": "1MB"}), json!({"Name": "much-longer", "Size": "20MB"})];
        show(Some(format), "table {{.Name}}", HEADINGS, &rows).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_list_is_a_table_json_or_a_template() {
        let table = "NAME          SIZE\na             1MB\nmuch-longer   20MB\n";
        assert_eq!(shown("table {{.Name}}\t{{.Size}}"), table);
        assert_eq!(shown(r"table {{.Name}}\t{{.Size}}"), table);
        assert_eq!(shown("{{.Name}}:{{.Size}}"), "a:1MB\nmuch-longer:20MB\n");
        assert_eq!(shown(r"{{.Name}}\n-"), "a\n-\nmuch-longer\n-\n");
        let json = "{\"Name\":\"a\",\"Size\":\"1MB\"}\n{\"Name\":\"much-longer\",\"Size\":\"20MB\"}\n";
        assert_eq!((shown("json"), shown("{{json .}}")), (json.to_owned(), json.to_owned()));
        assert_eq!(shown("table"), "NAME\na\nmuch-longer\n");
        assert_eq!(shown("{{.Bogus}}"), "template: at <.Bogus>: can't evaluate field Bogus");
    }

    #[test]
    fn a_table_has_dockers_widths() {
        let rows = [["A", "LONG-HEADING", "C"], ["abcdefghijkl", "x", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "A              LONG-HEADING   C\nabcdefghijkl   x\n");
    }

    #[test]
    fn nothing_in_a_table_moves_the_cursor() {
        let rows = [json!({"Name": "a\u{1b}[2J", "Size": "\r\u{202e}"})];
        let table = show(None, "table {{.Name}}\t{{.Size}}", HEADINGS, &rows).unwrap();
        assert_eq!(table, "NAME       SIZE\na\\x1b[2J   \\x0d\\u{202e}\n");
        // Programs get what there is.
        assert_eq!(show(Some("{{.Name}}"), "", HEADINGS, &rows).unwrap(), "a\u{1b}[2J\n");
    }
}
