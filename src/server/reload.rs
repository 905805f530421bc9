//! Reads the settings, the users and the certificate again: on SIGHUP, when asked, and when one of their files changes.
//!
//! What can be put in force while the server runs is; of other settings that changed it is said that they need a restart.
//!
//! Not here: the settings of devices, which their own thread watches (see `ingest::snmp`).
//!
//! Invariant: all or nothing: everything is read before anything is put in force, and a mistake anywhere leaves all as it
//! was, with the reason in the log and a metric that says so.

use super::users;
use crate::access::Guard;
use crate::clock;
use crate::config::{self, Config, KEYS, Sources};
use crate::http_server::{Certificate, Tls};
use crate::logging;
use crate::self_metrics::SelfMetrics;
use parking_lot::Mutex;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// Keys that are put in force while the server runs.
const LIVE: [&str; 4] = ["log.level", "access.users_file", "http.tls_cert_file", "http.tls_key_file"];
/// How often the files are looked at.
const WATCH: Duration = Duration::from_secs(2);

/// All that can be read again.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    file: Option<PathBuf>,
    in_force: Mutex<Config>,
    guard: Arc<Guard>,
    tls: Option<Tls>,
    metrics: Arc<SelfMetrics>,
}

/// What tells one state of a file from another, also when a link to it was turned.
type Seen = Option<(PathBuf, u64, i64, i64, u64)>;

fn seen(path: &Path) -> Seen {
    let real = path.canonicalize().ok()?;
    let about = real.metadata().ok()?;
    Some((real, about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
}

impl Reloader {
    pub(super) fn new(
        sources: Sources,
        file: Option<PathBuf>,
        config: Config,
        (guard, tls): (Arc<Guard>, Option<Tls>),
        metrics: Arc<SelfMetrics>,
    ) -> Self {
        metrics.reloads.last_success_ms.store(clock::now_ms(), Ordering::Relaxed);
        Self { sources, file, in_force: Mutex::new(config), guard, tls, metrics }
    }

    /// Reads everything again; says what is in force now, or why nothing was changed. Blocks.
    pub(super) fn reload(&self) -> Result<String, String> {
        let mut in_force = self.in_force.lock();
        let done = self.apply(&mut in_force);
        let reloads = &self.metrics.reloads;
        match &done {
            Ok((said, waiting)) => {
                reloads.succeeded.fetch_add(1, Ordering::Relaxed);
                reloads.last_failed.store(false, Ordering::Relaxed);
                reloads.last_success_ms.store(clock::now_ms(), Ordering::Relaxed);
                reloads.waiting.store(*waiting, Ordering::Relaxed);
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

    fn apply(&self, in_force: &mut Config) -> Result<(String, u64), String> {
        let new = config::load(&self.sources).map_err(|errors| errors.to_string())?.config;
        let users = users(&new.access).map_err(|error| format!("{error:#}"))?;
        if users.is_none() && self.guard.is_configured() {
            return Err(
                "access.users_file is gone: without users everybody would be let in, which needs a restart".into()
            );
        }
        let certificate = match (&new.http.tls_cert_file, &new.http.tls_key_file, &self.tls) {
            (Some(cert), Some(key), Some(_)) => Some(Certificate::read(cert, key).map_err(|error| error.to_string())?),
            (None, None, None) => None,
            _ => return Err("http.tls_cert_file was set or taken away, which needs a restart".into()),
        };
        let changed = KEYS.iter().filter(|key| (key.text)(&new) != (key.text)(in_force)).map(|key| key.name);
        let (live, waiting): (Vec<_>, Vec<_>) = changed.partition(|name| LIVE.contains(name));
        logging::set_level(new.log.level);
        if let Some(users) = users {
            self.guard.replace(users);
        }
        if let (Some(tls), Some(certificate)) = (&self.tls, certificate) {
            tls.replace(certificate);
        }
        // What waits for a restart stays as it is, so that the next time says so again.
        in_force.log.level = new.log.level;
        in_force.access.users_file.clone_from(&new.access.users_file);
        in_force.http.tls_cert_file.clone_from(&new.http.tls_cert_file);
        in_force.http.tls_key_file.clone_from(&new.http.tls_key_file);
        let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let said = format!("changed: {}; waiting for a restart: {}", list(&live), list(&waiting));
        Ok((said, waiting.len() as u64))
    }

    fn files(&self) -> Vec<Seen> {
        let in_force = self.in_force.lock();
        let (http, access) = (&in_force.http, &in_force.access);
        let own = [&self.file, &access.users_file, &http.tls_cert_file, &http.tls_key_file];
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
    use std::collections::BTreeMap;

    fn reloader(path: &Path) -> Reloader {
        let sources = Sources { file: Some(path.into()), environment: BTreeMap::new(), flags: Vec::new() };
        let config = config::load(&sources).unwrap().config;
        let guard = Arc::new(Guard::new(None, 0.0).unwrap());
        Reloader::new(sources, Some(path.into()), config, (guard, None), Arc::default())
    }

    #[test]
    fn a_bad_file_is_refused_and_a_good_one_says_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("[log]\nlevel = \"info\"\n");
        let reloader = reloader(&path);
        let reloads = &reloader.metrics.reloads;
        write("[log]\nlevl = 1\n");
        assert!(reloader.reload().unwrap_err().contains("unknown key log.levl"));
        assert!(reloads.last_failed.load(Ordering::Relaxed));
        assert_eq!(reloader.in_force.lock().log.level, config::Level::Info);
        write("[log]\nlevel = \"warn\"\n[metrics]\nnames_max = 5\n");
        for _ in 0..2 {
            assert!(reloader.reload().unwrap().ends_with("waiting for a restart: metrics.names_max"));
        }
        assert_eq!((reloads.waiting.load(Ordering::Relaxed), reloads.last_failed.load(Ordering::Relaxed)), (1, false));
        assert_eq!(reloader.in_force.lock().log.level, config::Level::Warn);
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
