//! The HTTP API of Prometheus: what Grafana, promtool and every other client of Prometheus asks.
//!
//! Paths are relative, so that the router can be mounted under `/api/v1` and `/prometheus/api/v1`. A query never runs on
//! a thread of the async runtime: `run` hands it to a reading thread, lets only so many run at once, and cancels it
//! when its time is up or when the client has gone.
//!
//! Not here: the language (see `query`), taking data in (see `ingest`), rules and alerts.

mod envelope;
mod metadata;
pub mod nothing;
mod out;
mod parameters;
mod queries;
pub mod rules;
mod run;

pub(in crate::api) use parameters::parse_duration_ms;

use crate::metric_metadata::MetricBook;
use crate::query::{QueryLimits, ReadingThreads, Room};
use axum::Router;
use axum::routing::get;
use std::sync::Arc;
use storage::Store;
use tokio::sync::Semaphore;

/// What the API needs to answer.
#[derive(Debug, Clone)]
pub struct PrometheusApi {
    /// Where the samples are.
    pub store: Store,
    /// What senders said of metrics.
    pub told: Arc<MetricBook>,
    /// What a query may cost.
    pub query: QueryLimits,
    /// The memory that all queries share.
    pub room: Arc<Room>,
    /// Where long ones run.
    pub threads: ReadingThreads,
    /// The version that `status/buildinfo` reports.
    pub version: &'static str,
    /// The present, in milliseconds since the epoch.
    pub now_ms: fn() -> i64,
}

/// Long answers written at a time, each of which holds a thread.
const WRITERS: usize = 256;

/// Threads that [`ReadingThreads`] need to have for all that is done at a time: so many answers are written, and these
/// evaluated.
pub const THREADS: usize = WRITERS + 64;

/// A request that chooses no more series than this is looked up at once, and waits for none that may choose more: looking
/// up so many takes well below a millisecond.
const NARROW_SERIES: u64 = 1024;

/// The API and what its requests share.
#[derive(Debug)]
struct Shared {
    api: PrometheusApi,
    /// Where a request over few series takes its turn.
    narrow: Lane,
    /// Where one that may be over many does.
    wide: Lane,
    /// One permit for each long answer that is being written, of which a slow client may take its time.
    writers: Arc<Semaphore>,
    /// One at a time of the queries that found no room in memory tries again.
    turns: Semaphore,
}

/// Who may run beside whom.
#[derive(Debug)]
struct Lane {
    /// One permit per query that may run.
    permits: Arc<Semaphore>,
    /// One permit for each of these that takes its time and is being looked up or evaluated.
    evaluating: Arc<Semaphore>,
}

impl Lane {
    fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), evaluating: Arc::new(Semaphore::new(evaluated_at_once())) }
    }
}

/// Long evaluations at a time in a lane, each of which is lent all cores while it folds: half as many as there are, so that those who
/// write find one, however many ask.
fn evaluated_at_once() -> usize {
    (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

/// The routes of the API.
pub fn router(api: PrometheusApi) -> Router {
    let permits = api.query.max_concurrent.max(1);
    Router::new()
        .route("/query", get(queries::instant).post(queries::instant))
        .route("/query_range", get(queries::range).post(queries::range))
        .route("/format_query", get(queries::format).post(queries::format))
        .route("/query_exemplars", get(metadata::exemplars).post(metadata::exemplars))
        .route("/series", get(metadata::series).post(metadata::series))
        .route("/labels", get(metadata::labels).post(metadata::labels))
        .route("/label/{name}/values", get(metadata::values))
        .route("/metadata", get(metadata::metadata))
        .route("/status/buildinfo", get(metadata::buildinfo))
        .with_state(Arc::new(Shared {
            api,
            narrow: Lane::new(permits),
            wide: Lane::new(permits),
            writers: Arc::new(Semaphore::new(WRITERS)),
            turns: Semaphore::new(1),
        }))
}

#[cfg(test)]
mod tests;
