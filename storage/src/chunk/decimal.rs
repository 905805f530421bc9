//! Doubles that are short decimals, as integers: `v = mantissa / 10^exponent`, exponent 0 to 9, one for the column.
//!
//! A value is taken only if that very division gives back its bits, so nothing is rounded and nothing is assumed
//! about how the number came to be. Values for which it does not are *misfits*. NaN, infinities and -0.0 are misfits
//! at every exponent and say nothing about it; when too many others misfit, the exponent is raised, and when no
//! exponent fits most of them the column is not decimal.
//!
//! Cost: a multiplication, a division and a comparison a value, in straight lines that the compiler vectorises,
//! about 1.5 ns; misfits are looked at once more, alone.
//!
//! Not here: what happens to misfits, and to columns that are not decimal (see `values`).

/// The largest exponent tried: a billionth. Beyond it, mantissas of ordinary values no longer fit a double.
pub(super) const EXPONENT_MAX: u8 = 9;

const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// 1.5 * 2^52: adding it to a number of magnitude below 2^51 leaves that number, rounded to an integer, in the low
/// bits of the sum. The oldest x86-64 has no other way to round two doubles at once.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const ROUNDED_MAX: i64 = 1 << 51;

/// How many misfits point to the next exponent; more would only say the same again.
const WITNESSES: usize = 8;
/// One misfit in 32 costs about as many bytes as the next exponent would: one decimal digit, 3.3 bits, a value.
const VALUES_PER_MISFIT: usize = 32;

/// The mantissa of `value` at `exponent` (0 to 9), if it has one.
#[inline]
pub(super) fn mantissa(value: f64, exponent: u8) -> Option<i64> {
    let scaled = value * power(exponent);
    let small = scaled.abs() < ROUNDED_MAX as f64;
    let rounded = if small { (scaled + ROUNDER) - ROUNDER } else { scaled.round() };
    let mantissa = rounded as i64;
    (self::value(mantissa, exponent).to_bits() == value.to_bits()).then_some(mantissa)
}

/// The value of a mantissa.
#[inline]
pub(super) fn value(mantissa: i64, exponent: u8) -> f64 {
    mantissa as f64 / power(exponent)
}

/// Ten to the `exponent`, 0 to 9.
#[inline]
pub(super) fn power(exponent: u8) -> f64 {
    POWERS[usize::from(exponent)]
}

/// The smallest exponent at which `value` is a decimal.
pub(super) fn exponent(value: f64) -> Option<u8> {
    (0..=EXPONENT_MAX).find(|&exponent| mantissa(value, exponent).is_some())
}

/// Whether `value` is no decimal at any exponent and would widen any other integer column as well.
#[inline]
pub(super) fn is_special(value: f64) -> bool {
    !value.is_finite() || value.to_bits() == (-0.0f64).to_bits()
}

/// The largest integer that divides every one of `integers`; 1 when all are zero.
pub(super) fn common_factor(integers: &[i64]) -> u64 {
    let mut factor = 0;
    for integer in integers {
        let integer = integer.unsigned_abs();
        // Most often the factor divides on: one division, and none once it has come down to 1.
        let (mut a, mut b) = (factor, integer.checked_rem(factor).unwrap_or(integer));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        factor = a;
        if factor == 1 {
            break;
        }
    }
    factor.max(1)
}

/// Replaces `mantissas` by those of `values` and `misfits` by the positions of values that have none, ascending;
/// what stands at those positions is unspecified. Returns the common exponent, or `None` if the column is not decimal.
pub(super) fn mantissas(values: &[f64], mantissas: &mut Vec<i64>, misfits: &mut Vec<u16>) -> Option<u8> {
    mantissas.resize(values.len(), 0);
    let mut exponent = 0;
    while !mantissas_at(exponent, values, mantissas, misfits) {
        exponent = next_exponent(exponent, values, misfits)?;
    }
    Some(exponent)
}

/// One attempt; false as soon as there are too many misfits, with those found so far.
fn mantissas_at(exponent: u8, values: &[f64], mantissas: &mut [i64], misfits: &mut Vec<u16>) -> bool {
    let tolerated = 1 + values.len() / VALUES_PER_MISFIT;
    let power = power(exponent);
    let mut found = 0;
    misfits.clear();
    for (group, (values, mantissas)) in values.chunks(GROUP).zip(mantissas.chunks_mut(GROUP)).enumerate() {
        if group_mantissas(power, values, mantissas) {
            continue;
        }
        for (i, (value, slot)) in values.iter().zip(mantissas).enumerate() {
            match mantissa(*value, exponent) {
                Some(mantissa) => *slot = mantissa,
                None => {
                    misfits.push((group * GROUP + i) as u16);
                    found += usize::from(!is_special(*value));
                }
            }
        }
        if found > tolerated {
            return false;
        }
    }
    true
}

/// How many values are converted before looking whether all went well.
const GROUP: usize = 16;

/// Mantissas below 2^51; false, with unspecified mantissas, unless every value has one.
fn group_mantissas(power: f64, values: &[f64], mantissas: &mut [i64]) -> bool {
    let mut wrong = 0;
    for (&value, slot) in values.iter().zip(mantissas) {
        let shifted = value * power + ROUNDER;
        let mantissa = (shifted.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64);
        let back = (shifted - ROUNDER) / power;
        wrong |= back.to_bits() ^ value.to_bits();
        // Outside +-2^51 the sum's exponent differs and its low bits mean something else.
        wrong |= mantissa.wrapping_add(ROUNDED_MAX) as u64 >> 52;
        *slot = mantissa;
    }
    wrong == 0
}

/// The smallest larger exponent that turns at least half of the first misfits into decimals.
fn next_exponent(exponent: u8, values: &[f64], misfits: &[u16]) -> Option<u8> {
    let mut witnesses = [0.0; WITNESSES];
    let mut count = 0;
    let ordinary = misfits.iter().map(|&at| values[usize::from(at)]).filter(|value| !is_special(*value));
    for (slot, value) in witnesses.iter_mut().zip(ordinary) {
        *slot = value;
        count += 1;
    }
    let witnesses = &witnesses[..count];
    let fits = |exponent: u8| witnesses.iter().filter(|value| mantissa(**value, exponent).is_some()).count();
    (exponent + 1..=EXPONENT_MAX).find(|&larger| 2 * fits(larger) >= count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(values: &[f64]) -> Option<(u8, Vec<i64>, Vec<u16>)> {
        let (mut ints, mut misfits) = (vec![], vec![9]);
        mantissas(values, &mut ints, &mut misfits).map(|exponent| (exponent, ints, misfits))
    }

    #[test]
    fn the_smallest_common_exponent_is_found() {
        assert_eq!(column(&[1.0, 2.5, -0.25, 0.75]), Some((2, vec![100, 250, -25, 75], vec![])));
        assert_eq!(column(&[3e15, 4e15]), Some((0, vec![3_000_000_000_000_000, 4_000_000_000_000_000], vec![])));
        assert_eq!(column(&[1e-9; 2]).map(|(exponent, ..)| exponent), Some(9));
    }

    #[test]
    fn integers_are_mantissas_up_to_the_range_of_i64() {
        for value in [2f64.powi(51), 2f64.powi(52) + 1.0, 2f64.powi(53) - 1.0, -(2f64.powi(62)), i64::MIN as f64] {
            assert_eq!(mantissa(value, 0), Some(value as i64), "{value}");
        }
        assert_eq!(mantissa(2f64.powi(64), 0), None);
    }

    #[test]
    fn values_without_a_mantissa_are_misfits_and_do_not_raise_the_exponent() {
        let specials = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::from_bits(0x7ff0_0000_0000_0002)];
        for special in specials {
            assert_eq!(column(&[1.5, special, 2.5]).map(|(e, _, misfits)| (e, misfits)), Some((1, vec![1])));
        }
        let mut values = vec![0.25; 100];
        values[7] = std::f64::consts::PI;
        assert_eq!(column(&values).map(|(e, _, misfits)| (e, misfits)), Some((2, vec![7])));
    }

    #[test]
    fn full_doubles_are_not_decimal() {
        let values: Vec<f64> = (1..50).map(|i| f64::from(i).sqrt().sin()).collect();
        assert_eq!(column(&values), None);
    }

    proptest! {
        #[test]
        fn a_mantissa_gives_back_the_very_bits(bits: u64, exponent in 0..=EXPONENT_MAX) {
            let v = f64::from_bits(bits);
            if let Some(mantissa) = mantissa(v, exponent) {
                prop_assert_eq!(value(mantissa, exponent).to_bits(), bits);
            }
        }

        #[test]
        fn groups_and_single_values_agree(digits in prop::collection::vec(any::<i64>(), 1..40), shift in 8..60u32) {
            let values: Vec<f64> = digits.iter().map(|d| (d >> shift) as f64 / 1000.0).collect();
            let mut group = vec![0; values.len()];
            if group_mantissas(1000.0, &values, &mut group) {
                let singly: Option<Vec<i64>> = values.iter().map(|v| mantissa(*v, 3)).collect();
                prop_assert_eq!(singly, Some(group));
            }
        }
    }
}
