//! How far apart a series' samples are, and whether one came after a gap or out of order.
//!
//! Not here: resampling; samples are judged as they come.
//!
//! The step is the median of the distances seen, followed as Robbins and Monro (1951) follow a quantile: up or down by
//! a share of itself, so a few gaps do not move it.

use serde::{Deserialize, Serialize};

/// A distance of more than this many steps is a gap: one lost sample and some jitter are none.
const GAP_STEPS: f64 = 3.5;

/// Share of itself by which the step moves at each sample.
const PACE: f64 = 1.0 / 64.0;

/// How a sample stands to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first of its series.
    First,
    /// This many milliseconds after the one before.
    Next(i64),
    /// After so many milliseconds without samples that neighbours say nothing.
    AfterGap(i64),
    /// Not later than the one before: not to be learned from.
    NotLater,
}

/// Follows times of samples.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct StepClock {
    /// [`NEVER_MS`] before the first sample.
    last_ms: i64,
    step_ms: f64,
}

/// Before every sample: one that claims to be of this time is taken to be a millisecond later.
const NEVER_MS: i64 = i64::MIN;

impl Default for StepClock {
    fn default() -> Self {
        Self { last_ms: NEVER_MS, step_ms: 0.0 }
    }
}

impl StepClock {
    /// Takes the time of the next sample.
    pub(crate) fn observe(&mut self, time_ms: i64) -> Arrival {
        let time_ms = time_ms.max(NEVER_MS + 1);
        let last_ms = self.last_ms;
        if time_ms <= last_ms {
            return Arrival::NotLater;
        }
        self.last_ms = time_ms;
        if last_ms == NEVER_MS {
            return Arrival::First;
        }
        // Times may lie anywhere in 64 bits; a distance that does not fit is a gap of any length.
        let passed_ms = time_ms.saturating_sub(last_ms);
        let passed = passed_ms as f64;
        if self.step_ms == 0.0 {
            self.step_ms = passed;
        }
        let is_gap = passed > GAP_STEPS * self.step_ms;
        if passed > self.step_ms {
            self.step_ms = (self.step_ms * (1.0 + PACE)).min(passed);
        } else {
            self.step_ms = (self.step_ms * (1.0 - PACE)).max(passed);
        }
        if is_gap { Arrival::AfterGap(passed_ms) } else { Arrival::Next(passed_ms) }
    }

    /// Time of the last sample.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        (self.last_ms != NEVER_MS).then_some(self.last_ms)
    }

    /// Usual distance of two samples, at least 1 ms.
    pub(crate) fn step_ms(&self) -> f64 {
        self.step_ms.max(1.0)
    }

    /// Forgets the last time, so that the same samples can be gone through again.
    pub(crate) fn rewind(&mut self) {
        self.last_ms = NEVER_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_times_that_do_not_advance_are_told() {
        let mut clock = StepClock::default();
        let times = [0, 1000, 2000, 2000, 1500, 4000, 60_000, 61_000];
        let told = times.map(|time| clock.observe(time));
        let next = Arrival::Next(1000);
        let late = Arrival::NotLater;
        assert_eq!(
            told,
            [Arrival::First, next, next, late, late, Arrival::Next(2000), Arrival::AfterGap(56_000), next]
        );
    }

    #[test]
    fn the_step_is_that_of_most_samples() {
        let mut clock = StepClock::default();
        for i in 0..1000 {
            clock.observe(i * 60_000 + if i % 10 == 0 { 5000 } else { 0 });
        }
        assert!((clock.step_ms() - 60_000.0).abs() < 2000.0, "{}", clock.step_ms());
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let mut clock = StepClock::default();
        assert_eq!([i64::MIN, i64::MAX].map(|time| clock.observe(time)), [Arrival::First, Arrival::Next(i64::MAX)]);
    }
}
