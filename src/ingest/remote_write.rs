//! Prometheus remote write 1.0: `POST /api/v1/write` (and `/api/v1/push`), answered when everything in it is durable.
//!
//! ```text
//! headers ─ room ─ body ─ snappy ─ parse and translate in slices ─ lanes ─ shards ... commit ─ answer
//! ```
//!
//! Not here: the wire format (see `protocols::remote_write`), storing.
//!
//! Invariants: a request that is malformed anywhere leaves nothing behind; 2xx means that every sample of the request is
//! synced to disk, now or before; 5xx that resending is right and harmless.
//!
//! Cost: one request of 2000 samples takes about 0.4 ms of a worker's time in slices of `SLICE_SERIES`.

use super::lane::{Lane, Lanes, SendError};
use super::translate::{Translated, remote_write_series};
use crate::self_metrics::{Drop, SelfMetrics, Source};
use crate::shard::{Reply, StoreError, Tally, rejections};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use protocols::remote_write::{Schema, headers, schema, time_series};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::series::KeyBuilder;
use tokio::sync::{Semaphore, mpsc};

/// Series parsed between two looks at other work: well below 5 ms.
const SLICE_SERIES: usize = 4096;
/// How long a sender may take to send a body, and how long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(30);
/// What senders are told to wait before they try again.
const RETRY_AFTER_S: &str = "1";

/// Most bytes of a request, and of all requests in work at a time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Compressed, of one request.
    pub body_bytes: usize,
    /// Decompressed, of one request.
    pub decompressed_bytes: usize,
    /// Compressed and decompressed, of all requests together.
    pub in_flight_bytes: usize,
}

/// The receiver's state.
#[derive(Debug)]
pub struct RemoteWrite {
    lanes: Lanes,
    metrics: Arc<SelfMetrics>,
    limits: BodyLimits,
    room_kib: Semaphore,
}

/// The routes that take remote write.
pub fn router(lanes: Lanes, metrics: Arc<SelfMetrics>, limits: BodyLimits) -> Router {
    let room_kib = Semaphore::new(limits.in_flight_bytes.div_ceil(1024));
    let state = Arc::new(RemoteWrite { lanes, metrics, limits, room_kib });
    Router::new().route("/write", post(write)).route("/push", post(write)).with_state(state)
}

async fn write(State(state): State<Arc<RemoteWrite>>, headers: HeaderMap, body: Body) -> Response {
    match state.receive(&headers, body).await {
        Ok(response) => response,
        Err(refusal) => {
            if !refusal.is_retryable() {
                state.metrics.bad_requests.fetch_add(1, Ordering::Relaxed);
            }
            refusal.into_response()
        }
    }
}

impl RemoteWrite {
    async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
        check_headers(headers)?;
        let claimed_bytes = content_length(headers).unwrap_or(self.limits.body_bytes);
        if claimed_bytes > self.limits.body_bytes {
            return Err(Refusal::TooLarge(self.limits.body_bytes));
        }
        // Room for the body and, since snappy seldom does better, for four times as much decompressed.
        let kib = (claimed_bytes * 5).clamp(1024, self.limits.in_flight_bytes).div_ceil(1024) as u32;
        let room = tokio::time::timeout(PATIENCE, self.room_kib.acquire_many(kib)).await;
        let _room = room.map_err(|_| Refusal::Busy)?.map_err(|_| Refusal::Busy)?;
        let body = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, self.limits.body_bytes)).await;
        let body = body.map_err(|_| Refusal::Slow)?.map_err(|_| Refusal::TooLarge(self.limits.body_bytes))?;
        let mut request = Vec::new();
        protocols::remote_write::decompress(&body, self.limits.decompressed_bytes, &mut request)
            .map_err(Refusal::Malformed)?;
        drop(body);
        let mut lane = self.lanes.lane();
        let translated = translate(&request, &mut lane).await?;
        drop(request);
        self.metrics.exemplars_ignored.fetch_add(translated.exemplars, Ordering::Relaxed);
        Ok(self.store(lane, translated).await)
    }

    /// Hands the lane's batches over and waits until all are durable or refused.
    async fn store(&self, lane: Lane, translated: Translated) -> Response {
        let counters = self.metrics.of(Source::RemoteWrite);
        counters.add_received(translated.received);
        for (reason, count) in &translated.rejected {
            counters.add_rejected(*reason, *count);
        }
        let mut refused = None;
        let mut waiting = lane.batches_len();
        let (answer, mut answers) = mpsc::channel::<Result<Tally, StoreError>>(waiting.max(1));
        let reply = || {
            let answer = answer.clone();
            let reply: Reply = Box::new(move |outcome| {
                // The request is gone only when its connection is; what it sent is stored all the same.
                let _ = answer.try_send(outcome);
            });
            reply
        };
        lane.send(Source::RemoteWrite, reply, |error, samples| {
            let (reason, refusal) = match error {
                SendError::Full => (Drop::QueueFull, Refusal::Busy),
                SendError::Closed => (Drop::Shutdown, Refusal::Closing),
            };
            counters.add_dropped(reason, samples);
            refused = Some(refusal);
            waiting -= 1;
        });
        drop(answer);
        let mut tally = Tally::default();
        while let Some(outcome) = answers.recv().await {
            waiting -= 1;
            match outcome {
                Ok(one) => tally.add(&one),
                Err(error) => refused = Some(Refusal::NotStored(error.to_string())),
            }
        }
        match refused {
            Some(refusal) => refusal.into_response(),
            // A shard that ended with the batch in its queue answers nothing.
            None if waiting > 0 => Refusal::Closing.into_response(),
            None => answer_for(&tally, &translated),
        }
    }
}

async fn translate(request: &[u8], lane: &mut Lane) -> Result<Translated, Refusal> {
    let mut keys = KeyBuilder::default();
    let mut translated = Translated::default();
    let mut parsed = 0;
    for series in time_series(request) {
        remote_write_series(&series.map_err(Refusal::Malformed)?, &mut keys, lane, &mut translated);
        parsed += 1;
        if parsed % SLICE_SERIES == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(translated)
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").trim();
    let encoding = text(header::CONTENT_ENCODING);
    if !encoding.eq_ignore_ascii_case(headers::CONTENT_ENCODING) {
        return Err(Refusal::Encoding(encoding.to_owned()));
    }
    match schema(text(header::CONTENT_TYPE)) {
        Some(Schema::V1) => Ok(()),
        _ => Err(Refusal::ContentType(text(header::CONTENT_TYPE).to_owned())),
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// 204 when everything is stored, else 400 with what is not and why.
fn answer_for(tally: &Tally, translated: &Translated) -> Response {
    let written = tally.stored + tally.duplicate;
    let mut reasons: Vec<(u64, &str, &str)> = Vec::new();
    let by_shards = rejections(tally);
    for (reason, count) in translated.rejected.iter().chain(&by_shards).filter(|(_, count)| *count > 0) {
        reasons.push((*count, reason.name(), reason.explained()));
    }
    if tally.late > 0 {
        reasons.push((tally.late, "late", "older than storage.out_of_order allows"));
    }
    let counts = [
        (headers::SAMPLES_WRITTEN, written.to_string()),
        (headers::HISTOGRAMS_WRITTEN, "0".to_owned()),
        (headers::EXEMPLARS_WRITTEN, "0".to_owned()),
    ];
    if reasons.is_empty() {
        return (StatusCode::NO_CONTENT, counts).into_response();
    }
    let refused: u64 = reasons.iter().map(|(count, ..)| count).sum();
    let mut text = format!("{written} samples written, {refused} not:");
    for (count, name, explained) in reasons {
        // Writing into a string cannot fail.
        let _ = write!(text, " {count} {name} ({explained});");
    }
    text.pop();
    text.push('\n');
    (StatusCode::BAD_REQUEST, counts, text).into_response()
}

/// Why a whole request is not answered with success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("content encoding must be snappy, not {0:?}")]
    Encoding(String),
    #[error("content type must be application/x-protobuf with proto=prometheus.WriteRequest or without, not {0:?}")]
    ContentType(String),
    #[error("body is larger than http.max_body_bytes ({0} bytes)")]
    TooLarge(usize),
    #[error("body did not arrive in time")]
    Slow,
    #[error("malformed remote write request: {0}")]
    Malformed(protocols::ParseError),
    #[error("too busy at present, send again")]
    Busy,
    #[error("shutting down, send again later")]
    Closing,
    #[error("not stored, send again: {0}")]
    NotStored(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Encoding(_) | Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) | Self::Malformed(protocols::ParseError::BodyTooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::Closing | Self::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn is_retryable(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = format!("{self}\n");
        let written =
            [(headers::SAMPLES_WRITTEN, "0"), (headers::HISTOGRAMS_WRITTEN, "0"), (headers::EXEMPLARS_WRITTEN, "0")];
        match self.is_retryable() {
            true => (status, written, [(header::RETRY_AFTER, RETRY_AFTER_S)], text).into_response(),
            false => (status, written, text).into_response(),
        }
    }
}
