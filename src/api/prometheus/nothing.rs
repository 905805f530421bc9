//! What Prometheus has and we have in another form or not at all: scrape targets, Alertmanagers, flags.
//!
//! Grafana and other clients ask for these under the address of a data source and take a missing page for a broken
//! server, so the answers say honestly that there is none. Mounted under `/prometheus/api/v1` only: our own API has
//! pages of these names.
//!
//! Not here: rules and alerts (see `rules`).

use super::envelope::{ApiError, Json, success};
use super::parameters::Parameters;
use axum::Router;
use axum::extract::Request;
use axum::routing::get;

/// The routes, to be mounted beside those of [`super::router`].
pub fn router() -> Router {
    Router::new()
        .route("/targets", get(targets))
        .route("/targets/metadata", get(|| fixed("[]")))
        .route("/alertmanagers", get(|| fixed("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}")))
        .route("/status/flags", get(|| fixed("{}")))
}

async fn fixed(data: &'static str) -> Json {
    success(move |out| out.push_str(data))
}

async fn targets(request: Request) -> Result<Json, ApiError> {
    let parameters = Parameters::read(request).await?;
    Ok(match parameters.get("state") {
        Some("active") => fixed("{\"activeTargets\":[]}"),
        Some("dropped") => fixed("{\"droppedTargets\":[]}"),
        _ => fixed("{\"activeTargets\":[],\"droppedTargets\":[]}"),
    }
    .await)
}
