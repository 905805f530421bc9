//! `/api/v1/models`: the live model of every series and the models trained on request, with how far they are.
//!
//! Not here: training (see `pull`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::Parameters;
use super::run::{check, run};
use super::selection::name_of;
use super::shapes::{List, Time, series_id};
use crate::analysis::ENCODING_VERSION;
use crate::analysis::drift::Drift;
use crate::analysis::pretrained::{ModelCard, model_in_use};
use crate::pull::{ModelKind, ShelfError, TrainedModel};
use crate::self_metrics::{FoundationCounters, Skip};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::SelectedSeries;
use storage::label_index::Matcher;
use storage::series::{self, NAME_LABEL};

const PAGE: usize = 100;
/// Samples from which a live model counts as trained.
const SAMPLES_TRAINED: u32 = 1000;
/// The word for the live models, which need no training.
const ONLINE: &str = "ensemble";
const FOUNDATION: &str = "foundation";

#[derive(Debug, Serialize)]
struct Model {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    metric: String,
    labels: BTreeMap<String, String>,
    trained_at: Option<Time>,
    samples: u64,
    version: String,
    status: String,
    age_s: Option<f64>,
    drift: Option<DriftShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foundation: Option<FoundationShape>,
}

/// What a model that was trained on other series is.
#[derive(Debug, Serialize)]
struct FoundationShape {
    layout: &'static str,
    source: String,
    licence: Option<String>,
    parameters: usize,
    context: usize,
    steps_per_pass: usize,
    /// What it does for live series, where it does something.
    live: Option<LiveShape>,
}

/// How forecasts of live series do.
#[derive(Debug, Serialize)]
struct LiveShape {
    series: u64,
    waiting: u64,
    forecasts: u64,
    skipped: u64,
    forecasts_per_second: f64,
    cpu_share: f64,
    cpu_share_limit: f64,
}

impl LiveShape {
    fn of(counters: &FoundationCounters) -> Option<Self> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (cpu_share, cpu_share_limit) = counters.shares()?;
        Some(Self {
            series: read(&counters.bands),
            waiting: read(&counters.waiting),
            forecasts: read(&counters.forecasts),
            skipped: Skip::ALL.into_iter().map(|why| counters.skipped(why)).sum(),
            forecasts_per_second: counters.forecasts_per_second(),
            cpu_share,
            cpu_share_limit,
        })
    }
}

#[derive(Debug, Serialize)]
struct DriftShape {
    psi: f64,
    ks_p: f64,
}

impl From<ShelfError> for ApiError {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::Unknown(_) => Self::unknown(error.to_string()),
            ShelfError::Name => Self::field("model_name", error),
            ShelfError::Full => Self::unprocessable(error.to_string()),
            ShelfError::Io { .. } | ShelfError::Damaged { .. } => Self::internal(&error),
        }
    }
}

/// Lists models: the one all series share, those trained on request, then those of series, each by name.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let kinds = [ONLINE, FOUNDATION].into_iter().chain(ModelKind::ALL.map(ModelKind::name));
    let types = parameters.words("type", &kinds.map(|kind| (kind, kind)).collect::<Vec<_>>())?;
    let sets = parameters.matchers(&shared.api.query)?;
    let metric = parameters.text("metric").map(str::to_owned);
    run(shared, move |shared, cancel| {
        let is_wanted = |kind| types.is_empty() || types.contains(&kind);
        // Models of expressions have no labels of their own to choose by.
        let mut trained = match ModelKind::ALL.into_iter().any(|kind| is_wanted(kind.name())) && sets.is_empty() {
            true => shared.api.shelf.all()?.0,
            false => Vec::new(),
        };
        trained.retain(|model| is_wanted(model.about.kind.name()));
        trained.retain(|model| metric.as_deref().is_none_or(|metric| metric == model.about.promql));
        let mut live = match is_wanted(ONLINE) {
            true => live(shared, metric.as_deref(), &sets)?,
            false => Vec::new(),
        };
        check(cancel)?;
        live.sort_by(|a, b| series::labels(&a.key).cmp(series::labels(&b.key)));
        let shared_by_all = is_wanted(FOUNDATION) && sets.is_empty() && metric.is_none();
        let pretrained = if shared_by_all { model_in_use() } else { None };
        let first = trained.len() + usize::from(pretrained.is_some());
        let total = first + live.len();
        let now_ms = (shared.api.now_ms)();
        let shown = pretrained.map(|card| of_pretrained(card, &shared.api.metrics.foundation)).into_iter();
        let shown = shown.chain(trained.iter().map(|model| of_trained(model, now_ms, None)));
        let mut items: Vec<Model> = shown.skip(page.skip).take(page.limit).collect();
        let skip = page.skip.saturating_sub(first);
        for one in live.iter().skip(skip).take(page.limit - items.len()) {
            items.push(of_series(shared, one, now_ms)?);
        }
        Text::of(&List { total, items })
    })
    .await
}

/// One model that was trained on request.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    run(shared, move |shared, _| {
        let model = shared.api.shelf.get(&name)?;
        Text::of(&of_trained(&model, (shared.api.now_ms)(), shared.api.gauges.drift_of(&name)))
    })
    .await
}

/// Takes a model that was trained on request off.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let name = name_of(path)?;
    run(shared, move |shared, _| {
        shared.api.shelf.remove(&name)?;
        shared.api.gauges.forget(&name);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Series that have a live model and satisfy any one set of matchers.
fn live(shared: &Shared, metric: Option<&str>, sets: &[Vec<Matcher>]) -> Result<Vec<SelectedSeries>, ApiError> {
    let named = match metric {
        Some(metric) => Matcher::equal(NAME_LABEL, metric),
        None => Matcher::not_equal(NAME_LABEL, ""),
    };
    let all = [Vec::new()];
    let mut found = Vec::new();
    for set in if sets.is_empty() { &all[..] } else { sets } {
        let matchers: Vec<_> = set.iter().cloned().chain([named.clone()]).collect();
        found.extend(shared.api.store.find(&matchers, i64::MIN, i64::MAX, &|| false)?);
    }
    if sets.len() > 1 {
        found.sort_unstable_by_key(|one| one.series.0);
        found.dedup_by_key(|one| one.series.0);
    }
    found.retain(|one| shared.api.board.of(one.series).is_some());
    Ok(found)
}

fn of_series(shared: &Shared, one: &SelectedSeries, now_ms: i64) -> Result<Model, ApiError> {
    let samples = shared.api.board.of(one.series).map_or(0, |summary| summary.samples);
    let newest_ms = shared.api.store.newest(one.series)?.map(|(time_ms, _)| time_ms);
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let status = match samples {
        SAMPLES_TRAINED.. => "trained".to_owned(),
        fewer => format!("waiting ({fewer}/{SAMPLES_TRAINED})"),
    };
    Ok(Model {
        name: series_id(&one.key),
        kind: ONLINE,
        metric: series::label(&one.key, NAME_LABEL).unwrap_or("").to_owned(),
        labels: series::labels(&one.key).filter(|(name, _)| *name != NAME_LABEL).map(text).collect(),
        // It learns every sample, so it is as old as the newest.
        trained_at: newest_ms.map(Time),
        samples: u64::from(samples),
        version: ENCODING_VERSION.to_string(),
        status,
        age_s: newest_ms.map(|newest_ms| (now_ms - newest_ms).max(0) as f64 / 1000.0),
        drift: None,
        foundation: None,
    })
}

fn of_trained(model: &TrainedModel, now_ms: i64, drift: Option<Drift>) -> Model {
    let about = &model.about;
    Model {
        name: about.name.clone(),
        kind: about.kind.name(),
        metric: about.promql.clone(),
        labels: BTreeMap::new(),
        trained_at: Some(Time(about.trained_at_ms)),
        samples: model.samples as u64,
        version: about.version.to_string(),
        status: "trained".to_owned(),
        age_s: Some((now_ms - about.trained_at_ms).max(0) as f64 / 1000.0),
        drift: drift.map(|Drift { psi, ks_p, .. }| DriftShape { psi, ks_p }),
        foundation: None,
    }
}

fn of_pretrained(card: ModelCard, counters: &FoundationCounters) -> Model {
    let ModelCard { name, layout, source, licence, parameters, context, steps_per_pass } = card;
    let live = LiveShape::of(counters);
    Model {
        name,
        kind: FOUNDATION,
        metric: String::new(),
        labels: BTreeMap::new(),
        trained_at: None,
        samples: 0,
        version: layout.to_owned(),
        status: "trained".to_owned(),
        age_s: None,
        drift: None,
        foundation: Some(FoundationShape { layout, source, licence, parameters, context, steps_per_pass, live }),
    }
}
