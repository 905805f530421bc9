//! Whether the server lives, is ready, and is well: `/health`, `/ready`, `/-/healthy`, `/-/ready`.
//!
//! Not here: the time before readiness (see `http_server`).

use crate::alert::book::AlertBook;
use crate::anomaly::book::{Book, BookFigures};
use crate::self_metrics::{ScoringCounters, SelfMetrics};
use crate::shard::questions::ModelBoard;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use storage::{Store, StoreFigures};

/// What health is judged by.
#[derive(Debug, Clone)]
pub struct Health {
    /// The store.
    pub store: Store,
    /// The anomalies.
    pub book: Book,
    /// The alerts.
    pub alerts: AlertBook,
    /// The models.
    pub board: Arc<ModelBoard>,
    /// Our counters.
    pub metrics: Arc<SelfMetrics>,
    /// How the parts were lately.
    pub seen: Arc<HealthBoard>,
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

impl Health {
    fn components(&self, now_ms: i64) -> Vec<Component> {
        let mut components = Vec::from(components(&self.store.figures(), &self.book.figures()));
        components.push(analysis(&self.metrics.scoring, now_ms));
        components.push(alerts(&self.alerts, now_ms));
        components
    }

    /// Looks at every part, and says in the log which are other than they were.
    pub fn check(&self) {
        self.seen.put(self.components((self.now_ms)()));
    }
}

/// How every part was when the server last looked at itself.
#[derive(Debug, Default)]
pub struct HealthBoard {
    statuses: Mutex<BTreeMap<&'static str, &'static str>>,
    checks: AtomicU64,
}

impl HealthBoard {
    fn put(&self, components: Vec<Component>) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        let mut statuses = self.statuses.lock();
        for Component { name, status, detail } in components {
            let before = statuses.insert(name, status).unwrap_or("healthy");
            match (before == status, status) {
                (true, _) => {}
                (false, "healthy") => tracing::info!(component = name, detail, "well again"),
                (false, "failing") => tracing::error!(component = name, detail, "failing"),
                (false, _) => tracing::warn!(component = name, detail, "degraded"),
            }
        }
    }

    /// Parts and how they were: healthy, degraded or failing.
    pub fn components(&self) -> Vec<(&'static str, &'static str)> {
        self.statuses.lock().iter().map(|(name, status)| (*name, *status)).collect()
    }

    /// How often the server looked.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }
}

async fn report(State(health): State<Health>) -> Response {
    let now_ms = (health.now_ms)();
    let components = health.components(now_ms);
    let status = overall(&components);
    let body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": (now_ms - health.started_ms).max(0) / 1000,
        "models_loaded": health.board.models_loaded(),
        "components": components.iter().map(|c| (c.name.to_owned(), c.json())).collect::<Map<_, _>>(),
    });
    let code = if status == "failing" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(body)).into_response()
}

/// How long a receiver may be tried before that is told.
const RECEIVER_PATIENCE_MS: i64 = 15_000;
/// How long after samples were skipped scoring counts as degraded.
const SKIPPED_LATELY_MS: i64 = 60_000;

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
        None => journal_sides(figures),
        Some(what) => ("failing", what.clone()),
    };
    let storage = match (figures.stuck.as_slice(), figures.damage.first()) {
        _ if !figures.panicked.is_empty() => {
            ("failing", format!("{} panicked; restart the server", figures.panicked.join(", ")))
        }
        ([], None) => ("healthy", format!("{} series, {} bytes of blocks", figures.series, figures.block_bytes)),
        ([], Some(first)) => ("degraded", format!("{} findings of damage, the first: {first}", figures.damage.len())),
        (stuck, _) => ("degraded", format!("no operation comes back from {}", stuck.join(", "))),
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

/// How telling people is: degraded while the log of alerts cannot be written, and while a receiver cannot be reached.
fn alerts(book: &AlertBook, now_ms: i64) -> Component {
    let view = book.view();
    let slow = view.trying.iter().find(|(_, since_ms)| now_ms - **since_ms > RECEIVER_PATIENCE_MS);
    let (status, detail) = match (book.failing(), slow, view.unreachable.first_key_value(), book.damage().first()) {
        (Some(what), ..) => ("degraded", format!("kept in memory only: {what}")),
        (_, Some((name, since_ms)), ..) => {
            ("degraded", format!("receiver {name} has not answered for {} s", (now_ms - since_ms) / 1000))
        }
        (_, _, Some((name, what)), _) => ("degraded", format!("receiver {name} could not be told: {what}")),
        (.., Some(first)) => ("degraded", format!("{} findings of damage, the first: {first}", book.damage().len())),
        _ => ("healthy", format!("{} on record", view.alerts.len())),
    };
    Component { name: "alerts", status, detail }
}

/// How the journal is that can be written: degraded while one of two folders cannot.
fn journal_sides(figures: &StoreFigures) -> (&'static str, String) {
    let failing = figures.journal_sides.iter().find_map(|side| Some((side, side.failing.as_ref()?)));
    match failing {
        Some((side, what)) => ("degraded", format!("{} is left out until it works: {what}", side.dir.display())),
        None => ("healthy", format!("{} bytes to replay", figures.journal_bytes)),
    }
}

/// How scoring is: degraded while it cannot keep up, and when models could not be written down or were lost.
fn analysis(scoring: &ScoringCounters, now_ms: i64) -> Component {
    let [skipped, panics, failures] =
        [&scoring.skipped, &scoring.panics, &scoring.save_failures].map(|counter| counter.load(Ordering::Relaxed));
    let skipped_at_ms = scoring.skipped_at_ms.load(Ordering::Relaxed);
    let is_skipping = skipped > 0 && now_ms - skipped_at_ms < SKIPPED_LATELY_MS;
    let step = scoring.step_max();
    let (status, detail) = match () {
        () if is_skipping => ("degraded", format!("too many samples to score: {skipped} were stored and not scored")),
        () if step > 0 => ("degraded", format!("{} ms behind: {}", scoring.lag_ms_max(), left_out(step))),
        () if panics > 0 => ("degraded", format!("{panics} series lost their model to a failure and learn anew")),
        () if failures > 0 => ("degraded", format!("models could not be written down {failures} times")),
        () => ("healthy", format!("{} ms behind", scoring.lag_ms_max())),
    };
    Component { name: "analysis", status, detail }
}

/// What is left out so many steps down the ladder.
fn left_out(step: u64) -> &'static str {
    match step {
        1 => "models are not written down",
        _ => "models are not written down and one detector of each family judges",
    }
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
    fn scoring_is_degraded_for_a_minute_after_it_skipped_and_whenever_a_model_was_lost() {
        let scoring = ScoringCounters::default();
        assert_eq!(analysis(&scoring, 5).status, "healthy");
        scoring.skipped.store(7, Ordering::Relaxed);
        scoring.skipped_at_ms.store(1000, Ordering::Relaxed);
        assert_eq!(
            [1000, 60_999, 61_000].map(|now| analysis(&scoring, now).status),
            ["degraded", "degraded", "healthy"]
        );
        scoring.steps[3].store(2, Ordering::Relaxed);
        let on_the_ladder = analysis(&scoring, 61_000);
        assert_eq!(on_the_ladder.status, "degraded");
        assert!(on_the_ladder.detail.contains("one detector of each family"), "{}", on_the_ladder.detail);
        scoring.steps[3].store(0, Ordering::Relaxed);
        scoring.panics.store(1, Ordering::Relaxed);
        assert_eq!(analysis(&scoring, 1_000_000).status, "degraded");
    }

    #[test]
    fn a_look_remembers_every_part_and_counts() {
        let board = HealthBoard::default();
        board.put(with(["degraded", "failing"]));
        board.put(with(["healthy", "healthy"]));
        assert_eq!((board.components(), board.checks()), (vec![("x", "healthy")], 2));
    }

    #[test]
    fn the_worst_component_decides() {
        assert_eq!(overall(&with(["healthy", "healthy"])), "healthy");
        assert_eq!(overall(&with(["degraded", "healthy"])), "degraded");
        assert_eq!(overall(&with(["degraded", "failing"])), "failing");
    }
}
