//! The seasonal profile: standard deviations from the mean of earlier values in the same slot of the day or week.
//!
//! Not here: seasons of other lengths (see `stl_residual`); the live ensemble's profiles (see `baseline`).
//!
//! Invariants: at most a thousand values a slot count; a slot of fewer than five says nothing; the hour that clocks
//! repeat when they are set back is learned once.

use super::super::zone::{Slot, Zone};
use super::{Floor, Judgement, Online, Options};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

const THRESHOLD: f64 = 3.0;
const SAMPLES_MIN: usize = 5;
/// A slot of more values forgets all but the newest half.
const SLOT_MAX: usize = 1000;
const SLOT_KEPT: usize = 500;
/// Stands in for a deviation of none.
const DEVIATION_MIN: f64 = 1e-10;

/// Which moments belong to one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodType {
    /// The same hour of any day.
    #[default]
    Hour,
    /// The same day of any week.
    DayOfWeek,
    /// The same hour of the same day of the week.
    HourOfWeek,
}

impl PeriodType {
    /// The slot's number and its name: `hour_13`, `dow_0` for Monday, `dow_0_hour_13`.
    fn key(self, slot: Slot) -> u8 {
        match self {
            Self::Hour => slot.hour,
            Self::DayOfWeek => slot.day,
            Self::HourOfWeek => slot.hour_of_week() as u8,
        }
    }

    /// The name of the slot of a moment in a zone.
    pub fn key_name(self, time_ms: i64, zone: &Zone) -> String {
        let slot = zone.slot(time_ms);
        match self {
            Self::Hour => format!("hour_{}", slot.hour),
            Self::DayOfWeek => format!("dow_{}", slot.day),
            Self::HourOfWeek => format!("dow_{}_hour_{}", slot.day, slot.hour),
        }
    }
}

/// Values of one slot, with their sums about the first of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct History {
    values: VecDeque<f64>,
    centre: f64,
    sum: f64,
    squares: f64,
}

impl History {
    fn push(&mut self, value: f64) {
        if self.values.len() == SLOT_MAX {
            self.values.drain(..SLOT_MAX - SLOT_KEPT + 1);
            let kept = std::mem::take(&mut self.values);
            *self = Self::default();
            kept.into_iter().for_each(|value| self.push(value));
        }
        if self.values.is_empty() {
            self.centre = value;
        }
        let rest = value - self.centre;
        self.sum += rest;
        self.squares += rest * rest;
        self.values.push_back(value);
    }

    /// Mean and sample standard deviation.
    fn moments(&self) -> (f64, f64) {
        let count = self.values.len() as f64;
        let mean = self.sum / count;
        let variance = (self.squares - count * mean * mean).max(0.0) / (count - 1.0);
        (self.centre + mean, variance.sqrt().max(DEVIATION_MIN))
    }
}

/// Standard deviations from the mean of the same slot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeasonalDetector {
    /// Given anew where a state is restored.
    #[serde(skip)]
    zone: Zone,
    period: PeriodType,
    threshold: f64,
    floor: Floor,
    slots: BTreeMap<u8, History>,
}

/// What is said of one value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeasonalResult {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// As it was given.
    pub value: f64,
    /// Name of its slot.
    pub period_key: String,
    /// Mean of the slot before it; `None` while fewer than five values are known.
    pub expected: Option<f64>,
    /// Standard deviations from that mean, 0 while it is unknown.
    pub z_score: f64,
    /// Whether that is more than the threshold, by a deviation that matters.
    pub is_anomaly: bool,
}

impl SeasonalDetector {
    /// With zone, period and threshold of the options: UTC, hours and 3 unless set.
    pub fn new(options: &Options) -> Self {
        Self {
            zone: options.zone.clone(),
            period: options.period,
            threshold: options.threshold.unwrap_or(THRESHOLD),
            floor: Floor::new(options),
            slots: BTreeMap::new(),
        }
    }

    /// Judges a value by those before it in its slot, then learns it.
    pub fn observe(&mut self, timestamp: i64, value: f64) -> SeasonalResult {
        let period_key = self.period.key_name(timestamp, &self.zone);
        let Judgement { expected, score: z_score, is_anomaly, .. } = self.judge(timestamp, value);
        SeasonalResult { timestamp, value, period_key, expected, z_score, is_anomaly }
    }
}

impl Online for SeasonalDetector {
    const METHOD: &'static str = "seasonal";

    fn judge(&mut self, time_ms: i64, value: f64) -> Judgement {
        let deviation_min = self.floor.next(value);
        let slot = self.zone.slot(time_ms);
        let history = self.slots.entry(self.period.key(slot)).or_default();
        let mut judgement = Judgement::ABSTAINS;
        let mut learned = value;
        if history.values.len() >= SAMPLES_MIN {
            let (mean, std) = history.moments();
            let reach = self.threshold * std;
            let score = (value - mean).abs() / std;
            judgement = Judgement::of_band(value, score, [mean, mean - reach, mean + reach], deviation_min);
            let reach = reach.max(deviation_min);
            learned = if judgement.is_anomaly { value.clamp(mean - reach, mean + reach) } else { value };
        }
        if !slot.is_repeated {
            history.push(learned);
        }
        judgement
    }

    fn adopt(&mut self, restored: Self) {
        *self = Self { zone: self.zone.clone(), ..restored };
    }
}
