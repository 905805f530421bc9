//! Seasons that are neither a day nor a week: looked for in the values of a series that has no other, learned, and believed
//! only once they have proved themselves.
//!
//! What is looked for is a period in 128 means of neighbouring samples, at first of one sample each, then of twice as many,
//! until they reach over four weeks: so every period is looked for where it has eight cells and four cycles. A period that
//! is found gets a profile of its own; where its error on samples it had not seen stays a fifth below that of none it is
//! believed, and where it does not it is given back. One that no longer helps as it did is given back too. What had a rhythm
//! may have another one soon, and not at once: it is then looked for from the shortest periods on again and again, each time
//! twice as far, so that it is found in a time that its length asks for, whenever it begins.
//!
//! Not here: how periods are told from values (see `seasonality`), days and weeks (see `baseline`).
//!
//! Invariants: O(1) a sample but for one look after 64 cells; state is bounded; all follows from the samples alone.
//!
//! Cost: 560 bytes; a look takes some 50 us, at most a dozen times in four weeks, or twice as often where there was one.

use super::array;
use super::seasonality;
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// Means that a period is looked for in.
const CELLS: usize = 128;
/// Fewer of them in a period are no shape.
const CELLS_MIN: i64 = 8;
/// Means that reach over more are not made.
const SPAN_MAX_MS: i64 = 28 * DAY_MS;

/// Slots of a period.
pub(crate) const RHYTHM_SLOTS: usize = 48;
/// Visits a slot remembers.
const VISITS: f32 = 7.0;
/// Periods after which it must have proved itself, and which must have been predicted before it may be believed.
const TRIAL_PERIODS: f64 = 8.0;
const PROOF_PERIODS: f64 = 3.0;
/// Share of the error without it that it may have: as for a day (see `baseline`).
const ERROR_SHARE: f32 = 0.8;
/// How fast the best share it ever had is forgotten, a period.
const BEST_FADE: f32 = 0.01;
/// Periods that errors remember.
const ERROR_PERIODS: f64 = 7.0;
/// Beyond this many errors a value teaches no more than one at that distance.
const CLIP: f32 = 5.0;
/// What is within this of a day or a week is theirs.
const CALENDAR: f64 = 0.02;
/// Periods that people set, in units of which it is the greatest that fits.
const UNITS_MS: [i64; 9] = [3_600_000, 1_800_000, 900_000, 600_000, 300_000, 60_000, 30_000, 10_000, 1000];

/// What is known of a period beside day and week.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "the owner has it in a box of its own, which both fit")]
pub(crate) enum Rhythm {
    /// It is looked for.
    Sought(Sought),
    /// It was found.
    Found(Found),
}

/// What became of it by a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    /// Nothing.
    GoesOn,
    /// Another season is believed from now on, or none.
    Changed,
    /// There is none.
    Ended,
}

/// Means of neighbouring samples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sought {
    cell_ms: i64,
    began_ms: i64,
    sum: f64,
    count: u32,
    filled: u16,
    /// How often cells were joined, and how often they may be before it begins anew; 0 where it does not.
    joined: u8,
    joined_max: u8,
    #[serde(with = "array")]
    cells: [f32; CELLS],
}

/// The shape of a period.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    period_ms: i64,
    since_ms: i64,
    samples: f32,
    error: f32,
    flat_error: f32,
    is_believed: bool,
    /// As far as it was looked for, where there had been another one.
    joined_max: u8,
    /// The least share of the error without it that it had of late.
    best: f32,
    /// Of all cells: the level is not theirs to follow, or any short period would seem to help by being quicker than it.
    mean: f32,
    #[serde(with = "array")]
    cells: [f32; RHYTHM_SLOTS],
    #[serde(with = "array")]
    visits: [u8; RHYTHM_SLOTS],
}

/// What a rhythm says of a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    /// Beside the level.
    pub(crate) value: f64,
    /// Of [`RHYTHM_SLOTS`].
    pub(crate) slot: u8,
    /// Length in seconds.
    pub(crate) period_s: u32,
}

impl Rhythm {
    /// Looked for from a time on, in samples so far apart.
    pub(crate) fn sought(time_ms: i64, step_ms: f64) -> Self {
        Self::Sought(Sought::new(time_ms, step_ms, 0))
    }

    /// What it says of a time, if it is believed.
    #[inline]
    pub(crate) fn beat(&self, time_ms: i64) -> Option<Beat> {
        match self {
            Self::Found(found) if found.is_believed => Some(found.beat(time_ms)),
            _ => None,
        }
    }

    /// Length in seconds, its error and that without it, if it is believed.
    pub(crate) fn believed(&self) -> Option<(u32, f32, f32)> {
        match self {
            Self::Found(found) if found.is_believed => Some((found.period_s(), found.error, found.flat_error)),
            _ => None,
        }
    }

    /// Takes a value relative to the level without season.
    #[inline]
    pub(crate) fn learn(&mut self, time_ms: i64, away: f64, step_ms: f64) -> Learned {
        match self {
            Self::Sought(sought) => match sought.learn(time_ms, away) {
                Search::GoesOn => Learned::GoesOn,
                Search::Ended => Learned::Ended,
                Search::Found(period_ms) => {
                    *self = Self::Found(Found::new(period_ms, time_ms, sought.joined_max));
                    Learned::GoesOn
                }
            },
            Self::Found(found) => match found.learn(time_ms, away as f32) {
                Trial::GoesOn => Learned::GoesOn,
                Trial::Changed => Learned::Changed,
                // What helped once may have become another period; what never did was chance.
                Trial::Failed { was_believed: true } => {
                    *self = Self::Sought(Sought::new(time_ms, step_ms, 1));
                    Learned::Changed
                }
                Trial::Failed { was_believed: false } if found.joined_max == 0 => Learned::Ended,
                Trial::Failed { was_believed: false } => {
                    *self = Self::Sought(Sought::new(time_ms, step_ms, found.joined_max.saturating_add(1)));
                    Learned::GoesOn
                }
            },
        }
    }
}

/// How looking stands.
enum Search {
    GoesOn,
    Found(i64),
    Ended,
}

impl Sought {
    fn new(time_ms: i64, step_ms: f64, joined_max: u8) -> Self {
        let cell_ms = (step_ms.round() as i64).max(1);
        let (sum, count, filled, joined) = (0.0, 0, 0, 0);
        Self { cell_ms, began_ms: time_ms, sum, count, filled, joined, joined_max, cells: [0.0; CELLS] }
    }

    fn learn(&mut self, time_ms: i64, away: f64) -> Search {
        if self.count > 0 && time_ms.saturating_sub(self.began_ms) >= self.cell_ms {
            let passed = time_ms.saturating_sub(self.began_ms) / self.cell_ms;
            // Cells without samples have what was before; after many of them it begins anew.
            let mean = (self.sum / f64::from(self.count)) as f32;
            if passed as usize > CELLS / 16 {
                self.filled = 0;
            }
            for _ in 0..passed.min(CELLS as i64 / 16) {
                match self.push(mean) {
                    Search::GoesOn => {}
                    other => return other,
                }
            }
            (self.began_ms, self.sum, self.count) = (time_ms - (time_ms - self.began_ms) % self.cell_ms, 0.0, 0);
        }
        self.sum += away;
        self.count += 1;
        Search::GoesOn
    }

    fn push(&mut self, mean: f32) -> Search {
        if let Some(cell) = self.cells.get_mut(usize::from(self.filled)) {
            *cell = mean;
        }
        self.filled = self.filled.saturating_add(1);
        if usize::from(self.filled) < CELLS {
            return Search::GoesOn;
        }
        if let Some(period_ms) = self.look() {
            return Search::Found(period_ms);
        }
        if self.cell_ms.saturating_mul(2 * CELLS as i64) > SPAN_MAX_MS {
            return Search::Ended;
        }
        if self.joined_max > 0 && self.joined == self.joined_max {
            // From the shortest periods on again, and further.
            (self.cell_ms, self.joined, self.filled) = ((self.cell_ms >> self.joined).max(1), 0, 0);
            self.joined_max = self.joined_max.saturating_add(1);
            return Search::GoesOn;
        }
        self.joined += 1;
        for at in 0..CELLS / 2 {
            self.cells[at] = 0.5 * (self.cells[2 * at] + self.cells[2 * at + 1]);
        }
        (self.filled, self.cell_ms) = (CELLS as u16 / 2, 2 * self.cell_ms);
        Search::GoesOn
    }

    /// The strongest period that is no day and no week.
    #[cold]
    fn look(&self) -> Option<i64> {
        let times_ms: Vec<i64> = (0..CELLS as i64).map(|at| at * self.cell_ms).collect();
        let values: Vec<f64> = self.cells.iter().map(|cell| f64::from(*cell)).collect();
        let found = seasonality::find(&times_ms, &values);
        let is_other = |period_ms: i64| {
            let near = |known_ms: i64| (period_ms as f64 / known_ms as f64 - 1.0).abs() < CALENDAR;
            !near(DAY_MS) && !near(7 * DAY_MS)
        };
        let has_shape = |period_ms: i64| period_ms >= CELLS_MIN * self.cell_ms;
        let best = found.iter().filter(|period| is_other(period.period_ms) && has_shape(period.period_ms));
        let best = best.max_by(|left, right| left.strength.total_cmp(&right.strength))?;
        let cycles = (CELLS as i64 * self.cell_ms) as f64 / best.period_ms as f64;
        // A lag is told to half a cell, and what is round is meant where four of these reach it.
        Some(meant(best.period_ms, 2.0 * self.cell_ms as f64 / cycles.min(16.0)))
    }
}

/// The period that somebody set, if a round one is within reach of what was found.
fn meant(period_ms: i64, reach_ms: f64) -> i64 {
    let round = |unit_ms: &i64| (period_ms + unit_ms / 2) / unit_ms * unit_ms;
    let rounds = UNITS_MS.iter().filter(|unit_ms| period_ms >= **unit_ms).map(round);
    let mut fitting = rounds.filter(|round_ms| (round_ms - period_ms).abs() as f64 <= reach_ms);
    fitting.next().unwrap_or(period_ms)
}

/// How a found period stands.
enum Trial {
    GoesOn,
    Changed,
    Failed { was_believed: bool },
}

impl Found {
    fn new(period_ms: i64, since_ms: i64, joined_max: u8) -> Self {
        Self {
            period_ms,
            since_ms,
            samples: 0.0,
            error: 0.0,
            flat_error: 0.0,
            is_believed: false,
            joined_max,
            best: 1.0,
            mean: 0.0,
            cells: [0.0; RHYTHM_SLOTS],
            visits: [0; RHYTHM_SLOTS],
        }
    }

    fn period_s(&self) -> u32 {
        u32::try_from((self.period_ms + 500) / 1000).unwrap_or(u32::MAX)
    }

    fn slot(&self, time_ms: i64) -> usize {
        let period_ms = self.period_ms.max(1);
        let into = i128::from(time_ms.rem_euclid(period_ms)) * RHYTHM_SLOTS as i128;
        (into / i128::from(period_ms)) as usize
    }

    fn beat(&self, time_ms: i64) -> Beat {
        let slot = self.slot(time_ms);
        Beat { value: f64::from(self.cells[slot] - self.mean), slot: slot as u8, period_s: self.period_s() }
    }

    fn learn(&mut self, time_ms: i64, away: f32) -> Trial {
        let slot = self.slot(time_ms);
        let periods = time_ms.saturating_sub(self.since_ms) as f64 / self.period_ms as f64;
        let rest = away - self.cells[slot];
        if slot == 0 {
            self.mean = self.cells.iter().sum::<f32>() / RHYTHM_SLOTS as f32;
        }
        let share = if self.flat_error > 0.0 { self.error / self.flat_error } else { 1.0 };
        if periods >= 1.0 {
            self.samples += 1.0;
            let a_period = f64::from(self.samples) / (periods - 1.0).max(0.01);
            let weight = 1.0 / self.samples.min((ERROR_PERIODS * a_period).max(1.0) as f32);
            self.error += weight * ((rest + self.mean).abs() - self.error);
            self.flat_error += weight * (away.abs() - self.flat_error);
        }
        let reach = if self.is_believed { CLIP * self.error } else { f32::INFINITY };
        self.visits[slot] = self.visits[slot].saturating_add(1);
        // Several samples of a visit share its weight.
        let a_visit = (f64::from(self.samples) / (periods - 1.0).max(1.0) / RHYTHM_SLOTS as f64).max(1.0) as f32;
        let weight = 1.0 / f32::from(self.visits[slot]).min(VISITS * a_visit);
        self.cells[slot] += weight * rest.clamp(-reach, reach);
        let before = self.is_believed;
        if before {
            let a_period = (f64::from(self.samples) / (periods - 1.0).max(0.01)).max(1.0) as f32;
            self.best = (self.best * (1.0 + BEST_FADE / a_period)).min(share);
        }
        match () {
            () if periods < 1.0 + PROOF_PERIODS || self.samples < RHYTHM_SLOTS as f32 => Trial::GoesOn,
            () if !before && self.error < ERROR_SHARE * self.flat_error => {
                self.is_believed = true;
                Trial::Changed
            }
            // Half of the way, in logarithms, from the best it was to no help at all.
            () if before && share >= self.best.sqrt() => Trial::Failed { was_believed: true },
            () if !before && periods >= 1.0 + TRIAL_PERIODS => Trial::Failed { was_believed: false },
            () => Trial::GoesOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// Mixed, because multiples of one number have periods of their own.
    fn noise(i: i64) -> f64 {
        let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ mixed >> 32) >> 40) as f64 / f64::from(1 << 24) - 0.5
    }

    /// What is believed after so many minutes, and how many of them it was.
    fn believed(minutes: i64, value: impl Fn(i64) -> f64) -> (Option<u32>, i64) {
        let mut rhythm = Rhythm::sought(0, MINUTE_MS as f64);
        let mut count = 0;
        for i in 0..minutes {
            if rhythm.learn(i * MINUTE_MS, value(i), MINUTE_MS as f64) == Learned::Ended {
                rhythm = Rhythm::sought(i * MINUTE_MS, MINUTE_MS as f64);
            }
            count += i64::from(rhythm.believed().is_some());
        }
        (rhythm.believed().map(|(period_s, ..)| period_s), count)
    }

    #[test]
    fn every_ninety_minutes_and_every_seven_hours_are_found_and_noise_is_not() {
        let job = |i: i64| if i % 90 < 12 { 52.0 } else { -8.0 } + noise(i);
        assert_eq!(believed(2 * 1440, job).0, Some(5400));
        let wave = |i: i64| 20.0 * (i as f64 * std::f64::consts::TAU / 420.0).sin() + 4.0 * noise(i);
        let (period_s, minutes) = believed(6 * 1440, wave);
        assert_eq!(period_s, Some(25_200));
        assert!(minutes > 1440, "{minutes}");
        assert_eq!(believed(20 * 1440, noise), (None, 0));
    }

    /// At once, or after some days without any; to shorter and longer ones, multiples and parts of it.
    #[test]
    fn a_rhythm_that_changes_is_given_up_and_the_new_one_found() {
        let changes = [(90, 37), (37, 90), (90, 60), (60, 90), (45, 90), (90, 45), (100, 420), (420, 100), (20, 25)];
        for (before, after) in changes {
            for pause_days in [0, 2] {
                let job = |i: i64| {
                    let period = if i < 6 * 1440 { before } else { after };
                    let is_off = (0..pause_days * 1440).contains(&(i - 6 * 1440));
                    (if !is_off && i % period < period / 5 { 48.0 } else { -12.0 }) + 4.0 * noise(i)
                };
                let seconds = |minutes: i64| Some(60 * minutes as u32);
                assert_eq!(believed(6 * 1440, job).0, seconds(before), "{before}");
                let found = believed((14 + pause_days) * 1440, job).0;
                // Half a period explains the whole of it as well as that does itself.
                let is_meant = found == seconds(after) || before == 2 * after && found == seconds(before);
                assert!(is_meant, "{before} to {after} after {pause_days} days: {found:?}");
            }
        }
    }

    #[test]
    fn round_periods_are_meant_where_they_are_within_reach() {
        assert_eq!(meant(5_402_000, 5000.0), 5_400_000);
        assert_eq!(meant(5_402_000, 500.0), 5_402_000);
        assert_eq!(meant(601_000, 2000.0), 600_000);
    }

    /// A level that wanders is no rhythm, although any short profile follows it faster than a slow mean.
    #[test]
    fn what_wanders_has_no_rhythm() {
        let mut level = 0.0;
        let walk: Vec<f64> = (0..20 * 1440)
            .map(|i| {
                level += noise(i) - 0.002 * level;
                level
            })
            .collect();
        assert_eq!(believed(20 * 1440, |i| walk[i as usize]).1, 0);
    }
}
