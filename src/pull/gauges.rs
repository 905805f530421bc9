//! What the pull service last said, as gauges to be scraped.
//!
//! Not here: the page they stand on (see `api::metrics_page`).
//!
//! Invariant: at most so many expressions and so many series; the ones told least lately leave, and are counted.

use crate::analysis::drift::Drift;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// Characters of an expression that name it.
const NAME_CHARS: usize = 50;
/// Series, and models, that are shown.
const SHOWN_MAX: usize = 1000;

/// The newest word on one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The expression, shortened.
    pub metric_name: String,
    /// The series' instance, or `unknown`.
    pub instance: String,
    /// The series' job, or `unknown`.
    pub job: String,
    /// The newest score.
    pub score: f64,
    /// Whether the newest value is anomalous.
    pub is_anomaly: bool,
}

type Place = (String, String, String);

#[derive(Debug, Default)]
struct Shown {
    /// By expression, instance and job: the turn it was told in, score and flag.
    judged: BTreeMap<Place, (u64, f64, bool)>,
    /// By expression: the turn it was told in, and the time of training in seconds since 1970.
    trained: BTreeMap<String, (u64, f64)>,
    turn: u64,
    left: u64,
    /// By model: how far the values it judged last were from those of its training.
    drifts: BTreeMap<String, Drift>,
    sweeps: SweepCounts,
}

/// How often models were asked by themselves, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Times all models were asked.
    pub sweeps: u64,
    /// Models that could not be asked or trained.
    pub errors: u64,
    /// Models trained again because their values had drifted.
    pub retrained: u64,
}

/// All gauges.
#[derive(Debug, Default)]
pub struct PullGauges(Mutex<Shown>);

impl PullGauges {
    /// Replaces what was said of a series before.
    pub fn judge(&self, judged: Judged) {
        let mut shown = self.0.lock();
        shown.turn += 1;
        let word = (shown.turn, judged.score, judged.is_anomaly);
        shown.judged.insert((judged.metric_name, judged.instance, judged.job), word);
        shown.left += evict(&mut shown.judged, |(turn, ..)| *turn);
    }

    /// Remembers when a model was trained.
    pub fn train(&self, metric_name: String, trained_at_s: f64) {
        let mut shown = self.0.lock();
        shown.turn += 1;
        let word = (shown.turn, trained_at_s);
        shown.trained.insert(metric_name, word);
        shown.left += evict(&mut shown.trained, |(turn, _)| *turn);
    }

    /// Remembers how far values are from those a model was trained on.
    pub fn drifted(&self, model_name: &str, drift: Drift) {
        let mut shown = self.0.lock();
        if shown.drifts.len() < SHOWN_MAX || shown.drifts.contains_key(model_name) {
            shown.drifts.insert(model_name.to_owned(), drift);
        }
    }

    /// How far the values a model judged last are from those of its training.
    pub fn drift_of(&self, model_name: &str) -> Option<Drift> {
        self.0.lock().drifts.get(model_name).copied()
    }

    /// The same of all models, by name.
    pub fn drifts(&self) -> Vec<(String, Drift)> {
        self.0.lock().drifts.iter().map(|(name, drift)| (name.clone(), *drift)).collect()
    }

    /// Forgets what is shown of a model that is no more.
    pub fn forget(&self, model_name: &str) {
        self.0.lock().drifts.remove(model_name);
    }

    /// Counts that all models were asked.
    pub(super) fn swept(&self, errors: usize, retrained: usize) {
        let counts = &mut self.0.lock().sweeps;
        counts.sweeps += 1;
        counts.errors += errors as u64;
        counts.retrained += retrained as u64;
    }

    /// What was counted so.
    pub fn sweeps(&self) -> SweepCounts {
        self.0.lock().sweeps
    }

    /// Every series, by name.
    pub fn judged(&self) -> Vec<Judged> {
        let shown = self.0.lock();
        let of = |((metric_name, instance, job), (_, score, is_anomaly)): (&Place, &(u64, f64, bool))| Judged {
            metric_name: metric_name.clone(),
            instance: instance.clone(),
            job: job.clone(),
            score: *score,
            is_anomaly: *is_anomaly,
        };
        shown.judged.iter().map(of).collect()
    }

    /// Expressions and when their models were trained, in seconds since 1970.
    pub fn trained(&self) -> Vec<(String, f64)> {
        self.0.lock().trained.iter().map(|(name, (_, time_s))| (name.clone(), *time_s)).collect()
    }

    /// How many left for want of room.
    pub fn left(&self) -> u64 {
        self.0.lock().left
    }
}

fn evict<K: Ord + Clone, V>(shown: &mut BTreeMap<K, V>, turn: impl Fn(&V) -> u64) -> u64 {
    if shown.len() <= SHOWN_MAX {
        return 0;
    }
    let oldest = shown.iter().min_by_key(|(_, word)| turn(word)).map(|(place, _)| place.clone());
    u64::from(oldest.is_some_and(|place| shown.remove(&place).is_some()))
}

/// An expression's first characters; one that is longer ends in a hash of the whole, so that no two are called alike.
pub fn short_name(promql: &str) -> String {
    match promql.char_indices().nth(NAME_CHARS) {
        None => promql.to_owned(),
        Some((end, _)) => format!("{}~{:08x}", &promql[..end], xxh3_64(promql.as_bytes()) as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_expression_is_cut_and_stays_itself() {
        let long = |end: &str| format!("{}{end}", "x".repeat(60));
        let name = short_name(&long("a"));
        assert!(name.starts_with(&"x".repeat(50)) && name.len() == 59, "{name}");
        assert_ne!(name, short_name(&long("b")));
        assert_eq!(short_name(&"é".repeat(50)), "é".repeat(50));
    }

    #[test]
    fn the_newest_word_counts_and_room_is_bounded() {
        let gauges = PullGauges::default();
        let judged = |at: usize, score| Judged {
            metric_name: at.to_string(),
            instance: "i".into(),
            job: "j".into(),
            score,
            is_anomaly: false,
        };
        gauges.judge(judged(1, 0.1));
        gauges.judge(judged(1, 0.2));
        assert_eq!(gauges.judged(), [judged(1, 0.2)]);
        (2..=SHOWN_MAX + 1).for_each(|at| gauges.judge(judged(at, 0.5)));
        assert_eq!((gauges.judged().len(), gauges.left()), (SHOWN_MAX, 1));
        assert!(!gauges.judged().contains(&judged(1, 0.2)), "the one told least lately leaves");
    }
}
