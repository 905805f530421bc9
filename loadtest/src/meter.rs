//! Time and what is made of it: the clock readings, stopwatches and exact percentiles of request latencies.
//!
//! Not here: what a process used (see `process_stats`), how figures are printed (see `report`).
//!
//! Invariant: this is the only file of the crate that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Milliseconds since 1970 by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "this file is where the load generator reads the wall clock")]
pub(crate) fn unix_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    i64::try_from(since_epoch.as_millis()).expect("milliseconds since 1970 fit 63 bits")
}

/// Measures from the moment of its making.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this file is where the load generator reads the monotonic clock")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch { started: Instant::now() }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Seconds since the start.
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// Sleeps until `due` after the start; returns at once when that has passed.
    pub(crate) fn sleep_until(&self, due: Duration) {
        if let Some(left) = due.checked_sub(self.elapsed()) {
            std::thread::sleep(left);
        }
    }
}

/// Every latency of a run, kept exactly: a run has thousands of requests, not millions.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    all: Vec<Duration>,
}

impl Latencies {
    /// Notes one latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.all.push(latency);
    }

    /// Takes over what another meter noted.
    pub(crate) fn absorb(&mut self, other: Latencies) {
        self.all.extend(other.all);
    }

    /// The mean and the usual percentiles; all 0 when nothing was noted.
    pub(crate) fn percentiles(mut self) -> Percentiles {
        self.all.sort_unstable();
        let at = |percent| nearest_rank(&self.all, percent).as_secs_f64() * 1e3;
        let total: Duration = self.all.iter().sum();
        let mean_ms = total.as_secs_f64() * 1e3 / self.all.len().max(1) as f64;
        Percentiles {
            count: self.all.len(),
            mean_ms,
            p50_ms: at(50),
            p90_ms: at(90),
            p95_ms: at(95),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

/// Mean and percentiles of latencies, in milliseconds; percentiles by nearest rank.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: usize,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// The smallest value that at least `percent` of all values do not exceed.
fn nearest_rank(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(milliseconds: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for ms in milliseconds {
            latencies.record(Duration::from_millis(ms));
        }
        latencies
    }

    #[test]
    fn percentiles_are_those_worked_out_by_hand() {
        // 200 values 1..=200 in falling order: the 100th, 180th, 198th and 200th smallest.
        let found = noted((1..=200).rev()).percentiles();
        assert_eq!((found.count, found.mean_ms), (200, 100.5));
        assert_eq!((found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms), (100.0, 180.0, 198.0, 200.0));
        assert_eq!(found.p95_ms, 190.0);
    }

    #[test]
    fn a_rank_between_two_values_takes_the_upper_one() {
        // Of 3 values, half is 1.5 values: the 2nd; 90 % is 2.7 values: the 3rd.
        let found = noted([30, 10, 20]).percentiles();
        assert_eq!((found.p50_ms, found.p90_ms, found.max_ms), (20.0, 30.0, 30.0));
    }

    #[test]
    fn no_latency_gives_zeros() {
        assert_eq!(noted([]).percentiles().max_ms, 0.0);
    }

    #[test]
    fn what_another_meter_noted_counts_too() {
        let mut latencies = noted([1]);
        latencies.absorb(noted([5, 9]));
        let found = latencies.percentiles();
        assert_eq!((found.count, found.p50_ms), (3, 5.0));
    }

    #[test]
    fn sleeping_until_a_passed_moment_returns_at_once() {
        let watch = Stopwatch::start();
        watch.sleep_until(Duration::ZERO);
        assert!(watch.elapsed() < Duration::from_secs(5));
    }
}
