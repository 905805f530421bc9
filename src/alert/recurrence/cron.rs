//! The five fields of a cron line (POSIX crontab): minute, hour, day of the month, month, day of the week.
//!
//! Not here: `@daily` and the like, seconds and years, which are refused.

use super::{NoRecurrence, number};
use jiff::civil::{Date, Time};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The dates of a line, as sets of bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fields {
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Whether either day field begins with a star; else a day need satisfy only one of them.
    both_days: bool,
}

/// The dates of a line and its times of the day.
pub(super) fn parse(text: &str) -> Result<(Fields, Vec<Time>), NoRecurrence> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        let found = fields.len();
        return Err(NoRecurrence(format!("expected the five fields of a cron line or an RRULE, found {found} fields")));
    };
    let minutes = set(minute, 0, 59, "minute", &[])?;
    let hours = set(hour, 0, 23, "hour", &[])?;
    let weekdays = set(weekday, 0, 7, "day of the week", &WEEKDAYS)?;
    let fields = Fields {
        days: set(day, 1, 31, "day of the month", &[])?,
        months: set(month, 1, 12, "month", &MONTHS)?,
        // Both 0 and 7 are Sunday.
        weekdays: weekdays | weekdays >> 7,
        both_days: day.starts_with('*') || weekday.starts_with('*'),
    };
    let times = (0..24).filter(|hour| hours >> hour & 1 == 1);
    let times =
        times.flat_map(|hour| (0..60).filter(|minute| minutes >> minute & 1 == 1).map(move |minute| (hour, minute)));
    Ok((fields, times.filter_map(|(hour, minute)| Time::new(hour, minute, 0, 0).ok()).collect()))
}

impl Fields {
    /// Whether the line names this date.
    pub(super) fn hold(&self, date: Date) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().to_sunday_zero_offset() & 1 == 1;
        let is_day = if self.both_days { day && weekday } else { day || weekday };
        is_day && self.months >> date.month() & 1 == 1
    }
}

/// The numbers of a field such as `*/15`, `1-5`, `mon,wed` as bits.
fn set(field: &str, least: i8, most: i8, what: &str, names: &[&str]) -> Result<u64, NoRecurrence> {
    let value = |text: &str| match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        Some(at) => Ok(at as i8 + least),
        None => number(text, least, most, what),
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map_or(Ok(1), |step| number(step, 1, most.max(1), "step"))?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            // As cron reads it, a step after a single number goes on to the end.
            None => (value(range)?, if part.contains('/') { most } else { value(range)? }),
        };
        if to < from {
            return Err(NoRecurrence(format!("{range:?} ends before it begins")));
        }
        (from..=to).step_by(step as usize).for_each(|at| bits |= 1 << at);
    }
    Ok(bits)
}
