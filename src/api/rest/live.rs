//! `GET /api/v1/stream`: samples, scores and anomalies of chosen series, and alerts and incidents, as they come, as
//! server-sent events.
//!
//! A stream looks at the store twice a second, from where its reader has come; it is driven by the reader's own connection
//! and holds nothing back in memory: who reads slowly is looked at less often, and what is skipped then is counted and told.
//!
//! Not here: the word by which a reader goes on (see `live_cursor`).
//!
//! Invariants: nothing waits for a shard, and no shard for a stream; of a series, samples are sent in order of time and
//! each once; samples that arrive late, behind one that was sent, are not.

use super::Shared;
use super::answer::ApiError;
use super::live_alerts::{Chosen, ToldAlerts};
use super::live_cursor::{Cursor, SERIES_MAX};
use super::parameters::Parameters;
use super::shapes::{Anomaly, Labels, Time, series_id};
use crate::analysis::Severity;
use crate::anomaly::{AnomalyId, Filter};
use crate::clock;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use storage::SelectedSeries;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// How often a stream looks.
const TICK: Duration = Duration::from_millis(500);
/// How often it looks for series that are new.
const SELECT: Duration = Duration::from_secs(10);
/// How often something is sent, so that everybody between us knows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Samples of one look; of more, the newest are sent.
const SAMPLES_MAX: usize = 2000;
/// How long ago an anomaly may have begun that is still looked at.
const ANOMALIES_MS: i64 = 7 * 86_400_000;
/// Anomalies that are remembered as sent.
const ANOMALIES_MAX: usize = 1000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a reader wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Samples,
    Scores,
    Anomalies,
    Alerts,
    Incidents,
}

const KINDS: [(&str, Kind); 5] = [
    ("samples", Kind::Samples),
    ("scores", Kind::Scores),
    ("anomalies", Kind::Anomalies),
    ("alerts", Kind::Alerts),
    ("incidents", Kind::Incidents),
];
/// Those of them that a reader sees who names none.
const OF_SERIES: usize = 3;

#[derive(Debug, Serialize)]
struct SampleEvent<'a> {
    id: String,
    name: &'a str,
    labels: Labels<'a>,
    timestamp: Time,
    value: f64,
}

#[derive(Debug, Serialize)]
struct ScoreEvent<'a> {
    id: String,
    name: &'a str,
    score: f64,
    severity: &'static str,
    state: &'static str,
    samples: u32,
}

#[derive(Debug, Serialize)]
struct DroppedEvent {
    samples: u64,
}

/// Begins a stream.
pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let kinds = parameters.words("types", &KINDS)?;
    let kinds = if kinds.is_empty() { KINDS[..OF_SERIES].iter().map(|(_, kind)| *kind).collect() } else { kinds };
    let sets = parameters.matchers(&shared.api.query)?;
    let name = parameters.text("metric_name").map(str::to_owned);
    let is_of_series = kinds.iter().any(|kind| !matches!(kind, Kind::Alerts | Kind::Incidents));
    if is_of_series && name.is_none() && sets.is_empty() {
        return Err(ApiError::field("metric_name", "say which series: metric_name, match, or both"));
    }
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()).filter(|word| !word.is_empty());
    let last = last.or_else(|| parameters.text("last_event_id"));
    let cursor = last.map(|word| Cursor::parse(word).ok_or_else(|| ApiError::field("last_event_id", "none of ours")));
    let cursor = cursor.transpose()?;
    let permit = Arc::clone(&shared.streams).try_acquire_owned();
    let permit =
        permit.map_err(|_| ApiError::unavailable("too many streams are read already: see http.max_streams"))?;
    let began = clock::monotonic();
    let mut watcher = Watcher {
        chosen: Chosen::new(name.as_deref(), &sets),
        told_alerts: ToldAlerts::default(),
        is_of_series,
        kinds,
        sets,
        name,
        resumed: cursor.is_some(),
        cursor: cursor.unwrap_or_default(),
        series: Vec::new(),
        scored: BTreeMap::new(),
        told: BTreeMap::new(),
        select_at: began,
        heartbeat_at: began + HEARTBEAT,
        is_begun: false,
    };
    let looked = shared.clone();
    let watcher = tokio::task::spawn_blocking(move || watcher.select(&looked).map(|()| watcher)).await;
    let watcher = watcher.map_err(|error| ApiError::internal(&error))??;
    let body = LiveBody { state: Some(Step::Look(spawn(&shared, watcher))), shared, _permit: permit };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(body)).into_response())
}

/// What one reader watches.
struct Watcher {
    kinds: Vec<Kind>,
    /// Whether anything of series is wanted.
    is_of_series: bool,
    chosen: Chosen,
    told_alerts: ToldAlerts,
    sets: Vec<Vec<Matcher>>,
    name: Option<String>,
    resumed: bool,
    cursor: Cursor,
    series: Vec<SelectedSeries>,
    /// Samples a series had learned when its score was last sent.
    scored: BTreeMap<u64, u32>,
    /// Anomalies and how they were when they were sent.
    told: BTreeMap<AnomalyId, (i64, bool, u64)>,
    select_at: Instant,
    heartbeat_at: Instant,
    is_begun: bool,
}

impl Watcher {
    fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Looks for the series; those that the reader does not know yet begin with what comes from now on.
    fn select(&mut self, shared: &Shared) -> Result<(), ApiError> {
        if !self.is_of_series {
            return Ok(());
        }
        let named = self.name.as_ref().map(|name| Matcher::equal(NAME_LABEL, name));
        let named = named.unwrap_or_else(|| Matcher::not_equal(NAME_LABEL, ""));
        let all = [Vec::new()];
        let mut found = Vec::new();
        for set in if self.sets.is_empty() { &all[..] } else { &self.sets } {
            let matchers: Vec<_> = set.iter().cloned().chain([named.clone()]).collect();
            found.extend(shared.api.store.find(&matchers, i64::MIN, i64::MAX, &|| false)?);
        }
        found.sort_unstable_by_key(|one| one.series.0);
        found.dedup_by_key(|one| one.series.0);
        if found.len() > SERIES_MAX {
            let message =
                format!("{} series, more than {SERIES_MAX} in one stream; choose some with match", found.len());
            return Err(ApiError::unprocessable(message).with("field", "match").with("count", found.len()));
        }
        for one in &found {
            let hash = series::hash(&one.key);
            if !self.cursor.0.contains_key(&hash) {
                let newest_ms = shared.api.store.newest(one.series)?.map(|(time_ms, _)| time_ms);
                // A series that came into being while the reader watched is new to it from its first sample on.
                let from_ms = if self.is_begun { None } else { newest_ms };
                self.cursor.0.insert(hash, from_ms.unwrap_or(0));
            }
        }
        let known: Vec<u64> = found.iter().map(|one| series::hash(&one.key)).collect();
        self.cursor.0.retain(|hash, _| known.contains(hash));
        self.series = found;
        Ok(())
    }

    /// What there is to send; nothing may be.
    fn look(&mut self, shared: &Shared) -> Result<String, ApiError> {
        let now = clock::monotonic();
        let mut out = String::new();
        if !self.is_begun {
            out.push_str("retry: 2000\n\n");
        }
        if now >= self.select_at {
            self.select(shared)?;
            self.select_at = now + SELECT;
        }
        let before = out.len();
        if self.wants(Kind::Samples) {
            self.samples(shared, &mut out)?;
        }
        if self.wants(Kind::Scores) {
            self.scores(shared, &mut out);
        }
        if self.wants(Kind::Anomalies) {
            self.anomalies(shared, &mut out);
        }
        let alerts = shared.api.alerts.view();
        if self.wants(Kind::Alerts) {
            self.told_alerts.alerts(&alerts, &self.chosen, self.is_begun, &mut out);
        }
        if self.wants(Kind::Incidents) {
            self.told_alerts.incidents(&alerts, &self.chosen, self.is_begun, &mut out);
        }
        self.is_begun = true;
        if out.len() > before {
            // The word stands with the last event alone: who lost half of a look gets all of it again.
            let _ = write!(out, "id: {}\nevent: position\ndata: {{}}\n\n", self.cursor.word());
        } else if now >= self.heartbeat_at {
            out.push_str(": alive\n\n");
        }
        if !out.is_empty() {
            self.heartbeat_at = now + HEARTBEAT;
        }
        Ok(out)
    }

    fn samples(&mut self, shared: &Shared, out: &mut String) -> Result<(), ApiError> {
        let counters = &shared.api.metrics.streams;
        let mut found: Vec<(i64, f64, usize)> = Vec::new();
        let mut buffer = Samples::default();
        for (at, one) in self.series.iter().enumerate() {
            let hash = series::hash(&one.key);
            let last_ms = self.cursor.0.get(&hash).copied().unwrap_or(0);
            let newest_ms = shared.api.store.newest(one.series)?.map_or(i64::MIN, |(time_ms, _)| time_ms);
            if newest_ms <= last_ms {
                continue;
            }
            shared.api.store.read(one.series, last_ms + 1, i64::MAX, &mut buffer)?;
            found.extend(buffer.times.iter().zip(&buffer.values).map(|(time_ms, value)| (*time_ms, *value, at)));
            if let Some(last_ms) = buffer.times.last() {
                self.cursor.0.insert(hash, *last_ms);
            }
        }
        found.sort_by_key(|(time_ms, _, at)| (*time_ms, *at));
        let dropped = found.len().saturating_sub(SAMPLES_MAX);
        if dropped > 0 {
            event(out, "dropped", &DroppedEvent { samples: dropped as u64 });
            counters.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        }
        counters.events.fetch_add((found.len() - dropped) as u64, Ordering::Relaxed);
        for (time_ms, value, at) in &found[dropped..] {
            let key = &self.series[*at].key;
            let (timestamp, value) = (Time(*time_ms), *value);
            event(
                out,
                "sample",
                &SampleEvent { id: series_id(key), name: name_of(key), labels: Labels(key), timestamp, value },
            );
        }
        Ok(())
    }

    fn scores(&mut self, shared: &Shared, out: &mut String) {
        for one in &self.series {
            let Some(summary) = shared.api.board.of(one.series) else { continue };
            let before = self.scored.insert(series::hash(&one.key), summary.samples);
            // The first look tells where it stands; from then on what is new.
            if before == Some(summary.samples) {
                continue;
            }
            let (score, samples) = (summary.score(), summary.samples);
            let (severity, state) = (Severity::of(score).as_str(), summary.stage.as_str());
            event(
                out,
                "score",
                &ScoreEvent { id: series_id(&one.key), name: name_of(&one.key), score, severity, state, samples },
            );
        }
    }

    fn anomalies(&mut self, shared: &Shared, out: &mut String) {
        let (records, alerts) = (shared.api.book.records(), shared.api.alerts.view());
        let now_ms = (shared.api.now_ms)();
        let began_ms = (now_ms.saturating_sub(ANOMALIES_MS), i64::MAX);
        let filter = Filter { name: self.name.as_deref(), began_ms, ..Filter::default() };
        let is_chosen = |record: &crate::anomaly::AnomalyRecord| {
            let has = |matcher: &Matcher| matcher.matches(series::label(&record.key, &matcher.name).unwrap_or(""));
            self.sets.is_empty() || self.sets.iter().any(|set| set.iter().all(has))
        };
        for record in records.select(&filter, is_chosen).take(ANOMALIES_MAX) {
            let now = (record.last_ms, record.is_open, record.peak.score.to_bits());
            let before = self.told.insert(record.id, now);
            // What was over before the reader came for the first time is no news.
            let is_old = !self.is_begun && !self.resumed && !record.is_open;
            if before != Some(now) && !is_old {
                event(out, "anomaly", &Anomaly::of(record, &alerts));
            }
        }
        while self.told.len() > 2 * ANOMALIES_MAX {
            self.told.pop_first();
        }
    }
}

fn name_of(key: &[u8]) -> &str {
    series::label(key, NAME_LABEL).unwrap_or("")
}

pub(super) fn event(out: &mut String, kind: &str, data: &impl Serialize) {
    // Shapes of ours have keys of text, and JSON has no line breaks.
    let data = serde_json::to_string(data).unwrap_or_default();
    let _ = write!(out, "event: {kind}\ndata: {data}\n\n");
}

type Looked = JoinHandle<Result<(Box<Watcher>, String), ApiError>>;

fn spawn(shared: &Arc<Shared>, watcher: impl Into<Box<Watcher>>) -> Looked {
    let (shared, mut watcher) = (shared.clone(), watcher.into());
    tokio::task::spawn_blocking(move || watcher.look(&shared).map(|text| (watcher, text)))
}

enum Step {
    Look(Looked),
    Pause(Pin<Box<Sleep>>, Box<Watcher>),
}

/// A body that looks whenever its reader has taken what was found before.
struct LiveBody {
    state: Option<Step>,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for LiveBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let Some(state) = self.state.take() else { return Poll::Ready(None) };
            match state {
                Step::Pause(mut pause, watcher) => {
                    if self.shared.api.stopping.load(Ordering::Relaxed) {
                        return Poll::Ready(None);
                    }
                    if pause.as_mut().poll(context).is_pending() {
                        self.state = Some(Step::Pause(pause, watcher));
                        return Poll::Pending;
                    }
                    self.state = Some(Step::Look(spawn(&self.shared, watcher)));
                }
                Step::Look(mut looking) => match Pin::new(&mut looking).poll(context) {
                    Poll::Pending => {
                        self.state = Some(Step::Look(looking));
                        return Poll::Pending;
                    }
                    // The stream ends; its reader comes again with the last word it got.
                    Poll::Ready(Err(_) | Ok(Err(_))) => return Poll::Ready(None),
                    Poll::Ready(Ok(Ok((watcher, text)))) => {
                        self.state = Some(Step::Pause(Box::pin(tokio::time::sleep(TICK)), watcher));
                        if !text.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))));
                        }
                    }
                },
            }
        }
    }
}
