//! What a series does again and again: unusual among its samples, yet no news.
//!
//! A calibrator counts samples; the budget counts events. The largest deviations of the last events are kept, and an
//! event like which there were more than two a week is a habit of the series (a job that runs at odd hours, a burst), not
//! an anomaly, however far it is from the rest. One that goes well beyond its likes is news again.
//!
//! Not here: whether a sample is unusual (see `ensemble`); what recurs by the clock (see `baseline`).
//!
//! Invariant: never more than a fixed number of events is kept.

use serde::{Deserialize, Serialize};

/// So many alike in a month are a habit: two a week.
const LIKES_MIN: usize = 8;

/// Events kept, of either side and any size.
const EVENTS: usize = 12;

/// How long an event counts.
const MONTH_MINUTES: u32 = 30 * 1440;

/// An event of at least this share of another's deviation is like it.
const LIKE: f32 = 0.7;

/// What is known of a series' events; nothing, and without memory, until the first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Habit(Option<Box<Events>>);

/// The last events' times and largest deviations.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Events {
    minutes: [u32; EVENTS],
    peaks: [f32; EVENTS],
    newest: u8,
}

impl Habit {
    /// Bytes held outside of itself now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |_| size_of::<Events>())
    }

    /// Whether enough events of the last month deviated to the same side at least nearly as much.
    pub(crate) fn knows(&self, time_ms: i64, deviation: f64) -> bool {
        let (now, deviation) = (minute(time_ms), deviation as f32);
        let is_like = |peak: f32| peak != 0.0 && peak * deviation.signum() >= LIKE * deviation.abs();
        let is_late = |at: u32| now.wrapping_sub(at) <= MONTH_MINUTES;
        let Some(Events { minutes, peaks, .. }) = self.0.as_deref() else { return false };
        minutes.iter().zip(peaks).filter(|(at, peak)| is_late(**at) && is_like(**peak)).count() >= LIKES_MIN
    }

    /// An event begins; the oldest is forgotten.
    pub(crate) fn begin(&mut self, time_ms: i64, deviation: f64) {
        let events = self.0.get_or_insert_default();
        events.newest = (events.newest + 1) % EVENTS as u8;
        let at = usize::from(events.newest);
        (events.minutes[at], events.peaks[at]) = (minute(time_ms), deviation as f32);
    }

    /// The event that began last goes on.
    pub(crate) fn go_on(&mut self, deviation: f64) {
        let Some(events) = &mut self.0 else { return };
        let peak = &mut events.peaks[usize::from(events.newest)];
        if deviation.abs() as f32 > peak.abs() && deviation.signum() as f32 == peak.signum() {
            *peak = deviation as f32;
        }
    }
}

fn minute(time_ms: i64) -> u32 {
    time_ms.div_euclid(60_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn after(events: i64, peak: f64) -> Habit {
        let mut habit = Habit::default();
        (0..events).for_each(|day| habit.begin(day * DAY_MS, peak));
        habit
    }

    #[test]
    fn the_ninth_of_a_kind_within_a_month_is_a_habit() {
        assert!(!after(7, 50.0).knows(8 * DAY_MS, 50.0));
        assert!(after(8, 50.0).knows(8 * DAY_MS, 50.0));
        assert!(!after(8, 50.0).knows(60 * DAY_MS, 50.0));
    }

    #[test]
    fn greater_ones_and_those_to_the_other_side_are_none() {
        let habit = after(12, 50.0);
        assert!(habit.knows(12 * DAY_MS, 20.0) && habit.knows(12 * DAY_MS, 70.0));
        assert!(!habit.knows(12 * DAY_MS, 80.0) && !habit.knows(12 * DAY_MS, -50.0));
    }

    #[test]
    fn an_event_counts_by_its_peak() {
        let mut habit = Habit::default();
        for day in 0..8 {
            habit.begin(day * DAY_MS, 10.0);
            [40.0, -90.0, 30.0].iter().for_each(|deviation| habit.go_on(*deviation));
        }
        assert!(habit.knows(9 * DAY_MS, 50.0) && !habit.knows(9 * DAY_MS, 60.0));
    }
}
