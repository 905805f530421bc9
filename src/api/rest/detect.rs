//! `POST /api/v1/detect/{name}`: what a fresh model says of the samples that are stored.
//!
//! Not here: judging (see `replay`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::detect_named;
use super::metric::POINTS_MAX;
use super::parameters::{Parameters, matchers_of};
use super::replay::{Replay, SAMPLES_MAX};
use super::run::run;
use super::selection::{name_of, newest_ms, select};
use super::shapes::{Anomaly, Labels, Time};
use crate::analysis::detectors::{AnomalyResult, Entry};
use crate::analysis::{EnsembleConfig, Severity, Verdict, VotingMode, detector_names};
use crate::anomaly::AnomalyRecord;
use crate::clock;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    metric: &'a str,
    total_points: usize,
    anomalies_detected: usize,
    max_severity: &'static str,
    duration_ms: u64,
    series: Vec<OutcomeSeries<'a>>,
}

#[derive(Debug, Serialize)]
struct OutcomeSeries<'a> {
    labels: Labels<'a>,
    anomalies: Vec<Anomaly<'a>>,
    results: &'a [PointResult],
}

/// One sample as all detectors together see it.
#[derive(Debug, Serialize)]
struct PointResult {
    timestamp: Time,
    value: f64,
    combined_score: f64,
    individual_scores: BTreeMap<&'static str, Option<f64>>,
    is_anomaly: bool,
    confidence: &'static str,
    agreeing_detectors: Vec<&'static str>,
    contributions: BTreeMap<&'static str, f64>,
    counterfactual: Option<String>,
}

impl PointResult {
    fn of(time_ms: i64, value: f64, verdict: &Verdict, name: &str) -> Self {
        let scores = verdict.votes.scores();
        let agreeing: Vec<_> = verdict.votes.agreeing().map(|vote| vote.detector).collect();
        Self {
            timestamp: Time(time_ms),
            value,
            combined_score: verdict.score,
            individual_scores: detector_names().into_iter().zip(scores).collect(),
            is_anomaly: verdict.is_anomaly,
            confidence: verdict.confidence().as_str(),
            agreeing_detectors: agreeing,
            contributions: verdict.contributions().into_iter().collect(),
            counterfactual: verdict.counterfactual(name),
        }
    }
}

impl PointResult {
    fn of_named(word: &detect_named::Word, config: &EnsembleConfig, name: &str) -> Self {
        let score = |(name, result): &(&'static str, AnomalyResult)| {
            (*name, result.judgement.is_judged.then(|| result.judgement.normalised()))
        };
        let flags = word.said.iter().filter(|(_, result)| result.is_anomaly);
        Self {
            timestamp: Time(word.time_ms),
            value: word.value,
            combined_score: word.combined.score,
            individual_scores: word.said.iter().map(score).collect(),
            is_anomaly: word.combined.is_anomaly,
            confidence: word.combined.confidence().as_str(),
            agreeing_detectors: flags.map(|(name, _)| *name).collect(),
            contributions: word.contributions(config).collect(),
            counterfactual: word.counterfactual(name),
        }
    }
}

/// What a request asks.
#[derive(Debug)]
struct Asked {
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    sets: Vec<Vec<storage::label_index::Matcher>>,
    ensemble: EnsembleConfig,
    /// Empty for the ensemble.
    detectors: Vec<&'static Entry>,
    features: Option<detect_named::Features>,
    wants_all: bool,
}

impl Asked {
    async fn read(shared: &Shared, uri: &Uri, body: Body) -> Result<Self, ApiError> {
        let wants_all = Parameters::read(uri)?.is_set("all")?;
        let mut fields = Fields::read(body).await?;
        let (start_ms, end_ms) = (fields.time_ms("start")?, fields.time_ms("end")?);
        if start_ms.zip(end_ms).is_some_and(|(start_ms, end_ms)| end_ms < start_ms) {
            return Err(ApiError::field("end", "before start"));
        }
        let sets =
            fields.texts("match")?.iter().map(|text| matchers_of(text, &shared.api.query)).collect::<Result<_, _>>()?;
        let ensemble = ensemble(&mut fields, shared.api.settings.usual().ensemble)?;
        let (names, by) = (fields.texts("features")?, fields.texts("by")?);
        if names.is_empty() && !by.is_empty() {
            return Err(ApiError::field("by", "says which labels features have in common, and there are no features"));
        }
        let features = (!names.is_empty()).then_some(detect_named::Features { names, by });
        let mut named = fields.texts("detectors")?;
        if named.is_empty() && features.is_some() {
            named = detect_named::WITH_FEATURES.map(str::to_owned).to_vec();
        }
        let detectors = detect_named::entries(&named)?;
        fields.finish()?;
        Ok(Self { start_ms, end_ms, sets, ensemble, detectors, features, wants_all })
    }
}

/// The fields `ensemble` and `threshold`; what they do not say is as the server has it.
fn ensemble(fields: &mut Fields, usual: EnsembleConfig) -> Result<EnsembleConfig, ApiError> {
    let modes = [
        ("majority", VotingMode::Majority),
        ("unanimous", VotingMode::Unanimous),
        ("weighted", VotingMode::Weighted),
        ("any", VotingMode::Any),
        ("seed003", VotingMode::Seed003),
    ];
    let mode = fields.word("ensemble", &modes)?.unwrap_or(usual.mode);
    let score_threshold = fields.number("threshold")?.unwrap_or(usual.score_threshold);
    if !(0.0..=1.0).contains(&score_threshold) {
        return Err(ApiError::field("threshold", "expected a number between 0 and 1"));
    }
    Ok(EnsembleConfig { mode, score_threshold, ..usual })
}

/// Judges what is stored.
pub(super) async fn detect(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    body: Body,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let asked = Asked::read(&shared, &uri, body).await?;
    run(shared, move |shared, cancel| {
        let began = clock::monotonic();
        let found = select(shared, &name, &asked.sets)?;
        let newest_ms = newest_ms(shared, &found)?.unwrap_or_else(shared.api.now_ms);
        let range_ms = (asked.start_ms.unwrap_or(i64::MIN), asked.end_ms.unwrap_or(newest_ms));
        let mut replay = Replay::new(shared, cancel, found.len()).voting(asked.ensemble);
        let mut judged: Vec<(Vec<AnomalyRecord>, Vec<PointResult>)> = Vec::with_capacity(found.len());
        let (mut total_points, mut shown, mut left) = (0, 0, SAMPLES_MAX);
        for one in &found {
            let mut results = Vec::new();
            let (samples, anomalies) = if asked.detectors.is_empty() {
                let take = |time_ms, value, verdict: &Verdict| {
                    if (asked.wants_all || verdict.is_anomaly) && shown + results.len() <= POINTS_MAX {
                        results.push(PointResult::of(time_ms, value, verdict, &name));
                    }
                };
                let replayed = replay.series(one, range_ms, SAMPLES_MAX, take)?;
                (replayed.samples, replayed.anomalies)
            } else {
                let (entries, features) = (&asked.detectors[..], asked.features.as_ref());
                let how = detect_named::How { entries, config: &asked.ensemble, features };
                let words = detect_named::judge((shared, cancel), one, range_ms, how, &mut left)?;
                let wanted = words.iter().filter(|word| asked.wants_all || word.combined.is_anomaly);
                let room = POINTS_MAX + 1 - shown;
                results.extend(wanted.take(room).map(|word| PointResult::of_named(word, &asked.ensemble, &name)));
                (words.len(), detect_named::anomalies(&words, &one.key, &asked.ensemble, &name))
            };
            total_points += samples;
            shown += results.len();
            if shown > POINTS_MAX {
                let message = format!("more than {POINTS_MAX} results; ask for fewer series or less time");
                return Err(ApiError::unprocessable(message).with("field", "start"));
            }
            judged.push((anomalies, results));
        }
        let alerts = shared.api.alerts.view();
        let anomalies = || judged.iter().flat_map(|(anomalies, _)| anomalies);
        let series = found.iter().zip(&judged).map(|(one, (anomalies, results))| OutcomeSeries {
            labels: Labels(&one.key),
            anomalies: anomalies.iter().map(|record| Anomaly::of(record, &alerts)).collect(),
            results,
        });
        Text::of(&Outcome {
            metric: &name,
            total_points,
            anomalies_detected: anomalies().count(),
            max_severity: anomalies().map(|found| found.peak.severity).max().unwrap_or(Severity::None).as_str(),
            duration_ms: clock::monotonic().saturating_duration_since(began).as_millis() as u64,
            series: series.collect(),
        })
    })
    .await
}
