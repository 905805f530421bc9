//! `infrawatch detect FILE --detectors NAMES`: what named detectors say of every row, and the word of all.
//!
//! Not here: the detectors and their votes (see `named`), the ensemble alone (see `detect`).
//!
//! Invariant: CSV and JSON have one row a data row, in file order, with the columns of `detect` first.

use super::named::{ByName, JudgedRows, RowWord, SeriesOfRows};
use super::output::{Output, csv_cell};
use super::{CliError, Format, Global};
use crate::analysis::{Kind, Severity};
use crate::series_file::{FileRow, SeriesFile};
use std::io::{self, Write};

/// Anomalous rows a table shows.
const SHOWN: usize = 20;

/// Judges the file and writes what is said.
pub(super) fn run(
    file: &SeriesFile,
    by_name: &ByName,
    metric: &str,
    (is_streaming, kind): (bool, Option<Kind>),
    global: &Global,
) -> Result<(), CliError> {
    let series = SeriesOfRows::new(file, metric);
    let judged = by_name.judge(file, &series, is_streaming, kind)?;
    let mut out = Output::open(global)?;
    let written = match global.format() {
        Format::Csv => csv(file, &judged, &mut out),
        Format::Json => json(file, &judged, &mut out),
        Format::Table => table(file, &series, &judged, &mut out),
    };
    out.finish(written)
}

fn severity(word: &RowWord) -> Severity {
    if word.combined.is_anomaly { Severity::of(word.combined.score) } else { Severity::None }
}

/// Names of those that flag a row.
fn agreeing(judged: &JudgedRows, word: &RowWord) -> Vec<&'static str> {
    judged.names.iter().zip(&word.said).filter(|(_, result)| result.is_anomaly).map(|(name, _)| *name).collect()
}

fn csv(file: &SeriesFile, judged: &JudgedRows, out: &mut impl Write) -> io::Result<()> {
    out.write_all(super::detect::COLUMNS.as_bytes())?;
    let labels = file.label_names.iter().map(|name| csv_cell(name).into_owned());
    for name in labels.chain(judged.names.iter().map(|name| (*name).to_owned())) {
        write!(out, ",{name}")?;
    }
    out.write_all(b",agreeing\n")?;
    for (row, word) in file.rows.iter().zip(&judged.rows) {
        write!(out, "{},{},", csv_cell(&row.timestamp_text), csv_cell(&row.value_text))?;
        let combined = &word.combined;
        write!(out, "{:.9},{},{}", combined.score, u8::from(combined.is_anomaly), severity(word).as_str())?;
        match word.band() {
            Some([expected, lower, upper]) => write!(out, ",{expected},{lower},{upper}")?,
            None => out.write_all(b",,,")?,
        }
        for name in &file.label_names {
            write!(out, ",{}", csv_cell(label(row, name)))?;
        }
        for at in 0..judged.names.len() {
            let said = word.said.get(at).filter(|result| result.judgement.is_judged);
            write!(out, ",{}", said.map_or_else(String::new, |result| result.score.to_string()))?;
        }
        writeln!(out, ",{}", agreeing(judged, word).join(" "))?;
    }
    Ok(())
}

fn json(file: &SeriesFile, judged: &JudgedRows, out: &mut impl Write) -> io::Result<()> {
    let mut separator = "[\n";
    for (row, word) in file.rows.iter().zip(&judged.rows) {
        let band = word.band();
        let edge = |at: usize| band.map(|band| band[at]);
        let labels: serde_json::Map<_, _> =
            row.labels.iter().map(|(name, value)| (name.to_string(), value.to_string().into())).collect();
        let object = serde_json::json!({
            "timestamp": &*row.timestamp_text, "value": row.value, "score": word.combined.score,
            "is_anomaly": word.combined.is_anomaly, "severity": severity(word).as_str(),
            "confidence": word.combined.confidence().as_str(), "expected": edge(0), "lower": edge(1), "upper": edge(2),
            "labels": labels, "agreeing_detectors": agreeing(judged, word), "results": word.said,
        });
        write!(out, "{separator}{object}")?;
        separator = ",\n";
    }
    out.write_all(if file.rows.is_empty() { b"[]\n" } else { b"\n]\n" })
}

/// For people: how much each flags, and the most unusual rows in order of the file.
fn table(file: &SeriesFile, series: &SeriesOfRows, judged: &JudgedRows, out: &mut impl Write) -> io::Result<()> {
    let mut flagged: Vec<usize> = (0..file.rows.len()).filter(|at| judged.rows[*at].combined.is_anomaly).collect();
    writeln!(out, "Total points analyzed: {}", file.rows.len())?;
    writeln!(out, "Anomalous points: {}", flagged.len())?;
    for (at, name) in judged.names.iter().enumerate() {
        let said = || judged.rows.iter().filter_map(|word| word.said.get(at));
        let (flags, could) =
            (said().filter(|r| r.is_anomaly).count(), said().filter(|r| r.judgement.is_judged).count());
        writeln!(out, "  {name}: {flags} of {could} judged")?;
    }
    let count = flagged.len();
    let score = |at: &usize| judged.rows[*at].combined.score;
    flagged.sort_by(|a, b| score(b).total_cmp(&score(a)));
    flagged.truncate(SHOWN);
    flagged.sort_unstable();
    if count > 0 {
        writeln!(out, "\nTop anomalous points:")?;
    }
    for at in &flagged {
        let (row, word) = (&file.rows[*at], &judged.rows[*at]);
        let name = &series.names[series.of_row[*at] as usize];
        let expected = word.band().map_or_else(String::new, |[expected, lower, upper]| {
            format!(", expected {expected:.4} ({lower:.4} to {upper:.4})")
        });
        let by = agreeing(judged, word).join(", ");
        let severity = severity(word).label();
        writeln!(out, "{}  {severity:<8}  {name} is {}{expected}; by {by}", row.timestamp_text, row.value_text)?;
    }
    if count > flagged.len() {
        writeln!(out, "({} of {count}; --format csv has every row)", flagged.len())?;
    }
    Ok(())
}

fn label<'a>(row: &'a FileRow, name: &str) -> &'a str {
    row.labels.iter().find(|(known, _)| **known == *name).map_or("", |(_, value)| value)
}
