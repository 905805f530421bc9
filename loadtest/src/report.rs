//! How figures are shown: a text table with a column for each server, and JSON.
//!
//! Not here: taking the figures (see `write`, `queries` and `crash`).

use anyhow::{Context, Result};
use serde::Serialize;

/// A table of text: a first column of names, then one column for each server.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(heads: impl IntoIterator<Item = String>) -> Table {
        Table { rows: vec![heads.into_iter().collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }

    /// Adds a row unless all its cells are empty.
    pub(crate) fn row_if_known(&mut self, name: &str, cells: impl IntoIterator<Item = Option<String>>) {
        let cells: Vec<_> = cells.into_iter().collect();
        if cells.iter().any(Option::is_some) {
            self.row(name, cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into())));
        }
    }

    /// Columns aligned with blanks: names to the left, figures to the right.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        self.rows.iter().map(line).collect()
    }

    /// The same as a markdown table.
    pub(crate) fn markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        let rule = vec!["---".to_owned(); self.rows[0].len()];
        lines.insert(1, line(&rule));
        lines.concat()
    }
}

/// Writes figures as JSON, indented.
///
/// # Errors
/// When they hold a number that JSON cannot.
pub(crate) fn print_json(figures: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(figures).context("write the figures as JSON")?);
    Ok(())
}

/// A number of bytes in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A number with as many decimals as three figures need.
pub(crate) fn figures(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || value == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A count with blanks between thousands.
pub(crate) fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    if count < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["".into(), "ours".into(), "peer".into()]);
        table.row("samples", ["6 000 000".into(), "1".into()]);
        table.row_if_known("lost", [Some("0".into()), None]);
        table.row_if_known("unknown", [None, None]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "              ours  peer\n\
                        samples  6 000 000     1\n\
                        lost             0     -\n";
        assert_eq!(table().text(), expected);
    }

    #[test]
    fn markdown_has_a_rule_below_the_heads() {
        let expected = "|  | ours | peer |\n| --- | --- | --- |\n| samples | 6 000 000 | 1 |\n| lost | 0 | - |\n";
        assert_eq!(table().markdown(), expected);
    }

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!([0.0, 0.0123, 1.234, 56.78, 1234.5].map(figures), ["0.00", "0.012", "1.23", "56.8", "1234"]);
        assert_eq!([0, 999, 1000, -1234567].map(grouped), ["0", "999", "1 000", "-1 234 567"]);
        assert_eq!(mib(3 << 19), 1.5);
    }
}
