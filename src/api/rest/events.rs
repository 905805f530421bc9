//! `/api/v1/events`: changes that people and programs tell of, and the list of them.
//!
//! Not here: keeping them (see `change_events`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::parameters::Parameters;
use super::run::run;
use super::shapes::{List, Time};
use crate::change_events::{ChangeEvent, ChangeKind};
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::label_index::Matcher;

const PAGE: usize = 100;
/// Bytes of a title, and of all labels together.
const TITLE_BYTES_MAX: usize = 1024;
const LABELS_BYTES_MAX: usize = 4096;

/// A change as it is shown.
#[derive(Debug, Serialize)]
struct Event<'a> {
    id: &'a str,
    time: Time,
    kind: ChangeKind,
    title: &'a str,
    labels: &'a BTreeMap<String, String>,
}

impl<'a> Event<'a> {
    fn of(event: &'a ChangeEvent) -> Self {
        let ChangeEvent { id, time_ms, kind, title, labels } = event;
        Self { id, time: Time(*time_ms), kind: *kind, title, labels }
    }
}

/// Keeps a change.
pub(super) async fn post(State(shared): State<Arc<Shared>>, body: Body) -> Result<(StatusCode, Text), ApiError> {
    let mut fields = Fields::read(body).await?;
    let time_ms = fields.past_or_future_ms("time")?.unwrap_or_else(shared.api.now_ms);
    let kind = fields.word("kind", &ChangeKind::WORDS)?;
    let kind = kind.ok_or_else(|| ApiError::field("kind", "expected deploy, config, scale, model or other"))?;
    let title = fields.text("title")?.filter(|title| !title.trim().is_empty());
    let title = title.ok_or_else(|| ApiError::field("title", "expected a string that is not empty"))?;
    if title.len() > TITLE_BYTES_MAX {
        return Err(ApiError::field("title", format!("longer than {TITLE_BYTES_MAX} bytes")));
    }
    let labels = fields.labels("labels")?;
    if labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LABELS_BYTES_MAX {
        return Err(ApiError::field("labels", format!("longer than {LABELS_BYTES_MAX} bytes together")));
    }
    fields.finish()?;
    let text = run(shared, move |shared, _| {
        let kept = shared.api.events.add(ChangeEvent::new(time_ms, kind, title, labels));
        let event = kept.map_err(|error| ApiError::unavailable(format!("the event cannot be kept: {error}")))?;
        Text::of(&Event::of(&event))
    })
    .await?;
    Ok((StatusCode::CREATED, text))
}

/// Lists changes, the newest first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let kinds = parameters.words("kind", &ChangeKind::WORDS)?;
    let from_ms = parameters.time_ms("start_time")?.unwrap_or(i64::MIN);
    let to_ms = parameters.time_ms("end_time")?.unwrap_or(i64::MAX);
    if to_ms < from_ms {
        return Err(ApiError::field("end_time", "before start_time"));
    }
    let search = parameters.text("search").map(str::to_lowercase);
    let sets = parameters.matchers(&shared.api.query)?;
    run(shared, move |shared, _| {
        let mut events = shared.api.events.all();
        events.retain(|event| {
            (from_ms..=to_ms).contains(&event.time_ms)
                && (kinds.is_empty() || kinds.contains(&event.kind))
                && search.as_deref().is_none_or(|search| event.title.to_lowercase().contains(search))
                && (sets.is_empty() || sets.iter().any(|set| matches(set, event)))
        });
        let items = events.iter().rev().skip(page.skip).take(page.limit).map(|event| Event::of(event)).collect();
        Text::of(&List { total: events.len(), items })
    })
    .await
}

fn matches(set: &[Matcher], event: &ChangeEvent) -> bool {
    set.iter().all(|matcher| matcher.matches(event.labels.get(&matcher.name).map_or("", String::as_str)))
}
