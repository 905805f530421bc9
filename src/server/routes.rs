//! All routes of the server, and what each needs.
//!
//! Not here: what they answer (see `api`, `ingest`).

use super::settings::{body_limits, query_limits, windowed_settings};
use super::{Running, cores};
use crate::access::Guard;
use crate::api::prometheus::{self, PrometheusApi};
use crate::api::rest::{self, RestApi};
use crate::api::{admin, compress, conventions, health, metrics_page, openapi};
use crate::clock;
use crate::config::Config;
use crate::ingest::snmp::SnmpHandle;
use crate::ingest::{Bodies, json_push, remote_write};
use crate::pull::{PullGauges, Source};
use axum::Router;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What only a server that listens has.
pub(super) struct Served {
    /// Who may ask.
    pub(super) guard: Arc<Guard>,
    /// Reads the settings again.
    pub(super) reload: admin::Reload,
}

/// Every route.
pub(super) fn routes(
    config: &Config,
    running: &Running,
    stopping: Arc<AtomicBool>,
    started_ms: i64,
    served: Option<Served>,
) -> Router {
    let (guard, reload) = served.map(|served| (served.guard, served.reload)).unzip();
    let now_ms = clock::now_ms as fn() -> i64;
    let query = query_limits(&config.query);
    let room = running.room.clone();
    let gauges = running.gauges.clone();
    let (in_prometheus, in_json) = taking_in(config, running);
    let read = prometheus::router(PrometheusApi {
        store: running.store.clone(),
        told: running.told.clone(),
        query: query.clone(),
        room: room.clone(),
        threads: running.reading.clone(),
        version: env!("CARGO_PKG_VERSION"),
        now_ms,
    });
    let prometheus = in_prometheus.merge(compress::encoded(read));
    let health = health(running, stopping.clone(), started_ms);
    let page = page(config, running, gauges.clone(), guard);
    let (own, at_root) = rest_routes(config, running, gauges, stopping);
    let rules = prometheus::rules::RulesApi { rules: running.rules.clone(), alerts: running.alerts.book.clone() };
    let rules = compress::encoded(prometheus::rules::router(rules));
    Router::new()
        .nest("/api/v1", prometheus.clone().merge(in_json).merge(own))
        .nest("/prometheus/api/v1", prometheus.merge(prometheus::nothing::router()).merge(rules))
        .merge(at_root)
        .merge(health::router(health))
        .merge(compress::encoded(metrics_page::router(page)))
        .merge(compress::encoded(conventions::conditional(openapi::router())))
        .merge(admin::router(running.store.clone(), reload))
        .fallback(rest::not_found)
        .method_not_allowed_fallback(rest::wrong_method)
}

/// What the server's health is judged by.
pub(super) fn health(running: &Running, stopping: Arc<AtomicBool>, started_ms: i64) -> health::Health {
    health::Health {
        store: running.store.clone(),
        book: running.book.clone(),
        alerts: running.alerts.book.clone(),
        board: running.board.clone(),
        metrics: running.metrics.clone(),
        seen: running.health.clone(),
        stopping,
        started_ms,
        now_ms: clock::now_ms,
    }
}

/// What `/metrics` shows.
pub(super) fn page(
    config: &Config,
    running: &Running,
    pull: Arc<PullGauges>,
    guard: Option<Arc<Guard>>,
) -> metrics_page::MetricsPage {
    metrics_page::MetricsPage {
        metrics: running.metrics.clone(),
        told: running.told.clone(),
        store: running.store.clone(),
        book: running.book.clone(),
        alerts: running.alerts.book.clone(),
        rules: running.rules.clone(),
        monitors: running.alerts.monitors.clone(),
        board: running.board.clone(),
        names_max: config.metrics.names_max,
        queries: running.room.clone(),
        pull,
        watched: running.watched.clone(),
        grouped: running.grouped.clone(),
        accuracy: running.accuracy.clone(),
        health: running.health.clone(),
        desk: running.forecasts.desk.clone(),
        forecast_rules: running.forecasts.board.clone(),
        reports: running.forecasts.reports.clone(),
        windowed: running.windowed.clone(),
        guard,
        queues: queues(running),
        budget: config.budget.anomalies_per_series_month,
        now_ms: clock::now_ms,
    }
}

/// What takes samples in: remote write, and JSON.
fn taking_in(config: &Config, running: &Running) -> (Router, Router) {
    let bodies = Arc::new(Bodies::new(body_limits(&config.http)));
    let (lanes, metrics, told) = (running.lanes.clone(), running.metrics.clone(), running.told.clone());
    let known_bytes_max = config.remote_write.known_series_bytes as usize;
    let write = remote_write::router(lanes.clone(), metrics.clone(), told, bodies.clone(), known_bytes_max);
    let future_ms = config.storage.future.as_millis() as i64;
    (write, json_push::router(lanes, metrics, bodies, future_ms))
}

/// The REST API.
fn rest_routes(
    config: &Config,
    running: &Running,
    gauges: Arc<PullGauges>,
    stopping: Arc<AtomicBool>,
) -> (Router, Router) {
    let query = query_limits(&config.query);
    let api = RestApi {
        store: running.store.clone(),
        book: running.book.clone(),
        alerts: running.alerts.book.clone(),
        rules: running.rules.clone(),
        monitors: running.alerts.monitors.clone(),
        board: running.board.clone(),
        events: running.events.clone(),
        shelf: running.shelf.clone(),
        source: source(config, running),
        gauges,
        desk: running.forecasts.desk.clone(),
        forecast_rules: running.forecasts.board.clone(),
        reports: running.forecasts.reports.clone(),
        snmp: running.snmp.as_ref().map(SnmpHandle::control).cloned(),
        settings: running.judging.clone(),
        windows: windowed_settings(config),
        query,
        metrics: running.metrics.clone(),
        streams_max: config.http.max_streams,
        stopping,
        now_ms: clock::now_ms,
    };
    let (own, at_root) = rest::routers(api, running.computing.clone());
    let finished = |routes| compress::encoded(conventions::conditional(routes));
    (finished(own), finished(at_root))
}

/// Where the pull service and watched expressions find samples.
pub(super) fn source(config: &Config, running: &Running) -> Source {
    let prometheus_url = config.pull.prometheus_url.trim_end_matches('/').to_owned();
    let (store, room) = (running.store.clone(), running.room.clone());
    Source { store, room, limits: query_limits(&config.query), prometheus_url }
}

fn queues(running: &Running) -> metrics_page::Queues {
    let computing = running.computing.clone();
    let (lanes, store, pieces) = (running.lanes.clone(), running.store.clone(), running.statsd.pieces.clone());
    let (anomalies, runs) = (running.book.clone(), running.runs.clone());
    let (alerts, signals) = (running.alerts.book.clone(), running.alerts.signals());
    let others = move || {
        let mut all = vec![
            ("journal", store.journal_waiting()),
            ("anomaly_runs", (runs.len(), runs.capacity().unwrap_or(0))),
            ("anomaly_wishes", anomalies.waiting()),
            ("alert_signals", (signals.len(), signals.capacity().unwrap_or(0))),
            ("alert_wishes", alerts.waiting()),
            ("computations", (cores().saturating_sub(computing.available_permits()), cores())),
        ];
        all.extend(pieces.as_ref().map(|pieces| ("statsd_tcp_pieces", pieces.waiting())));
        all
    };
    metrics_page::Queues { shards: Arc::new(move || lanes.waiting()), others: Arc::new(others) }
}
