//! Forecasts beside the store: taken over from before the last start, written down again and again, and watched by rules.
//!
//! Not here: making them (see `forecasts`).
//!
//! Invariants: a file of rules with a mistake changes nothing and is named in the log once; what cannot be written or read
//! of kept forecasts costs learning them anew and nothing else.

use super::reload::InForce;
use super::settings::query_limits;
use super::{Running, reporting};
use crate::clock;
use crate::config::Config;
use crate::forecasts::{Allowance, ForecastDesk, PredictiveRule, RuleBoard, RuleError, Runner, read};
use crate::query::{self, Room};
use crate::reports::ReportBoard;
use crate::shard::rests::RestPlans;
use anyhow::{Context, Result, anyhow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use storage::Store;
use tokio::sync::watch as signal;

/// How often what is kept is written down, if it has changed.
const CHECKPOINT: Duration = Duration::from_secs(300);
/// How often the file of rules is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What all parts share that make forecasts.
#[derive(Debug)]
pub(super) struct Forecasts {
    pub(super) desk: Arc<ForecastDesk>,
    pub(super) board: Arc<RuleBoard>,
    /// Reports on capacity.
    pub(super) reports: Arc<ReportBoard>,
    state: PathBuf,
}

impl Forecasts {
    /// Over a store, with what was kept before the last start.
    pub(super) fn open(config: &Config, store: &Store, room: &Room, rests: Arc<dyn RestPlans>) -> Self {
        let desk = Arc::new(ForecastDesk::new(store.clone(), config.forecasts.memory as usize).resting(rests));
        let state = config.storage.data_dir.join("forecasts.state");
        if let Err(error) = desk.read(&state) {
            tracing::warn!(%error, "forecasts are learned anew");
        }
        room.compute_by(desk.clone());
        let reports = Arc::new(ReportBoard::new(config.storage.data_dir.join("reports").join("capacity")));
        Self { desk, board: Arc::default(), reports, state }
    }

    /// Writes down what is kept.
    pub(super) fn checkpoint(&self) {
        write(&self.desk, &self.state);
    }
}

fn write(desk: &ForecastDesk, state: &Path) {
    if let Err(error) = desk.write(state) {
        tracing::warn!(%error, "kept forecasts stay as they were written before");
    }
}

/// What is done again and again.
pub(super) struct Forecasting {
    desk: Arc<ForecastDesk>,
    state: PathBuf,
    written_changes: u64,
    checkpoint_due: Instant,
    runner: Runner,
    file: Option<PathBuf>,
    file_written: Option<SystemTime>,
    look_due: Instant,
    config: Config,
}

fn written(file: &Path) -> Option<SystemTime> {
    // Through links, so that one that was turned counts as a change.
    std::fs::metadata(file).and_then(|about| about.modified()).ok()
}

fn rules(file: &Path, config: &Config) -> Result<Vec<PredictiveRule>, RuleError> {
    let limits = query_limits(&config.query);
    read(file, &|text| query::matchers(text, &limits).map_err(|error| error.to_string()))
}

/// Starts what is done with forecasts in a rhythm of its own.
///
/// # Errors
/// When the settings of rules or of reports make no sense, or the system gives no threads.
pub(super) fn spawn(
    config: &Config,
    running: &Running,
    in_force: &InForce,
    stopped: &signal::Receiver<bool>,
) -> Result<()> {
    tokio::spawn(begin(config, running)?.run(stopped.clone()));
    tokio::spawn(reporting::begin(config, running, in_force.clone())?.run(stopped.clone()));
    Ok(())
}

/// Reads the file of rules.
///
/// # Errors
/// When it cannot be read or has a mistake, or the system gives no threads.
fn begin(config: &Config, running: &Running) -> Result<Forecasting> {
    let forecasts = &running.forecasts;
    let file = config.forecasts.rules_file.clone();
    let file_written = file.as_deref().and_then(written);
    let read = file.as_deref().map(|file| rules(file, config)).transpose().context("forecasts.rules_file")?;
    let (cpu_share, series_max) = (config.forecasts.cpu_share, config.forecasts.rule_series_max);
    let allowance = Allowance { series_max, cpu_share, threads: cpu_share.ceil() as usize };
    let (desk, board, records) = (forecasts.desk.clone(), forecasts.board.clone(), running.book.records());
    let runner = Runner::new(desk, read.unwrap_or_default(), board, running.runs.clone(), (allowance, &records));
    let runner = runner.map_err(|error| anyhow!("no threads to forecast: {error}"))?;
    let now = clock::monotonic();
    Ok(Forecasting {
        desk: forecasts.desk.clone(),
        state: forecasts.state.clone(),
        written_changes: forecasts.desk.changes(),
        checkpoint_due: now + CHECKPOINT,
        runner,
        file,
        file_written,
        look_due: now + LOOK,
        config: config.clone(),
    })
}

impl Forecasting {
    /// Works slice by slice until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        loop {
            let done = tokio::task::spawn_blocking(move || {
                self.read_again();
                let rest = self.runner.slice(clock::now_ms());
                self.checkpoint();
                (self, rest)
            });
            let Ok((back, rest)) = done.await else { return };
            self = back;
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    fn checkpoint(&mut self) {
        let now = clock::monotonic();
        if now < self.checkpoint_due {
            return;
        }
        self.checkpoint_due = now + CHECKPOINT;
        let changes = self.desk.changes();
        if changes != self.written_changes {
            write(&self.desk, &self.state);
            self.written_changes = changes;
        }
    }

    fn read_again(&mut self) {
        let now = clock::monotonic();
        let Some(file) = self.file.as_deref().filter(|_| now >= self.look_due) else { return };
        self.look_due = now + LOOK;
        let file_written = written(file);
        if file_written == self.file_written {
            return;
        }
        self.file_written = file_written;
        match rules(file, &self.config) {
            Ok(rules) => {
                tracing::info!(rules = rules.len(), "the file of predictive rules was read again");
                self.runner.replace(rules);
            }
            Err(error) => tracing::error!(%error, "predictive rules stay as they were"),
        }
    }
}
