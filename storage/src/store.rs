//! The store as its readers see it.

use crate::StoreError;
use crate::label_index::Matcher;
use crate::sample::Samples;
use crate::series::SeriesRef;
use std::sync::Arc;

/// A series found by matchers: its reference and its canonical key.
#[derive(Debug, Clone)]
pub struct SelectedSeries {
    /// Where its samples are.
    pub series: SeriesRef,
    /// Canonical key bytes; `series::labels` reads them.
    pub key: Arc<[u8]>,
}

/// A handle for reading; cheap to clone, usable from any thread, never waits for a shard.
#[derive(Debug, Clone, Default)]
pub struct Store {}

impl Store {
    /// Series that satisfy every matcher and have a sample in `from_ms..=to_ms`, sorted by key.
    pub fn select(&self, _matchers: &[Matcher], _from_ms: i64, _to_ms: i64) -> Result<Vec<SelectedSeries>, StoreError> {
        Ok(Vec::new())
    }

    /// Samples of one series in `from_ms..=to_ms`, ascending and unique in time, appended to `out` after clearing it.
    pub fn read(&self, _series: SeriesRef, _from_ms: i64, _to_ms: i64, out: &mut Samples) -> Result<(), StoreError> {
        out.clear();
        Ok(())
    }

    /// Names of labels, sorted; of all series when `matchers` is empty, else of series that satisfy any one set of them.
    pub fn label_names(&self, _matchers: &[Vec<Matcher>]) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Values of one label, sorted, over the same choice of series.
    pub fn label_values(&self, _name: &str, _matchers: &[Vec<Matcher>]) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
