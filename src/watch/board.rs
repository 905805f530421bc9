//! What watched expressions came to, as figures to be scraped.
//!
//! Not here: evaluating them (see `runner`).
//!
//! Invariant: counters only rise; there is one entry for each expression of the file.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The figures of one expression.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// The detector that judges it.
    pub detector: String,
    /// The greatest score of its series by their newest values, 0 to 1; none before the first.
    pub score: Option<f64>,
    /// Anomalous values so far that were high.
    pub high: u64,
    /// And those that were medium.
    pub medium: u64,
    /// How long judging took last, in seconds.
    pub latency_s: f64,
    /// Evaluations that failed.
    pub errors: u64,
    /// Evaluations in all.
    pub evaluations: u64,
}

/// All of them by name.
#[derive(Debug, Default)]
pub struct WatchBoard(Mutex<BTreeMap<String, Watched>>);

impl WatchBoard {
    /// Changes the figures of one.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Watched)) {
        let mut all = self.0.lock();
        change(all.entry(name.to_owned()).or_default());
    }

    /// Forgets expressions that are no longer watched.
    pub(super) fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        self.0.lock().retain(|name, _| is_kept(name));
    }

    /// As they stand.
    pub fn all(&self) -> Vec<(String, Watched)> {
        self.0.lock().iter().map(|(name, watched)| (name.clone(), watched.clone())).collect()
    }
}
