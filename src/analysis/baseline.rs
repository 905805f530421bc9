//! What a series usually is at a time: its level alone, or a level and the shape of its day or week.
//!
//! Three predictors run side by side and the one with the smallest mean absolute error on samples it had not seen yet is
//! believed (prequential choice, Dawid 1984); a season has to earn its place by a clear margin.
//!
//! Not here: how far a value may stray (see `detect`). Slots are in UTC.
//!
//! Invariant: values are kept relative to the first one, so an offset common to all changes nothing.
//!
//! Cost: two cells of the profile, some 40 flops; 2.6 KiB once a day's samples may be learned.

use super::array;
use super::prepare::StepClock;
use serde::{Deserialize, Serialize};

pub(crate) const DAY_MS: i64 = 86_400_000;
const DAY_SLOTS: usize = 96;
const DAY_SLOT_MS: i64 = DAY_MS / DAY_SLOTS as i64;
const WEEK_SLOTS: usize = 336;
const WEEK_SLOT_MS: i64 = 7 * DAY_MS / WEEK_SLOTS as i64;
/// 1970 began on a Thursday; weeks begin on Mondays.
const THURSDAY_MS: i64 = 3 * DAY_MS;

/// Samples a slot remembers, in visits: a day's slot about a week, a week's slot about a month.
const DAY_VISITS: f64 = 7.0;
const WEEK_VISITS: f64 = 4.0;

/// Share of the error without a season that one with a season may have at most, to be believed: a profile of pure
/// noise does worse than the level, by one part in twice its visits, so a fifth less error is no luck.
const DAY_ERROR_SHARE: f64 = 0.8;
/// The same for a week against a day.
const WEEK_ERROR_SHARE: f64 = 0.9;

/// Days seen before a week's season may be believed: each of its slots was visited twice.
const WEEK_DAYS_MIN: f64 = 14.0;

/// Fewest samples a day's level is an average of, and most.
const LEVEL_SAMPLES: (f64, f64) = (256.0, 4096.0);

/// Beyond this many mean absolute errors a value moves the level no further than one at that distance.
const CLIP_ERRORS: f64 = 5.0;

/// The season believed, and the slot a time lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    /// Every day alike: quarter hours since midnight UTC.
    Day(u16),
    /// Every week alike: half hours since Monday 00:00 UTC.
    Week(u16),
}

/// How far a series' model has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Less than a day was seen: what looks unusual may be another time of day.
    Warming,
    /// A day was seen, and daily seasons are being learned.
    Daily,
    /// A week was seen, and weekly seasons are being learned.
    Weekly,
    /// Every season could have been found.
    Ready,
}

impl Stage {
    /// The word for it: warming, daily, weekly or ready.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warming => "warming",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Ready => "ready",
        }
    }
}

/// A season that is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundSeason {
    /// Length of its period in seconds.
    pub period_s: u32,
    /// Share of the error without a season that it takes away, 0..=1.
    pub strength: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Shape {
    Flat,
    Day,
    Week,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Profile {
    #[serde(with = "array")]
    day: [f32; DAY_SLOTS],
    #[serde(with = "array")]
    day_samples: [u16; DAY_SLOTS],
    #[serde(with = "array")]
    week: [f32; WEEK_SLOTS],
    #[serde(with = "array")]
    week_samples: [u16; WEEK_SLOTS],
}

/// Learns level and season.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Baseline {
    anchor: f64,
    first_ms: i64,
    samples: u32,
    shape: Shape,
    levels: [f64; 3],
    errors: [f64; 3],
    error_samples: f64,
    knows_a_day: bool,
    week_measured: bool,
    profile: Option<Box<Profile>>,
}

/// What was expected, and of which season.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectation {
    /// In the unit of the values.
    pub(crate) value: f64,
    /// The season it came from.
    pub(crate) season: Option<Season>,
}

impl Baseline {
    /// Before the second sample.
    pub(crate) fn new(time_ms: i64, value: f64) -> Self {
        Self {
            anchor: value,
            first_ms: time_ms,
            samples: 0,
            shape: Shape::Flat,
            levels: [0.0; 3],
            errors: [0.0; 3],
            error_samples: 0.0,
            knows_a_day: false,
            week_measured: false,
            profile: None,
        }
    }

    /// What is usual at a time.
    pub(crate) fn expect(&self, time_ms: i64) -> Expectation {
        let season = match self.shape {
            Shape::Flat => None,
            Shape::Day => Some(Season::Day(day_slot(time_ms) as u16)),
            Shape::Week => Some(Season::Week(week_slot(time_ms) as u16)),
        };
        Expectation { value: self.anchor + self.predictions(time_ms)[self.shape as usize], season }
    }

    /// Mean absolute error of what is believed; 0 until a day is known.
    pub(crate) fn error(&self) -> f64 {
        self.errors[self.shape as usize]
    }

    /// Samples learned.
    pub(crate) fn samples(&self) -> u32 {
        self.samples
    }

    /// How far learning has come by the time of the last sample.
    pub(crate) fn stage(&self, last_ms: i64) -> Stage {
        match self.days(last_ms) {
            days if days < 1.0 => Stage::Warming,
            days if days < 7.0 => Stage::Daily,
            days if days < WEEK_DAYS_MIN => Stage::Weekly,
            _ => Stage::Ready,
        }
    }

    fn days(&self, time_ms: i64) -> f64 {
        time_ms.saturating_sub(self.first_ms) as f64 / DAY_MS as f64
    }

    /// The seasons believed; a week's contains a day's where that helps too.
    pub(crate) fn seasons(&self) -> impl Iterator<Item = FoundSeason> {
        let [flat, day, week] = self.errors;
        let of = |shape: Shape, period_ms: i64, error: f64| {
            let is_believed = self.shape == shape || self.shape == Shape::Week && error < DAY_ERROR_SHARE * flat;
            let strength = if flat > 0.0 { (1.0 - error / flat).clamp(0.0, 1.0) } else { 0.0 };
            is_believed.then_some(FoundSeason { period_s: (period_ms / 1000) as u32, strength })
        };
        [of(Shape::Day, DAY_MS, day), of(Shape::Week, 7 * DAY_MS, week)].into_iter().flatten()
    }

    /// Whether a whole day was seen, so that a value outside what was seen is not just another time of day.
    pub(crate) fn knows_a_day(&self) -> bool {
        self.knows_a_day
    }

    /// Takes the next value; tells whether another season is believed from now on.
    pub(crate) fn learn(&mut self, time_ms: i64, value: f64, steps: &StepClock) -> bool {
        let value = value - self.anchor;
        let per_day = (DAY_MS as f64 / steps.step_ms()).max(1.0);
        self.samples = self.samples.saturating_add(1);
        let predictions = self.predictions(time_ms);
        let changed = self.compare(time_ms, value, predictions, per_day);
        let window = per_day.clamp(LEVEL_SAMPLES.0, LEVEL_SAMPLES.1);
        let weight = (1.0 / f64::from(self.samples)).max(1.0 / window);
        let clip = if self.error() > 0.0 { CLIP_ERRORS * self.error() } else { f64::INFINITY };
        let profile = self.profile.get_or_insert_with(Profile::boxed);
        let (day, week) = (day_slot(time_ms), week_slot(time_ms));
        // A slot never visited says nothing of the level: all of the value is the slot's own.
        let is_known = [true, profile.day_samples[day] > 0, profile.week_samples[week] > 0];
        for ((level, predicted), is_known) in self.levels.iter_mut().zip(predictions).zip(is_known) {
            if is_known {
                *level += weight * (value - predicted).clamp(-clip, clip);
            }
        }
        let levels = self.levels;
        let day_max = DAY_VISITS * (per_day / DAY_SLOTS as f64).max(1.0);
        let week_max = WEEK_VISITS * (per_day * 7.0 / WEEK_SLOTS as f64).max(1.0);
        learn_cell(&mut profile.day[day], &mut profile.day_samples[day], value - levels[1], day_max);
        learn_cell(&mut profile.week[week], &mut profile.week_samples[week], value - levels[2], week_max);
        changed
    }

    /// Takes a lasting shift as the new level.
    pub(crate) fn shift(&mut self, by: f64) {
        self.levels.iter_mut().for_each(|level| *level += by);
    }

    /// Of a flat line, of the day and of the week, relative to the anchor.
    fn predictions(&self, time_ms: i64) -> [f64; 3] {
        let [flat, day_level, week_level] = self.levels;
        let Some(profile) = &self.profile else { return [flat, day_level, week_level] };
        let day = f64::from(profile.day[day_slot(time_ms)]);
        let slot = week_slot(time_ms);
        let week = if profile.week_samples[slot] > 0 { f64::from(profile.week[slot]) } else { day };
        [flat, day_level + day, week_level + week]
    }

    /// Measures the three predictors on a value none has seen, and believes the best that has proved itself.
    fn compare(&mut self, time_ms: i64, value: f64, predictions: [f64; 3], per_day: f64) -> bool {
        let days = self.days(time_ms);
        if days < 1.0 {
            return false;
        }
        self.knows_a_day = true;
        if days >= 7.0 && !self.week_measured {
            // From here on the week's profile predicts, so all three are measured anew, on the same samples.
            (self.week_measured, self.error_samples) = (true, 0.0);
        }
        self.error_samples += 1.0;
        let weight = (1.0 / self.error_samples).max(1.0 / (7.0 * per_day));
        for (error, predicted) in self.errors.iter_mut().zip(predictions) {
            *error += weight * ((value - predicted).abs() - *error);
        }
        if self.week_measured && self.error_samples < per_day {
            return false;
        }
        let [flat, day, week] = self.errors;
        let before = self.shape;
        self.shape = match () {
            () if days >= WEEK_DAYS_MIN && week < WEEK_ERROR_SHARE * day && week < DAY_ERROR_SHARE * flat => {
                Shape::Week
            }
            () if days >= 2.0 && day < DAY_ERROR_SHARE * flat => Shape::Day,
            // A season once believed stays until it is no better than none: no flutter at the margin.
            () if before != Shape::Flat && self.error() < flat => before,
            () => Shape::Flat,
        };
        before != self.shape
    }
}

impl Profile {
    fn boxed() -> Box<Self> {
        Box::new(Self {
            day: [0.0; DAY_SLOTS],
            day_samples: [0; DAY_SLOTS],
            week: [0.0; WEEK_SLOTS],
            week_samples: [0; WEEK_SLOTS],
        })
    }

    const BYTES: usize = size_of::<Self>();
}

/// Bytes a baseline holds outside of itself, at most.
pub(crate) const PROFILE_BYTES: usize = Profile::BYTES;

fn learn_cell(cell: &mut f32, samples: &mut u16, value: f64, samples_max: f64) {
    *samples = samples.saturating_add(1);
    let weight = (1.0 / f64::from(*samples)).max(1.0 / samples_max);
    *cell += (weight * (value - f64::from(*cell))) as f32;
}

fn day_slot(time_ms: i64) -> usize {
    (time_ms.rem_euclid(DAY_MS) / DAY_SLOT_MS) as usize
}

fn week_slot(time_ms: i64) -> usize {
    (time_ms.wrapping_add(THURSDAY_MS).rem_euclid(7 * DAY_MS) / WEEK_SLOT_MS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Hourly values of some days, learned.
    fn learned(days: i64, value: impl Fn(i64) -> f64) -> Baseline {
        let mut steps = StepClock::default();
        let mut baseline = Baseline::new(0, value(0));
        for hour in 0..days * 24 {
            steps.observe(hour * HOUR_MS);
            baseline.learn(hour * HOUR_MS, value(hour), &steps);
        }
        baseline
    }

    fn noise(hour: i64) -> f64 {
        ((hour as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24) - 0.5
    }

    #[test]
    fn a_day_is_found_within_three_and_told_with_its_slot() {
        let baseline = learned(4, |hour| if hour % 24 < 8 { 10.0 } else { 50.0 } + noise(hour));
        let night = baseline.expect(10 * DAY_MS + 3 * HOUR_MS);
        assert!((night.value - 10.0).abs() < 2.0, "{night:?}");
        assert_eq!(night.season, Some(Season::Day(12)));
    }

    #[test]
    fn a_week_is_found_where_weekends_differ() {
        let baseline = learned(28, |hour| if (hour / 24 + 3) % 7 < 5 { 100.0 } else { 10.0 } + noise(hour));
        // 1970-01-03 was a Saturday.
        let saturday = baseline.expect(30 * DAY_MS);
        assert!((saturday.value - 10.0).abs() < 5.0, "{saturday:?}");
        assert_eq!(saturday.season, Some(Season::Week(5 * 48)));
    }

    #[test]
    fn noise_has_no_season() {
        assert_eq!(learned(28, noise).shape, Shape::Flat);
    }

    #[test]
    fn a_shift_moves_every_expectation() {
        let mut baseline = learned(3, |_| 5.0);
        baseline.shift(2.0);
        assert_eq!(baseline.expect(0).value, 7.0);
    }
}
