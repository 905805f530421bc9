//! The shape of a day or a week: what is usual in each of its slots, beside a level, in 16 bits each.
//!
//! All slots of a profile have one unit, a power of two that follows what they hold. What a value moves a slot by is less
//! than a unit more often than not, so it is rounded up or down by a chance that is made of the value: what slots hold is
//! right in the mean, and the same samples give the same slots.
//!
//! Not here: which season is believed (see `baseline`).
//!
//! Invariant: between 8192 and 32 767 units are the farthest slot's, a day or week after it was another one.
//!
//! Cost: four bytes a slot; the unit lies with the owner, so that a day's slots are 384 bytes and not a few more.

use super::array;
use serde::{Deserialize, Serialize};

/// Slots that stand together, so that a sample finds all that is known of its slot in one place.
const BLOCK_SLOTS: usize = 4;

/// Visits a slot is an average of where it is far off for the second time: the season is learned at once there.
const SECOND_VISITS: f64 = 2.0;

/// Units of the farthest slot: at least so many, and how many it gets when they are chosen anew.
const UNITS_MIN: i16 = 8192;
const UNITS: f64 = 16_000.0;

/// Some neighbouring slots.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Block {
    cells: [i16; BLOCK_SLOTS],
    samples: [u8; BLOCK_SLOTS],
    /// The day or week in which the slot was last far off, and to which side: see [`is_second`].
    outliers: [u8; BLOCK_SLOTS],
}

/// The slots of a period.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Profile<const BLOCKS: usize> {
    #[serde(with = "array")]
    blocks: [Block; BLOCKS],
}

/// Quarter hours of a day.
pub(crate) type DayProfile = Profile<{ 96 / BLOCK_SLOTS }>;
/// Half hours of a week.
pub(crate) type WeekProfile = Profile<{ 336 / BLOCK_SLOTS }>;

/// A value that a slot learns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lesson {
    /// As it is, and as it is to be learned where it is anomalous; both beside the series' first value.
    pub(crate) value: f64,
    pub(crate) learned: f64,
    /// What is taken off, so that the shape is left.
    pub(crate) level: f64,
    /// How many visits the slot remembers.
    pub(crate) visits: f64,
}

impl<const BLOCKS: usize> Default for Profile<BLOCKS> {
    fn default() -> Self {
        Self { blocks: [Block::default(); BLOCKS] }
    }
}

impl<const BLOCKS: usize> Profile<BLOCKS> {
    /// What is usual in a slot, and of how many samples that is known.
    #[inline]
    pub(crate) fn at(&self, slot: usize, unit: f32) -> (f64, u8) {
        let (block, at) = (&self.blocks[slot / BLOCK_SLOTS], slot % BLOCK_SLOTS);
        (f64::from(block.cells[at]) * f64::from(unit), block.samples[at])
    }

    /// Learns a value; one far off as what it is to be learned as, unless it was so in the period before this one too.
    #[inline]
    pub(crate) fn learn(&mut self, slot: usize, lesson: &Lesson, unit: &mut f32, period: impl FnOnce() -> i64) {
        if slot == 0 {
            self.refine(unit);
        }
        let (block, at) = (&mut self.blocks[slot / BLOCK_SLOTS], slot % BLOCK_SLOTS);
        let Lesson { value, learned, level, visits } = *lesson;
        let is_season = value != learned && is_second(&mut block.outliers[at], period(), value > learned);
        let (wanted, visits) = if is_season { (value, SECOND_VISITS) } else { (learned, visits) };
        let samples = &mut block.samples[at];
        *samples = samples.saturating_add(1);
        let weight = 1.0 / f64::from(*samples).min(visits);
        let cell = f64::from(block.cells[at]) * f64::from(*unit);
        let rest = wanted - level - cell;
        // What is right to a unit stays as it is: a series without noise is to have none.
        if rest.abs() <= f64::from(*unit) {
            return;
        }
        let moved = cell + weight * rest;
        let units = moved / f64::from(*unit) + chance(moved);
        if units.abs() < f64::from(i16::MAX) {
            block.cells[at] = units.round() as i16;
        } else {
            self.coarsen(slot, moved, unit);
        }
    }

    /// The unit is too small for a slot's value, or there is none yet.
    #[cold]
    fn coarsen(&mut self, slot: usize, value: f64, unit: &mut f32) {
        // Nothing is beside the level: no unit is needed, and none could be told.
        if value == 0.0 || !value.is_finite() {
            return;
        }
        let wanted = (value.abs() / UNITS).log2().floor().clamp(-126.0, 127.0).exp2() as f32;
        if *unit > 0.0 {
            let share = *unit / wanted;
            let coarser = |cell: &mut i16| *cell = (f32::from(*cell) * share).round() as i16;
            self.blocks.iter_mut().flat_map(|block| &mut block.cells).for_each(coarser);
        }
        *unit = wanted;
        let units = (value / f64::from(wanted)).round() as i16;
        self.blocks[slot / BLOCK_SLOTS].cells[slot % BLOCK_SLOTS] = units;
    }

    /// Chooses a smaller unit where one great value that is gone by now has left slots too coarse.
    fn refine(&mut self, unit: &mut f32) {
        let farthest = self.blocks.iter().flat_map(|block| &block.cells).map(|cell| cell.unsigned_abs()).max();
        let farthest = farthest.unwrap_or(0);
        if farthest == 0 || farthest >= UNITS_MIN.unsigned_abs() || *unit <= f32::MIN_POSITIVE * 16.0 {
            return;
        }
        self.blocks.iter_mut().flat_map(|block| &mut block.cells).for_each(|cell| *cell *= 2);
        *unit /= 2.0;
    }
}

/// Between minus and plus a half, as if by chance, but always the same for a value.
fn chance(value: f64) -> f64 {
    (value.to_bits().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / f64::from(1 << 24) - 0.5
}

/// Whether a slot that is far off was so to the same side in the period before too: what happens at the same time in two
/// days or weeks in a row is the season and no anomaly. Remembers that it is far off in this one.
fn is_second(outlier: &mut u8, period: i64, is_above: bool) -> bool {
    // Bit 7: this is the second in a row; bits 1 to 6: the period, from 1; bit 0: the side.
    let mark = |period: i64| ((period.rem_euclid(62) + 1) << 1) as u8 | u8::from(is_above);
    let (before, now) = (*outlier, mark(period));
    let is_second = before & 0x7f == mark(period - 1) || before == now | 0x80;
    *outlier = if is_second { now | 0x80 } else { now };
    is_second
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: u64) -> f64 {
        (i.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64
            / f64::from(1 << 24)
            - 0.5
    }

    /// A day of 96 slots, visited sixty times each on every one of so many days.
    fn learned(days: u64, value: impl Fn(u64, usize) -> f64) -> (DayProfile, f32) {
        let (mut profile, mut unit) = (DayProfile::default(), 0.0);
        for day in 0..days {
            for slot in 0..96 {
                for visit in 0..60 {
                    let value = value(day, slot) + noise((day * 96 + slot as u64) * 60 + visit);
                    let lesson = Lesson { value, learned: value, level: 0.0, visits: 420.0 };
                    profile.learn(slot, &lesson, &mut unit, || day as i64);
                }
            }
        }
        (profile, unit)
    }

    #[test]
    fn sixteen_bits_follow_what_moves_by_less_than_a_unit_a_sample() {
        let shape = |slot: usize| 100.0 * (slot as f64 / 96.0 * std::f64::consts::TAU).sin();
        let (profile, unit) = learned(25, |day, slot| shape(slot) + if day < 2 { 0.0 } else { 1.5 });
        let away = |slot: usize| (profile.at(slot, unit).0 - shape(slot) - 1.5).abs();
        let worst = (0..96).map(away).fold(0.0, f64::max);
        assert!(worst < 0.15, "{worst}");
    }

    #[test]
    fn one_giant_leaves_the_unit_small_again_when_it_is_gone() {
        let (profile, unit) = learned(120, |day, slot| if day == 0 && slot == 9 { 1e7 } else { slot as f64 });
        assert!(unit < 0.1, "{unit}");
        assert!((profile.at(50, unit).0 - 50.0).abs() < 0.2, "{}", profile.at(50, unit).0);
    }

    #[test]
    fn what_is_nothing_beside_the_level_needs_no_unit() {
        let (mut profile, mut unit) = (DayProfile::default(), 0.0);
        profile.learn(3, &Lesson { value: 5.0, learned: 5.0, level: 5.0, visits: 7.0 }, &mut unit, || 0);
        assert_eq!((unit, profile.at(3, unit)), (0.0, (0.0, 1)));
        profile.learn(3, &Lesson { value: 7.0, learned: 7.0, level: 5.0, visits: 7.0 }, &mut unit, || 0);
        assert!((profile.at(3, unit).0 - 1.0).abs() < 1e-3, "{}", profile.at(3, unit).0);
    }
}
