//! Where an axis has its marks and what stands at them: round numbers, and round times in UTC.
//!
//! Not here: pixels.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Steps of a day and less; all divide a day.
const STEPS_MS: [i64; 22] = [
    1,
    10,
    100,
    SECOND_MS,
    2 * SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    15 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
];
/// Longer steps, in months.
const STEPS_MONTHS: [i64; 9] = [1, 2, 3, 6, 12, 24, 60, 120, 1200];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A mark on the axis of time.
#[derive(Debug, PartialEq)]
pub(super) struct TimeTick {
    pub(super) time_ms: i64,
    /// Time of day, day or month.
    pub(super) label: String,
    /// What that is part of, where it changes: a day or a year.
    pub(super) context: Option<String>,
}

/// At most about `count` marks from one time to a later one.
pub(super) fn times(from_ms: i64, to_ms: i64, count: usize) -> Vec<TimeTick> {
    let wanted = (to_ms.saturating_sub(from_ms) / count.max(1) as i64).max(1);
    let week = [7 * DAY_MS, 14 * DAY_MS];
    let step = STEPS_MS.iter().chain(&week).copied().find(|step| *step >= wanted);
    let at: Vec<i64> = match step {
        Some(step) => {
            // Weeks begin on Mondays; 1970 began on a Thursday.
            let shift = if step >= 7 * DAY_MS { 4 * DAY_MS } else { 0 };
            let first = (from_ms - shift).div_euclid(step).saturating_add(1).saturating_mul(step).saturating_add(shift);
            let first = if (from_ms - shift).rem_euclid(step) == 0 { from_ms } else { first };
            (0..=count as i64 + 1).map(|i| first + i * step).take_while(|time_ms| *time_ms <= to_ms).collect()
        }
        None => months(from_ms, to_ms, wanted),
    };
    labelled(&at, step)
}

/// First days of months, as many months apart as it takes.
fn months(from_ms: i64, to_ms: i64, wanted_ms: i64) -> Vec<i64> {
    let fits = |months: &&i64| **months * 30 * DAY_MS >= wanted_ms;
    let step = STEPS_MONTHS.iter().find(fits).copied().unwrap_or(12_000);
    let Some(start) = civil(from_ms) else { return vec![from_ms, to_ms] };
    let first = i64::from(start.year()) * 12 + i64::from(start.month()) - 1;
    let time = |month: i64| {
        let year = i16::try_from(month.div_euclid(12)).ok()?;
        let date = Date::new(year, month.rem_euclid(12) as i8 + 1, 1).ok()?;
        Some(Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_millisecond())
    };
    let starts = (0..).map(|i| (first.div_euclid(step) + i) * step).map_while(time);
    starts.take_while(|time_ms| *time_ms <= to_ms).filter(|time_ms| *time_ms >= from_ms).collect()
}

/// Labels as exact as the step asks, with the day or year wherever it changes.
fn labelled(at: &[i64], step: Option<i64>) -> Vec<TimeTick> {
    let mut before = String::new();
    at.iter()
        .map(|time_ms| {
            let Some(time) = civil(*time_ms) else {
                return TimeTick { time_ms: *time_ms, label: format!("{time_ms} ms"), context: None };
            };
            let (day, month, year) = (time.day(), MONTHS[(time.month() - 1) as usize], time.year());
            let (label, context) = match step {
                Some(step) if step < SECOND_MS => {
                    (format!("{:02}.{:03}", time.second(), time.millisecond()), clock(time, false) + " UTC")
                }
                Some(step) if step < DAY_MS => (clock(time, step < MINUTE_MS), format!("{day} {month} {year}")),
                Some(_) => (format!("{day} {month}"), year.to_string()),
                None => (month.to_owned(), year.to_string()),
            };
            let context = (context != before).then(|| {
                before.clone_from(&context);
                context
            });
            TimeTick { time_ms: *time_ms, label, context }
        })
        .collect()
}

fn clock(time: DateTime, seconds: bool) -> String {
    let minutes = format!("{:02}:{:02}", time.hour(), time.minute());
    if seconds { format!("{minutes}:{:02}", time.second()) } else { minutes }
}

/// A time in words, to the minute: `14 Nov 2023 22:13`.
pub(super) fn in_words(time_ms: i64) -> String {
    match civil(time_ms) {
        Some(time) => {
            let month = MONTHS[(time.month() - 1) as usize];
            format!("{} {month} {} {}", time.day(), time.year(), clock(time, false))
        }
        None => format!("{time_ms} ms"),
    }
}

fn civil(time_ms: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_millisecond(time_ms).ok()?))
}

/// Marks at multiples of 1, 2 or 5 times a power of ten: values and labels, about `count` of them.
pub(super) fn values(from: f64, to: f64, count: usize) -> Vec<(f64, String)> {
    let wanted = (to - from) / count.max(1) as f64;
    let power = 10f64.powf(wanted.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|step| *step >= wanted);
    let step = step.unwrap_or(10.0 * power);
    if !(step.is_finite() && step > 0.0) {
        return Vec::new();
    }
    let first = (from / step).ceil();
    let at = (0..=2 * count).map(|i| (first + i as f64) * step).take_while(|value| *value <= to);
    // -0 is 0 to everyone who reads a chart.
    at.map(|value| value + 0.0).map(|value| (value, number(value, step))).collect()
}

/// A number as exact as a step asks, large ones with k, M, G or T.
pub(super) fn number(value: f64, step: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let largest = value.abs().max(step);
    if largest >= 1e16 || largest < 1e-4 && largest > 0.0 {
        return format!("{value:.2e}");
    }
    let (unit, suffix) = UNITS.into_iter().find(|(unit, _)| value.abs() >= 10.0 * unit).unwrap_or((1.0, ""));
    let decimals = (-(step / unit).log10()).ceil().clamp(0.0, 6.0) as usize;
    format!("{:.decimals$}{suffix}", value / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_699_963_200_000; // 14 Nov 2023 12:00 UTC

    fn labels(from_ms: i64, to_ms: i64) -> Vec<String> {
        let text = |tick: TimeTick| tick.context.map_or(tick.label.clone(), |of| format!("{} | {of}", tick.label));
        times(from_ms, to_ms, 6).into_iter().map(text).collect()
    }

    #[test]
    fn times_are_round_and_say_what_they_are_part_of() {
        let day = labels(NOON_MS, NOON_MS + DAY_MS);
        assert_eq!(day, ["12:00 | 14 Nov 2023", "18:00", "00:00 | 15 Nov 2023", "06:00", "12:00"]);
        assert_eq!(labels(NOON_MS, NOON_MS + 7 * DAY_MS)[..2], ["15 Nov | 2023", "17 Nov"]);
        assert_eq!(labels(NOON_MS, NOON_MS + 40 * DAY_MS)[..2], ["20 Nov | 2023", "27 Nov"]);
        assert_eq!(labels(NOON_MS, NOON_MS + 300 * DAY_MS)[..2], ["Jan | 2024", "Mar"]);
        assert_eq!(labels(NOON_MS, NOON_MS + 30 * SECOND_MS)[..2], ["12:00:00 | 14 Nov 2023", "12:00:05"]);
        assert_eq!(labels(NOON_MS, NOON_MS + 600)[..2], ["00.000 | 12:00 UTC", "00.100"]);
    }

    #[test]
    fn numbers_are_round_and_short() {
        let labels = |from, to| values(from, to, 5).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(-0.1, 0.1), ["-0.10", "-0.05", "0.00", "0.05", "0.10"]);
        assert_eq!(labels(0.0, 1e5), ["0", "20k", "40k", "60k", "80k", "100k"]);
        assert_eq!(labels(1e300, 1e300), Vec::<String>::new());
        assert_eq!(in_words(NOON_MS), "14 Nov 2023 12:00");
    }
}
