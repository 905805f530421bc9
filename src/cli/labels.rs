//! What is known to be anomalous: rows marked one by one, or spans of time.
//!
//! ```text
//! timestamp,is_anomaly          start,end                                     file,host,start,end
//! 2026-01-05T00:00:00Z,1        2026-01-05T00:00:00Z,2026-01-05T00:10:00Z     cpu.csv,a,2026-..,2026-..
//! ```
//!
//! Spans include both ends. Of spans with a column `file` only those of the judged file count; a column that is also a
//! label of its rows has to agree with them, other columns only describe.
//!
//! Not here: files of samples (see `series_file`), counting what was right (see `analysis::accuracy`).
//!
//! Invariant: a row of labels that cannot be read is an error with its line, never passed over.

use super::CliError;
use crate::series_file::{FileRow, SeriesFile, parse_time_ms};
use std::collections::HashMap;
use std::path::Path;

/// Columns that mark a row as anomalous, in a file of labels or of samples.
pub(super) const MARKS: [&str; 3] = ["is_anomaly", "label", "anomaly"];

/// A table of texts with named columns.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<(usize, Vec<String>)>,
    name: String,
}

impl Table {
    /// Reads a CSV without quoted commas.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| CliError::Failed(format!("{name}: {error}")))?;
        let cells =
            |line: &str| line.split(',').map(|cell| cell.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, first) = lines.next().ok_or_else(|| CliError::Failed(format!("{name}: the file is empty")))?;
        let header = cells(first.trim_start_matches('\u{feff}')).iter().map(|cell| cell.to_lowercase()).collect();
        Ok(Self { header, rows: lines.map(|(at, line)| (at + 1, cells(line))).collect(), name })
    }

    /// The place of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known == name)
    }

    /// The place of the first of these columns that is there.
    pub(super) fn any_of(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.column(name))
    }

    /// Every row with what `read` makes of its cells.
    pub(super) fn parse<T>(&self, read: impl Fn(&[String]) -> Option<T>) -> Result<Vec<T>, CliError> {
        let parsed = |(line, cells): &(usize, Vec<String>)| {
            let row = (cells.len() == self.header.len()).then(|| read(cells)).flatten();
            row.ok_or_else(|| {
                CliError::Failed(format!("{}:{line}: a row of {} expected", self.name, self.header.join(",")))
            })
        };
        self.rows.iter().map(parsed).collect()
    }
}

/// Yes or no, as labels say it.
pub(super) fn mark(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "true" | "yes" | "1.0" => Some(true),
        "0" | "false" | "no" | "0.0" | "" => Some(false),
        _ => None,
    }
}

/// A span of time in which a file, or the rows with some labels, are anomalous.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    labels: Vec<(String, String)>,
}

/// What is known of the rows of a file.
#[derive(Debug)]
pub(super) struct Truth {
    /// Whether each row is anomalous.
    pub(super) is_anomalous: Vec<bool>,
    /// Rows of each anomaly that lasts: of a span, or of a stretch of marked rows of one series.
    pub(super) events: Vec<Vec<usize>>,
}

/// Takes the column that marks rows out of a file of samples, so that it is no label of a series.
pub(super) fn take_marks(file: &mut SeriesFile) -> Option<Result<Vec<bool>, CliError>> {
    let name = MARKS.into_iter().find(|mark| file.label_names.iter().any(|name| name == mark))?;
    file.label_names.retain(|known| known != name);
    let marked = |(at, row): (usize, &mut FileRow)| {
        let mut labels = std::mem::take(&mut row.labels).into_vec();
        let text = labels.iter().position(|(label, _)| **label == *name).map(|at| labels.remove(at).1);
        row.labels = labels.into_boxed_slice();
        let text = text.unwrap_or_default();
        mark(&text).ok_or_else(|| CliError::Failed(format!("row {}: {text:?} in column {name} is no label", at + 1)))
    };
    Some(file.rows.iter_mut().enumerate().map(marked).collect())
}

impl Truth {
    /// Of rows that are marked, each with its series.
    pub(super) fn of_marks(is_anomalous: Vec<bool>, of_row: &[u32]) -> Self {
        let mut open: HashMap<u32, usize> = HashMap::new();
        let mut events: Vec<Vec<usize>> = Vec::new();
        for (at, (marked, series)) in is_anomalous.iter().zip(of_row).enumerate() {
            if !marked {
                open.remove(series);
                continue;
            }
            let event = *open.entry(*series).or_insert_with(|| {
                events.push(Vec::new());
                events.len() - 1
            });
            events[event].push(at);
        }
        Self { is_anomalous, events }
    }

    /// From a file of labels for the rows of the file `judged`.
    pub(super) fn read(path: &Path, judged: &Path, file: &SeriesFile, of_row: &[u32]) -> Result<Self, CliError> {
        let table = Table::read(path)?;
        if let Some((start, end)) = table.column("start").zip(table.column("end")) {
            let spans = spans(&table, (start, end), judged, file)?;
            return Ok(Self::of_spans(&spans, file));
        }
        let (Some(time), Some(label)) = (table.column("timestamp"), table.any_of(&MARKS)) else {
            let message = format!("{}: columns start and end, or timestamp and is_anomaly, expected", path.display());
            return Err(CliError::Failed(message));
        };
        let marks: HashMap<i64, bool> =
            table.parse(|cells| Some((parse_time_ms(&cells[time])?, mark(&cells[label])?)))?.into_iter().collect();
        let is_marked = |row: &FileRow| row.time_ms.is_some_and(|time_ms| marks.get(&time_ms) == Some(&true));
        Ok(Self::of_marks(file.rows.iter().map(is_marked).collect(), of_row))
    }

    fn of_spans(spans: &[Span], file: &SeriesFile) -> Self {
        let mut is_anomalous = vec![false; file.rows.len()];
        let covers = |span: &Span, row: &FileRow| {
            let is_within = row.time_ms.is_some_and(|time_ms| (span.start_ms..=span.end_ms).contains(&time_ms));
            let has = |(name, value): &(String, String)| {
                row.labels.iter().any(|(label, text)| **label == **name && **text == **value)
            };
            is_within && span.labels.iter().all(has)
        };
        let rows = |span: &Span| (0..file.rows.len()).filter(|at| covers(span, &file.rows[*at])).collect::<Vec<_>>();
        let events: Vec<Vec<usize>> = spans.iter().map(rows).filter(|rows| !rows.is_empty()).collect();
        events.iter().flatten().for_each(|at| is_anomalous[*at] = true);
        Self { is_anomalous, events }
    }
}

fn spans(table: &Table, (start, end): (usize, usize), judged: &Path, file: &SeriesFile) -> Result<Vec<Span>, CliError> {
    let file_column = table.column("file");
    let name = judged.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let shared: Vec<(usize, &String)> =
        file.label_names.iter().filter_map(|label| Some((table.column(&label.to_lowercase())?, label))).collect();
    let parsed = table.parse(|cells| {
        let (start_ms, end_ms) = (parse_time_ms(&cells[start])?, parse_time_ms(&cells[end])?);
        let labels = shared.iter().map(|(at, label)| ((*label).clone(), cells[*at].clone())).collect();
        let is_of_file = file_column.is_none_or(|at| cells[at] == name);
        Some((is_of_file, Span { start_ms, end_ms, labels }))
    })?;
    Ok(parsed.into_iter().filter(|(is_of_file, _)| *is_of_file).map(|(_, span)| span).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_marked_rows_are_events_of_their_series() {
        let marks = [true, true, false, true, true, false].to_vec();
        let truth = Truth::of_marks(marks.clone(), &[0; 6]);
        assert_eq!(truth.events, [vec![0, 1], vec![3, 4]]);
        let truth = Truth::of_marks(marks, &[0, 1, 0, 1, 0, 1]);
        assert_eq!(truth.events, [vec![0], vec![1, 3], vec![4]]);
    }

    #[test]
    fn labels_say_yes_and_no_in_many_ways() {
        assert_eq!(
            ["1", "true", "0", "False", "", "maybe"].map(mark),
            [Some(true), Some(true), Some(false), Some(false), Some(false), None]
        );
    }
}
