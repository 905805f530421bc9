//! Writes the result of a command: rows as a table, JSON or CSV, to standard output or a file.
//!
//! Not here: what is said on standard error.
//!
//! Invariant: JSON and CSV carry every value in full and never a colour; a reader that stops early is no failure.

use super::{CliError, Format, Global};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

/// Rows under named columns.
#[derive(Debug)]
pub(super) struct Rows {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// No rows yet.
    pub(super) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row with one value a column.
    pub(super) fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// Writes the rows where and how the global flags say.
    pub(super) fn write(&self, global: &Global) -> Result<(), CliError> {
        write_text(global, &self.render(global.format()))
    }

    /// The rows as text.
    pub(super) fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => self.json(),
            Format::Csv => self.csv(),
        }
    }

    /// The rows as aligned columns.
    pub(super) fn table(&self) -> String {
        let header = self.columns.iter().map(|column| (*column).to_owned()).collect();
        let body = self.rows.iter().map(|row| row.iter().map(plain).collect());
        let lines: Vec<Vec<String>> = std::iter::once(header).chain(body).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        for line in &lines {
            let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    fn json(&self) -> String {
        let object = |row: &Vec<Value>| {
            let fields = self.columns.iter().zip(row).map(|(column, value)| ((*column).to_owned(), value.clone()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        let rows = Value::Array(self.rows.iter().map(object).collect());
        format!("{rows:#}\n")
    }

    fn csv(&self) -> String {
        let mut out = format!("{}\n", self.columns.join(","));
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|value| csv_cell(&plain(value)).into_owned()).collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        }
        out
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A cell as RFC 4180 has it.
pub(super) fn csv_cell(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

/// Where the global flags say results go, for results too large to be held.
pub(super) struct Output {
    to: Box<dyn Write>,
    path: Option<PathBuf>,
}

impl Output {
    /// Creates the file, if one is named.
    pub(super) fn open(global: &Global) -> Result<Self, CliError> {
        let to: Box<dyn Write> = match &global.output {
            Some(path) => {
                let failed = |source| CliError::Output { path: path.clone(), source };
                Box::new(BufWriter::new(std::fs::File::create(path).map_err(failed)?))
            }
            None => Box::new(BufWriter::new(io::stdout())),
        };
        Ok(Self { to, path: global.output.clone() })
    }

    /// Writes what is buffered and says how all the writing ended.
    pub(super) fn finish(mut self, written: io::Result<()>) -> Result<(), CliError> {
        match written.and_then(|()| self.to.flush()) {
            Err(error) if self.path.is_none() && error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|source| {
                let path = self.path.unwrap_or_else(|| PathBuf::from("standard output"));
                CliError::Output { path, source }
            }),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes text where the global flags say.
pub(super) fn write_text(global: &Global, text: &str) -> Result<(), CliError> {
    let (path, written) = match &global.output {
        Some(path) => (path.clone(), std::fs::write(path, text)),
        None => {
            let mut out = std::io::stdout().lock();
            (PathBuf::from("standard output"), out.write_all(text.as_bytes()).and_then(|()| out.flush()))
        }
    };
    match written {
        Err(error) if global.output.is_none() && error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|source| CliError::Output { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::new(&["key", "value"]);
        rows.push(vec!["a".into(), 1.into()]);
        rows.push(vec!["long, \"quoted\"".into(), Value::Null]);
        rows
    }

    #[test]
    fn a_table_lines_its_columns_up() {
        assert_eq!(rows().render(Format::Table), "key             value\na               1\nlong, \"quoted\"\n");
    }

    #[test]
    fn json_keeps_numbers_and_the_order_of_columns() {
        let text = rows().render(Format::Json);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["value"], 1);
        assert_eq!(value[1]["value"], Value::Null);
    }

    #[test]
    fn csv_quotes_commas_and_quotes() {
        assert_eq!(rows().render(Format::Csv), "key,value\na,1\n\"long, \"\"quoted\"\"\",\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let global = Global { output: Some(PathBuf::from("/nowhere/a.csv")), ..Global::default() };
        let error = rows().write(&global).unwrap_err();
        assert!(error.to_string().starts_with("cannot write to /nowhere/a.csv: "), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}
