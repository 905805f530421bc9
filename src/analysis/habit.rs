//! What a series does again and again: unusual among its samples, yet no news.
//!
//! A calibrator counts samples; the budget counts events. The largest deviations of the last events are kept, and an
//! event like which there were more than two a week is a habit of the series (a job that runs at odd hours, a burst), not
//! an anomaly, however far it is from the rest. So is one like which there was one at about the same time on three days of
//! the last week (a job whose start is not sharp). One that goes well beyond its likes is news again.
//!
//! Of a finished series all events are known: what is more frequent than the rarest quantile that calibration follows is
//! part of it ([`Habit::look_back`]).
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

/// At about the same time of day: so many minutes before or after.
const SAME_TIME_MINUTES: u32 = 30;
const DAY_MINUTES: u32 = 1440;

/// Of the last days of a week, on how many the like must have happened at that time.
const DAYS_ALIKE: usize = 3;

/// Share of a finished series' samples from which events of a kind are part of it.
const PART_SHARE: f64 = 0.005;

/// The last events' times and largest deviations.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Events {
    minutes: [u32; EVENTS],
    peaks: [f32; EVENTS],
    newest: u8,
    /// How far events above and below go that are part of a finished series; 0 where none are.
    part: [f32; 2],
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
        let likes = || minutes.iter().zip(peaks).filter(|(at, peak)| is_late(**at) && is_like(**peak));
        let happened = |days: &u32| {
            let then = now.wrapping_sub(days * DAY_MINUTES);
            likes().any(|(at, _)| then.wrapping_sub(*at).wrapping_add(SAME_TIME_MINUTES) <= 2 * SAME_TIME_MINUTES)
        };
        likes().count() >= LIKES_MIN || (1..=7).filter(happened).count() >= DAYS_ALIKE
    }

    /// Takes the largest residuals of all unusual runs of a finished series of so many samples.
    pub(crate) fn look_back(&mut self, peaks: &[f32], samples: usize) {
        let likes = LIKES_MIN.max((PART_SHARE * samples as f64).ceil() as usize);
        let reach = |is_side: fn(&f32) -> bool| {
            let mut side: Vec<f32> = peaks.iter().copied().filter(is_side).map(f32::abs).collect();
            side.sort_unstable_by(|left, right| right.total_cmp(left));
            side.get(likes - 1).map_or(0.0, |peak| peak / LIKE)
        };
        let part = [reach(|peak| *peak > 0.0), reach(|peak| *peak < 0.0)];
        if part != [0.0; 2] {
            self.0.get_or_insert_default().part = part;
        }
    }

    /// Whether an event with this residual is part of the finished series.
    pub(crate) fn is_part(&self, deviation: f64) -> bool {
        let part = self.0.as_deref().map_or([0.0; 2], |events| events.part);
        deviation.abs() as f32 <= part[usize::from(deviation < 0.0)]
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

/// Minutes since 1970, for spans of less than some thousand years.
pub(crate) fn minute(time_ms: i64) -> u32 {
    time_ms.div_euclid(60_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn after(events: i64, peak: f64) -> Habit {
        // At another hour each day.
        let mut habit = Habit::default();
        (0..events).for_each(|day| habit.begin(day * DAY_MS + day * 7 % 24 * DAY_MS / 24, peak));
        habit
    }

    #[test]
    fn the_ninth_of_a_kind_within_a_month_is_a_habit() {
        assert!(!after(7, 50.0).knows(8 * DAY_MS, 50.0));
        assert!(after(8, 50.0).knows(8 * DAY_MS, 50.0));
        assert!(!after(8, 50.0).knows(60 * DAY_MS, 50.0));
    }

    #[test]
    fn the_fourth_at_about_the_same_time_of_day_is_a_habit() {
        const HOUR_MS: i64 = 3_600_000;
        let at = |times_ms: &[i64]| {
            let mut habit = Habit::default();
            times_ms.iter().for_each(|time_ms| habit.begin(100 * DAY_MS + time_ms, 50.0));
            habit.knows(104 * DAY_MS, 50.0)
        };
        let minutes = |minutes: i64| minutes * 60_000;
        assert!(at(&[DAY_MS + minutes(20), 2 * DAY_MS - minutes(25), 3 * DAY_MS + minutes(5)]));
        assert!(!at(&[DAY_MS, 2 * DAY_MS]), "twice may be chance");
        assert!(!at(&[3 * DAY_MS - minutes(20), 3 * DAY_MS, 3 * DAY_MS + minutes(20)]), "one day is no rhythm");
        assert!(!at(&[DAY_MS + 5 * HOUR_MS, 2 * DAY_MS + 9 * HOUR_MS, 3 * DAY_MS + 2 * HOUR_MS]));
    }

    #[test]
    fn of_a_finished_series_what_is_frequent_is_part_of_it() {
        let mut habit = Habit::default();
        let peaks: Vec<f32> = (0..12).map(|at| if at == 0 { 400.0 } else { -40.0 }).collect();
        habit.look_back(&peaks, 3000);
        assert!(!habit.is_part(-40.0), "12 of 3000 are no 15");
        habit.look_back(&peaks, 1000);
        assert!(habit.is_part(-40.0) && habit.is_part(-56.0) && !habit.is_part(-60.0));
        assert!(!habit.is_part(40.0) && !habit.is_part(400.0));
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
