//! A row of a file, and all of them.
//!
//! Not here: how rows are found in a file (see `csv`, `json`).

use super::time::parse_time_ms;

/// The content of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesFile {
    /// In file order.
    pub rows: Vec<FileRow>,
    /// Names of labels in the order in which they first stand in the file; a row need not have all of them.
    pub label_names: Vec<String>,
}

/// One observation as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// Milliseconds since 1970, if the text is a time.
    pub time_ms: Option<i64>,
    /// If the text is a finite number.
    pub value: Option<f64>,
    /// As written, without CSV's or JSON's quotes.
    pub timestamp_text: Box<str>,
    /// As written, without CSV's or JSON's quotes.
    pub value_text: Box<str>,
    /// Names and values in file order; none is empty.
    pub labels: Box<[(Box<str>, Box<str>)]>,
}

impl FileRow {
    /// A row of these texts; what cannot be read is `None`.
    pub(super) fn new(timestamp: &str, value: &str, labels: Box<[(Box<str>, Box<str>)]>) -> Self {
        let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        Self {
            time_ms: parse_time_ms(timestamp),
            value: number,
            timestamp_text: timestamp.into(),
            value_text: value.into(),
            labels,
        }
    }
}
