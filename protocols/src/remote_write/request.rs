//! A `prometheus.WriteRequest` read in place: its series, or its metadata records, one after the other.
//!
//! ```text
//! WriteRequest { repeated TimeSeries timeseries = 1;  repeated MetricMetadata metadata = 3; }
//! ```
//!
//! The two are walked apart because Prometheus sends them apart: a request has series or metadata. Walking one kind
//! steps over the other by its length without looking inside.
//!
//! Invariant: after an error the walk has ended.

use super::metadata::Metadata;
use super::series::TimeSeries;
use crate::ParseError;
use crate::protobuf::{Reader, Tag};

pub(super) const TIME_SERIES: Tag = Tag::length_delimited(1);
const METADATA: Tag = Tag::length_delimited(3);
const KNOWN: &[u32] = &[1, 3];

/// The series of a decompressed request, in its order.
#[inline]
pub fn time_series(request: &[u8]) -> impl Iterator<Item = Result<TimeSeries<'_>, ParseError>> {
    walk(request, TIME_SERIES, TimeSeries::parse)
}

/// The metadata records of a decompressed request, in its order.
pub fn metadata(request: &[u8]) -> impl Iterator<Item = Result<Metadata<'_>, ParseError>> {
    walk(request, METADATA, Metadata::parse)
}

#[inline]
fn walk<'a, T>(
    request: &'a [u8],
    wanted: Tag,
    parse: impl Fn(Reader<'a>) -> Result<T, ParseError>,
) -> impl Iterator<Item = Result<T, ParseError>> {
    let mut fields = Reader::new(request);
    std::iter::from_fn(move || {
        let item = next_message(&mut fields, wanted).and_then(|message| message.map(&parse).transpose());
        if item.is_err() {
            fields = Reader::new(&[]);
        }
        item.transpose()
    })
}

#[inline]
fn next_message<'a>(fields: &mut Reader<'a>, wanted: Tag) -> Result<Option<Reader<'a>>, ParseError> {
    while let Some(tag) = fields.tag()? {
        match tag {
            _ if tag == wanted => return fields.message().map(Some),
            TIME_SERIES | METADATA => fields.skip(tag)?,
            _ => fields.skip_unknown(tag, KNOWN)?,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unknown field, a metadata record, an empty series, an unknown field.
    const MIXED: &[u8] = &[0x48, 7, 0x1a, 2, 0x12, 0, 0x0a, 0, 0x12, 1, 9];

    #[test]
    fn each_walk_steps_over_what_the_other_reads() {
        assert_eq!(time_series(MIXED).map(|series| series.is_ok()).collect::<Vec<_>>(), [true]);
        assert_eq!(metadata(MIXED).map(|record| record.is_ok()).collect::<Vec<_>>(), [true]);
        assert_eq!(time_series(&[]).count(), 0);
    }

    #[test]
    fn a_walk_ends_at_its_first_error() {
        let broken_inside = [0x0a, 0, 0x0a, 1, 0x0a, 0x0a, 0];
        let series: Vec<_> = time_series(&broken_inside).map(|series| series.map(drop)).collect();
        assert_eq!(series, [Ok(()), Err(ParseError::Truncated { offset: 5 })]);
        let broken_outside = [0x0a, 9, 0x0a, 0];
        let series: Vec<_> = time_series(&broken_outside).map(|series| series.map(drop)).collect();
        assert_eq!(series, [Err(ParseError::LengthPastEnd { offset: 1 })]);
    }

    #[test]
    fn series_and_metadata_with_another_wire_type_are_refused() {
        for request in [[0x08, 1], [0x18, 1]] {
            assert_eq!(time_series(&request).next().unwrap().err(), Some(ParseError::WrongWireType { offset: 1 }));
            assert_eq!(metadata(&request).next().unwrap().err(), Some(ParseError::WrongWireType { offset: 1 }));
        }
    }
}
