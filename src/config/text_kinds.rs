//! Settings that are any text, and spans for which others have a bare number of seconds.
//!
//! Not here: numbers, sizes and spans (see `kinds`).

use super::kinds::{Kind, Span};
use std::time::Duration;

/// A span of time, or a bare number of seconds.
pub(super) struct Cadence;

impl Kind for Cadence {
    type Value = Duration;

    fn noun() -> String {
        "duration".to_owned()
    }

    fn form() -> String {
        "a duration such as 30s or 5m, or a number of seconds".to_owned()
    }

    fn parse(text: &str) -> Result<Duration, String> {
        match text.parse::<u32>() {
            Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
            Err(_) => Span::parse(text).map_err(|_| super::kinds::expected::<Self>()),
        }
    }

    fn text(value: &Duration) -> String {
        Span::text(value)
    }
}

/// A minute of the day, or never.
pub(super) struct DayTime;

impl Kind for DayTime {
    type Value = Option<u32>;

    fn noun() -> String {
        "time of day".to_owned()
    }

    fn form() -> String {
        "a time of day such as 02:00, or off".to_owned()
    }

    fn parse(text: &str) -> Result<Option<u32>, String> {
        if text == "off" {
            return Ok(None);
        }
        let two = |text: &str, below: u32| {
            let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|number| is_plain && *number < below)
        };
        let parts = text.split_once(':').and_then(|(hour, minute)| Some(two(hour, 24)? * 60 + two(minute, 60)?));
        parts.map(Some).ok_or_else(super::kinds::expected::<Self>)
    }

    fn text(value: &Option<u32>) -> String {
        value.map_or_else(|| "off".to_owned(), |minute| format!("{:02}:{:02}", minute / 60, minute % 60))
    }
}

/// Any text, or none.
pub(super) struct Text;

impl Kind for Text {
    type Value = String;

    fn noun() -> String {
        "text".to_owned()
    }

    fn form() -> String {
        "a text".to_owned()
    }

    fn parse(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_counts_seconds() {
        assert_eq!(Cadence::parse("60"), Ok(Duration::from_secs(60)));
        assert_eq!(Cadence::parse("5m"), Ok(Duration::from_secs(300)));
        assert!(Cadence::parse("soon").is_err());
    }

    #[test]
    fn a_time_of_day_is_a_minute() {
        for (text, minute) in [("02:00", Some(120)), ("23:59", Some(1439)), ("off", None)] {
            assert_eq!(DayTime::parse(text), Ok(minute));
            assert_eq!(DayTime::text(&minute), text);
        }
        for text in ["", "2:00", "24:00", "02:60", "02", "noon", "02:00:00"] {
            assert!(DayTime::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_is_kept_as_it_is() {
        for text in ["", "http://a:9090/", " x "] {
            assert_eq!(Text::text(&Text::parse(text).unwrap()), text);
        }
    }
}
