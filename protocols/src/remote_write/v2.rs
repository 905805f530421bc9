//! `io.prometheus.write.v2.Request` read in place: every text stands once, in a table of symbols that series point into.
//!
//! ```text
//! Request    { repeated string symbols = 4;  repeated TimeSeries timeseries = 5; }
//! TimeSeries { repeated uint32 labels_refs = 1;  repeated Sample samples = 2;  repeated Histogram histograms = 3;
//!              repeated Exemplar exemplars = 4;  Metadata metadata = 5;  int64 created_timestamp = 6; }
//! Sample     { double value = 1;  int64 timestamp = 2;  int64 start_timestamp = 3; }
//! Metadata   { MetricType type = 1;  uint32 help_ref = 3;  uint32 unit_ref = 4; }
//! ```
//!
//! The drafts of version 2.0 put the time a counter was made into the series, the later ones into the sample; either is
//! counted.
//!
//! Not here: whether labels make a series (whoever builds a key judges that); exemplars and histograms, which are counted
//! and stepped over.
//!
//! Invariants: a [`SeriesV2`] exists only after all of it was read once without error, so reading it again cannot fail;
//! symbols may stand anywhere in the request, as protobuf has it, so they are read first.

use super::metadata::{MetricKind, kind};
use super::series::{Samples, read_sample};
use crate::ParseError;
use crate::protobuf::{Reader, Tag};

pub(super) const SYMBOL: Tag = Tag::length_delimited(4);
pub(super) const SERIES: Tag = Tag::length_delimited(5);
/// Fields 1 to 3 are those of version 1.0, reserved so that a request of that version is not taken for an empty one.
const REQUEST_KNOWN: &[u32] = &[1, 2, 3, 4, 5];

pub(super) const REFS: Tag = Tag::length_delimited(1);
const ONE_REF: Tag = Tag::varint(1);
const SAMPLE: Tag = Tag::length_delimited(2);
pub(super) const HISTOGRAM: Tag = Tag::length_delimited(3);
pub(super) const EXEMPLAR: Tag = Tag::length_delimited(4);
pub(super) const METADATA: Tag = Tag::length_delimited(5);
const CREATED: Tag = Tag::varint(6);
const SERIES_KNOWN: &[u32] = &[1, 2, 3, 4, 5, 6];

pub(super) const KIND: Tag = Tag::varint(1);
pub(super) const HELP_REF: Tag = Tag::varint(3);
pub(super) const UNIT_REF: Tag = Tag::varint(4);
const METADATA_KNOWN: &[u32] = &[1, 3, 4];

/// Symbols a request may have: 16 MiB of memory. Prometheus sends some thousands.
const SYMBOLS_MAX: usize = 1 << 20;

/// The texts of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols<'a>(Vec<&'a [u8]>);

impl<'a> Symbols<'a> {
    /// The text with this number, unless there are fewer.
    #[inline]
    pub fn get(&self, at: u32) -> Option<&'a [u8]> {
        self.0.get(at as usize).copied()
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "the empty text is always there")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Reads the table of symbols.
///
/// # Errors
/// When the request is malformed outside its series, or has more than `SYMBOLS_MAX` of them.
pub fn symbols(request: &[u8]) -> Result<Symbols<'_>, ParseError> {
    let mut found = Vec::new();
    let mut fields = Reader::new(request);
    while let Some(tag) = fields.tag()? {
        match tag {
            SYMBOL if found.len() == SYMBOLS_MAX => return Err(ParseError::TooManySymbols { offset: fields.at() }),
            SYMBOL => found.push(fields.bytes()?),
            SERIES => fields.skip(tag)?,
            _ => fields.skip_unknown(tag, REQUEST_KNOWN)?,
        }
    }
    Ok(Symbols(found))
}

/// The series of a decompressed request, in its order; after an error there are no more.
pub fn time_series_v2(request: &[u8]) -> impl Iterator<Item = Result<SeriesV2<'_>, ParseError>> {
    let mut fields = Reader::new(request);
    std::iter::from_fn(move || {
        let item = next_series(&mut fields);
        if item.is_err() {
            fields = Reader::new(&[]);
        }
        item.transpose()
    })
}

fn next_series<'a>(fields: &mut Reader<'a>) -> Result<Option<SeriesV2<'a>>, ParseError> {
    while let Some(tag) = fields.tag()? {
        match tag {
            SERIES => return SeriesV2::parse(fields.message()?).map(Some),
            SYMBOL => fields.skip(tag)?,
            _ => fields.skip_unknown(tag, REQUEST_KNOWN)?,
        }
    }
    Ok(None)
}

/// A series with its samples, borrowed from the request.
#[derive(Debug, Clone, Copy)]
pub struct SeriesV2<'a> {
    fields: Reader<'a>,
    sample_count: usize,
    histogram_count: usize,
    exemplar_count: usize,
    created_count: usize,
    metadata: MetadataV2,
}

/// What a series says of its metric; texts are numbers of symbols.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetadataV2 {
    /// The kind of metric.
    pub kind: MetricKind,
    /// A sentence for people.
    pub help_ref: u32,
    /// The unit.
    pub unit_ref: u32,
}

impl<'a> SeriesV2<'a> {
    fn parse(fields: Reader<'a>) -> Result<Self, ParseError> {
        let mut series = Self {
            fields,
            sample_count: 0,
            histogram_count: 0,
            exemplar_count: 0,
            created_count: 0,
            metadata: MetadataV2::default(),
        };
        let mut rest = fields;
        while let Some(tag) = rest.tag()? {
            match tag {
                REFS => {
                    let mut refs = rest.message()?;
                    while !refs.rest().is_empty() {
                        refs.varint()?;
                    }
                }
                ONE_REF => drop(rest.varint()?),
                SAMPLE => {
                    let (.., start_ms) = read_sample(rest.message()?)?;
                    series.sample_count += 1;
                    series.created_count += usize::from(start_ms != 0);
                }
                HISTOGRAM => {
                    rest.skip(tag)?;
                    series.histogram_count += 1;
                }
                EXEMPLAR => {
                    rest.skip(tag)?;
                    series.exemplar_count += 1;
                }
                METADATA => series.metadata = MetadataV2::parse(rest.message()?, series.metadata)?,
                CREATED => series.created_count += usize::from(rest.varint()? != 0),
                _ => rest.skip_unknown(tag, SERIES_KNOWN)?,
            }
        }
        Ok(series)
    }

    /// Numbers of symbols as sent: a name, its value, and so on.
    pub fn label_refs(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut fields = self.fields;
        let mut packed = Reader::new(&[]);
        std::iter::from_fn(move || {
            loop {
                if !packed.rest().is_empty() {
                    return packed.varint().ok().map(|symbol| symbol as u32);
                }
                match fields.tag().ok()?? {
                    REFS => packed = fields.message().ok()?,
                    ONE_REF => return fields.varint().ok().map(|symbol| symbol as u32),
                    other => fields.skip(other).ok()?,
                }
            }
        })
    }

    /// Name and value of each label as sent: any order, empty ones and duplicates included, not checked for UTF-8; nothing
    /// in the place of one that points past the symbols, or of a name without a value.
    pub fn labels<'s>(
        &self,
        symbols: &'s Symbols<'a>,
    ) -> impl Iterator<Item = Option<(&'a [u8], &'a [u8])>> + use<'a, 's> {
        let mut refs = self.label_refs();
        std::iter::from_fn(move || {
            let name = refs.next()?;
            Some(refs.next().and_then(|value| Some((symbols.get(name)?, symbols.get(value)?))))
        })
    }

    /// Time in milliseconds since the epoch and value of each sample, as sent.
    pub fn samples(&self) -> Samples<'a> {
        Samples::of(self.fields)
    }

    /// How many samples [`Self::samples`] gives.
    pub fn sample_count(&self) -> usize {
        self.sample_count
    }

    /// How many native histograms the series carries; they are not read.
    pub fn histogram_count(&self) -> usize {
        self.histogram_count
    }

    /// How many exemplars the series carries; they are not read.
    pub fn exemplar_count(&self) -> usize {
        self.exemplar_count
    }

    /// How often it says when it was made.
    pub fn created_count(&self) -> usize {
        self.created_count
    }

    /// What it says of its metric.
    pub fn metadata(&self) -> MetadataV2 {
        self.metadata
    }
}

impl MetadataV2 {
    fn parse(mut fields: Reader<'_>, mut record: Self) -> Result<Self, ParseError> {
        while let Some(tag) = fields.tag()? {
            match tag {
                KIND => record.kind = kind(fields.varint()? as u32),
                HELP_REF => record.help_ref = fields.varint()? as u32,
                UNIT_REF => record.unit_ref = fields.varint()? as u32,
                _ => fields.skip_unknown(tag, METADATA_KNOWN)?,
            }
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbols "", "a", "b"; a series a=b with one sample of 1 at 2, made at 1, a histogram, an exemplar, and metadata.
    const REQUEST: &[u8] =
        b"\x22\x00\x22\x01a\x2a\x22\x0a\x02\x01\x02\x12\x0d\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x02\x18\x01\
        \x1a\x00\x22\x01\xff\x2a\x06\x08\x01\x18\x02\x20\x01\x30\x05\x22\x01b";

    #[test]
    fn symbols_are_found_before_and_behind_the_series() {
        assert_eq!(symbols(REQUEST).unwrap(), Symbols(vec![b"", b"a", b"b"]));
        assert_eq!(symbols(REQUEST).unwrap().get(3), None);
    }

    #[test]
    fn a_series_says_what_it_holds() {
        let symbols = symbols(REQUEST).unwrap();
        let all: Vec<_> = time_series_v2(REQUEST).collect::<Result<_, _>>().unwrap();
        let [series] = all[..] else { panic!("{all:?}") };
        assert_eq!(series.labels(&symbols).collect::<Vec<_>>(), [Some((&b"a"[..], &b"b"[..]))]);
        assert_eq!(series.samples().collect::<Vec<_>>(), [(2, 1.0)]);
        assert_eq!((series.sample_count(), series.histogram_count(), series.exemplar_count()), (1, 1, 1));
        assert_eq!(series.created_count(), 2, "of the sample and of the series");
        assert_eq!(series.metadata(), MetadataV2 { kind: MetricKind::Counter, help_ref: 2, unit_ref: 1 });
    }

    #[test]
    fn references_may_be_packed_or_not_and_must_come_in_pairs_within_the_table() {
        let symbols = Symbols(vec![b"", b"a"]);
        let labels = |fields: &[u8]| {
            let series = SeriesV2::parse(Reader::new(fields)).unwrap();
            series.labels(&symbols).map(|label| label.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(labels(b"\x0a\x02\x01\x01\x08\x01\x08\x00"), [true, true]);
        assert_eq!(labels(b"\x0a\x03\x01\x01\x01"), [true, false]);
        assert_eq!(labels(b"\x0a\x02\x01\x02"), [false]);
    }

    #[test]
    fn a_table_of_symbols_cannot_fill_the_memory() {
        let refused = symbols(&b"\x22\x00".repeat(SYMBOLS_MAX + 1)).err();
        assert_eq!(refused, Some(ParseError::TooManySymbols { offset: 2 * SYMBOLS_MAX + 1 }));
    }

    #[test]
    fn what_is_malformed_is_refused_where_it_stands() {
        assert_eq!(symbols(b"\x22\x05a").err(), Some(ParseError::LengthPastEnd { offset: 1 }));
        for series in [&b"\x2a\x03\x0a\x01\x80"[..], b"\x2a\x02\x09\x01", b"\x2a\x03\x12\x01\x09", b"\x2a\x02\x28\x01"]
        {
            let read: Vec<_> = time_series_v2(series).map(|series| series.map(drop)).collect();
            assert!(matches!(read[..], [Err(_)]), "{series:?}");
        }
        for number in [1u8, 2, 3, 4, 5] {
            assert_eq!(symbols(&[number << 3, 1]).err(), Some(ParseError::WrongWireType { offset: 1 }));
        }
        assert!(symbols(b"\x0a\x00").is_err(), "a series of version 1.0");
    }
}
