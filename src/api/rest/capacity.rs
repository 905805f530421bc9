//! `GET /api/v1/capacity`: which series reach their limit, the one with the fewest days left first.
//!
//! Not here: which series have a limit and what is said of each (see `reports`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::{Page, Parameters};
use super::run::{check, run};
use super::shapes::List;
use crate::analysis::forecast::{Direction, Threshold};
use crate::query::Cancel;
use crate::reports::{CapacityLine, Limited, limited};
use axum::extract::State;
use axum::http::Uri;
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::sample::Samples;

const PAGE: usize = 100;
/// Series that one call may forecast.
const SERIES_MAX: usize = 1000;

/// Lists series by the days they have left; those that never reach their limit come last.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let sets = parameters.matchers(&shared.api.query)?;
    let direction = parameters.word("direction", &[("above", Direction::Above), ("below", Direction::Below)])?;
    let direction = direction.unwrap_or_default();
    let asked = parameters.number("threshold")?.map(|value| Threshold { value, direction });
    run(shared, move |shared, cancel| {
        let found = series(shared, &sets, asked)?;
        let mut items = items(shared, &found, cancel)?;
        let total = items.len();
        items.sort_by(CapacityLine::fewest_days);
        let Page { skip, limit } = page;
        Text::of(&List { total, items: items.into_iter().skip(skip).take(limit).collect() })
    })
    .await
}

/// The series asked for that have a limit, and the limit.
fn series(shared: &Shared, sets: &[Vec<Matcher>], asked: Option<Threshold>) -> Result<Vec<Limited>, ApiError> {
    if sets.is_empty() && asked.is_some() {
        return Err(ApiError::field("match", "say which series have this threshold"));
    }
    let found = limited(&shared.api.store, sets, asked)?;
    if found.len() > SERIES_MAX {
        let count = found.len();
        let message = format!("{count} series, more than {SERIES_MAX} at a time; choose some with match");
        return Err(ApiError::unprocessable(message).with("field", "match").with("count", count));
    }
    Ok(found)
}

/// The item of every series of which something can be said.
fn items(shared: &Shared, found: &[Limited], cancel: &Cancel) -> Result<Vec<CapacityLine>, ApiError> {
    let mut items = Vec::with_capacity(found.len());
    let mut samples = Samples::default();
    for one in found {
        check(cancel)?;
        items.extend(CapacityLine::of(&shared.api.desk, one, true, &mut samples)?);
    }
    Ok(items)
}
