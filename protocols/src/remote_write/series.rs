//! One series of a request: its labels, its samples, and how many exemplars and native histograms it carries.
//!
//! ```text
//! TimeSeries { repeated Label labels = 1;  repeated Sample samples = 2;  repeated Exemplar exemplars = 3;
//!              repeated Histogram histograms = 4; }
//! Sample     { double value = 1;  int64 timestamp = 2; }
//! ```
//!
//! Fields may come in any order; an absent one is 0, and of one that comes twice the last counts, as the protobuf
//! specification has it.
//!
//! Not here: whether a time is plausible, and the contents of exemplars and histograms, which are stepped over unread.
//!
//! Invariant: a `TimeSeries` exists only after all its labels and samples were read once without error, so reading
//! them again cannot fail.

use super::canonical::step_over_labels;
use super::labels::{LABEL, Labels, read_label};
use crate::ParseError;
use crate::protobuf::{Reader, Tag};

pub(super) const SAMPLE: Tag = Tag::length_delimited(2);
const EXEMPLAR: Tag = Tag::length_delimited(3);
const HISTOGRAM: Tag = Tag::length_delimited(4);
const KNOWN: &[u32] = &[1, 2, 3, 4];

pub(super) const SAMPLE_VALUE: Tag = Tag::fixed64(1);
pub(super) const SAMPLE_TIME: Tag = Tag::varint(2);
/// When the counter was made; version 2.0 only, where it is known.
const SAMPLE_START: Tag = Tag::varint(3);
const SAMPLE_KNOWN: &[u32] = &[1, 2];

/// A series with its samples, borrowed from the request.
#[derive(Debug, Clone, Copy)]
pub struct TimeSeries<'a> {
    fields: Reader<'a>,
    /// The canonical labels that the series begins with.
    canonical_bytes: usize,
    /// Whether those are all its labels and `__name__` is among them.
    canonical: bool,
    sample_count: usize,
    last_sample: (i64, f64),
    exemplar_count: usize,
    histogram_count: usize,
}

impl<'a> TimeSeries<'a> {
    #[inline]
    pub(super) fn parse(fields: Reader<'a>) -> Result<Self, ParseError> {
        Self::parse_behind(fields, 0)
    }

    /// Reads what stands behind labels known to be canonical; 0 bytes of them say that nothing is known.
    #[inline]
    pub(super) fn parse_behind(fields: Reader<'a>, known_bytes: usize) -> Result<Self, ParseError> {
        let mut rest = fields;
        let named = if known_bytes > 0 {
            rest.advance(known_bytes.min(rest.rest().len()));
            true
        } else {
            step_over_labels(&mut rest)
        };
        let canonical_bytes = rest.at() - fields.at();
        let mut series = Self {
            fields,
            canonical_bytes,
            canonical: named,
            sample_count: 0,
            last_sample: (0, 0.0),
            exemplar_count: 0,
            histogram_count: 0,
        };
        while let Some(tag) = rest.tag()? {
            match tag {
                SAMPLE => {
                    let (time_ms, value, _) = read_sample(rest.message()?)?;
                    series.last_sample = (time_ms, value);
                    series.sample_count += 1;
                }
                LABEL => {
                    read_label(rest.message()?)?;
                    series.canonical = false;
                }
                EXEMPLAR => {
                    rest.skip(tag)?;
                    series.exemplar_count += 1;
                }
                HISTOGRAM => {
                    rest.skip(tag)?;
                    series.histogram_count += 1;
                }
                _ => rest.skip_unknown(tag, KNOWN)?,
            }
        }
        Ok(series)
    }

    /// The labels as they stand in the request, when those bytes are canonical (see the head of `canonical.rs`), which
    /// includes that `__name__` is one of them; else read [`Self::labels`]. They are not checked for UTF-8.
    #[inline]
    pub fn canonical_labels(&self) -> Option<&'a [u8]> {
        self.canonical.then(|| &self.fields.rest()[..self.canonical_bytes])
    }

    /// Name and value of each label as sent: any order, empty ones and duplicates included, not checked for UTF-8.
    pub fn labels(&self) -> Labels<'a> {
        Labels { fields: self.fields }
    }

    /// Time in milliseconds since the epoch and value of each sample, as sent.
    #[inline]
    pub fn samples(&self) -> Samples<'a> {
        let mut fields = self.fields;
        fields.advance(self.canonical_bytes);
        Samples { fields }
    }

    /// The last of [`Self::samples`], which for most senders is the only one; 0 at 0 when there is none.
    #[inline]
    pub fn last_sample(&self) -> (i64, f64) {
        self.last_sample
    }

    /// How many samples [`Self::samples`] gives.
    pub fn sample_count(&self) -> usize {
        self.sample_count
    }

    /// How many exemplars the series carries; they are not read.
    pub fn exemplar_count(&self) -> usize {
        self.exemplar_count
    }

    /// How many native histograms the series carries; they are not read.
    pub fn histogram_count(&self) -> usize {
        self.histogram_count
    }
}

/// Time, value and, where it says so, the time the counter was made.
#[inline]
pub(super) fn read_sample(mut fields: Reader<'_>) -> Result<(i64, f64, i64), ParseError> {
    let (mut time_ms, mut value, mut start_ms) = (0, 0.0, 0);
    while let Some(tag) = fields.tag()? {
        match tag {
            SAMPLE_VALUE => value = f64::from_bits(fields.fixed64()?),
            SAMPLE_TIME => time_ms = fields.varint()? as i64,
            SAMPLE_START => start_ms = fields.varint()? as i64,
            _ => fields.skip_unknown(tag, SAMPLE_KNOWN)?,
        }
    }
    Ok((time_ms, value, start_ms))
}

/// Iterator over the `(time_ms, value)` of a series' samples, as sent.
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    /// Invariant: the rest of a series that was read once without error.
    fields: Reader<'a>,
}

impl<'a> Samples<'a> {
    /// The samples of a series that was read once without error.
    pub(super) fn of(fields: Reader<'a>) -> Self {
        Self { fields }
    }
}

impl Iterator for Samples<'_> {
    type Item = (i64, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.tag().ok()?? {
                SAMPLE => {
                    let (time_ms, value, _) = read_sample(self.fields.message().ok()?).ok()?;
                    return Some((time_ms, value));
                }
                other => self.fields.skip(other).ok()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME_UP: &[u8] = b"\x0a\x0e\x0a\x08__name__\x12\x02up";
    const JOB_X: &[u8] = b"\x0a\x08\x0a\x03job\x12\x01x";
    const ONE_AT_2: &[u8] = b"\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x02";

    fn parse(bytes: &[u8]) -> Result<TimeSeries<'_>, ParseError> {
        TimeSeries::parse(Reader::new(bytes))
    }

    #[test]
    fn labels_first_and_in_order_are_canonical() {
        let bytes = [NAME_UP, JOB_X, ONE_AT_2].concat();
        let series = parse(&bytes).unwrap();
        assert_eq!(series.canonical_labels(), Some(&[NAME_UP, JOB_X].concat()[..]));
        assert_eq!(series.samples().collect::<Vec<_>>(), [(2, 1.0)]);
        assert_eq!(series.sample_count(), 1);
    }

    #[test]
    fn labels_in_another_order_or_place_are_read_and_not_canonical() {
        for bytes in [[JOB_X, NAME_UP, ONE_AT_2], [NAME_UP, ONE_AT_2, JOB_X], [ONE_AT_2, NAME_UP, JOB_X]] {
            let bytes = bytes.concat();
            let series = parse(&bytes).unwrap();
            assert_eq!(series.canonical_labels(), None);
            let mut labels: Vec<_> = series.labels().collect();
            labels.sort_unstable();
            assert_eq!(labels, [(&b"__name__"[..], &b"up"[..]), (b"job", b"x")]);
            assert_eq!(series.samples().collect::<Vec<_>>(), [(2, 1.0)]);
        }
    }

    #[test]
    fn labels_without_a_metric_name_are_not_canonical() {
        assert_eq!(parse(JOB_X).unwrap().canonical_labels(), None);
        assert_eq!(parse(b"").unwrap().canonical_labels(), None);
    }

    #[test]
    fn absent_times_and_values_are_zero_and_the_last_of_each_counts() {
        let bytes = [b"\x12\x00", ONE_AT_2, b"\x12\x04\x10\x09\x10\x07"].concat();
        assert_eq!(parse(&bytes).unwrap().samples().collect::<Vec<_>>(), [(0, 0.0), (2, 1.0), (7, 0.0)]);
    }

    #[test]
    fn times_before_the_epoch_and_every_bit_of_a_value_survive() {
        let bytes = b"\x12\x14\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x09\x02\x00\x00\x00\x00\x00\xf0\x7f";
        let (time_ms, value) = parse(bytes).unwrap().samples().next().unwrap();
        assert_eq!((time_ms, value.to_bits()), (-1, 0x7ff0_0000_0000_0002), "the staleness marker");
    }

    #[test]
    fn exemplars_and_histograms_are_counted_and_not_read() {
        let bytes = [&b"\x1a\x01\xff\x22\x00"[..], ONE_AT_2, b"\x22\x02\xff\xff\x30\x05"].concat();
        let series = parse(&bytes).unwrap();
        assert_eq!((series.sample_count(), series.exemplar_count(), series.histogram_count()), (1, 1, 2));
        assert_eq!(series.samples().count(), 1);
    }

    #[test]
    fn malformed_labels_and_samples_are_refused_in_the_one_walk() {
        let malformed_label = [NAME_UP, &b"\x0a\x01\x0a"[..]].concat();
        assert_eq!(parse(&malformed_label).err(), Some(ParseError::Truncated { offset: NAME_UP.len() + 3 }));
        assert_eq!(parse(b"\x12\x02\x09\x01").err(), Some(ParseError::Truncated { offset: 3 }));
        assert_eq!(parse(b"\x12\x02\x08\x01").err(), Some(ParseError::WrongWireType { offset: 3 }));
        for number in 1..=4 {
            let varint = [number << 3, 1];
            assert_eq!(parse(&varint).err(), Some(ParseError::WrongWireType { offset: 1 }), "field {number}");
        }
    }
}
