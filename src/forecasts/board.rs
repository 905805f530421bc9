//! What rules came to, as figures to be scraped and lists to be read.
//!
//! Not here: looking at series (see `runner`).
//!
//! Invariant: counters only rise; there is one entry for each rule of the file.

use super::rule_file::PredictiveRule;
use super::standing::Prediction;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one rule came to.
#[derive(Debug, Clone, Default)]
pub struct RuleFigures {
    /// The rule itself; none before it was first looked at.
    pub rule: Option<Arc<PredictiveRule>>,
    /// Runs that are done.
    pub runs: u64,
    /// Series that were looked at.
    pub looked: u64,
    /// Those of which nothing could be said, as they are too short.
    pub failed: u64,
    /// Those that were passed over because nothing came from them for long.
    pub stale: u64,
    /// Times a series had to wait for a later run, because a run has a limit.
    pub beyond: u64,
    /// Runs that began late because the one before was not done.
    pub late: u64,
    /// Series that wait to be looked at in the run that goes on.
    pub queued: usize,
    /// Series that matched when the last run began.
    pub matched: usize,
    /// When the last run ended, in milliseconds since 1970; none before the first.
    pub ended_ms: Option<i64>,
    /// How long it took, rests included, and what of that was work, in seconds.
    pub took_s: f64,
    /// The latter.
    pub worked_s: f64,
    /// Why the last run could not choose its series.
    pub error: Option<String>,
    /// Series for which it holds, by key.
    pub holds: BTreeMap<Arc<[u8]>, (i64, Option<Prediction>)>,
}

/// All of them by name.
#[derive(Debug, Default)]
pub struct RuleBoard(Mutex<BTreeMap<String, RuleFigures>>);

impl RuleBoard {
    /// Changes the figures of one.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut RuleFigures)) {
        let mut all = self.0.lock();
        change(all.entry(name.to_owned()).or_default());
    }

    /// Forgets rules that are gone.
    pub(super) fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        self.0.lock().retain(|name, _| is_kept(name));
    }

    /// As they stand.
    pub fn all(&self) -> Vec<(String, RuleFigures)> {
        self.0.lock().iter().map(|(name, figures)| (name.clone(), figures.clone())).collect()
    }
}
