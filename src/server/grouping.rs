//! Judges groups of series in their rhythm.
//!
//! Not here: what is done with them (see `groups`).

use super::Running;
use super::resting::AlertWindows;
use super::settings::group_settings;
use crate::config::Config;
use crate::groups::GroupRunner;
use anyhow::Result;
use std::time::Duration;
use tokio::sync::watch as signal;

/// Rows are looked for at least so often, whatever their distance.
const TICK_MAX: Duration = Duration::from_secs(10);

/// What is judged, and how often it is looked at.
pub(super) struct Grouping {
    runner: Option<GroupRunner>,
    tick: Duration,
}

/// Groups of the settings.
///
/// # Errors
/// When the settings make no sense.
pub(super) fn begin(config: &Config, running: &Running) -> Result<Grouping> {
    let settings = group_settings(&config.groups)?.filter(|_| config.models.enabled);
    let runner = settings.map(|settings| {
        let rests = AlertWindows::of(&running.alerts.book);
        let shown = (running.grouped.clone(), running.metrics.clone());
        let judging = running.judging.usual().clone();
        GroupRunner::new((running.store.clone(), rests), settings, judging, running.runs.clone(), shown)
    });
    Ok(Grouping { runner, tick: config.groups.step.min(TICK_MAX) })
}

impl Grouping {
    /// Ticks until the server stops; at once where there are no groups.
    pub(super) async fn run(self, mut stop: signal::Receiver<bool>) {
        let Some(mut runner) = self.runner else { return };
        loop {
            let done = tokio::task::spawn_blocking(move || {
                runner.tick();
                runner
            });
            let Ok(back) = done.await else { return };
            runner = back;
            tokio::select! {
                () = tokio::time::sleep(self.tick) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}
