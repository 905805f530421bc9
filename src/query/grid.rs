//! The instants at which an expression is evaluated: a start, a step and a count.
//!
//! Not here: what happens at an instant. All times are milliseconds since the epoch.
//!
//! Invariant: there is at least one instant and the step is at least 1 ms.

/// Evenly spaced instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) count: usize,
}

impl Grid {
    /// The one instant of an instant query.
    pub(crate) fn instant(time_ms: i64) -> Self {
        Self { start_ms: time_ms, step_ms: 1, count: 1 }
    }

    /// The instants from `start_ms` in steps up to and including `end_ms`.
    pub(crate) fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        debug_assert!(step_ms > 0 && start_ms <= end_ms);
        Self { start_ms, step_ms, count: (end_ms.saturating_sub(start_ms) / step_ms) as usize + 1 }
    }

    /// The instants of a subquery: the multiples of `step_ms` in `from_ms..=to_ms`; none is possible.
    pub(crate) fn aligned(from_ms: i64, to_ms: i64, step_ms: i64, left_open: bool) -> Option<Self> {
        let mut start_ms = from_ms.div_euclid(step_ms).saturating_mul(step_ms);
        if start_ms < from_ms || (left_open && start_ms == from_ms) {
            start_ms = start_ms.saturating_add(step_ms);
        }
        (start_ms <= to_ms).then(|| Self::range(start_ms, to_ms, step_ms))
    }

    /// The instant with this index.
    #[inline]
    pub(crate) fn time(&self, index: usize) -> i64 {
        self.start_ms + self.step_ms * index as i64
    }

    /// The last instant.
    pub(crate) fn end_ms(&self) -> i64 {
        self.time(self.count - 1)
    }

    /// All instants, ascending.
    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.time(i))
    }
}

/// How a selector moves the instant at which it looks: `@` fixes it, `offset` shifts it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shift {
    pub(crate) at_ms: Option<i64>,
    pub(crate) offset_ms: i64,
}

impl Shift {
    /// The instant looked at when evaluating at `time_ms`.
    #[inline]
    pub(crate) fn look(&self, time_ms: i64) -> i64 {
        self.at_ms.unwrap_or(time_ms).saturating_sub(self.offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_its_end_only_when_a_step_meets_it() {
        assert_eq!(Grid::range(0, 100, 50).times().collect::<Vec<_>>(), [0, 50, 100]);
        assert_eq!(Grid::range(0, 99, 50).end_ms(), 50);
        assert_eq!(Grid::range(7, 7, 50).count, 1);
    }

    #[test]
    fn subquery_instants_are_multiples_of_the_step() {
        assert_eq!(Grid::aligned(101, 250, 50, false), Some(Grid::range(150, 250, 50)));
        assert_eq!(Grid::aligned(100, 250, 50, false), Some(Grid::range(100, 250, 50)));
        assert_eq!(Grid::aligned(100, 250, 50, true), Some(Grid::range(150, 250, 50)));
        assert_eq!(Grid::aligned(-99, -51, 50, false), None);
        assert_eq!(Grid::aligned(-101, 0, 50, false), Some(Grid::range(-100, 0, 50)));
    }

    #[test]
    fn an_at_modifier_fixes_the_instant_before_the_offset_shifts_it() {
        assert_eq!(Shift { at_ms: None, offset_ms: 10 }.look(100), 90);
        assert_eq!(Shift { at_ms: Some(50), offset_ms: -10 }.look(100), 60);
    }
}
