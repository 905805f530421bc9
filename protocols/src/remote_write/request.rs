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
pub(super) const METADATA: Tag = Tag::length_delimited(3);
const KNOWN: &[u32] = &[1, 3];

/// The series of a decompressed request, in its order.
#[inline]
pub fn time_series(request: &[u8]) -> impl Iterator<Item = Result<TimeSeries<'_>, ParseError>> {
    let mut walk = Walk::new(request);
    std::iter::from_fn(move || walk.next(TIME_SERIES, TimeSeries::parse))
}

/// The metadata records of a decompressed request, in its order.
pub fn metadata(request: &[u8]) -> impl Iterator<Item = Result<Metadata<'_>, ParseError>> {
    let mut walk = Walk::new(request);
    std::iter::from_fn(move || walk.next(METADATA, Metadata::parse))
}

/// The same series for a reader that has met most of them before: it is asked of each what of it is known already.
#[derive(Debug)]
pub struct SeriesWalk<'a>(Walk<'a>);

impl<'a> SeriesWalk<'a> {
    /// At the first series of a decompressed request.
    pub fn new(request: &'a [u8]) -> Self {
        Self(Walk::new(request))
    }

    /// The next series; none at the end and after an error. `known_bytes` is shown what the series consists of and says
    /// how many bytes at its beginning are labels that it has seen to be canonical before, `__name__` among them; they
    /// are not looked at again. 0 is always right.
    #[inline]
    pub fn next_series(
        &mut self,
        known_bytes: impl FnOnce(&'a [u8]) -> usize,
    ) -> Option<Result<TimeSeries<'a>, ParseError>> {
        self.0.next(TIME_SERIES, |message| {
            let known_bytes = known_bytes(message.rest());
            TimeSeries::parse_behind(message, known_bytes)
        })
    }

    /// Whether it has stepped over metadata records so far.
    pub fn passed_metadata(&self) -> bool {
        self.0.passed_others
    }
}

/// Steps from one message of a kind to the next; after an error there are no more.
#[derive(Debug)]
struct Walk<'a> {
    fields: Reader<'a>,
    passed_others: bool,
}

impl<'a> Walk<'a> {
    fn new(request: &'a [u8]) -> Self {
        Self { fields: Reader::new(request), passed_others: false }
    }

    #[inline]
    fn next<T>(
        &mut self,
        wanted: Tag,
        parse: impl FnOnce(Reader<'a>) -> Result<T, ParseError>,
    ) -> Option<Result<T, ParseError>> {
        let item = self.next_message(wanted).and_then(|message| message.map(parse).transpose());
        if item.is_err() {
            self.fields = Reader::new(&[]);
        }
        item.transpose()
    }

    #[inline]
    fn next_message(&mut self, wanted: Tag) -> Result<Option<Reader<'a>>, ParseError> {
        while let Some(tag) = self.fields.tag()? {
            match tag {
                _ if tag == wanted => return self.fields.message().map(Some),
                TIME_SERIES | METADATA => {
                    self.passed_others = true;
                    self.fields.skip(tag)?;
                }
                _ => self.fields.skip_unknown(tag, KNOWN)?,
            }
        }
        Ok(None)
    }
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
        let mut walk = SeriesWalk::new(MIXED);
        assert!(!walk.passed_metadata());
        assert!(walk.next_series(|_| 0).is_some() && walk.next_series(|_| 0).is_none());
        assert!(walk.passed_metadata());
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
    fn labels_known_before_are_stepped_over_and_the_rest_is_read() {
        let name = b"\x0a\x0e\x0a\x08__name__\x12\x02up";
        let job = b"\x0a\x08\x0a\x03job\x12\x01x";
        let sample = b"\x12\x02\x10\x05";
        let request = |parts: &[&[u8]]| {
            let series = parts.concat();
            [&[0x0a, series.len() as u8], &series[..]].concat()
        };
        let whole = request(&[name, job, sample]);
        for known_bytes in [0, name.len() + job.len()] {
            let mut walk = SeriesWalk::new(&whole);
            let series = walk.next_series(|_| known_bytes).unwrap().unwrap();
            assert_eq!(series.canonical_labels(), Some(&[&name[..], job].concat()[..]));
            assert_eq!((series.last_sample(), series.samples().collect::<Vec<_>>()), ((5, 0.0), vec![(5, 0.0)]));
            assert!(walk.next_series(|_| unreachable!("there is no second series")).is_none());
        }
        let mut walk = SeriesWalk::new(&whole);
        let series = walk.next_series(|_| name.len()).unwrap().unwrap();
        assert_eq!(series.canonical_labels(), None, "more labels follow those that are known");
        assert_eq!(series.labels().count(), 2);
        let broken = [&whole[..], &[0x0a, 9]].concat();
        let mut walk = SeriesWalk::new(&broken);
        assert!(walk.next_series(|_| 0).unwrap().is_ok());
        assert!(walk.next_series(|_| 0).unwrap().is_err());
        assert!(walk.next_series(|_| 0).is_none());
    }

    #[test]
    fn series_and_metadata_with_another_wire_type_are_refused() {
        for request in [[0x08, 1], [0x18, 1]] {
            assert_eq!(time_series(&request).next().unwrap().err(), Some(ParseError::WrongWireType { offset: 1 }));
            assert_eq!(metadata(&request).next().unwrap().err(), Some(ParseError::WrongWireType { offset: 1 }));
        }
    }
}
