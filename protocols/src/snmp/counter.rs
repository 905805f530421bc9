//! What two readings of a counter say: a rate, or why there is none (RFC 2578, section 7.1; RFC 2863, section 3.1).
//!
//! ```text
//!  AgentClock::passed_since(before) ── Rebooted: no rate of any counter, all start anew
//!                                   └─ Passed(seconds) ── step(before, now, seconds, limit) ── Rate
//!                                                                                           └─ None, and why
//! ```
//!
//! Not here: which counter of an interface is read (32 or 64 bits), its discontinuity time; samples.
//!
//! Invariants: a rate is never negative and never above the limit that was given; differences are taken in integers, by
//! the agent's own clock; where a reading could mean two things, there is no rate.

/// Hundredths of a second until sysUpTime starts again.
const UPTIME_WRAP: u64 = 1 << 32;

/// How far our own clock and the agent's may be apart over the time between two readings, beside what the answers took: a
/// part of it, and hundredths of a second, since some agents look at their clock only every few seconds.
const DRIFT_SHARE: u64 = 20;
const DRIFT_TICKS: u64 = 500;

/// What an agent says of the time, read with its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentClock {
    /// sysUpTime, hundredths of a second; starts again after 497 days.
    pub uptime: u32,
    /// snmpEngineTime, seconds; agents without version 3 have none.
    pub engine_time: Option<u32>,
    /// Our own clock when the answer came, milliseconds.
    pub at_ms: i64,
    /// How long it took: the agent looked at its clock at some instant within.
    pub took_ms: i64,
}

/// What happened between two readings of an agent's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Passed {
    /// Seconds, by the agent's clock; above 0.
    Seconds(f64),
    /// Nothing: the agent answered from what it had answered before.
    Nothing,
    /// It started anew: counters too.
    Rebooted,
}

impl AgentClock {
    /// What happened since an earlier reading.
    pub fn passed_since(&self, before: &Self) -> Passed {
        // An engine's own time wraps after 68 years only, so where it fell the agent started anew.
        if self.engine_time.zip(before.engine_time).is_some_and(|(now, before)| now < before) {
            return Passed::Rebooted;
        }
        let ticks = u64::from(self.uptime.wrapping_sub(before.uptime));
        // Otherwise the two clocks tell: sysUpTime wraps to where ours says it should be. An agent that started anew is
        // behind, also when it has been up for longer since than it had been before.
        let span = |ms: i64| u64::try_from(ms).unwrap_or(0) / 10;
        let least = span(self.at_ms - self.took_ms - before.at_ms);
        let most = span(self.at_ms - before.at_ms + before.took_ms);
        let drift = DRIFT_TICKS + most / DRIFT_SHARE;
        let is_behind = least % UPTIME_WRAP > ticks + drift;
        let is_ahead = self.uptime < before.uptime && ticks > most % UPTIME_WRAP + drift;
        match ticks {
            _ if is_behind || is_ahead => Passed::Rebooted,
            0 => Passed::Nothing,
            _ => Passed::Seconds(ticks as f64 / 100.0),
        }
    }
}

/// A counter as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Counter32.
    Bits32(u32),
    /// Counter64.
    Bits64(u64),
}

impl Reading {
    /// The number.
    pub fn value(self) -> u64 {
        match self {
            Self::Bits32(value) => u64::from(value),
            Self::Bits64(value) => value,
        }
    }
}

/// Why two readings give no rate. Each restarts from the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoRate {
    /// It fell in a way that no wrap explains.
    Reset,
    /// It could have wrapped more than once in this time.
    Ambiguous,
    /// More than the limit: more than the line carries.
    Implausible,
    /// It was read with another size than before.
    SizeChanged,
}

/// The rate between two readings, per second. `limit` is what the counter can rise by in a second at most, if that is
/// known: for octets an eighth of the line's bits a second.
///
/// # Errors
/// With the reason when there is no rate.
pub fn rate(before: Reading, now: Reading, seconds: f64, limit: Option<f64>) -> Result<f64, NoRate> {
    let risen = match (before, now) {
        (Reading::Bits64(before), Reading::Bits64(now)) => now.checked_sub(before).ok_or(NoRate::Reset)?,
        (Reading::Bits32(before), Reading::Bits32(now)) => {
            let most = limit.map(|limit| limit * seconds);
            if most.is_some_and(|most| most >= f64::from(u32::MAX)) {
                return Err(NoRate::Ambiguous);
            }
            // Without a limit a wrap cannot be told from a reset.
            if now < before && most.is_none() {
                return Err(NoRate::Reset);
            }
            let risen = now.wrapping_sub(before);
            if now < before && most.is_some_and(|most| f64::from(risen) > most) {
                return Err(NoRate::Reset);
            }
            u64::from(risen)
        }
        _ => return Err(NoRate::SizeChanged),
    };
    let rate = risen as f64 / seconds;
    if limit.is_some_and(|limit| rate > limit) { Err(NoRate::Implausible) } else { Ok(rate) }
}

#[cfg(test)]
mod tests {
    use super::Reading::{Bits32, Bits64};
    use super::*;
    use proptest::prelude::*;

    fn clock(uptime: u32, engine_time: Option<u32>, at_s: i64) -> AgentClock {
        AgentClock { uptime, engine_time, at_ms: at_s * 1000, took_ms: 0 }
    }

    #[test]
    fn time_is_the_agents_own() {
        assert_eq!(clock(4000, None, 30).passed_since(&clock(1000, None, 0)), Passed::Seconds(30.0));
        assert_eq!(clock(4000, None, 36).passed_since(&clock(1000, None, 0)), Passed::Seconds(30.0));
        let late = AgentClock { took_ms: 20_000, ..clock(4000, None, 55) };
        assert_eq!(late.passed_since(&clock(1000, None, 0)), Passed::Seconds(30.0));
        assert_eq!(clock(1000, None, 3).passed_since(&clock(1000, None, 0)), Passed::Nothing);
    }

    #[test]
    fn a_reboot_is_told_from_a_wrap() {
        let near_the_end = u32::MAX - 999;
        for (engine_before, engine_now) in [(None, None), (Some(49_710), Some(49_740))] {
            let before = clock(near_the_end, engine_before, 0);
            assert_eq!(clock(2000, engine_now, 30).passed_since(&before), Passed::Seconds(30.0));
        }
        let before = clock(near_the_end, Some(49_710), 0);
        assert_eq!(clock(2000, Some(20), 30).passed_since(&before), Passed::Rebooted, "its engine began again");
        assert_eq!(clock(2000, None, 30).passed_since(&clock(500_000, None, 0)), Passed::Rebooted);
        assert_eq!(
            clock(4000, None, 600).passed_since(&clock(3000, None, 0)),
            Passed::Rebooted,
            "up for longer already"
        );
        // 15 s ago it had been up for 10 s; it has been up for 12 s.
        assert_eq!(clock(1200, None, 15).passed_since(&clock(1000, None, 0)), Passed::Rebooted, "twice in a row");
        assert_eq!(clock(2000, Some(9), 30).passed_since(&clock(500_000, Some(5000), 0)), Passed::Rebooted);
    }

    #[test]
    fn a_counter_of_32_bits_wraps_once_if_the_line_can_carry_it() {
        let before = Bits32(4_294_967_290);
        assert_eq!(rate(before, Bits32(5), 1.0, Some(1e6)), Ok(11.0));
        assert_eq!(rate(before, Bits32(5), 1.0, None), Err(NoRate::Reset), "nothing says that it can");
        assert_eq!(rate(Bits32(2_000_000_000), Bits32(5), 10.0, Some(1.25e6)), Err(NoRate::Reset));
        assert_eq!(rate(before, Bits32(5), 60.0, Some(1.25e8)), Err(NoRate::Ambiguous), "1 Gb/s wraps in 34 s");
        assert_eq!(rate(Bits32(5), Bits32(6), 60.0, Some(1.25e8)), Err(NoRate::Ambiguous));
    }

    #[test]
    fn a_counter_of_64_bits_never_wraps() {
        assert_eq!(rate(Bits64(u64::MAX - 4), Bits64(6), 1.0, Some(1e12)), Err(NoRate::Reset));
        assert_eq!(rate(Bits64(1 << 60), Bits64((1 << 60) + 3), 2.0, None), Ok(1.5), "taken before it is rounded");
    }

    #[test]
    fn what_the_line_cannot_carry_is_no_rate() {
        assert_eq!(rate(Bits64(0), Bits64(2_000_000), 1.0, Some(1.25e6)), Err(NoRate::Implausible));
        assert_eq!(rate(Bits32(0), Bits32(2_000_000), 1.0, Some(1.25e6)), Err(NoRate::Implausible));
        assert_eq!(rate(Bits32(0), Bits64(10), 1.0, None), Err(NoRate::SizeChanged));
    }

    proptest! {
        #[test]
        fn a_rate_is_never_negative_nor_above_the_limit(
            before: u64, now: u64, small: bool, seconds in 0.01..1e6f64, limit in proptest::option::of(1.0..1e12f64),
        ) {
            let reading = |value: u64| if small { Bits32(value as u32) } else { Bits64(value) };
            if let Ok(rate) = rate(reading(before), reading(now), seconds, limit) {
                prop_assert!(rate >= 0.0 && limit.is_none_or(|limit| rate <= limit));
            }
        }
    }
}
