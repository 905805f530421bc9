//! What the foundation layer counts: forecasts, what was skipped and why, how long it took and how old bands grew.
//!
//! Not here: the layer (see `foundation_layer`), how they are shown (see `api::foundation_metrics`).

use crate::scoring_counters::Distribution;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a series that was offered has got no band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// As many series waited as may, and this one was not more urgent.
    QueueFull,
    /// As many series have a band as may.
    NoRoom,
    /// Too few samples on a grid of its step, or mostly gaps.
    TooShort,
    /// What is stored of it cannot be read.
    Unreadable,
    /// The model had nothing to say.
    NoForecast,
    /// It waited for so long that its samples are no longer the newest.
    TooLate,
    /// Its shard has not taken what came before.
    Undelivered,
}

impl Skip {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::NoRoom,
        Self::TooShort,
        Self::Unreadable,
        Self::NoForecast,
        Self::TooLate,
        Self::Undelivered,
    ];

    /// The value of the `reason` label.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::NoRoom => "no_room",
            Self::TooShort => "too_short",
            Self::Unreadable => "unreadable",
            Self::NoForecast => "no_forecast",
            Self::TooLate => "too_late",
            Self::Undelivered => "undelivered",
        }
    }
}

/// Bounds of the time from offer to band, and of the age at which a band is replaced or given up, in seconds.
const LATENCY_SECONDS: [f64; 9] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0];
const AGE_SECONDS: [f64; 9] = [10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0, 2_592_000.0];

/// Sums of seconds are kept in millionths.
const MICRO: f64 = 1e6;

/// What the layer counts.
#[derive(Debug)]
pub struct FoundationCounters {
    /// Forecasts made.
    pub forecasts: AtomicU64,
    /// By reason, in the order of [`Skip::ALL`].
    pub skipped: [AtomicU64; Skip::ALL.len()],
    /// Time the worker has computed, microseconds.
    pub busy_us: AtomicU64,
    /// Series that wait for a forecast.
    pub waiting: AtomicU64,
    /// Series that have a band.
    pub bands: AtomicU64,
    /// Millionths of a core that were used of late, and that may be used.
    pub share_used: AtomicU64,
    /// What may be used of a core, in millionths; 0 where there is no layer.
    pub share_max: AtomicU64,
    /// Thousandths of a forecast that are made in a second of computing.
    pub speed_milli: AtomicU64,
    /// Seconds from offer to band.
    pub latency: Distribution,
    /// Seconds of the series' time from a band's making to its end.
    pub age: Distribution,
}

impl Default for FoundationCounters {
    fn default() -> Self {
        Self {
            forecasts: AtomicU64::new(0),
            skipped: std::array::from_fn(|_| AtomicU64::new(0)),
            busy_us: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            bands: AtomicU64::new(0),
            share_used: AtomicU64::new(0),
            share_max: AtomicU64::new(0),
            speed_milli: AtomicU64::new(0),
            latency: Distribution::new(&LATENCY_SECONDS, MICRO),
            age: Distribution::new(&AGE_SECONDS, MICRO),
        }
    }
}

impl FoundationCounters {
    /// Counts series that get no band now.
    pub fn skip(&self, why: Skip, count: u64) {
        self.skipped[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// How many got none for this reason.
    pub fn skipped(&self, why: Skip) -> u64 {
        self.skipped[why as usize].load(Ordering::Relaxed)
    }

    /// Forecasts in a second of computing, as measured of late; 0 before the first.
    pub fn forecasts_per_second(&self) -> f64 {
        self.speed_milli.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// Share of a core in use of late, and the most that may be; none where there is no layer.
    pub fn shares(&self) -> Option<(f64, f64)> {
        let of = |share: &AtomicU64| share.load(Ordering::Relaxed) as f64 / MICRO;
        Some((of(&self.share_used), of(&self.share_max))).filter(|(_, most)| *most > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_and_a_name_of_its_own() {
        let counters = FoundationCounters::default();
        for (at, why) in Skip::ALL.into_iter().enumerate() {
            counters.skip(why, at as u64 + 1);
        }
        let counted = Skip::ALL.map(|why| counters.skipped(why));
        assert_eq!(counted, [1, 2, 3, 4, 5, 6, 7]);
        let names: std::collections::BTreeSet<_> = Skip::ALL.map(Skip::name).into_iter().collect();
        assert_eq!(names.len(), Skip::ALL.len());
        assert_eq!(counters.shares(), None, "without a layer there is no share");
    }
}
