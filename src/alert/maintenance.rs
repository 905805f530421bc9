//! Maintenance: spans of time, once or recurring, in which trouble with matching series is expected.
//!
//! Not here: when something recurs (see `recurrence`).
//!
//! Invariant: a window that recurs lasts as long each time as it does the first time.

use super::conditions::Conditions;
use super::record::Fingerprint;
use super::recurrence::{NoRecurrence, Recurrence};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The longest window.
pub const LENGTH_MS_MAX: i64 = 31 * 86_400_000;

/// One window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Window {
    /// Its identity.
    pub id: Fingerprint,
    /// Which series; alerts are matched by the same labels.
    pub conditions: Conditions,
    /// When it starts, for the first time; milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// When it ends, for the first time.
    pub end_ms: i64,
    /// When it comes again: cron or RRULE; empty for never.
    pub recurrence: String,
    /// The zone in which it recurs.
    pub timezone: String,
    /// Why.
    pub reason: String,
    /// The recurrence, once it was read.
    #[serde(skip)]
    parsed: OnceLock<Option<Recurrence>>,
}

/// Where a window stands at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is over and does not come again.
    Past,
    /// It goes on.
    Active,
    /// It comes (again).
    Upcoming,
}

impl Standing {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Past => "past",
            Self::Active => "active",
            Self::Upcoming => "upcoming",
        }
    }
}

impl Window {
    /// A window of these conditions from `start_ms` to `end_ms`, and again whenever `recurrence` says.
    ///
    /// # Errors
    /// When the recurrence or the zone is not understood.
    pub fn new(
        (start_ms, end_ms): (i64, i64),
        conditions: Conditions,
        (recurrence, timezone): (String, String),
        reason: String,
    ) -> Result<Self, NoRecurrence> {
        // An unknown zone is refused even where nothing recurs in it yet.
        let parsed =
            Recurrence::parse(if recurrence.is_empty() { "0 0 * * *" } else { &recurrence }, &timezone, start_ms)?;
        let parsed = (!recurrence.is_empty()).then_some(parsed);
        let text = format!("{start_ms} {end_ms} {conditions} {recurrence} {timezone}");
        let id = Fingerprint::of("maintenance", text.as_bytes());
        Ok(Self { id, conditions, start_ms, end_ms, recurrence, timezone, reason, parsed: OnceLock::from(parsed) })
    }

    fn parsed(&self) -> Option<&Recurrence> {
        let read = || match self.recurrence.as_str() {
            "" => None,
            text => Recurrence::parse(text, &self.timezone, self.start_ms).ok(),
        };
        self.parsed.get_or_init(read).as_ref()
    }

    /// Start and end of what goes on at `now_ms`.
    pub fn span_at(&self, now_ms: i64) -> Option<(i64, i64)> {
        let length_ms = self.end_ms - self.start_ms;
        let start_ms = match self.parsed() {
            None => (self.start_ms..self.end_ms).contains(&now_ms).then_some(self.start_ms),
            Some(recurrence) => recurrence.last_start(now_ms - length_ms, now_ms),
        };
        start_ms.map(|start_ms| (start_ms, start_ms + length_ms))
    }

    /// The next start after `now_ms`.
    pub fn next_start(&self, now_ms: i64) -> Option<i64> {
        match self.parsed() {
            None => Some(self.start_ms).filter(|start_ms| *start_ms > now_ms),
            Some(recurrence) => recurrence.next_start(now_ms),
        }
    }

    /// Its spans that touch `from_ms..to_ms`, in order; `most` at most.
    pub fn spans(&self, from_ms: i64, to_ms: i64, most: usize) -> Vec<(i64, i64)> {
        let length_ms = self.end_ms - self.start_ms;
        let mut found: Vec<(i64, i64)> = self.span_at(from_ms).into_iter().collect();
        let mut last_ms = found.last().map_or(from_ms, |(start_ms, _)| *start_ms);
        while let Some(start_ms) = self.next_start(last_ms).filter(|start_ms| *start_ms < to_ms && found.len() < most) {
            if start_ms >= from_ms {
                found.push((start_ms, start_ms + length_ms));
            }
            last_ms = start_ms;
        }
        found
    }

    /// Where it stands.
    pub fn standing(&self, now_ms: i64) -> Standing {
        match () {
            () if self.span_at(now_ms).is_some() => Standing::Active,
            () if self.next_start(now_ms).is_some() => Standing::Upcoming,
            () => Standing::Past,
        }
    }

    /// Whether trouble with a series of these labels is expected at this time.
    pub fn covers(&self, labels: &BTreeMap<String, String>, time_ms: i64) -> bool {
        self.conditions.hold(labels) && self.span_at(time_ms).is_some()
    }

    /// The last span that ended in `after_ms + 1 ..= now_ms`.
    pub fn last_ended(&self, after_ms: i64, now_ms: i64) -> Option<(i64, i64)> {
        let length_ms = self.end_ms - self.start_ms;
        let start_ms = match self.parsed() {
            None => (after_ms < self.end_ms && self.end_ms <= now_ms).then_some(self.start_ms),
            Some(recurrence) => recurrence.last_start(after_ms - length_ms, now_ms - length_ms),
        };
        start_ms.map(|start_ms| (start_ms, start_ms + length_ms))
    }
}

/// The windows of one series, asked about times in order.
#[derive(Debug, Clone)]
pub struct Coverage {
    windows: Vec<Arc<Window>>,
    /// What holds from the time that was asked about last until the next change.
    covers: bool,
    until_ms: i64,
}

impl Coverage {
    /// Of these labels; `None` where no window concerns them.
    pub fn of<'a>(windows: impl Iterator<Item = &'a Arc<Window>>, labels: &BTreeMap<String, String>) -> Option<Self> {
        let windows: Vec<_> = windows.filter(|window| window.conditions.hold(labels)).cloned().collect();
        (!windows.is_empty()).then_some(Self { windows, covers: false, until_ms: i64::MIN })
    }

    /// Whether one of them goes on at a time, which is not before the one asked about last.
    pub fn covers(&mut self, time_ms: i64) -> bool {
        if time_ms >= self.until_ms {
            let change_ms = |window: &Arc<Window>| match window.span_at(time_ms) {
                Some((_, end_ms)) => (true, end_ms),
                None => (false, window.next_start(time_ms).unwrap_or(i64::MAX)),
            };
            let found = self.windows.iter().map(change_ms);
            (self.covers, self.until_ms) =
                found.fold((false, i64::MAX), |(any, first), (one, at)| (any || one, first.min(at)));
        }
        self.covers
    }

    /// Whether one of them goes on at any time from `from_ms`, which is not before the time asked about last, until before
    /// `to_ms`.
    pub fn covers_any(&mut self, from_ms: i64, to_ms: i64) -> bool {
        self.covers(from_ms) || self.until_ms < to_ms
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::tests::labels;
    use super::*;
    use storage::label_index::Matcher;

    const HOUR: i64 = 3_600_000;

    fn window(recurrence: &str) -> Window {
        let conditions = Conditions::of(vec![Matcher::equal("host", "a")]);
        Window::new((10 * HOUR, 11 * HOUR), conditions, (recurrence.to_owned(), "UTC".to_owned()), String::new())
            .unwrap()
    }

    #[test]
    fn a_window_of_one_time_covers_its_span_and_matching_series_alone() {
        let window = window("");
        let host = labels(&[("host", "a")]);
        let covered = [10 * HOUR - 1, 10 * HOUR, 11 * HOUR - 1, 11 * HOUR].map(|at| window.covers(&host, at));
        assert_eq!(covered, [false, true, true, false]);
        assert!(!window.covers(&labels(&[("host", "b")]), 10 * HOUR));
        let words = [0, 10 * HOUR, 12 * HOUR].map(|at| window.standing(at).as_str());
        assert_eq!(words, ["upcoming", "active", "past"]);
    }

    #[test]
    fn a_recurring_window_lasts_as_long_each_time_and_outlives_being_written_down() {
        let written = serde_json::to_string(&window("0 10 * * *")).unwrap();
        let read: Window = serde_json::from_str(&written).unwrap();
        for window in [window("0 10 * * *"), read] {
            assert_eq!(window.span_at(34 * HOUR + 1), Some((34 * HOUR, 35 * HOUR)));
            assert_eq!(window.span_at(35 * HOUR), None);
            assert_eq!(
                (window.next_start(35 * HOUR), window.standing(35 * HOUR)),
                (Some(58 * HOUR), Standing::Upcoming)
            );
        }
    }

    #[test]
    fn a_series_is_covered_while_any_of_its_windows_goes_on() {
        let windows = [window("0 10 * * *"), window("")].map(Arc::new);
        let mut coverage = Coverage::of(windows.iter(), &labels(&[("host", "a")])).unwrap();
        for minute in 0..3 * 1440 {
            let time_ms = minute * 60_000;
            assert_eq!(coverage.covers(time_ms), (600..660).contains(&(minute % 1440)), "{minute}");
        }
        assert!(Coverage::of(windows.iter(), &labels(&[("host", "b")])).is_none());
        // From ten to eleven every day: a span is covered as soon as any of its minutes is.
        for (from, to, any) in
            [(599, 600, false), (599, 601, true), (630, 631, true), (659, 700, true), (660, 2040, false)]
        {
            let mut coverage = Coverage::of(windows.iter(), &labels(&[("host", "a")])).unwrap();
            assert_eq!(coverage.covers_any(from * 60_000, to * 60_000), any, "{from} {to}");
        }
        assert_eq!(windows[0].last_ended(34 * HOUR, 35 * HOUR), Some((34 * HOUR, 35 * HOUR)));
        assert_eq!(windows[0].last_ended(35 * HOUR, 58 * HOUR), None);
        assert_eq!(windows[1].last_ended(0, 90 * HOUR), Some((10 * HOUR, 11 * HOUR)));
    }

    #[test]
    fn a_calendar_has_what_comes_once_and_what_comes_again() {
        let day = 24 * HOUR;
        let daily: Vec<_> = window("0 10 * * *").spans(10 * HOUR + 1, 3 * day, 100);
        assert_eq!(
            daily,
            [10, 34, 58].map(|hour| (hour * HOUR, (hour + 1) * HOUR)),
            "what goes on at its begin counts"
        );
        assert_eq!(window("0 10 * * *").spans(0, 1000 * day, 5).len(), 5);
        assert_eq!(window("").spans(0, 3 * day, 100), [(10 * HOUR, 11 * HOUR)]);
        assert_eq!(window("").spans(11 * HOUR, 3 * day, 100), []);
    }

    #[test]
    fn an_unknown_zone_is_refused_even_for_one_time() {
        let zone = ("".to_owned(), "Nowhere".to_owned());
        assert!(Window::new((0, 1), Conditions::default(), zone, String::new()).is_err());
    }
}
