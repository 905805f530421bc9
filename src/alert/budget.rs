//! How often people may be told: so many notifications in seven days, critical ones always, and once that is used up the
//! rest once a day, so that nothing is left out.
//!
//! Not here: what they are told (see `notification`).

use super::routing::Timing;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const WEEK_MS: i64 = 7 * 86_400_000;
const DAY_MS: i64 = 86_400_000;

/// Notifications of the last seven days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Budget {
    #[serde(skip)]
    per_week: u64,
    /// When somebody was told, in milliseconds since 1970 UTC, the earliest first.
    told_ms: VecDeque<i64>,
    /// When what has to wait may be told.
    digest_ms: Option<i64>,
    /// The newest moment at which what had to wait was told.
    moment_ms: Option<i64>,
}

impl Budget {
    pub(super) fn new(per_week: u64) -> Self {
        Self { per_week, told_ms: VecDeque::new(), digest_ms: None, moment_ms: None }
    }

    /// So many a week from now on.
    pub(super) fn allow(&mut self, per_week: u64) {
        self.per_week = per_week;
    }

    /// What was used up before a start.
    pub(super) fn take_back(&mut self, before: Self) {
        *self = Self { per_week: self.per_week, ..before };
    }

    /// Whether somebody may be told now; counts it if so.
    pub(super) fn take(&mut self, now_ms: i64, is_critical: bool) -> bool {
        while self.told_ms.front().is_some_and(|told_ms| now_ms.saturating_sub(*told_ms) >= WEEK_MS) {
            self.told_ms.pop_front();
        }
        let has_room = (self.told_ms.len() as u64) < self.per_week;
        if has_room {
            self.digest_ms = None;
        } else if self.digest_ms.is_some_and(|digest_ms| digest_ms <= now_ms) {
            (self.digest_ms, self.moment_ms) = (Some(now_ms + DAY_MS), Some(now_ms));
        } else if !is_critical {
            self.digest_ms.get_or_insert(now_ms + DAY_MS);
        }
        // All that waits is told at the one moment at which the day is over.
        let may = has_room || is_critical || self.moment_ms == Some(now_ms);
        if may && (self.told_ms.len() as u64) < self.per_week.saturating_mul(2).max(1000) {
            self.told_ms.push_back(now_ms);
        }
        may
    }

    /// The rhythm of a group that has to wait.
    pub(super) fn digest_timing(&self, timing: Timing, now_ms: i64) -> Timing {
        let wait_ms = self.digest_ms.map_or(0, |digest_ms| digest_ms.saturating_sub(now_ms).max(0));
        Timing { group_wait_ms: wait_ms, group_interval_ms: wait_ms, ..timing }
    }

    /// Notifications of the last seven days.
    pub(super) fn used(&self) -> u64 {
        self.told_ms.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_budget_critical_ones_pass_and_the_rest_waits_a_day() {
        let mut budget = Budget::new(2);
        assert!(budget.take(0, false) && budget.take(1, false));
        assert!(!budget.take(2, false) && budget.take(3, true));
        let wait_ms = budget.digest_timing(Timing::default(), 3).group_wait_ms;
        assert_eq!(wait_ms, DAY_MS - 1);
        assert!(!budget.take(DAY_MS + 1, false));
        assert!(budget.take(DAY_MS + 2, false) && budget.take(DAY_MS + 2, false), "all that waited is told at once");
        assert!(budget.take(9 * DAY_MS, false), "a week later there is room");
    }
}
