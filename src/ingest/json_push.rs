//! Samples as JSON: `POST /api/v1/metrics`, answered when everything in it is durable.
//!
//! ```text
//! {"name": "cpu", "value": 3, "timestamp": "2026-01-01T00:00:00Z", "labels": {"host": "a"}}     one, an array of them,
//! {"metrics": [..]}                                                                             or this
//! ```
//!
//! Not here: reading one item (see `json_item`), storing.
//!
//! Invariants: without `?partial=true` one bad item means that nothing of the request is sent to a shard, and the answer
//! names its index and field. What only a shard can know (conflict, late, series limit) is reported with its count; the
//! rest is stored then. 5xx means that sending again is right and harmless.
//!
//! Cost: below 2 us an item from text to journal (200 000 rows of a file take `collect` 0.35 s of a core, reading the file
//! included), in slices of `SLICE_ITEMS`.

use super::body::{Bodies, BodyError};
use super::json_item::{Bounds, ItemFault, read_item};
use super::lane::{Lane, Lanes};
use super::outcome::{self, NotStored};
use crate::clock;
use crate::self_metrics::{Rejection, SelfMetrics, Source};
use crate::series_file::JsonFields;
use crate::shard::{Tally, rejections};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::series::KeyBuilder;

/// Items read between two looks at other work: below 4 ms.
const SLICE_ITEMS: usize = 2048;
/// Errors that a partial answer lists.
const ERRORS_MAX: usize = 100;
/// What senders are told to wait before they try again.
const RETRY_AFTER_S: &str = "1";

/// The receiver's state.
#[derive(Debug)]
struct JsonPush {
    lanes: Lanes,
    metrics: Arc<SelfMetrics>,
    bodies: Arc<Bodies>,
    future_ms: i64,
}

/// The route that takes JSON; samples more than `future_ms` ahead of the clock are refused.
pub fn router(lanes: Lanes, metrics: Arc<SelfMetrics>, bodies: Arc<Bodies>, future_ms: i64) -> Router {
    let state = Arc::new(JsonPush { lanes, metrics, bodies, future_ms });
    Router::new().route("/metrics", post(push)).with_state(state)
}

async fn push(
    State(state): State<Arc<JsonPush>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match state.receive(query.as_deref(), &headers, body).await {
        Ok(answer) => answer,
        Err(refusal) => {
            if !matches!(refusal, Refusal::NotStored(_)) {
                state.metrics.bad_requests.fetch_add(1, Ordering::Relaxed);
            }
            refusal.into_response()
        }
    }
}

impl JsonPush {
    async fn receive(&self, query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
        let partial = is_partial(query)?;
        let (body, _room) = self.bodies.read(headers, body).await.map_err(Refusal::of_body)?;
        let mut lane = self.lanes.lane();
        let mut read = ItemsRead::default();
        let bounds = Bounds { now_ms: clock::now_ms(), future_ms: self.future_ms };
        let mut keys = KeyBuilder::default();
        for (index, item) in items(&body)?.into_iter().enumerate() {
            match read_item(item, &bounds, &mut keys) {
                Ok(sample) => {
                    lane.series(sample.key);
                    lane.sample(sample.time_ms, sample.value);
                    read.sent += 1;
                }
                Err(fault) if partial => read.reject(index, fault),
                Err(fault) => return Err(Refusal::Item(index, fault)),
            }
            if index % SLICE_ITEMS == SLICE_ITEMS - 1 {
                tokio::task::yield_now().await;
            }
        }
        drop(body);
        self.store(lane, read, partial).await
    }

    async fn store(&self, lane: Lane, read: ItemsRead, partial: bool) -> Result<Response, Refusal> {
        let counters = self.metrics.of(Source::Json);
        counters.add_received(read.sent + read.rejected);
        read.by_reason.iter().for_each(|reason| counters.add_rejected(*reason, 1));
        let tally = outcome::store(lane, Source::Json, &self.metrics).await.map_err(Refusal::NotStored)?.tally;
        Ok(if partial { partial_answer(&tally, read) } else { whole_answer(&tally) })
    }
}

/// What reading the items came to.
#[derive(Debug, Default)]
struct ItemsRead {
    sent: u64,
    rejected: u64,
    by_reason: Vec<Rejection>,
    errors: Vec<Value>,
}

impl ItemsRead {
    fn reject(&mut self, index: usize, fault: ItemFault) {
        self.rejected += 1;
        self.by_reason.push(fault.reason);
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(json!({"index": index, "error": fault.to_string()}));
        }
    }
}

/// The items of a body, each as it stands there.
fn items(body: &[u8]) -> Result<Vec<&RawValue>, Refusal> {
    let malformed = |error: serde_json::Error| Refusal::Malformed(error.to_string());
    let root: &RawValue = serde_json::from_slice(body).map_err(malformed)?;
    if root.get().starts_with('[') {
        return serde_json::from_str(root.get()).map_err(malformed);
    }
    if !root.get().starts_with('{') {
        return Err(Refusal::Malformed("expected an object or an array of objects".to_owned()));
    }
    let JsonFields(fields) = serde_json::from_str(root.get()).map_err(malformed)?;
    let Some((_, metrics)) = fields.iter().find(|(name, _)| name == "metrics") else { return Ok(vec![root]) };
    if let Some((unknown, _)) = fields.iter().find(|(name, _)| name != "metrics") {
        return Err(Refusal::Field { field: unknown.to_string(), what: "unknown field beside metrics".to_owned() });
    }
    let not_array = |_| Refusal::Field { field: "metrics".to_owned(), what: "expected an array of objects".to_owned() };
    serde_json::from_str(metrics.get()).map_err(not_array)
}

fn is_partial(query: Option<&str>) -> Result<bool, Refusal> {
    let mut partial = false;
    for pair in query.unwrap_or("").split('&') {
        partial = match pair.split_once('=').unwrap_or((pair, "")) {
            ("partial", "true" | "1") => true,
            ("partial", "false" | "0") => false,
            ("partial", _) => {
                return Err(Refusal::Field { field: "partial".to_owned(), what: "expected true or false".to_owned() });
            }
            _ => partial,
        };
    }
    Ok(partial)
}

/// What shards refused: how many, and one line for each reason.
fn refused_by_shards(tally: &Tally) -> (u64, Vec<String>) {
    let late = (tally.late, "late", "older than storage.out_of_order allows");
    let rejected = rejections(tally).map(|(reason, count)| (count, reason.name(), reason.explained()));
    let all = rejected.into_iter().chain([late]).filter(|(count, ..)| *count > 0);
    let (counts, lines): (Vec<u64>, _) =
        all.map(|(count, name, explained)| (count, format!("{count} {name} ({explained})"))).unzip();
    (counts.iter().sum(), lines)
}

fn whole_answer(tally: &Tally) -> Response {
    let (rejected, reasons) = refused_by_shards(tally);
    let accepted = tally.stored + tally.duplicate;
    let mut answer = json!({"accepted": accepted, "rejected": rejected, "duplicate": tally.duplicate});
    if rejected == 0 {
        return Json(answer).into_response();
    }
    answer["error"] = format!("{accepted} samples stored, {rejected} not: {}", reasons.join("; ")).into();
    (StatusCode::BAD_REQUEST, Json(answer)).into_response()
}

fn partial_answer(tally: &Tally, read: ItemsRead) -> Response {
    let (rejected, reasons) = refused_by_shards(tally);
    let mut errors = read.errors;
    // Shards answer for batches, so they know how many but not which.
    errors.extend(reasons.into_iter().map(|reason| json!({"index": null, "error": reason})));
    errors.truncate(ERRORS_MAX);
    Json(json!({
        "accepted": tally.stored + tally.duplicate,
        "rejected": read.rejected + rejected,
        "duplicate": tally.duplicate,
        "errors": errors,
    }))
    .into_response()
}

/// Why nothing, or not everything, of a request was stored.
#[derive(Debug)]
enum Refusal {
    Malformed(String),
    Field { field: String, what: String },
    Item(usize, ItemFault),
    TooLarge(usize),
    Slow,
    NotStored(NotStored),
}

impl Refusal {
    fn of_body(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(bytes) => Self::TooLarge(bytes),
            BodyError::Slow => Self::Slow,
            BodyError::NoRoom => Self::NotStored(NotStored::Busy),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Malformed(what) => (StatusCode::BAD_REQUEST, json!({"error": format!("malformed body: {what}")})),
            Self::Field { field, what } => {
                (StatusCode::BAD_REQUEST, json!({"error": format!("{field}: {what}"), "field": field}))
            }
            Self::Item(index, fault) => {
                let error = format!("item {index}: {fault}; nothing of this request was stored");
                (StatusCode::BAD_REQUEST, json!({"error": error, "index": index, "field": fault.field}))
            }
            Self::TooLarge(bytes) => {
                let error = format!("body is larger than http.max_body_bytes ({bytes} bytes)");
                (StatusCode::PAYLOAD_TOO_LARGE, json!({"error": error}))
            }
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, json!({"error": "body did not arrive in time"})),
            Self::NotStored(why) => {
                let body = Json(json!({"error": why.to_string()}));
                return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_S)], body).into_response();
            }
        };
        (status, Json(body)).into_response()
    }
}
