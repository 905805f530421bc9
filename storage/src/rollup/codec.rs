//! The bytes of a day's buckets of one series: columns, each a chunk of its own, or the same as another column.
//!
//! ```text
//! version u8 = 1 | resolution u8, minutes | seven columns: last, first, min, max, sum, drops, count
//! column = 0 | length varint | chunk       a column of its own
//!          1                               the same bits as `last` in every bucket
//!          2                               the same bits as `first`
//!          3                               every bucket has NaN (drops of what is no counter)
//! ```
//!
//! The times of `last` are the numbers of the buckets in their day; the other columns have the times 0, 1, 2 and so on.
//! A counter's `min` is its `first` and its `max` its `last` but where it was reset, and a constant is all four.
//!
//! Not here: the checksum, which blocks carry.
//!
//! Invariant: what reads back is what was written, bit for bit; decoding arbitrary bytes ends in buckets or an error.

use super::bucket::{Resolution, Rollup};
use crate::chunk::{self, ChunkError};

const VERSION: u8 = 1;

const OWN: u8 = 0;
const AS_LAST: u8 = 1;
const AS_FIRST: u8 = 2;
const NOT_A_NUMBER: u8 = 3;

/// Encodes buckets; keeps its working memory.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    chunk: chunk::Encoder,
    times: Vec<i64>,
    values: Vec<f64>,
    bytes: Vec<u8>,
}

/// Why bytes are no buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RollupError {
    #[error("unknown version or resolution of a rollup")]
    Version,
    #[error("a rollup's columns do not fit together")]
    Columns,
    #[error("a rollup's column does not decode: {0}")]
    Chunk(#[from] ChunkError),
}

impl Encoder {
    /// Appends the buckets, at least one, that begin on the day that begins at `day_ms`.
    pub(super) fn encode(&mut self, resolution: Resolution, day_ms: i64, buckets: &[Rollup], out: &mut Vec<u8>) {
        out.extend_from_slice(&[VERSION, (resolution.ms() / 60_000) as u8]);
        self.times.clear();
        self.times.extend(buckets.iter().map(|bucket| (bucket.start_ms - day_ms) / resolution.ms()));
        self.column(buckets.iter().map(|bucket| bucket.last), out);
        self.times.clear();
        self.times.extend(0..buckets.len() as i64);
        let columns: [fn(&Rollup) -> f64; 6] =
            [|b| b.first, |b| b.min, |b| b.max, |b| b.sum, |b| b.drops, |b| b.count as f64];
        for column in columns {
            let is = |other: fn(&Rollup) -> f64| buckets.iter().all(|b| column(b).to_bits() == other(b).to_bits());
            if is(|bucket| bucket.last) {
                out.push(AS_LAST);
            } else if is(|bucket| bucket.first) && !std::ptr::fn_addr_eq(column, columns[0]) {
                out.push(AS_FIRST);
            } else if is(|_| f64::NAN) {
                out.push(NOT_A_NUMBER);
            } else {
                self.column(buckets.iter().map(column), out);
            }
        }
    }

    fn column(&mut self, values: impl Iterator<Item = f64>, out: &mut Vec<u8>) {
        self.values.clear();
        self.values.extend(values);
        self.bytes.clear();
        self.chunk.encode(&self.times, &self.values, &mut self.bytes);
        out.push(OWN);
        let mut len = self.bytes.len();
        while len >= 0x80 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend_from_slice(&self.bytes);
    }
}

/// Appends the buckets of bytes that [`Encoder::encode`] wrote for the day that begins at `day_ms`.
///
/// # Errors
/// When they are none; nothing is appended then.
pub(super) fn decode(
    mut bytes: &[u8],
    resolution: Resolution,
    day_ms: i64,
    out: &mut Vec<Rollup>,
) -> Result<(), RollupError> {
    let [version, minutes] = *take(&mut bytes, 2)? else { return Err(RollupError::Columns) };
    if version != VERSION || i64::from(minutes) * 60_000 != resolution.ms() {
        return Err(RollupError::Version);
    }
    let (mut times, mut last) = (Vec::new(), Vec::new());
    if take(&mut bytes, 1)? != [OWN] {
        return Err(RollupError::Columns);
    }
    chunk::decode(own(&mut bytes)?, &mut times, &mut last)?;
    if times.iter().any(|number| !(0..resolution.a_day()).contains(number)) {
        return Err(RollupError::Columns);
    }
    let mut columns: [Vec<f64>; 7] = Default::default();
    columns[0] = last;
    for at in 1..columns.len() {
        let column = match take(&mut bytes, 1)? {
            [OWN] => {
                let (mut numbers, mut values) = (Vec::new(), Vec::new());
                chunk::decode(own(&mut bytes)?, &mut numbers, &mut values)?;
                values
            }
            [AS_LAST] => columns[0].clone(),
            [AS_FIRST] if at > 1 => columns[1].clone(),
            [NOT_A_NUMBER] => vec![f64::NAN; times.len()],
            _ => return Err(RollupError::Columns),
        };
        if column.len() != times.len() {
            return Err(RollupError::Columns);
        }
        columns[at] = column;
    }
    if !bytes.is_empty() {
        return Err(RollupError::Columns);
    }
    let [last, first, min, max, sum, drops, count] = &columns;
    out.extend(times.iter().enumerate().map(|(at, number)| Rollup {
        start_ms: day_ms + number * resolution.ms(),
        // Whatever a damaged column holds becomes some count; the block's checksum lets none through.
        count: count[at] as u64,
        sum: sum[at],
        min: min[at],
        max: max[at],
        first: first[at],
        last: last[at],
        drops: drops[at],
    }));
    Ok(())
}

fn own<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], RollupError> {
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let byte = take(bytes, 1)?[0];
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return take(bytes, len);
        }
    }
    Err(RollupError::Columns)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], RollupError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(RollupError::Columns)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::super::bucket::DayRoller;
    use super::*;
    use crate::blocks::DAY_MS;
    use proptest::prelude::*;

    fn bits(bucket: &Rollup) -> [u64; 8] {
        let Rollup { start_ms, count, sum, min, max, first, last, drops } = *bucket;
        [
            start_ms as u64,
            count,
            sum.to_bits(),
            min.to_bits(),
            max.to_bits(),
            first.to_bits(),
            last.to_bits(),
            drops.to_bits(),
        ]
    }

    fn encoded(resolution: Resolution, day_ms: i64, buckets: &[Rollup]) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::default().encode(resolution, day_ms, buckets, &mut out);
        out
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (0u32..10_000).prop_map(|n| f64::from(n) / 100.0),
            (0u32..50).prop_map(f64::from),
            Just(0.0),
            Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn what_samples_amount_to_reads_back_bit_for_bit(
            steps in prop::collection::vec((1i64..600_000, value()), 1..300),
            day in -3i64..30_000,
            hourly in any::<bool>(),
        ) {
            let resolution = if hourly { Resolution::Hour } else { Resolution::Minutes5 };
            let (mut times, mut values, mut at_ms) = (Vec::new(), Vec::new(), day * DAY_MS);
            for (step_ms, value) in steps {
                at_ms += step_ms;
                if at_ms >= (day + 1) * DAY_MS {
                    break;
                }
                times.push(at_ms);
                values.push(value);
            }
            let mut buckets = Vec::new();
            DayRoller::roll(resolution, &times, &values, &mut buckets);
            prop_assume!(!buckets.is_empty());
            let bytes = encoded(resolution, day * DAY_MS, &buckets);
            let mut read = Vec::new();
            decode(&bytes, resolution, day * DAY_MS, &mut read).unwrap();
            prop_assert_eq!(read.iter().map(bits).collect::<Vec<_>>(), buckets.iter().map(bits).collect::<Vec<_>>());
        }

        #[test]
        fn bytes_of_any_kind_end_in_buckets_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200), hourly in any::<bool>()) {
            let resolution = if hourly { Resolution::Hour } else { Resolution::Minutes5 };
            let _ = decode(&bytes, resolution, 0, &mut Vec::new());
            bytes.splice(0..0, [VERSION, (resolution.ms() / 60_000) as u8, OWN]);
            let _ = decode(&bytes, resolution, 0, &mut Vec::new());
        }
    }

    #[test]
    fn bent_and_cut_bytes_end_in_buckets_or_an_error() {
        let buckets: Vec<Rollup> = (0..288)
            .map(|i| Rollup {
                start_ms: i * 300_000,
                count: 20,
                sum: i as f64 * 1.5,
                min: i as f64,
                max: i as f64 + 0.25,
                first: i as f64,
                last: i as f64 + 0.25,
                drops: 0.0,
            })
            .collect();
        let bytes = encoded(Resolution::Minutes5, 0, &buckets);
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], Resolution::Minutes5, 0, &mut Vec::new()).is_err(), "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&bent, Resolution::Minutes5, 0, &mut Vec::new());
        }
        assert_eq!(decode(&bytes, Resolution::Hour, 0, &mut Vec::new()), Err(RollupError::Version));
    }

    /// A counter and a constant take few columns of their own.
    #[test]
    fn columns_that_are_the_same_are_written_once() {
        let mut buckets = Vec::new();
        let times: Vec<i64> = (0..5760).map(|i| i * 15_000).collect();
        DayRoller::roll(Resolution::Minutes5, &times, &vec![42.5; times.len()], &mut buckets);
        let constant = encoded(Resolution::Minutes5, 0, &buckets).len();
        assert!(constant < 90, "{constant} bytes");
        let counter: Vec<f64> = (0..5760).map(|i| (i * 37 % 11 + i * 40) as f64).collect();
        buckets.clear();
        DayRoller::roll(Resolution::Minutes5, &times, &counter, &mut buckets);
        let counter = encoded(Resolution::Minutes5, 0, &buckets).len();
        assert!(counter < 1500, "{counter} bytes");
    }
}
