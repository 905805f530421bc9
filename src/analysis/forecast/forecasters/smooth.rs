//! The state most forecasters end in: a level, a slope that may be damped, a profile for each period, and what of the last
//! error will last, each with a gain by which the next error moves it (the innovations form of exponential smoothing;
//! Hyndman, Koehler, Ord and Snyder 2008, with the autocorrelated errors of Taylor 2010).
//!
//! Not here: where gains come from (see the forecasters and `search`).
//!
//! Invariant: taking in a value costs the same however many were taken in before.

use super::super::season::Profile;
use serde::{Deserialize, Serialize};

/// How much of an error goes where.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Gains {
    /// Into the level.
    pub(in super::super) level: f64,
    /// Into the slope.
    pub(in super::super) slope: f64,
    /// Into the profiles, together.
    pub(in super::super) season: f64,
    /// What is left of the slope after a step: 1 where it never ends.
    pub(in super::super) damping: f64,
    /// What is left of an error after a step: 0 where errors say nothing of the next.
    pub(in super::super) lasting: f64,
}

impl Gains {
    /// Nothing is learned.
    pub(in super::super) const FIXED: Self = Self { level: 0.0, slope: 0.0, season: 0.0, damping: 1.0, lasting: 0.0 };
}

/// Level, slope and profiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Smooth {
    /// After the last value.
    pub(in super::super) level: f64,
    /// A step.
    pub(in super::super) slope: f64,
    /// One a period; factors where `zero` is there, else summands.
    pub(in super::super) profiles: Vec<Profile>,
    /// The slot of each profile that comes next.
    pub(in super::super) slots: Vec<usize>,
    pub(in super::super) gains: Gains,
    /// Value less level and season, last.
    pub(in super::super) error: f64,
    /// Where zero lies, if the season is proportional to the level, which is then counted from it.
    pub(in super::super) zero: Option<f64>,
}

impl Smooth {
    /// After `cells` cells, at a level with a slope; profiles start in cell 0.
    pub(in super::super) fn new(cells: usize, level: f64, slope: f64, profiles: &[Profile], gains: Gains) -> Self {
        let slots = profiles.iter().map(|profile| cells % profile.values.len()).collect();
        Self { level, slope, profiles: profiles.to_vec(), slots, gains, error: 0.0, zero: None }
    }

    /// About how many bytes of memory it takes beside itself.
    pub(in super::super) fn bytes(&self) -> usize {
        self.profiles.iter().map(|profile| 32 + 8 * profile.values.len()).sum()
    }

    /// The season in the cell `ahead` steps after the last, counted from 1.
    fn season_at(&self, ahead: usize) -> f64 {
        let slots = self.profiles.iter().zip(&self.slots);
        let values = slots.map(|(profile, slot)| profile.at(slot + ahead - 1));
        if self.zero.is_some() { values.product() } else { values.sum() }
    }

    /// Level and season together.
    fn joined(&self, level: f64, season: f64) -> f64 {
        self.zero.map_or(level + season, |zero| zero + level.max(0.0) * season)
    }

    /// The values expected in the next `horizon` cells.
    pub(in super::super) fn path(&self, horizon: usize) -> Vec<f64> {
        let (mut slope, mut level, mut error) = (self.slope, self.level, self.error);
        let step = |ahead: usize| {
            slope *= self.gains.damping;
            level += slope;
            error *= self.gains.lasting;
            self.joined(level, self.season_at(ahead)) + error
        };
        (1..=horizon).map(step).collect()
    }

    /// Takes in the value of the next cell; NaN where there is none. What was expected is given back.
    pub(in super::super) fn step(&mut self, value: f64) -> f64 {
        let gains = self.gains;
        self.slope *= gains.damping;
        self.level += self.slope;
        let season = self.season_at(1);
        let whole = self.joined(self.level, season);
        let expected = whole + gains.lasting * self.error;
        if value.is_nan() {
            self.error *= gains.lasting;
        } else {
            self.error = value - whole;
            let off = value - expected;
            let (for_level, for_season) = match self.zero {
                None => (off, off),
                Some(_) => (off / season.max(0.05), off / self.level.max(1e-3)),
            };
            self.level += gains.level * for_level;
            self.slope += gains.slope * for_level;
            let share = gains.season / self.profiles.len().max(1) as f64;
            for (profile, slot) in self.profiles.iter_mut().zip(&self.slots) {
                profile.values[*slot] += share * for_season;
            }
        }
        for (profile, slot) in self.profiles.iter().zip(&mut self.slots) {
            *slot = if *slot + 1 == profile.values.len() { 0 } else { *slot + 1 };
        }
        expected
    }

    /// Takes in the value of the next cell; NaN where there is none.
    pub(in super::super) fn observe(&mut self, value: f64) {
        self.step(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holts_recursion_is_the_one_worked_by_hand() {
        // Values 3, 4 from level 1 and trend 1: expected 2, off 1 -> level 2.5, trend 1.25; expected 3.75, off 0.25 ->
        // level 3.875, trend 1.3125 with gains 0.5 and 0.25 and no damping.
        let gains = Gains { level: 0.5, slope: 0.25, ..Gains::FIXED };
        let mut state = Smooth::new(1, 1.0, 1.0, &[], gains);
        [3.0, 4.0].into_iter().for_each(|value| state.observe(value));
        assert_eq!((state.level, state.slope), (3.875, 1.3125));
        // Damped by 0.5: expected 1.5, off 1.5 -> level 2.25, trend 0.875; then 2.6875, off 1.3125.
        let mut state = Smooth::new(1, 1.0, 1.0, &[], Gains { damping: 0.5, ..gains });
        [3.0, 4.0].into_iter().for_each(|value| state.observe(value));
        assert_eq!((state.level, state.slope), (3.343_75, 0.765_625));
        // A damped trend adds 0.5 + 0.25 of itself in two steps.
        let state = Smooth::new(1, 0.0, 8.0, &[], Gains { damping: 0.5, ..gains });
        assert_eq!(state.path(2), [4.0, 6.0]);
    }

    #[test]
    fn a_lasting_error_fades_and_a_gap_is_walked_over() {
        let gains = Gains { lasting: 0.5, ..Gains::FIXED };
        let mut state = Smooth::new(1, 10.0, 0.0, &[], gains);
        state.observe(14.0);
        assert_eq!(state.path(3), [12.0, 11.0, 10.5]);
        state.observe(f64::NAN);
        assert_eq!(state.path(2), [11.0, 10.5]);
    }

    #[test]
    fn a_season_is_continued_in_phase_as_summand_and_as_factor() {
        let profile = Profile { values: vec![0.0, 1.0, 2.0] };
        let mut state = Smooth::new(4, 10.0, 0.0, &[profile], Gains::FIXED);
        assert_eq!(state.path(4), [11.0, 12.0, 10.0, 11.0]);
        state.zero = Some(-5.0);
        assert_eq!(state.path(3), [5.0, 15.0, -5.0]);
    }
}
