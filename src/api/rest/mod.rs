//! The REST API: metrics with what is known of them, detection over what is stored, forecasts, anomalies, and
//! the devices that are polled.
//!
//! Shapes and conventions are those of `docs/api.md`. Nothing that reads samples or searches records runs on a thread of
//! the async runtime: `run` lends a blocking thread, to so many at a time.
//!
//! Not here: taking samples in (see `ingest`), Prometheus' own API (see `prometheus`).

mod answer;
mod body;
mod parameters;
mod run;

mod shapes;

mod replay;
mod selection;

mod alerts;
mod anomalies;
mod anomaly_post;
mod baseline;
mod capacity;
mod correlated;
mod detect;
mod detect_named;
mod events;
mod export;
mod forecast;
mod forecast_rules;
mod forecast_shapes;
mod live;
mod live_alerts;
mod live_cursor;
mod metric;
mod metrics;
mod models;
mod points;
mod preview;
mod pull;
mod reports;
mod rollups;
mod snmp;

pub(super) use answer::ApiError;
pub use answer::not_found;
pub use answer::wrong_method;

use crate::alert::book::AlertBook;
use crate::analysis;
use crate::anomaly::book::Book;
use crate::change_events::ChangeEvents;
use crate::forecasts::{ForecastDesk, RuleBoard};
use crate::ingest::snmp::SnmpControl;
use crate::monitors::MonitorKeeper;
use crate::pull::{ModelShelf, PullGauges, Source};
use crate::query::QueryLimits;
use crate::reports::ReportBoard;
use crate::rules::RuleKeeper;
use crate::self_metrics::SelfMetrics;
use crate::shard::questions::ModelBoard;
use crate::windowed;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use storage::Store;
use tokio::sync::Semaphore;

/// Exports written at a time.
const EXPORTS: usize = 8;

/// What the API needs to answer.
#[derive(Debug, Clone)]
pub struct RestApi {
    /// Where the samples are.
    pub store: Store,
    /// Where the anomalies are.
    pub book: Book,
    /// Where the alerts are.
    pub alerts: AlertBook,
    /// Rules of files, and how they stand.
    pub rules: Arc<RuleKeeper>,
    /// Monitors of files, and how they stand.
    pub monitors: Arc<MonitorKeeper>,
    /// What is known of the models.
    pub board: Arc<ModelBoard>,
    /// Changes that were told of.
    pub events: ChangeEvents,
    /// Models trained on request.
    pub shelf: Arc<ModelShelf>,
    /// Where these find samples.
    pub source: Source,
    /// What they last said.
    pub gauges: Arc<PullGauges>,
    /// What makes forecasts.
    pub desk: Arc<ForecastDesk>,
    /// What predictive rules came to.
    pub forecast_rules: Arc<RuleBoard>,
    /// Reports that the server made by itself.
    pub reports: Arc<ReportBoard>,
    /// A way to what polls devices by SNMP, where something does.
    pub snmp: Option<SnmpControl>,
    /// How samples are judged.
    pub settings: Arc<analysis::ZonedSettings>,
    /// How windows of chosen series are judged.
    pub windows: windowed::Settings,
    /// What a request may cost: points of a series, time, length of a matcher.
    pub query: QueryLimits,
    /// Our own counters.
    pub metrics: Arc<SelfMetrics>,
    /// Readers of live streams at the same time.
    pub streams_max: usize,
    /// Set when the server has begun to stop, at which streams end.
    pub stopping: Arc<AtomicBool>,
    /// The present, in milliseconds since 1970 UTC.
    pub now_ms: fn() -> i64,
}

/// The API and what its requests share.
#[derive(Debug)]
struct Shared {
    api: RestApi,
    /// One permit for each request that may compute.
    permits: Arc<Semaphore>,
    /// One permit for each export, which takes as long as its reader does and so must not hold one of those.
    exports: Arc<Semaphore>,
    /// One permit for each live stream.
    streams: Arc<Semaphore>,
}

/// The routes to be mounted under `/api/v1`, and those at the root; a request that computes takes one of the permits.
pub fn routers(api: RestApi, permits: Arc<Semaphore>) -> (Router, Router) {
    let (streams, exports) = (Arc::new(Semaphore::new(api.streams_max)), Arc::new(Semaphore::new(EXPORTS)));
    let shared = Arc::new(Shared { api, permits, exports, streams });
    let root = Router::new().route("/train", post(pull::train)).route("/predict", get(pull::predict));
    let under = Router::new()
        .route("/metrics", get(metrics::list))
        .route("/metrics/{name}", get(metric::show))
        .route("/metrics/{name}/rollups", get(rollups::show))
        .route("/metrics/{name}/baseline", get(baseline::show))
        .route("/metrics/{name}/evaluate", get(baseline::evaluate))
        .route("/metrics/{name}/correlated", get(correlated::show))
        .route("/metrics/{name}/preview", post(preview::try_out))
        .route("/export", get(export::export))
        .route("/detect/{name}", post(detect::detect))
        .route("/forecast/{name}", post(forecast::show))
        .route("/capacity", get(capacity::list))
        .route("/forecast_rules", get(forecast_rules::list))
        .route("/reports/capacity", get(reports::list))
        .route("/reports/capacity/{id}", get(reports::one))
        .route("/anomalies", get(anomalies::list).post(anomaly_post::post))
        .route("/anomalies/stats", get(anomalies::stats))
        .route("/anomalies/{id}", get(anomalies::one))
        .route("/anomalies/{id}/feedback", post(anomalies::feedback).delete(anomalies::take_back))
        .route("/stream", get(live::stream))
        .route("/events", get(events::list).post(events::post))
        .route("/models", get(models::list))
        .route("/models/{name}", get(models::one).delete(models::remove))
        .route("/train", post(pull::train))
        .route("/predict", get(pull::predict))
        .route("/snmp/devices", get(snmp::list).post(snmp::add))
        .route("/snmp/devices/{name}", get(snmp::one).delete(snmp::remove))
        .route("/snmp/traps", get(snmp::traps))
        .merge(alerts::routes())
        .with_state(shared.clone());
    (under, root.with_state(shared))
}
