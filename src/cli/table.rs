//! Tables as Docker's: columns at least ten wide, three spaces between them.

const LEAST: usize = 10;
const GAP: usize = 3;

/// Lines the cells of `rows` up; the last column is as wide as it is.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().map_or(LEAST, |widest| (widest + GAP).max(LEAST))
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            match widths.get(at) {
                Some(width) if at + 1 < row.len() => text.push_str(&format!("{cell:<width$}")),
                _ => text.push_str(cell),
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            table(&[row(["REPOSITORY", "TAG", "SIZE"]), row(["a", "1234567890", "7MB"])]),
            "REPOSITORY   TAG          SIZE\na            1234567890   7MB\n"
        );
    }
}
