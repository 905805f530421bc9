//! What a model is told of each sample: the value, what its windows had before it, its change, and the time of day and
//! week.
//!
//! Not here: models (see `detectors::isolation_forest`).
//!
//! Invariants: the features of a sample depend on samples up to it only; their order is that of [`FeatureEngineer::names`];
//! no feature is NaN; a feature without a spread is left as it is.
//!
//! Cost: windows are kept sorted, so a sample costs a shift within its windows.

use super::normalize::{Scale, Scaling};
use crate::analysis::Zone;
use serde::{Deserialize, Serialize};

/// Rows of numbers of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    columns: usize,
    cells: Vec<f32>,
}

impl Matrix {
    /// No rows yet, of so many columns, at least one.
    pub fn new(columns: usize) -> Self {
        Self { columns: columns.max(1), cells: Vec::new() }
    }

    /// Adds a row; cells beyond the columns are left out, missing ones are 0.
    pub fn push(&mut self, row: &[f64]) {
        let cells = row.iter().map(|cell| *cell as f32).chain(std::iter::repeat(0.0));
        self.cells.extend(cells.take(self.columns));
    }

    /// Cells of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.cells.len() / self.columns
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Every row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.cells.chunks_exact(self.columns)
    }

    /// One cell.
    pub(in crate::analysis) fn at(&self, row: usize, column: usize) -> f32 {
        self.cells[row * self.columns + column]
    }
}

/// A sample with its features, as libraries hand it on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSample {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// As it was taken.
    pub value: f64,
    /// What a model is told of it.
    pub features: Vec<f64>,
}

/// Makes features of samples.
///
/// ```
/// use infrawatch::analysis::prepare::FeatureEngineer;
///
/// let mut engineer = FeatureEngineer::default();
/// let values: Vec<f64> = (0..100).map(f64::from).collect();
/// let rows = engineer.transform(&values, None, false);
/// assert_eq!((rows.len(), rows.columns()), (100, 21));
/// assert_eq!(engineer.names(false)[..3], ["value", "mean_5", "std_5"]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureEngineer {
    /// Samples of each window before a sample.
    pub window_sizes: Vec<usize>,
    /// Whether the change since the sample before is told.
    pub include_diff: bool,
    /// Whether the time of day and week is told, where times are given.
    pub include_time_features: bool,
    /// In which zone days and hours are.
    pub zone: Zone,
    /// The scales of the features, once they were fitted.
    scales: Vec<Scale>,
}

impl Default for FeatureEngineer {
    /// Windows of 5, 15 and 60 samples, changes, and the time in UTC.
    fn default() -> Self {
        Self {
            window_sizes: vec![5, 15, 60],
            include_diff: true,
            include_time_features: true,
            zone: Zone::UTC,
            scales: Vec::new(),
        }
    }
}

/// Statistics of a window: mean, standard deviation, greatest, least, and both quartiles.
const WINDOW_FEATURES: [&str; 6] = ["mean", "std", "max", "min", "p25", "p75"];
const TIME_FEATURES: [&str; 4] = ["hour", "day_of_week", "is_weekend", "is_business_hours"];

impl FeatureEngineer {
    /// Whether the scales are known.
    pub fn is_fitted(&self) -> bool {
        !self.scales.is_empty()
    }

    /// What the columns are.
    pub fn names(&self, has_times: bool) -> Vec<String> {
        let mut names = vec!["value".to_owned()];
        let of_window = |size: &usize| WINDOW_FEATURES.map(|name| format!("{name}_{size}"));
        names.extend(self.window_sizes.iter().flat_map(of_window));
        if self.include_diff {
            names.extend(["diff", "relative_diff"].map(str::to_owned));
        }
        if self.include_time_features && has_times {
            names.extend(TIME_FEATURES.map(str::to_owned));
        }
        names
    }

    /// One row a value, scaled robustly: median 0 and interquartile range 1. With `fit` the scales are those of these
    /// values, else those fitted before, or none. Without times (milliseconds since 1970 UTC) the last four columns are
    /// absent. Values are finite.
    pub fn transform(&mut self, values: &[f64], times_ms: Option<&[i64]>, fit: bool) -> Matrix {
        let mut columns = self.columns(values, times_ms);
        if fit {
            self.scales = columns.iter().map(|column| Scaling::Robust.fit(column)).collect();
            for (scale, column) in self.scales.iter_mut().zip(&columns) {
                // A feature without a spread is left as it is.
                let is_flat = column.first().is_none_or(|first| column.iter().all(|value| value == first));
                if is_flat {
                    *scale = Scale { centre: 0.0, unit: 1.0 };
                }
            }
        }
        for (scale, column) in self.scales.iter().zip(&mut columns) {
            column.iter_mut().for_each(|value| *value = scale.normalise(*value));
        }
        let mut rows = Matrix::new(columns.len());
        rows.cells.reserve(values.len() * columns.len());
        (0..values.len()).for_each(|at| rows.cells.extend(columns.iter().map(|column| column[at] as f32)));
        rows
    }

    /// The features as they are, without scales, one column each.
    pub fn columns(&self, values: &[f64], times_ms: Option<&[i64]>) -> Vec<Vec<f64>> {
        let mut columns = vec![values.to_vec()];
        columns.extend(self.window_sizes.iter().flat_map(|size| window_columns(values, (*size).max(1))));
        if self.include_diff {
            let pairs =
                || std::iter::once((0.0, 0.0)).chain(values.windows(2).map(|pair| (pair[0], pair[1] - pair[0])));
            columns.push(pairs().map(|(_, difference)| difference).collect());
            let relative = |(before, difference): (f64, f64)| if before == 0.0 { 0.0 } else { difference / before };
            columns.push(pairs().map(relative).collect());
        }
        if let Some(times_ms) = times_ms.filter(|_| self.include_time_features) {
            let slots: Vec<_> = times_ms.iter().take(values.len()).map(|time_ms| self.zone.slot(*time_ms)).collect();
            let is = |yes: bool| f64::from(u8::from(yes));
            columns.push(slots.iter().map(|slot| f64::from(slot.hour)).collect());
            columns.push(slots.iter().map(|slot| f64::from(slot.day)).collect());
            columns.push(slots.iter().map(|slot| is(slot.day >= 5)).collect());
            columns.push(slots.iter().map(|slot| is((9..=17).contains(&slot.hour) && slot.day < 5)).collect());
        }
        columns
    }

    /// Each sample with its features.
    pub fn samples(&mut self, values: &[f64], times_ms: &[i64], fit: bool) -> Vec<MetricSample> {
        let rows = self.transform(values, Some(times_ms), fit);
        let features = rows.rows().map(|row| row.iter().map(|cell| f64::from(*cell)).collect());
        let samples = times_ms.iter().zip(values).zip(features);
        samples
            .map(|((timestamp, value), features)| MetricSample { timestamp: *timestamp, value: *value, features })
            .collect()
    }
}

/// The statistics of the window before each value; of all values so far, itself included, where there are fewer.
fn window_columns(values: &[f64], size: usize) -> Vec<Vec<f64>> {
    let mut columns = vec![Vec::with_capacity(values.len()); WINDOW_FEATURES.len()];
    let mut sorted: Vec<f64> = Vec::with_capacity(size);
    let insert = |sorted: &mut Vec<f64>, value: f64| {
        let at = sorted.partition_point(|other| *other < value);
        sorted.insert(at, value);
    };
    for (at, value) in values.iter().enumerate() {
        if at < size {
            insert(&mut sorted, *value);
        } else if at > size {
            // The window before this value has lost the oldest and won the one before this.
            let gone = sorted.partition_point(|other| *other < values[at - 1 - size]);
            sorted.remove(gone);
            insert(&mut sorted, values[at - 1]);
        }
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let variance = sorted.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
        let p = |p: f64| super::super::robust::quantile(&sorted, p);
        let row = [mean, variance.sqrt(), sorted[sorted.len() - 1], sorted[0], p(0.25), p(0.75)];
        columns.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRE-008.
    #[test]
    fn windows_changes_and_times_are_told_unless_switched_off() {
        let engineer = FeatureEngineer::default();
        assert_eq!(engineer.window_sizes, [5, 15, 60]);
        assert!(engineer.include_diff && engineer.include_time_features && !engineer.is_fitted());
    }

    /// PRE-009: by hand for a window that is not full, just full, and full.
    #[test]
    fn a_window_is_what_was_before_or_all_so_far() {
        let engineer = FeatureEngineer { window_sizes: vec![4], ..FeatureEngineer::default() };
        let columns = engineer.columns(&[4.0, 1.0, 3.0, 2.0, 10.0, 6.0], None);
        let row = |at: usize| columns[1..7].iter().map(|column| column[at]).collect::<Vec<_>>();
        assert_eq!(row(0), [4.0, 0.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(row(1), [2.5, 1.5, 4.0, 1.0, 1.75, 3.25]);
        assert_eq!(row(4), [2.5, 1.25f64.sqrt(), 4.0, 1.0, 1.75, 3.25]);
        assert_eq!(row(5), [4.0, 12.5f64.sqrt(), 10.0, 1.0, 1.75, 4.75]);
        assert_eq!(FeatureEngineer::default().names(false).len(), 1 + 6 * 3 + 2);
    }

    /// PRE-010.
    #[test]
    fn changes_are_absolute_and_relative_and_none_at_the_beginning_and_after_zero() {
        let engineer = FeatureEngineer { window_sizes: Vec::new(), ..FeatureEngineer::default() };
        assert_eq!(engineer.columns(&[0.0, 5.0, 10.0], None)[1..], [vec![0.0, 5.0, 5.0], vec![0.0, 0.0, 1.0]]);
    }

    /// PRE-011: Friday 17:59 and Saturday 10:00, in UTC and elsewhere.
    #[test]
    fn times_are_hours_days_weekends_and_business_hours() {
        let (friday, saturday) = (1_704_477_540_000, 1_704_535_200_000);
        let engineer = FeatureEngineer { window_sizes: Vec::new(), include_diff: false, ..FeatureEngineer::default() };
        let columns = engineer.columns(&[1.0, 1.0], Some(&[friday, saturday]));
        assert_eq!(columns[1..], [vec![17.0, 10.0], vec![4.0, 5.0], vec![0.0, 1.0], vec![1.0, 0.0]]);
        let tokyo = FeatureEngineer { zone: Zone::named("Asia/Tokyo").unwrap(), ..engineer };
        assert_eq!(tokyo.columns(&[1.0], Some(&[friday]))[1..], [vec![2.0], vec![5.0], vec![1.0], vec![0.0]]);
    }

    /// PRE-012, PRE-018: scales are fitted once and used later; 21 columns without times, 25 with them.
    #[test]
    fn scales_are_fitted_once_and_flat_features_stay() {
        let mut engineer = FeatureEngineer::default();
        let values: Vec<f64> = (0..1001).map(|i| f64::from(i * 7919 % 1001)).collect();
        let rows = engineer.transform(&values, None, true);
        assert_eq!((rows.columns(), engineer.is_fitted()), (21, true));
        let mut column: Vec<f64> = (0..rows.len()).map(|at| f64::from(rows.at(at, 0))).collect();
        column.sort_unstable_by(f64::total_cmp);
        assert_eq!((column[500], column[750] - column[250]), (0.0, 1.0));
        let later = engineer.transform(&[500.0], None, false);
        assert_eq!(later.at(0, 0), 0.0);
        let flat = FeatureEngineer::default().transform(&[3.0; 50], Some(&[0; 50]), true);
        assert_eq!((flat.columns(), flat.at(9, 0)), (25, 3.0));
        assert!(flat.rows().flatten().all(|cell| cell.is_finite()));
    }

    /// PRE-013.
    #[test]
    fn a_sample_with_its_features_can_be_written_and_read() {
        let samples = FeatureEngineer::default().samples(&[1.0, 2.0], &[0, 60_000], true);
        let text = serde_json::to_string(&samples).unwrap();
        assert_eq!(serde_json::from_str::<Vec<MetricSample>>(&text).unwrap(), samples);
        assert_eq!((samples[1].timestamp, samples[1].value, samples[1].features.len()), (60_000, 2.0, 25));
    }
}
