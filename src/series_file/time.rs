//! The notations of a time: RFC 3339, a date and a time without an offset (UTC), or a number of seconds or milliseconds.
//!
//! A number below 1e11 counts seconds since 1970 (until the year 5138), any other milliseconds: the same rule in every
//! place where a time comes in.
//!
//! Not here: the clock, time zones.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// From here on a number counts milliseconds.
const MILLISECONDS_FROM: f64 = 1e11;
/// Numbers beyond this are no times: milliseconds that a double holds exactly, some 285 000 years.
const MS_MAX: f64 = 9e15;

/// How a time is written, so that computed times can be written the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeNotation {
    /// A number of seconds.
    Seconds,
    /// A number of milliseconds.
    Milliseconds,
    /// RFC 3339 with this offset from UTC in seconds.
    Rfc3339 {
        /// East is positive.
        offset_s: i32,
        /// Whether a blank stands where the standard has a `T`.
        blank: bool,
    },
    /// `YYYY-MM-DD HH:MM:SS` without an offset, which is UTC.
    Plain {
        /// Whether a blank stands between date and time, else a `T`.
        blank: bool,
    },
}

/// Milliseconds since 1970 of a time in any notation; nothing if it is none.
pub fn parse_time_ms(text: &str) -> Option<i64> {
    parse(text).map(|(time_ms, _)| time_ms)
}

impl TimeNotation {
    /// The notation of a time; nothing if it is none.
    pub fn of(text: &str) -> Option<Self> {
        parse(text).map(|(_, notation)| notation)
    }

    /// Writes a time in milliseconds since 1970; fractions of a second only where there are any. A time that a calendar
    /// notation cannot hold (beyond the year 9999) is written in milliseconds.
    pub fn format(self, time_ms: i64) -> String {
        match self {
            Self::Milliseconds => time_ms.to_string(),
            Self::Seconds if time_ms % 1000 == 0 => (time_ms / 1000).to_string(),
            // Doubles hold milliseconds of any calendar's time, and their shortest text names exactly those.
            Self::Seconds => (time_ms as f64 / 1000.0).to_string(),
            Self::Rfc3339 { offset_s, blank } => {
                let text = civil(time_ms, offset_s).map(|time| calendar(time, blank) + &offset_text(offset_s));
                text.unwrap_or_else(|| time_ms.to_string())
            }
            Self::Plain { blank } => {
                civil(time_ms, 0).map_or_else(|| time_ms.to_string(), |time| calendar(time, blank))
            }
        }
    }
}

fn parse(text: &str) -> Option<(i64, TimeNotation)> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let (ms, notation) = match number < MILLISECONDS_FROM {
            true => (number * 1000.0, TimeNotation::Seconds),
            false => (number, TimeNotation::Milliseconds),
        };
        return (ms.abs() <= MS_MAX).then_some((ms.round() as i64, notation));
    }
    let blank = text.as_bytes().get(10) == Some(&b' ');
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some((time.as_millisecond(), TimeNotation::Rfc3339 { offset_s: offset_of(text), blank }));
    }
    let time = text.parse::<DateTime>().ok()?;
    let utc = Offset::UTC.to_timestamp(time).ok()?;
    Some((utc.as_millisecond(), TimeNotation::Plain { blank }))
}

/// Seconds of `+02:00` at the end of an RFC 3339 time; 0 for `Z`.
fn offset_of(text: &str) -> i32 {
    let Some(at) = text.rfind(['+', '-']).filter(|at| *at > 10) else { return 0 };
    let mut parts = text[at + 1..].splitn(2, ':').map(|part| part.parse::<i32>().unwrap_or(0));
    let seconds = parts.next().unwrap_or(0) * 3600 + parts.next().unwrap_or(0) * 60;
    if text.as_bytes()[at] == b'-' { -seconds } else { seconds }
}

fn civil(time_ms: i64, offset_s: i32) -> Option<DateTime> {
    let time = Timestamp::from_millisecond(time_ms).ok()?;
    Some(Offset::from_seconds(offset_s).ok()?.to_datetime(time))
}

fn calendar(time: DateTime, blank: bool) -> String {
    let (date, separator) = (time.date(), if blank { ' ' } else { 'T' });
    let (hour, minute, second, ms) = (time.hour(), time.minute(), time.second(), time.millisecond());
    let mut text = format!("{date}{separator}{hour:02}:{minute:02}:{second:02}");
    if ms != 0 {
        text.push_str(&format!(".{ms:03}"));
    }
    text
}

fn offset_text(offset_s: i32) -> String {
    if offset_s == 0 {
        return "Z".to_owned();
    }
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_one_moment_is_the_same_time() {
        for text in [
            "1700000000",
            "1700000000.0",
            "1.7e9",
            "1700000000000",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000z",
            "2023-11-15T00:13:20+02:00",
            "2023-11-14 17:13:20-05:00",
            "2023-11-14 22:13:20",
            " 2023-11-14T22:13:20 ",
        ] {
            assert_eq!(parse_time_ms(text), Some(1_700_000_000_000), "{text}");
        }
        assert_eq!(parse_time_ms("99999999999"), Some(99_999_999_999_000));
        assert_eq!(parse_time_ms("100000000000"), Some(100_000_000_000));
        assert_eq!(parse_time_ms("1700000000.123"), Some(1_700_000_000_123));
        assert_eq!(parse_time_ms("-1.5"), Some(-1500));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "now", "NaN", "inf", "-inf", "1e300", "-1e300", "2023-02-30T00:00:00Z", "2023-11-14T25:00:00Z"]
        {
            assert_eq!(parse_time_ms(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_was_read() {
        for text in [
            "1700000000",
            "1700000000.123",
            "1700000000123",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.500Z",
            "2023-11-15T00:13:20+02:00",
            "2023-11-14T16:43:20-05:30",
            "2023-11-14 22:13:20Z",
            "2023-11-14 22:13:20",
            "2023-11-14T22:13:20",
        ] {
            let notation = TimeNotation::of(text).unwrap();
            assert_eq!(notation.format(parse_time_ms(text).unwrap()), text);
        }
        assert_eq!(TimeNotation::Plain { blank: true }.format(i64::MAX), i64::MAX.to_string());
    }
}
