//! Asks trained models about their expressions in their rhythm, and trains them again at their minute of the day.
//!
//! Not here: asking and training (see `pull`).

use super::Running;
use super::reload::InForce;
use super::routes::source;
use super::settings::drift_limit;
use crate::clock;
use crate::config::Config;
use crate::pull::{ModelShelf, PullGauges, Source, is_due, retrain, sweep};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is asked and trained again, and from what.
pub(super) struct Retraining {
    models: Arc<Models>,
    in_force: InForce,
}

struct Models {
    shelf: Arc<ModelShelf>,
    source: Source,
    gauges: Arc<PullGauges>,
}

/// Of a server that runs.
pub(super) fn begin(config: &Config, running: &Running, in_force: InForce) -> Retraining {
    let (shelf, gauges) = (running.shelf.clone(), running.gauges.clone());
    Retraining { models: Arc::new(Models { shelf, source: source(config, running), gauges }), in_force }
}

impl Retraining {
    /// Looks at the clock until the server stops.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let (mut before_ms, mut swept) = (clock::now_ms(), clock::monotonic());
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
            let config = self.in_force.borrow().clone();
            let now_ms = clock::now_ms();
            if config.pull.retrain_at.is_some_and(|at_minute| is_due(before_ms, now_ms, at_minute)) {
                let models = self.models.clone();
                let done = move || retrain(&models.shelf, &models.source, now_ms);
                match tokio::task::spawn_blocking(done).await {
                    Ok(done) => say("trained again", done.trained, &done.failed),
                    Err(error) => tracing::error!(%error, "models could not be trained again"),
                }
            }
            let every = config.pull.detect_interval;
            if !every.is_zero() && swept.elapsed() >= every {
                swept = clock::monotonic();
                let (models, limit) = (self.models.clone(), drift_limit(&config));
                let done = move || sweep(&models.shelf, &models.source, &models.gauges, limit, now_ms);
                match tokio::task::spawn_blocking(done).await {
                    Ok(done) => {
                        for model in &done.retrained {
                            tracing::warn!(model, "its values had drifted: trained again");
                        }
                        say("asked", done.asked, &done.failed);
                    }
                    Err(error) => tracing::error!(%error, "models could not be asked"),
                }
            }
            before_ms = now_ms;
        }
    }
}

fn say(what: &str, models: usize, failed: &[String]) {
    match failed.first() {
        Some(first) => tracing::warn!(models, failed = failed.len(), first, "not all models could be {what}"),
        None if models > 0 => tracing::info!(models, "models {what}"),
        None => {}
    }
}
