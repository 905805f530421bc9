//! The reports that there are, for readers, and how making and telling them goes.
//!
//! Not here: making them (see `reporter`).

use super::making::Summary;
use super::shelf;
use parking_lot::RwLock;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Figures for `/metrics`; times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ReportFigures {
    /// Reports made since the start.
    pub made: u64,
    /// Times a report could not be begun or kept.
    pub failed: u64,
    /// Times a receiver was told of one.
    pub told: u64,
    /// Times one could not be told and was given up.
    pub untold: u64,
    /// Receivers that are still to be told of the newest.
    pub waiting: usize,
    /// Series that wait to be looked at in the report that is being made.
    pub queued: usize,
    /// When the newest was due; none where there is none.
    pub due_ms: Option<i64>,
    /// When it was done.
    pub made_ms: Option<i64>,
    /// When the next is due; none without a schedule.
    pub next_ms: Option<i64>,
    /// Seconds of one core that the newest took.
    pub work_s: f64,
}

/// Shown to readers; changed by the reporter alone.
#[derive(Debug)]
pub struct ReportBoard {
    folder: PathBuf,
    kept: RwLock<Arc<Vec<Summary>>>,
    figures: RwLock<ReportFigures>,
}

impl ReportBoard {
    /// Of the reports in a folder, which need not be there yet; what cannot be read is named in the log.
    pub fn new(folder: PathBuf) -> Self {
        let kept = shelf::Shelf::open(folder.clone()).map(|shelf| shelf.summaries());
        let kept = kept.unwrap_or_else(|error| {
            tracing::warn!(folder = %folder.display(), %error, "reports on capacity cannot be listed");
            Vec::new()
        });
        Self { folder, kept: RwLock::new(Arc::new(kept)), figures: RwLock::default() }
    }

    /// Reports that are kept, the newest first.
    pub fn kept(&self) -> Arc<Vec<Summary>> {
        self.kept.read().clone()
    }

    /// How it goes.
    pub fn figures(&self) -> ReportFigures {
        *self.figures.read()
    }

    /// The document, JSON, of the report with this id, or of the newest where that is `latest`; none where there is none.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn document(&self, id: &str) -> io::Result<Option<String>> {
        let kept = self.kept();
        let wanted = kept.iter().enumerate().find(|(at, one)| one.id == id || id == "latest" && *at == 0);
        let Some((_, one)) = wanted else { return Ok(None) };
        match shelf::document(&self.folder, &one.id) {
            Ok(body) => Ok(Some(body)),
            // It left between the look and the read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    pub(super) fn show(&self, kept: Vec<Summary>) {
        *self.kept.write() = Arc::new(kept);
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut ReportFigures)) {
        change(&mut self.figures.write());
    }
}
