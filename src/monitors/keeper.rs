//! The monitors in force, where they are read from, and how they stand, for whoever asks.
//!
//! Not here: the thread that has them look (see `server`), what they find (see `judge`).
//!
//! Invariant: all or nothing: files with a mistake anywhere leave the monitors in force as they are.

use super::file::parse;
use super::judge::Standing;
use super::monitor::Monitor;
use crate::query::QueryLimits;
use crate::rules::{RuleError, RuleFiles, WatchedFiles};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where monitors are read from.
pub type MonitorFiles = RuleFiles;

/// One series that a monitor does not find well.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesView {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where the monitor stands with it.
    pub standing: Standing,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// What is compared with the limits.
    pub measure: f64,
    /// In one plain sentence.
    pub says: String,
}

/// One monitor as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct MonitorView {
    /// The monitor.
    pub monitor: Arc<Monitor>,
    /// Looks so far.
    pub looks: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Why the last one failed, if it did.
    pub error: Option<String>,
    /// When it looked last, in milliseconds since 1970 UTC.
    pub last_ms: Option<i64>,
    /// How long that took, in seconds.
    pub took_s: f64,
    /// Series it looked at.
    pub series: usize,
    /// Those that are not well.
    pub held: Vec<SeriesView>,
}

impl MonitorView {
    pub(super) fn new(monitor: &Arc<Monitor>) -> Self {
        let monitor = monitor.clone();
        Self { monitor, looks: 0, failures: 0, error: None, last_ms: None, took_s: 0.0, series: 0, held: Vec::new() }
    }

    /// Where it stands with its worst series.
    pub fn standing(&self) -> Standing {
        self.held.iter().map(|one| one.standing).max().unwrap_or(Standing::Fine)
    }
}

/// All monitors of the server.
#[derive(Debug)]
pub struct MonitorKeeper {
    /// Where they are read from.
    pub files: WatchedFiles<Monitor>,
    views: RwLock<Arc<Vec<MonitorView>>>,
}

/// Reads all files.
///
/// # Errors
/// Every mistake of every file.
pub fn load(files: &MonitorFiles) -> Result<Vec<Monitor>, Vec<RuleError>> {
    let (mut monitors, mut errors): (Vec<Monitor>, Vec<RuleError>) = Default::default();
    for path in files.paths().map_err(|error| vec![error])? {
        let file = path.to_string_lossy().into_owned();
        let wrong = |line, what| RuleError::Wrong { file: file.clone(), line, what };
        let text = match crate::rules::text_of(&path) {
            Ok(text) => text,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        match parse(&text, &file, files.interval_ms, &files.limits) {
            Err(mistakes) => errors.extend(mistakes.into_iter().map(|(line, what)| wrong(line, what))),
            Ok(found) => {
                for monitor in found {
                    if monitors.iter().any(|known| known.name == monitor.name) {
                        errors.push(wrong(monitor.line, format!("monitor {:?} stands twice", monitor.name)));
                    }
                    monitors.push(monitor);
                }
            }
        }
    }
    if errors.is_empty() { Ok(monitors) } else { Err(errors) }
}

impl MonitorKeeper {
    /// Of files that were not read yet.
    pub fn new(files: MonitorFiles) -> Self {
        Self { files: WatchedFiles::new(files, load), views: RwLock::default() }
    }

    /// Those of a list of patterns with commas.
    pub fn files_of(list: &str, interval_ms: i64, limits: QueryLimits) -> MonitorFiles {
        RuleFiles::of(list, None, interval_ms, limits)
    }

    /// Shows how monitors stand.
    pub fn show(&self, views: Vec<MonitorView>) {
        *self.views.write() = Arc::new(views);
    }

    /// How they stand, in the order of their files.
    pub fn views(&self) -> Arc<Vec<MonitorView>> {
        self.views.read().clone()
    }
}
