//! Reports on capacity beside the rest: when they are made, and who is told of them by the settings in force.
//!
//! Not here: making them (see `reports`), how a receiver is told (see `alert`).
//!
//! Invariant: no server starts, and no settings are taken over, with a schedule that is none or a receiver that there is not.

use super::reload::InForce;
use super::{Running, alerts};
use crate::alert::{ReportText, Routing, Untold, takes_reports, tell_report};
use crate::clock;
use crate::config::Config;
use crate::reports::{Plan, Reporter};
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch as signal;

/// Who makes reports.
pub(super) struct Reporting {
    reporter: Reporter,
    in_force: InForce,
}

/// What the settings say of reports.
fn plan(config: &Config) -> Plan {
    let report = &config.capacity_report;
    let names = report.receivers.split(',').map(str::trim).filter(|name| !name.is_empty());
    Plan {
        schedule: report.schedule.trim().to_owned(),
        timezone: report.timezone.clone(),
        receivers: names.map(str::to_owned).collect(),
        top: report.top,
        series_max: report.max_series,
        keep: report.keep,
        cpu_share: config.forecasts.cpu_share,
    }
}

/// Whether the settings make sense, with these receivers.
///
/// # Errors
/// When the schedule or its zone is none, or a receiver is not there or has no use for a report.
pub(super) fn check(config: &Config, routing: &Routing) -> Result<()> {
    let plan = plan(config);
    plan.recurrence(0).context("capacity_report.schedule, capacity_report.timezone")?;
    for name in &plan.receivers {
        match routing.receivers.iter().find(|receiver| &*receiver.name == name) {
            Some(receiver) if takes_reports(receiver) => {}
            Some(_) => bail!("capacity_report.receivers: {name} takes alerts alone, and no reports"),
            None => bail!("capacity_report.receivers: {name} is no receiver of alerts.routing_file"),
        }
    }
    Ok(())
}

/// Goes on where the process before ended.
///
/// # Errors
/// When the settings make no sense, or the reports of before cannot be listed.
pub(super) fn begin(config: &Config, running: &Running, in_force: InForce) -> Result<Reporting> {
    check(config, &alerts::routing(config)?)?;
    let (store, forecasts) = (running.store.clone(), &running.forecasts);
    let (desk, rules, board) = (forecasts.desk.clone(), forecasts.board.clone(), forecasts.reports.clone());
    let reporter = Reporter::open(store, desk, rules, board).context("the folder of reports")?;
    Ok(Reporting { reporter, in_force })
}

impl Reporting {
    /// Works turn by turn until the server stops.
    pub(super) async fn run(self, mut stop: signal::Receiver<bool>) {
        let Self { mut reporter, in_force } = self;
        let stopping = Arc::new(AtomicBool::new(false));
        loop {
            let (config, ends) = (in_force.borrow().clone(), stopping.clone());
            let turn = tokio::task::spawn_blocking(move || {
                let mut tell = |name: &str, report: &ReportText| tell(&config, name, report, &ends);
                let rest = reporter.turn(&plan(&config), clock::now_ms(), &mut tell);
                (reporter, rest)
            });
            let done = tokio::select! {
                done = turn => done,
                _ = stop.wait_for(|stopping| *stopping) => {
                    // A program that is being told ends by this.
                    stopping.store(true, Ordering::Relaxed);
                    return;
                }
            };
            let Ok((back, rest)) = done else { return };
            reporter = back;
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

/// Tells a receiver of the routing file as it stands.
fn tell(config: &Config, name: &str, report: &ReportText, stop: &AtomicBool) -> Result<(), Untold> {
    let routing = alerts::routing(config).map_err(|error| Untold { what: format!("{error:#}"), may_pass: true })?;
    let to = routing.receivers.iter().find(|receiver| &*receiver.name == name);
    let gone = || Untold { what: "it is no receiver of alerts.routing_file any more".to_owned(), may_pass: false };
    tell_report(to.ok_or_else(gone)?, report, config.alerts.dry_run, stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(schedule: &str, timezone: &str, receivers: &str) -> Option<String> {
        let mut config = Config::default();
        let report = &mut config.capacity_report;
        (report.schedule, report.timezone) = (schedule.to_owned(), timezone.to_owned());
        report.receivers = receivers.to_owned();
        check(&config, &Routing::default()).err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn a_schedule_that_is_none_and_a_receiver_that_there_is_not_are_refused_by_name() {
        assert_eq!(said("0 7 * * 1", "UTC", "log"), None);
        assert_eq!(said("", "UTC", ""), None);
        for (schedule, timezone, receivers, named) in [
            ("mondays", "UTC", "", "capacity_report.schedule"),
            ("0 7 * * 1", "Berlin", "", "Berlin"),
            ("0 7 * * 1", "UTC", "log, ops", "ops is no receiver"),
        ] {
            let said = said(schedule, timezone, receivers).unwrap();
            assert!(said.contains(named), "{said}");
        }
    }
}
