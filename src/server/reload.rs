//! Reads the settings, the users, the certificate and rule files again: on SIGHUP, when asked, and when one of their files changes.
//!
//! What can be put in force while the server runs is; of other settings that changed it is said that they need a restart.
//!
//! Not here: the settings of devices, which their own thread watches (see `ingest::snmp`).
//!
//! Invariant: all or nothing: everything is read before anything is put in force, and a mistake anywhere leaves all as it
//! was, with the reason in the log and a metric that says so.

use super::{Running, alerts, reporting, users};
use crate::access::{Guard, Users};
use crate::alert::Routing;
use crate::alert::book::{AlertBook, Wish};
use crate::anomaly::book::Book;
use crate::clock;
use crate::config::{self, Config, KEYS, Sources};
use crate::http_server::{Certificate, Tls};
use crate::logging;
use crate::monitors::MonitorKeeper;
use crate::rules::{RuleError, RuleKeeper};
use crate::self_metrics::SelfMetrics;
use crate::watch as expressions;
use parking_lot::Mutex;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::Store;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// Keys that are put in force while the server runs. Of `drift`, models trained on request take it over; windows are judged
/// as at the start.
const LIVE: [&str; 33] = [
    "log.level",
    "access.users_file",
    "access.requests_per_second",
    "http.tls_cert_file",
    "http.tls_key_file",
    "alerts.routing_file",
    "alerts.exec_allow",
    "alerts.external_url",
    "alerts.cooldown",
    "alerts.resolve_after",
    "alerts.max_age",
    "alerts.max_alerts",
    "alerts.retention",
    "alerts.dry_run",
    "correlation.window",
    "correlation.topology_file",
    "budget.notifications_per_week",
    "storage.retention",
    "watch.file",
    "watch.interval",
    "watch.training_window",
    "pull.retrain_at",
    "pull.detect_interval",
    "calibration.every",
    "capacity_report.schedule",
    "capacity_report.timezone",
    "capacity_report.receivers",
    "capacity_report.top",
    "capacity_report.max_series",
    "capacity_report.keep",
    "drift.test",
    "drift.threshold",
    "health.check_interval",
];
/// How often the files are looked at.
const WATCH: Duration = Duration::from_secs(2);
/// How long the book of alerts may take to take over what concerns it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The settings in force, for tasks that look at them again and again.
pub(super) type InForce = watch::Receiver<Arc<Config>>;

/// What takes over what was read again.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) guard: Arc<Guard>,
    pub(super) tls: Option<Tls>,
    pub(super) alerts: AlertBook,
    pub(super) store: Store,
    pub(super) anomalies: Book,
    pub(super) rules: Arc<RuleKeeper>,
    pub(super) monitors: Arc<MonitorKeeper>,
    pub(super) metrics: Arc<SelfMetrics>,
}

impl Live {
    /// Of the running parts.
    pub(super) fn of(running: &Running, guard: &Arc<Guard>, tls: Option<Tls>) -> Self {
        Self {
            guard: guard.clone(),
            tls,
            alerts: running.alerts.book.clone(),
            store: running.store.clone(),
            anomalies: running.book.clone(),
            rules: running.rules.clone(),
            monitors: running.alerts.monitors.clone(),
            metrics: running.metrics.clone(),
        }
    }
}

/// All that can be read again.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    file: Option<PathBuf>,
    in_force: Mutex<Config>,
    shown: watch::Sender<Arc<Config>>,
    /// The routing in force, in words, by which another one is known.
    routing: Mutex<String>,
    live: Live,
}

/// What tells one state of a file from another, also when a link to it was turned.
pub(super) type Seen = Option<(PathBuf, u64, i64, i64, u64)>;

pub(super) fn seen(path: &Path) -> Seen {
    let real = path.canonicalize().ok()?;
    let about = real.metadata().ok()?;
    Some((real, about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
}

/// Everything that was read, before any of it is in force.
struct Read {
    config: Config,
    users: Option<Users>,
    certificate: Option<Certificate>,
    routing: Routing,
}

fn said(errors: &[RuleError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Reloader {
    pub(super) fn new(sources: Sources, file: Option<PathBuf>, config: Config, live: Live) -> Self {
        live.metrics.reloads.last_success_ms.store(clock::now_ms(), Ordering::Relaxed);
        let (shown, _) = watch::channel(Arc::new(config.clone()));
        // What cannot be read any more differs from everything that can.
        let routing = alerts::routing(&config).map_or_else(|_| String::new(), |routing| format!("{routing:?}"));
        Self { sources, file, in_force: Mutex::new(config), shown, routing: Mutex::new(routing), live }
    }

    /// The settings in force, from now on.
    pub(super) fn in_force(&self) -> InForce {
        self.shown.subscribe()
    }

    /// Reads everything again; says what is in force now, or why nothing was changed. Blocks.
    pub(super) fn reload(&self) -> Result<String, String> {
        let mut in_force = self.in_force.lock();
        let done = self.apply(&mut in_force);
        let reloads = &self.live.metrics.reloads;
        match &done {
            Ok((said, waiting)) => {
                reloads.succeeded.fetch_add(1, Ordering::Relaxed);
                reloads.last_failed.store(false, Ordering::Relaxed);
                reloads.last_success_ms.store(clock::now_ms(), Ordering::Relaxed);
                reloads.waiting.lock().clone_from(waiting);
                if !waiting.is_empty() {
                    tracing::warn!(keys = waiting.join(", "), "settings that need a restart were changed");
                }
                tracing::info!(said, "settings were read again");
            }
            Err(what) => {
                reloads.failed.fetch_add(1, Ordering::Relaxed);
                reloads.last_failed.store(true, Ordering::Relaxed);
                tracing::error!(what, "settings were refused; those before stay in force");
            }
        }
        done.map(|(said, _)| said)
    }

    /// Reads and checks everything, and changes nothing.
    fn read(&self) -> Result<Read, String> {
        let config = config::load(&self.sources).map_err(|errors| errors.to_string())?.config;
        let users = users(&config.access).map_err(|error| format!("{error:#}"))?;
        if users.is_none() && self.live.guard.is_configured() {
            return Err(
                "access.users_file is gone: without users everybody would be let in, which needs a restart".into()
            );
        }
        let certificate = match (&config.http.tls_cert_file, &config.http.tls_key_file, &self.live.tls) {
            (Some(cert), Some(key), Some(_)) => Some(Certificate::read(cert, key).map_err(|error| error.to_string())?),
            (None, None, None) => None,
            _ => return Err("http.tls_cert_file was set or taken away, which needs a restart".into()),
        };
        let routing = alerts::routing(&config).map_err(|error| format!("alerts.routing_file: {error:#}"))?;
        reporting::check(&config, &routing).map_err(|error| format!("{error:#}"))?;
        if let Some(path) = &config.watch.file {
            expressions::read(path).map_err(|error| format!("watch.file: {error}"))?;
        }
        self.live.rules.files.check().map_err(|errors| said(&errors))?;
        self.live.monitors.files.check().map_err(|errors| said(&errors))?;
        Ok(Read { config, users, certificate, routing })
    }

    fn apply(&self, in_force: &mut Config) -> Result<(String, Vec<&'static str>), String> {
        let Read { config: new, users, certificate, routing } = self.read()?;
        let changed: Vec<_> = KEYS.iter().filter(|key| (key.text)(&new) != (key.text)(in_force)).collect();
        let (live, waiting): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| LIVE.contains(&key.name));
        // What waits for a restart stays as it is, so that the next time says so again.
        let mut next = in_force.clone();
        for key in &live {
            (key.set)(&mut next, &(key.text)(&new))?;
        }
        let is_rerouted = self.reroute(&next, routing)?;
        self.live.rules.files.read().map_err(|errors| said(&errors))?;
        self.live.monitors.files.read().map_err(|errors| said(&errors))?;
        logging::set_level(next.log.level);
        if let Some(users) = users {
            self.live.guard.replace(users);
        }
        if next.access.requests_per_second != in_force.access.requests_per_second {
            self.live.guard.limit(next.access.requests_per_second);
        }
        if let (Some(tls), Some(certificate)) = (&self.live.tls, certificate) {
            tls.replace(certificate);
        }
        let retention_ms = next.storage.retention_ms().unwrap_or(0);
        self.live.store.set_retention(retention_ms);
        self.live.anomalies.set_retention(retention_ms);
        *in_force = next;
        self.shown.send_replace(Arc::new(in_force.clone()));
        let names = |keys: &[&config::Key]| keys.iter().map(|key| key.name).collect::<Vec<_>>();
        let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let (live, waiting) = (names(&live), names(&waiting));
        let routed = if is_rerouted { "; receivers and routes are others now" } else { "" };
        Ok((format!("changed: {}{routed}; waiting for a restart: {}", list(&live), list(&waiting)), waiting))
    }

    /// Has the book of alerts take over its rules, and the routing if that is another one; whether it is. The book is asked
    /// before anything else is changed, as it alone may refuse.
    fn reroute(&self, next: &Config, routing: Routing) -> Result<bool, String> {
        let mut known = self.routing.lock();
        let words = format!("{routing:?}");
        let is_other = words != *known;
        let (answer, answered) = crossbeam_channel::bounded(1);
        let settings = alerts::settings(next).map_err(|error| format!("{error:#}"))?;
        let wish = Wish::Configure(settings, is_other.then(|| Box::new(routing)));
        let refused = |what: String| format!("the book of alerts: {what}");
        let told = self.live.alerts.wish(wish, Box::new(move |result| drop(answer.send(result))));
        told.map_err(|error| refused(error.to_string()))?;
        let done = answered.recv_timeout(PATIENCE).map_err(|error| refused(error.to_string()))?;
        done.map_err(|error| refused(error.to_string()))?;
        *known = words;
        Ok(is_other)
    }

    fn files(&self) -> Vec<Seen> {
        let in_force = self.in_force.lock();
        let (http, access, alerts) = (&in_force.http, &in_force.access, &in_force.alerts);
        let own = [
            &self.file,
            &access.users_file,
            &http.tls_cert_file,
            &http.tls_key_file,
            &alerts.routing_file,
            &in_force.correlation.topology_file,
        ];
        own.into_iter().flatten().map(|path| seen(path)).collect()
    }

    /// Reads again whenever there is a reason, until the server stops.
    pub(super) async fn watch(self: Arc<Self>, mut hangup: Signal, mut stop: watch::Receiver<bool>) {
        let mut known = self.files();
        let mut unsettled = None;
        loop {
            let is_told = tokio::select! {
                told = hangup.recv() => told.is_some(),
                () = tokio::time::sleep(WATCH) => false,
                _ = stop.wait_for(|stopping| *stopping) => return,
            };
            let reloader = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let now = reloader.files();
                // A file that is being written is left alone until it stays as it is from one look to the next.
                let is_due = is_told || now != known && unsettled.as_ref() == Some(&now);
                if is_due {
                    // What was wrong is in the log and in the metrics.
                    let _ = reloader.reload();
                    let now = reloader.files();
                    return (now, None);
                }
                (known, Some(now))
            });
            let Ok(looked) = looked.await else { return };
            (known, unsettled) = looked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_live_key_is_one() {
        assert!(LIVE.iter().all(|name| KEYS.iter().any(|key| key.name == *name)));
    }

    #[test]
    fn a_link_that_was_turned_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join("a.toml"), "").unwrap();
        }
        std::os::unix::fs::symlink("one", path("now")).unwrap();
        let before = seen(&path("now/a.toml"));
        std::os::unix::fs::symlink("two", path("new")).unwrap();
        std::fs::rename(path("new"), path("now")).unwrap();
        assert!(before.is_some() && seen(&path("now/a.toml")) != before);
        assert_eq!(seen(&path("none")), None);
    }
}
