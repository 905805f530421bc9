//! `/api/v1/silence` and `/api/v1/silences`: whom nobody wants to hear of for a while, and why.
//!
//! Not here: what a silence does (see `alert`).

use super::super::Shared;
use super::super::anomalies::short;
use super::super::answer::{ApiError, Text};
use super::super::body::{Fields, TIME_MS_MAX};
use super::super::parameters::Parameters;
use super::super::shapes::List;
use super::{PAGE, conditions, print_of, wished};
use crate::alert::book::Wish;
use crate::alert::{Fingerprint, Silence, Time};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Made {
    id: String,
    until: Time,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    id: String,
    matchers: String,
    from: Time,
    until: Time,
    state: &'static str,
    reason: &'a str,
    by: &'a str,
}

impl<'a> Shape<'a> {
    fn of(silence: &'a Silence, now_ms: i64) -> Self {
        Self {
            id: silence.id.to_string(),
            matchers: silence.conditions.to_string(),
            from: Time(silence.from_ms),
            until: Time(silence.until_ms),
            state: if silence.until_ms > now_ms { "active" } else { "past" },
            reason: &silence.reason,
            by: &silence.by,
        }
    }
}

/// Keeps alerts quiet.
pub(super) async fn post(State(shared): State<Arc<Shared>>, body: Body) -> Result<(StatusCode, Text), ApiError> {
    let now_ms = (shared.api.now_ms)();
    let mut fields = Fields::read(body).await?;
    let conditions = conditions(&shared, &mut fields)?;
    let until_ms = match (fields.past_or_future_ms("until")?, fields.duration_ms("duration")?) {
        (Some(until_ms), None) => until_ms,
        (None, Some(duration_ms)) => now_ms.saturating_add(duration_ms),
        (Some(_), Some(_)) => return Err(ApiError::field("duration", "not beside until")),
        (None, None) => return Err(ApiError::field("duration", "expected duration or until")),
    };
    if until_ms > TIME_MS_MAX {
        return Err(ApiError::field("duration", "ends after the year 9999"));
    }
    if until_ms <= now_ms {
        return Err(ApiError::field("until", "has passed"));
    }
    let (reason, by) =
        (short(&mut fields, "reason")?.unwrap_or_default(), short(&mut fields, "by")?.unwrap_or_default());
    fields.finish()?;
    let id = Fingerprint::of("silence", format!("{conditions} {now_ms} {until_ms} {reason} {by}").as_bytes());
    wished(&shared, Wish::Silence(Silence { id, conditions, from_ms: now_ms, until_ms, reason, by })).await?;
    Ok((StatusCode::CREATED, Text::of(&Made { id: id.to_string(), until: Time(until_ms) })?))
}

/// Lists silences, the newest first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let now_ms = (shared.api.now_ms)();
    let view = shared.api.alerts.view();
    let mut all: Vec<_> = view.silences.values().collect();
    all.sort_by_key(|silence| std::cmp::Reverse(silence.from_ms));
    let items = all.iter().skip(page.skip).take(page.limit).map(|silence| Shape::of(silence, now_ms)).collect();
    Text::of(&List { total: all.len(), items })
}

/// Takes a silence away.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    wished(&shared, Wish::Unsilence(print_of(path)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
