//! What scoring counts: samples, lag, failures, and how its time and its scores are distributed.
//!
//! Not here: the counters of other parts (see `self_metrics`), how they are shown (see `api::anomaly_metrics`).
//!
//! Invariant: nothing here is counted for every sample but in sums a tick, so that scoring does not pay for it.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Most shards whose lag is kept by itself.
const SHARDS_MAX: usize = 64;

/// Detectors that are timed, and all together.
pub const TIMED_MAX: usize = 8;

/// Bounds of what a detector takes, and of what all take for a sample; of scores.
const DETECTOR_SECONDS: [f64; 9] = [5e-9, 1e-8, 2e-8, 5e-8, 1e-7, 2e-7, 5e-7, 1e-6, 1e-5];
const SAMPLE_SECONDS: [f64; 10] = [1e-7, 2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2];
const SCORES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Sums are kept in these parts of one.
const PICO: f64 = 1e12;
const MICRO: f64 = 1e6;

const HOUR_MS: i64 = 3_600_000;
/// What is left of the reference after an hour: it remembers about a day.
const REFERENCE_KEPT: f64 = 0.96;
/// Scores without which nothing is said of their distribution.
const SCORES_MIN: f64 = 1000.0;
/// What an empty class counts for, so that its logarithm is finite.
const SHARE_MIN: f64 = 1e-4;

/// How many values lay within each bound, and their sum.
#[derive(Debug)]
pub struct Distribution {
    /// Upper bounds; the last bucket is beyond all of them.
    pub bounds: &'static [f64],
    buckets: Vec<AtomicU64>,
    sum: AtomicU64,
    parts: f64,
}

impl Distribution {
    pub(crate) fn new(bounds: &'static [f64], parts: f64) -> Self {
        Self { bounds, buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0), parts }
    }

    /// Counts a value.
    pub fn add(&self, value: f64) {
        self.add_many(value, 1);
    }

    /// Counts so many values by their sum, as if each were the mean.
    pub fn add_many(&self, sum: f64, count: u64) {
        if count > 0 {
            let mean = sum / count as f64;
            let bucket = self.bounds.partition_point(|bound| *bound < mean);
            self.buckets[bucket].fetch_add(count, Ordering::Relaxed);
            self.sum.fetch_add((sum * self.parts) as u64, Ordering::Relaxed);
        }
    }

    /// Counts many values at once, bucket by bucket, with their sum.
    pub fn add_counts(&self, counts: &[u32], sum: f64) {
        for (bucket, count) in self.buckets.iter().zip(counts).filter(|(_, count)| **count > 0) {
            bucket.fetch_add(u64::from(*count), Ordering::Relaxed);
        }
        self.sum.fetch_add((sum * self.parts) as u64, Ordering::Relaxed);
    }

    /// How many lay within each bound and beyond, and the sum of all.
    pub fn counts(&self) -> (Vec<u64>, f64) {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        (counts, self.sum.load(Ordering::Relaxed) as f64 / self.parts)
    }
}

/// Whether scores are distributed as they were: the population stability index of the last hour against about a day before.
#[derive(Debug, Default)]
pub struct ScoreDrift {
    /// Bits of the index.
    index: AtomicU64,
    before: Mutex<Before>,
}

#[derive(Debug, Default)]
struct Before {
    hour: i64,
    counts: Vec<u64>,
    reference: Vec<f64>,
}

impl ScoreDrift {
    /// The index of the last whole hour: below 0.1 the scores are as before, above 0.2 the calibration no longer fits; 0
    /// until two hours have had a thousand scores each.
    pub fn index(&self) -> f64 {
        f64::from_bits(self.index.load(Ordering::Relaxed))
    }

    /// Takes the counts by now, and looks at those of the last hour when it is over.
    pub fn look(&self, now_ms: i64, scores: &Distribution) {
        let hour = now_ms.div_euclid(HOUR_MS);
        let mut before = self.before.lock();
        if before.hour == hour {
            return;
        }
        let (counts, _) = scores.counts();
        let of_hour = |(at, count): (usize, &u64)| (count - before.counts.get(at).copied().unwrap_or(0)) as f64;
        let of_hour: Vec<f64> = counts.iter().enumerate().map(of_hour).collect();
        if before.hour != 0 && of_hour.iter().sum::<f64>() >= SCORES_MIN {
            if before.reference.iter().sum::<f64>() >= SCORES_MIN {
                self.index.store(stability(&before.reference, &of_hour).to_bits(), Ordering::Relaxed);
            }
            before.reference.resize(of_hour.len(), 0.0);
            before.reference.iter_mut().zip(&of_hour).for_each(|(kept, new)| *kept = *kept * REFERENCE_KEPT + new);
        }
        (before.hour, before.counts) = (hour, counts);
    }
}

/// Sum over classes of the difference of shares times the logarithm of their ratio.
fn stability(reference: &[f64], counts: &[f64]) -> f64 {
    let (was, is): (f64, f64) = (reference.iter().sum(), counts.iter().sum());
    let share = |count: f64, all: f64| (count / all).max(SHARE_MIN);
    let term = |(before, now): (&f64, &f64)| {
        let (before, now) = (share(*before, was), share(*now, is));
        (now - before) * (now / before).ln()
    };
    reference.iter().zip(counts).map(term).sum()
}

/// What scoring counts.
#[derive(Debug)]
pub struct ScoringCounters {
    /// Samples scored and learned.
    pub scored: AtomicU64,
    /// Samples that were scored and not learned, because of maintenance.
    pub held: AtomicU64,
    /// Models that went on learning after such samples.
    pub recalibrated: AtomicU64,
    /// Times what people said was summed up, by the rhythm of the settings.
    pub calibrations: AtomicU64,
    /// Stored samples that were not scored because too many waited.
    pub skipped: AtomicU64,
    /// When that happened last, milliseconds since the epoch; 0 if it never did.
    pub skipped_at_ms: AtomicI64,
    /// Of each shard, the age in milliseconds of its oldest stored sample that waits to be scored.
    pub lag_ms: [AtomicU64; SHARDS_MAX],
    /// Of each shard, how many steps down its ladder it stands: 1 slow work waits, 2 fewer detectors judge.
    pub steps: [AtomicU64; SHARDS_MAX],
    /// Steps taken down.
    pub steps_down: AtomicU64,
    /// Steps taken up again.
    pub steps_up: AtomicU64,
    /// What each detector takes for a sample, in picoseconds, as measured last; then what all together take.
    pub detector_ps: [AtomicU64; TIMED_MAX],
    /// The same as a distribution of what was measured, in seconds.
    pub detector_seconds: [Distribution; TIMED_MAX],
    /// What scoring a sample took, all detectors together, in seconds.
    pub inference_seconds: Distribution,
    /// What scoring a row of a group took, in seconds.
    pub inference_forest: Distribution,
    /// The newest score of each series that had samples in a tick.
    pub scores: Distribution,
    /// How far the scores of an hour are from those of the hours before.
    pub drift: ScoreDrift,
    /// Series whose model was lost to a panic and is learned anew.
    pub panics: AtomicU64,
    /// Times a run of anomalous samples found no room at the book and was told later.
    pub runs_waited: AtomicU64,
    /// Runs that were never told, because too many waited.
    pub runs_lost: AtomicU64,
    /// Times models of a partition were written down.
    pub saves: AtomicU64,
    /// Times they could not be.
    pub save_failures: AtomicU64,
    /// Files of models that were damaged or of another version at the start.
    pub files_refused: AtomicU64,
}

impl Default for ScoringCounters {
    fn default() -> Self {
        Self {
            scored: AtomicU64::new(0),
            held: AtomicU64::new(0),
            recalibrated: AtomicU64::new(0),
            calibrations: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            skipped_at_ms: AtomicI64::new(0),
            lag_ms: std::array::from_fn(|_| AtomicU64::new(0)),
            steps: std::array::from_fn(|_| AtomicU64::new(0)),
            steps_down: AtomicU64::new(0),
            steps_up: AtomicU64::new(0),
            detector_ps: std::array::from_fn(|_| AtomicU64::new(0)),
            detector_seconds: std::array::from_fn(|_| Distribution::new(&DETECTOR_SECONDS, PICO)),
            inference_seconds: Distribution::new(&SAMPLE_SECONDS, PICO),
            inference_forest: Distribution::new(&SAMPLE_SECONDS, PICO),
            scores: Distribution::new(&SCORES, MICRO),
            drift: ScoreDrift::default(),
            panics: AtomicU64::new(0),
            runs_waited: AtomicU64::new(0),
            runs_lost: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            save_failures: AtomicU64::new(0),
            files_refused: AtomicU64::new(0),
        }
    }
}

impl ScoringCounters {
    /// Age in milliseconds of the oldest stored sample that waits to be scored.
    pub fn lag_ms_max(&self) -> u64 {
        self.lag_ms.iter().map(|lag_ms| lag_ms.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// The lag of every shard, in milliseconds.
    pub fn lags_ms(&self) -> impl Iterator<Item = u64> {
        self.lag_ms.iter().map(|lag_ms| lag_ms.load(Ordering::Relaxed))
    }

    /// How many steps down the ladder the shard stands that is the furthest down.
    pub fn step_max(&self) -> u64 {
        self.steps.iter().map(|step| step.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_within_their_bounds_and_summed() {
        let seconds = Distribution::new(&SAMPLE_SECONDS, PICO);
        seconds.add(1e-7);
        seconds.add_many(4e-6, 10);
        seconds.add(5.0);
        let (counts, sum) = seconds.counts();
        assert_eq!(counts, [1, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!((sum - 5.000_004_1).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn scores_that_move_give_a_drift_and_those_that_stay_none() {
        let (drift, scores) = (ScoreDrift::default(), Distribution::new(&SCORES, MICRO));
        let hour = |number: i64, counts: &[u32]| {
            scores.add_counts(counts, 0.0);
            drift.look(number * HOUR_MS, &scores);
            drift.index()
        };
        drift.look(HOUR_MS, &scores);
        assert_eq!(hour(2, &[800, 300, 100]), 0.0, "there is nothing to compare with");
        assert!(hour(3, &[820, 290, 90]) < 0.01);
        assert!(hour(4, &[300, 300, 300, 200, 100]) > 0.2);
        assert!(hour(5, &[1, 2]) > 0.2, "a few scores say nothing");
    }
}
