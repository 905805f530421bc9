//! Trains models again at their minute of the day.
//!
//! Not here: training (see `pull`).

use super::Running;
use super::routes::source;
use crate::clock;
use crate::config::Config;
use crate::pull::{ModelShelf, Source, is_due, retrain};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(20);

/// What is trained again, from what and when.
pub(super) struct Retraining {
    shelf: Arc<ModelShelf>,
    source: Source,
    at_minute: u32,
}

/// What the settings ask for; nothing if models shall stay as they are.
pub(super) fn begin(config: &Config, running: &Running) -> Option<Retraining> {
    let at_minute = config.pull.retrain_at?;
    Some(Retraining { shelf: running.shelf.clone(), source: source(config, running), at_minute })
}

impl Retraining {
    /// Looks at the clock until the server stops.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut before_ms = clock::now_ms();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
            let now_ms = clock::now_ms();
            if is_due(before_ms, now_ms, this.at_minute) {
                let again = this.clone();
                let done = tokio::task::spawn_blocking(move || retrain(&again.shelf, &again.source, now_ms)).await;
                match done {
                    Ok(done) if done.failed.is_empty() => tracing::info!(models = done.trained, "models trained again"),
                    Ok(done) => {
                        let first = done.failed.first();
                        tracing::warn!(
                            models = done.trained,
                            failed = done.failed.len(),
                            first,
                            "some models stay as they were"
                        );
                    }
                    Err(error) => tracing::error!(%error, "models could not be trained again"),
                }
            }
            before_ms = now_ms;
        }
    }
}
