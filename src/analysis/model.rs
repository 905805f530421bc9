//! Everything analysis remembers about one series, and the order of its steps.
//!
//! Not here: the steps themselves, one module each.
//!
//! Invariants: a sample is judged before it is learned; what was judged anomalous is learned only as far as a normal one
//! could have gone; a sample without a finite value, or not later than the one before, leaves no trace in what is known.
//!
//! Cost: six cache lines a sample, and one or two of each profile; at most [`STATE_BYTES_MAX`] a series (`benches/score.rs` gives ns a sample).

use super::baseline::{Baseline, DAY_MS, Expectation, Moment, PROFILE_BYTES};
use super::detect::{Context, Detectors, Effort, Readings};
use super::ensemble::{FOUNDATION, Votes, score};
use super::judge::{Case, FLAG_LINE, Judge, Word};
use super::kind::KindInference;
use super::prepare::{Arrival, Resolution, StepClock, counter_rate};
use super::robust::median;
use super::watch::{Seen, Watch};
use super::{AnomalyKind, FoundSeason, Kind, Notice, Settings, Severity, Stage, Verdict};
use bands::{Beside, Said};
use patterns::{Judged, Ways};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of a series' state, everything included, at most.
pub const STATE_BYTES_MAX: usize = 4096;

const _: () = assert!(size_of::<SeriesModel>() + PROFILE_BYTES + size_of::<Ways>() <= STATE_BYTES_MAX);

/// Samples in a day for slow memories: fewer are no statistics, more forget too slowly.
const WINDOW: (f64, f64) = (256.0, 4096.0);

/// Share of the smallest deviation that matters which counts as no spread at all.
const SPREAD_SHARE: f64 = 0.1;

/// An anomalous value is learned as if it were this many mean absolute errors away: some 99 % of Gaussian values are
/// nearer.
const WINSOR_ERRORS: f64 = 3.0;

/// Greater values are judged no more than NaN is: no metric means them.
pub(super) const MAGNITUDE_MAX: f64 = 1e30;

/// Residuals beyond are as good as this one; their squares still fit into 32 bits.
const RESIDUAL_MAX: f64 = 1e18;

/// From so many anomalous samples on a run is anomalous as a whole.
const COLLECTIVE_SAMPLES: u32 = 4;

/// What recurs as a habit stays below the flag line.
const HABIT_SCORE_MAX: f64 = 0.59;

/// Samples from which it is told where a level begins.
const ANCHOR_SAMPLES: usize = 32;

/// How fast the greatest magnitude of late fades, a sample.
const MAGNITUDE_FADE: f64 = 1.0 - 1.0 / 4096.0;

/// Of the encoding: raised with every change to what a model consists of or means, so that an encoding of another
/// version is never misread; the model is learned anew then.
pub const ENCODING_VERSION: u16 = 9;

/// The model of one series.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeriesModel {
    /// Not encoded: those in force when it is decoded apply.
    #[serde(skip)]
    settings: Arc<Settings>,
    inference: KindInference,
    steps: StepClock,
    magnitude: f64,
    baseline: Option<Baseline>,
    detectors: Detectors,
    judge: Judge,
    resolution: Resolution,
    watch: Watch,
    /// Of the clock by which days and weeks were learned.
    clock_mark: u16,
    /// What few series have.
    #[serde(with = "bands::kept")]
    beside: Option<Box<Beside>>,
    /// A bit for each detector that has panicked: it is not asked again before a restart.
    #[serde(skip)]
    broken: u8,
    /// Evidence at which the budget is spent; follows from the settings and the step it was computed for.
    #[serde(skip)]
    budget: f32,
    budget_step_ms: f32,
}

impl SeriesModel {
    /// Of a series nothing is known of; `kind` is inferred from the values unless given. Models share their settings.
    pub fn new(kind: Option<Kind>, settings: impl Into<Arc<Settings>>) -> Self {
        let settings: Arc<Settings> = settings.into();
        Self {
            clock_mark: settings.clock.mark(),
            settings,
            inference: KindInference::new(kind),
            steps: StepClock::default(),
            magnitude: 0.0,
            baseline: None,
            detectors: Detectors::default(),
            judge: Judge::default(),
            resolution: Resolution::default(),
            watch: Watch::default(),
            beside: None,
            broken: 0,
            budget: 0.0,
            budget_step_ms: 0.0,
        }
    }

    /// What the series' values are taken for.
    pub fn kind(&self) -> Kind {
        self.inference.kind()
    }

    /// How far learning has come.
    pub fn stage(&self) -> Stage {
        let learned = self.baseline.as_ref().zip(self.steps.last_ms());
        learned.map_or(Stage::Warming, |(baseline, last_ms)| baseline.stage(self.moment(last_ms).local_ms))
    }

    /// A time by the series' own clock.
    #[inline]
    fn moment(&self, time_ms: i64) -> Moment {
        let (local_ms, is_repeated) = self.settings.clock.local(time_ms);
        Moment { time_ms, local_ms, is_repeated }
    }

    /// Judges by these settings from now on; `None` where they have another clock than the one by which days and weeks were
    /// learned, so that what was learned means nothing.
    pub fn under(self, settings: &Arc<Settings>) -> Option<Self> {
        let budget = settings.budget_log_tail(f64::from(self.budget_step_ms).max(1.0)) as f32;
        let is_same = self.clock_mark == settings.clock.mark();
        is_same.then(|| Self { settings: settings.clone(), budget, ..self })
    }

    /// The seasons that are believed.
    pub fn seasons(&self) -> impl Iterator<Item = FoundSeason> {
        self.baseline.iter().flat_map(Baseline::seasons)
    }

    /// How many samples were judged and learned since the kind was last changed.
    pub fn samples(&self) -> u32 {
        self.baseline.as_ref().map_or(0, Baseline::samples)
    }

    /// Bytes of its state now, everything included; at most [`STATE_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        let profiles = self.baseline.as_ref().map_or(0, Baseline::profile_bytes) + self.detectors.profile_bytes();
        size_of::<Self>() + profiles + self.judge.habit_bytes() + self.watch.days_bytes() + self.ways_bytes()
    }

    /// Time of the last sample that was taken.
    pub fn last_ms(&self) -> Option<i64> {
        self.steps.last_ms()
    }

    /// Usual distance of two samples in milliseconds, at least 1.
    pub fn step_ms(&self) -> f64 {
        self.steps.step_ms()
    }

    /// Reads a word of every cache line that [`SeriesModel::observe`] will need at this time, so that a caller who is
    /// about to observe several series can have their lines fetched at once; the sum means nothing.
    #[inline]
    pub fn touch(&self, time_ms: i64) -> u64 {
        let baseline = self.baseline.as_ref().map_or(0, |baseline| baseline.touch(self.moment(time_ms).local_ms));
        let own = [u64::from(self.budget.to_bits()), self.step_ms().to_bits(), u64::from(self.judge.is_open())];
        own.into_iter().fold(baseline, u64::wrapping_add).wrapping_add(self.detectors.touch())
    }

    /// What one detector says of a usual sample now, as -log10 of its tail probability, NaN if it abstains; nothing is
    /// learned. For measuring what each detector costs by itself.
    pub fn probe(&self, detector: usize) -> f32 {
        let context = Context {
            residual: self.resolution.spread_min() as f32,
            season_hour: self.seasons().next().map(|_| 12),
            spread_min: self.resolution.spread_min() as f32,
            has_neighbour: true,
            knows_a_day: self.stage() > Stage::Warming,
            window: WINDOW.0 as f32,
            samples: self.detectors.samples(),
            effort: Effort::All,
        };
        if detector == FOUNDATION {
            let told = self.steps.last_ms().and_then(|last_ms| self.foresight(last_ms, 0.0, &context));
            return told.map_or(f32::NAN, |told| told.log_tail);
        }
        self.detectors.probe(&context, detector)
    }

    /// The longest time without a sample of late, in milliseconds.
    pub fn longest_gap_ms(&self) -> f64 {
        f64::from(self.watch.longest_gap_ms())
    }

    /// What the newest sample told beside its verdict, once.
    #[inline]
    pub fn take_notice(&mut self) -> Option<Notice> {
        let notice = self.beside.as_mut()?.notice.take();
        self.beside.take_if(|beside| beside.is_empty());
        notice
    }

    /// Whether a run of anomalous samples has begun and is not over.
    pub fn is_run_open(&self) -> bool {
        self.judge.is_open()
    }

    /// Appends the model in a compact form that only this [`ENCODING_VERSION`] reads; the settings are left out.
    pub fn encode(&self, out: Vec<u8>) -> Vec<u8> {
        postcard::to_extend(self, out).expect("writing to memory cannot fail, and no length is unknown")
    }

    /// The model at the beginning of `bytes` and what follows it; `None` if there is none.
    pub fn decode(bytes: &[u8], settings: impl Into<Arc<Settings>>) -> Option<(Self, &[u8])> {
        let (model, rest): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        let settings = settings.into();
        let budget = settings.budget_log_tail(f64::from(model.budget_step_ms).max(1.0)) as f32;
        Some((Self { settings, budget, ..model }, rest))
    }

    /// Judges a sample against everything before it, then learns it. Time is in milliseconds since 1970 UTC.
    pub fn observe(&mut self, time_ms: i64, value: f64) -> Verdict {
        self.observe_with(time_ms, value, Effort::All)
    }

    /// The same with as much effort as there is time for; every detector learns the sample, whether it judges or not.
    pub fn observe_with(&mut self, time_ms: i64, value: f64, effort: Effort) -> Verdict {
        self.take(time_ms, value, effort, true)
    }

    /// Judges a sample by what is known and learns nothing of its value, as where trouble was planned; only how often
    /// samples come. [`SeriesModel::go_on`] ends a span of such samples.
    pub fn observe_held(&mut self, time_ms: i64, value: f64, effort: Effort) -> Verdict {
        self.take(time_ms, value, effort, false)
    }

    /// After samples that taught nothing: a run of them is over, all else is as before them.
    pub fn go_on(&mut self) {
        self.judge.go_on();
    }

    #[inline]
    fn take(&mut self, time_ms: i64, value: f64, effort: Effort, teaches: bool) -> Verdict {
        if value.is_nan() || value.abs() > MAGNITUDE_MAX {
            return Verdict::silent(time_ms);
        }
        let arrival = self.steps.observe(time_ms);
        if arrival == Arrival::NotLater {
            return Verdict::silent(time_ms);
        }
        let before = self.inference.kind();
        let (kind, last) = if teaches { self.inference.observe(value) } else { self.inference.pass(value) };
        let is_new = kind != before;
        if is_new {
            self.start_anew();
        }
        let passed_ms = match arrival {
            Arrival::Next(passed_ms) | Arrival::AfterGap(passed_ms) => passed_ms,
            Arrival::First | Arrival::NotLater => 1,
        };
        let has_neighbour = matches!(arrival, Arrival::Next(_));
        if kind != Kind::Counter {
            return self.judge(time_ms, value, (passed_ms, has_neighbour), effort, teaches);
        }
        let last = if is_new { f64::NAN } else { last };
        match counter_rate(last, value, passed_ms).filter(|rate| rate.is_finite()) {
            Some(rate) => {
                let rate_seconds = Some(passed_ms as f64 / 1000.0);
                Verdict { rate_seconds, ..self.judge(time_ms, rate, (passed_ms, has_neighbour), effort, teaches) }
            }
            None => Verdict::silent(time_ms),
        }
    }

    /// Keeps what was learned but forgets where in time it stands, so that the same samples can be judged by it.
    pub fn rewind(&mut self) {
        let budget = self.budget() as f32;
        self.steps.rewind();
        if !self.judge.looks_back() {
            self.detectors.look_back(budget);
        }
        self.inference.forget_last();
        self.judge = Judge::looking_back();
        self.forget_ways();
    }

    /// Moves the level to where these first samples have it: after [`SeriesModel::rewind`] it stands where the samples
    /// ended, which may be far from where they began.
    pub fn anchor(&mut self, first: impl Iterator<Item = (i64, f64)>) {
        // What a counter's samples are judged as only a model that has seen the one before can tell.
        let mut scout = self.clone();
        let judged = first.filter_map(|(time_ms, value)| Some((time_ms, scout.observe(time_ms, value).judged?)));
        let judged: Vec<(Moment, f64)> =
            judged.take(ANCHOR_SAMPLES).map(|(time_ms, value)| (self.moment(time_ms), value)).collect();
        let Some(baseline) = &mut self.baseline else { return };
        let away: Vec<[f64; 3]> = judged.into_iter().map(|(moment, value)| baseline.away(moment, value)).collect();
        if !away.is_empty() {
            let by = [0, 1, 2].map(|at| median(&mut away.iter().map(|away| away[at]).collect::<Vec<_>>()));
            self.detectors.recentre(baseline.move_levels(by) as f32);
        }
    }

    /// What the baseline expects at a time, in the unit of what is judged; `None` before the first sample.
    pub(super) fn expected(&self, time_ms: i64) -> Option<f64> {
        self.baseline.as_ref().map(|baseline| baseline.expect(self.moment(time_ms)).value)
    }

    /// Takes the largest residuals of all unusual runs of a finished series of so many samples: those like which there are
    /// many are part of it.
    pub(super) fn know_events(&mut self, peaks: &[f32], samples: usize) {
        self.judge.know_events(peaks, samples);
    }

    /// What was learned of values of another kind means nothing for this one.
    fn start_anew(&mut self) {
        self.magnitude = 0.0;
        self.resolution = Resolution::default();
        (self.watch, self.beside) = (Watch::default(), None);
        self.baseline = None;
        self.detectors = Detectors::default();
        self.judge = self.judge.anew();
    }

    #[inline]
    fn judge(
        &mut self,
        time_ms: i64,
        value: f64,
        (passed_ms, has_neighbour): (i64, bool),
        effort: Effort,
        teaches: bool,
    ) -> Verdict {
        // Of nothing known nothing can be said.
        if !teaches && self.baseline.is_none() {
            return Verdict::silent(time_ms);
        }
        let magnitude = self.magnitude;
        self.magnitude = if teaches { (magnitude * MAGNITUDE_FADE).max(value.abs()) } else { magnitude };
        let per_day = DAY_MS as f64 / self.steps.step_ms();
        let moment = self.moment(time_ms);
        let baseline = self.baseline.get_or_insert_with(|| Baseline::new(moment, value));
        let expectation = baseline.expect(moment);
        let residual = (value - expectation.value).clamp(-RESIDUAL_MAX, RESIDUAL_MAX);
        let spread_min = self.resolution.spread_min().max(SPREAD_SHARE * self.settings.deviation_min(magnitude));
        let context = Context {
            residual: residual as f32,
            season_hour: expectation.season_hour(),
            spread_min: spread_min as f32,
            has_neighbour,
            knows_a_day: baseline.knows_a_day(),
            window: per_day.clamp(WINDOW.0, WINDOW.1) as f32,
            samples: self.detectors.samples(),
            effort,
        };
        let budget = self.budget();
        let readings = self.detectors.read(&context, &mut self.broken);
        let foresight = self.foresight(time_ms, expectation.value, &context);
        let log_tails = self.detectors.log_tails(&context, &readings);
        let foundation = foresight.map(|foresight| (foresight.log_tail, self.counting(&context)));
        let votes = Votes::new(log_tails, foundation, budget);
        let combined = votes.combined(self.judge.is_open()).map_or(0.0, |log_tail| score(log_tail, budget));
        let score = self.settings.ensemble.score(&votes, combined);
        let mut score = self.settings.quiet_hours.ease(score, moment.local_ms, residual > 0.0);
        let said = Said { base: expectation.value, readings: &readings, foresight };
        let band = self.band(&said, &votes, score);
        let zero = self.watch.zero_score(value);
        score = zero.unwrap_or(score).max(score);
        let case = Case {
            score,
            has_majority: zero.is_some() || self.settings.ensemble.agrees(&votes, score),
            deviation: band.map_or(0.0, |band| value - band.expected),
            residual,
            magnitude,
            time_ms: moment.local_ms,
            is_usual_in_the_long_run: votes.is_usual_in_the_long_run(),
            has_season: expectation.season.is_some(),
            teaches,
        };
        let word = self.judge.judge(&case, &self.settings, &self.steps);
        let judged = Judged { value, score, word, per_day, has_neighbour, passed_ms, magnitude, budget, teaches };
        let (plain, score, pattern) = self.with_ways(&judged);
        if teaches {
            self.watch((time_ms, value), passed_ms, magnitude);
            self.resolution.learn(value);
            self.learn((moment, value), &expectation, per_day, &context, &readings, word, budget);
        }
        self.learn_foresight(foresight.filter(|_| teaches), context.residual, word, budget);
        Verdict {
            judged: Some(value),
            score,
            is_anomaly: word.is_anomaly,
            severity: Severity::of(score),
            kind: if word.is_anomaly { self.anomaly_kind(&word, value, &expectation) } else { AnomalyKind::Point },
            band: if plain < FLAG_LINE { band } else { self.shown_band(&said, &votes).or(band) },
            votes,
            is_rare_zero: zero.is_some(),
            season: expectation.season,
            is_local: self.clock_mark != 0,
            time_ms,
            rate_seconds: None,
            is_held: !teaches,
            pattern,
        }
    }

    /// Has the watch see a sample.
    #[inline]
    fn watch(&mut self, (time_ms, value): (i64, f64), passed_ms: i64, magnitude: f64) {
        let seen = Seen {
            time_ms,
            value,
            relative: self.baseline.as_ref().map_or(0.0, |baseline| baseline.relative(value)),
            stays: self.resolution.stays(value),
            step_ms: self.steps.step_ms(),
            passed_ms,
            deviation_min: self.settings.deviation_min(magnitude),
        };
        if let Some(notice) = self.watch.learn(&seen) {
            self.beside.get_or_insert_default().notice = Some(notice);
        }
    }

    /// What kind of anomaly a sample is part of, as far as can be told by now.
    fn anomaly_kind(&self, word: &Word, value: f64, expectation: &Expectation) -> AnomalyKind {
        let usual_at_other_times = |baseline: &Baseline| {
            expectation.season.is_some()
                && (value - baseline.flat_level()).abs() <= WINSOR_ERRORS * baseline.flat_error()
        };
        match () {
            () if word.adopt => AnomalyKind::LevelShift,
            () if word.run_samples >= COLLECTIVE_SAMPLES => AnomalyKind::Collective,
            () if self.baseline.as_ref().is_some_and(usual_at_other_times) => AnomalyKind::Contextual,
            () => AnomalyKind::Point,
        }
    }

    /// The evidence at which the budget is spent, computed anew when the step has moved by a hundredth.
    fn budget(&mut self) -> f64 {
        let step_ms = self.steps.step_ms() as f32;
        if (step_ms - self.budget_step_ms).abs() > 0.01 * self.budget_step_ms {
            let budget = self.settings.budget_log_tail(f64::from(step_ms));
            (self.budget_step_ms, self.budget) = (step_ms, budget as f32);
        }
        f64::from(self.budget)
    }

    #[expect(clippy::too_many_arguments, reason = "all that was found out while judging; it has no name of its own")]
    fn learn(
        &mut self,
        (moment, value): (Moment, f64),
        expectation: &Expectation,
        per_day: f64,
        context: &Context,
        readings: &Readings,
        word: Word,
        budget: f64,
    ) {
        // The budget counts anomalies, so a run counts once. Looking back, how rare scores are is known already.
        if !self.judge.looks_back() && (!word.is_anomaly || word.opens) {
            self.detectors.calibrate(context, readings, word.opens, budget as f32);
        }
        let Some(baseline) = &mut self.baseline else { return };
        let reach = WINSOR_ERRORS * baseline.error();
        let residual = f64::from(context.residual);
        let clipped = residual.clamp(-reach, reach);
        let learned = if word.is_anomaly { value - residual + clipped } else { value };
        let season_changed = baseline.learn(moment, (value, learned), expectation, per_day.max(1.0));
        // The first of a run is learned as if it had been normal, so that coming back from a lone spike is no change;
        // the next ones as they are, so that a new level is not.
        let residual = if word.opens { clipped as f32 } else { context.residual };
        self.detectors.learn(&Context { residual, ..*context }, &mut self.broken);
        if word.adopt {
            let by = self.detectors.fast_level();
            baseline.shift(f64::from(by));
            self.detectors.recentre(by);
            self.judge.adopt(moment.local_ms, f64::from(by));
        }
        if season_changed {
            self.detectors.restart();
        }
    }
}

#[path = "model_bands.rs"]
mod bands;
#[path = "model_patterns.rs"]
mod patterns;

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
