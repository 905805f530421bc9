//! What is told of a partition's series beside the verdicts on their samples: that one has stopped, that its value stays
//! the same, that its days go one way. What each detector takes is measured in passing.
//!
//! A series is silent when it has stopped while others went on (see `analysis`), and when a minute later, by the clock, it
//! is so still: what comes late but in order is no silence.
//!
//! Not here: runs of anomalous samples (see `score`), what is flat or drifts (see `analysis::watch`).
//!
//! Invariants: a silence is told once and ends with the next sample; what the store has and was not scored is no silence.
//!
//! Cost: one look at each model every ten seconds, and some microseconds to time the detectors.

use super::score::{Moment, PartitionModels, Pending, ScoringContext};
use super::series_slots::Slot;
use crate::analysis::{DETECTORS, Effort, Notice, SILENCE_PATIENCE_MS};
use crate::anomaly::notice;
use crate::anomaly::run::AnomalyRun;
use crate::clock;
use crate::self_metrics::TIMED_MAX;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::Instant;
use storage::series::{NAME_LABEL, SeriesRef, label};

/// Between two looks, by the clock.
const LOOK_EVERY_MS: i64 = 10_000;

/// Times a detector is asked to be timed: some microseconds for each.
const PROBES: u32 = 256;

const _: () = assert!(TIMED_MAX == DETECTORS + 1);

/// A series that may have stopped.
#[derive(Debug)]
struct Silence {
    /// By the clock.
    suspected_ms: i64,
    /// As it was told.
    told: Option<AnomalyRun>,
}

/// What is told beside verdicts and goes on.
#[derive(Debug, Default)]
pub(super) struct Beside {
    silent: HashMap<u32, Silence>,
    flat: HashMap<u32, AnomalyRun>,
    looked_ms: i64,
}

impl Beside {
    /// Whether series are to be looked at again.
    pub(super) fn is_due(&self, now_ms: i64) -> bool {
        (now_ms - self.looked_ms).abs() >= LOOK_EVERY_MS
    }

    /// The flat lines that were told and go on.
    pub(super) fn flat(&self) -> impl Iterator<Item = (&u32, &AnomalyRun)> {
        self.flat.iter()
    }

    /// Whether nothing goes on that a sample could end.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.silent.is_empty()
    }
}

impl PartitionModels {
    /// Looks for series that have stopped, and tells those that have been so for long enough.
    pub(super) fn look_for_silence(&mut self, context: &ScoringContext, moment: Moment) {
        if !self.beside.is_due(moment.now_ms) {
            return;
        }
        self.beside.looked_ms = moment.now_ms;
        self.time_detectors(context);
        let is_silent = |slot: &Slot| matches!(slot, Slot::Model(model) if model.has_stopped_by(moment.event_ms));
        for (id, _) in self.slots.iter().filter(|(_, slot)| is_silent(slot)) {
            let silence = || Silence { suspected_ms: moment.now_ms, told: None };
            self.beside.silent.entry(id).or_insert_with(silence);
        }
        let due = |(id, silence): (&u32, &Silence)| {
            let is_due = silence.told.is_none() && moment.now_ms - silence.suspected_ms >= SILENCE_PATIENCE_MS;
            is_due.then_some(*id)
        };
        let due: Vec<u32> = self.beside.silent.iter().filter_map(due).collect();
        due.into_iter().for_each(|id| self.tell_silence(context, id, moment.event_ms));
    }

    /// Scores samples, and measures what all detectors together take for one.
    pub(super) fn score_timed(&mut self, context: &ScoringContext, pending: &[Pending], effort: Effort) {
        let began = clock::monotonic();
        self.score(context, pending, effort);
        note_time(context, began, pending.len() as u64);
    }

    /// The same for what is stored of one series.
    pub(super) fn score_stored(
        &mut self,
        context: &ScoringContext,
        id: u32,
        samples: impl ExactSizeIterator<Item = (i64, f64)>,
    ) {
        let (began, count) = (clock::monotonic(), samples.len() as u64);
        self.score_series(context, id, samples, Effort::All);
        note_time(context, began, count);
    }

    /// Measures what each detector takes for a sample, on a series at hand.
    fn time_detectors(&self, context: &ScoringContext) {
        let mut models = self.slots.iter().filter_map(|(_, slot)| match slot {
            Slot::Model(model) => Some(model),
            _ => None,
        });
        let Some(model) = models.next() else { return };
        let counters = &context.metrics.scoring;
        let told = counters.detector_ps.iter().zip(&counters.detector_seconds);
        for (at, (ps, seconds)) in told.take(DETECTORS).enumerate() {
            let began = clock::monotonic();
            (0..PROBES).for_each(|_| _ = black_box(model.probe(black_box(at))));
            let passed_ns = clock::monotonic().saturating_duration_since(began).as_nanos() as u64;
            ps.store(passed_ns * 1000 / u64::from(PROBES), Ordering::Relaxed);
            seconds.add(passed_ns as f64 * 1e-9 / f64::from(PROBES));
        }
    }

    fn tell_silence(&mut self, context: &ScoringContext, id: u32, event_ms: i64) {
        let series = SeriesRef::new(self.number, id);
        let (Slot::Model(model), Some(key)) = (self.slots.get(id), context.store.key(series)) else { return };
        let (last_ms, step_ms) = (self.slots.get(id).last_ms(), model.step_ms() as i64);
        if context.store.goes_beyond(series, last_ms) {
            self.beside.silent.remove(&id);
            return;
        }
        let run = notice::silence(&key, label(&key, NAME_LABEL).unwrap_or(""), last_ms, step_ms, event_ms);
        if let Some(silence) = self.beside.silent.get_mut(&id) {
            silence.told = Some(run.clone());
        }
        self.note(context, Some(run));
    }

    /// A series is heard again: its last sample before, its step, and the first sample after.
    pub(super) fn end_silence(&mut self, context: &ScoringContext, id: u32, slot: &Slot, back_ms: i64) {
        let Some(Silence { told: Some(run), .. }) = self.beside.silent.remove(&id) else { return };
        let is_late = matches!(slot, Slot::Model(model) if model.goes_on_at(back_ms));
        let name = label(&run.key, NAME_LABEL).unwrap_or("").to_owned();
        self.note(context, Some(notice::end_of_silence(run, &name, back_ms, is_late)));
    }

    /// Tells what a sample told beside its verdict.
    #[cold]
    pub(super) fn tell_notice(&mut self, context: &ScoringContext, id: u32, told: &Notice) {
        if let Notice::Moved { last_ms, .. } = told {
            if let Some(run) = self.beside.flat.remove(&id) {
                self.note(context, Some(AnomalyRun { last_ms: *last_ms, is_open: false, ..run }));
            }
            return;
        }
        let Some(key) = context.store.key(SeriesRef::new(self.number, id)) else { return };
        let run = notice::run_of(told, &key, label(&key, NAME_LABEL).unwrap_or(""));
        if let Some(run) = run.as_ref().filter(|run| run.is_open) {
            self.beside.flat.insert(id, run.clone());
        }
        self.note(context, run);
    }

    /// A flat line that was told before a restart goes on: it is told again, so that the book knows.
    pub(super) fn tell_flat_again(&mut self, context: &ScoringContext, id: u32, run: AnomalyRun) {
        let Some(key) = context.store.key(SeriesRef::new(self.number, id)) else { return };
        let run = AnomalyRun { key, ..run };
        self.beside.flat.insert(id, run.clone());
        self.note(context, Some(run));
    }

    /// A series is no more: what was told of it is over.
    pub(super) fn end_beside(&mut self, context: &ScoringContext, id: u32) {
        let silent = self.beside.silent.remove(&id).and_then(|silence| silence.told);
        for run in [silent, self.beside.flat.remove(&id)].into_iter().flatten() {
            self.note(context, Some(AnomalyRun { is_open: false, ..run }));
        }
    }
}

/// Counts so many samples that were scored since `began`, and what one took.
fn note_time(context: &ScoringContext, began: Instant, samples: u64) {
    if samples == 0 {
        return;
    }
    let passed_ns = clock::monotonic().saturating_duration_since(began).as_nanos() as u64;
    let (passed_s, counters) = (passed_ns as f64 * 1e-9, &context.metrics.scoring);
    counters.detector_ps[DETECTORS].store(passed_ns.saturating_mul(1000) / samples, Ordering::Relaxed);
    counters.inference_seconds.add_many(passed_s, samples);
    counters.detector_seconds[DETECTORS].add_many(passed_s, samples);
}
