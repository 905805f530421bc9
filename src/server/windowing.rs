//! Judges chosen series window by window in the rhythm of the settings.
//!
//! Not here: windows and what is said of them (see `windowed`).

use super::Running;
use super::settings::{query_limits, windowed_settings};
use crate::clock;
use crate::config::{Config, Fallback};
use crate::query;
use crate::windowed::{Judge, Runner, WindowModel};
use anyhow::{Context, Result, bail};
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
    let judge = judge(config)?;
    let matchers = query::matchers(&pipeline.series, &query_limits(&config.query)).context("pipeline.series")?;
    let (store, runs, board) = (running.store.clone(), running.runs.clone(), running.windowed.clone());
    let runner = Runner::new(store, matchers, (windowed_settings(config), judge), runs, board);
    // A window is told at most so much later than its last sample comes.
    Ok(Some(Windowing { runner, every: pipeline.window_step.min(Duration::from_secs(10)) / 2 }))
}

/// Who judges: the model of the settings, read before the start is over, or the statistics.
///
/// # Errors
/// When the model cannot be used and nobody is to judge in its place.
fn judge(config: &Config) -> Result<Judge> {
    let pipeline = &config.pipeline;
    let falls_back = pipeline.fallback_strategy == Fallback::StatisticalBaseline;
    let Some(path) = &pipeline.model_path else { return Ok(Judge { model: None, falls_back: true }) };
    match WindowModel::load(path, &pipeline.model_input, &pipeline.model_output) {
        Ok(model) => {
            tracing::info!(path = %path.display(), length = model.length(), "windows are judged by a model");
            Ok(Judge { model: Some(model), falls_back })
        }
        Err(error) if falls_back => {
            tracing::warn!(%error, judge = "statistical_baseline", "pipeline.model_path is not used");
            Ok(Judge { model: None, falls_back })
        }
        Err(error) => bail!("pipeline.model_path: {error}; pipeline.fallback_strategy is off"),
    }
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
