//! Whether a series is a gauge or a counter, told from its values.
//!
//! Not here: turning a counter into a rate (see `prepare::counter_unwrap`).
//!
//! Invariant: a kind that was given is never changed; one that was inferred becomes gauge again as soon as the values
//! fall in a way no counter does.

use serde::{Deserialize, Serialize};

/// What a series' values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A value of its own.
    Gauge,
    /// A total that only grows, until it wraps or starts anew; judged by its increase a second.
    Counter,
    /// An increase since the sample before; judged as it is.
    Delta,
}

/// Values looked at before a series may be called a counter. A random walk rises 23 times in a row with a chance of
/// 2^-23, so that of ten million gauges about one is mistaken, until its first small fall.
const RISES_MIN: u16 = 24;

/// A counter that starts anew falls to what it counted since; a fall to more than this share is a gauge's.
const RESET_SHARE_MAX: f64 = 0.5;

/// Infers the kind from values in order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct KindInference {
    given: bool,
    kind: Kind,
    last: f64,
    rises: u16,
    is_gauge: bool,
}

impl KindInference {
    /// With a kind that is known, or one to be found out.
    pub(crate) fn new(given: Option<Kind>) -> Self {
        let kind = given.unwrap_or(Kind::Gauge);
        Self { given: given.is_some(), kind, last: f64::NAN, rises: 0, is_gauge: false }
    }

    /// The kind as of the last value.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Nothing was before the next value.
    pub(crate) fn forget_last(&mut self) {
        self.last = f64::NAN;
    }

    /// The kind after this value, which is finite, and the value before it: NaN if there was none.
    #[inline]
    pub(crate) fn observe(&mut self, value: f64) -> (Kind, f64) {
        let last = std::mem::replace(&mut self.last, value);
        if !self.given && !self.is_gauge {
            self.infer(last, value);
        }
        (self.kind, last)
    }

    /// The same for a value that teaches nothing.
    #[inline]
    pub(crate) fn pass(&mut self, value: f64) -> (Kind, f64) {
        (self.kind, std::mem::replace(&mut self.last, value))
    }

    fn infer(&mut self, last: f64, value: f64) {
        let fell_as_no_counter_does = value < last && value > last * RESET_SHARE_MAX;
        let falls_before_it_is_one = value < last && self.kind == Kind::Gauge;
        if value < 0.0 || fell_as_no_counter_does || falls_before_it_is_one {
            (self.is_gauge, self.kind) = (true, Kind::Gauge);
        } else if value > last {
            self.rises = self.rises.saturating_add(1);
            if self.rises >= RISES_MIN {
                self.kind = Kind::Counter;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(values: impl IntoIterator<Item = f64>) -> Kind {
        let mut inference = KindInference::new(None);
        values.into_iter().map(|value| inference.observe(value).0).last().unwrap()
    }

    #[test]
    fn totals_that_only_grow_are_a_counter_even_across_a_reset() {
        assert_eq!(infer((0..30).map(f64::from)), Kind::Counter);
        assert_eq!(infer((0..30).chain(0..30).map(f64::from)), Kind::Counter);
    }

    #[test]
    fn values_that_fall_a_little_or_never_move_are_a_gauge() {
        assert_eq!(infer((0..30).chain([28]).map(f64::from)), Kind::Gauge);
        assert_eq!(infer(std::iter::repeat_n(5.0, 100)), Kind::Gauge);
        assert_eq!(infer((-40..0).map(f64::from)), Kind::Gauge);
        assert_eq!(infer((0..10).chain(0..100).map(f64::from)), Kind::Gauge);
    }

    #[test]
    fn a_given_kind_is_kept() {
        let mut inference = KindInference::new(Some(Kind::Counter));
        assert_eq!([5.0, 4.0, 3.0].map(|value| inference.observe(value).0), [Kind::Counter; 3]);
    }
}
