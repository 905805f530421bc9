//! Counters of the HTTP service: answers, live streams, and reading the settings again.
//!
//! Not here: counting samples (see `self_metrics`).

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Answers over HTTP.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// By the first digit of their status, from 1 to 5.
    classes: [AtomicU64; 5],
    /// By how long they took until their first byte, each within `SECONDS` and the last beyond all of them.
    buckets: [AtomicU64; 11],
    /// Microseconds of all.
    sum_us: AtomicU64,
}

impl HttpCounters {
    /// Upper bounds of the buckets, in seconds.
    pub const SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

    /// Counts an answer.
    pub fn count(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let bucket = Self::SECONDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// How many had a status of each class, from 1xx to 5xx.
    pub fn classes(&self) -> [u64; 5] {
        self.classes.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }

    /// How many took so long, bucket by bucket, and the seconds of all.
    pub fn durations(&self) -> ([u64; 11], f64) {
        let sum_s = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        (self.buckets.each_ref().map(|counter| counter.load(Ordering::Relaxed)), sum_s)
    }
}

/// What live streams sent.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Samples sent.
    pub events: AtomicU64,
    /// Samples passed over because a reader was too slow.
    pub dropped: AtomicU64,
}

/// How reading the settings again went.
#[derive(Debug, Default)]
pub struct ReloadCounters {
    /// Times they were put in force.
    pub succeeded: AtomicU64,
    /// Times they were refused.
    pub failed: AtomicU64,
    /// Whether the last time they were refused.
    pub last_failed: AtomicBool,
    /// When they were last put in force, in milliseconds since 1970 UTC.
    pub last_success_ms: AtomicI64,
    /// Settings that were changed and need a restart, by their names.
    pub waiting: Mutex<Vec<&'static str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_in_one_class_and_one_bucket() {
        let counters = HttpCounters::default();
        counters.count(204, Duration::from_millis(1));
        counters.count(503, Duration::from_millis(15));
        counters.count(404, Duration::from_secs(99));
        assert_eq!(counters.classes(), [0, 1, 0, 1, 1]);
        let (buckets, sum_s) = counters.durations();
        assert_eq!((buckets[0], buckets[4], buckets[10], buckets.iter().sum::<u64>()), (1, 1, 1, 3));
        assert!((sum_s - 99.016).abs() < 1e-6);
    }
}
