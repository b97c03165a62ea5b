//! Aligned columns for people.

use anstyle::Style;

/// A cell with its alignment.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    right: bool,
    style: Style,
}

pub fn left(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), right: false, style: Style::new() }
}

pub fn right(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), right: true, style: Style::new() }
}

impl Cell {
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

/// Rows as lines: columns two spaces apart, as wide as their widest cell, no trailing spaces.
pub fn lines(rows: &[Vec<Cell>], indent: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = " ".repeat(indent);
        for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.text.chars().count());
            let style = cell.style;
            let last = c + 1 == row.len();
            match (cell.right, last) {
                (true, _) => line.push_str(&format!("{gap}{style}{}{style:#}", cell.text)),
                (false, true) => line.push_str(&format!("{style}{}{style:#}", cell.text)),
                (false, false) => line.push_str(&format!("{style}{}{style:#}{gap}", cell.text)),
            }
            if !last {
                line.push_str("  ");
            }
        }
        line.trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec![left("a"), right("1"), left("x")], vec![left("long"), right("1,000"), left("")]];
        assert_eq!(lines(&rows, 1), [" a         1  x", " long  1,000"]);
    }
}
