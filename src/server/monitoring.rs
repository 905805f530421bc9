//! Has monitors look in their rhythm, and puts files that changed in force.
//!
//! Not here: what a monitor finds (see `monitors`).
//!
//! Invariants: one look at a time, none of which holds up rules; an expression that takes longer than queries may is given up;
//! files with a mistake change nothing and are named in the log once.

use super::Running;
use super::routes::source;
use super::settings::query_limits;
use crate::alert::book::AlertBook;
use crate::alert::{Fingerprint, Origin, Signal};
use crate::clock;
use crate::config::Config;
use crate::monitors::{Means, MonitorKeeper, MonitorRunner};
use crate::pull::{Source, TrainingSeries};
use crate::query::{Cancel, RangeTimes};
use anyhow::{Result, anyhow};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch as signal;

/// How often it is looked what has come due.
const LOOK: Duration = Duration::from_millis(200);
/// How often files are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(2);

/// The monitors of the settings, read.
///
/// # Errors
/// When a file cannot be read or has mistakes.
pub(super) fn keeper(config: &Config) -> Result<Arc<MonitorKeeper>> {
    let interval_ms = config.monitors.interval.as_millis() as i64;
    let files = MonitorKeeper::files_of(&config.monitors.files, interval_ms, query_limits(&config.query));
    let keeper = MonitorKeeper::new(files);
    keeper.files.read().map_err(|errors| {
        errors.iter().for_each(|error| tracing::error!(%error, "a file of monitors has a mistake"));
        anyhow!("{}", errors.first().map_or_else(String::new, ToString::to_string))
    })?;
    Ok(Arc::new(keeper))
}

/// The values of an expression, however many points a monitor looks at.
///
/// # Errors
/// When it cannot be evaluated.
pub(super) fn values(
    source: &Source,
    query: &str,
    times: RangeTimes,
    cancel: &Cancel,
) -> Result<Vec<TrainingSeries>, String> {
    let mut source = source.clone();
    let points = (times.end_ms - times.start_ms) / times.step_ms + 2;
    source.limits.max_points = source.limits.max_points.max(points as usize);
    source.range(query, times, cancel).map_err(|error| error.to_string())
}

/// The query under way, and since when.
type UnderWay = Arc<Mutex<Option<(Cancel, Instant)>>>;

/// What looks again and again.
pub(super) struct Monitoring {
    keeper: Arc<MonitorKeeper>,
    book: AlertBook,
    signals: Sender<Signal>,
    source: Source,
    runner: MonitorRunner,
    under_way: UnderWay,
    look_at_files: Instant,
    is_reconciled: bool,
}

/// Takes what is needed of the running parts.
pub(super) fn begin(config: &Config, running: &Running) -> Monitoring {
    // Monitors look at our own store, whatever is asked for training.
    let source = Source { prometheus_url: String::new(), ..source(config, running) };
    Monitoring {
        keeper: running.alerts.monitors.clone(),
        book: running.alerts.book.clone(),
        signals: running.alerts.signals(),
        source,
        runner: MonitorRunner::default(),
        under_way: UnderWay::default(),
        look_at_files: clock::monotonic(),
        is_reconciled: false,
    }
}

impl Monitoring {
    /// Looks until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        let timeout = Duration::from_millis(self.source.limits.timeout_ms);
        let under_way = self.under_way.clone();
        loop {
            let mut tick = tokio::task::spawn_blocking(move || {
                self.tick(clock::now_ms());
                self
            });
            let mut is_stopping = false;
            self = loop {
                tokio::select! {
                    // One that panicked is gone until the next start, and says so in the log.
                    done = &mut tick => match done {
                        Ok(back) => break back,
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(LOOK) => {}
                    _ = stop.wait_for(|stopping| *stopping), if !is_stopping => is_stopping = true,
                }
                let is_late = |began: &Instant| is_stopping || clock::monotonic() - *began > timeout;
                under_way.lock().as_ref().filter(|(_, began)| is_late(began)).iter().for_each(|(one, _)| one.cancel());
            };
            let wait_ms = self.runner.next_ms().map_or(i64::MAX, |due_ms| due_ms - clock::now_ms());
            let wait = Duration::from_millis(wait_ms.clamp(0, LOOK.as_millis() as i64) as u64);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    fn tick(&mut self, now_ms: i64) {
        if clock::monotonic() >= self.look_at_files {
            self.look_at_files = clock::monotonic() + LOOK_AT_FILES;
            for error in self.keeper.files.read_again().err().into_iter().flatten() {
                tracing::error!(%error, "monitors stay as they were");
            }
        }
        let news = self.keeper.files.take_next();
        let is_new = news.is_some();
        if let Some(monitors) = news {
            self.runner.replace(monitors, now_ms);
        }
        let (source, under_way, signals) = (&self.source, &self.under_way, &self.signals);
        let values = |query: &str, times: RangeTimes| {
            let cancel = Cancel::default();
            *under_way.lock() = Some((cancel.clone(), clock::monotonic()));
            let answer = self::values(source, query, times, &cancel);
            *under_way.lock() = None;
            answer
        };
        let tell = |signal: Signal| {
            // Nobody hears it once the book has ended.
            let _ = signals.send(signal);
        };
        let view = self.book.view();
        let known = |print: Fingerprint| {
            let alert = view.alerts.get(&print).filter(|alert| alert.is_firing())?;
            Some((alert.severity, alert.occurrence_ms))
        };
        let looked = self.runner.tick(now_ms, &Means { values: &values, tell: &tell, known: &known });
        if looked || is_new {
            self.keeper.show(self.runner.views());
            self.reconcile(now_ms);
        }
    }

    /// Once every monitor has looked after a start: alerts that none finds any more are over.
    fn reconcile(&mut self, now_ms: i64) {
        let Some(active) = self.runner.active().filter(|_| !self.is_reconciled) else { return };
        self.is_reconciled = true;
        let active: BTreeSet<Fingerprint> = active.into_iter().collect();
        let view = self.book.view();
        let left = view.alerts.values().filter(|alert| {
            alert.origin == Origin::Monitor && alert.is_firing() && !active.contains(&alert.fingerprint)
        });
        left.for_each(|alert| drop(self.signals.send(Signal::over(alert, now_ms))));
    }
}
