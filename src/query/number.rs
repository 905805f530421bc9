//! Numbers in the two forms in which Prometheus writes them, and the few Go rules of arithmetic that differ from Rust's.
//!
//! Not here: JSON around the numbers (see `api::prometheus`).

use std::fmt::Write;

/// Appends the shortest decimal digits that read back as `value`, never with an exponent: `NaN`, `+Inf`, `-Inf`, `0.1`.
pub fn push_plain(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == value.trunc() && value.abs() < 1e15 && (value != 0.0 || value.is_sign_positive()) {
        push_integer(out, value as i64);
    } else if let Some(millionths) = whole_millionths(value) {
        push_millionths(out, millionths);
    } else {
        push_shortest(out, value);
    }
}

/// Appends the shortest digits. Where two decimals are equally short and equally near, Go takes the even one and Rust
/// the larger; they can be equally near only if the double ends exactly one decimal place later.
fn push_shortest(out: &mut String, value: f64) {
    let start = out.len();
    write!(out, "{value}").expect("a String takes every write");
    let places = out[start..].find('.').map_or(0, |dot| out.len() - start - dot - 1);
    if places > 0 && binary_places(value) == places as i32 + 1 {
        out.truncate(start);
        write!(out, "{value:.places$}").expect("a String takes every write");
    }
}

/// How many binary, and so also decimal, places the exact value of a number has after its point.
fn binary_places(value: f64) -> i32 {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let mantissa = bits & ((1 << 52) - 1);
    if exponent == 0 {
        return 1074 - mantissa.trailing_zeros() as i32;
    }
    1075 - exponent - (mantissa | 1 << 52).trailing_zeros() as i32
}

/// The number as a whole count of millionths, if it is the double nearest to one of at most 15 digits.
///
/// No two decimals of at most 15 digits share a double, so these digits, less trailing zeros, are the shortest.
fn whole_millionths(value: f64) -> Option<i64> {
    let millionths = (value * 1e6).round();
    (millionths != 0.0 && millionths.abs() < 1e15 && millionths / 1e6 == value).then_some(millionths as i64)
}

fn push_millionths(out: &mut String, millionths: i64) {
    if millionths < 0 {
        out.push('-');
    }
    let magnitude = millionths.unsigned_abs();
    push_integer(out, (magnitude / 1_000_000) as i64);
    let mut fraction = magnitude % 1_000_000;
    out.push('.');
    let mut place = 100_000;
    while fraction > 0 {
        out.push(char::from(b'0' + (fraction / place) as u8));
        fraction %= place;
        place /= 10;
    }
}

/// Appends a sample's value as the HTTP API prints it: plain, but with an exponent below 1e-6 and from 1e21 on.
pub fn push_sample_value(out: &mut String, value: f64) {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return push_plain(out, value);
    }
    push_with_exponent(out, value);
}

fn push_with_exponent(out: &mut String, value: f64) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("the e format always has an exponent");
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    write!(out, "{digits}e{sign}{exponent:0>2}").expect("a String takes every write");
}

/// Appends a number as messages of Go have it (`%v`): plain, but with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn push_general(out: &mut String, value: f64) {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return push_plain(out, value);
    }
    push_with_exponent(out, value);
}

/// Appends milliseconds as seconds, with three decimals unless they are all zero.
pub fn push_seconds(out: &mut String, time_ms: i64) {
    if time_ms < 0 {
        out.push('-');
    }
    let magnitude = time_ms.unsigned_abs();
    push_integer(out, (magnitude / 1000) as i64);
    let fraction = magnitude % 1000;
    if fraction != 0 {
        write!(out, ".{fraction:03}").expect("a String takes every write");
    }
}

/// Digits without the formatting machinery: counters and gauges are whole numbers more often than not.
fn push_integer(out: &mut String, value: i64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.push_str(std::str::from_utf8(&digits[start..]).expect("digits are ASCII"));
}

/// The larger of two numbers by Go's rules: +Inf wins over everything, then NaN, and +0 is larger than -0.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The smaller of two numbers by Go's rules: -Inf wins over everything, then NaN, and -0 is smaller than +0.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// A sum with the rounding error of each addition carried along (Neumaier); `sum + error` is the result.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CarrySum {
    pub(crate) sum: f64,
    pub(crate) error: f64,
}

impl CarrySum {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if self.sum.abs() >= value.abs() {
            self.error += (self.sum - total) + value;
        } else {
            self.error += (value - total) + self.sum;
        }
        self.sum = total;
    }

    /// The sum with its error added; an infinite sum has no meaningful error.
    #[inline]
    pub(crate) fn total(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: fn(&mut String, f64), value: f64) -> String {
        let mut out = String::new();
        push(&mut out, value);
        out
    }

    /// Expected strings are what `strconv.FormatFloat(v, 'f', -1, 64)` of Go prints.
    #[test]
    fn plain_numbers_have_the_shortest_digits_and_no_exponent() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-42.0, "-42"),
            (0.1, "0.1"),
            (1e-7, "0.0000001"),
            (123456789012345.0, "123456789012345"),
            (1e21, "1000000000000000000000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (2.0f64 / 3.0, "0.6666666666666666"),
            (75.16152954101562, "75.16152954101562"),
            (3.8610000610351562, "3.8610000610351562"),
            (0.30000000000000004, "0.30000000000000004"),
            (f64::from_bits(1), &format!("0.{}5", "0".repeat(323))),
        ] {
            assert_eq!(written(push_plain, value), text);
        }
    }

    /// The quick way for short decimals writes what the general way would.
    #[test]
    fn short_decimals_read_back_and_have_no_spare_digits() {
        for whole in [1i64, 7, 10, 12_345, 999_999, 1_000_001, 123_456_789, 999_999_999_999_999] {
            for places in 0..9 {
                for sign in [1.0, -1.0] {
                    let value = sign * whole as f64 / 10f64.powi(places);
                    assert_eq!(written(push_plain, value), format!("{value}"));
                }
            }
        }
    }

    #[test]
    fn sample_values_far_from_one_have_a_two_digit_exponent() {
        for (value, text) in [
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (-1.5e-10, "-1.5e-10"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (0.0, "0"),
        ] {
            assert_eq!(written(push_sample_value, value), text);
        }
    }

    #[test]
    fn messages_have_exponents_from_a_million_on() {
        for (value, text) in [(1.5, "1.5"), (123_456.0, "123456"), (1e6, "1e+06"), (1e-5, "1e-05"), (-0.5, "-0.5")] {
            assert_eq!(written(push_general, value), text);
        }
    }

    #[test]
    fn times_have_three_decimals_or_none() {
        let seconds = |ms| {
            let mut out = String::new();
            push_seconds(&mut out, ms);
            out
        };
        assert_eq!(seconds(1_700_000_000_000), "1700000000");
        assert_eq!(seconds(1_700_000_000_120), "1700000000.120");
        assert_eq!(seconds(-1_005), "-1.005");
    }

    #[test]
    fn extremes_follow_go() {
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert!(max(f64::NAN, 1.0).is_nan());
        assert_eq!(min(f64::NAN, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(max(-0.0, 0.0).is_sign_positive() && min(0.0, -0.0).is_sign_negative());
        assert_eq!((max(1.0, 2.0), min(1.0, 2.0)), (2.0, 1.0));
    }

    #[test]
    fn carried_sums_do_not_lose_small_terms() {
        let mut sum = CarrySum::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|v| sum.add(v));
        assert_eq!(sum.total(), 2.0);
    }
}
