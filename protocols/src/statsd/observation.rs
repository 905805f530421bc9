//! What a line says, borrowed from the datagram, and why a line says nothing.
//!
//! Invariants: a name is not empty, at most 255 bytes of UTF-8 and free of control characters; values are finite; a rate
//! is above 0 and at most 1.

/// One value of one line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation<'a> {
    /// The metric's name as sent.
    pub name: &'a str,
    /// Its tags as sent.
    pub tags: Tags<'a>,
    /// The container it comes from, after `c:`; empty when it does not say.
    pub container: &'a str,
    /// The value and what it means.
    pub measure: Measure<'a>,
    /// The share of events that was sent; 1 for gauges and sets.
    pub rate: f64,
    /// When it was observed, seconds since 1970; only counts and gauges may say so.
    pub time_s: Option<i64>,
    /// Extensions of its line that were stepped over; told with the line's first observation only.
    pub ignored: u32,
}

/// A value by its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure<'a> {
    /// Events counted; not yet divided by the rate.
    Count(f64),
    /// A level.
    Gauge(f64),
    /// A level sent with a sign: a change by Etsy's rule.
    GaugeChange(f64),
    /// A duration or size, one of many.
    Timer(f64),
    /// A member of a set, any bytes.
    Member(&'a [u8]),
    /// Something that happened, for people.
    Event(Event<'a>),
}

/// A DogStatsD event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its title as sent, with `\\n` for the end of a line.
    pub title: &'a str,
    /// Its text as sent.
    pub text: &'a str,
    /// What kind of event it is: error, warning, info or success; info when it does not say.
    pub alert: &'a str,
}

/// Tags as they stand between `#` and the next `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tags<'a>(pub(super) &'a str);

impl<'a> Tags<'a> {
    /// The text between `#` and the next `|`.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Key and, after a colon, value of every tag that is not empty, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.0.split(',').filter(|tag| !tag.is_empty()).map(|tag| match tag.split_once(':') {
            Some((key, value)) => (key, Some(value)),
            None => (tag, None),
        })
    }
}

/// Why a line gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct LineError {
    /// What is wrong.
    pub reason: Reason,
    /// Where, from the start of the datagram, or of the line if it was read alone.
    pub offset: usize,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No `:` after the name, or no `|` after the value.
    #[error("no value or no type")]
    Incomplete,
    /// Empty, longer than 255 bytes, not UTF-8, or with control characters.
    #[error("not a name")]
    Name,
    /// Not a finite decimal number, or an empty member of a set.
    #[error("not a value")]
    Value,
    /// Not above 0 and at most 1.
    #[error("not a sample rate")]
    Rate,
    /// Not a whole number of seconds.
    #[error("not a timestamp")]
    Timestamp,
    /// Tags or a container that are not UTF-8 or hold control characters.
    #[error("not tags")]
    Tags,
    /// Not 0, 1, 2 or 3.
    #[error("not a status of a service check")]
    Status,
    /// A type nobody has told us about.
    #[error("unknown type")]
    UnknownType,
    /// An event whose lengths do not fit it, that is not UTF-8, or is of no kind there is.
    #[error("not an event")]
    BadEvent,
}
