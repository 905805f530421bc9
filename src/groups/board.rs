//! What groups came to, for `/metrics`.
//!
//! Not here: anomalies (see `anomaly`).

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shown to readers; changed by the runner alone.
#[derive(Debug, Default)]
pub struct GroupBoard {
    /// The greatest score of the newest rows, by the name of the group.
    scores: RwLock<BTreeMap<String, f64>>,
    /// Groups with a model.
    pub groups: AtomicU64,
    /// Groups for which `groups.max` left no room, at the last look.
    pub refused: AtomicU64,
    /// Rows judged and learned.
    pub rows: AtomicU64,
}

impl GroupBoard {
    /// The greatest score of the newest rows of each name.
    pub fn scores(&self) -> BTreeMap<String, f64> {
        self.scores.read().clone()
    }

    pub(super) fn show(&self, scores: BTreeMap<String, f64>, groups: usize, refused: usize, rows: u64) {
        *self.scores.write() = scores;
        self.groups.store(groups as u64, Ordering::Relaxed);
        self.refused.store(refused as u64, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}
