//! `/api/v1/rules`: the rules in force and how they stand, and a rule file that is kept over HTTP.
//!
//! Not here: what rules mean (see `rules`), the same in Prometheus' shape (see `api::prometheus`).

use super::super::Shared;
use super::super::answer::{ApiError, Text};
use super::super::body::bytes;
use super::super::parameters::Parameters;
use super::super::run::run;
use super::PAGE;
use crate::alert::Time;
use crate::rules::board::{GroupView, Health};
use crate::rules::{NotKept, Rule, RuleError, RuleKind};
use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Rules<'a> {
    total: usize,
    items: Vec<Shape<'a>>,
    /// The file that is kept over HTTP.
    kept: String,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    name: &'a str,
    r#type: &'static str,
    expression: &'a str,
    for_s: f64,
    keep_firing_for_s: f64,
    labels: &'a BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    group: &'a str,
    interval_s: f64,
    file: &'a str,
    line: usize,
    health: &'static str,
    error: Option<String>,
    evaluated_at: Option<Time>,
    took_s: f64,
    pending: usize,
    firing: usize,
}

impl<'a> Shape<'a> {
    fn of(view: &'a GroupView, at: usize, rule: &'a Rule) -> Self {
        let known = view.rules.get(at);
        let health = known.map_or(&Health::Unknown, |known| &known.health);
        let alerts = known.map_or(&[][..], |known| &known.alerts);
        let firing = alerts.iter().filter(|alert| alert.is_firing).count();
        let (labels, alerting) = match &rule.kind {
            RuleKind::Recording(labels) => (labels, None),
            RuleKind::Alerting(alerting) => (&alerting.labels, Some(alerting)),
        };
        let seconds = |ms: i64| ms as f64 / 1000.0;
        Self {
            name: &rule.name,
            r#type: if alerting.is_some() { "alerting" } else { "recording" },
            expression: &rule.expression,
            for_s: alerting.map_or(0.0, |alerting| seconds(alerting.for_ms)),
            keep_firing_for_s: alerting.map_or(0.0, |alerting| seconds(alerting.keep_firing_for_ms)),
            labels,
            annotations: alerting.map_or_else(BTreeMap::new, |alerting| alerting.annotations.clone()),
            group: &view.group.name,
            interval_s: seconds(view.group.interval_ms),
            file: &view.group.file,
            line: rule.line,
            health: match health {
                Health::Unknown => "unknown",
                Health::Good => "ok",
                Health::Failing(_) => "failing",
            },
            error: if let Health::Failing(error) = health { Some(error.clone()) } else { None },
            evaluated_at: known.and_then(|known| known.last_ms).map(Time),
            took_s: known.map_or(0.0, |known| known.took_s),
            pending: alerts.len() - firing,
            firing,
        }
    }
}

/// Lists rules in the order of their files.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let rules = &shared.api.rules;
    let views = rules.board.groups();
    let all = views.iter().flat_map(|view| view.group.rules.iter().enumerate().map(move |(at, rule)| (view, at, rule)));
    let shown = all.clone().skip(page.skip).take(page.limit);
    Text::of(&Rules {
        total: all.count(),
        items: shown.map(|(view, at, rule)| Shape::of(view, at, rule)).collect(),
        kept: rules.kept(),
        error: rules.files.failing(),
    })
}

#[derive(Debug, Serialize)]
struct Kept {
    groups: usize,
    rules: usize,
}

/// Keeps a rule file, as YAML or as JSON, in place of the one before; an empty body takes it away.
pub(super) async fn put(State(shared): State<Arc<Shared>>, body: Body) -> Result<Text, ApiError> {
    let body = bytes(body).await?;
    let text = String::from_utf8(body.to_vec()).map_err(|_| ApiError::bad("malformed body: expected UTF-8"))?;
    run(shared, move |shared, _| {
        let read = shared.api.rules.check(&text).map_err(wrong)?;
        shared.api.rules.keep(&text).map_err(|error| match error {
            NotKept::Wrong(errors) => wrong(errors),
            NotKept::NotStored(error) => ApiError::internal(&error),
        })?;
        Text::of(&Kept { groups: read.len(), rules: read.iter().map(|group| group.rules.len()).sum() })
    })
    .await
}

/// Every mistake, one a line.
fn wrong(errors: Vec<RuleError>) -> ApiError {
    ApiError::bad(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
