//! A metadata record: what a sender knows about a metric family.
//!
//! ```text
//! MetricMetadata { MetricType type = 1;  string metric_family_name = 2;  string help = 4;  string unit = 5; }
//! ```
//!
//! Not here: UTF-8 checks; the texts are bytes as sent.

use crate::ParseError;
use crate::protobuf::{Reader, Tag};

pub(super) const KIND: Tag = Tag::varint(1);
pub(super) const FAMILY: Tag = Tag::length_delimited(2);
pub(super) const HELP: Tag = Tag::length_delimited(4);
pub(super) const UNIT: Tag = Tag::length_delimited(5);
const KNOWN: &[u32] = &[1, 2, 4, 5];

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetricKind {
    /// Not said, or a kind that version 1.0 does not have.
    #[default]
    Unknown,
    /// Only rises, or starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
    /// Buckets that go up and down.
    GaugeHistogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Constant 1, with labels that say something.
    Info,
    /// One series per state, 0 or 1.
    StateSet,
}

/// One record; absent fields are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// The kind of its metrics.
    pub kind: MetricKind,
    /// The family's name, such as `http_requests_total`.
    pub family: &'a [u8],
    /// A sentence for people.
    pub help: &'a [u8],
    /// The unit, such as `seconds`.
    pub unit: &'a [u8],
}

impl<'a> Metadata<'a> {
    pub(super) fn parse(mut fields: Reader<'a>) -> Result<Self, ParseError> {
        let mut record = Self::default();
        while let Some(tag) = fields.tag()? {
            match tag {
                KIND => record.kind = kind(fields.varint()? as u32),
                FAMILY => record.family = fields.bytes()?,
                HELP => record.help = fields.bytes()?,
                UNIT => record.unit = fields.bytes()?,
                _ => fields.skip_unknown(tag, KNOWN)?,
            }
        }
        Ok(record)
    }
}

/// Enumerations are 32 bits wide: what a sender writes beyond them does not count.
pub(super) fn kind(number: u32) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Metadata<'_>, ParseError> {
        Metadata::parse(Reader::new(bytes))
    }

    #[test]
    fn fields_are_read_in_any_order_and_unknown_ones_skipped() {
        let record = parse(b"\x2a\x01s\x22\x04help\x18\x09\x12\x02up\x08\x02").unwrap();
        assert_eq!(record, Metadata { kind: MetricKind::Gauge, family: b"up", help: b"help", unit: b"s" });
    }

    #[test]
    fn absent_fields_and_unknown_kinds_have_their_defaults() {
        assert_eq!(parse(b""), Ok(Metadata::default()));
        assert_eq!(parse(b"\x08\x63").map(|record| record.kind), Ok(MetricKind::Unknown));
        assert_eq!(parse(b"\x08\x07").map(|record| record.kind), Ok(MetricKind::StateSet));
    }

    #[test]
    fn fields_with_another_wire_type_are_refused() {
        for number in [1, 2, 4, 5] {
            let fixed32 = [number << 3 | 5, 0, 0, 0, 0];
            assert_eq!(parse(&fixed32), Err(ParseError::WrongWireType { offset: 1 }), "field {number}");
        }
    }
}
