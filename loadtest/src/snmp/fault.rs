//! What simulated devices do wrong, and when.
//!
//! Not here: the answers themselves (see `agent`).
//!
//! Invariant: the same seed gives the same decisions; only the instants of requests differ between runs.

use clap::ValueEnum;

/// Splitmix64 (Steele, Lea and Flood, 2014): small, and good enough to decide what goes wrong.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `most`, which is above 0.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// One way to be a bad device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Nothing is wrong.
    None,
    /// One answer in ten is lost.
    Drop,
    /// Answers come late, some of them after they were given up.
    Delay,
    /// Every answer comes twice.
    Duplicate,
    /// Answers are held back and come after the next one.
    Reorder,
    /// The counters of a line begin again, and the device tells.
    Reset,
    /// The counters of a line begin again, and nothing tells.
    SilentReset,
    /// The device starts again.
    Reboot,
    /// Its 32-bit counters pass their end; it has no others.
    Wrap,
    /// Its 64-bit counters pass their end.
    WrapWide,
    /// Its sysUpTime passes its end.
    WrapUptime,
    /// Its 64-bit counters stand at 0.
    Stuck,
    /// It never answers.
    Dead,
    /// It does not answer for a while.
    Away,
    /// It refuses answers of more than 20 variables.
    TooBig,
    /// It answers less than it is asked for.
    Short,
    /// At the end of a column it begins again.
    NotIncreasing,
    /// Its lines get other indexes.
    Renumber,
    /// Somebody else answers before it does.
    Spoof,
}

/// How often things happen to a device, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two events, on average.
    pub(super) event_ms: u64,
    /// How long an answer is waited for.
    pub(super) timeout_ms: u64,
}

/// Which events are due.
#[derive(Debug)]
pub(super) struct Schedule {
    next_ms: u64,
    pace: Pace,
    random: Random,
}

impl Schedule {
    pub(super) fn new(pace: Pace, seed: u64) -> Schedule {
        let mut random = Random::new(seed);
        let next_ms = pace.event_ms / 2 + random.below(pace.event_ms);
        Schedule { next_ms, pace, random }
    }

    /// Whether an event has come due since this was asked last.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        if now_ms < self.next_ms {
            return false;
        }
        self.next_ms = now_ms + self.pace.event_ms / 2 + self.random.below(self.pace.event_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_at_their_pace() {
        let mut schedule = Schedule::new(Pace { event_ms: 1000, timeout_ms: 1 }, 3);
        let due = (0..100_000).filter(|now_ms| schedule.is_due(*now_ms)).count();
        assert!((70..140).contains(&due), "{due}");
    }
}
