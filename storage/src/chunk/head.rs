//! The head of a chunk: everything but its columns, so that a reader can skip what it need not decode.
//!
//! ```text
//!  type 1 | flags 1 | scale 1 | count | start | step or span | [stale] | [raw mask] [first last min max sum drops]
//! ```
//!
//! The six numbers are mantissas of the column's scale (integers where it is not decimal), all but `drops` counted
//! from that of `first`, which makes them short; one that is no mantissa is raw and named in the mask. About 12 bytes
//! for a gauge with two decimals, and 15 for what stands before them.
//!
//! Not here: what the numbers mean (see `stats`).
//!
//! Invariant: a head that was read has 1 to `MAX_SAMPLES` samples, and its end does not lie before its start.

use super::cursor::{ChunkError, Cursor, push_varint, push_zigzag};
use super::stats::Stats;
use super::values::{Scale, Shape};
use super::{MAX_SAMPLES, decimal};

/// Type byte of a chunk of doubles. 2 is reserved for histograms.
const TYPE_FLOAT: u8 = 1;

/// Times only rise. Always set: the flag is what a layout without that promise would clear.
const FLAG_RISING: u8 = 1 << 0;
const FLAG_EVEN: u8 = 1 << 1;
const FLAG_STALE: u8 = 1 << 2;
const FLAG_EXCEPTIONS: u8 = 1 << 3;
const FLAG_CONSTANT: u8 = 1 << 4;
const FLAG_RAW_STATS: u8 = 1 << 5;
const FLAGS_KNOWN: u8 = FLAG_RISING | FLAG_EVEN | FLAG_STALE | FLAG_EXCEPTIONS | FLAG_CONSTANT | FLAG_RAW_STATS;

/// What stands before the columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) stats: Stats,
    /// The step of evenly spaced times.
    pub(super) step_ms: Option<u64>,
    pub(super) shape: Shape,
}

/// The statistics in the order in which they are written.
const NUMBERS: usize = 6;
/// The numbers that a constant column needs: `first` and `sum`; the others follow.
const OF_CONSTANT: [bool; NUMBERS] = [true, false, false, false, true, false];

impl Head {
    /// Appends the head.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { stats, step_ms, shape } = self;
        let (mask, mantissas) = self.mantissas();
        let flags = [
            (FLAG_RISING, true),
            (FLAG_EVEN, step_ms.is_some()),
            (FLAG_STALE, stats.stale > 0),
            (FLAG_EXCEPTIONS, shape.exceptions),
            (FLAG_CONSTANT, shape.constant),
            (FLAG_RAW_STATS, mask != 0),
        ];
        out.push(TYPE_FLOAT);
        out.push(flags.iter().filter(|(_, set)| *set).fold(0, |flags, (flag, _)| flags | flag));
        out.push(shape.scale.to_byte());
        push_varint(out, u64::from(stats.count));
        push_zigzag(out, stats.start_ms);
        if stats.count > 1 {
            push_varint(out, step_ms.unwrap_or(stats.end_ms.wrapping_sub(stats.start_ms) as u64));
        }
        if stats.stale > 0 {
            push_varint(out, u64::from(stats.stale));
        }
        if stats.stale == stats.count {
            return;
        }
        if mask != 0 {
            out.push(mask);
        }
        let anchors = anchors(stats, mantissas[0].unwrap_or(0));
        for (i, number) in numbers(stats).into_iter().enumerate() {
            if shape.constant && !OF_CONSTANT[i] {
                continue;
            }
            match mantissas[i] {
                Some(mantissa) => push_zigzag(out, mantissa.wrapping_sub(anchors[i])),
                None => out.extend_from_slice(&number.to_bits().to_le_bytes()),
            }
        }
    }

    /// The numbers as mantissas, and the mask of those that are none.
    fn mantissas(&self) -> (u8, [Option<i64>; NUMBERS]) {
        let exponent = exponent(self.shape.scale);
        let mantissas = numbers(&self.stats).map(|number| decimal::mantissa(number, exponent));
        let is_raw = |i: usize| mantissas[i].is_none() && (!self.shape.constant || OF_CONSTANT[i]);
        let mask = (0..NUMBERS).filter(|i| is_raw(*i)).fold(0, |mask, i| mask | 1 << i);
        let written = self.stats.stale < self.stats.count;
        (if written { mask } else { 0 }, mantissas)
    }

    /// Reads a head and the integer that the value column counts from.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<(Self, i64), ChunkError> {
        match cursor.byte()? {
            TYPE_FLOAT => {}
            found => return Err(ChunkError::UnknownType { found }),
        }
        let flags = cursor.byte()?;
        let is_set = |flag: u8| flags & flag != 0;
        if flags & !FLAGS_KNOWN != 0 || !is_set(FLAG_RISING) || (is_set(FLAG_CONSTANT) && is_set(FLAG_EXCEPTIONS)) {
            return Err(cursor.damaged("flags that do not go together"));
        }
        let scale = Scale::from_byte(cursor.byte()?).ok_or_else(|| cursor.damaged("unknown scale"))?;
        let shape = Shape { scale, constant: is_set(FLAG_CONSTANT), exceptions: is_set(FLAG_EXCEPTIONS) };
        let count = match cursor.varint()? {
            count @ 1.. if count <= MAX_SAMPLES as u64 => count,
            _ => return Err(cursor.damaged("number of samples out of range")),
        };
        let (start_ms, end_ms, step_ms) = read_times(cursor, count, is_set(FLAG_EVEN))?;
        let stale = if is_set(FLAG_STALE) { cursor.varint()? } else { 0 };
        if stale > count {
            return Err(cursor.damaged("more stale samples than samples"));
        }
        let (numbers, origin) = if stale == count {
            ([f64::NAN, f64::NAN, f64::NAN, f64::NAN, 0.0, 0.0], 0)
        } else {
            let mask = if is_set(FLAG_RAW_STATS) { cursor.byte()? } else { 0 };
            read_numbers(cursor, mask, count - stale, shape)?
        };
        let [first, last, min, max, sum, drops] = numbers;
        let (count, stale) = (count as u32, stale as u32);
        let stats = Stats { count, stale, start_ms, end_ms, min, max, sum, first, last, drops };
        Ok((Self { stats, step_ms, shape }, origin))
    }
}

/// The exponent of the statistics' mantissas.
fn exponent(scale: Scale) -> u8 {
    match scale {
        Scale::Decimal(exponent) => exponent,
        Scale::Bits | Scale::SignedBits => 0,
    }
}

fn numbers(stats: &Stats) -> [f64; NUMBERS] {
    [stats.first, stats.last, stats.min, stats.max, stats.sum, stats.drops]
}

/// What each number's mantissa is counted from, when that of `first` is `first`.
fn anchors(stats: &Stats, first: i64) -> [i64; NUMBERS] {
    anchors_of(i64::from(stats.count - stats.stale), first)
}

fn anchors_of(others: i64, first: i64) -> [i64; NUMBERS] {
    [0, first, first, first, first.wrapping_mul(others), 0]
}

fn read_times(cursor: &mut Cursor<'_>, count: u64, even: bool) -> Result<(i64, i64, Option<u64>), ChunkError> {
    let start_ms = cursor.zigzag()?;
    if count == 1 {
        return if even { Err(cursor.damaged("one sample has no step")) } else { Ok((start_ms, start_ms, None)) };
    }
    let step_or_span = cursor.varint()?;
    let span = if even { step_or_span.checked_mul(count - 1) } else { Some(step_or_span) };
    match span.and_then(|span| start_ms.checked_add_unsigned(span)) {
        Some(end_ms) if end_ms > start_ms => Ok((start_ms, end_ms, even.then_some(step_or_span))),
        _ => Err(cursor.damaged("times do not ascend within their range")),
    }
}

fn read_numbers(
    cursor: &mut Cursor<'_>,
    mask: u8,
    others: u64,
    shape: Shape,
) -> Result<([f64; NUMBERS], i64), ChunkError> {
    let exponent = exponent(shape.scale);
    let mut numbers = [0.0; NUMBERS];
    let mut first = 0;
    for i in 0..NUMBERS {
        if shape.constant && !OF_CONSTANT[i] {
            // `last`, `min` and `max` of a constant are its value; it never drops.
            numbers[i] = if i < 4 { numbers[0] } else { 0.0 };
        } else if mask & 1 << i != 0 {
            numbers[i] = f64::from_bits(cursor.word()?);
        } else {
            let mantissa = cursor.zigzag()?.wrapping_add(anchors_of(others as i64, first)[i]);
            numbers[i] = decimal::value(mantissa, exponent);
            first = if i == 0 { mantissa } else { first };
        }
    }
    // The origin of decimals is the mantissa as written: computed anew it might be another one of the same value.
    let origin = if let Scale::Decimal(_) = shape.scale { first } else { shape.scale.origin(numbers[0]) };
    Ok((numbers, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(values: &[f64], scale: Scale, constant: bool) -> Head {
        let times: Vec<i64> = (0..values.len() as i64).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        let shape = Shape { scale, constant, exceptions: false };
        Head { stats: Stats::of(&times, values), step_ms: (times.len() > 1).then_some(15_000), shape }
    }

    /// Checks that a head comes back, and returns its bytes and the origin read.
    fn round_trip(head: &Head) -> (Vec<u8>, i64) {
        let mut out = Vec::new();
        head.write(&mut out);
        let mut cursor = Cursor::new(&out);
        let (read, origin) = Head::read(&mut cursor).unwrap();
        assert_eq!(cursor.finish(), Ok(()));
        let bits = |head: &Head| numbers(&head.stats).map(f64::to_bits);
        assert_eq!(bits(&read), bits(head));
        assert_eq!((read.stats.count, read.stats.stale), (head.stats.count, head.stats.stale));
        assert_eq!((read.stats.start_ms, read.stats.end_ms), (head.stats.start_ms, head.stats.end_ms));
        assert_eq!((read.step_ms, read.shape), (head.step_ms, head.shape));
        (out, origin)
    }

    #[test]
    fn the_head_of_a_gauge_takes_under_thirty_bytes() {
        let values: Vec<f64> = (0..128).map(|i| f64::from(4000 + i * 37 % 500) / 100.0).collect();
        let (bytes, origin) = round_trip(&head(&values, Scale::Decimal(2), false));
        assert!(bytes.len() < 30, "{} bytes", bytes.len());
        assert_eq!(origin, 4000);
    }

    #[test]
    fn the_head_of_a_constant_keeps_its_value_and_its_sum() {
        let (bytes, _) = round_trip(&head(&[16.0; 128], Scale::Decimal(0), true));
        assert_eq!(bytes.len(), 3 + 2 + 6 + 2 + 1 + 1);
        round_trip(&head(&[f64::NAN; 3], Scale::Bits, true));
    }

    #[test]
    fn numbers_that_are_no_mantissas_are_raw() {
        let (bytes, origin) = round_trip(&head(&[1.0, f64::NAN, 0.3], Scale::Decimal(1), false));
        assert_eq!(bytes[1] & FLAG_RAW_STATS, FLAG_RAW_STATS);
        assert_eq!((bytes[12], origin), (1 << 4, 10), "the sum alone is NaN");
        let (_, origin) = round_trip(&head(&[0.1f64.sin(), 2.0], Scale::Bits, false));
        assert_eq!(origin, 0.1f64.sin().to_bits() as i64);
    }

    #[test]
    fn heads_that_contradict_themselves_are_refused() {
        let mut good = Vec::new();
        head(&[1.0, 2.0], Scale::Decimal(0), false).write(&mut good);
        let refused = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Head::read(&mut Cursor::new(&bytes)).is_err()
        };
        assert!(!refused(1, good[1]));
        assert!(refused(1, good[1] & !FLAG_RISING));
        assert!(refused(1, good[1] | 1 << 6));
        assert!(refused(1, good[1] | FLAG_CONSTANT | FLAG_EXCEPTIONS));
        assert!(refused(2, 12), "no such scale");
        assert!(refused(3, 0), "no samples");
        assert!(refused(3, 1), "one sample has no step");
        let steps: [&[u8]; 2] = [&[0], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]];
        for step in steps {
            let bytes = [&good[..10], step, &good[12..]].concat();
            assert!(Head::read(&mut Cursor::new(&bytes)).is_err(), "step {step:?}");
        }
        let stale = [&[TYPE_FLOAT, good[1] | FLAG_STALE], &good[2..12], &[3], &good[12..]].concat();
        assert!(Head::read(&mut Cursor::new(&stale)).is_err(), "three stale samples of two");
    }
}
