//! RRULE by the day and longer: `FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;BYHOUR=2;BYMINUTE=30;COUNT=10` (RFC 5545, 3.3.10).
//!
//! Not here: `DTSTART`, which is the first start of what recurs.

use super::{NoRecurrence, number};
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit, Zoned};

/// Most starts that `COUNT` may ask for.
const COUNT_MAX: usize = 10_000;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    Day,
    Week,
    Month,
    Year,
}

/// The dates of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    every: Every,
    interval: i32,
    /// Days of the week, each with its number in the month or year: 2 the second, -1 the last, 0 every one.
    by_day: Vec<(i8, Weekday)>,
    by_month_day: Vec<i8>,
    by_month: Vec<i8>,
    week_start: Weekday,
}

/// A rule with all that its text says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) rule: Rule,
    pub(super) times: Vec<Time>,
    pub(super) count: Option<usize>,
    pub(super) until_ms: Option<i64>,
}

/// Of a text, `RRULE:` before it or not, for something that first starts at `first`.
pub(super) fn parse(text: &str, first: &Zoned) -> Result<Parsed, NoRecurrence> {
    let text = text.strip_prefix("RRULE:").unwrap_or(text);
    let (mut every, mut hours, mut minutes) = (None, Vec::new(), Vec::new());
    let (mut count, mut until_ms) = (None, None);
    let (by_day, by_month_day, by_month) = (Vec::new(), Vec::new(), Vec::new());
    let mut rule = Rule { every: Every::Day, interval: 1, by_day, by_month_day, by_month, week_start: Weekday::Monday };
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| NoRecurrence(format!("{part:?} says nothing")))?;
        match name {
            "FREQ" => every = Some(frequency(value)?),
            "INTERVAL" => {
                let interval = value.parse().ok().filter(|interval| (1..=1000).contains(interval));
                rule.interval =
                    interval.ok_or_else(|| NoRecurrence(format!("{value:?} is no INTERVAL from 1 to 1000")))?;
            }
            "COUNT" => {
                let number = value.parse().ok().filter(|number| (1..=COUNT_MAX).contains(number));
                count =
                    Some(number.ok_or_else(|| NoRecurrence(format!("{value:?} is no COUNT from 1 to {COUNT_MAX}")))?);
            }
            "UNTIL" => until_ms = Some(until(value, first.time_zone())?),
            "BYDAY" => rule.by_day = value.split(',').map(day).collect::<Result<_, _>>()?,
            "BYMONTHDAY" => rule.by_month_day = month_days(value)?,
            "BYMONTH" => rule.by_month = numbers(value, 1, 12, name)?,
            "BYHOUR" => hours = numbers(value, 0, 23, name)?,
            "BYMINUTE" => minutes = numbers(value, 0, 59, name)?,
            "BYSECOND" if value == "0" => {}
            "WKST" => rule.week_start = weekday(value)?,
            other => return Err(NoRecurrence(format!("{other} is not supported"))),
        }
    }
    rule.every = every.ok_or_else(|| NoRecurrence("FREQ is missing".to_owned()))?;
    if !matches!(rule.every, Every::Month | Every::Year) && rule.by_day.iter().any(|(nth, _)| *nth != 0) {
        return Err(NoRecurrence("a number before a day asks for FREQ=MONTHLY or YEARLY".to_owned()));
    }
    let hours = if hours.is_empty() { vec![first.hour()] } else { hours };
    let minutes = if minutes.is_empty() { vec![first.minute()] } else { minutes };
    let times = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)));
    let mut times: Vec<Time> =
        times.filter_map(|(hour, minute)| Time::new(hour, minute, first.second(), 0).ok()).collect();
    times.sort_unstable();
    times.dedup();
    Ok(Parsed { rule, times, count, until_ms })
}

fn frequency(text: &str) -> Result<Every, NoRecurrence> {
    match text {
        "DAILY" => Ok(Every::Day),
        "WEEKLY" => Ok(Every::Week),
        "MONTHLY" => Ok(Every::Month),
        "YEARLY" => Ok(Every::Year),
        other => Err(NoRecurrence(format!("FREQ={other} is none of DAILY, WEEKLY, MONTHLY, YEARLY"))),
    }
}

fn numbers(text: &str, least: i8, most: i8, what: &str) -> Result<Vec<i8>, NoRecurrence> {
    text.split(',').map(|part| number(part, least, most, what)).collect()
}

fn month_days(text: &str) -> Result<Vec<i8>, NoRecurrence> {
    let days = numbers(text, -31, 31, "BYMONTHDAY")?;
    if days.contains(&0) { Err(NoRecurrence("BYMONTHDAY=0 is no day".to_owned())) } else { Ok(days) }
}

fn weekday(text: &str) -> Result<Weekday, NoRecurrence> {
    let found = WEEKDAYS.iter().find(|(name, _)| *name == text).map(|(_, weekday)| *weekday);
    found.ok_or_else(|| NoRecurrence(format!("{text:?} is no day such as MO or 2TU")))
}

fn day(text: &str) -> Result<(i8, Weekday), NoRecurrence> {
    let split = text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (nth, name) = text.split_at(split);
    let nth =
        if nth.is_empty() { 0 } else { number(nth.strip_prefix('+').unwrap_or(nth), -53, 53, "number of a day")? };
    Ok((nth, weekday(name)?))
}

fn until(text: &str, zone: &TimeZone) -> Result<i64, NoRecurrence> {
    let wrong = || NoRecurrence(format!("{text:?} is no UNTIL such as 20270131T020000Z or 20270131"));
    let (digits, is_utc) = text.strip_suffix('Z').map_or((text, false), |digits| (digits, true));
    let zone = if is_utc { TimeZone::UTC } else { zone.clone() };
    let time = match digits.len() {
        8 => Date::strptime("%Y%m%d", digits).map(|date| date.at(23, 59, 59, 999_000_000)),
        _ => DateTime::strptime("%Y%m%dT%H%M%S", digits),
    };
    let zoned = time.and_then(|time| time.to_zoned(zone)).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond())
}

impl Rule {
    /// Whether the rule names this date, when what recurs first starts on `first`.
    pub(super) fn holds(&self, date: Date, first: Date) -> bool {
        let months = (i32::from(date.year()) - i32::from(first.year())) * 12 + i32::from(date.month() - first.month());
        let is_in_step = match self.every {
            Every::Day => days_between(first, date) % self.interval == 0,
            Every::Week => days_between(self.week_of(first), self.week_of(date)) / 7 % self.interval == 0,
            Every::Month => months % self.interval == 0,
            Every::Year => (i32::from(date.year()) - i32::from(first.year())) % self.interval == 0,
        };
        is_in_step && (self.by_month.is_empty() || self.by_month.contains(&date.month())) && self.is_day(date, first)
    }

    fn is_day(&self, date: Date, first: Date) -> bool {
        let from_end = date.day() - date.days_in_month() - 1;
        let of_month = |day: &i8| *day == date.day() || *day == from_end;
        let is_month_day = self.by_month_day.is_empty() || self.by_month_day.iter().any(of_month);
        let is_weekday = self.by_day.is_empty() || self.by_day.iter().any(|(nth, day)| self.is_nth(date, *nth, *day));
        if !self.by_day.is_empty() || !self.by_month_day.is_empty() {
            return is_month_day && is_weekday;
        }
        match self.every {
            Every::Day => true,
            Every::Week => date.weekday() == first.weekday(),
            Every::Month => date.day() == first.day(),
            Every::Year if !self.by_month.is_empty() => date.day() == first.day(),
            Every::Year => (date.month(), date.day()) == (first.month(), first.day()),
        }
    }

    /// Whether a date is the `nth` of its weekday, counted in the month or, by the year without a month, in the year.
    fn is_nth(&self, date: Date, nth: i8, weekday: Weekday) -> bool {
        let in_year = self.every == Every::Year && self.by_month.is_empty();
        let (day, days) = match in_year {
            true => (date.day_of_year(), date.days_in_year()),
            false => (i16::from(date.day()), i16::from(date.days_in_month())),
        };
        let (from_start, from_end) = ((day - 1) / 7 + 1, -((days - day) / 7 + 1));
        date.weekday() == weekday && (nth == 0 || i16::from(nth) == from_start || i16::from(nth) == from_end)
    }

    fn week_of(&self, date: Date) -> Date {
        let back = i64::from(self.week_start.until(date.weekday()));
        date.checked_sub(back.days()).unwrap_or(date)
    }
}

fn days_between(from: Date, to: Date) -> i32 {
    from.until((Unit::Day, to)).map_or(0, |span| span.get_days())
}
