//! What is not normal: when it begins and ends, and what it makes of a value.
//!
//! Not here: whether anybody would notice.
//!
//! Invariant: anomalies of one series keep `APART_MS` from each other and begin when the first two fifths of the time,
//! in which a reader may learn what is normal, are over.

use super::random::Random;
use super::shape::Metric;
use super::{Series, shape};

/// Least time between two anomalies of a series.
const APART_MS: i64 = 3 * 3_600_000;
const MINUTE_MS: f64 = 60_000.0;
/// Attempts to find room for one; far more than a plan with room needs.
const ATTEMPTS: usize = 200;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnomalyKind {
    /// Far too high for a moment.
    Spike,
    /// Too high for hours.
    Shift,
    /// Almost nothing.
    Drop,
    /// A sudden mass that decays.
    Incident,
    /// No samples at all.
    Silence,
}

impl AnomalyKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Shift => "shift",
            Self::Drop => "drop",
            Self::Incident => "incident",
            Self::Silence => "silence",
        }
    }

    /// What happens to a metric: mostly its first two, now and then silence.
    fn of(metric: Metric, random: &mut Random) -> Self {
        let [one, other] = match metric {
            Metric::Cpu | Metric::Latency => [Self::Spike, Self::Shift],
            Metric::Memory => [Self::Shift, Self::Spike],
            Metric::Bandwidth => [Self::Drop, Self::Drop],
            Metric::Errors => [Self::Incident, Self::Incident],
        };
        match random.unit() {
            share if share < 0.5 => one,
            share if share < 0.9 => other,
            _ => Self::Silence,
        }
    }

    /// Least and most minutes.
    fn minutes(self) -> (f64, f64) {
        match self {
            Self::Spike => (5.0, 20.0),
            Self::Shift => (60.0, 180.0),
            Self::Drop => (15.0, 60.0),
            Self::Incident => (30.0, 90.0),
            Self::Silence => (30.0, 60.0),
        }
    }
}

/// Something that is not normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anomaly {
    /// What happens.
    pub kind: AnomalyKind,
    /// Its first sample.
    pub start_ms: i64,
    /// Its last sample.
    pub end_ms: i64,
    /// From 0 to 1: how bad it is among its kind.
    strength: f64,
}

impl Anomaly {
    /// Whether a time lies in it.
    pub(super) fn covers(&self, time_ms: i64) -> bool {
        (self.start_ms..=self.end_ms).contains(&time_ms)
    }

    /// What it makes of a normal value; nothing if no sample is sent.
    pub(super) fn apply(&self, metric: Metric, time_ms: i64, normal: f64) -> Option<f64> {
        let worse = 1.0 + self.strength;
        Some(match (self.kind, metric) {
            (AnomalyKind::Silence, _) => return None,
            (AnomalyKind::Drop, _) => normal * 0.04 * worse,
            (AnomalyKind::Incident, _) => {
                let passed = (time_ms - self.start_ms) as f64 / (self.end_ms - self.start_ms).max(1) as f64;
                normal + 40.0 * worse * (-2.0 * passed).exp()
            }
            (AnomalyKind::Spike, Metric::Latency) => normal * 5.0 * worse,
            (AnomalyKind::Shift, Metric::Latency) => normal * 2.2 * worse,
            (AnomalyKind::Spike, _) => normal + 28.0 * worse,
            (AnomalyKind::Shift, _) => normal + 15.0 * worse,
        })
    }
}

/// Puts one anomaly where there is room; nothing if none is found. `span` is start, end and step in milliseconds.
pub(super) fn place(
    metric: shape::Metric,
    (start_ms, end_ms, step_ms): (i64, i64, i64),
    random: &mut Random,
    all: &mut [Series],
) -> Option<()> {
    for _ in 0..ATTEMPTS {
        let host = random.below(all.len());
        let kind = AnomalyKind::of(metric, random);
        let (least, most) = kind.minutes();
        let samples = (random.between(least, most) * MINUTE_MS / step_ms as f64).round().max(1.0) as i64;
        let first = (random.between(0.4, 1.0) * ((end_ms - start_ms) / step_ms) as f64) as i64;
        let from_ms = start_ms + first * step_ms;
        let until_ms = from_ms + (samples - 1) * step_ms;
        let near = |other: &Anomaly| from_ms - APART_MS <= other.end_ms && other.start_ms - APART_MS <= until_ms;
        let strength = random.unit();
        if until_ms + step_ms < end_ms && !all[host].anomalies.iter().any(near) {
            all[host].anomalies.push(Anomaly { kind, start_ms: from_ms, end_ms: until_ms, strength });
            return Some(());
        }
    }
    None
}
