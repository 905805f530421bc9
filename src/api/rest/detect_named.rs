//! `POST /api/v1/detect/{name}` with `detectors`: what detectors that are asked for by name say of stored samples.
//!
//! Not here: the ensemble's word (see `detect`), the detectors (see `analysis::detectors`).
//!
//! Invariant: a series is judged as a whole, so that a detector sees all of the range before it judges its first sample.
//!
//! Cost: that of each detector over a series, and the columns of one series in memory.

use super::Shared;
use super::answer::ApiError;
use super::replay::SAMPLES_MAX;
use super::run::check;
use crate::analysis::detectors::{self, AnomalyResult, Combined, Entry, Options, Samples, combine};
use crate::analysis::{EnsembleConfig, Severity};
use crate::anomaly::AnomalyRecord;
use crate::anomaly::run::{AnomalyKind, AnomalyRun, Peak, Side, VoteRecord};
use crate::query::Cancel;
use std::borrow::Cow;
use std::sync::Arc;
use storage::SelectedSeries;
use storage::series::{self, NAME_LABEL, SeriesRef, label};

/// Normal samples after which the next flagged one begins another run.
const CALM: usize = 5;

/// Series that are features of another, at most.
const FEATURES_MAX: usize = 15;
const FOREST: &str = "isolation_forest";

/// Who judges a series with features where nobody is named: the documents' ensemble.
pub(super) const WITH_FEATURES: [&str; 4] = ["zscore", "ema", "seasonal", FOREST];

/// The detectors of these names.
pub(super) fn entries(names: &[String]) -> Result<Vec<&'static Entry>, ApiError> {
    let entry = |name: &String| {
        let entry = detectors::find(name).map_err(|error| ApiError::field("detectors", error.to_string()))?;
        match entry.is_of_group() {
            true => Err(ApiError::field("detectors", format!("{name} compares series and judges none by itself"))),
            false => Ok(entry),
        }
    };
    names.iter().map(entry).collect()
}

/// What is said of one sample.
#[derive(Debug)]
pub(super) struct Word {
    /// Milliseconds since 1970 UTC.
    pub(super) time_ms: i64,
    /// As it is stored.
    pub(super) value: f64,
    /// The word of all.
    pub(super) combined: Combined,
    /// What each said, with its name.
    pub(super) said: Vec<(&'static str, AnomalyResult)>,
}

impl Word {
    /// What each detector contributes to the score: by its own score and weight; they add up.
    pub(super) fn contributions<'a>(
        &'a self,
        config: &'a EnsembleConfig,
    ) -> impl Iterator<Item = (&'static str, f64)> + 'a {
        let share = |name: &str, result: &AnomalyResult| match result.judgement.is_judged {
            true => config.weights.of(name) * result.judgement.normalised(),
            false => 0.0,
        };
        let sum: f64 = self.said.iter().map(|(name, result)| share(name, result)).sum();
        let of = move |(name, result): &(&'static str, AnomalyResult)| {
            (*name, if sum > 0.0 { share(name, result) / sum * self.combined.score } else { 0.0 })
        };
        self.said.iter().map(of)
    }

    /// The first that flags it and has a band.
    fn band(&self) -> Option<[f64; 3]> {
        let band = |result: &AnomalyResult| {
            Some([result.judgement.expected?, result.judgement.lower?, result.judgement.upper?])
        };
        self.said.iter().filter(|(_, result)| result.is_anomaly).find_map(|(_, result)| band(result))
    }

    /// The nearest value that would have been normal, in one sentence.
    pub(super) fn counterfactual(&self, name: &str) -> Option<String> {
        let [_, lower, upper] = self.band().filter(|_| self.combined.is_anomaly)?;
        let nearest = self.value.clamp(lower, upper);
        let bound = if self.value > nearest { "or less" } else { "or more" };
        (nearest != self.value).then(|| format!("{name} would have been normal at {nearest:.4} {bound}"))
    }

    fn peak(&self, config: &EnsembleConfig, name: &str) -> Peak {
        let [expected, lower, upper] = self.band().unwrap_or([f64::NAN; 3]);
        let contributions: Vec<f64> = self.contributions(config).map(|(_, share)| share).collect();
        let vote = |((detector, result), contribution): (&(&'static str, AnomalyResult), f64)| VoteRecord {
            detector: Cow::Borrowed(detector),
            score: result.judgement.normalised(),
            anomalous: result.is_anomaly,
            abstained: !result.judgement.is_judged,
            contribution,
        };
        let agreeing = self.said.iter().filter(|(_, result)| result.is_anomaly).map(|(name, _)| *name);
        let agreeing: Vec<&str> = agreeing.collect();
        Peak {
            time_ms: self.time_ms,
            value: self.value,
            expected,
            lower,
            upper,
            score: self.combined.score,
            severity: Severity::of(self.combined.score),
            direction: if self.value < expected { Side::Below } else { Side::Above },
            kind: AnomalyKind::Point,
            votes: self.said.iter().zip(contributions).map(vote).collect(),
            summary: format!("{name} is {}, which {} find unusual", self.value, agreeing.join(", ")),
        }
    }
}

/// Who judges, and by which series beside its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct How<'a> {
    /// The detectors.
    pub(super) entries: &'a [&'static Entry],
    /// How they become one word.
    pub(super) config: &'a EnsembleConfig,
    /// What `isolation_forest` takes for features; `None` where it judges the series alone.
    pub(super) features: Option<&'a Features>,
}

/// Metrics whose samples are features of others.
#[derive(Debug)]
pub(super) struct Features {
    /// Their names.
    pub(super) names: Vec<String>,
    /// Labels that must be the same; all but the name where none is given.
    pub(super) by: Vec<String>,
}

impl Features {
    /// The series of these names that belong to the one of a key.
    fn of(&self, shared: &Shared, key: &[u8]) -> Vec<SeriesRef> {
        let store = &shared.api.store;
        let rest = |key: &[u8]| -> Vec<(String, String)> {
            let named = series::labels(key).filter(|(name, _)| *name != NAME_LABEL);
            named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let is_same = |other: &[u8]| match self.by.is_empty() {
            true => rest(other) == rest(key),
            false => self.by.iter().all(|name| label(key, name).is_some() && label(key, name) == label(other, name)),
        };
        let of_name = |name: &String| store.series_with(NAME_LABEL, name);
        let all = self.names.iter().flat_map(of_name);
        all.filter(|one| store.key(*one).is_some_and(|other| *other != *key && is_same(&other)))
            .take(FEATURES_MAX)
            .collect()
    }
}

/// Judges the samples of a series in a range; `left` is what one call may still judge.
pub(super) fn judge(
    (shared, cancel): (&Shared, &Cancel),
    one: &SelectedSeries,
    (from_ms, to_ms): (i64, i64),
    How { entries, config, features }: How<'_>,
    left: &mut usize,
) -> Result<Vec<Word>, ApiError> {
    let read = |series: SeriesRef| {
        let mut samples = storage::sample::Samples::default();
        shared.api.store.read(series, from_ms, to_ms, &mut samples).map(|()| samples)
    };
    let samples = read(one.series)?;
    let beside = features.map_or_else(Vec::new, |features| features.of(shared, &one.key));
    let beside: Vec<_> = beside.into_iter().map(read).collect::<Result<_, _>>()?;
    // Every detector looks at all of them.
    let count = samples.times.len() * entries.len() + beside.iter().map(|one| one.times.len()).sum::<usize>();
    let Some(rest) = left.checked_sub(count) else {
        let message = format!("more than {SAMPLES_MAX} samples to judge; ask for less time or fewer series");
        return Err(ApiError::unprocessable(message).with("field", "start"));
    };
    *left = rest;
    let columns = Samples::new(&samples.times, &samples.values);
    let mut said: Vec<Vec<(&'static str, AnomalyResult)>> = vec![Vec::new(); samples.times.len()];
    for entry in entries {
        check(cancel)?;
        let results = if entry.name == FOREST && features.is_some() {
            let beside: Vec<_> = beside.iter().map(|one| Samples::new(&one.times, &one.values)).collect();
            detectors::judge_with_features(columns, &beside, &Options::default())
        } else {
            let made = entry.of_whole_series(&Options::default());
            let mut detector = made.map_err(|error| ApiError::field("detectors", error.to_string()))?;
            detectors::judge(detector.as_mut(), columns)
        };
        said.iter_mut().zip(results).for_each(|(said, result)| said.push((entry.name, result)));
    }
    let word = |((time_ms, value), said): ((i64, f64), Vec<(&'static str, AnomalyResult)>)| Word {
        time_ms,
        value,
        combined: combine(config, &said),
        said,
    };
    Ok(columns.iter().zip(said).map(word).collect())
}

/// The runs of flagged samples.
pub(super) fn anomalies(words: &[Word], key: &Arc<[u8]>, config: &EnsembleConfig, name: &str) -> Vec<AnomalyRecord> {
    let mut runs: Vec<(usize, AnomalyRun)> = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(_, word)| word.combined.is_anomaly) {
        match runs.last_mut().filter(|(last, _)| at - last <= CALM) {
            Some((last, run)) => {
                (*last, run.last_ms, run.samples) = (at, word.time_ms, run.samples + 1);
                if word.combined.score > run.peak.score {
                    run.peak = word.peak(config, name);
                }
            }
            None => {
                let (start_ms, last_ms) = (word.time_ms, word.time_ms);
                let peak = word.peak(config, name);
                runs.push((at, AnomalyRun { key: key.clone(), start_ms, last_ms, is_open: false, samples: 1, peak }));
            }
        }
    }
    runs.into_iter().map(|(_, run)| AnomalyRecord::of_run(run)).collect()
}
