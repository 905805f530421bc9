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

mod anomalies;
mod anomaly_post;
mod detect;
mod export;
mod forecast;
mod metric;
mod metrics;
mod points;
mod rollups;
mod snmp;

pub use answer::not_found;
pub use answer::wrong_method;

use crate::analysis;
use crate::anomaly::book::Book;
use crate::ingest::snmp::SnmpControl;
use crate::query::QueryLimits;
use crate::shard::questions::ModelBoard;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;
use storage::Store;
use tokio::sync::Semaphore;

/// What the API needs to answer.
#[derive(Debug, Clone)]
pub struct RestApi {
    /// Where the samples are.
    pub store: Store,
    /// Where the anomalies are.
    pub book: Book,
    /// What is known of the models.
    pub board: Arc<ModelBoard>,
    /// A way to what polls devices by SNMP, where something does.
    pub snmp: Option<SnmpControl>,
    /// How samples are judged.
    pub settings: analysis::Settings,
    /// What a request may cost: points of a series, time, length of a matcher.
    pub query: QueryLimits,
    /// The present, in milliseconds since 1970 UTC.
    pub now_ms: fn() -> i64,
}

/// The API and what its requests share.
#[derive(Debug)]
struct Shared {
    api: RestApi,
    /// One permit for each request that may compute.
    permits: Arc<Semaphore>,
}

/// The routes, to be mounted under `/api/v1`; at most `at_once` requests compute at a time.
pub fn router(api: RestApi, at_once: usize) -> Router {
    let permits = Arc::new(Semaphore::new(at_once.max(1)));
    Router::new()
        .route("/metrics", get(metrics::list))
        .route("/metrics/{name}", get(metric::show))
        .route("/metrics/{name}/rollups", get(rollups::show))
        .route("/export", get(export::export))
        .route("/detect/{name}", post(detect::detect))
        .route("/forecast/{name}", post(forecast::forecast))
        .route("/anomalies", get(anomalies::list).post(anomaly_post::post))
        .route("/anomalies/stats", get(anomalies::stats))
        .route("/anomalies/{id}", get(anomalies::one))
        .route("/anomalies/{id}/feedback", post(anomalies::feedback).delete(anomalies::take_back))
        .route("/snmp/devices", get(snmp::list).post(snmp::add))
        .route("/snmp/devices/{name}", get(snmp::one).delete(snmp::remove))
        .route("/snmp/traps", get(snmp::traps))
        .with_state(Arc::new(Shared { api, permits }))
}
