//! `/api/v1/monitors`: the monitors in force and how they stand.
//!
//! Not here: what monitors mean (see `monitors`).

use super::super::Shared;
use super::super::answer::{ApiError, Text};
use super::super::parameters::Parameters;
use super::PAGE;
use crate::alert::Time;
use crate::monitors::{MonitorKind, MonitorView, PeerMethod, SeriesView};
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Monitors<'a> {
    total: usize,
    items: Vec<Shape<'a>>,
    /// Why the files could not be read, while that is so.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    name: &'a str,
    r#type: &'static str,
    state: &'static str,
    query: &'a str,
    algorithm: &'static str,
    direction: &'static str,
    interval_s: f64,
    rollup_s: f64,
    window_s: f64,
    history_s: f64,
    critical: f64,
    warning: Option<f64>,
    tags: &'a BTreeMap<String, String>,
    message: &'a str,
    file: &'a str,
    line: usize,
    series: usize,
    held: Vec<Series<'a>>,
    error: Option<&'a str>,
    evaluated_at: Option<Time>,
    took_s: f64,
    looks: u64,
    failures: u64,
}

#[derive(Debug, Serialize)]
struct Series<'a> {
    labels: &'a BTreeMap<String, String>,
    state: &'static str,
    since: Time,
    measure: f64,
    summary: &'a str,
}

impl<'a> Shape<'a> {
    fn of(view: &'a MonitorView) -> Self {
        let monitor = &*view.monitor;
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let algorithm = match &monitor.kind {
            MonitorKind::Anomaly { algorithm, .. } => algorithm.as_str(),
            MonitorKind::Outlier { method: PeerMethod::Dbscan, .. } => "dbscan",
            MonitorKind::Outlier { method: PeerMethod::Mad, .. } => "mad",
            MonitorKind::Forecast { is_linear: true, .. } => "linear",
            MonitorKind::Forecast { .. } => "seasonal",
        };
        let of_series = |one: &'a SeriesView| Series {
            labels: &one.labels,
            state: one.standing.as_str(),
            since: Time(one.since_ms),
            measure: one.measure,
            summary: &one.says,
        };
        Self {
            name: &monitor.name,
            r#type: monitor.kind_word(),
            state: view.standing().as_str(),
            query: &monitor.query,
            algorithm,
            direction: monitor.direction(),
            interval_s: seconds(monitor.interval_ms),
            rollup_s: seconds(monitor.rollup_ms),
            window_s: seconds(monitor.window_ms),
            history_s: seconds(monitor.history_ms),
            critical: monitor.limits.critical,
            warning: monitor.limits.warning,
            tags: &monitor.tags,
            message: &monitor.text,
            file: &monitor.file,
            line: monitor.line,
            series: view.series,
            held: view.held.iter().map(of_series).collect(),
            error: view.error.as_deref(),
            evaluated_at: view.last_ms.map(Time),
            took_s: view.took_s,
            looks: view.looks,
            failures: view.failures,
        }
    }
}

/// Lists monitors in the order of their files.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let page = Parameters::read(&uri)?.page(PAGE)?;
    let views = shared.api.monitors.views();
    let items = views.iter().skip(page.skip).take(page.limit).map(Shape::of).collect();
    Text::of(&Monitors { total: views.len(), items, error: shared.api.monitors.files.failing() })
}
