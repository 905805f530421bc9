//! `GET /api/v1/reports/capacity` and below: the reports on capacity that the server made by itself.
//!
//! Not here: making them (see `reports`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::{Page, Parameters};
use super::run::run;
use super::shapes::List;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use std::sync::Arc;

const PAGE: usize = 100;

/// Lists those that are kept, the newest first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let Page { skip, limit } = Parameters::read(&uri)?.page(PAGE)?;
    let kept = shared.api.reports.kept();
    Text::of(&List { total: kept.len(), items: kept.iter().skip(skip).take(limit).collect() })
}

/// One in full, by its id or as the newest.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Text, ApiError> {
    let Path(id) = path.map_err(|error| ApiError::bad(error.body_text()))?;
    run(shared, move |shared, _| match shared.api.reports.document(&id) {
        Ok(Some(body)) => Ok(Text::finished(body)),
        Ok(None) => Err(ApiError::unknown("no such report; GET /api/v1/reports/capacity lists what there is")),
        Err(error) => Err(ApiError::internal(&error)),
    })
    .await
}
