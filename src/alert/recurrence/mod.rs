//! When something happens again: the five fields of cron, or an RRULE (RFC 5545, 3.3.10), in a time zone.
//!
//! Both are a condition on the local date and a set of times of the day, which is all that is evaluated.
//!
//! Not here: what happens then and how long it lasts (see `maintenance` and `reports`); rules by the hour, minute or second and
//! `BYSETPOS`, `BYWEEKNO`, `BYYEARDAY`, which are refused by name.
//!
//! Invariants: nothing happens before the first start; a local time that a change of the clocks skips happens as much
//! later as was skipped, one that comes twice happens at its first coming.

mod cron;
mod rrule;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const DAY_MS: i64 = 86_400_000;
/// How far ahead the next start is looked for: a leap day comes within eight years.
const HORIZON_DAYS: i64 = 8 * 366;

/// Why a text is no recurrence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoRecurrence(pub(super) String);

/// A recurrence with its zone and its first start.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    dates: Dates,
    /// Times of the day, in order.
    times: Vec<Time>,
    zone: TimeZone,
    first_ms: i64,
    /// Whether the first start counts although the rule may not name it (RFC 5545 says so of RRULE).
    takes_first: bool,
    /// The last start there may be.
    until_ms: i64,
}

/// A condition on a date.
#[derive(Debug, Clone, PartialEq)]
enum Dates {
    Cron(cron::Fields),
    Rule(rrule::Rule),
}

impl Recurrence {
    /// Of the text of a cron line or an RRULE, from its first start on.
    ///
    /// # Errors
    /// Says what about the text or the zone is not understood.
    pub fn parse(text: &str, zone: &str, first_ms: i64) -> Result<Self, NoRecurrence> {
        let zone =
            TimeZone::get(zone).map_err(|_| NoRecurrence(format!("{zone:?} is no time zone such as Europe/Berlin")))?;
        let first = Timestamp::from_millisecond(first_ms).map_err(|error| NoRecurrence(error.to_string()))?;
        let first = first.to_zoned(zone.clone());
        let whole = Self {
            dates: Dates::Cron(cron::Fields::default()),
            times: Vec::new(),
            zone,
            first_ms,
            takes_first: false,
            until_ms: i64::MAX,
        };
        let text = text.trim();
        if !text.contains('=') {
            let (fields, times) = cron::parse(text)?;
            return Ok(Self { dates: Dates::Cron(fields), times, ..whole });
        }
        let parsed = rrule::parse(text, &first)?;
        let mut recurrence = Self { dates: Dates::Rule(parsed.rule), times: parsed.times, takes_first: true, ..whole };
        recurrence.until_ms = parsed.until_ms.unwrap_or(i64::MAX);
        if let Some(count) = parsed.count {
            let last = recurrence.starts(first.date(), i64::MAX).take(count).last();
            recurrence.until_ms = last.unwrap_or(first_ms);
        }
        Ok(recurrence)
    }

    /// The last start in `after_ms + 1 ..= at_ms`.
    pub fn last_start(&self, after_ms: i64, at_ms: i64) -> Option<i64> {
        // A local date may be that of an hour up to a day off.
        let date = self.date(after_ms.max(self.first_ms).saturating_sub(DAY_MS))?;
        self.starts(date, at_ms.saturating_add(DAY_MS))
            .take_while(|start| *start <= at_ms)
            .filter(|start| *start > after_ms)
            .last()
    }

    /// The first start after `after_ms`, if there is one within eight years.
    pub fn next_start(&self, after_ms: i64) -> Option<i64> {
        let date = self.date(after_ms.max(self.first_ms).saturating_sub(DAY_MS))?;
        self.starts(date, i64::MAX).find(|start| *start > after_ms)
    }

    fn date(&self, time_ms: i64) -> Option<Date> {
        Timestamp::from_millisecond(time_ms).ok().map(|time| time.to_zoned(self.zone.clone()).date())
    }

    /// Starts from a date on, in order, as far as anybody looks.
    fn starts(&self, from: Date, to_ms: i64) -> impl Iterator<Item = i64> {
        let first = self.date(self.first_ms).unwrap_or(from);
        let dates = (0..HORIZON_DAYS).map_while(move |day| from.checked_add(day.days()).ok());
        let until_ms = self.until_ms.min(to_ms);
        let of_date = move |date: Date| {
            let is_named = self.dates.hold(date, first);
            let times = self.times.iter().filter(move |_| is_named);
            let mut starts: Vec<i64> = times.filter_map(|time| self.ms(date, *time)).collect();
            if self.takes_first && date == first && !starts.contains(&self.first_ms) {
                starts.push(self.first_ms);
            }
            starts.sort_unstable();
            starts
        };
        let starts = dates.flat_map(of_date).skip_while(|start| *start < self.first_ms);
        starts.take_while(move |start| *start <= until_ms)
    }

    fn ms(&self, date: Date, time: Time) -> Option<i64> {
        date.to_datetime(time).to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp().as_millisecond())
    }
}

impl Dates {
    fn hold(&self, date: Date, first: Date) -> bool {
        match self {
            Self::Cron(fields) => fields.hold(date),
            Self::Rule(rule) => rule.holds(date, first),
        }
    }
}

/// A number between two others, both included.
fn number(text: &str, least: i8, most: i8, what: &str) -> Result<i8, NoRecurrence> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| NoRecurrence(format!("{text:?} is no {what} from {least} to {most}")))
}

#[cfg(test)]
mod tests;
