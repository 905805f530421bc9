//! From a score to "this is an anomaly": direction, smallest deviation that matters, persistence, hysteresis, and when a
//! lasting shift is the new normal.
//!
//! Not here: scores (see `ensemble`).
//!
//! Invariant: nothing below the flag line is an anomaly.

use super::habit::{Habit, minute};
use super::prepare::StepClock;
use super::{EnsembleConfig, LocalClock, QuietHours};
use serde::{Deserialize, Serialize};

/// The score from which a sample may be flagged.
pub(crate) const FLAG_LINE: f64 = 0.6;

const MONTH_MS: f64 = 30.0 * 86_400_000.0;

/// Bounds of the budget's evidence: less than 2 would be no rarity, more than 8 no tail estimate supports.
const BUDGET_LOG_TAIL: (f64, f64) = (2.0, 8.0);

/// Normal samples after which a run of anomalous ones is over.
pub(crate) const CALM_SAMPLES: u32 = 5;

/// A new level is adopted after an hour, but not before this many samples and not after that many.
const ADOPT_MS: f64 = 3_600_000.0;
const ADOPT_SAMPLES: (f64, f64) = (12.0, 60.0);

/// How long a season may take to follow its level.
const SETTLING_MINUTES: u32 = 1440;

/// Which deviations matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Above and below what is expected.
    #[default]
    Both,
    /// Only above.
    Above,
    /// Only below.
    Below,
}

/// When the forecasts of a foundation model have a vote, where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FoundationVote {
    /// Until a whole day of the series was seen they are one family of detectors, and the only judge before the series has
    /// detectors of its own; afterwards what they say is shown and counts no more.
    #[default]
    Young,
    /// The same, and they remain one family of detectors.
    Always,
}

/// What may be set about judging a series; the defaults need no setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Anomalies a series may have in 30 days of normal data: `budget.anomalies_per_series_month`.
    pub anomalies_per_month: f64,
    /// Which deviations matter.
    pub direction: Direction,
    /// A deviation of less than this, in the value's unit, never matters.
    pub deviation_min: f64,
    /// The same as a share of the greatest magnitude the series has shown of late.
    pub deviation_share_min: f64,
    /// Samples in a row that must be unusual before the last of them is flagged.
    pub persistence: u32,
    /// How the detectors' votes become one word.
    pub ensemble: EnsembleConfig,
    /// When forecasts of a foundation model have a vote.
    pub foundation: FoundationVote,
    /// Whose days and weeks the series has.
    pub clock: LocalClock,
    /// When nobody works.
    pub quiet_hours: QuietHours,
    /// Whether scores also tell how unfamiliar the way to a sample is, and of what is not flagged only what is news. It
    /// takes 1.2 KB a series.
    pub patterns: bool,
}

impl Default for Settings {
    /// One anomaly a month, at once, in both directions, from a hundredth of a percent of the magnitude on: below it
    /// are rounding and the last digits of constants.
    fn default() -> Self {
        Self {
            anomalies_per_month: 1.0,
            direction: Direction::Both,
            deviation_min: 1e-9,
            deviation_share_min: 1e-4,
            persistence: 1,
            ensemble: EnsembleConfig::default(),
            foundation: FoundationVote::Young,
            clock: LocalClock::default(),
            quiet_hours: QuietHours::default(),
            patterns: false,
        }
    }
}

impl Settings {
    /// -log10 of the share of samples that may be flagged: the evidence at which the budget is spent.
    pub(crate) fn budget_log_tail(&self, step_ms: f64) -> f64 {
        let a_month = MONTH_MS / step_ms;
        (a_month / self.anomalies_per_month).log10().clamp(BUDGET_LOG_TAIL.0, BUDGET_LOG_TAIL.1)
    }

    /// Smallest deviation that matters for a series of this magnitude.
    pub(crate) fn deviation_min(&self, magnitude: f64) -> f64 {
        self.deviation_min.max(self.deviation_share_min * magnitude)
    }

    fn matters(&self, deviation: f64, magnitude: f64) -> bool {
        let is_wanted = match self.direction {
            Direction::Both => true,
            Direction::Above => deviation > 0.0,
            Direction::Below => deviation < 0.0,
        };
        is_wanted && deviation.abs() >= self.deviation_min(magnitude)
    }
}

/// What there is to judge about one sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) score: f64,
    pub(crate) has_majority: bool,
    /// From where the flagging detector would have had it, in the value's unit.
    pub(crate) deviation: f64,
    /// From what the baseline expects.
    pub(crate) residual: f64,
    pub(crate) magnitude: f64,
    /// By the clock of the series' zone.
    pub(crate) time_ms: i64,
    /// Whether detectors with a long memory find the sample usual.
    pub(crate) is_usual_in_the_long_run: bool,
    /// Whether what is expected follows a season.
    pub(crate) has_season: bool,
    /// Whether it may become a habit or a level.
    pub(crate) teaches: bool,
}

/// The judge's word on one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) is_anomaly: bool,
    /// Whether this is the first flagged sample of its run.
    pub(crate) opens: bool,
    /// Whether the run has lasted so long that its level is the new normal.
    pub(crate) adopt: bool,
    /// Whether the sample is unusual but such events have become a habit.
    pub(crate) is_habit: bool,
    /// Anomalous samples of the run so far, this one included.
    pub(crate) run_samples: u32,
}

/// Remembers the run of anomalous samples of a series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Judge {
    unusual: u16,
    calm: u8,
    run_samples: u16,
    is_open: bool,
    /// Samples since the opening on one side of the baseline; the sign is the side.
    same_side: i16,
    /// Samples since the last one that was anomalous or a habit.
    since_event: u16,
    last_residual: f32,
    /// The last level that was adopted: when, in minutes, and how far it was from the one before.
    adopted_minute: u32,
    adopted: f32,
    habit: Habit,
    /// Whether this is the second time that the samples are gone through: how rare scores are is known then, and each of
    /// the events is of interest.
    looks_back: bool,
}

impl Judge {
    /// For going through the samples again.
    pub(crate) fn looking_back() -> Self {
        Self { looks_back: true, ..Self::default() }
    }

    /// Knows no run and no habit.
    pub(crate) fn anew(&self) -> Self {
        Self { looks_back: self.looks_back, ..Self::default() }
    }

    /// Whether it looks back on samples that were learned before.
    pub(crate) fn looks_back(&self) -> bool {
        self.looks_back
    }

    /// Takes the largest residuals of all unusual runs of the finished series that is looked back on, of so many samples.
    pub(crate) fn know_events(&mut self, peaks: &[f32], samples: usize) {
        self.habit.look_back(peaks, samples);
    }

    /// Bytes held outside of itself now.
    pub(crate) fn habit_bytes(&self) -> usize {
        self.habit.bytes()
    }

    /// Whether a run of anomalous samples has begun and is not over.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Judges one sample.
    pub(crate) fn judge(&mut self, case: &Case, settings: &Settings, steps: &StepClock) -> Word {
        let is_unusual = case.score >= FLAG_LINE && settings.matters(case.deviation, case.magnitude);
        // Hysteresis: an open run goes on by the score alone, a new one needs the majority.
        let is_unusual = is_unusual && (case.has_majority || self.is_open) && !self.comes_back(case);
        let is_unusual = is_unusual && (self.is_open || !self.settles(case));
        let is_habit = is_unusual && !self.is_open && self.is_habit(case);
        let is_unusual = is_unusual && !is_habit;
        self.unusual = if is_unusual { self.unusual.saturating_add(1) } else { 0 };
        let is_anomaly = is_unusual && (self.is_open || u32::from(self.unusual) >= settings.persistence);
        let opens = is_anomaly && !self.is_open;
        if opens {
            self.run_samples = 0;
        }
        match case.teaches {
            true if opens => self.habit.begin(case.time_ms, case.deviation),
            true if is_anomaly => self.habit.go_on(case.deviation),
            _ => {}
        }
        self.run_samples = self.run_samples.saturating_add(u16::from(is_anomaly));
        let is_event = (is_anomaly || is_habit) && case.teaches;
        self.since_event = if is_event { 0 } else { self.since_event.saturating_add(1) };
        self.calm = if is_unusual { 0 } else { self.calm.saturating_add(1) };
        self.is_open = is_anomaly || (self.is_open && u32::from(self.calm) < CALM_SAMPLES);
        let adopt = case.teaches && self.has_lasted(case.residual, steps);
        let run_samples = u32::from(self.run_samples);
        if adopt {
            // What was adopted is told by `adopt`.
            *self = Self { habit: std::mem::take(&mut self.habit), ..self.anew() };
        }
        Word { is_anomaly, opens, adopt, is_habit, run_samples }
    }

    /// What was judged without teaching is over, and a run of it with it.
    pub(crate) fn go_on(&mut self) {
        let habit = std::mem::take(&mut self.habit);
        let Self { adopted_minute, adopted, since_event, .. } = *self;
        *self = Self { habit, adopted_minute, adopted, since_event, ..self.anew() };
    }

    /// A level was adopted, so far from the one before.
    pub(crate) fn adopt(&mut self, local_ms: i64, by: f64) {
        (self.adopted_minute, self.adopted) = (minute(local_ms), by.abs() as f32);
    }

    /// Whether the sample is off by no more than a level that was adopted within a day, in a series with a season: a
    /// season grows and shrinks with its level, and its slots are visited once before what they have is known anew.
    fn settles(&self, case: &Case) -> bool {
        let is_late = minute(case.time_ms).wrapping_sub(self.adopted_minute) <= SETTLING_MINUTES;
        case.has_season && is_late && case.residual.abs() <= f64::from(self.adopted)
    }

    /// Whether the sample goes back to what is usual in the long run after an anomaly: the way back is no news.
    fn comes_back(&mut self, case: &Case) -> bool {
        let before = f64::from(std::mem::replace(&mut self.last_residual, case.residual as f32));
        let is_nearer = case.residual.abs() < 0.5 * before.abs();
        is_nearer && case.is_usual_in_the_long_run && f64::from(self.since_event) < ADOPT_SAMPLES.1
    }

    /// Whether there were so many events like this one that it is none; remembers it.
    fn is_habit(&mut self, case: &Case) -> bool {
        if self.looks_back {
            return self.habit.is_part(case.residual);
        }
        let is_habit = self.habit.knows(case.time_ms, case.deviation);
        if is_habit && case.teaches && u32::from(self.since_event) >= CALM_SAMPLES {
            self.habit.begin(case.time_ms, case.deviation);
        }
        is_habit
    }

    /// Whether the run has been on one side so long that it is the new normal.
    fn has_lasted(&mut self, residual: f64, steps: &StepClock) -> bool {
        let side = if residual > 0.0 { 1 } else { -1 };
        self.same_side = match self.is_open {
            true if self.same_side.signum() == side => self.same_side.saturating_add(side),
            true => side,
            false => 0,
        };
        let lasted = f64::from(self.same_side.unsigned_abs());
        lasted >= ADOPT_SAMPLES.0 && lasted >= (ADOPT_MS / steps.step_ms()).clamp(ADOPT_SAMPLES.0, ADOPT_SAMPLES.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSUAL: Case = Case {
        score: 0.9,
        has_majority: true,
        deviation: 5.0,
        residual: 5.0,
        magnitude: 10.0,
        time_ms: 0,
        is_usual_in_the_long_run: false,
        has_season: false,
        teaches: true,
    };
    const USUAL: Case = Case { score: 0.1, ..UNUSUAL };

    fn judge(cases: &[Case], settings: &Settings) -> Vec<bool> {
        let mut judge = Judge::default();
        cases.iter().map(|case| judge.judge(case, settings, &StepClock::default()).is_anomaly).collect()
    }

    #[test]
    fn direction_and_smallest_deviation_are_kept() {
        let below = Settings { direction: Direction::Below, ..Settings::default() };
        let large = Settings { deviation_min: 6.0, ..Settings::default() };
        assert_eq!(judge(&[UNUSUAL], &Settings::default()), [true]);
        assert_eq!(judge(&[UNUSUAL], &below), [false]);
        assert_eq!(judge(&[Case { deviation: -5.0, ..UNUSUAL }], &below), [true]);
        assert_eq!(judge(&[UNUSUAL], &large), [false]);
    }

    #[test]
    fn a_run_opens_by_majority_and_goes_on_by_score() {
        let alone = Case { has_majority: false, ..UNUSUAL };
        assert_eq!(
            judge(&[alone, UNUSUAL, alone, USUAL, alone], &Settings::default()),
            [false, true, true, false, true]
        );
        let mut cases = vec![UNUSUAL];
        cases.extend([USUAL; CALM_SAMPLES as usize]);
        cases.push(alone);
        assert_eq!(judge(&cases, &Settings::default()).last(), Some(&false));
    }

    #[test]
    fn persistence_asks_for_several_in_a_row() {
        let settings = Settings { persistence: 3, ..Settings::default() };
        assert_eq!(judge(&[UNUSUAL, UNUSUAL, USUAL], &settings), [false; 3]);
        assert_eq!(judge(&[UNUSUAL, UNUSUAL, UNUSUAL], &settings), [false, false, true]);
    }

    #[test]
    fn the_way_back_is_no_news_and_a_habit_is_none() {
        let back = Case { residual: 0.5, is_usual_in_the_long_run: true, ..UNUSUAL };
        assert_eq!(judge(&[UNUSUAL, back], &Settings::default()), [true, false]);
        assert_eq!(judge(&[back], &Settings::default()), [true]);
        let events: Vec<_> = (0..10).flat_map(|_| [UNUSUAL, USUAL, USUAL, USUAL, USUAL, USUAL]).collect();
        assert_eq!(judge(&events, &Settings::default()).iter().filter(|flag| **flag).count(), 8);
    }

    #[test]
    fn a_shift_that_lasts_is_adopted_once() {
        let mut judge = Judge::default();
        let mut steps = StepClock::default();
        for i in 0..10 {
            steps.observe(i * 60_000);
        }
        let adopted = (0..90).filter(|_| judge.judge(&UNUSUAL, &Settings::default(), &steps).adopt).count();
        assert_eq!(adopted, 1);
    }

    #[test]
    fn what_does_not_teach_becomes_neither_a_level_nor_a_habit() {
        let mut judge = Judge::default();
        let held = Case { teaches: false, ..UNUSUAL };
        let calm = Case { teaches: false, ..USUAL };
        let told = |judge: &mut Judge, case: &Case| judge.judge(case, &Settings::default(), &StepClock::default());
        for _ in 0..12 {
            assert!((0..90).all(|_| told(&mut judge, &held).is_anomaly));
            (0..CALM_SAMPLES).for_each(|_| _ = told(&mut judge, &calm));
        }
        told(&mut judge, &held);
        judge.go_on();
        assert_eq!((judge.is_open(), judge.habit_bytes()), (false, 0));
        assert!(told(&mut judge, &UNUSUAL).opens);
    }

    #[test]
    fn for_a_day_after_a_level_a_season_may_be_off_by_as_much() {
        let told = |minutes: i64, residual: f64, has_season: bool| {
            let mut judge = Judge::default();
            judge.adopt(0, 100.0);
            let case = Case { time_ms: minutes * 60_000, residual, deviation: residual, has_season, ..UNUSUAL };
            judge.judge(&case, &Settings::default(), &StepClock::default()).is_anomaly
        };
        assert!(!told(600, 90.0, true) && !told(600, -90.0, true));
        assert!(told(600, 110.0, true) && told(600, 90.0, false) && told(1500, 90.0, true));
    }

    #[test]
    fn the_budget_follows_the_step() {
        let log_tail = Settings::default().budget_log_tail(60_000.0);
        assert!((log_tail - 43_200f64.log10()).abs() < 1e-9, "{log_tail}");
    }
}
