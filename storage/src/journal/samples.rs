//! The payload of a samples record: a batch of samples as three columns.
//!
//! ```text
//! u32 samples | u32 bytes of series column | u32 bytes of time column | series | times | value tags | values
//! ```
//!
//! - *Series*: one varint each, `zigzag(id - expected) << 6 | partition`, where `expected` is one more than the id
//!   last seen in that partition (0 at first). Agents send their series in the same order every time and ids were
//!   given in that order, so this is one byte for most samples, however the partitions interleave.
//! - *Times*: the first as a zigzag varint, then runs of equal steps as (zigzag step, count): next to nothing for a
//!   scrape (step 0) and for one series at a fixed interval alike.
//! - *Values*: four bits of tag each, then 0 to 6 bytes of integer, of thousandths, or the 8 bytes of the bits.
//!   Only what reads back bit for bit is shortened; NaN payloads and negative zero keep their bits.
//!
//! Cost: one pass a column over data that is in the first-level cache, no allocation once warm. Measured by
//! `benches/journal.rs`: 8.5 ns of CPU a sample to encode (2.3 of them for shortening values, which saves 6 bytes), 5 ns
//! to decode, 3.5 bytes a sample for values as node_exporter has them.
//!
//! Not here: the frame (see `record`), deduplication (see `head`).

use super::record::{self, Kind};
use super::{DecodeError, varint};
use crate::series::{PARTITIONS, SeriesRef};

/// How many samples a record can hold: 2^19 of the longest possible (24.5 bytes) stay below the payload limit.
pub const SAMPLES_PER_RECORD_MAX: usize = 1 << 19;

const COUNTS_BYTES: usize = 12;
const PARTITION_BITS: u32 = 6;

/// The tag of a value kept as its 8 bytes.
const TAG_RAW: u8 = 7;
/// Set in the tag of a value kept as a whole number of thousandths.
const TAG_THOUSANDTHS: u8 = 8;
/// Whole numbers need at most this many bits after zigzag, or are kept raw.
const INTEGER_BITS: u32 = 48;

/// Masks that keep the lowest 0 to 8 bytes.
const LOW_BYTES: [u64; 9] =
    [0, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff, 0xff_ffff_ffff, 0xffff_ffff_ffff, 0xff_ffff_ffff_ffff, u64::MAX];

/// Collects samples and encodes them into one record; keeps its memory between records.
#[derive(Debug, Default)]
pub struct SamplesEncoder {
    series: Vec<u32>,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl SamplesEncoder {
    /// Adds a sample to the record; at most [`SAMPLES_PER_RECORD_MAX`] before [`Self::finish`].
    #[inline]
    pub fn push(&mut self, series: SeriesRef, time_ms: i64, value: f64) {
        self.series.push(series.0);
        self.times.push(time_ms);
        self.values.push(value);
    }

    /// Samples pushed since the last record.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Appends the record to `out` and forgets the samples; appends nothing when there are none.
    ///
    /// # Panics
    /// When more than [`SAMPLES_PER_RECORD_MAX`] samples were pushed.
    pub fn finish(&mut self, seq: u64, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        assert!(self.len() <= SAMPLES_PER_RECORD_MAX, "{} samples in one record", self.len());
        let start = record::begin(out);
        let counts_at = out.len();
        out.extend_from_slice(&[0; COUNTS_BYTES]);
        let series_at = out.len();
        encode_series(&self.series, out);
        let times_at = out.len();
        encode_times(&self.times, out);
        let values_at = out.len();
        encode_values(&self.values, out);
        let counts = [self.series.len(), times_at - series_at, values_at - times_at];
        for (place, count) in out[counts_at..series_at].chunks_exact_mut(4).zip(counts) {
            place.copy_from_slice(&(count as u32).to_le_bytes());
        }
        record::finish(out, start, Kind::Samples, seq);
        self.clear();
    }

    fn clear(&mut self) {
        self.series.clear();
        self.times.clear();
        self.values.clear();
    }
}

fn encode_series(series: &[u32], out: &mut Vec<u8>) {
    let mut expected = [0u32; PARTITIONS];
    // Room for the usual length; the rare longer code makes more.
    out.reserve(2 * series.len());
    for &reference in series {
        let series = SeriesRef(reference);
        let expected = &mut expected[usize::from(series.partition()) % PARTITIONS];
        let gap = series.id() as i32 - *expected as i32;
        *expected = series.id() + 1;
        varint::push(out, varint::zigzag(i64::from(gap)) << PARTITION_BITS | u64::from(series.partition()));
    }
}

fn encode_times(times: &[i64], out: &mut Vec<u8>) {
    let Some((&first, rest)) = times.split_first() else { return };
    varint::push(out, varint::zigzag(first));
    let (mut previous, mut step, mut run) = (first, 0i64, 0u64);
    for &time in rest {
        let this_step = time.wrapping_sub(previous);
        previous = time;
        if this_step != step && run > 0 {
            push_run(out, step, run);
            run = 0;
        }
        step = this_step;
        run += 1;
    }
    if run > 0 {
        push_run(out, step, run);
    }
}

fn push_run(out: &mut Vec<u8>, step: i64, run: u64) {
    varint::push(out, varint::zigzag(step));
    varint::push(out, run);
}

fn encode_values(values: &[f64], out: &mut Vec<u8>) {
    let start = out.len();
    let tag_bytes = values.len().div_ceil(2);
    out.resize(start + tag_bytes + 8 * values.len(), 0);
    let (tags, packed) = out[start..].split_at_mut(tag_bytes);
    let mut at = 0;
    for (i, &value) in values.iter().enumerate() {
        let (tag, bits) = pack(value);
        tags[i / 2] |= tag << (4 * (i % 2));
        // Always eight bytes: the next value overwrites those that this one does not need.
        packed[at..at + 8].copy_from_slice(&bits.to_le_bytes());
        at += packed_bytes(tag);
    }
    out.truncate(start + tag_bytes + at);
}

/// The tag of a value and the bits to keep of it.
#[inline]
fn pack(value: f64) -> (u8, u64) {
    // The casts saturate, so any value may be tried; what does not read back bit for bit is kept raw.
    let whole = value as i64;
    if (whole as f64).to_bits() == value.to_bits() {
        return pack_integer(whole, 0).unwrap_or((TAG_RAW, value.to_bits()));
    }
    let thousandths = (value * 1000.0 + 0.5f64.copysign(value)) as i64;
    if (thousandths as f64 / 1000.0).to_bits() == value.to_bits() {
        return pack_integer(thousandths, TAG_THOUSANDTHS).unwrap_or((TAG_RAW, value.to_bits()));
    }
    (TAG_RAW, value.to_bits())
}

#[inline]
fn pack_integer(value: i64, scale: u8) -> Option<(u8, u64)> {
    let bits = varint::zigzag(value);
    let needed = u64::BITS - bits.leading_zeros();
    (needed <= INTEGER_BITS).then(|| (scale | needed.div_ceil(8) as u8, bits))
}

#[inline]
fn packed_bytes(tag: u8) -> usize {
    let bytes = usize::from(tag & 7);
    if bytes == usize::from(TAG_RAW) { 8 } else { bytes }
}

/// Calls `each` with the samples of a payload in the order they were pushed and returns how many there were.
///
/// On an error, `each` may have been called for samples before the fault; a checksummed record gives none.
pub fn decode_samples(payload: &[u8], mut each: impl FnMut(SeriesRef, i64, f64)) -> Result<usize, DecodeError> {
    let (samples, mut series, mut times, mut values) = columns(payload)?;
    for _ in 0..samples {
        let series = series.next().ok_or(DecodeError("series column"))?;
        let time_ms = times.next().ok_or(DecodeError("time column"))?;
        let value = values.next().ok_or(DecodeError("value column"))?;
        each(series, time_ms, value);
    }
    if !(series.rest.is_empty() && times.rest.is_empty() && times.run == 0 && values.rest.is_empty()) {
        return Err(DecodeError("bytes behind the last sample"));
    }
    Ok(samples)
}

/// A bit for each partition that the samples of a payload are of; all bits when it cannot be told.
pub fn partitions_of_samples(payload: &[u8]) -> u64 {
    let Ok((_, series, ..)) = columns(payload) else { return u64::MAX };
    let (mut partitions, mut begins) = (0, true);
    for &byte in series.rest {
        // Of each number the lowest six bits name the partition, and they stand in its first byte.
        partitions |= u64::from(begins) << (byte & ((1 << PARTITION_BITS) - 1));
        begins = byte < 0x80;
    }
    partitions
}

fn columns(payload: &[u8]) -> Result<(usize, SeriesColumn<'_>, TimeColumn<'_>, ValueColumn<'_>), DecodeError> {
    let (counts, rest) = payload.split_first_chunk::<COUNTS_BYTES>().ok_or(DecodeError("counts"))?;
    let count = |i: usize| u32::from_le_bytes([counts[i], counts[i + 1], counts[i + 2], counts[i + 3]]) as usize;
    let samples = count(0);
    let (series, rest) = rest.split_at_checked(count(4)).ok_or(DecodeError("length of series column"))?;
    let (times, rest) = rest.split_at_checked(count(8)).ok_or(DecodeError("length of time column"))?;
    let (tags, values) = rest.split_at_checked(samples.div_ceil(2)).ok_or(DecodeError("value tags"))?;
    let times = TimeColumn::new(times).ok_or(DecodeError("first time"))?;
    let series = SeriesColumn { rest: series, expected: [0; PARTITIONS] };
    Ok((samples, series, times, ValueColumn { tags, rest: values, index: 0 }))
}

struct SeriesColumn<'a> {
    rest: &'a [u8],
    expected: [u32; PARTITIONS],
}

impl SeriesColumn<'_> {
    #[inline]
    fn next(&mut self) -> Option<SeriesRef> {
        let code = varint::take(&mut self.rest)?;
        let partition = (code as u8) & ((1 << PARTITION_BITS) - 1);
        let expected = &mut self.expected[usize::from(partition)];
        let id = u32::try_from(varint::unzigzag(code >> PARTITION_BITS) + i64::from(*expected)).ok()?;
        *expected = id.checked_add(1)?;
        (id < SeriesRef::IDS_PER_PARTITION).then(|| SeriesRef::new(partition, id))
    }
}

struct TimeColumn<'a> {
    rest: &'a [u8],
    time_ms: i64,
    step: i64,
    run: u64,
}

impl<'a> TimeColumn<'a> {
    /// The first time is written as a run of one step from zero.
    fn new(mut rest: &'a [u8]) -> Option<Self> {
        let step = varint::unzigzag(varint::take(&mut rest)?);
        Some(Self { rest, time_ms: 0, step, run: 1 })
    }

    #[inline]
    fn next(&mut self) -> Option<i64> {
        if self.run == 0 {
            self.step = varint::unzigzag(varint::take(&mut self.rest)?);
            self.run = varint::take(&mut self.rest)?;
        }
        self.run = self.run.checked_sub(1)?;
        self.time_ms = self.time_ms.wrapping_add(self.step);
        Some(self.time_ms)
    }
}

struct ValueColumn<'a> {
    tags: &'a [u8],
    rest: &'a [u8],
    index: usize,
}

impl ValueColumn<'_> {
    #[inline]
    fn next(&mut self) -> Option<f64> {
        let tag = self.tags.get(self.index / 2)? >> (4 * (self.index % 2)) & 0x0f;
        self.index += 1;
        let bytes = packed_bytes(tag);
        let bits = match self.rest.first_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight) & LOW_BYTES[bytes],
            None => short_bits(self.rest.get(..bytes)?),
        };
        self.rest = self.rest.get(bytes..)?;
        match tag {
            TAG_RAW => Some(f64::from_bits(bits)),
            _ if tag & TAG_THOUSANDTHS == 0 => Some(varint::unzigzag(bits) as f64),
            _ if bytes == 8 => None,
            _ => Some(varint::unzigzag(bits) as f64 / 1000.0),
        }
    }
}

/// The same near the end of the column, where no eight bytes are left to be masked.
fn short_bits(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (u32, i64, u64);

    fn encoded(rows: &[Row]) -> Vec<u8> {
        let mut encoder = SamplesEncoder::default();
        rows.iter().for_each(|&(series, time, bits)| encoder.push(SeriesRef(series), time, f64::from_bits(bits)));
        let mut out = Vec::new();
        encoder.finish(1, &mut out);
        assert!(encoder.is_empty());
        out.split_off(record::HEADER_BYTES)
    }

    fn decoded(payload: &[u8]) -> Result<Vec<Row>, DecodeError> {
        let mut rows = Vec::new();
        let count = decode_samples(payload, |series, time, value| rows.push((series.0, time, value.to_bits())))?;
        assert_eq!(count, rows.len());
        Ok(rows)
    }

    fn survives(rows: &[Row]) {
        assert_eq!(decoded(&encoded(rows)).as_deref(), Ok(rows));
    }

    fn packed(value: f64) -> usize {
        packed_bytes(pack(value).0)
    }

    #[test]
    fn remarkable_values_keep_every_bit() {
        let nan = crate::sample::STALE_NAN_BITS;
        let values =
            [0.0, -0.0, 1.0, -1.0, 0.1, 0.001, -0.001, 12345.67, 1e15, -1e15, 1e300, f64::MIN_POSITIVE, 5e-324];
        let more = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX, f64::MIN, 2f64.powi(63), 2f64.powi(47)];
        let bits = values.iter().chain(&more).map(|value| value.to_bits()).chain([nan, nan | 1 << 63, u64::MAX]);
        survives(&bits.enumerate().map(|(i, bits)| (i as u32, 1, bits)).collect::<Vec<_>>());
    }

    #[test]
    fn short_numbers_are_kept_short() {
        assert_eq!([0.0, 1.0, -64.0, 127.0, 128.0, 40_000.0, 1e9, 1e12].map(packed), [0, 1, 1, 1, 2, 3, 4, 6]);
        assert_eq!([0.1, 0.25, -0.064, 98.6, 12345.67, 86_400.125].map(packed), [1, 2, 1, 3, 4, 4]);
        assert_eq!([-0.0, f64::NAN, 1e18, 0.1234567, 1.0 / 3.0].map(packed), [8; 5]);
    }

    #[test]
    fn extreme_times_and_references_survive() {
        survives(&[
            (u32::MAX, i64::MAX, 0),
            (0, i64::MIN, 1),
            (u32::MAX, 0, 2),
            (1 << 26, -1, 3),
            ((1 << 26) - 1, 5, 4),
        ]);
    }

    #[test]
    fn a_scrape_costs_one_byte_of_series_and_none_of_time() {
        let rows: Vec<Row> =
            (0..6400u32).map(|i| (SeriesRef::new((i % 64) as u8, i / 64).0, 1_700_000_000_000, 0)).collect();
        let payload = encoded(&rows);
        let (values, fixed) = (6400 / 2, COUNTS_BYTES + 9);
        assert!(payload.len() <= values + fixed + 6400, "{} bytes", payload.len());
        assert_eq!(decoded(&payload), Ok(rows));
    }

    #[test]
    fn a_series_at_a_fixed_step_costs_no_time_bytes() {
        let rows: Vec<Row> = (0..1000).map(|i| (7, 1_700_000_000_000 + i * 15_000, 0)).collect();
        let times_at = |payload: &[u8]| u32::from_le_bytes([payload[8], payload[9], payload[10], payload[11]]);
        assert!(times_at(&encoded(&rows)) <= 12);
        survives(&rows);
    }

    #[test]
    fn the_partitions_of_a_payload_are_told_without_decoding_it() {
        let rows =
            [(SeriesRef::new(3, 900_000).0, 5, 1), (SeriesRef::new(63, 1).0, 6, 1), (SeriesRef::new(3, 7).0, 9, 1)];
        assert_eq!(partitions_of_samples(&encoded(&rows)), 1 << 3 | 1 << 63);
        assert_eq!(partitions_of_samples(&[1, 2, 3]), u64::MAX);
    }

    #[test]
    fn nothing_pushed_is_no_record() {
        let mut out = vec![1];
        SamplesEncoder::default().finish(1, &mut out);
        assert_eq!(out, [1]);
    }

    #[test]
    fn an_encoder_forgets_the_record_it_finished() {
        let mut encoder = SamplesEncoder::default();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        encoder.push(SeriesRef(5), 10, 1.5);
        encoder.finish(1, &mut first);
        encoder.push(SeriesRef(5), 10, 1.5);
        encoder.finish(1, &mut second);
        assert_eq!(first, second);
    }

    #[test]
    fn a_shortened_or_lengthened_payload_is_refused() {
        let payload = encoded(&[(3, 5, 1f64.to_bits()), (4, 5, 0.1f64.to_bits()), (900, 7, f64::NAN.to_bits())]);
        for len in 0..payload.len() {
            assert!(decoded(&payload[..len]).is_err(), "{len} bytes");
        }
        let longer = [payload.as_slice(), &[0]].concat();
        assert_eq!(decoded(&longer), Err(DecodeError("bytes behind the last sample")));
    }

    /// The bytes of `storage/FORMAT.md`.
    #[test]
    fn the_payload_is_that_of_the_format() {
        let rows = [(2, 1000, 1f64.to_bits()), (3, 1000, 2.5f64.to_bits()), (1 << 26, 1015, f64::NAN.to_bits())];
        let series = [0x80, 0x02, 0x00, 0x01];
        let times = [0xd0, 0x0f, 0, 1, 30, 1];
        let values = [0xa1, 0x07, 2, 0x88, 0x13, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f];
        let expected = [&[3, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0][..], &series, &times, &values].concat();
        assert_eq!(encoded(&rows), expected);
    }

    fn any_value() -> impl Strategy<Value = u64> {
        let hundredths = any::<i32>().prop_map(|n| (f64::from(n) / 100.0).to_bits());
        prop_oneof![any::<u64>(), any::<i32>().prop_map(|n| f64::from(n).to_bits()), hundredths, Just(0)]
    }

    proptest! {
        #[test]
        fn any_samples_survive(rows in prop::collection::vec((any::<u32>(), any::<i64>(), any_value()), 1..100)) {
            survives(&rows);
        }

        #[test]
        fn hostile_bytes_never_panic(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            counts in [0u8..40, 0..40, 0..40],
        ) {
            let _ = decoded(&payload);
            let [samples, series, times] = counts;
            let head = [samples, 0, 0, 0, series, 0, 0, 0, times, 0, 0, 0];
            let _ = decoded(&[&head[..], &payload].concat());
        }

        #[test]
        fn bent_payloads_never_panic(
            rows in prop::collection::vec((any::<u32>(), any::<i64>(), any_value()), 1..20),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let mut payload = encoded(&rows);
            let at = at.index(payload.len());
            payload[at] = byte;
            let _ = decoded(&payload);
        }
    }
}
