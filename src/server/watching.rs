//! Evaluates watched expressions in their rhythm, and reads their file again when it changes or another one is named.
//!
//! Not here: what is done with them (see `watch`).
//!
//! Invariant: a file with a mistake changes nothing and is named in the log once.

use super::Running;
use super::reload::{InForce, Seen, seen};
use super::routes::source;
use crate::clock;
use crate::config::Config;
use crate::watch::{self, Runner};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch as signal;

/// How often it is looked whether there is a file by now.
const LOOK: Duration = Duration::from_secs(1);

/// What is evaluated.
pub(super) struct Watching {
    runner: Runner,
    file: Option<PathBuf>,
    written: Seen,
    in_force: InForce,
}

/// Reads the file, if there is one.
///
/// # Errors
/// When it cannot be read or has a mistake.
pub(super) fn begin(config: &Config, running: &Running, in_force: InForce) -> Result<Watching> {
    let file = config.watch.file.clone();
    let written = file.as_deref().and_then(seen);
    let metrics = file.as_deref().map(watch::read).transpose().context("watch.file")?.unwrap_or_default();
    let runner = Runner::new(source(config, running), metrics, running.watched.clone());
    Ok(Watching { runner, file, written, in_force })
}

impl Watching {
    /// Ticks until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        loop {
            let began = clock::monotonic();
            let watch = self.in_force.borrow().watch.clone();
            let interval = if watch.file.is_some() { watch.interval } else { LOOK };
            let done = tokio::task::spawn_blocking(move || {
                self.read_again(watch.file);
                let (step_ms, past_ms) = (watch.interval.as_millis() as i64, watch.training_window.as_millis() as i64);
                self.runner.tick(clock::now_ms(), step_ms, past_ms);
                self
            });
            let Ok(back) = done.await else { return };
            self = back;
            tokio::select! {
                () = tokio::time::sleep(interval.saturating_sub(began.elapsed())) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    fn read_again(&mut self, file: Option<PathBuf>) {
        let now = file.as_deref().and_then(seen);
        if now == self.written && file == self.file {
            return;
        }
        (self.written, self.file) = (now, file);
        match self.file.as_deref().map(watch::read).transpose() {
            Ok(metrics) => {
                let metrics = metrics.unwrap_or_default();
                tracing::info!(expressions = metrics.len(), "the file of watched expressions was read again");
                self.runner.replace(metrics);
            }
            Err(error) => tracing::error!(%error, "watched expressions stay as they were"),
        }
    }
}
