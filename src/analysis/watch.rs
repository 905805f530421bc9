//! What no single value shows beside the ensemble: a value that stays the same, days that go one way, and zeros where
//! they are rare. The ideas of the detectors `flat_line`, `drift` and `drop_to_zero`, in a tenth of their memory, so that
//! every live series can have them.
//!
//! A zero is judged as a value is and raises an anomaly by itself. A flat line and a drift are told beside the values
//! ([`Notice`]): the samples within them are usual ones.
//!
//! Not here: silence, which no sample can tell (see `shard::silence`); levels that shift within hours (see `detect`).
//!
//! Invariants: O(1) a sample; a flat line is told once, and once more when it ends; a drift is told once, and again only
//! after it has ended.
//!
//! Cost: 48 bytes a series, 40 more from its second day on.

use super::ensemble::score;
use serde::{Deserialize, Serialize};

/// Who finds a zero that is rare.
pub(crate) const DROP_TO_ZERO: &str = "drop_to_zero";

const DAY_MS: i64 = 86_400_000;

/// Zeros are news where they are fewer than this share, of so many samples.
const ZERO_SHARE: f32 = 0.01;
const ZERO_MEMORY: f32 = 4096.0;
/// How far from zero the series must lie, in its own mean deviations, and how fast these follow.
const ZERO_DISTANCE: f32 = 3.0;
const ZERO_PACE: f32 = 1.0 / 64.0;

/// -log10 of the chance at which a value that stays is a flat line.
const FLAT_LOG_CHANCE: f32 = 6.0;
/// Equal values that are a line at all, steps from which it is known how often the value stays, and steps remembered.
const FLAT_RUN_MIN: u16 = 10;
const FLAT_STEPS: (f32, f32) = (50.0, 4096.0);
/// How much longer than the longest run of late a run must be, and what is left of that with each run.
const FLAT_CUSTOM: f32 = 2.0;
const FLAT_FADE: f32 = 0.99;
/// A flat line shorter than this is none that people ask for.
const FLAT_MS_MIN: i64 = 600_000;

/// How fast the longest gap is forgotten, a sample.
const GAP_FADE: f32 = 1.0 - 1.0 / 4096.0;

/// Days of a line, and its slope in standard errors: see `detectors::SlowDrift`.
const DRIFT_DAYS: (usize, usize) = (5, 7);
const DRIFT_ERRORS: f32 = 25.0;
/// Samples without which a day has no mean.
const DAY_SAMPLES_MIN: u32 = 4;

/// What is told of a series beside its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Notice {
    /// The value stays the same for longer than chance and custom explain.
    Flat {
        /// Since when, milliseconds since 1970 UTC.
        since_ms: i64,
        /// The sample that tells it.
        now_ms: i64,
        /// What the value is.
        value: f64,
        /// 0.6..1.
        score: f64,
    },
    /// The value has moved again.
    Moved {
        /// Since when it had stood still.
        since_ms: i64,
        /// When it was last the same.
        last_ms: i64,
    },
    /// The means of the last days went one way, each by about as much.
    Drift {
        /// When the first of these days began.
        since_ms: i64,
        /// The first sample after them.
        now_ms: i64,
        /// Mean of the last day.
        value: f64,
        /// Mean of the first day.
        first: f64,
        /// By how much a day.
        per_day: f64,
        /// How many days.
        days: u32,
        /// 0.6..1.
        score: f64,
    },
}

/// Watches one series.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// Mean and mean deviation of what is not zero, and the share of zeros.
    mean: f32,
    deviation: f32,
    zeros: f32,
    samples: u32,
    /// Equal values in a row, and those of them that count as usual.
    run: u16,
    usual_run: u16,
    stayed: f32,
    steps: f32,
    longest: f32,
    is_flat: bool,
    /// The longest time without a sample, forgotten slowly.
    gap_ms: f32,
    /// Of the day so far, relative to what the series began with.
    day_mean: f32,
    day_samples: u32,
    days: Option<Box<Days>>,
}

/// Means of the last whole days.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Days {
    means: [f32; DRIFT_DAYS.1],
    count: u8,
    is_told: bool,
    /// Whether the day that goes on was seen from its beginning.
    is_whole: bool,
    number: i32,
}

/// A sample as the watch sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) time_ms: i64,
    pub(crate) value: f64,
    /// Value less what the series began with.
    pub(crate) relative: f64,
    /// Whether it equals the one before.
    pub(crate) stays: bool,
    pub(crate) step_ms: f64,
    pub(crate) passed_ms: i64,
    /// A change that does not matter is none.
    pub(crate) deviation_min: f64,
}

impl Watch {
    /// Bytes held outside of itself now.
    pub(crate) fn days_bytes(&self) -> usize {
        self.days.as_ref().map_or(0, |_| size_of::<Days>())
    }

    /// The longest time without a sample of late, in milliseconds.
    pub(crate) fn longest_gap_ms(&self) -> f32 {
        self.gap_ms
    }

    /// How unusual a zero is, on the scale of all scores; nothing where it is no news.
    #[inline]
    pub(crate) fn zero_score(&self, value: f64) -> Option<f64> {
        if value != 0.0 || self.zeros >= ZERO_SHARE || self.mean.abs() <= ZERO_DISTANCE * self.deviation {
            return None;
        }
        let seen = (self.samples as f32).min(ZERO_MEMORY);
        let share = (self.zeros * seen + 1.0) / (seen + 2.0);
        (share <= ZERO_SHARE).then(|| score(-f64::from(share).log10(), -f64::from(ZERO_SHARE).log10()))
    }

    /// Takes the next sample; what is to be told beside it.
    #[inline]
    pub(crate) fn learn(&mut self, seen: &Seen) -> Option<Notice> {
        self.learn_zero(seen.value);
        let passed_ms = seen.passed_ms as f32;
        self.gap_ms = if passed_ms > self.gap_ms { passed_ms } else { self.gap_ms * GAP_FADE };
        let flat = self.learn_flat(seen);
        let drift = if self.begins_a_day(seen) { self.close_day(seen) } else { None };
        self.day_samples += 1;
        self.day_mean += (seen.relative as f32 - self.day_mean) / self.day_samples as f32;
        drift.or(flat)
    }

    #[inline]
    fn learn_zero(&mut self, value: f64) {
        self.samples = self.samples.saturating_add(1);
        let seen = self.samples as f32;
        let is_zero = value == 0.0;
        self.zeros += (f32::from(u8::from(is_zero)) - self.zeros) / seen.min(ZERO_MEMORY);
        if !is_zero {
            let pace = ZERO_PACE.max(1.0 / seen);
            let away = value as f32 - self.mean;
            // The first value is no deviation from the mean of none.
            self.deviation += if self.mean == 0.0 { 0.0 } else { pace * (away.abs() - self.deviation) };
            self.mean += if self.mean == 0.0 { away } else { pace * away };
        }
    }

    #[inline]
    fn learn_flat(&mut self, seen: &Seen) -> Option<Notice> {
        if !seen.stays {
            return if self.run == 0 && self.steps >= FLAT_STEPS.0 { self.count_move() } else { self.end_run(seen) };
        }
        self.run = self.run.saturating_add(1);
        if self.is_flat {
            return None;
        }
        let is_short = self.run < FLAT_RUN_MIN || f32::from(self.run) <= FLAT_CUSTOM * self.longest;
        // A count at rest stays at zero for as long as it likes.
        if is_short || self.steps < FLAT_STEPS.0 || seen.value == 0.0 && self.zeros >= ZERO_SHARE {
            self.usual_run = self.run;
            return None;
        }
        self.tell_flat(seen)
    }

    #[inline]
    fn count_move(&mut self) -> Option<Notice> {
        self.steps = (self.steps + 1.0).min(FLAT_STEPS.1);
        None
    }

    #[cold]
    fn tell_flat(&mut self, seen: &Seen) -> Option<Notice> {
        let chance = (self.stayed + 1.0) / (self.steps + 2.0);
        let log_chance = -f32::from(self.run) * chance.log10();
        let since_ms = seen.time_ms.saturating_sub((f64::from(self.run) * seen.step_ms) as i64);
        if log_chance < FLAT_LOG_CHANCE || seen.time_ms.saturating_sub(since_ms) < FLAT_MS_MIN {
            self.usual_run = self.run;
            return None;
        }
        self.is_flat = true;
        let score = score(f64::from(log_chance), f64::from(FLAT_LOG_CHANCE));
        Some(Notice::Flat { since_ms, now_ms: seen.time_ms, value: seen.value, score })
    }

    #[cold]
    fn end_run(&mut self, seen: &Seen) -> Option<Notice> {
        let usual = f32::from(self.usual_run);
        (self.stayed, self.steps) = (self.stayed + usual, self.steps + usual + 1.0);
        let kept = (FLAT_STEPS.1 / self.steps).min(1.0);
        (self.stayed, self.steps) = (self.stayed * kept, self.steps * kept);
        self.longest = (self.longest * FLAT_FADE).max(usual);
        let run = std::mem::take(&mut self.run);
        self.usual_run = 0;
        let last_ms = seen.time_ms.saturating_sub(seen.passed_ms);
        let since_ms = last_ms.saturating_sub((f64::from(run) * seen.step_ms) as i64);
        std::mem::take(&mut self.is_flat).then_some(Notice::Moved { since_ms, last_ms })
    }

    /// Whether midnight UTC has passed since the sample before.
    #[inline]
    fn begins_a_day(&self, seen: &Seen) -> bool {
        seen.time_ms.rem_euclid(DAY_MS) < seen.passed_ms && self.samples > 1
    }

    #[cold]
    fn close_day(&mut self, seen: &Seen) -> Option<Notice> {
        let number = seen.time_ms.div_euclid(DAY_MS) as i32;
        let days = self.days.get_or_insert_default();
        let is_next = number == days.number.wrapping_add(1);
        let notice = match is_next && days.is_whole && self.day_samples >= DAY_SAMPLES_MIN {
            true => days.add(self.day_mean, seen),
            false => days.start_anew(),
        };
        // A day whose first sample came long after midnight is none to compare.
        days.is_whole = seen.time_ms.rem_euclid(DAY_MS) < DAY_MS / 24;
        days.number = number;
        (self.day_mean, self.day_samples) = (0.0, 0);
        notice
    }
}

impl Days {
    fn start_anew(&mut self) -> Option<Notice> {
        (self.count, self.is_told) = (0, false);
        None
    }

    /// Adds the mean of a day that is over.
    fn add(&mut self, mean: f32, seen: &Seen) -> Option<Notice> {
        if usize::from(self.count) == DRIFT_DAYS.1 {
            self.means.rotate_left(1);
            self.count -= 1;
        }
        self.means[usize::from(self.count)] = mean;
        self.count += 1;
        let count = usize::from(self.count);
        let lines = (DRIFT_DAYS.0..=count).filter_map(|days| {
            let (per_day, errors) = line(&self.means[count - days..count])?;
            let matters = f64::from(per_day.abs()) * (days - 1) as f64 >= seen.deviation_min;
            (matters && errors >= DRIFT_ERRORS).then_some((errors, per_day, days))
        });
        let Some((errors, per_day, days)) = lines.max_by(|left, right| left.0.total_cmp(&right.0)) else {
            self.is_told = false;
            return None;
        };
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        let absolute = |mean: f32| seen.value - seen.relative + f64::from(mean);
        let midnight_ms = seen.time_ms - seen.time_ms.rem_euclid(DAY_MS);
        Some(Notice::Drift {
            since_ms: midnight_ms - days as i64 * DAY_MS,
            now_ms: seen.time_ms,
            value: absolute(mean),
            first: absolute(self.means[count - days]),
            per_day: f64::from(per_day),
            days: days as u32,
            score: score(f64::from(errors.min(1e6)), f64::from(DRIFT_ERRORS)),
        })
    }
}

/// Slope a day of the line through some days' means, and the same in its standard errors; nothing if a day goes against it.
fn line(means: &[f32]) -> Option<(f32, f32)> {
    let (count, middle) = (means.len() as f32, (means.len() - 1) as f32 / 2.0);
    let mean = means.iter().sum::<f32>() / count;
    let at = |x: usize| x as f32 - middle;
    let spread: f32 = (0..means.len()).map(|x| at(x) * at(x)).sum();
    let slope = means.iter().enumerate().map(|(x, y)| at(x) * (y - mean)).sum::<f32>() / spread;
    if slope == 0.0 || !means.windows(2).all(|pair| (pair[1] - pair[0]) * slope > 0.0) {
        return None;
    }
    let rest: f32 = means.iter().enumerate().map(|(x, y)| (y - mean - slope * at(x)).powi(2)).sum();
    // What means in 32 bits are rounded to.
    let rounding = 1e-6 * means.iter().fold(0.0f32, |greatest, mean| greatest.max(mean.abs()));
    let error = (rest / (count - 2.0) / spread).sqrt().max(rounding).max(f32::MIN_POSITIVE);
    Some((slope, slope.abs() / error))
}

#[cfg(test)]
mod tests {
    use super::super::{SeriesModel, Settings};
    use super::*;

    const STEP_MS: i64 = 300_000;
    const DAY: i64 = 288;

    /// Near enough to a Gaussian of deviation 1, always the same for an index.
    fn gauss(i: i64) -> f64 {
        let mix = |x: u64| (x ^ (x >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (x >> 29);
        let noise =
            |k: i64| (mix((i * 12 + k) as u64 ^ 0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        (0..12).map(noise).sum()
    }

    /// What is told of so many days, with the index of the sample that told it.
    fn told(days: i64, value: impl Fn(i64) -> f64) -> Vec<(i64, Notice)> {
        let mut model = SeriesModel::new(None, Settings::default());
        let mut told = Vec::new();
        for i in 0..days * DAY {
            model.observe(i * STEP_MS, value(i));
            told.extend(model.take_notice().map(|notice| (i, notice)));
        }
        told
    }

    fn rhythm(i: i64) -> f64 {
        10.0 * (std::f64::consts::TAU * i as f64 / DAY as f64).sin()
    }

    /// PROD-014, live: 60 to 75 within a week.
    #[test]
    fn a_creep_is_told_before_its_seventh_day_ends() {
        let found = told(10, |i| 60.0 + 15.0 / 7.0 * i as f64 / DAY as f64 + 2.0 * gauss(i) + rhythm(i));
        let [(at, Notice::Drift { per_day, days, score, first, value, .. })] = found[..] else { panic!("{found:?}") };
        assert!(at / DAY < 7 && days >= 5 && score >= 0.6, "{found:?}");
        assert!((per_day - 15.0 / 7.0).abs() < 0.3 && value > first, "{found:?}");
    }

    /// PROD-026, live: a hundredth a day.
    #[test]
    fn a_hundredth_a_day_is_told_once() {
        let found = told(30, |i| 50.0 * 1.01f64.powf(i as f64 / DAY as f64) + gauss(i));
        assert!(found.len() == 1 && found[0].0 / DAY <= 8, "{found:?}");
    }

    #[test]
    fn noise_rhythms_constants_and_shifts_are_no_news() {
        assert_eq!(told(60, |i| 50.0 + 5.0 * gauss(i) + rhythm(i)), []);
        assert_eq!(told(30, |i| if i < 12 * DAY { 50.0 } else { 90.0 } + gauss(i)), []);
        assert_eq!(told(30, |_| 42.0), []);
        // Mostly zero, as counts of errors are.
        assert_eq!(told(30, |i| f64::from(u8::from(gauss(i) > 1.5))), []);
    }

    #[test]
    fn a_line_after_noise_is_told_when_it_is_one_and_when_it_ends() {
        let found = told(4, |i| if (600..700).contains(&i) { 55.0 } else { 50.0 + gauss(i) });
        let [(told, Notice::Flat { since_ms, value, .. }), (moved, Notice::Moved { last_ms, .. })] = found[..] else {
            panic!("{found:?}")
        };
        assert!((609..620).contains(&told) && moved == 700, "{found:?}");
        assert_eq!((value, last_ms), (55.0, 699 * STEP_MS));
        assert!((since_ms - 600 * STEP_MS).abs() <= 2 * STEP_MS, "{found:?}");
    }

    #[test]
    fn a_zero_is_an_anomaly_where_there_are_hardly_any() {
        let anomalies = |value: &dyn Fn(i64) -> f64| {
            let mut model = SeriesModel::new(None, Settings::default());
            (0..4 * DAY).filter(|i| model.observe(i * STEP_MS, value(*i)).is_anomaly).collect::<Vec<_>>()
        };
        // Within reach of a restless series' noise, which is why nobody else tells it.
        let restless = |i: i64| (40.0 + 12.0 * gauss(i)).max(0.1);
        assert!(anomalies(&|i| if i == 900 { 0.0 } else { restless(i) }).contains(&900));
        assert!(
            !anomalies(&|i| if i % 50 == 0 { 0.0 } else { restless(i) }).iter().any(|i| i % 50 == 0 && *i > 2 * DAY)
        );
    }
}
