//! The only place that reads the time; everything else is given it as an argument.
//!
//! Not here: time zones, calendars, formatting.

use std::time::{Instant, SystemTime};

/// Milliseconds since 1970-01-01 00:00 UTC by the wall clock, which may be set back at any moment.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the wall clock")]
pub fn now_ms() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// This moment by a clock that is never set back: for measuring spans and for deadlines.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_reads_milliseconds_of_this_century() {
        let year_ms = 365 * 86_400_000;
        assert!((50 * year_ms..130 * year_ms).contains(&now_ms()));
    }

    #[test]
    fn the_monotonic_clock_only_rises() {
        let first = monotonic();
        assert!(monotonic() >= first);
    }
}
