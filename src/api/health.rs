//! Whether the server lives, is ready, and is well: `/health`, `/ready`, `/-/healthy`, `/-/ready`.
//!
//! Not here: the time before readiness (see `http_server`).

use crate::anomaly::book::{Book, BookFigures};
use crate::shard::questions::ModelBoard;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::{Store, StoreFigures};

/// What health is judged by.
#[derive(Debug, Clone)]
pub struct Health {
    /// The store.
    pub store: Store,
    /// The anomalies.
    pub book: Book,
    /// The models.
    pub board: Arc<ModelBoard>,
    /// Set when the server has begun to stop.
    pub stopping: Arc<AtomicBool>,
    /// Milliseconds since the epoch at which the server started.
    pub started_ms: i64,
    /// The clock.
    pub now_ms: fn() -> i64,
}

/// The routes, at the root.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/health", get(report))
        .route("/-/healthy", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .route("/-/ready", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    match health.stopping.load(Ordering::Relaxed) {
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        false => (StatusCode::OK, "ready\n").into_response(),
    }
}

async fn report(State(health): State<Health>) -> Response {
    let components = components(&health.store.figures(), &health.book.figures());
    let status = overall(&components);
    let body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": ((health.now_ms)() - health.started_ms).max(0) / 1000,
        "models_loaded": health.board.models_loaded(),
        "components": components.iter().map(|c| (c.name.to_owned(), c.json())).collect::<Map<_, _>>(),
    });
    let code = if status == "failing" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(body)).into_response()
}

/// One part of the server, and how it is.
struct Component {
    name: &'static str,
    status: &'static str,
    detail: String,
}

impl Component {
    fn json(&self) -> Value {
        json!({ "status": self.status, "detail": self.detail })
    }
}

fn components(figures: &StoreFigures, book: &BookFigures) -> [Component; 4] {
    let journal = match &figures.journal_failure {
        None => ("healthy", format!("{} bytes to replay", figures.journal_bytes)),
        Some(what) => ("failing", what.clone()),
    };
    let storage = match figures.damage.first() {
        None => ("healthy", format!("{} series, {} bytes of blocks", figures.series, figures.block_bytes)),
        Some(first) => ("degraded", format!("{} findings of damage, the first: {first}", figures.damage.len())),
    };
    let keeper = match &figures.keeper.failing {
        None => ("healthy", format!("{} checkpoints since the start", figures.keeper.checkpoints)),
        Some(what) => ("degraded", format!("last work failed: {what}")),
    };
    let anomalies = match (&book.failing, book.damage.first()) {
        (Some(what), _) => ("degraded", format!("kept in memory only: {what}")),
        (None, Some(first)) => ("degraded", format!("{} findings of damage, the first: {first}", book.damage.len())),
        (None, None) => ("healthy", format!("{} on record", book.records)),
    };
    let all = [("journal", journal), ("storage", storage), ("keeper", keeper), ("anomalies", anomalies)];
    all.map(|(name, (status, detail))| Component { name, status, detail })
}

/// The worst of the components'.
fn overall(components: &[Component]) -> &'static str {
    let has = |status| components.iter().any(|component| component.status == status);
    match (has("failing"), has("degraded")) {
        (true, _) => "failing",
        (false, true) => "degraded",
        (false, false) => "healthy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(statuses: [&'static str; 2]) -> Vec<Component> {
        statuses.map(|status| Component { name: "x", status, detail: String::new() }).into()
    }

    #[test]
    fn the_worst_component_decides() {
        assert_eq!(overall(&with(["healthy", "healthy"])), "healthy");
        assert_eq!(overall(&with(["degraded", "healthy"])), "degraded");
        assert_eq!(overall(&with(["degraded", "failing"])), "failing");
    }
}
