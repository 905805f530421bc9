//! Prometheus remote write 1.0 and 2.0: `POST /api/v1/write` (and `/api/v1/push`), answered when everything in it is durable.
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

use super::body::{Bodies, BodyError};
use super::known_series::KnownSeries;
use super::lane::{Lane, Lanes};
use super::outcome::{self, NotStored};
use super::remote_write_metadata::{Teller, tell};
use super::translate::{Translated, remote_write_series, remote_write_series_v2};
use crate::metric_metadata::MetricBook;
use crate::self_metrics::{SelfMetrics, Source};
use crate::shard::{BytesPool, Tally, rejections};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use protocols::remote_write::{
    Schema, SeriesWalk, decompress, decompress_zstd, headers, schema, symbols, time_series_v2,
};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::series::KeyBuilder;

/// Series parsed between two looks at other work: well below 5 ms.
const SLICE_SERIES: usize = 4096;
/// Buffers kept for decompressed bodies: as many as requests are usually in work at a time.
const BUFFERS_MAX: usize = 16;
/// What senders are told to wait before they try again.
const RETRY_AFTER_S: &str = "1";

/// The receiver's state.
#[derive(Debug)]
pub struct RemoteWrite {
    lanes: Lanes,
    metrics: Arc<SelfMetrics>,
    told: Arc<MetricBook>,
    bodies: Arc<Bodies>,
    decompressed: BytesPool,
    known: KnownSeries,
}

/// The routes that take remote write; of the series met, keys of so many bytes are kept to know them again.
pub fn router(
    lanes: Lanes,
    metrics: Arc<SelfMetrics>,
    told: Arc<MetricBook>,
    bodies: Arc<Bodies>,
    known_bytes_max: usize,
) -> Router {
    let decompressed = BytesPool::new(BUFFERS_MAX);
    let known = KnownSeries::new(known_bytes_max, metrics.clone());
    let state = Arc::new(RemoteWrite { lanes, metrics, told, bodies, decompressed, known });
    let write = || post(write).get(handshake);
    Router::new().route("/write", write()).route("/push", write()).with_state(state)
}

async fn handshake(RawQuery(query): RawQuery) -> Response {
    match asks_for_vm_version(query.as_deref()) {
        true => headers::VM_VERSION.into_response(),
        false => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response(),
    }
}

async fn write(
    State(state): State<Arc<RemoteWrite>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if asks_for_vm_version(query.as_deref()) {
        return headers::VM_VERSION.into_response();
    }
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

/// Whether a request is VictoriaMetrics' agent asking whether it may compress by zstd; such a one has no body.
fn asks_for_vm_version(query: Option<&str>) -> bool {
    let names = query.unwrap_or("").split('&').map(|parameter| parameter.split('=').next());
    names.into_iter().any(|name| name == Some(headers::VM_HANDSHAKE))
}

impl RemoteWrite {
    async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
        let (schema, decompress) = check_headers(headers)?;
        let (body, _room) = self.bodies.read(headers, body).await.map_err(|error| match error {
            BodyError::TooLarge(bytes) => Refusal::TooLarge(bytes),
            BodyError::Slow => Refusal::Slow,
            BodyError::NoRoom => Refusal::NotStored(NotStored::Busy),
        })?;
        let mut request = self.decompressed.take();
        let limit_bytes = self.bodies.limits().decompressed_bytes;
        let decompressed = decompress(&body, limit_bytes, &mut request);
        let request = self.decompressed.share(request);
        decompressed.map_err(Refusal::Malformed)?;
        drop(body);
        let mut lane = self.lanes.lane();
        lane.lend(request.clone());
        let translated = match schema {
            Schema::V1 => self.translate(&request, &mut lane).await?,
            Schema::V2 => translate_v2(&request, &mut lane, &self.told).await?,
        };
        self.metrics.created_ignored.fetch_add(translated.created, Ordering::Relaxed);
        Ok(self.store(lane, &translated, &request).await)
    }

    async fn translate(&self, request: &[u8], lane: &mut Lane) -> Result<Translated, Refusal> {
        let mut keys = KeyBuilder::default();
        let mut translated = Translated::default();
        let mut walk = SeriesWalk::new(request);
        while translate_slice(&mut walk, &self.known, &mut keys, lane, &mut translated)? {
            tokio::task::yield_now().await;
        }
        if walk.passed_metadata() {
            tell(request, &self.told).map_err(Refusal::Malformed)?;
        }
        Ok(translated)
    }

    /// Hands the lane's batches over and waits until all are durable or refused.
    async fn store(&self, lane: Lane, translated: &Translated, request: &[u8]) -> Response {
        let counters = self.metrics.of(Source::RemoteWrite);
        counters.add_received(translated.received);
        for (reason, count) in &translated.rejected {
            counters.add_rejected(*reason, *count);
        }
        match outcome::store(lane, Source::RemoteWrite, &self.metrics).await {
            Ok(stored) => {
                self.known.learn(request, stored.learnt);
                answer_for(&stored.tally, translated)
            }
            Err(not_stored) => Refusal::NotStored(not_stored).into_response(),
        }
    }
}

/// Translates up to [`SLICE_SERIES`] series; whether there are more.
fn translate_slice(
    walk: &mut SeriesWalk<'_>,
    known: &KnownSeries,
    keys: &mut KeyBuilder,
    lane: &mut Lane,
    translated: &mut Translated,
) -> Result<bool, Refusal> {
    let mut met = known.recogniser();
    for _ in 0..SLICE_SERIES {
        let Some(series) = walk.next_series(|bytes| met.known_bytes(bytes)) else { return Ok(false) };
        remote_write_series(&series.map_err(Refusal::Malformed)?, &mut met, keys, lane, translated);
    }
    Ok(true)
}

async fn translate_v2(request: &[u8], lane: &mut Lane, told: &MetricBook) -> Result<Translated, Refusal> {
    let symbols = symbols(request).map_err(Refusal::Malformed)?;
    let mut teller = Teller::new(told, &symbols);
    let mut keys = KeyBuilder::default();
    let mut translated = Translated::default();
    let mut parsed = 0;
    for series in time_series_v2(request) {
        let series = series.map_err(Refusal::Malformed)?;
        remote_write_series_v2(&series, &symbols, &mut keys, lane, &mut translated);
        teller.tell(&series);
        parsed += 1;
        if parsed % SLICE_SERIES == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(translated)
}

type Decompress = fn(&[u8], usize, &mut Vec<u8>) -> Result<(), protocols::ParseError>;

/// Schema and decompression that the headers ask for; the version header says nothing beyond the content type.
fn check_headers(headers: &HeaderMap) -> Result<(Schema, Decompress), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").trim();
    let encoding = text(header::CONTENT_ENCODING);
    let decompress: Decompress = match () {
        () if encoding.eq_ignore_ascii_case(headers::CONTENT_ENCODING) => decompress,
        () if encoding.eq_ignore_ascii_case(headers::CONTENT_ENCODING_ZSTD) => decompress_zstd,
        () => return Err(Refusal::Encoding(encoding.to_owned())),
    };
    let content_type = text(header::CONTENT_TYPE);
    let schema = schema(content_type).ok_or_else(|| Refusal::ContentType(content_type.to_owned()))?;
    Ok((schema, decompress))
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
    #[error("content encoding must be snappy or zstd, not {0:?}")]
    Encoding(String),
    #[error(
        "content type must be application/x-protobuf, alone or with proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request, not {0:?}"
    )]
    ContentType(String),
    #[error("body is larger than http.max_body_bytes ({0} bytes)")]
    TooLarge(usize),
    #[error("body did not arrive in time")]
    Slow,
    #[error("malformed remote write request: {0}")]
    Malformed(protocols::ParseError),
    #[error("{0}")]
    NotStored(NotStored),
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
            Self::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::BodyLimits;
    use crate::self_metrics::DropReason;
    use crate::shard::{BatchPool, ShardDoor, Stored, Submission};
    use axum::http::Request;
    use crossbeam_channel::{Receiver, bounded};
    use protocols::remote_write::WriteRequestBuilder;
    use tower::ServiceExt;

    /// A receiver in front of a shard that takes nothing by itself, with room for one batch.
    fn receiver() -> (Router, Receiver<Submission>, Arc<SelfMetrics>) {
        let (queue, received) = bounded(1);
        let metrics = Arc::new(SelfMetrics::default());
        let limits = BodyLimits { body_bytes: 1 << 20, decompressed_bytes: 1 << 20, in_flight_bytes: 64 << 20 };
        let lanes = Lanes::new(vec![ShardDoor::to_queue(queue)], BatchPool::new(1));
        let router = router(lanes, metrics.clone(), Arc::default(), Arc::new(Bodies::new(limits)), 1 << 20);
        (router, received, metrics)
    }

    async fn answer(router: Router, samples: i64) -> (StatusCode, HeaderMap) {
        let mut request = WriteRequestBuilder::default();
        request.series(&[("__name__", "up")], &(0..samples).map(|at| (at, 1.0)).collect::<Vec<_>>());
        let mut body = Vec::new();
        request.compress(&mut body);
        let request = Request::post("/write")
            .header(header::CONTENT_TYPE, headers::CONTENT_TYPE_V1)
            .header(header::CONTENT_ENCODING, headers::CONTENT_ENCODING)
            .body(Body::from(body));
        let (parts, _) = router.oneshot(request.unwrap()).await.unwrap().into_parts();
        (parts.status, parts.headers)
    }

    #[tokio::test]
    async fn a_full_queue_is_said_and_counted_and_holds_nobody_up() {
        let (router, queue, metrics) = receiver();
        let first = tokio::spawn(answer(router.clone(), 5));
        while queue.is_empty() {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            let (status, said) = answer(router.clone(), 7).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(said[header::RETRY_AFTER], RETRY_AFTER_S);
            assert_eq!(said[headers::SAMPLES_WRITTEN], "0");
        }
        let tally = Tally { stored: 5, ..Tally::default() };
        (queue.recv().unwrap().reply)(Ok(Stored { tally, ..Stored::default() }));
        let (status, said) = first.await.unwrap();
        assert_eq!((status, &said[headers::SAMPLES_WRITTEN]), (StatusCode::NO_CONTENT, &"5".parse().unwrap()));
        let counters = metrics.of(Source::RemoteWrite);
        assert_eq!((counters.received(), counters.dropped(DropReason::QueueFull)), (26, 21));
        assert!(queue.is_empty(), "what was refused left nothing behind");
    }
}
