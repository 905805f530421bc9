//! Functions of one number: absolute values, rounding, powers and logarithms, angles.
//!
//! Not here: functions with parameters beyond the number, except `round`.

use std::f64::consts::{LN_2, PI};

type OfNumber = fn(f64) -> f64;

/// Name and function.
pub(super) const TABLE: &[(&str, OfNumber)] = &[
    ("abs", f64::abs),
    ("acos", f64::acos),
    ("acosh", acosh),
    ("asin", f64::asin),
    ("asinh", asinh),
    ("atan", f64::atan),
    ("atanh", f64::atanh),
    ("ceil", f64::ceil),
    ("cos", f64::cos),
    ("cosh", f64::cosh),
    ("deg", |v| v * 180.0 / PI),
    ("exp", f64::exp),
    ("floor", f64::floor),
    ("ln", f64::ln),
    ("log10", f64::log10),
    ("log2", f64::log2),
    ("rad", |v| v * PI / 180.0),
    ("sgn", sign),
    ("sin", f64::sin),
    ("sinh", f64::sinh),
    ("sqrt", f64::sqrt),
    ("tan", f64::tan),
    ("tanh", f64::tanh),
];

/// Above this the square of a number is all that counts in its inverse hyperbolic functions, and soon overflows.
const LARGE: f64 = (1u64 << 28) as f64;

fn acosh(value: f64) -> f64 {
    if value > LARGE { value.ln() + LN_2 } else { value.acosh() }
}

fn asinh(value: f64) -> f64 {
    if value.is_finite() && value.abs() > LARGE { (value.abs().ln() + LN_2).copysign(value) } else { value.asinh() }
}

fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The multiple of `nearest` next to `value`, ties upwards. The inverse keeps decimal fractions such as 0.1 exact.
pub(crate) fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_hyperbolic_functions_do_not_overflow() {
        assert_eq!(acosh(1.7e308), 710.4199840737881);
        assert_eq!(asinh(-1.7e308), -710.4199840737881);
        assert_eq!((acosh(1.0), asinh(0.0), asinh(f64::INFINITY)), (0.0, 0.0, f64::INFINITY));
        assert!((asinh(2e9) - 2e9f64.asinh()).abs() < 1e-12);
    }

    #[test]
    fn rounding_takes_ties_upwards() {
        assert_eq!((round(2.5, 1.0), round(-2.5, 1.0)), (3.0, -2.0));
        assert_eq!(round(0.26, 0.1), 0.3);
        assert_eq!(round(7.0, 5.0), 5.0);
    }

    #[test]
    fn a_sign_keeps_zero_and_nan() {
        assert_eq!((sign(-3.0), sign(0.0), sign(7.0)), (-1.0, 0.0, 1.0));
        assert!(sign(f64::NAN).is_nan());
    }

    #[test]
    fn angles_convert_both_ways() {
        let of = |name: &str| crate::query::functions::of_number(name).unwrap();
        assert_eq!(of("deg")(PI), 180.0);
        assert_eq!(of("rad")(180.0), PI);
        assert_eq!(of("ln")(0.0), f64::NEG_INFINITY);
    }
}
