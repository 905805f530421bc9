//! A configuration over stored history: samples are judged anew, rules and monitors evaluated anew, and alerts live their whole
//! life by the clock of the samples.
//!
//! Models see three weeks before the span, alerts a day, so that what went on at its beginning is known.
//!
//! Not here: what becomes of a signal (see `alert`), how it is shown (see `cli`). Deliberately absent: groups judged
//! together, predictive rules, feedback and acknowledgements, which depend on more than samples.
//!
//! Invariants: nothing is written to the store and nobody is told; the same store, span and configuration give the same list.

mod silence;

use crate::alert::{AlertCounts, AlertReplay, Coverage, Fingerprint, Planned, Signal, Telling};
use crate::analysis::{Effort, SeriesModel};
use crate::anomaly::run::{AnomalyRun, RunTracker};
use crate::anomaly::{AnomalyRecord, notice};
use crate::config::Config;
use crate::monitors::{self, MonitorRunner};
use crate::pull::Source;
use crate::query::{self, Cancel, QueryLimits, RangeTimes, Room};
use crate::rules::{self, GroupRunner, Recorded, RuleSettings};
use crate::server::ruling::next_due;
use crate::server::settings::{model_settings, query_limits, store_settings};
use crate::server::{alerts, monitoring, ruling};
use anyhow::{Context, Result, anyhow, ensure};
use silence::{Activity, Pause};
use std::cell::RefCell;
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};
use storage::{SelectedSeries, ShardStore, Store, StoreThreads};

/// How much before the span models see.
const WARM_UP_MS: i64 = 21 * 86_400_000;
/// How much before it alerts, rules and monitors begin.
const LEAD_MS: i64 = 86_400_000;

/// A store that no server has open, to be read alone.
pub struct Stored {
    store: Store,
    room: Arc<Room>,
    planned: Planned,
    /// What keeps the store open; its shards are never asked for anything.
    _open: (StoreThreads, Vec<ShardStore>),
}

/// What a configuration would have made of a span.
#[derive(Debug)]
pub struct Replayed {
    /// Series that were judged.
    pub series: usize,
    /// Samples that were judged, those before the span among them.
    pub samples: u64,
    /// What was said of series, by detectors, rules and monitors.
    pub signals: u64,
    /// What would have been told within the span.
    pub tellings: Vec<Telling>,
    /// What became of all that was raised, from a day before the span on.
    pub counts: AlertCounts,
}

/// What is said at a time of a series, in an order that is always the same.
type Said = (i64, Arc<[u8]>, Signal);

impl Stored {
    /// Opens the store of the settings.
    ///
    /// # Errors
    /// When the directory cannot be opened, or a server has it open.
    pub fn open(config: &Config) -> Result<Self> {
        let settings = store_settings(config, 1);
        // What is only looked at loses nothing to its age.
        let settings = storage::Settings { retention_ms: 0, max_bytes: 0, ..settings };
        let opened = storage::open(settings).context("storage.data_dir")?;
        let planned = Planned::read(&config.storage.data_dir.join("alerts")).context("the book of alerts")?;
        let room = Room::new(config.query.memory_max);
        Ok(Self { store: opened.store, room, planned, _open: (opened.threads, opened.shards) })
    }

    /// Time of the newest sample, in milliseconds since 1970 UTC.
    pub fn newest_ms(&self) -> Option<i64> {
        self.store.newest_ms()
    }

    /// What a configuration would have made of `from_ms..=to_ms`, of the series that one of the sets of conditions admits, or
    /// of all if there is none.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be read, or the store cannot.
    pub fn replay(&self, config: &Config, sets: &[Vec<Matcher>], (from_ms, to_ms): (i64, i64)) -> Result<Replayed> {
        ensure!(from_ms < to_ms, "the span ends before it begins");
        let (mut said, series, samples) = self.anomalies(config, sets, (from_ms, to_ms))?;
        said.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let begin_ms = from_ms - LEAD_MS;
        let replay = AlertReplay::new(alerts::settings(config)?, alerts::routing(config)?, &self.planned, begin_ms);
        let mut course = Course::new(self, config, replay, begin_ms)?;
        for (at_ms, _, signal) in said.into_iter().filter(|(at_ms, ..)| *at_ms >= begin_ms) {
            course.until(at_ms);
            course.signals += 1;
            course.replay.take(signal, at_ms);
        }
        course.until(to_ms);
        course.replay.until(to_ms);
        let signals = course.signals;
        let (mut tellings, counts) = course.replay.finish();
        tellings.retain(|told| told.at_ms >= from_ms);
        Ok(Replayed { series, samples, signals, tellings, counts })
    }

    /// What detectors say of every series, and how many series and samples that took.
    fn anomalies(
        &self,
        config: &Config,
        sets: &[Vec<Matcher>],
        (from_ms, to_ms): (i64, i64),
    ) -> Result<(Vec<Said>, usize, u64)> {
        let judging = model_settings(config)?;
        let all = [vec![Matcher::not_equal(NAME_LABEL, "")]];
        let first_ms = from_ms - WARM_UP_MS;
        let mut found: Vec<SelectedSeries> = Vec::new();
        for set in if sets.is_empty() { &all[..] } else { sets } {
            found.extend(self.store.find(set, first_ms, to_ms, &|| false)?);
        }
        found.sort_unstable_by_key(|one| one.series.0);
        found.dedup_by_key(|one| one.series.0);
        let (mut said, mut count, mut samples) = (Vec::new(), 0, Samples::default());
        let (mut activity, mut pauses) = (Activity::new(first_ms, to_ms), Vec::new());
        for one in if config.models.enabled { &found[..] } else { &[] } {
            self.store.read(one.series, first_ms, to_ms, &mut samples)?;
            count += samples.times.len() as u64;
            samples.times.iter().for_each(|time_ms| activity.hear(*time_ms));
            let model = SeriesModel::new(None, judging.of(|name| series::label(&one.key, name)));
            let (model, paused) = follow(&one.key, model, self.planned.coverage(&one.key), &samples, &mut said);
            pauses.extend(paused.into_iter().chain(Pause::until(&one.key, &model, to_ms)));
        }
        for pause in &pauses {
            let told = pause.told(&activity, to_ms).into_iter();
            said.extend(told.filter_map(|(at_ms, run)| signal_of(at_ms, pause.key(), run)));
        }
        Ok((said, found.len(), count))
    }
}

/// What is said of a series by a run, if it is anything for alerts.
fn signal_of(at_ms: i64, key: &Arc<[u8]>, run: AnomalyRun) -> Option<Said> {
    Signal::of(&AnomalyRecord::of_run(run)).map(|signal| (at_ms, key.clone(), signal))
}

/// What a model that sees samples one after the other says of them; the model, and where its series may have stopped.
fn follow(
    key: &Arc<[u8]>,
    mut model: SeriesModel,
    mut maintenance: Option<Coverage>,
    samples: &Samples,
    said: &mut Vec<Said>,
) -> (SeriesModel, Vec<Pause>) {
    let name = series::label(key, NAME_LABEL).unwrap_or("");
    let (mut runs, mut rested, mut pauses) = (RunTracker::default(), false, Vec::new());
    let mut tell = |at_ms: i64, run: AnomalyRun| said.extend(signal_of(at_ms, key, run));
    for (&time_ms, &value) in samples.times.iter().zip(&samples.values) {
        pauses.extend(Pause::before(key, &model, time_ms));
        // In maintenance nothing is learned, and afterwards the level is looked for anew.
        let rests = maintenance.as_mut().is_some_and(|coverage| coverage.covers(time_ms));
        if std::mem::replace(&mut rested, rests) && !rests {
            runs.close(key).into_iter().for_each(|run| tell(time_ms, run));
            model.go_on();
        }
        let verdict = match rests {
            true => model.observe_held(time_ms, value, Effort::All),
            false => model.observe(time_ms, value),
        };
        let told = model.take_notice().and_then(|told| notice::run_of(&told, key, name));
        told.into_iter().for_each(|run| tell(time_ms, run));
        let run = runs.observe(key, name, value, &verdict, model.is_run_open());
        run.into_iter().for_each(|run| tell(time_ms, run));
    }
    (model, pauses)
}

/// Rules, monitors and alerts on their way through the span.
struct Course<'a> {
    stored: &'a Stored,
    limits: QueryLimits,
    settings: RuleSettings,
    groups: Vec<(i64, GroupRunner)>,
    monitors: MonitorRunner,
    source: Source,
    replay: AlertReplay,
    signals: u64,
}

impl<'a> Course<'a> {
    fn new(stored: &'a Stored, config: &Config, replay: AlertReplay, begin_ms: i64) -> Result<Self> {
        let rules = ruling::keeper(config)?.files.take_next().unwrap_or_default();
        let groups = rules.into_iter().map(|group| (next_due(&group, begin_ms), GroupRunner::new(group))).collect();
        let mut monitors = MonitorRunner::default();
        monitors.replace(monitoring::keeper(config)?.files.take_next().unwrap_or_default(), begin_ms);
        let external_labels = rules::labels_of(&config.rules.external_labels)
            .map_err(|error| anyhow!("rules.external_labels: {error}"))?;
        let external_url = config.alerts.external_url.trim_end_matches('/').to_owned();
        let limits = query_limits(&config.query);
        let source = Source {
            store: stored.store.clone(),
            room: stored.room.clone(),
            limits: limits.clone(),
            prometheus_url: String::new(),
        };
        let settings = RuleSettings { external_labels, external_url };
        Ok(Self { stored, limits, settings, groups, monitors, source, replay, signals: 0 })
    }

    /// Evaluates rules and monitors whose moments come before `now_ms`, in order.
    fn until(&mut self, now_ms: i64) {
        loop {
            let of_groups = self.groups.iter().map(|(due_ms, _)| *due_ms).min();
            let Some(due_ms) = of_groups.into_iter().chain(self.monitors.next_ms()).min().filter(|at| *at <= now_ms)
            else {
                return;
            };
            self.replay.until(due_ms);
            let told = RefCell::new(Vec::new());
            self.rules_at(due_ms, &told);
            self.monitors_at(due_ms, &told);
            for signal in told.into_inner() {
                self.signals += 1;
                self.replay.take(signal, due_ms);
            }
        }
    }

    fn rules_at(&mut self, due_ms: i64, told: &RefCell<Vec<Signal>>) {
        let (stored, limits) = (self.stored, &self.limits);
        let query = |text: &str, time_ms: i64, lookback_ms: Option<i64>| {
            let limits = match lookback_ms {
                Some(lookback_ms) => &QueryLimits { lookback_ms, ..limits.clone() },
                None => limits,
            };
            let (cancel, share) = (Cancel::default(), stored.room.share());
            let bounds = (&cancel, &share);
            let prepared =
                query::instant(&stored.store, text, time_ms, limits, bounds).map_err(|error| error.to_string())?;
            let answered = prepared.evaluate(&stored.store, limits, bounds).map_err(|error| error.to_string())?;
            rules::of_answer(answered.answer)
        };
        // What rules recorded then is stored; what others would have recorded is not.
        let write = |_: &[Recorded]| Ok(());
        let tell = |signal: Signal| told.borrow_mut().push(signal);
        let means = rules::Means { query: &query, write: &write, tell: &tell, settings: &self.settings };
        for (at_ms, runner) in self.groups.iter_mut().filter(|(at_ms, _)| *at_ms <= due_ms) {
            runner.evaluate(*at_ms, &means);
            *at_ms += runner.group().interval_ms;
        }
    }

    fn monitors_at(&mut self, due_ms: i64, told: &RefCell<Vec<Signal>>) {
        let source = &self.source;
        let values = |query: &str, times: RangeTimes| monitoring::values(source, query, times, &Cancel::default());
        let tell = |signal: Signal| told.borrow_mut().push(signal);
        let replay = &self.replay;
        let known = |print: Fingerprint| replay.firing(print).map(|alert| (alert.severity, alert.occurrence_ms));
        self.monitors.tick(due_ms, &monitors::Means { values: &values, tell: &tell, known: &known });
    }
}
