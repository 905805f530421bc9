//! Local days and hours: in which slot of the week a moment lies for people of a time zone.
//!
//! Not here: the machine's own zone, which is never asked for; writing times.
//!
//! Invariant: the same moment and zone always give the same slot: the rules of zones are those that were built in.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// 1970 began on a Thursday; weeks begin on Mondays.
const THURSDAY_S: i64 = 3 * DAY_S;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// No zone has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {0:?}; a name of the IANA database is meant, as Europe/Berlin")]
pub struct UnknownZone(pub String);

/// Where in the week a moment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Day of the week, Monday is 0.
    pub day: u8,
    /// Hour of the day, 0 to 23.
    pub hour: u8,
    /// Minute of the hour.
    pub minute: u8,
    /// Whether clocks were set back within the last hour, so that this hour is had for the second time.
    pub is_repeated: bool,
}

impl Slot {
    /// Hour of the week, 0 to 167.
    pub fn hour_of_week(self) -> usize {
        usize::from(self.day) * 24 + usize::from(self.hour)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The zone of this name in the IANA database.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        TimeZone::get(name).map(Self).map_err(|_| UnknownZone(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The slot of a moment in milliseconds since 1970 UTC. Moments beyond the calendar's end have UTC's.
    pub fn slot(&self, time_ms: i64) -> Slot {
        let offset_s = |time_ms: i64| match Timestamp::from_millisecond(time_ms) {
            Ok(moment) if *self != Self::UTC => i64::from(self.0.to_offset(moment).seconds()),
            _ => 0,
        };
        let now_s = offset_s(time_ms);
        let an_hour_ago = time_ms.saturating_sub(SignedDuration::from_hours(1).as_millis() as i64);
        let local_s = time_ms.div_euclid(1000).saturating_add(now_s);
        let second = local_s.rem_euclid(DAY_S);
        Slot {
            day: ((local_s.rem_euclid(7 * DAY_S) + THURSDAY_S) / DAY_S % 7) as u8,
            hour: (second / HOUR_S) as u8,
            minute: (second % HOUR_S / 60) as u8,
            is_repeated: *self != Self::UTC && offset_s(an_hour_ago) > now_s,
        }
    }
}

/// A zone's clock as a table of its changes, because asking for its rules costs more than judging a sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LocalClock {
    name: Arc<str>,
    /// When clocks changed, in milliseconds since 1970 UTC, and what they were ahead of UTC from then on.
    changes: Arc<[(i64, i64)]>,
}

/// Changes are listed until 2100; later moments have the last one's.
const LISTED_UNTIL_S: i64 = 4_102_444_800;

impl LocalClock {
    /// Of a zone; that of UTC has no changes and costs nothing.
    pub fn of(zone: &Zone) -> Self {
        if *zone == Zone::UTC {
            return Self::default();
        }
        let begin = zone.0.to_offset(Timestamp::UNIX_EPOCH).seconds();
        let listed = zone.0.following(Timestamp::UNIX_EPOCH);
        let listed = listed.take_while(|change| change.timestamp().as_second() < LISTED_UNTIL_S);
        let changes = listed.map(|change| (change.timestamp().as_millisecond(), change.offset().seconds()));
        let all = std::iter::once((i64::MIN, begin)).chain(changes);
        Self {
            name: zone.name().into(),
            changes: all.map(|(at_ms, ahead_s)| (at_ms, i64::from(ahead_s) * 1000)).collect(),
        }
    }

    /// The zone's name; empty for UTC.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A number by which zones are told apart in what is written down; 0 for UTC.
    pub(crate) fn mark(&self) -> u16 {
        self.name.bytes().fold(0u16, |mark, byte| mark.wrapping_mul(31).wrapping_add(u16::from(byte)))
    }

    /// What a clock on the wall shows, as if it were UTC, and whether it shows it for the second time because it was set
    /// back.
    #[inline]
    pub(crate) fn local(&self, time_ms: i64) -> (i64, bool) {
        if self.changes.is_empty() { (time_ms, false) } else { self.looked_up(time_ms) }
    }

    fn looked_up(&self, time_ms: i64) -> (i64, bool) {
        let at = self.changes.partition_point(|(change_ms, _)| *change_ms <= time_ms).saturating_sub(1);
        let (change_ms, ahead_ms) = self.changes[at];
        let before_ms = if at > 0 { self.changes[at - 1].1 } else { ahead_ms };
        let is_repeated = time_ms.saturating_sub(change_ms) < before_ms - ahead_ms;
        (time_ms.saturating_add(ahead_ms), is_repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(zone: &str, second: i64) -> (u8, u8, u8, bool) {
        let Slot { day, hour, minute, is_repeated } = Zone::named(zone).unwrap().slot(second * 1000);
        (day, hour, minute, is_repeated)
    }

    #[test]
    fn clocks_that_are_set_back_repeat_an_hour_and_those_set_forward_skip_one() {
        // 2024-10-27 00:30, 01:30 and 02:30 UTC in Berlin: 02:30 summer time, 02:30 again, 03:30.
        let seconds = [1_729_989_000, 1_729_992_600, 1_729_996_200];
        let told = seconds.map(|second| slot("Europe/Berlin", second));
        assert_eq!(told, [(6, 2, 30, false), (6, 2, 30, true), (6, 3, 30, false)]);
        // 2024-03-31 00:59 and 01:00 UTC: 01:59 and 03:00.
        let told = [1_711_846_740, 1_711_846_800].map(|second| slot("Europe/Berlin", second));
        assert_eq!(told, [(6, 1, 59, false), (6, 3, 0, false)]);
    }

    #[test]
    fn the_table_of_a_clock_says_what_the_rules_say() {
        for name in ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"] {
            let zone = Zone::named(name).unwrap();
            let clock = LocalClock::of(&zone);
            // Every seventh hour of ten years.
            for hour in (0..87_600).step_by(7) {
                let time_ms = 1_577_836_800_000 + hour * 3_600_000;
                let (slot, (local_ms, is_repeated)) = (zone.slot(time_ms), clock.local(time_ms));
                let second = local_ms.div_euclid(1000).rem_euclid(DAY_S);
                assert_eq!((second / HOUR_S, second % HOUR_S / 60), (i64::from(slot.hour), i64::from(slot.minute)));
                assert_eq!(is_repeated, slot.is_repeated && name != "Australia/Lord_Howe", "{name} {time_ms}");
            }
        }
        assert_eq!(LocalClock::of(&Zone::UTC).local(5), (5, false));
        let berlin = LocalClock::of(&Zone::named("Europe/Berlin").unwrap());
        assert!(berlin.mark() != 0 && LocalClock::default().mark() == 0 && berlin.name() == "Europe/Berlin");
        // 2024-10-27 00:30 and 01:30 UTC are 02:30 twice.
        assert_eq!([1_729_989_000_000, 1_729_992_600_000].map(|time_ms| berlin.local(time_ms).1), [false, true]);
    }

    #[test]
    fn universal_time_needs_no_rules_and_unknown_zones_are_named() {
        // 2024-01-01 00:00 UTC was a Monday.
        assert_eq!(slot("UTC", 1_704_067_200), (0, 0, 0, false));
        assert_eq!(slot("America/New_York", 1_704_067_200), (6, 19, 0, false));
        assert_eq!(Zone::UTC.slot(-1000).hour_of_week(), 2 * 24 + 23);
        assert!(Zone::named("Europe/Atlantis").unwrap_err().to_string().contains("Atlantis"));
        assert!(!Zone::UTC.slot(i64::MAX).is_repeated);
    }
}
