//! Doubles that are no short decimals, as integers made of their own 64 bits.
//!
//! Measurements of one series share sign and the first bits of the exponent, and neighbours often share more. Read as
//! an integer, the bits of a positive double grow with it, so the predictions and windows of `integers` find what is
//! common: a window is the shared upper part, and the few values beyond it are patches. Where signs differ, the sign
//! bit moves from the top to between exponent and fraction, where it costs one bit instead of the whole range.
//!
//! ```text
//!  bits          sign 1 | exponent 11 | fraction 52
//!  signed bits   exponent 11 | sign 1 | fraction 52
//! ```
//!
//! Either way the fraction stays at the bottom, and zeros that end it in every value (29 of them where values were
//! `f32` once) are divided out like a common factor.
//!
//! Not here: the division and the packing (see `values` and `integers`).

const FRACTION_BITS: u32 = 52;
const FRACTION: u64 = (1 << FRACTION_BITS) - 1;

/// The bits of a double with the sign moved below the exponent.
#[inline]
pub(super) fn to_signed_bits(value: f64) -> u64 {
    let bits = value.to_bits();
    let (sign, exponent) = (bits >> 63, (bits << 1) >> (FRACTION_BITS + 1));
    (exponent << (FRACTION_BITS + 1)) | (sign << FRACTION_BITS) | (bits & FRACTION)
}

/// The inverse of [`to_signed_bits`].
#[inline]
pub(super) fn from_signed_bits(bits: u64) -> f64 {
    let (exponent, sign) = (bits >> (FRACTION_BITS + 1), bits >> FRACTION_BITS & 1);
    f64::from_bits((sign << 63) | (exponent << FRACTION_BITS) | (bits & FRACTION))
}

/// The largest power of two that divides every integer; 1 when all are zero.
pub(super) fn common_power_of_two(integers: &[i64]) -> u64 {
    let any = integers.iter().fold(0, |any, x| any | x);
    if any == 0 { 1 } else { 1 << any.trailing_zeros() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sign_stands_between_exponent_and_fraction() {
        assert_eq!(to_signed_bits(1.5), 0x3ff << 53 | 1 << 51);
        assert_eq!(to_signed_bits(-1.5), 0x3ff << 53 | 1 << 52 | 1 << 51);
    }

    #[test]
    fn zeros_at_the_end_of_every_integer_are_common() {
        assert_eq!(common_power_of_two(&[0, 12, -8]), 4);
        assert_eq!(common_power_of_two(&[0, 0]), 1);
        assert_eq!(common_power_of_two(&[i64::MIN]), 1 << 63);
    }

    proptest! {
        #[test]
        fn moving_the_sign_loses_nothing(bits: u64) {
            prop_assert_eq!(from_signed_bits(to_signed_bits(f64::from_bits(bits))).to_bits(), bits);
        }
    }
}
