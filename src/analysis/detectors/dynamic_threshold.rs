//! Limits of each hour of the week: the mean of what that hour had, and three standard deviations on either side.
//!
//! Not here: profiles that are learned sample by sample (see `seasonal`).
//!
//! Invariants: all 168 hours have limits, those without samples the limits of the whole; a lower limit is cut at zero only
//! where values are known never to be negative.

use super::super::robust::median;
use super::super::zone::Zone;
use super::{Detector, Floor, Judgement, Options, Samples, mean_and_deviation};
use serde::Serialize;

const HOURS: usize = 168;
const SIGMA: f64 = 3.0;

/// Where a cell's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellSource {
    /// Samples of its hour.
    Own,
    /// All samples, because its hour has none.
    Global,
}

/// An hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cell {
    /// Day of the week, Monday is 0.
    pub dow: u8,
    /// Hour of the day in the zone of the limits.
    pub hour: u8,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// Median.
    pub median: f64,
    /// Samples of this hour.
    pub count: usize,
    /// Where the numbers come from.
    pub source: CellSource,
}

/// A value against the limits of its hour.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// RFC 3339.
    pub timestamp: String,
    /// As it was given.
    pub value: f64,
    /// Whether it is beyond a limit.
    pub is_anomaly: bool,
    /// Greatest value that is normal.
    pub upper_threshold: f64,
    /// Least value that is normal.
    pub lower_threshold: f64,
    /// Mean of the hour.
    pub expected_value: f64,
    /// Distance from the mean in percent of it; 0 where the mean is not positive.
    pub deviation_pct: f64,
    /// `hourly_baseline`, or `global_fallback` for an hour without samples.
    pub method: &'static str,
}

/// Limits of each hour of the week.
///
/// ```
/// use infrawatch::analysis::Zone;
/// use infrawatch::analysis::detectors::{DynamicThresholds, Samples};
///
/// let times_ms: Vec<i64> = (0..24 * 28).map(|hour| hour * 3_600_000).collect();
/// let values: Vec<f64> = (0..24 * 28).map(|hour| if hour % 24 < 9 { 10.0 } else { 80.0 } + f64::from(hour % 5)).collect();
/// let thresholds = DynamicThresholds::of(Samples::new(&times_ms, &values), &Zone::UTC);
/// assert!(thresholds.evaluate(1_704_078_000_000, 82.0).is_anomaly, "03:00");
/// assert!(!thresholds.evaluate(1_704_117_600_000, 82.0).is_anomaly, "14:00");
/// ```
#[derive(Debug, Clone)]
pub struct DynamicThresholds {
    /// Standard deviations from the mean to a limit.
    pub sigma_multiplier: f64,
    /// Whether values are known never to be negative.
    pub is_non_negative: bool,
    cells: Vec<Cell>,
    zone: Zone,
    floor: Floor,
}

impl DynamicThresholds {
    /// Without limits yet; those of the samples that are judged are made.
    pub fn new(options: &Options) -> Self {
        Self {
            sigma_multiplier: options.threshold.unwrap_or(SIGMA),
            is_non_negative: options.is_non_negative,
            cells: Vec::new(),
            zone: options.zone.clone(),
            floor: Floor::new(options),
        }
    }

    /// Of these samples, in this zone; values that are not finite are left out.
    pub fn of(samples: Samples<'_>, zone: &Zone) -> Self {
        let mut thresholds = Self::new(&Options { zone: zone.clone(), ..Options::default() });
        thresholds.learn(samples);
        thresholds
    }

    /// Of these samples, with the zone, multiplier and floor of the options; values that are not finite are left out.
    pub fn learned(options: &Options, samples: Samples<'_>) -> Self {
        let mut thresholds = Self::new(options);
        thresholds.learn(samples);
        thresholds
    }

    /// All 168 cells, Monday's first; none before anything was learned.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    fn learn(&mut self, samples: Samples<'_>) {
        let mut hours: Vec<Vec<f64>> = vec![Vec::new(); HOURS];
        let mut all = Vec::with_capacity(samples.values.len());
        for (time_ms, value) in samples.iter().filter(|(_, value)| value.is_finite()) {
            let slot = self.zone.slot(time_ms);
            all.push(value);
            if !slot.is_repeated {
                hours[slot.hour_of_week()].push(value);
            }
        }
        let (mean, std) = mean_and_deviation(all.iter().copied());
        let global = (mean, std, if all.is_empty() { 0.0 } else { median(&mut all) });
        let cell = |(at, mut values): (usize, Vec<f64>)| {
            let source = if values.is_empty() { CellSource::Global } else { CellSource::Own };
            let own = mean_and_deviation(values.iter().copied());
            let count = values.len();
            let (mean, std, median) = match source {
                CellSource::Global => global,
                CellSource::Own => (own.0, own.1, median(&mut values)),
            };
            Cell { dow: (at / 24) as u8, hour: (at % 24) as u8, mean, std, median, count, source }
        };
        self.cells = hours.into_iter().enumerate().map(cell).collect();
    }

    /// The cell of a moment, with lower and upper limit; `None` before anything was learned.
    fn limits(&self, time_ms: i64) -> Option<(&Cell, f64, f64)> {
        let cell = self.cells.get(self.zone.slot(time_ms).hour_of_week())?;
        let reach = self.sigma_multiplier * cell.std;
        let lower = cell.mean - reach;
        Some((cell, if self.is_non_negative { lower.max(0.0) } else { lower }, cell.mean + reach))
    }

    /// A value at a time, in milliseconds since 1970 UTC, against its hour.
    pub fn evaluate(&self, time_ms: i64, value: f64) -> Evaluation {
        let timestamp =
            jiff::Timestamp::from_millisecond(time_ms).map_or_else(|_| time_ms.to_string(), |t| t.to_string());
        let (expected_value, lower_threshold, upper_threshold, method) = match self.limits(time_ms) {
            Some((cell, lower, upper)) => {
                let is_own = cell.source == CellSource::Own;
                (cell.mean, lower, upper, if is_own { "hourly_baseline" } else { "global_fallback" })
            }
            None => (value, value, value, "global_fallback"),
        };
        let deviation = (value - expected_value).abs();
        Evaluation {
            timestamp,
            value,
            is_anomaly: value > upper_threshold || value < lower_threshold,
            upper_threshold,
            lower_threshold,
            expected_value,
            deviation_pct: if expected_value > 0.0 { 100.0 * deviation / expected_value } else { 0.0 },
            method,
        }
    }
}

impl Detector for DynamicThresholds {
    fn method(&self) -> &'static str {
        "dynamic_threshold"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        self.learn(samples);
        let deviation_min = self.floor.of_all(samples.values);
        let judge = |(time_ms, value): (i64, f64)| {
            let Some((cell, lower, upper)) = self.limits(time_ms) else { return Judgement::ABSTAINS };
            let score = if cell.std > 0.0 { (value - cell.mean).abs() / cell.std } else { 0.0 };
            Judgement::of_band(value, score, [cell.mean, lower, upper], deviation_min)
        };
        samples.iter().map(judge).collect()
    }
}
