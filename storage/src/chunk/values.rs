//! The value column: which scale turns its values into integers, what those have in common, and the exceptions.
//!
//! ```text
//!  value = scale(origin + factor * x)       origin: the integer of the head's `first`, or 0
//! ```
//!
//! The column is `factor`, the integers `x` from the second on (the first is 0 by the choice of origin), and the
//! exceptions: samples whose bits are stored as they are, while `x` repeats its neighbour in their place. A staleness
//! marker costs one byte there, and so does the same NaN again; other bits cost nine.
//!
//! A column whose values all have the same bits is empty: the head knows the value.
//!
//! Not here: decimals and bits themselves (see `decimal`, `full_doubles`), the packing (see `integers`).

use super::cursor::{ChunkError, Cursor, push_varint};
use super::{decimal, full_doubles, integers};
use crate::sample::STALE_NAN_BITS;

/// What the integers of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Mantissas over this power of ten, 0 to 9.
    Decimal(u8),
    /// The bits of the doubles.
    Bits,
    /// The bits of the doubles with the sign below the exponent.
    SignedBits,
}

impl Scale {
    const BITS: u8 = 10;
    const SIGNED_BITS: u8 = 11;

    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Decimal(exponent) => exponent,
            Self::Bits => Self::BITS,
            Self::SignedBits => Self::SIGNED_BITS,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0..=decimal::EXPONENT_MAX => Some(Self::Decimal(byte)),
            Self::BITS => Some(Self::Bits),
            Self::SIGNED_BITS => Some(Self::SignedBits),
            _ => None,
        }
    }

    /// The integer that a column counts from when this is the head's `first`.
    pub(super) fn origin(self, first: f64) -> i64 {
        match self {
            Self::Decimal(exponent) => decimal::mantissa(first, exponent).unwrap_or(0),
            _ if decimal::is_special(first) => 0,
            Self::Bits => first.to_bits() as i64,
            Self::SignedBits => full_doubles::to_signed_bits(first) as i64,
        }
    }
}

/// What a reader must know before the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// What its integers mean.
    pub(super) scale: Scale,
    /// All values have the bits of the first; the column is empty.
    pub(super) constant: bool,
    /// Exceptions follow the integers.
    pub(super) exceptions: bool,
}

/// Working memory for encoding; grows to the longest column seen.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    draft: Draft,
    rival: Vec<u8>,
}

/// A column on its way: an integer for every value, and the positions of the values that are exceptions.
#[derive(Debug, Default)]
struct Draft {
    integers: Vec<i64>,
    exceptions: Vec<u16>,
}

/// A decimal column above this many bytes a value may be smaller as full doubles, so both are tried.
const DOUBTFUL_BYTES: usize = 5;

/// Replaces `out` by the column of `values`; `first` is the first of them that is not stale.
pub(super) fn encode(values: &[f64], first: f64, scratch: &mut Scratch, out: &mut Vec<u8>) -> Shape {
    out.clear();
    if values.iter().all(|value| value.to_bits() == values[0].to_bits()) {
        let scale = decimal::exponent(first).map_or(Scale::Bits, Scale::Decimal);
        return Shape { scale, constant: true, exceptions: false };
    }
    let Scratch { draft, rival } = scratch;
    let decimal = draft.decimals(values).map(|scale| draft.write(values, first, scale, out));
    if let Some(shape) = decimal
        && out.len() <= DOUBTFUL_BYTES * values.len()
    {
        return shape;
    }
    rival.clear();
    let scale = draft.full_doubles(values);
    let doubles = draft.write(values, first, scale, rival);
    match decimal {
        Some(shape) if out.len() <= rival.len() => shape,
        _ => {
            std::mem::swap(out, rival);
            doubles
        }
    }
}

impl Draft {
    /// Takes the values as decimals, if most of them are.
    fn decimals(&mut self, values: &[f64]) -> Option<Scale> {
        decimal::mantissas(values, &mut self.integers, &mut self.exceptions).map(Scale::Decimal)
    }

    /// Takes the values as their bits.
    fn full_doubles(&mut self, values: &[f64]) -> Scale {
        self.exceptions.clear();
        let (mut negative, mut positive) = (false, false);
        for (i, &value) in values.iter().enumerate() {
            if decimal::is_special(value) {
                self.exceptions.push(i as u16);
            } else {
                negative |= value.is_sign_negative();
                positive |= value.is_sign_positive();
            }
        }
        self.integers.clear();
        if negative && positive {
            self.integers.extend(values.iter().map(|value| full_doubles::to_signed_bits(*value) as i64));
            Scale::SignedBits
        } else {
            self.integers.extend(values.iter().map(|value| value.to_bits() as i64));
            Scale::Bits
        }
    }

    /// Appends the column; the integers are used up.
    fn write(&mut self, values: &[f64], first: f64, scale: Scale, out: &mut Vec<u8>) -> Shape {
        let integers = &mut self.integers[..];
        let origin = scale.origin(first);
        for &at in &self.exceptions {
            let at = usize::from(at);
            integers[at] = if at == 0 { origin } else { integers[at - 1] };
        }
        integers.iter_mut().for_each(|x| *x = x.wrapping_sub(origin));
        debug_assert_eq!(integers[0], 0, "the first sample is an exception or the origin itself");
        let factor = match scale {
            Scale::Decimal(_) => decimal::common_factor(integers),
            Scale::Bits | Scale::SignedBits => full_doubles::common_power_of_two(integers),
        };
        if factor.is_power_of_two() {
            // Also the way for 2^63, which as a signed divisor would change its sign.
            integers.iter_mut().for_each(|x| *x >>= factor.trailing_zeros());
        } else {
            integers.iter_mut().for_each(|x| *x /= factor as i64);
        }
        push_varint(out, factor);
        integers::encode(&integers[1..], out);
        if !self.exceptions.is_empty() {
            write_exceptions(values, &self.exceptions, out);
        }
        Shape { scale, constant: false, exceptions: !self.exceptions.is_empty() }
    }
}

/// Appends the `count` values of a column; `first` and `origin` are the head's.
pub(super) fn decode(
    cursor: &mut Cursor<'_>,
    count: usize,
    shape: Shape,
    (first, origin): (f64, i64),
    values: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    if shape.constant {
        values.resize(values.len() + count, first);
        return Ok(());
    }
    let start = values.len();
    let factor = cursor.varint()? as i64;
    let integer = |x: &i64| origin.wrapping_add(x.wrapping_mul(factor));
    // One loop for each scale: a choice inside the loop would keep the compiler from unrolling it.
    match shape.scale {
        Scale::Decimal(0) => extend(cursor, count, values, |x| integer(x) as f64),
        Scale::Decimal(exponent) => {
            let power = decimal::power(exponent);
            extend(cursor, count, values, |x| integer(x) as f64 / power)
        }
        Scale::Bits => extend(cursor, count, values, |x| f64::from_bits(integer(x) as u64)),
        Scale::SignedBits => extend(cursor, count, values, |x| full_doubles::from_signed_bits(integer(x) as u64)),
    }?;
    if shape.exceptions { read_exceptions(cursor, &mut values[start..]) } else { Ok(()) }
}

#[inline]
fn extend(
    cursor: &mut Cursor<'_>,
    count: usize,
    values: &mut Vec<f64>,
    value: impl Fn(&i64) -> f64,
) -> Result<(), ChunkError> {
    values.push(value(&0));
    integers::decode(cursor, count - 1, |block| values.extend(block.iter().map(&value)))
}

/// How the bits of an exception are given; the low two bits of its first number.
const STALE: u64 = 0;
const REPEATED: u64 = 1;
const RAW: u64 = 2;

/// Appends the exceptions: how many, then for each the samples since the one before and where its bits are.
fn write_exceptions(values: &[f64], exceptions: &[u16], out: &mut Vec<u8>) {
    push_varint(out, exceptions.len() as u64);
    let (mut next, mut repeated) = (0, None);
    for &at in exceptions {
        let bits = values[usize::from(at)].to_bits();
        let code = match bits {
            STALE_NAN_BITS => STALE,
            bits if repeated == Some(bits) => REPEATED,
            _ => RAW,
        };
        push_varint(out, u64::from(at - next) << 2 | code);
        if code == RAW {
            out.extend_from_slice(&bits.to_le_bytes());
            repeated = Some(bits);
        }
        next = at + 1;
    }
}

fn read_exceptions(cursor: &mut Cursor<'_>, values: &mut [f64]) -> Result<(), ChunkError> {
    let (mut next, mut repeated) = (0, None);
    for _ in 0..cursor.varint()? {
        let number = cursor.varint()?;
        let bits = match number & 3 {
            STALE => STALE_NAN_BITS,
            REPEATED => repeated.ok_or_else(|| cursor.damaged("exception repeats nothing"))?,
            RAW => *repeated.insert(cursor.word()?),
            _ => return Err(cursor.damaged("unknown kind of exception")),
        };
        let rest: &mut [f64] = values.get_mut(next..).unwrap_or_default();
        let slot = usize::try_from(number >> 2).ok().and_then(|gap| rest.get_mut(gap));
        *slot.ok_or_else(|| cursor.damaged("exception beyond the last sample"))? = f64::from_bits(bits);
        next += (number >> 2) as usize + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The column's shape and size, after checking that it comes back.
    fn round_trip(values: &[f64]) -> (Shape, usize) {
        let first = values.iter().copied().find(|value| value.to_bits() != STALE_NAN_BITS).unwrap_or(values[0]);
        let (mut column, mut read) = (Vec::new(), vec![1.0]);
        let shape = encode(values, first, &mut Scratch::default(), &mut column);
        let mut cursor = Cursor::new(&column);
        decode(&mut cursor, values.len(), shape, (first, shape.scale.origin(first)), &mut read).unwrap();
        assert_eq!(cursor.finish(), Ok(()));
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read[1..]), bits(values));
        (shape, column.len())
    }

    fn shape(scale: Scale, exceptions: bool) -> Shape {
        Shape { scale, constant: false, exceptions }
    }

    #[test]
    fn equal_bits_make_an_empty_column() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        for (value, scale) in [(7.5, Scale::Decimal(1)), (0.1f64.sin(), Scale::Bits), (stale, Scale::Bits)] {
            assert_eq!(round_trip(&[value; 300]), (Shape { scale, constant: true, exceptions: false }, 0));
        }
        assert!(!round_trip(&[0.0, -0.0]).0.constant);
    }

    #[test]
    fn a_common_factor_is_divided_out() {
        let values: Vec<f64> = (0..128).map(|i| 3.0 + 7000.0 * f64::from(i * i % 16)).collect();
        assert_eq!(round_trip(&values), (shape(Scale::Decimal(0), false), 2 + 3 + 127 * 4 / 8 + 1));
    }

    #[test]
    fn zeros_at_the_end_of_every_fraction_are_divided_out() {
        let values: Vec<f64> = (0..128).map(|i| f64::from(1.0 + (i as f32).sin() / 3.0)).collect();
        let (found, bytes) = round_trip(&values);
        assert_eq!(found, shape(Scale::Bits, false));
        assert!(bytes <= 128 * 27 / 8, "{bytes} bytes");
    }

    #[test]
    fn exceptions_leave_the_column_decimal() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let mut values: Vec<f64> = (0..128).map(|i| f64::from(i * i * i % 17) / 4.0).collect();
        let (_, plain) = round_trip(&values);
        (values[5], values[6], values[127]) = (stale, stale, stale);
        let (found, bytes) = round_trip(&values);
        assert_eq!(found, shape(Scale::Decimal(2), true));
        assert!(bytes <= plain + 6, "a staleness marker costs a byte or two: {plain} and {bytes}");
        (values[0], values[9], values[10], values[11]) = (-0.0, f64::NAN, f64::NAN, f64::INFINITY);
        assert_eq!(round_trip(&values).0, shape(Scale::Decimal(2), true));
    }

    #[test]
    fn mixed_signs_cost_one_bit() {
        let positive: Vec<f64> = (1..129).map(|i| 1.0 + f64::from(i).sin().abs()).collect();
        let mixed: Vec<f64> = positive.iter().enumerate().map(|(i, v)| if i % 3 == 0 { -v } else { *v }).collect();
        let (plain, signed) = (round_trip(&positive), round_trip(&mixed));
        assert_eq!((plain.0.scale, signed.0.scale), (Scale::Bits, Scale::SignedBits));
        assert!(signed.1 <= plain.1 + 128 / 8 + 2, "{} and {}", plain.1, signed.1);
    }

    #[test]
    fn decimals_longer_than_their_doubles_are_stored_as_doubles() {
        // From 2^23 on, billionths lie closer than doubles: every double is some decimal, of one bit more.
        let ulps = |i: u64| (i * i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let values: Vec<f64> = (0..128).map(|i| f64::from_bits(8_388_608f64.to_bits() + ulps(i))).collect();
        assert_eq!(decimal::mantissas(&values, &mut Vec::new(), &mut Vec::new()), Some(9));
        assert_eq!(round_trip(&values).0, shape(Scale::Bits, false));
    }

    #[test]
    fn exceptions_outside_the_column_are_refused() {
        let refused = |bytes: &[u8]| read_exceptions(&mut Cursor::new(bytes), &mut [0.0; 2]).is_err();
        assert!(!refused(&[2, 0, 0]));
        assert!(refused(&[3, 0, 0, 0]), "a third of two samples");
        assert!(refused(&[1, 2 << 2]), "beyond the end");
        assert!(refused(&[1, REPEATED as u8]), "repeats nothing");
        assert!(refused(&[1, 3]), "unknown kind");
        assert!(refused(&[1, RAW as u8, 0]), "cut short");
        let mut far = vec![1];
        push_varint(&mut far, !3);
        assert!(refused(&far));
    }
}
