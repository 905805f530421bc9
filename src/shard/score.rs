//! The models of one partition, and what is done while they are lent: catching up with the store, scoring what was
//! stored since, telling runs of anomalous samples, showing summaries on the board, writing the models down.
//!
//! Not here: when models are lent (see `scoring`), what is unusual (see `analysis`), records of anomalies (see
//! `anomaly::book`).
//!
//! Invariants: every series sees its samples once and in the order of their times, whether they come from the store or
//! live; a model is loaded once however many samples its series has; nobody is waited for: a run that finds no room is
//! told again at the next tick.

use super::foresee::Looks;
use super::ladder::Step;
use super::questions::{ModelBoard, Summary};
use super::rests::{RestPlans, Rests};
use super::series_slots::{SeriesSlots, Slot};
use super::set_aside::{LOOK_AT_ONCE_MS, SetAside};
use super::silence::Beside;
use crate::analysis::fan_out::FanOut;
use crate::analysis::{Effort, Kind, SeriesModel, Settings, Verdict, ZonedSettings};
use crate::anomaly::run::{AnomalyRun, RunTracker};
use crate::foundation_layer::LayerDoor;
use crate::metric_metadata::{MetricBook, MetricType};
use crate::self_metrics::SelfMetrics;
use crossbeam_channel::{Sender, TrySendError};
use std::collections::HashMap;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::Store;
use storage::sample::Samples;
use storage::series::{NAME_LABEL, SeriesRef, label};

/// A run is over when its series was silent for this many of its steps, within these bounds.
pub(super) const SILENT_STEPS: f64 = 10.0;
const SILENT_MS: (f64, f64) = (60_000.0, 3_600_000.0);

/// Where nothing says what was judged before, only runs that began within this span before the store's newest sample
/// are told: older ones have been told, or nobody waits for them.
pub(super) const RAISE_ANEW_MS: i64 = 3_600_000;

/// Samples after which a partition's models are written down, and how many for each of its series: what has to be
/// caught up with after a crash is then at most 8 million samples in all, or as much as the models themselves.
const SAVE_SAMPLES: u64 = 128 << 10;
const SAVE_SAMPLES_A_SERIES: u64 = 20;

/// Series written down, or caught up with, before others get the core.
pub(super) const SLICE_SERIES: usize = 512;

/// Series whose state is fetched together before they are scored one after the other: as many cache lines as these have
/// can be on their way at a time, and wait in the nearest cache.
const TOUCHED_TOGETHER: usize = 8;

/// Closed runs that may wait for room; further ones are lost, and counted.
const UNTOLD_MAX: usize = 1024;

/// What all shards' scoring has in common.
#[derive(Debug)]
pub struct ScoringContext {
    /// The store, for samples that a model has not seen and for keys.
    pub store: Store,
    /// The threads models are lent to.
    pub threads: FanOut,
    /// Where summaries are shown.
    pub board: Arc<ModelBoard>,
    /// Our counters.
    pub metrics: Arc<SelfMetrics>,
    /// What senders said of metrics, for the kinds of new models.
    pub told: Arc<MetricBook>,
    /// Where runs are told; bounded.
    pub runs: Sender<AnomalyRun>,
    /// The folder of the models' files, which exists.
    pub dir: PathBuf,
    /// How series are judged.
    pub settings: Arc<ZonedSettings>,
    /// When models rest.
    pub rests: Arc<dyn RestPlans>,
    /// Samples that may wait to be scored, in all shards together.
    pub pending_max: usize,
    /// The newest sample that was there at the start: what is older by far raises nothing when it is seen anew.
    pub newest_at_start_ms: Option<i64>,
    /// The foundation layer, if series have bands of its model.
    pub layer: Option<LayerDoor>,
    /// Set when the server stops: catching up then ends early.
    pub closing: AtomicBool,
}

impl ScoringContext {
    /// How a series is judged.
    pub(super) fn settings_of(&self, series: SeriesRef) -> Arc<Settings> {
        let key = self.store.key(series);
        self.settings.of(|name| label(key.as_deref()?, name))
    }
}

/// A stored sample that waits to be scored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) time_ms: i64,
    pub(super) value: f64,
    pub(super) id: u32,
}

/// What is to be done with a partition's models beside scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Nothing.
    Score,
    /// First see what the store has and the models have not seen.
    CatchUp,
    /// Write the models down.
    Save,
}

/// When models are lent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the wall clock.
    pub(super) now_ms: i64,
    /// By the store's newest sample.
    pub(super) event_ms: i64,
    /// How much is done.
    pub(super) step: Step,
}

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) run: RunTracker,
    /// When its series was heard last, by the wall clock.
    pub(super) heard_ms: i64,
}

/// The models of one partition.
#[derive(Debug)]
pub(super) struct PartitionModels {
    pub(super) number: u8,
    pub(super) slots: SeriesSlots,
    /// Of series with a run that goes on.
    pub(super) trackers: HashMap<u32, Followed>,
    pub(super) beside: Beside,
    pub(super) rests: Rests,
    pub(super) now_ms: i64,
    pub(super) looks: Looks,
    /// Where models of idle series are.
    pub(super) aside: SetAside,
    /// Time of the store's newest sample, and from when on idle series are looked for again.
    pub(super) event_ms: i64,
    pub(super) look_ms: i64,
    untold: Vec<AnomalyRun>,
    pub(super) summaries: Vec<(u32, Option<Summary>)>,
    order: Vec<u64>,
    pub(super) is_loaded: bool,
    pub(super) raise_from_ms: i64,
    pub(super) series: u64,
    unsaved: u64,
    /// Since they were counted.
    scored: u64,
    /// The newest scores of series, by their tenths, since they were counted.
    tenths: [u32; 11],
    scores_sum: f64,
}

impl PartitionModels {
    /// Nothing is known yet.
    pub(super) fn new(number: u8) -> Self {
        Self {
            number,
            slots: SeriesSlots::default(),
            trackers: HashMap::new(),
            beside: Beside::default(),
            rests: Rests::default(),
            now_ms: 0,
            looks: Looks::default(),
            aside: SetAside::default(),
            event_ms: i64::MIN,
            look_ms: LOOK_AT_ONCE_MS,
            untold: Vec::new(),
            summaries: Vec::new(),
            order: Vec::new(),
            is_loaded: false,
            raise_from_ms: i64::MIN,
            series: 0,
            unsaved: 0,
            scored: 0,
            tenths: [0; 11],
            scores_sum: 0.0,
        }
    }

    /// Whether it has something to do even without samples, at this time and that of the store's newest one.
    pub(super) fn is_restless(&self, now_ms: i64, event_ms: i64) -> bool {
        let is_watching = !self.trackers.is_empty() || !self.untold.is_empty() || self.beside.is_due(now_ms);
        is_watching || event_ms >= self.look_ms
    }

    /// Does what is due; whether all of the errand was done.
    pub(super) fn work(
        &mut self,
        context: &ScoringContext,
        errand: Errand,
        pending: &[Pending],
        expired: &[u32],
        moment: Moment,
    ) -> bool {
        (self.now_ms, self.event_ms) = (moment.now_ms, moment.event_ms);
        self.rests.renew(context.rests.version());
        expired.iter().for_each(|id| self.forget(context, *id));
        let caught_up = errand != Errand::CatchUp || self.catch_up(context);
        if caught_up {
            self.exchange_bands(context, moment);
            self.score_timed(context, pending, moment.step.effort());
            self.close_silent(context, moment);
            self.look_for_silence(context, moment);
        }
        self.tell(context);
        self.show(context);
        self.count(context);
        let is_due = self.unsaved >= SAVE_SAMPLES.max(SAVE_SAMPLES_A_SERIES * self.series) || self.has_many_idle();
        let may_save = is_due && moment.step == Step::All;
        if self.is_loaded && (may_save || errand == Errand::Save && self.unsaved > 0) {
            match self.save(context) {
                Ok(()) => context.metrics.scoring.saves.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    tracing::error!(%error, "models are not written down and will be learned anew after a restart");
                    context.metrics.scoring.save_failures.fetch_add(1, Ordering::Relaxed)
                }
            };
            // Also after a failure, so that a full disk is not tried at every tick.
            self.unsaved = 0;
        }
        caught_up
    }

    pub(super) fn forget(&mut self, context: &ScoringContext, id: u32) {
        self.end_run(context, id);
        self.end_beside(context, id);
        self.rests.forget(id);
        if !matches!(self.slots.take(id), Slot::Vacant) {
            self.series = self.series.saturating_sub(1);
        }
        self.summaries.push((id, None));
    }

    /// Scores samples in their order, series by series.
    pub(super) fn score(&mut self, context: &ScoringContext, pending: &[Pending], effort: Effort) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend((0u64..).zip(pending).map(|(at, sample)| u64::from(sample.id) << 32 | at));
        order.sort_unstable();
        let mut groups = order.chunk_by(|a, b| a >> 32 == b >> 32).peekable();
        while groups.peek().is_some() {
            let together: [&[u64]; TOUCHED_TOGETHER] = std::array::from_fn(|_| groups.next().unwrap_or_default());
            let touch = |first: &u64| self.slots.touch((first >> 32) as u32, pending[*first as u32 as usize].time_ms);
            black_box(together.iter().filter_map(|group| group.first()).map(touch).fold(0, u64::wrapping_add));
            for group in together.iter().filter(|group| !group.is_empty()) {
                let samples = group.iter().map(|at| &pending[*at as u32 as usize]);
                let samples = samples.map(|sample| (sample.time_ms, sample.value));
                self.score_series(context, (group[0] >> 32) as u32, samples, effort);
            }
        }
        self.order = order;
    }

    /// Scores samples of one series. A detector that panics costs its series the model, and nobody else anything.
    pub(super) fn score_series(
        &mut self,
        context: &ScoringContext,
        id: u32,
        samples: impl Iterator<Item = (i64, f64)>,
        effort: Effort,
    ) {
        let Some(slot) = self.take(context, id) else { return self.learn_anew(context, id) };
        let is_new = matches!(slot, Slot::Vacant);
        let scored = catch_unwind(AssertUnwindSafe(|| self.score_slot(context, id, slot, samples, effort)));
        match scored {
            Ok((slot, summary)) => {
                self.series += u64::from(is_new && !matches!(slot, Slot::Vacant));
                self.slots.put(id, slot);
                self.summaries.extend(summary.map(|summary| (id, Some(summary))));
            }
            Err(_) => {
                tracing::error!(partition = self.number, id, "scoring panicked; the series is learned anew");
                context.metrics.scoring.panics.fetch_add(1, Ordering::Relaxed);
                self.forget(context, id);
            }
        }
    }

    fn score_slot(
        &mut self,
        context: &ScoringContext,
        id: u32,
        mut slot: Slot,
        samples: impl Iterator<Item = (i64, f64)>,
        effort: Effort,
    ) -> (Slot, Option<Summary>) {
        let mut run = (!self.trackers.is_empty()).then(|| self.trackers.remove(&id)).flatten().map(|f| f.run);
        let mut resting = if self.rests.is_quiet() { None } else { self.take_resting(context, id) };
        let (mut scored, mut held, mut last) = (0, 0, None);
        let mut before_ms = slot.last_ms();
        for (time_ms, value) in samples {
            // What the store has shown already while catching up comes again live.
            if time_ms <= before_ms {
                continue;
            }
            if run.is_some() && is_silent(&slot, before_ms, time_ms) {
                self.end(context, id, run.take());
            }
            if scored == 0 && !self.beside.is_quiet() {
                self.end_silence(context, id, &slot, time_ms);
            }
            before_ms = time_ms;
            scored += 1;
            let rests = resting.as_mut().is_some_and(|resting| resting.at(time_ms));
            if let Some(resting) = resting.as_mut().filter(|resting| resting.rests != rests) {
                resting.rests = rests;
                if !rests {
                    self.end(context, id, run.take());
                    self.wake(context, &mut slot);
                }
            }
            held += u64::from(rests);
            let verdict = match rests {
                true => slot.observe_held(time_ms, value, effort),
                false => slot.observe_with(time_ms, value, effort, || self.new_model(context, id)),
            };
            if let Some(verdict) = verdict.as_ref().filter(|verdict| verdict.is_anomaly || run.is_some()) {
                let told = self.follow(context, id, run.get_or_insert_default(), (value, verdict), slot.is_run_open());
                self.note(context, told);
                run = run.filter(RunTracker::is_open);
            }
            if let Some(notice) = slot.take_notice() {
                self.tell_notice(context, id, &notice);
            }
            // Not the whole verdict: copying all of it costs more than this.
            last = verdict.map(|verdict| (verdict.score, verdict.votes));
        }
        if let Some(run) = run {
            self.trackers.insert(id, Followed { run, heard_ms: self.now_ms });
        }
        self.rests.put(id, resting);
        if held > 0 {
            context.metrics.scoring.held.fetch_add(held, Ordering::Relaxed);
        }
        self.unsaved += scored;
        self.scored += scored;
        if let Some((score, _)) = last {
            // Tenth n is what exceeds n tenths.
            self.tenths[((score * 10.0).ceil() as usize).saturating_sub(1).min(10)] += 1;
            self.scores_sum += score;
            self.looks.hear(id, score);
        }
        let summary = match &slot {
            Slot::Few(few) if scored > 0 => Some(Summary::of_few(few.samples().len() as u32)),
            Slot::Model(model) if scored > 0 => last.map(|(score, votes)| Summary::of(model, score, &votes)),
            _ => None,
        };
        (slot, summary)
    }

    /// A series' rest is over: its model goes on from where it was.
    fn wake(&self, context: &ScoringContext, slot: &mut Slot) {
        if let Slot::Model(model) = slot {
            model.go_on();
            context.metrics.scoring.recalibrated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A model that knows nothing but what was said of its metric.
    fn new_model(&self, context: &ScoringContext, id: u32) -> SeriesModel {
        let key = context.store.key(SeriesRef::new(self.number, id));
        let said = key.as_deref().and_then(|key| context.told.of_series(label(key, NAME_LABEL)?));
        let kind = match said {
            Some(MetricType::Counter) => Some(Kind::Counter),
            Some(MetricType::Gauge) => Some(Kind::Gauge),
            _ => None,
        };
        SeriesModel::new(kind, context.settings.of(|name| label(key.as_deref()?, name)))
    }

    /// Tells a run the verdict on its series' next sample; the run as it stands, if that is news.
    fn follow(
        &self,
        context: &ScoringContext,
        id: u32,
        run: &mut RunTracker,
        (value, verdict): (f64, &Verdict),
        goes_on: bool,
    ) -> Option<AnomalyRun> {
        let key = context.store.key(SeriesRef::new(self.number, id))?;
        run.observe(&key, label(&key, NAME_LABEL).unwrap_or(""), value, verdict, goes_on)
    }

    fn end_run(&mut self, context: &ScoringContext, id: u32) {
        let run = self.trackers.remove(&id).map(|followed| followed.run);
        self.end(context, id, run);
    }

    fn end(&mut self, context: &ScoringContext, id: u32, run: Option<RunTracker>) {
        let Some((mut run, key)) = run.zip(context.store.key(SeriesRef::new(self.number, id))) else { return };
        let told = run.close(&key);
        self.note(context, told);
    }

    /// Remembers to tell how a run stands; the newest replaces what was to be told of it.
    pub(super) fn note(&mut self, context: &ScoringContext, run: Option<AnomalyRun>) {
        let Some(run) = run.filter(|run| run.start_ms >= self.raise_from_ms) else { return };
        let same = |other: &&mut AnomalyRun| other.start_ms == run.start_ms && other.key == run.key;
        if let Some(waiting) = self.untold.iter_mut().rev().find(same) {
            *waiting = run;
        } else if self.untold.len() < UNTOLD_MAX {
            self.untold.push(run);
        } else {
            context.metrics.scoring.runs_lost.fetch_add(1, Ordering::Relaxed);
        }
        if self.untold.len() == UNTOLD_MAX {
            self.tell(context);
        }
    }

    /// Ends runs of series that have stopped sending: by their own time, and by the clock, since samples of long ago that
    /// are sent now are no silence.
    fn close_silent(&mut self, context: &ScoringContext, moment: Moment) {
        let over = |(id, followed): (&u32, &Followed)| {
            let slot = self.slots.get(*id);
            let is_over = moment.now_ms.saturating_sub(followed.heard_ms) as f64 > SILENT_MS.0
                && is_silent(slot, slot.last_ms(), moment.event_ms);
            is_over.then_some(*id)
        };
        let over: Vec<u32> = self.trackers.iter().filter_map(over).collect();
        over.into_iter().for_each(|id| self.end_run(context, id));
    }

    fn tell(&mut self, context: &ScoringContext) {
        let mut told = 0;
        for run in &self.untold {
            match context.runs.try_send(run.clone()) {
                // Nobody listens any more when the server has stopped.
                Ok(()) | Err(TrySendError::Disconnected(_)) => told += 1,
                Err(TrySendError::Full(_)) => {
                    context.metrics.scoring.runs_waited.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
        self.untold.drain(..told);
    }

    fn count(&mut self, context: &ScoringContext) {
        let counters = &context.metrics.scoring;
        counters.scored.fetch_add(std::mem::take(&mut self.scored), Ordering::Relaxed);
        counters.scores.add_counts(&std::mem::take(&mut self.tenths), std::mem::take(&mut self.scores_sum));
    }

    fn show(&mut self, context: &ScoringContext) {
        if !self.summaries.is_empty() {
            context.board.write(self.number, self.summaries.drain(..));
        }
    }

    /// Sees what the store has and the models have not; false if the server stops before all is seen.
    fn catch_up(&mut self, context: &ScoringContext) -> bool {
        if !self.is_loaded {
            self.load(context);
        }
        let mut samples = Samples::default();
        for (at, selected) in context.store.series_of(self.number).iter().enumerate() {
            if context.closing.load(Ordering::Relaxed) {
                return false;
            }
            let (id, last_ms) = (selected.series.id(), self.slots.get(selected.series.id()).last_ms());
            if context.store.goes_beyond(selected.series, last_ms) {
                match context.store.read(selected.series, last_ms.saturating_add(1), i64::MAX, &mut samples) {
                    Ok(()) => {
                        let columns = samples.times.iter().copied().zip(samples.values.iter().copied());
                        self.score_stored(context, id, columns);
                    }
                    Err(error) => tracing::error!(%error, "samples of a series cannot be read and are not learned"),
                }
            }
            if at % SLICE_SERIES == SLICE_SERIES - 1 {
                self.tell(context);
                self.show(context);
                self.count(context);
                std::thread::yield_now();
            }
        }
        self.raise_from_ms = i64::MIN;
        true
    }
}

/// Whether a series that was last heard at `last_ms` has been silent for so long that a run of it is over.
fn is_silent(slot: &Slot, last_ms: i64, now_ms: i64) -> bool {
    let Slot::Model(model) = slot else { return true };
    let silent_ms = (SILENT_STEPS * model.step_ms()).clamp(SILENT_MS.0, SILENT_MS.1);
    now_ms.saturating_sub(last_ms) as f64 > silent_ms
}
