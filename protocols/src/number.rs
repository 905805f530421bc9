//! Decimal text becomes the nearest double, or nothing: what the text protocols share.
//!
//! Not here: hexadecimal, `inf` and `nan`, which no text protocol of ours may send as a value.
//!
//! Invariant: the result is the double that `str::parse` gives for the same text, bit for bit.
//!
//! Cost sketch: a step a digit for a number of up to 19 digits. Clinger's fast path ("How to read floating point numbers
//! accurately", 1990): a mantissa below 2^53 and a power of ten up to 10^22 are exact doubles, so one division rounds
//! correctly. What is longer goes to the standard library.

/// Digits that always fit 64 bits.
const DIGITS_MAX: usize = 19;
/// Above this, a whole number is not exactly a double any more.
const EXACT_MAX: u64 = 1 << 53;

pub(crate) const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Reads a finite decimal number with an optional sign, fraction and exponent.
#[inline]
pub(crate) fn finite(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    match short(digits) {
        Some(size) => Some(if negative { -size } else { size }),
        None => long(text),
    }
}

/// Digits and at most one point, short enough to be exact; nothing when it is not that.
#[inline]
fn short(text: &[u8]) -> Option<f64> {
    let (mut mantissa, mut digits, mut fraction) = (0u64, 0usize, None);
    if text.len() > DIGITS_MAX + 1 {
        return None;
    }
    for (at, &byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        } else if byte == b'.' && fraction.is_none() {
            fraction = Some(at + 1);
        } else {
            return None;
        }
    }
    if digits == 0 || digits > DIGITS_MAX || mantissa > EXACT_MAX {
        return None;
    }
    match fraction {
        None => Some(mantissa as f64),
        Some(start) => Some(mantissa as f64 / POWERS[text.len() - start]),
    }
}

/// Everything else that is a number: many digits, exponents.
#[cold]
fn long(text: &[u8]) -> Option<f64> {
    let decimal = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.iter().all(decimal) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_is_a_finite_decimal_number() {
        for (text, value) in [
            ("0", 0.0),
            ("7", 7.0),
            ("-5", -5.0),
            ("+3", 3.0),
            ("0.1", 0.1),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("100000000000000000000", 1e20),
            ("9007199254740993", 9007199254740992.0),
            ("0.3333333333333333333333333", 1.0 / 3.0),
        ] {
            assert_eq!(finite(text.as_bytes()), Some(value), "{text}");
        }
        assert!(finite(b"-0").unwrap().is_sign_negative());
    }

    #[test]
    fn rejects_what_is_none() {
        for text in
            ["", "-", "+", ".", "abc", "nan", "inf", "-inf", "infinity", "0x10", "1e", "1_000", " 1", "1 ", "1,5"]
        {
            assert_eq!(finite(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(finite(b"1e999"), None, "not finite");
        assert_eq!(finite(b"--1"), None);
        assert_eq!(finite(b"+-1"), None);
        assert_eq!(finite(b"1.2.3"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(text in "[+-]?[0-9]{0,22}(\\.[0-9]{0,22})?([eE][+-]?[0-9]{1,3})?") {
            let expected = text.parse::<f64>().ok().filter(|value| value.is_finite());
            prop_assert_eq!(finite(text.as_bytes()).map(f64::to_bits), expected.map(f64::to_bits));
        }
    }
}
