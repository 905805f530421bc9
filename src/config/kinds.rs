//! How the text of a setting becomes a value, and how a value is written again.
//!
//! Not here: which setting has which kind (see `keys`), ranges (see `table`).
//!
//! Invariant: `parse(text(value)) == value` for every kind; a file, a variable and a flag spell a value alike.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A way of writing values of one type.
pub(super) trait Kind {
    /// What the text stands for.
    type Value: PartialOrd;
    /// Whether a file writes it without quotes.
    const NUMERIC: bool = false;
    /// What it is called in documents.
    fn noun() -> String;
    /// What may be written, in words that follow "expected".
    fn form() -> String;
    /// Reads a value; the error says what was expected.
    fn parse(text: &str) -> Result<Self::Value, String>;
    /// Writes a value.
    fn text(value: &Self::Value) -> String;
}

pub(super) fn expected<K: Kind>() -> String {
    format!("expected {}", K::form())
}

/// A whole number; underscores may group its digits.
pub(super) struct Count;

impl Kind for Count {
    type Value = usize;
    const NUMERIC: bool = true;

    fn noun() -> String {
        "number".to_owned()
    }

    fn form() -> String {
        "a whole number".to_owned()
    }

    fn parse(text: &str) -> Result<usize, String> {
        text.replace('_', "").parse().map_err(|_| expected::<Self>())
    }

    fn text(value: &usize) -> String {
        value.to_string()
    }
}

/// A finite number.
pub(super) struct Number;

impl Kind for Number {
    type Value = f64;
    const NUMERIC: bool = true;

    fn noun() -> String {
        "number".to_owned()
    }

    fn form() -> String {
        "a number".to_owned()
    }

    fn parse(text: &str) -> Result<f64, String> {
        let number: Option<f64> = text.replace('_', "").parse().ok();
        number.filter(|number| number.is_finite()).ok_or_else(expected::<Self>)
    }

    fn text(value: &f64) -> String {
        value.to_string()
    }
}

/// Yes or no.
pub(super) struct Switch;

impl Kind for Switch {
    type Value = bool;
    const NUMERIC: bool = true;

    fn noun() -> String {
        "true or false".to_owned()
    }

    fn form() -> String {
        "true or false".to_owned()
    }

    fn parse(text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| expected::<Self>())
    }

    fn text(value: &bool) -> String {
        value.to_string()
    }
}

/// A size in bytes: a number, alone or with a unit of 1024 (`KiB`) or 1000 (`KB`).
pub(super) struct Bytes;

const BYTE_UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Kind for Bytes {
    type Value = u64;

    fn noun() -> String {
        "size".to_owned()
    }

    fn form() -> String {
        "a size such as 64MiB or a number of bytes".to_owned()
    }

    fn parse(text: &str) -> Result<u64, String> {
        let (digits, factor) = BYTE_UNITS
            .iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))
            .unwrap_or((text, 1));
        let number: Option<u64> = digits.replace('_', "").parse().ok();
        number.and_then(|number| number.checked_mul(factor)).ok_or_else(expected::<Self>)
    }

    fn text(value: &u64) -> String {
        let whole = |(_, factor): &&(&str, u64)| *value >= *factor && value.is_multiple_of(*factor);
        match BYTE_UNITS[..4].iter().find(whole) {
            Some((unit, factor)) => format!("{}{unit}", value / factor),
            None => value.to_string(),
        }
    }
}

/// A span of time: numbers with units, the larger ones first.
pub(super) struct Span;

const SPAN_UNITS_MS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Kind for Span {
    type Value = Duration;

    fn noun() -> String {
        "duration".to_owned()
    }

    fn form() -> String {
        "a duration such as 30s, 5m, 1h30m or 30d".to_owned()
    }

    fn parse(text: &str) -> Result<Duration, String> {
        span_ms(text).map(Duration::from_millis).ok_or_else(expected::<Self>)
    }

    fn text(value: &Duration) -> String {
        let mut rest_ms = value.as_millis() as u64;
        if rest_ms == 0 {
            return "0".to_owned();
        }
        let mut text = String::new();
        // Weeks are read but never written: 30 days stay 30d.
        for (unit, unit_ms) in &SPAN_UNITS_MS[1..] {
            if rest_ms >= *unit_ms {
                text.push_str(&format!("{}{unit}", rest_ms / unit_ms));
                rest_ms %= unit_ms;
            }
        }
        text
    }
}

/// A duration such as `1h30m`, as every setting spells it.
///
/// # Errors
/// Says what was expected.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    Span::parse(text)
}

/// Milliseconds of `1h30m`; nothing if a unit is missing, unknown or not smaller than the one before it.
fn span_ms(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut total_ms = 0u64;
    let mut rest = text;
    let mut smallest_ms = u64::MAX;
    while !rest.is_empty() || smallest_ms == u64::MAX {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(letters.len());
        let (_, unit_ms) = SPAN_UNITS_MS.iter().find(|(unit, _)| *unit == &letters[..end])?;
        if *unit_ms >= smallest_ms {
            return None;
        }
        smallest_ms = *unit_ms;
        total_ms = total_ms.checked_add(number.checked_mul(*unit_ms)?)?;
        rest = &letters[end..];
    }
    // Times are i64 milliseconds everywhere else.
    i64::try_from(total_ms).is_ok().then_some(total_ms)
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At this address; port 0 lets the system choose one.
    At(SocketAddr),
}

impl Listen {
    /// The address, unless the listener is off.
    pub fn addr(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(addr) => Some(addr),
        }
    }
}

/// An IP address with a port, or `off`.
pub(super) struct Address;

impl Kind for Address {
    type Value = Listen;

    fn noun() -> String {
        "address".to_owned()
    }

    fn form() -> String {
        "an IP address and port such as 127.0.0.1:8080, or off".to_owned()
    }

    fn parse(text: &str) -> Result<Listen, String> {
        if text == "off" {
            return Ok(Listen::Off);
        }
        text.parse().map(Listen::At).map_err(|_| expected::<Self>())
    }

    fn text(value: &Listen) -> String {
        value.addr().map_or_else(|| "off".to_owned(), |addr| addr.to_string())
    }
}

/// A directory, absolute or relative to where the server is started.
pub(super) struct Folder;

impl Kind for Folder {
    type Value = PathBuf;

    fn noun() -> String {
        "directory".to_owned()
    }

    fn form() -> String {
        "a directory".to_owned()
    }

    fn parse(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() { Err(expected::<Self>()) } else { Ok(PathBuf::from(text)) }
    }

    fn text(value: &PathBuf) -> String {
        value.display().to_string()
    }
}

/// A directory, or nothing.
pub(super) struct OptionalFolder;

impl Kind for OptionalFolder {
    type Value = Option<PathBuf>;

    fn noun() -> String {
        "directory".to_owned()
    }

    fn form() -> String {
        "a directory, or nothing".to_owned()
    }

    fn parse(text: &str) -> Result<Option<PathBuf>, String> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn text(value: &Option<PathBuf>) -> String {
        value.as_deref().map_or_else(String::new, |path| path.display().to_string())
    }
}

/// A type whose values are a few words.
pub(super) trait Words: Copy + PartialOrd + 'static {
    /// Every word and what it stands for.
    const ALL: &'static [(&'static str, Self)];
}

/// One of a few words, in capitals or not.
pub(super) struct OneOf<T>(PhantomData<T>);

impl<T: Words> Kind for OneOf<T> {
    type Value = T;

    fn noun() -> String {
        let words: Vec<_> = T::ALL.iter().map(|(word, _)| *word).collect();
        words.join(", ")
    }

    fn form() -> String {
        format!("one of {}", Self::noun())
    }

    fn parse(text: &str) -> Result<T, String> {
        let found = T::ALL.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(expected::<Self>)
    }

    fn text(value: &T) -> String {
        let found = T::ALL.iter().find(|(_, other)| other == value);
        found.expect("every value of a choice has a word").0.to_owned()
    }
}

/// The least important message that is still logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing at all.
    Off,
    /// Something failed.
    Error,
    /// Something is wrong and the server copes.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// Which Prometheus a query's windows are those of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuerySemantics {
    /// 2.x: both edges of a range and of the lookback belong to it.
    Two,
    /// 3.x: a sample exactly at the left edge does not.
    Three,
}

impl Words for QuerySemantics {
    const ALL: &'static [(&'static str, Self)] = &[("2", Self::Two), ("3", Self::Three)];
}

impl Words for Level {
    const ALL: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Text,
}

impl Words for LogFormat {
    const ALL: &'static [(&'static str, Self)] =
        &[("logfmt", Self::Logfmt), ("json", Self::Json), ("text", Self::Text)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole() {
        assert_eq!(Count::parse("1_000"), Ok(1000));
        assert!(["1.5", "-1", "1e3", ""].iter().all(|text| Count::parse(text).is_err()));
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in
            [("0", 0), ("1_000", 1000), ("64MiB", 64 << 20), ("2 KiB", 2048), ("3kB", 3000), ("5GB", 5_000_000_000)]
        {
            assert_eq!(Bytes::parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "64 mib", "-1", "1.5GiB", "99999999TiB"] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_in_the_largest_whole_unit() {
        assert_eq!(Bytes::text(&(64 << 20)), "64MiB");
        assert_eq!(Bytes::text(&1025), "1025");
        assert_eq!(Bytes::text(&0), "0");
    }

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, ms) in
            [("0", 0), ("2ms", 2), ("30s", 30_000), ("1h30m", 5_400_000), ("2w", 1_209_600_000), ("1m1ms", 60_001)]
        {
            assert_eq!(Span::parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "5 m", "1m1h", "1m1m", "-5m", "1.5h", "1y", "99999999999999999d"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        for text in ["0", "2ms", "1h30m", "30d", "1m1ms"] {
            assert_eq!(Span::text(&Span::parse(text).unwrap()), text);
        }
        assert_eq!(Span::text(&Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn an_address_is_a_number_with_a_port_or_off() {
        assert_eq!(Address::parse("off"), Ok(Listen::Off));
        assert_eq!(Address::text(&Address::parse("[::1]:80").unwrap()), "[::1]:80");
        for text in ["", "8080", "127.0.0.1", "example:80", "127.0.0.1:99999"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_finite_and_switches_are_true_or_false() {
        assert_eq!((Number::parse("1_000.5"), Number::text(&0.25)), (Ok(1000.5), "0.25".to_owned()));
        assert!(["", "nan", "inf", "1e999", "one"].iter().all(|text| Number::parse(text).is_err()));
        assert_eq!((Switch::parse("true"), Switch::text(&false)), (Ok(true), "false".to_owned()));
        assert_eq!(Switch::parse("yes").unwrap_err(), "expected true or false");
    }

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!(OneOf::<Level>::parse("INFO"), Ok(Level::Info));
        let error = OneOf::<LogFormat>::parse("xml").unwrap_err();
        assert_eq!(error, "expected one of logfmt, json, text");
    }

    #[test]
    fn a_folder_has_a_name_unless_it_is_optional() {
        assert!(Folder::parse("").is_err());
        assert_eq!(OptionalFolder::parse(""), Ok(None));
    }
}
