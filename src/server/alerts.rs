//! Alerts: their book beside that of anomalies, and what it is told of the settings.
//!
//! Not here: what becomes of an anomaly (see `alert`).

use super::settings::query_limits;
use super::{Running, correlating, monitoring, ruling};
use crate::alert::book::{self, AlertBook, AlertBookHandle};
use crate::alert::{Routing, Settings, Signal, Topology, routing_file};
use crate::anomaly::book::{Book, Hearer};
use crate::config::Config;
use crate::monitors::MonitorKeeper;
use crate::query;
use anyhow::{Context, Result, anyhow};
use crossbeam_channel::Sender;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// The book of alerts and the way to it.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) book: AlertBook,
    /// Monitors, and how they stand.
    pub(super) monitors: Arc<MonitorKeeper>,
    signals: Sender<Signal>,
    thread: AlertBookHandle,
}

impl Alerts {
    pub(super) fn start(config: &Config) -> Result<Self> {
        let folder = config.storage.data_dir.join("alerts");
        let monitors = monitoring::keeper(config)?;
        let opened = book::open(&folder, settings(config)?, routing(config)?);
        let (book, signals, thread) = opened.with_context(|| format!("cannot open {}", folder.display()))?;
        Ok(Self { book, monitors, signals, thread })
    }

    /// A way to the book for whoever raises alerts of their own.
    pub(super) fn signals(&self) -> Sender<Signal> {
        self.signals.clone()
    }

    /// Hears of every anomaly that is new or has changed.
    pub(super) fn hearer(&self) -> Hearer {
        let signals = self.signals.clone();
        Box::new(move |record| {
            if let Some(signal) = Signal::of(record) {
                // The book of alerts ends after that of anomalies, so nobody misses what cannot be sent.
                let _ = signals.send(signal);
            }
        })
    }

    /// Tells what became, before the last start, of anomalies whose alerts go on.
    pub(super) fn catch_up(&self, anomalies: &Book) {
        let (view, records) = (self.book.view(), anomalies.records());
        let firing = view.alerts.values().filter(|alert| alert.is_firing());
        let behind = firing.filter_map(|alert| records.get(alert.anomaly_id?)).filter(|record| !record.is_open);
        behind.filter_map(|record| Signal::of(record)).for_each(|signal| drop(self.signals.send(signal)));
    }

    /// Ends when nobody can tell anything any more.
    pub(super) fn stop(self) -> Result<()> {
        drop((self.book, self.signals));
        self.thread.join().context("the book of alerts panicked")
    }
}

/// Starts what raises alerts beside anomalies, and what looks at how their series move.
///
/// # Errors
/// When the external labels of the settings are none.
pub(super) fn spawn(config: &Config, running: &Running, stopped: &watch::Receiver<bool>) -> Result<()> {
    tokio::spawn(correlating::begin(config, running).run(stopped.clone()));
    tokio::spawn(ruling::begin(config, running)?.run(stopped.clone()));
    tokio::spawn(monitoring::begin(config, running).run(stopped.clone()));
    Ok(())
}

/// How alerts are handled by the settings.
pub(super) fn settings(config: &Config) -> Result<Settings> {
    let topology = config.correlation.topology_file.as_deref().map(Topology::read).transpose();
    let topology = topology.map_err(|what| anyhow!("correlation.topology_file: {what}"))?;
    let alerts = &config.alerts;
    Ok(Settings {
        cooldown_ms: alerts.cooldown.as_millis() as i64,
        resolve_after_ms: alerts.resolve_after.as_millis() as i64,
        alerts_max: alerts.max_alerts,
        retention_ms: alerts.retention.as_millis() as i64,
        age_max_ms: alerts.max_age.as_millis() as i64,
        notifications_per_week: config.budget.notifications_per_week as u64,
        dry_run: alerts.dry_run,
        external_url: alerts.external_url.trim_end_matches('/').to_owned(),
        window_ms: config.correlation.window.as_millis() as i64,
        topology: topology.unwrap_or_default(),
    })
}

/// Who is told by the settings.
///
/// # Errors
/// When the file cannot be read or has a mistake.
pub(super) fn routing(config: &Config) -> Result<Routing> {
    let Some(path) = &config.alerts.routing_file else { return Ok(Routing::default()) };
    let allowed = config.alerts.exec_allow.split(',').map(str::trim).filter(|path| !path.is_empty());
    let allowed: Vec<PathBuf> = allowed.map(PathBuf::from).collect();
    let limits = query_limits(&config.query);
    let matchers = |text: &str| query::matchers(text, &limits).map_err(|error| error.to_string());
    Ok(routing_file::load(path, &matchers, &allowed)?)
}
