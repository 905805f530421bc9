//! What scoring gives up, step by step, when it falls behind, and when it takes it back; storing gives up nothing.
//!
//! ```text
//!  all ──▶ slow_waits ──▶ few_detectors        behind for more than `BEHIND_MS`, or room for waiting samples runs out
//!      ◀──            ◀──                      `CALM_MS` without either, one step at a time
//! ```
//!
//! What finds no room even then is stored and not scored, and counted (see `scoring`).
//!
//! Not here: what a step leaves out (see `score`, `analysis::Effort`).
//!
//! Invariants: one step a look, so that a single late tick costs no detector; between the lag that leads down and the one
//! that leads up lies a factor of four, so that a load near the line does not make it swing.

use crate::analysis::Effort;

/// Further behind than this, scoring steps down.
const BEHIND_MS: i64 = 2_000;
/// Less behind than this is calm.
const CALM_LAG_MS: i64 = 500;
/// A step is given this long to show what it saves before the next one down.
const HOLD_MS: i64 = 1_000;
/// So long it must be calm before each step up.
const CALM_MS: i64 = 10_000;

/// How much scoring does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Everything.
    #[default]
    All,
    /// What is slow and can wait does: models are not written down.
    SlowWaits,
    /// Also, one detector of each family judges.
    FewDetectors,
}

impl Step {
    /// What detectors do at this step.
    pub(super) fn effort(self) -> Effort {
        if self == Self::FewDetectors { Effort::OneOfAFamily } else { Effort::All }
    }

    fn down(self) -> Self {
        if self == Self::All { Self::SlowWaits } else { Self::FewDetectors }
    }

    fn up(self) -> Self {
        if self == Self::FewDetectors { Self::SlowWaits } else { Self::All }
    }
}

/// How far behind scoring is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    /// Age of the oldest sample that waits.
    pub(super) lag_ms: i64,
    /// Samples that may still wait, and the most there may be.
    pub(super) room: (usize, usize),
}

impl Behind {
    fn is_far(&self) -> bool {
        self.lag_ms > BEHIND_MS || self.room.0 < self.room.1 / 4
    }

    fn is_calm(&self) -> bool {
        self.lag_ms < CALM_LAG_MS && self.room.0 > self.room.1 / 2
    }
}

/// Where one shard stands.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    step: Step,
    moved_ms: i64,
    /// Since when it is calm.
    calm_ms: Option<i64>,
}

impl Ladder {
    /// Where it stands.
    pub(super) fn step(&self) -> Step {
        self.step
    }

    /// Looks how far behind scoring is, and moves one step at most; whether it did.
    pub(super) fn look(&mut self, now_ms: i64, behind: &Behind) -> bool {
        let before = self.step;
        // Time that was set back counts as passed: it must not hold anything up.
        let passed = |since_ms: i64, at_least_ms: i64| !(0..at_least_ms).contains(&(now_ms - since_ms));
        if !behind.is_calm() {
            self.calm_ms = None;
        }
        if behind.is_far() && (before == Step::All || passed(self.moved_ms, HOLD_MS)) {
            self.step = before.down();
        } else if behind.is_calm() && passed(*self.calm_ms.get_or_insert(now_ms), CALM_MS) {
            (self.step, self.calm_ms) = (before.up(), Some(now_ms));
        }
        if self.step != before {
            self.moved_ms = now_ms;
        }
        self.step != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: (usize, usize) = (1000, 1000);

    /// Steps after each look, 100 ms apart, with these lags.
    fn steps(ladder: &mut Ladder, from_ms: i64, lags: impl IntoIterator<Item = i64>) -> Vec<Step> {
        let look = |(at, lag_ms): (i64, i64)| {
            ladder.look(from_ms + 100 * at, &Behind { lag_ms, room: ROOM });
            ladder.step()
        };
        (0..).zip(lags).map(look).collect()
    }

    #[test]
    fn slow_work_goes_first_and_detectors_only_if_that_was_not_enough() {
        let mut ladder = Ladder::default();
        let all = steps(&mut ladder, 0, [0, 2000, 2001, 2100]);
        assert_eq!(all, [Step::All, Step::All, Step::SlowWaits, Step::SlowWaits]);
        let all = steps(&mut ladder, 400, [3000; 10]);
        assert_eq!((all[7], all[8]), (Step::SlowWaits, Step::FewDetectors), "after a second");
        assert_eq!(steps(&mut ladder, 1400, [9000; 50])[49], Step::FewDetectors, "there is no step below");
    }

    #[test]
    fn it_climbs_back_step_by_step_after_ten_calm_seconds_each() {
        let mut ladder = Ladder::default();
        steps(&mut ladder, 0, [5000; 20]);
        let all = steps(&mut ladder, 2000, [100; 250]);
        let at = |step| all.iter().position(|found| *found == step);
        assert_eq!((at(Step::SlowWaits), at(Step::All)), (Some(100), Some(200)));
    }

    #[test]
    fn a_lag_between_the_lines_changes_nothing_and_one_hiccup_starts_the_wait_anew() {
        let mut ladder = Ladder::default();
        steps(&mut ladder, 0, [5000]);
        assert_eq!(steps(&mut ladder, 2000, [1000; 500])[499], Step::SlowWaits);
        let hiccup = (0..300).map(|at| if at == 90 { 600 } else { 100 });
        let all = steps(&mut ladder, 60_000, hiccup);
        assert_eq!(all.iter().position(|step| *step == Step::All), Some(191));
    }

    #[test]
    fn room_that_runs_out_is_as_bad_as_lag() {
        let mut ladder = Ladder::default();
        assert!(!ladder.look(0, &Behind { lag_ms: 0, room: (250, 1000) }));
        assert!(ladder.look(100, &Behind { lag_ms: 0, room: (249, 1000) }));
        assert!(!ladder.look(20_000, &Behind { lag_ms: 0, room: (500, 1000) }), "half is not calm");
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_up() {
        let mut ladder = Ladder::default();
        steps(&mut ladder, 1_000_000, [5000]);
        assert_eq!(steps(&mut ladder, 0, [5000]), [Step::FewDetectors]);
        steps(&mut ladder, 2_000_000, [0]);
        assert_eq!(steps(&mut ladder, 0, [0, 0]), [Step::SlowWaits, Step::SlowWaits]);
    }
}
