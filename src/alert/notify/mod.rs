//! Telling receivers: each has a thread and a bounded queue of its own, so that one that hangs holds up nobody else.
//!
//! Not here: who is told what and when (see `ledger`).
//!
//! Invariants: of every notification given here the outcome is told exactly once, unless the process ends; the
//! queue's order is kept; what may succeed later is tried again, with the same id, for a bounded time.

mod alertmanager;
mod exec;
pub(super) mod report;
mod webhook;

use super::notification::Notification;
use super::record::{AlertSeverity, Fingerprint};
use super::routing::{Receiver, Target};
use crate::clock;
use crossbeam_channel::{Receiver as Taken, Sender, TrySendError, bounded};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Notifications that may wait for a receiver.
const QUEUE: usize = 256;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a notification is tried.
const TRY_FOR: Duration = Duration::from_secs(300);
/// Waits between two tries: doubled from the first up to the last.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_LAST: Duration = Duration::from_secs(30);
/// How often a waiting thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);

/// What became of a notification.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) receiver: Arc<str>,
    pub(super) fresh: Vec<(Fingerprint, AlertSeverity)>,
    pub(super) error: Option<String>,
    /// Tries beyond the first.
    pub(super) retries: u64,
}

/// Why a try failed.
#[derive(Debug)]
struct Failure {
    what: String,
    /// Whether another try may succeed.
    may_pass: bool,
}

/// A way to speak HTTP with receivers.
#[derive(Debug)]
struct Http(ureq::Agent);

impl Http {
    fn new(ca_file: Option<&Path>) -> Self {
        Self::within(ca_file, REQUEST_TIMEOUT)
    }

    /// Whose requests may take so long.
    fn within(ca_file: Option<&Path>, timeout: Duration) -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(authorities(ca_file.unwrap_or(Path::new(SYSTEM_CA_FILE))));
        // A proxy of the environment is not asked: receivers are named by their own addresses.
        let settings = ureq::Agent::config_builder().proxy(None).timeout_global(Some(timeout)).tls_config(tls.build());
        Self(settings.http_status_as_error(false).max_redirects(0).build().new_agent())
    }

    /// POST of JSON; anything but 2xx is a failure, which may pass after 429 and 5xx.
    fn post(&self, url: &str, headers: &[(&str, String)], body: &[u8]) -> Result<(), Failure> {
        let mut request = self.0.post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = request.send(body).map_err(|error| Failure { what: error.to_string(), may_pass: true })?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
        }
        let text = answer.body_mut().with_config().limit(1024).read_to_string().unwrap_or_default();
        let what = format!("status {status}: {}", text.trim());
        Err(Failure { what, may_pass: status == 429 || status >= 500 })
    }
}

/// Where Debian and others keep the authorities that everybody trusts.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The authorities of a file; none if it cannot be read, by which no `https` address is known then.
fn authorities(file: &Path) -> RootCerts {
    let text = std::fs::read(file).unwrap_or_default();
    let found: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    RootCerts::new_with_certs(&found)
}

/// The threads that tell receivers.
#[derive(Debug)]
pub(super) struct Notifiers {
    queues: BTreeMap<Arc<str>, Sender<Notification>>,
    /// Since when each tries the same notification, in milliseconds since 1970 UTC; 0 if it tries none.
    trying: BTreeMap<Arc<str>, Arc<AtomicI64>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Notifiers {
    /// Starts a thread for every receiver but the log; outcomes go to `outcomes`, which has to be read.
    pub(super) fn start(receivers: &[Receiver], outcomes: &Sender<Outcome>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut queues, mut trying, mut threads) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for receiver in receivers.iter().filter(|receiver| receiver.target != Target::Log) {
            let (queue, taken) = bounded(QUEUE);
            let (told, stop, ca_file) = (outcomes.clone(), stop.clone(), receiver.ca_file.clone());
            let name = format!("notify-{}", receiver.name);
            let since = Arc::new(AtomicI64::new(0));
            trying.insert(receiver.name.clone(), since.clone());
            threads.push(
                thread::Builder::new()
                    .name(name)
                    .spawn(move || run(&taken, &told, &since, &stop, ca_file.as_deref()))?,
            );
            queues.insert(receiver.name.clone(), queue);
        }
        Ok(Self { queues, trying, stop, threads })
    }

    /// Has a receiver told; the outcome, where that is known at once.
    pub(super) fn send(&self, notification: Notification) -> Option<Outcome> {
        let receiver = notification.to.name.clone();
        let Some(queue) = self.queues.get(&receiver) else {
            tracing::warn!(reason = notification.reason.as_str(), "alert: {}", notification.title());
            return Some(Outcome { receiver, fresh: notification.fresh, error: None, retries: 0 });
        };
        let (TrySendError::Full(back) | TrySendError::Disconnected(back)) = queue.try_send(notification).err()?;
        let error = Some(format!("{QUEUE} notifications wait for it already"));
        Some(Outcome { receiver, fresh: back.fresh, error, retries: 0 })
    }

    /// Notifications that wait, by receiver.
    pub(super) fn waiting(&self) -> BTreeMap<Arc<str>, u64> {
        self.queues.iter().map(|(name, queue)| (name.clone(), queue.len() as u64)).collect()
    }

    /// Since when a notification is being tried, by receiver.
    pub(super) fn trying(&self) -> BTreeMap<Arc<str>, i64> {
        let since = self.trying.iter().map(|(name, since)| (name.clone(), since.load(Ordering::Relaxed)));
        since.filter(|(_, since_ms)| *since_ms != 0).collect()
    }

    /// Ends the threads; what waits is told after the next start. A request under way ends by its own timeout.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.queues);
        let deadline = clock::monotonic() + 2 * LOOK;
        for thread in self.threads {
            while !thread.is_finished() && clock::monotonic() < deadline {
                thread::sleep(LOOK / 10);
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// What becomes of a notification while settings are only tried out.
pub(super) fn would_tell(notification: Notification) -> Outcome {
    let receiver: Arc<str> = format!("{} (dry run)", notification.to.name).into();
    tracing::warn!(
        reason = notification.reason.as_str(),
        "would tell {}: {}",
        notification.to.name,
        notification.title()
    );
    Outcome { receiver, fresh: notification.fresh, error: None, retries: 0 }
}

fn run(
    taken: &Taken<Notification>,
    told: &Sender<Outcome>,
    since: &AtomicI64,
    stop: &AtomicBool,
    ca_file: Option<&Path>,
) {
    let http = Http::new(ca_file);
    for notification in taken {
        since.store(clock::now_ms(), Ordering::Relaxed);
        let Some((error, retries)) = try_until(&http, &notification, stop) else { return };
        since.store(0, Ordering::Relaxed);
        if let Some(error) = &error {
            tracing::error!(receiver = &*notification.to.name, error, "a notification could not be delivered");
        }
        let outcome = Outcome { receiver: notification.to.name, fresh: notification.fresh, error, retries };
        if told.send(outcome).is_err() {
            return;
        }
    }
}

/// Tries until it succeeds, cannot succeed, or has been tried for long enough; nothing if it shall end.
fn try_until(http: &Http, notification: &Notification, stop: &AtomicBool) -> Option<(Option<String>, u64)> {
    let deadline = clock::monotonic() + TRY_FOR;
    let (mut wait, mut retries) = (WAIT_FIRST, 0);
    loop {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let sent = match &notification.to.target {
            Target::Log => Ok(()),
            Target::Webhook { url, secret, format } => {
                webhook::send(http, url, secret.as_deref(), *format, notification)
            }
            Target::Exec { program, arguments, is_dry } => {
                let title = notification.title();
                exec::run((program, arguments), *is_dry, (&title, || webhook::body(notification)), stop)
            }
            Target::Alertmanager { url } => alertmanager::send(http, url, notification, clock::now_ms()),
        };
        match sent {
            Ok(()) => return Some((None, retries)),
            Err(Failure { what, may_pass }) if !may_pass || clock::monotonic() + wait > deadline => {
                return Some((Some(what), retries));
            }
            Err(_) => {}
        }
        sleep(clock::monotonic() + wait, stop);
        (wait, retries) = ((2 * wait).min(WAIT_LAST), retries + 1);
    }
}

fn sleep(until: Instant, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && clock::monotonic() < until {
        thread::sleep(LOOK.min(until.saturating_duration_since(clock::monotonic())));
    }
}
