//! `/api/v1/incidents` and `/api/v1/topology`: alerts that have one cause, and which services need which others.
//!
//! Not here: how incidents are found (see `alert`).

use super::super::Shared;
use super::super::answer::{ApiError, Text};
use super::super::body::bytes;
use super::super::parameters::Parameters;
use super::super::selection::name_of;
use super::super::shapes::List;
use super::{PAGE, wished};
use crate::alert::book::{View, Wish};
use crate::alert::{AlertShape, Cause, Incident, IncidentId, Time, Topology};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Alerts that an incident of a list shows.
const ALERTS_SHOWN: usize = 100;

/// The shape of an incident.
#[derive(Debug, Serialize)]
pub(in crate::api::rest) struct Shape<'a> {
    id: IncidentId,
    state: &'static str,
    alerts: Vec<AlertShape<'a>>,
    services: &'a BTreeSet<String>,
    primary_service: Option<&'a str>,
    severity: &'static str,
    start_time: Time,
    end_time: Option<Time>,
    alert_count: u64,
    cause: Option<CauseShape<'a>>,
    candidates: Vec<CandidateShape<'a>>,
    evidence: Vec<EvidenceShape<'a>>,
}

#[derive(Debug, Serialize)]
struct CauseShape<'a> {
    alert: String,
    metric_name: Option<&'a str>,
    why: String,
    sure: bool,
}

#[derive(Debug, Serialize)]
struct CandidateShape<'a> {
    alert: String,
    score: f64,
    why: &'a str,
}

#[derive(Debug, Serialize)]
struct EvidenceShape<'a> {
    alert: String,
    with: Option<String>,
    score: f64,
    why: &'a str,
}

impl<'a> Shape<'a> {
    /// Of an incident, with what is known of its alerts.
    pub(in crate::api::rest) fn of(incident: &'a Incident, view: &'a View) -> Self {
        let members = incident.members.iter().take(ALERTS_SHOWN);
        let label = |print, names: &[&str]| {
            let alert = view.alerts.get(&print)?;
            names.iter().find_map(|name| alert.labels.get(*name)).map(String::as_str)
        };
        let first = incident.cause.as_ref().and_then(|cause| cause.candidates.first());
        let service =
            first.and_then(|first| label(first.alert, &["service", "service_name", "app", "application", "component"]));
        let cause = |cause: &Cause| {
            let first = cause.candidates.first()?;
            let why = if cause.is_sure { first.why.clone() } else { format!("{}; unsure: {}", first.why, cause.doubt) };
            let metric_name = label(first.alert, &["metric_name"]);
            Some(CauseShape { alert: first.alert.to_string(), metric_name, why, sure: cause.is_sure })
        };
        let candidates = incident.cause.iter().flat_map(|cause| &cause.candidates).take(ALERTS_SHOWN);
        Self {
            id: incident.id,
            state: if incident.end_ms.is_some() { "closed" } else { "open" },
            alerts: members
                .clone()
                .filter_map(|member| view.alerts.get(&member.alert))
                .map(|one| AlertShape::of(one))
                .collect(),
            services: &incident.services,
            primary_service: service.or(incident.services.first().map(String::as_str)),
            severity: incident.severity.as_str(),
            start_time: Time(incident.start_ms),
            end_time: incident.end_ms.map(Time),
            alert_count: incident.alert_count(),
            cause: incident.cause.as_ref().and_then(cause),
            candidates: candidates
                .map(|one| CandidateShape { alert: one.alert.to_string(), score: one.score, why: &one.why })
                .collect(),
            evidence: members
                .map(|member| EvidenceShape {
                    alert: member.alert.to_string(),
                    with: member.with.map(|with| with.to_string()),
                    score: member.score,
                    why: &member.why,
                })
                .collect(),
        }
    }
}

/// Lists incidents, the newest first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let states = [("open", Some(true)), ("closed", Some(false)), ("all", None)];
    let wanted = parameters.word("state", &states)?.flatten();
    let view = shared.api.alerts.view();
    let is_wanted = |one: &&Arc<Incident>| wanted.is_none_or(|open| one.end_ms.is_none() == open);
    let mut found: Vec<_> = view.incidents.values().filter(is_wanted).collect();
    found.sort_by_key(|one| (std::cmp::Reverse(one.start_ms), one.id));
    let items = found.iter().skip(page.skip).take(page.limit).map(|one| Shape::of(one, &view)).collect();
    Text::of(&List { total: found.len(), items })
}

/// One incident.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Text, ApiError> {
    let id: IncidentId = name_of(path)?.parse().map_err(|error| ApiError::field("id", error))?;
    let view = shared.api.alerts.view();
    let incident = view.incidents.get(&id).ok_or_else(|| ApiError::unknown("no such incident"))?;
    Text::of(&Shape::of(incident, &view))
}

/// Which services need which others.
pub(super) async fn topology(State(shared): State<Arc<Shared>>) -> Result<Text, ApiError> {
    Text::of(&shared.api.alerts.view().topology.0)
}

/// Puts another topology in the place of the one before.
pub(super) async fn set_topology(State(shared): State<Arc<Shared>>, body: Body) -> Result<Text, ApiError> {
    let body = bytes(body).await?;
    let topology = serde_json::from_slice(&body).map_err(|error| ApiError::bad(format!("malformed body: {error}")))?;
    let topology = Topology(topology).checked().map_err(ApiError::bad)?;
    let text = Text::of(&topology.0)?;
    wished(&shared, Wish::SetTopology(topology)).await?;
    Ok(text)
}
