//! A model trained once on the samples of some series: an isolation forest over their features and a limit of its scores,
//! or a network for each series.
//!
//! Not here: where samples come from (see `source`), where models are kept (see `shelf`), networks (see `analysis`).
//!
//! Invariants: a model is a function of what it was trained with: the forest's chance is seeded, so that training again on
//! the same samples gives the same scores. That is how it is written down: as its samples, and beside them the networks,
//! which take longer to learn.
//!
//! Cost: 0.2 s of a core for 20 000 samples; some seconds for a network.

use crate::analysis::detectors::IsolationForest;
use crate::analysis::drift::Drift;
use crate::analysis::prepare::{FeatureEngineer, Matrix, Scale, Scaling};
use crate::analysis::series_network::{JudgedWindow, NetworkError, NetworkLayout, SeriesNetwork, VALUES_MIN};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Samples that training needs at least.
pub const SAMPLES_MIN: usize = 100;
/// Points that a series must have to be judged.
pub const POINTS_MIN: usize = 10;
/// Samples that are trained on at most.
const SAMPLES_MAX: usize = 200_000;
/// Series that get a network each: what bounds the time of one request.
const NETWORKS_MAX: usize = 16;
/// Training values that are kept to compare later ones with.
const REFERENCE_MAX: usize = 2_000;

/// The samples of one series; values are finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSeries {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since 1970 UTC, rising.
    pub times_ms: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
}

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A forest over the features of all samples.
    #[default]
    IsolationForest,
    /// A network of dense layers for each series.
    Autoencoder,
    /// A network of LSTM layers for each series.
    LstmAutoencoder,
}

impl ModelKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::IsolationForest, Self::Autoencoder, Self::LstmAutoencoder];

    /// Its word in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsolationForest => "isolation_forest",
            Self::Autoencoder => "autoencoder",
            Self::LstmAutoencoder => "lstm_autoencoder",
        }
    }

    fn layout(self) -> Option<NetworkLayout> {
        match self {
            Self::IsolationForest => None,
            Self::Autoencoder => Some(NetworkLayout::Dense),
            Self::LstmAutoencoder => Some(NetworkLayout::Lstm),
        }
    }
}

/// A network, and the labels of the series it learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedNetwork {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The network.
    pub network: SeriesNetwork,
}

/// What a model is made of, and is written down as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// What it is asked for by.
    pub name: String,
    /// The expression that gave the samples.
    pub promql: String,
    /// When it was trained, in milliseconds since 1970 UTC.
    pub trained_at_ms: i64,
    /// Days before that from which the samples are.
    pub days: f64,
    /// From one sample to the next, in milliseconds.
    pub step_ms: i64,
    /// Share of the training samples that counts as anomalous.
    pub contamination: f64,
    /// How often a model of this name was trained.
    pub version: u64,
    /// What learns.
    #[serde(default)]
    pub kind: ModelKind,
    /// What it was trained on.
    pub series: Vec<TrainingSeries>,
    /// What was learned, where learning it again would take long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<TrainedNetwork>,
}

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainingError {
    /// Too little to learn from.
    #[error("Insufficient data: {0} samples (need {SAMPLES_MIN}+)")]
    TooFew(usize),
    /// Too much to learn from.
    #[error("{0} samples are more than {SAMPLES_MAX}: choose fewer series or fewer training_days")]
    TooMany(usize),
    /// Too many series for a network each.
    #[error("{0} series are more than {NETWORKS_MAX}, each of which would get a network: choose fewer")]
    TooManySeries(usize),
    /// A network could not be trained.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// One judged value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// As it was given.
    pub value: f64,
    /// How easily the value is isolated: 0 to 1, about one half for any other. Of a network, the share of the error of
    /// the window that ends here in the sum of it and its limit: one half at the limit.
    pub score: f64,
    /// Whether the score is beyond that of the training samples that count as anomalous.
    pub is_anomaly: bool,
}

/// A model that can judge.
#[derive(Debug)]
pub struct TrainedModel {
    /// Where it comes from; its samples are left out.
    pub about: Training,
    /// Samples it was trained on.
    pub samples: usize,
    forest: Option<Forest>,
    reference: Vec<f64>,
}

#[derive(Debug)]
struct Forest {
    forest: IsolationForest,
    scales: Vec<Scale>,
    limit: f64,
}

impl TrainedModel {
    /// Trains a model; a network stops where `goes_on` says no.
    ///
    /// # Errors
    /// When there are fewer than [`SAMPLES_MIN`] samples, or more samples or series than can be held.
    pub fn train(mut training: Training, goes_on: &dyn Fn() -> bool) -> Result<Self, TrainingError> {
        let series = std::mem::take(&mut training.series);
        let samples: usize = series.iter().map(|one| one.values.len()).sum();
        match samples {
            ..SAMPLES_MIN => return Err(TrainingError::TooFew(samples)),
            SAMPLES_MIN..=SAMPLES_MAX => {}
            _ => return Err(TrainingError::TooMany(samples)),
        }
        let forest = match training.kind.layout() {
            None => Some(Forest::fit(&series, training.contamination)),
            Some(layout) => {
                if training.networks.is_empty() {
                    training.networks = networks(&series, layout, training.contamination, goes_on)?;
                }
                None
            }
        };
        let values = series.iter().flat_map(|one| &one.values).copied();
        let reference = values.step_by(samples.div_ceil(REFERENCE_MAX)).collect();
        Ok(Self { about: training, samples, forest, reference })
    }

    /// Judges the values of a series from a time on; those before only fill its windows. A series that no network has
    /// learned has no answer.
    pub fn judge(&self, series: &TrainingSeries, from_ms: i64) -> Vec<Scored> {
        let words: Vec<Option<(f64, bool)>> = match &self.forest {
            Some(forest) => forest.words(series),
            None => {
                let own = self.about.networks.iter().find(|one| one.labels == series.labels);
                let Some(TrainedNetwork { network, .. }) = own else { return Vec::new() };
                network.judge_each(&series.values).into_iter().map(|judged| judged.map(of_window)).collect()
            }
        };
        let judged = series.times_ms.iter().zip(&series.values).zip(words);
        judged
            .filter_map(|((&time_ms, &value), word)| {
                word.map(|(score, is_anomaly)| Scored { time_ms, value, score, is_anomaly })
            })
            .filter(|scored| scored.time_ms >= from_ms)
            .collect()
    }

    /// Whether values are distributed as those of the training; nothing where there are none.
    pub fn drift(&self, values: &[f64]) -> Option<Drift> {
        Drift::between(&self.reference, values)
    }
}

impl Forest {
    fn fit(series: &[TrainingSeries], contamination: f64) -> Self {
        let columns = columns_of(series);
        let scales: Vec<Scale> = columns.iter().map(|column| usable(Scaling::Robust.fit(column))).collect();
        let rows = rows_of(&columns, &scales);
        let forest = IsolationForest::fit(&rows);
        let mut scores = forest.scores(&rows);
        scores.sort_unstable_by(f64::total_cmp);
        // The least score of those that count as anomalous; beyond all of them where the share comes to none.
        let anomalous = (scores.len() as f64 * contamination).round() as usize;
        let limit = scores.get(scores.len().saturating_sub(anomalous)).copied().unwrap_or(1.0);
        Self { forest, scales, limit }
    }

    /// Score and flag of every value.
    fn words(&self, series: &TrainingSeries) -> Vec<Option<(f64, bool)>> {
        let columns = columns_of(std::slice::from_ref(series));
        let scores = self.forest.scores(&rows_of(&columns, &self.scales));
        scores.into_iter().map(|score| Some((score, score >= self.limit))).collect()
    }
}

/// A network for each series that is long enough for one.
fn networks(
    series: &[TrainingSeries],
    layout: NetworkLayout,
    contamination: f64,
    goes_on: &dyn Fn() -> bool,
) -> Result<Vec<TrainedNetwork>, TrainingError> {
    let long: Vec<&TrainingSeries> = series.iter().filter(|one| one.values.len() >= VALUES_MIN).collect();
    match long.len() {
        0 => return Err(TrainingError::TooFew(series.iter().map(|one| one.values.len()).max().unwrap_or(0))),
        1..=NETWORKS_MAX => {}
        _ => return Err(TrainingError::TooManySeries(long.len())),
    }
    let train = |one: &&TrainingSeries| {
        let network = SeriesNetwork::train(&one.values, layout, contamination, goes_on)?;
        Ok(TrainedNetwork { labels: one.labels.clone(), network })
    };
    long.iter().map(train).collect()
}

/// Score and flag of a window.
fn of_window(JudgedWindow { error, threshold, is_anomaly }: JudgedWindow) -> (f64, bool) {
    let whole = error + threshold;
    (if whole > 0.0 { error / whole } else { 0.0 }, is_anomaly)
}

/// A scale whose unit is not zero: a feature without a spread is only moved.
fn usable(scale: Scale) -> Scale {
    if scale.unit > 0.0 && scale.unit.is_finite() { scale } else { Scale { unit: 1.0, ..scale } }
}

/// The features of all series, one column each, one series after the other: the value, its distance from the means of
/// the 5, 15 and 60 samples before, its change, and the hour of the day. Not all that there are: a window's own statistics
/// are unusual for as long as a spike is in it, and would be flagged instead of the spike.
fn columns_of(series: &[TrainingSeries]) -> Vec<Vec<f64>> {
    let engineer = FeatureEngineer::default();
    let names = engineer.names(true);
    let mut columns: Vec<Vec<f64>> = Vec::new();
    for one in series.iter().filter(|one| !one.values.is_empty()) {
        let told = engineer.columns(&one.values, Some(&one.times_ms));
        let of = |name: &str| names.iter().position(|known| known == name).map(|at| told[at].clone());
        let apart = |mean: Vec<f64>| one.values.iter().zip(mean).map(|(value, mean)| value - mean).collect();
        let means = ["mean_5", "mean_15", "mean_60"].into_iter().filter_map(of).map(apart);
        let others = ["diff", "hour"].into_iter().filter_map(of);
        let more: Vec<Vec<f64>> = std::iter::once(one.values.clone()).chain(means).chain(others).collect();
        columns.resize_with(more.len(), Vec::new);
        columns.iter_mut().zip(more).for_each(|(column, more)| column.extend(more));
    }
    columns
}

fn rows_of(columns: &[Vec<f64>], scales: &[Scale]) -> Matrix {
    let mut rows = Matrix::new(columns.len());
    let mut row = vec![0.0; columns.len()];
    for at in 0..columns.first().map_or(0, Vec::len) {
        for ((cell, column), scale) in row.iter_mut().zip(columns).zip(scales) {
            *cell = scale.normalise(column[at]);
        }
        rows.push(&row);
    }
    rows
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A wave with some noise, a value a minute.
    pub(in crate::pull) fn training(name: &str, count: usize) -> Training {
        let value = |i: usize| 50.0 + 10.0 * (i as f64 / 60.0).sin() + (i * 7919 % 101) as f64 / 50.0;
        let series = TrainingSeries {
            labels: BTreeMap::from([("job".to_owned(), "api".to_owned())]),
            times_ms: (0..count as i64).map(|i| 1_700_000_000_000 + i * 60_000).collect(),
            values: (0..count).map(value).collect(),
        };
        Training {
            name: name.to_owned(),
            promql: "up".to_owned(),
            trained_at_ms: 1_800_000_000_000,
            days: 14.0,
            step_ms: 60_000,
            contamination: 0.01,
            version: 1,
            kind: ModelKind::IsolationForest,
            series: vec![series],
            networks: Vec::new(),
        }
    }

    fn trained(training: Training) -> Result<TrainedModel, TrainingError> {
        TrainedModel::train(training, &|| true)
    }

    #[cfg(feature = "ml")]
    #[test]
    fn a_network_learns_each_series_by_itself_and_is_not_learned_again() {
        let mut training = Training { kind: ModelKind::Autoencoder, ..training("a", 600) };
        let mut other = training.series[0].clone();
        other.labels.insert("job".to_owned(), "db".to_owned());
        other.values.iter_mut().for_each(|value| *value = 1000.0 - *value);
        training.series.push(other.clone());
        let model = trained(training.clone()).unwrap();
        assert_eq!(model.about.networks.len(), 2);
        // It swings as it never did, within its own range.
        (570..590).for_each(|at| other.values[at] = if at % 2 == 0 { 940.0 } else { 960.0 });
        let judged = model.judge(&other, other.times_ms[540]);
        assert_eq!(judged.len(), 60);
        assert!(judged.iter().all(|one| (0.0..=1.0).contains(&one.score)));
        assert!(judged[..30].iter().filter(|one| one.is_anomaly).count() < 4);
        assert!(judged[40..50].iter().all(|one| one.is_anomaly && one.score > 0.5), "{judged:?}");
        let stranger = TrainingSeries { labels: BTreeMap::new(), ..other.clone() };
        assert!(model.judge(&stranger, 0).is_empty());
        // Read again, it judges the same without learning: learning would be stopped at once.
        let written = Training { networks: model.about.networks.clone(), ..training.clone() };
        let text = serde_json::to_string(&written).unwrap();
        let again = TrainedModel::train(serde_json::from_str(&text).unwrap(), &|| false).unwrap();
        assert_eq!(again.judge(&other, other.times_ms[540]), judged);
        assert!(
            trained(Training { series: vec![other; 17], ..training }).unwrap_err().to_string().contains("17 series")
        );
    }

    #[test]
    fn ninety_nine_samples_are_too_few_and_a_hundred_are_not() {
        let error = trained(training("a", 99)).unwrap_err();
        assert_eq!(error.to_string(), "Insufficient data: 99 samples (need 100+)");
        assert_eq!(trained(training("a", 100)).unwrap().samples, 100);
    }

    #[test]
    fn the_contamination_is_the_share_of_the_training_that_is_flagged() {
        for (contamination, flagged) in [(0.01, 20), (0.1, 200), (0.0, 0)] {
            let training = Training { contamination, ..training("a", 2000) };
            let series = training.series[0].clone();
            let model = trained(training).unwrap();
            let count = model.judge(&series, i64::MIN).iter().filter(|scored| scored.is_anomaly).count();
            assert!(count.abs_diff(flagged) <= 2, "{contamination}: {count}");
        }
    }

    #[test]
    fn a_spike_is_flagged_and_judging_starts_where_it_should() {
        let training = training("a", 2000);
        let mut series = training.series[0].clone();
        let model = trained(training).unwrap();
        series.values[1990] = 500.0;
        let judged = model.judge(&series, series.times_ms[1980]);
        assert_eq!((judged.len(), judged[10].is_anomaly, judged[10].value), (20, true, 500.0));
        assert!(judged[10].score > judged[5].score && (0.0..=1.0).contains(&judged[10].score));
        assert!(model.drift(&series.values[..500]).unwrap().psi < 0.2);
        assert!(model.drift(&[900.0; 100]).unwrap().psi > 0.2);
    }
}
