//! A counter's totals become increases a second; wraps of 32 and 64 bits and restarts are told apart.
//!
//! Not here: gauges. A wrap is believed only close to the limit, as RFC 2578 (section 7.1.6) has counters wrap there;
//! every other fall is a restart, and then what the counter shows is what it counted since.
//!
//! Invariant: an increase is never negative.

const LIMIT_32: f64 = 4_294_967_296.0;
const LIMIT_64: f64 = 18_446_744_073_709_551_616.0;

/// A wrap comes from the last quarter of the range into the first: with fewer than two samples a wrap a rate could
/// not be told anyway.
const NEAR: f64 = 0.25;

/// The increase a second since the total before, `None` where that is NaN: there was none; `passed_ms` is positive.
pub(crate) fn counter_rate(last: f64, total: f64, passed_ms: i64) -> Option<f64> {
    (!last.is_nan()).then(|| increase(last, total) * 1000.0 / passed_ms as f64)
}

fn increase(last: f64, total: f64) -> f64 {
    let wraps_at = |limit: f64| last < limit && last >= limit * (1.0 - NEAR) && total < limit * NEAR;
    match total {
        total if total >= last => total - last,
        total if wraps_at(LIMIT_32) => total + (LIMIT_32 - last),
        total if wraps_at(LIMIT_64) => total + (LIMIT_64 - last),
        total => total.max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_wraps_and_restarts_are_told_apart() {
        assert_eq!(increase(10.0, 25.0), 15.0);
        assert_eq!(increase(LIMIT_32 - 10.0, 5.0), 15.0);
        assert_eq!(increase(LIMIT_64 - 4096.0, 4096.0), 8192.0);
        assert_eq!(increase(1000.0, 5.0), 5.0);
        assert_eq!(increase(LIMIT_32 - 10.0, LIMIT_32 / 2.0), LIMIT_32 / 2.0);
    }

    #[test]
    fn a_rate_is_by_the_second_and_needs_two_totals() {
        assert_eq!(counter_rate(f64::NAN, 100.0, 1000), None);
        assert_eq!(counter_rate(100.0, 700.0, 60_000), Some(10.0));
    }
}
