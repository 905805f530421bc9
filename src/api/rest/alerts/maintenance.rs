//! `/api/v1/maintenance`: when trouble is expected, once or again and again.
//!
//! Not here: what a window does (see `alert`).

use super::super::Shared;
use super::super::anomalies::short;
use super::super::answer::{ApiError, Text};
use super::super::body::Fields;
use super::super::parameters::Parameters;
use super::super::run::run;
use super::super::shapes::List;
use super::{PAGE, conditions, print_of, wished};
use crate::alert::book::Wish;
use crate::alert::{LENGTH_MS_MAX, Standing, Time, Window};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use std::sync::Arc;

/// How far a calendar reaches unless it is said, and at most.
const CALENDAR_MS: i64 = 30 * 86_400_000;
const CALENDAR_MS_MAX: i64 = 400 * 86_400_000;
/// Times of one window in a calendar: one an hour for as long as a calendar may be.
const TIMES_MAX: usize = 9600;

#[derive(Debug, Serialize)]
struct Shape<'a> {
    id: String,
    start: Time,
    end: Time,
    matchers: String,
    recurrence: Option<&'a str>,
    timezone: &'a str,
    reason: &'a str,
    state: &'static str,
    /// When what goes on ends.
    active_until: Option<Time>,
    /// When it starts next.
    next_start: Option<Time>,
}

impl<'a> Shape<'a> {
    fn of(window: &'a Window, now_ms: i64) -> Self {
        Self {
            id: window.id.to_string(),
            start: Time(window.start_ms),
            end: Time(window.end_ms),
            matchers: window.conditions.to_string(),
            recurrence: Some(window.recurrence.as_str()).filter(|text| !text.is_empty()),
            timezone: &window.timezone,
            reason: &window.reason,
            state: window.standing(now_ms).as_str(),
            active_until: window.span_at(now_ms).map(|(_, end_ms)| Time(end_ms)),
            next_start: window.next_start(now_ms).map(Time),
        }
    }
}

/// Plans a window.
pub(super) async fn post(State(shared): State<Arc<Shared>>, body: Body) -> Result<(StatusCode, Text), ApiError> {
    let now_ms = (shared.api.now_ms)();
    let mut fields = Fields::read(body).await?;
    let conditions = conditions(&shared, &mut fields)?;
    let start_ms = fields.past_or_future_ms("start")?.unwrap_or(now_ms);
    let end_ms = match (fields.past_or_future_ms("end")?, fields.duration_ms("duration")?) {
        (Some(end_ms), None) => end_ms,
        (None, Some(duration_ms)) => start_ms.saturating_add(duration_ms),
        (Some(_), Some(_)) => return Err(ApiError::field("duration", "not beside end")),
        (None, None) => return Err(ApiError::field("end", "expected end or duration")),
    };
    if end_ms <= start_ms {
        return Err(ApiError::field("end", "not after start"));
    }
    if end_ms.saturating_sub(start_ms) > LENGTH_MS_MAX {
        return Err(ApiError::field("end", format!("more than {} days after start", LENGTH_MS_MAX / 86_400_000)));
    }
    let recurrence = short(&mut fields, "recurrence")?.unwrap_or_default();
    let timezone = short(&mut fields, "timezone")?.unwrap_or_else(|| "UTC".to_owned());
    let reason = short(&mut fields, "reason")?.unwrap_or_default();
    fields.finish()?;
    let field = if recurrence.is_empty() { "timezone" } else { "recurrence" };
    let window = Window::new((start_ms, end_ms), conditions, (recurrence, timezone), reason);
    let window = window.map_err(|error| ApiError::field(field, error))?;
    let text = Text::of(&Shape::of(&window, now_ms))?;
    wished(&shared, Wish::Plan(Box::new(window))).await?;
    Ok((StatusCode::CREATED, text))
}

/// Lists windows, the latest start first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let standings = [Standing::Past, Standing::Active, Standing::Upcoming].map(|one| (one.as_str(), Some(one)));
    let wanted = parameters.word("state", &[&standings[..], &[("all", None)]].concat())?.flatten();
    let now_ms = (shared.api.now_ms)();
    let view = shared.api.alerts.view();
    let is_wanted = |window: &&Arc<Window>| wanted.is_none_or(|wanted| window.standing(now_ms) == wanted);
    let mut found: Vec<_> = view.windows.values().filter(is_wanted).collect();
    found.sort_by_key(|window| std::cmp::Reverse(window.start_ms));
    let items = found.iter().skip(page.skip).take(page.limit).map(|window| Shape::of(window, now_ms)).collect();
    Text::of(&List { total: found.len(), items })
}

/// One time at which trouble is expected.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    window: String,
    start: Time,
    end: Time,
    state: &'static str,
    recurring: bool,
    matchers: String,
    reason: &'a str,
    timezone: &'a str,
}

impl<'a> Entry<'a> {
    fn of((start_ms, end_ms): (i64, i64), window: &'a Window, now_ms: i64) -> Self {
        let state = match () {
            () if now_ms < start_ms => Standing::Upcoming,
            () if now_ms < end_ms => Standing::Active,
            () => Standing::Past,
        };
        Self {
            window: window.id.to_string(),
            start: Time(start_ms),
            end: Time(end_ms),
            state: state.as_str(),
            recurring: !window.recurrence.is_empty(),
            matchers: window.conditions.to_string(),
            reason: &window.reason,
            timezone: &window.timezone,
        }
    }
}

/// Lists every time of every window between two times, the earliest first: what comes once, and what comes again and again.
pub(super) async fn calendar(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let now_ms = (shared.api.now_ms)();
    let start_ms = parameters.time_ms("start")?.unwrap_or(now_ms);
    let end_ms = parameters.time_ms("end")?.unwrap_or(start_ms.saturating_add(CALENDAR_MS));
    if end_ms <= start_ms {
        return Err(ApiError::field("end", "not after start"));
    }
    if end_ms.saturating_sub(start_ms) > CALENDAR_MS_MAX {
        return Err(ApiError::field("end", format!("more than {} days after start", CALENDAR_MS_MAX / 86_400_000)));
    }
    run(shared, move |shared, _| {
        let view = shared.api.alerts.view();
        let spans = |window: &Arc<Window>| window.spans(start_ms, end_ms, TIMES_MAX);
        let mut found: Vec<_> = view
            .windows
            .values()
            .flat_map(|window| spans(window).into_iter().map(move |span| (span, window)))
            .collect();
        found.sort_by_key(|(span, window)| (*span, window.id));
        let items = found
            .iter()
            .skip(page.skip)
            .take(page.limit)
            .map(|(span, window)| Entry::of(*span, window, now_ms))
            .collect();
        Text::of(&List { total: found.len(), items })
    })
    .await
}

/// Takes a window away.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    wished(&shared, Wish::Unplan(print_of(path)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
