//! CSV as RFC 4180 has it: commas, double quotes, lines that end in `\n` or `\r\n`; the first line names the columns.
//!
//! A line without any text is no row. A row with fewer fields than the header lacks the last ones; one with more has no
//! value that could be trusted.
//!
//! Not here: other separators, files without a header.

use super::error::{Fault, Problem};
use super::row::FileRow;
use super::time::parse_time_ms;

/// Hands over every row with its line; gives the names of the label columns.
pub(super) fn rows(text: &str, row: &mut dyn FnMut(u64, FileRow)) -> Result<Vec<String>, Fault> {
    let mut records = Records { rest: text, line: 1, fields: Fields::default() };
    let mut header_line = 1;
    while records.fields.is_blank() {
        header_line = records.line;
        if !records.next()? {
            return Err(Fault { line: 1, problem: Problem::Empty });
        }
    }
    let columns = Columns::of(&records.fields).map_err(|problem| Fault { line: header_line, problem })?;
    loop {
        let line = records.line;
        if !records.next()? {
            return Ok(columns.labels.into_iter().map(|(_, name)| name).collect());
        }
        if !records.fields.is_blank() {
            row(line, columns.row(&records.fields));
        }
    }
}

/// Which column holds what.
struct Columns {
    timestamp: usize,
    value: usize,
    labels: Vec<(usize, String)>,
    count: usize,
}

impl Columns {
    fn of(header: &Fields) -> Result<Self, Problem> {
        let names: Vec<&str> = (0..header.count()).map(|at| header.get(at).trim()).collect();
        let find = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let timestamp =
            find("timestamp").ok_or_else(|| match names.iter().any(|name| parse_time_ms(name).is_some()) {
                true => Problem::NoHeader,
                false => Problem::Missing("timestamp"),
            })?;
        let value = find("value").ok_or(Problem::Missing("value"))?;
        let twice = |at: &usize| names[..*at].iter().any(|name| name.eq_ignore_ascii_case(names[*at]));
        if let Some(at) = (0..names.len()).find(|at| !names[*at].is_empty() && twice(at)) {
            return Err(Problem::ColumnTwice(names[at].to_owned()));
        }
        let is_label = |at: &usize| *at != timestamp && *at != value && !names[*at].is_empty();
        let labels = (0..names.len()).filter(is_label).map(|at| (at, names[at].to_owned())).collect();
        Ok(Self { timestamp, value, labels, count: names.len() })
    }

    fn row(&self, fields: &Fields) -> FileRow {
        let labels = self.labels.iter().map(|(at, name)| (name.as_str(), fields.get(*at)));
        let labels = labels.filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.into(), text.into()));
        let mut row = FileRow::new(fields.get(self.timestamp), fields.get(self.value), labels.collect());
        if fields.count() > self.count {
            row.value = None;
        }
        row
    }
}

/// The fields of one record, one after the other; keeps its memory between records.
#[derive(Default)]
struct Fields {
    text: String,
    ends: Vec<usize>,
}

impl Fields {
    fn count(&self) -> usize {
        self.ends.len()
    }

    /// A field's text; empty if the record has fewer.
    fn get(&self, at: usize) -> &str {
        let Some(end) = self.ends.get(at) else { return "" };
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..*end]
    }

    /// Whether it is an empty line, or none at all.
    fn is_blank(&self) -> bool {
        self.count() <= 1 && self.text.trim().is_empty()
    }
}

/// Records from what is left of a file.
struct Records<'a> {
    rest: &'a str,
    /// On which `rest` starts.
    line: u64,
    fields: Fields,
}

impl Records<'_> {
    /// Reads the next record into `fields`; false at the end of the file.
    fn next(&mut self) -> Result<bool, Fault> {
        self.fields.text.clear();
        self.fields.ends.clear();
        if self.rest.is_empty() {
            return Ok(false);
        }
        loop {
            match self.rest.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted)?,
                None => {
                    let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
                    let field = &self.rest[..end];
                    let last = !self.rest[end..].starts_with(',');
                    self.fields.text.push_str(if last { field.strip_suffix('\r').unwrap_or(field) } else { field });
                    self.rest = &self.rest[end..];
                }
            }
            self.fields.ends.push(self.fields.text.len());
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        if let Some(rest) = self.rest.strip_prefix('\n') {
            (self.rest, self.line) = (rest, self.line + 1);
        }
        Ok(true)
    }

    /// Reads a field whose opening quote is read; a doubled quote stands for one.
    fn quoted(&mut self, mut rest: &str) -> Result<(), Fault> {
        let opened = self.line;
        loop {
            let Some(end) = rest.find('"') else { return Err(Fault { line: opened, problem: Problem::OpenQuote }) };
            self.fields.text.push_str(&rest[..end]);
            self.line += rest[..end].matches('\n').count() as u64;
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(after) => rest = after,
                None => break,
            }
            self.fields.text.push('"');
        }
        let rest = rest.strip_prefix('\r').filter(|rest| rest.is_empty() || rest.starts_with('\n')).unwrap_or(rest);
        if !(rest.is_empty() || rest.starts_with([',', '\n'])) {
            return Err(Fault { line: self.line, problem: Problem::AfterQuote });
        }
        self.rest = &self.rest[self.rest.len() - rest.len()..];
        Ok(())
    }
}
