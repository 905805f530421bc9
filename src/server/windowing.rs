//! Judges chosen series window by window in the rhythm of the settings.
//!
//! Not here: windows and what is said of them (see `windowed`).

use super::Running;
use super::settings::{query_limits, windowed_settings};
use crate::clock;
use crate::config::Config;
use crate::query;
use crate::windowed::Runner;
use anyhow::{Context, Result};
use std::time::Duration;
use tokio::sync::watch;

/// What is judged so, and how often it is looked for new samples.
pub(super) struct Windowing {
    runner: Runner,
    every: Duration,
}

/// What the settings ask for; nothing if no series are chosen.
///
/// # Errors
/// When the series cannot be understood.
pub(super) fn begin(config: &Config, running: &Running) -> Result<Option<Windowing>> {
    let pipeline = &config.pipeline;
    if pipeline.series.trim().is_empty() {
        return Ok(None);
    }
    if let Some(path) = &pipeline.model_path {
        let judge = "statistical_baseline";
        tracing::warn!(path = %path.display(), judge, "pipeline.model_path is not used: models in files of ONNX are not run");
    }
    let matchers = query::matchers(&pipeline.series, &query_limits(&config.query)).context("pipeline.series")?;
    let (store, runs, board) = (running.store.clone(), running.runs.clone(), running.windowed.clone());
    let runner = Runner::new(store, matchers, windowed_settings(config), runs, board);
    // A window is told at most so much later than its last sample comes.
    Ok(Some(Windowing { runner, every: pipeline.window_step.min(Duration::from_secs(10)) / 2 }))
}

impl Windowing {
    /// Looks until the server stops.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self { mut runner, every } = self;
        loop {
            let looked = tokio::task::spawn_blocking(move || {
                runner.tick(clock::now_ms());
                runner
            });
            let Ok(back) = looked.await else { return };
            runner = back;
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}
