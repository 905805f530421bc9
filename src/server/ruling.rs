//! Evaluates groups of rules in their rhythm, and puts files that changed in force.
//!
//! Each group has its own moments, a fixed part of its interval away from those of others, as Prometheus has it, so that not
//! all are evaluated at once.
//!
//! Not here: what a rule means (see `rules`).
//!
//! Invariants: a group is evaluated by one thread at a time, and never twice for the same moment; files with a mistake change
//! nothing and are named in the log once.

use super::Running;
use super::routes::page;
use super::settings::query_limits;
use crate::alert::book::AlertBook;
use crate::alert::{Fingerprint, Origin, Signal};
use crate::api::metrics_page::{FIGURES, MetricsPage};
use crate::clock;
use crate::config::Config;
use crate::ingest::{self, Lanes};
use crate::query::{self, Cancel, QueryLimits, Room};
use crate::rules::{self, Group, GroupRunner, Means, Recorded, RuleFiles, RuleKeeper, RuleSettings};
use crate::self_metrics::SelfMetrics;
use anyhow::{Result, anyhow};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Store, series};
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

/// How often it is looked what has come due.
const LOOK: Duration = Duration::from_millis(100);
/// How often files are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(2);

/// The rules of the settings, read.
///
/// # Errors
/// When a file cannot be read or has mistakes.
pub(super) fn keeper(config: &Config) -> Result<Arc<RuleKeeper>> {
    let kept = Some(config.storage.data_dir.join("rules/rules.yml"));
    let interval_ms = config.rules.interval.as_millis() as i64;
    let keeper = RuleKeeper::new(RuleFiles::of(&config.rules.files, kept, interval_ms, query_limits(&config.query)));
    keeper.files.read().map_err(|errors| {
        errors.iter().for_each(|error| tracing::error!(%error, "a rule file has a mistake"));
        anyhow!("{}", errors.first().map_or_else(String::new, ToString::to_string))
    })?;
    Ok(Arc::new(keeper))
}

/// What evaluations need.
struct World {
    store: Store,
    room: Arc<Room>,
    limits: QueryLimits,
    lanes: Lanes,
    metrics: Arc<SelfMetrics>,
    signals: Sender<Signal>,
    settings: RuleSettings,
    /// What we say of anomalies, written for groups whose rules ask for it.
    page: MetricsPage,
}

/// The query under way, and when it has run for too long.
type UnderWay = Arc<Mutex<Option<(Cancel, Instant)>>>;

/// One group between two evaluations.
struct Idle {
    runner: GroupRunner,
    due_ms: i64,
}

/// All that is evaluated.
pub(super) struct Ruling {
    world: Arc<World>,
    keeper: Arc<RuleKeeper>,
    book: AlertBook,
    idle: Vec<Idle>,
    running: JoinSet<GroupRunner>,
    under_way: Vec<UnderWay>,
    is_reconciled: bool,
}

/// Takes what is needed of the running parts.
///
/// # Errors
/// When the external labels of the settings are none.
pub(super) fn begin(config: &Config, running: &Running) -> Result<Ruling> {
    let external_labels =
        rules::labels_of(&config.rules.external_labels).map_err(|error| anyhow!("rules.external_labels: {error}"))?;
    let external_url = config.alerts.external_url.trim_end_matches('/').to_owned();
    let world = World {
        store: running.store.clone(),
        room: running.room.clone(),
        limits: query_limits(&config.query),
        lanes: running.lanes.clone(),
        metrics: running.metrics.clone(),
        signals: running.alerts.signals(),
        settings: RuleSettings { external_labels, external_url },
        page: page(config, running, Arc::default(), None),
    };
    Ok(Ruling {
        world: Arc::new(world),
        keeper: running.rules.clone(),
        book: running.alerts.book.clone(),
        idle: Vec::new(),
        running: JoinSet::new(),
        under_way: Vec::new(),
        is_reconciled: false,
    })
}

impl Ruling {
    /// Evaluates until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        let mut look_at_files = clock::monotonic();
        loop {
            if self.running.is_empty() {
                self.put_in_force();
            }
            self.evaluate_due();
            if clock::monotonic() >= look_at_files {
                look_at_files = clock::monotonic() + LOOK_AT_FILES;
                let keeper = self.keeper.clone();
                let looked = tokio::task::spawn_blocking(move || keeper.files.read_again()).await;
                for error in looked.ok().and_then(Result::err).into_iter().flatten() {
                    tracing::error!(%error, "rules stay as they were");
                }
            }
            tokio::select! {
                Some(done) = self.running.join_next() => self.take_back(done.ok()),
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stopping| *stopping) => break,
            }
            self.cancel_late(clock::monotonic());
        }
        // What is under way ends at its next look, so that the shards are not waited for in vain.
        self.under_way.iter().filter_map(|one| one.lock().take()).for_each(|(cancel, _)| cancel.cancel());
        self.running.shutdown().await;
    }

    /// Puts what was read anew in force; rules that stayed as they were go on where they are.
    fn put_in_force(&mut self) {
        let Some(groups) = self.keeper.files.take_next() else { return };
        let now_ms = clock::now_ms();
        let mut old = std::mem::take(&mut self.idle);
        for group in groups {
            let is_same =
                |idle: &Idle| idle.runner.group().name == group.name && idle.runner.group().file == group.file;
            let before = old.iter().position(is_same).map(|at| old.remove(at));
            let mut runner = GroupRunner::new(group);
            let due_ms = next_due(runner.group(), now_ms);
            if let Some(before) = before {
                runner.go_on_from(before.runner);
            }
            self.idle.push(Idle { runner, due_ms });
        }
        self.keeper.board.replace(self.idle.iter().map(|idle| idle.runner.view().clone()).collect());
        let world = self.world.clone();
        let under_way = UnderWay::default();
        if !old.is_empty() {
            tokio::task::spawn_blocking(move || {
                old.into_iter().for_each(|idle| world.with(&under_way, |means| idle.runner.end(now_ms, means)));
            });
        }
        if self.idle.is_empty() {
            self.reconcile();
        }
    }

    fn evaluate_due(&mut self) {
        let now_ms = clock::now_ms();
        let (due, idle) = std::mem::take(&mut self.idle).into_iter().partition(|idle: &Idle| idle.due_ms <= now_ms);
        self.idle = idle;
        for Idle { mut runner, due_ms } in due {
            let interval_ms = runner.group().interval_ms;
            // Moments that passed while it was evaluated are left out.
            let at_ms = due_ms + (now_ms - due_ms) / interval_ms * interval_ms;
            let (world, under_way) = (self.world.clone(), UnderWay::default());
            self.under_way.push(under_way.clone());
            self.running.spawn_blocking(move || {
                world.with(&under_way, |means| {
                    world.write_figures(runner.group(), at_ms, means);
                    runner.evaluate(at_ms, means);
                });
                runner
            });
        }
    }

    fn take_back(&mut self, done: Option<GroupRunner>) {
        self.under_way.retain(|one| Arc::strong_count(one) > 1);
        // A group whose evaluation panicked is gone until its file is read again, and says so in the log.
        let Some(runner) = done else { return };
        self.keeper.board.update(runner.view());
        let last_ms = runner.view().last_ms.unwrap_or_else(clock::now_ms);
        let due_ms = last_ms + runner.group().interval_ms;
        self.idle.push(Idle { runner, due_ms });
        self.reconcile();
    }

    fn cancel_late(&self, now: Instant) {
        let timeout = Duration::from_millis(self.world.limits.timeout_ms);
        for one in &self.under_way {
            one.lock()
                .as_ref()
                .filter(|(_, began)| now - *began > timeout)
                .iter()
                .for_each(|(cancel, _)| cancel.cancel());
        }
    }

    /// Once every group was evaluated after a start: alerts that no rule finds any more are over.
    fn reconcile(&mut self) {
        let groups = self.keeper.board.groups();
        if self.is_reconciled || groups.iter().any(|view| view.last_ms.is_none()) {
            return;
        }
        self.is_reconciled = true;
        let rules = groups.iter().flat_map(|view| &view.rules);
        let active: BTreeSet<Fingerprint> =
            rules.flat_map(|rule| &rule.alerts).map(|alert| alert.fingerprint()).collect();
        let view = self.book.view();
        let is_left = |alert: &&Arc<crate::alert::Alert>| {
            alert.origin == Origin::Rule && alert.is_firing() && !active.contains(&alert.fingerprint)
        };
        for alert in view.alerts.values().filter(is_left) {
            let _ = self.world.signals.try_send(Signal::over(alert, clock::now_ms()));
        }
    }
}

/// The group's first moment after `now_ms`.
pub(super) fn next_due(group: &Group, now_ms: i64) -> i64 {
    let name = format!("{};{}", group.file, group.name);
    let offset_ms = (series::hash(name.as_bytes()) % group.interval_ms.unsigned_abs().max(1)) as i64;
    let interval_ms = group.interval_ms;
    (now_ms - offset_ms).div_euclid(interval_ms) * interval_ms + offset_ms + interval_ms
}

impl World {
    /// Writes what we say of anomalies, as it is now, if a rule of the group asks for it.
    fn write_figures(&self, group: &Group, time_ms: i64, means: &Means<'_>) {
        let asks = |name: &&str| group.rules.iter().any(|rule| rule.expression.contains(*name));
        let asked: Vec<&str> = FIGURES.into_iter().filter(asks).collect();
        if asked.is_empty() {
            return;
        }
        let figures =
            self.page.figures().into_iter().filter(|(labels, _)| asked.contains(&labels["__name__"].as_str()));
        let samples: Vec<_> = figures.map(|(labels, value)| Recorded { labels, time_ms, value }).collect();
        if let Err(error) = (means.write)(&samples) {
            tracing::warn!(error, group = group.name, "what rules ask for of anomalies could not be written");
        }
    }

    fn with(&self, under_way: &UnderWay, evaluate: impl FnOnce(&Means<'_>)) {
        let query = |text: &str, time_ms: i64, lookback_ms: Option<i64>| {
            let cancel = Cancel::default();
            *under_way.lock() = Some((cancel.clone(), clock::monotonic()));
            let answer = self.answer(text, time_ms, lookback_ms, &cancel);
            *under_way.lock() = None;
            answer
        };
        let write = |samples: &[Recorded]| {
            let pairs = samples.iter().map(|one| {
                let labels = one.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                (labels, one.time_ms, one.value)
            });
            let recorded = ingest::record(&self.lanes, &self.metrics, pairs);
            tokio::runtime::Handle::current().block_on(recorded).map_err(|error| error.to_string())
        };
        let tell = |signal: Signal| {
            // Nobody hears it once the book has ended.
            let _ = self.signals.send(signal);
        };
        evaluate(&Means { query: &query, write: &write, tell: &tell, settings: &self.settings });
    }

    fn answer(
        &self,
        text: &str,
        time_ms: i64,
        lookback_ms: Option<i64>,
        cancel: &Cancel,
    ) -> Result<rules::Answer, String> {
        let limits = match lookback_ms {
            Some(lookback_ms) => &QueryLimits { lookback_ms, ..self.limits.clone() },
            None => &self.limits,
        };
        let share = self.room.share();
        let bounds = (cancel, &share);
        let prepared = query::instant(&self.store, text, time_ms, limits, bounds).map_err(|error| error.to_string())?;
        let answered = prepared.evaluate(&self.store, limits, bounds).map_err(|error| error.to_string())?;
        rules::of_answer(answered.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_moments_are_an_interval_apart_and_lie_ahead() {
        let group = |name: &str| Group {
            name: name.to_owned(),
            file: "a.yml".to_owned(),
            interval_ms: 60_000,
            offset_ms: 0,
            limit: 0,
            rules: Vec::new(),
        };
        let (a, b) = (group("a"), group("b"));
        let first_ms = next_due(&a, 1_000_000);
        assert!((1_000_001..=1_060_000).contains(&first_ms));
        assert_eq!((next_due(&a, first_ms - 1), next_due(&a, first_ms)), (first_ms, first_ms + 60_000));
        assert_ne!(first_ms % 60_000, next_due(&b, 1_000_000) % 60_000, "groups are spread");
    }
}
