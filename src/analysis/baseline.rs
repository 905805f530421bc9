//! What a series usually is at a time: its level alone, or a level and the shape of its day or week.
//!
//! Three predictors run side by side and the one with the smallest mean absolute error on samples it had not seen yet is
//! believed (prequential choice, Dawid 1984); a season has to earn its place by a clear margin.
//!
//! Not here: how far a value may stray (see `detect`), slots (see `profile`), other seasons (see `rhythm`). Days and weeks
//! are those of the clock that a caller reads.
//!
//! Invariant: values are kept relative to the first one, so an offset common to all changes nothing.
//!
//! Cost: two cells of the profiles, some 40 flops; 384 B for a day after two hours, 1.4 KiB for a week where a season is
//! believed or still may be.

use super::profile::{DayProfile, Lesson, WeekProfile};
use super::rhythm::{Beat, Learned, RHYTHM_SLOTS, Rhythm};
use super::season::{FoundSeason, Season, Stage};
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

/// Days a week's profile must have predicted before it may be believed, for a clear gain and for a small one.
const WEEK_PROOF_DAYS: (i64, i64) = (2, 5);
/// The clear gain.
const WEEK_EARLY_SHARE: f64 = 0.7;

/// Days after which every season could have been found.
const READY_DAYS: f64 = 14.0;

/// Time a series is watched before it gets a profile of the day: what comes and goes within it has no season.
const DAY_PROFILE_AFTER_MS: i64 = 2 * 3_600_000;

/// When a series without a season is looked at again.
const RHYTHM_REST_MS: i64 = 28 * DAY_MS;
/// Time in which a day must have proved itself before another period is looked for.
const RHYTHM_AFTER_MS: i64 = 2 * DAY_MS;

/// Time in which a week's profile must have proved itself, or it is given back for as long.
const WEEK_TRIAL_MS: i64 = 28 * DAY_MS;

/// Fewest samples a day's level is an average of, and most.
const LEVEL_SAMPLES: (f64, f64) = (256.0, 4096.0);

/// Beyond this many mean absolute errors a value moves the level no further than one at that distance.
const CLIP_ERRORS: f64 = 5.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Shape {
    Flat,
    Day,
    Week,
}

/// Learns level and season.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Baseline {
    anchor: f64,
    first_ms: i64,
    /// Since when the week is being learned, or from when it will be.
    week_ms: i64,
    /// Looked for again on this day since 1970 where there is none.
    rhythm: Option<Box<Rhythm>>,
    rhythm_day: u16,
    /// What the cells of day and week count in.
    units: [f32; 2],
    samples: u32,
    shape: Shape,
    knows_a_day: bool,
    week_measured: bool,
    levels: [f64; 3],
    errors: [f32; 3],
    error_samples: u16,
    day: Option<Box<DayProfile>>,
    week: Option<Box<WeekProfile>>,
}

/// A moment by two clocks: days and weeks are people's, other seasons are none of theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Milliseconds since 1970 UTC.
    pub(crate) time_ms: i64,
    /// The same as a clock on the wall shows it.
    pub(crate) local_ms: i64,
    /// Whether it shows it for the second time, as it was set back.
    pub(crate) is_repeated: bool,
}

impl Moment {
    /// Where clocks show UTC.
    #[cfg(test)]
    pub(crate) fn utc(time_ms: i64) -> Self {
        Self { time_ms, local_ms: time_ms, is_repeated: false }
    }
}

/// What was expected, and of which season.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectation {
    /// In the unit of the values.
    pub(crate) value: f64,
    /// The season it came from.
    pub(crate) season: Option<Season>,
    /// Of a flat line, of the day and of the week, relative to the anchor.
    predictions: [f64; 3],
    day_slot: usize,
    week_slot: usize,
}

impl Expectation {
    /// Hour of the day, or twenty-fourth of another period, if a season is believed.
    pub(crate) fn season_hour(&self) -> Option<usize> {
        match self.season? {
            Season::Day(_) | Season::Week(_) => Some(self.day_slot / (DAY_SLOTS / 24)),
            Season::Rhythm { slot, .. } => Some(usize::from(slot) * 24 / RHYTHM_SLOTS),
        }
    }
}

impl Baseline {
    /// Before the second sample.
    pub(crate) fn new(moment: Moment, value: f64) -> Self {
        Self {
            anchor: value,
            first_ms: moment.local_ms,
            week_ms: moment.local_ms,
            rhythm: None,
            rhythm_day: day_number(moment.time_ms.saturating_add(RHYTHM_AFTER_MS)),
            units: [0.0; 2],
            samples: 0,
            shape: Shape::Flat,
            knows_a_day: false,
            week_measured: false,
            levels: [0.0; 3],
            errors: [0.0; 3],
            error_samples: 0,
            day: None,
            week: None,
        }
    }

    /// What is usual at a time.
    #[inline]
    pub(crate) fn expect(&self, moment: Moment) -> Expectation {
        let (day_slot, week_slot) = (day_slot(moment.local_ms), week_slot(moment.local_ms));
        let [flat, day_level, week_level] = self.levels;
        let [day_unit, week_unit] = self.units;
        let day = day_level + self.day.as_ref().map_or(0.0, |profile| profile.at(day_slot, day_unit).0);
        let week = self.week.as_ref().map(|profile| profile.at(week_slot, week_unit));
        let week = week.filter(|(_, samples)| *samples > 0).map_or(day, |(cell, _)| week_level + cell);
        let predictions = [flat, day, week];
        let (season, predicted) = match self.shape {
            Shape::Flat => match self.rhythm.as_ref().and_then(|rhythm| rhythm.beat(moment.time_ms)) {
                Some(Beat { value, slot, period_s }) => (Some(Season::Rhythm { slot, period_s }), flat + value),
                None => (None, flat),
            },
            Shape::Day => (Some(Season::Day(day_slot as u16)), day),
            Shape::Week => (Some(Season::Week(week_slot as u16)), week),
        };
        Expectation { value: self.anchor + predicted, season, predictions, day_slot, week_slot }
    }

    /// Reads what a sample of this time by the local clock will need: see [`super::SeriesModel::touch`].
    #[inline]
    pub(crate) fn touch(&self, local_ms: i64) -> u64 {
        let day = self.day.as_ref().map_or(0, |profile| profile.at(day_slot(local_ms), 0.0).1);
        let week = self.week.as_ref().map_or(0, |profile| profile.at(week_slot(local_ms), 0.0).1);
        self.levels[0].to_bits().wrapping_add(u64::from(day)).wrapping_add(u64::from(week))
    }

    /// Mean absolute error of what is believed; 0 until a day is known.
    pub(crate) fn error(&self) -> f64 {
        let believed =
            if self.shape == Shape::Flat { self.rhythm.as_ref().and_then(|rhythm| rhythm.believed()) } else { None };
        f64::from(believed.map_or(self.errors[self.shape as usize], |(_, error, _)| error))
    }

    /// The level all times of day have in common.
    pub(crate) fn flat_level(&self) -> f64 {
        self.anchor + self.levels[0]
    }

    /// Mean absolute error of that level; 0 until a day is known.
    pub(crate) fn flat_error(&self) -> f64 {
        f64::from(self.errors[0])
    }

    /// Bytes it holds outside of itself now.
    pub(crate) fn profile_bytes(&self) -> usize {
        let day = self.day.as_ref().map_or(0, |_| size_of::<DayProfile>());
        day + self.week.as_ref().map_or(0, |_| size_of::<WeekProfile>())
            + self.rhythm.as_ref().map_or(0, |_| size_of::<Rhythm>())
    }

    /// Samples learned.
    pub(crate) fn samples(&self) -> u32 {
        self.samples
    }

    /// How far learning has come by the time of the last sample, by the local clock.
    pub(crate) fn stage(&self, local_ms: i64) -> Stage {
        match self.days(local_ms) {
            days if days < 1.0 => Stage::Warming,
            days if days < 7.0 => Stage::Daily,
            days if days < READY_DAYS => Stage::Weekly,
            _ => Stage::Ready,
        }
    }

    fn days(&self, time_ms: i64) -> f64 {
        time_ms.saturating_sub(self.first_ms) as f64 / DAY_MS as f64
    }

    /// The seasons believed; a week's contains a day's where that helps too.
    pub(crate) fn seasons(&self) -> impl Iterator<Item = FoundSeason> {
        let [flat, day, week] = self.errors.map(f64::from);
        let of = |shape: Shape, period_ms: i64, error: f64| {
            let is_believed = self.shape == shape || self.shape == Shape::Week && error < DAY_ERROR_SHARE * flat;
            let strength = if flat > 0.0 { (1.0 - error / flat).clamp(0.0, 1.0) } else { 0.0 };
            is_believed.then_some(FoundSeason { period_s: (period_ms / 1000) as u32, strength })
        };
        let rhythm =
            if self.shape == Shape::Flat { self.rhythm.as_ref().and_then(|rhythm| rhythm.believed()) } else { None };
        let rhythm = rhythm.map(|(period_s, error, flat)| {
            let strength = if flat > 0.0 { (1.0 - f64::from(error / flat)).clamp(0.0, 1.0) } else { 0.0 };
            FoundSeason { period_s, strength }
        });
        [of(Shape::Day, DAY_MS, day), of(Shape::Week, 7 * DAY_MS, week), rhythm].into_iter().flatten()
    }

    /// Whether a whole day was seen, so that a value outside what was seen is not just another time of day.
    pub(crate) fn knows_a_day(&self) -> bool {
        self.knows_a_day
    }

    /// Takes the next value, what was expected of it, and what it is to be learned as where it is anomalous; tells
    /// whether another season is believed from now on. A day has `per_day` samples.
    #[inline]
    pub(crate) fn learn(
        &mut self,
        moment: Moment,
        (value, learned): (f64, f64),
        expectation: &Expectation,
        per_day: f64,
    ) -> bool {
        let (value, learned) = (value - self.anchor, learned - self.anchor);
        self.samples = self.samples.saturating_add(1);
        self.furnish(moment);
        let mut changed = self.compare(moment.local_ms, learned, &expectation.predictions, per_day);
        if let Some(rhythm) = &mut self.rhythm {
            let away = learned - expectation.predictions[0];
            match rhythm.learn(moment.time_ms, away, DAY_MS as f64 / per_day) {
                Learned::GoesOn => {}
                Learned::Changed => changed = true,
                Learned::Ended => (self.rhythm, self.rhythm_day) = (None, day_number(moment.time_ms + RHYTHM_REST_MS)),
            }
        } else if self.shape == Shape::Flat && day_number(moment.time_ms) >= self.rhythm_day {
            self.rhythm = Some(Box::new(Rhythm::sought(moment.time_ms, DAY_MS as f64 / per_day)));
        }
        let window = per_day.clamp(LEVEL_SAMPLES.0, LEVEL_SAMPLES.1);
        let weight = 1.0 / f64::from(self.samples).min(window);
        let clip = if self.error() > 0.0 { CLIP_ERRORS * self.error() } else { f64::INFINITY };
        // A slot never visited says nothing of the level: all of the value is the slot's own.
        let knows_day = self.day.as_ref().is_none_or(|profile| profile.at(expectation.day_slot, 0.0).1 > 0);
        let knows_week = self.week.as_ref().is_none_or(|profile| profile.at(expectation.week_slot, 0.0).1 > 0);
        for at in 0..3 {
            if [true, knows_day, knows_week][at] {
                self.levels[at] += weight * (learned - expectation.predictions[at]).clamp(-clip, clip);
            }
        }
        // The hour that is had twice teaches once.
        if !moment.is_repeated {
            self.learn_slots(moment.local_ms, (value, learned), expectation, per_day);
        }
        changed
    }

    /// Learns the slots of the day and of the week. A value far off is learned only as far as `learned` says, unless it
    /// is the season.
    fn learn_slots(&mut self, local_ms: i64, (value, learned): (f64, f64), expectation: &Expectation, per_day: f64) {
        let [_, day_level, week_level] = self.levels;
        if let Some(profile) = &mut self.day {
            let visits = DAY_VISITS * (per_day / DAY_SLOTS as f64).max(1.0);
            let day = || local_ms.div_euclid(DAY_MS);
            let lesson = Lesson { value, learned, level: day_level, visits };
            profile.learn(expectation.day_slot, &lesson, &mut self.units[0], day);
        }
        if let Some(profile) = &mut self.week {
            let visits = WEEK_VISITS * (per_day * 7.0 / WEEK_SLOTS as f64).max(1.0);
            let week = || local_ms.wrapping_add(THURSDAY_MS).div_euclid(7 * DAY_MS);
            let lesson = Lesson { value, learned, level: week_level, visits };
            profile.learn(expectation.week_slot, &lesson, &mut self.units[1], week);
        }
    }

    /// Makes room for what may be learned from now on, and gives back what proved useless: a series that comes and goes
    /// takes no profile, one without a season none of a week.
    fn furnish(&mut self, moment: Moment) {
        let time_ms = moment.local_ms;
        let since = |start_ms: i64| time_ms.saturating_sub(start_ms);
        if self.day.is_none() && since(self.first_ms) >= DAY_PROFILE_AFTER_MS {
            self.day = Some(Box::default());
        }
        let wants_week = self.shape != Shape::Flat || since(self.first_ms) >= 7 * DAY_MS;
        if self.week.is_none() && wants_week && since(self.week_ms) >= 0 {
            (self.week, self.units[1]) = (Some(Box::default()), 0.0);
            (self.week_ms, self.week_measured) = (time_ms, false);
        } else if self.shape == Shape::Flat && self.week.is_some() && since(self.week_ms) >= WEEK_TRIAL_MS {
            self.week = None;
            (self.week_ms, self.week_measured) = (time_ms.saturating_add(WEEK_TRIAL_MS), false);
        }
        if self.shape != Shape::Flat && self.rhythm.is_some() {
            (self.rhythm, self.rhythm_day) = (None, day_number(moment.time_ms + RHYTHM_REST_MS));
        }
    }

    /// Value less what the series began with.
    pub(crate) fn relative(&self, value: f64) -> f64 {
        value - self.anchor
    }

    /// How far a value is from each of the three predictions.
    pub(crate) fn away(&self, moment: Moment, value: f64) -> [f64; 3] {
        self.expect(moment).predictions.map(|predicted| value - self.anchor - predicted)
    }

    /// Moves the three levels, each by its own distance; how far what is believed moved.
    pub(crate) fn move_levels(&mut self, by: [f64; 3]) -> f64 {
        self.levels.iter_mut().zip(by).for_each(|(level, by)| *level += by);
        by[self.shape as usize]
    }

    /// Takes a lasting shift as the new level.
    pub(crate) fn shift(&mut self, by: f64) {
        self.levels.iter_mut().for_each(|level| *level += by);
    }

    /// Measures the three predictors on a value none has seen, and believes the best that has proved itself.
    fn compare(&mut self, time_ms: i64, value: f64, predictions: &[f64; 3], per_day: f64) -> bool {
        let passed_ms = time_ms.saturating_sub(self.first_ms);
        if passed_ms < DAY_MS {
            return false;
        }
        self.knows_a_day = true;
        let week_passed_ms = time_ms.saturating_sub(self.week_ms);
        if self.week.is_some() && week_passed_ms >= 7 * DAY_MS && !self.week_measured {
            // From here on the week's profile predicts, so all three are measured anew, on the same samples.
            (self.week_measured, self.error_samples) = (true, 0);
        }
        self.error_samples = self.error_samples.saturating_add(1);
        let weight = 1.0 / f32::from(self.error_samples).min(7.0 * per_day as f32);
        for (error, predicted) in self.errors.iter_mut().zip(predictions) {
            *error += weight * ((value - predicted).abs() as f32 - *error);
        }
        if self.week_measured && f64::from(self.error_samples) < per_day.min(f64::from(u16::MAX)) {
            return false;
        }
        let [flat, day, week] = self.errors.map(f64::from);
        let week_share = match week_passed_ms / DAY_MS - 7 {
            measured if !self.week_measured || measured < WEEK_PROOF_DAYS.0 => 0.0,
            measured if measured < WEEK_PROOF_DAYS.1 => WEEK_EARLY_SHARE,
            _ => WEEK_ERROR_SHARE,
        };
        let before = self.shape;
        self.shape = match () {
            () if week < week_share * day && week < DAY_ERROR_SHARE * flat => Shape::Week,
            () if passed_ms >= 2 * DAY_MS && day < DAY_ERROR_SHARE * flat => Shape::Day,
            // A season once believed stays until it is no better than none: no flutter at the margin.
            () if before != Shape::Flat && self.error() < flat => before,
            () => Shape::Flat,
        };
        before != self.shape
    }
}

/// Bytes a baseline holds outside of itself, at most.
pub(crate) const PROFILE_BYTES: usize = size_of::<DayProfile>() + size_of::<WeekProfile>() + size_of::<Rhythm>();

/// Days since 1970, which fit until 2149.
fn day_number(time_ms: i64) -> u16 {
    time_ms.div_euclid(DAY_MS).clamp(0, i64::from(u16::MAX)) as u16
}

fn day_slot(time_ms: i64) -> usize {
    (time_ms.rem_euclid(DAY_MS) / DAY_SLOT_MS) as usize
}

fn week_slot(time_ms: i64) -> usize {
    (time_ms.wrapping_add(THURSDAY_MS).rem_euclid(7 * DAY_MS) / WEEK_SLOT_MS) as usize
}

#[cfg(test)]
mod tests {
    use super::super::prepare::StepClock;
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Hourly values of some days, learned.
    fn learned(days: i64, value: impl Fn(i64) -> f64) -> Baseline {
        let mut steps = StepClock::default();
        let mut baseline = Baseline::new(Moment::utc(0), value(0));
        for hour in 0..days * 24 {
            steps.observe(hour * HOUR_MS);
            let moment = Moment::utc(hour * HOUR_MS);
            let expectation = baseline.expect(moment);
            let per_day = DAY_MS as f64 / steps.step_ms();
            baseline.learn(moment, (value(hour), value(hour)), &expectation, per_day);
        }
        baseline
    }

    fn noise(hour: i64) -> f64 {
        ((hour as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24) - 0.5
    }

    #[test]
    fn a_day_is_found_within_three_and_told_with_its_slot() {
        let baseline = learned(4, |hour| if hour % 24 < 8 { 10.0 } else { 50.0 } + noise(hour));
        let night = baseline.expect(Moment::utc(10 * DAY_MS + 3 * HOUR_MS));
        assert!((night.value - 10.0).abs() < 2.0, "{night:?}");
        assert_eq!(night.season, Some(Season::Day(12)));
    }

    #[test]
    fn a_week_is_found_where_weekends_differ() {
        let baseline = learned(28, |hour| if (hour / 24 + 3) % 7 < 5 { 100.0 } else { 10.0 } + noise(hour));
        // 1970-01-03 was a Saturday.
        let saturday = baseline.expect(Moment::utc(30 * DAY_MS));
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
        assert_eq!(baseline.expect(Moment::utc(0)).value, 7.0);
    }
}
