//! `GET /api/v1/forecast_rules`: the predictive rules, how their last run went, and the series they hold for.
//!
//! Not here: looking at series (see `forecasts`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::{Page, Parameters};
use super::shapes::{Labels, List, Time};
use crate::analysis::forecast::Direction;
use crate::forecasts::RuleFigures;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use std::sync::Arc;
use storage::series::{self, NAME_LABEL};

const PAGE: usize = 100;

#[derive(Debug, Serialize)]
struct Item<'a> {
    name: &'a str,
    #[serde(rename = "match")]
    selector: &'a str,
    threshold: f64,
    direction: &'static str,
    within_s: f64,
    every_s: f64,
    clear_after_s: f64,
    probability: f64,
    severity: &'static str,
    last_run: Option<Time>,
    runs: u64,
    matched: usize,
    queued: usize,
    error: Option<&'a str>,
    predictions: Vec<Prediction<'a>>,
}

/// A series that a rule holds for; what is expected of it is not known between a start and the next look.
#[derive(Debug, Serialize)]
struct Prediction<'a> {
    metric_name: &'a str,
    labels: Labels<'a>,
    since: Time,
    current: Option<f64>,
    probability: Option<f64>,
    confidence: Option<&'static str>,
    predicted_at: Option<Time>,
    predicted_value: Option<f64>,
    lower_bound: Option<f64>,
    upper_bound: Option<f64>,
    method: Option<&'a str>,
}

/// Lists them by name.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let Page { skip, limit } = Parameters::read(&uri)?.page(PAGE)?;
    let rules = shared.api.forecast_rules.all();
    let items: Vec<Item<'_>> = rules.iter().filter_map(|(name, figures)| item(name, figures)).collect();
    Text::of(&List { total: items.len(), items: items.into_iter().skip(skip).take(limit).collect() })
}

fn item<'a>(name: &'a str, figures: &'a RuleFigures) -> Option<Item<'a>> {
    let rule = figures.rule.as_ref()?;
    let prediction = |(key, (since_ms, told)): (&'a Arc<[u8]>, &'a (i64, Option<crate::forecasts::Prediction>))| {
        let told = told.as_ref();
        Prediction {
            metric_name: series::label(key, NAME_LABEL).unwrap_or(""),
            labels: Labels(key),
            since: Time(*since_ms),
            current: told.map(|told| told.current),
            probability: told.map(|told| told.probability),
            confidence: told.map(|told| if told.is_sure { "high" } else { "medium" }),
            predicted_at: told.map(|told| Time(told.at_ms)),
            predicted_value: told.map(|told| told.expected),
            lower_bound: told.map(|told| told.lower),
            upper_bound: told.map(|told| told.upper),
            method: told.map(|told| told.method.as_str()),
        }
    };
    let seconds = |ms: i64| ms as f64 / 1000.0;
    Some(Item {
        name,
        selector: &rule.selector,
        threshold: rule.threshold.value,
        direction: if rule.threshold.direction == Direction::Above { "above" } else { "below" },
        within_s: seconds(rule.within_ms),
        every_s: seconds(rule.every_ms),
        clear_after_s: seconds(rule.clear_after_ms),
        probability: rule.probability,
        severity: rule.severity.as_str(),
        last_run: figures.ended_ms.map(Time),
        runs: figures.runs,
        matched: figures.matched,
        queued: figures.queued,
        error: figures.error.as_deref(),
        predictions: figures.holds.iter().map(prediction).collect(),
    })
}
