//! Evaluates watched expressions in their rhythm, and reads their file again when it changes.
//!
//! Not here: what is done with them (see `watch`).
//!
//! Invariant: a file with a mistake changes nothing and is named in the log once.

use super::Running;
use super::routes::source;
use crate::clock;
use crate::config::Config;
use crate::watch::{self, Runner};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::watch as signal;

/// What is evaluated, and how often.
pub(super) struct Watching {
    runner: Runner,
    file: PathBuf,
    written: Option<SystemTime>,
    interval: Duration,
}

fn written(file: &Path) -> Option<SystemTime> {
    // Through links, so that one that was turned counts as a change.
    std::fs::metadata(file).and_then(|about| about.modified()).ok()
}

/// Reads the file.
///
/// # Errors
/// When it cannot be read or has a mistake.
pub(super) fn begin(config: &Config, file: &Path, running: &Running) -> Result<Watching> {
    let interval = config.watch.interval;
    let written = written(file);
    let metrics = watch::read(file).context("watch.file")?;
    let runner = Runner::new(source(config, running), metrics, running.watched.clone(), interval.as_millis() as i64);
    Ok(Watching { runner, file: file.to_path_buf(), written, interval })
}

impl Watching {
    /// Ticks until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        loop {
            let began = clock::monotonic();
            let done = tokio::task::spawn_blocking(move || {
                self.read_again();
                self.runner.tick(clock::now_ms());
                self
            });
            let Ok(back) = done.await else { return };
            self = back;
            tokio::select! {
                () = tokio::time::sleep(self.interval.saturating_sub(began.elapsed())) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    fn read_again(&mut self) {
        let now = written(&self.file);
        if now == self.written {
            return;
        }
        self.written = now;
        match watch::read(&self.file) {
            Ok(metrics) => {
                tracing::info!(expressions = metrics.len(), "the file of watched expressions was read again");
                self.runner.replace(metrics);
            }
            Err(error) => tracing::error!(%error, "watched expressions stay as they were"),
        }
    }
}
