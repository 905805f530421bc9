//! The discrete Fourier transform of real values, and what is made of it: periodogram and autocorrelation.
//!
//! Not here: which periods are believed. A library would be faster on lengths that are no powers of two; values are padded
//! to one, and a transform takes some milliseconds, so none is needed.
//!
//! Invariant: lengths are powers of two; the transform of a transform is the values times their number.

use std::f64::consts::TAU;

/// Transforms in place (Cooley and Tukey 1965): real and imaginary parts of equal length, a power of two.
fn transform(re: &mut [f64], im: &mut [f64]) {
    let count = re.len();
    debug_assert!(count.is_power_of_two() && im.len() == count);
    let bits = count.trailing_zeros();
    if bits == 0 {
        return;
    }
    for at in 0..count {
        let mirrored = at.reverse_bits() >> (usize::BITS - bits);
        if at < mirrored {
            re.swap(at, mirrored);
            im.swap(at, mirrored);
        }
    }
    let roots: Vec<(f64, f64)> = (0..count / 2).map(|k| (-TAU * k as f64 / count as f64).sin_cos()).collect();
    let mut half = 1;
    while half < count {
        let stride = count / (2 * half);
        for block in (0..count).step_by(2 * half) {
            for k in 0..half {
                let (sin, cos) = roots[k * stride];
                let (low, high) = (block + k, block + k + half);
                let (x, y) = (re[high] * cos - im[high] * sin, re[high] * sin + im[high] * cos);
                (re[high], im[high]) = (re[low] - x, im[low] - y);
                (re[low], im[low]) = (re[low] + x, im[low] + y);
            }
        }
        half *= 2;
    }
}

/// Squared magnitudes of the first half of the transform of values padded with zeros to `length`.
fn spectrum(values: &[f64], length: usize) -> Vec<f64> {
    let mut re = values.to_vec();
    re.resize(length, 0.0);
    let mut im = vec![0.0; length];
    transform(&mut re, &mut im);
    re.iter().zip(&im).map(|(re, im)| re * re + im * im).collect()
}

/// The periodogram, and the length that its frequencies are counted by: place `k` is the period `length / k`. The ends of
/// the values are tapered (Hann), so that what does not fit whole times does not leak into all places.
pub(super) fn periodogram(values: &[f64]) -> (Vec<f64>, usize) {
    let count = values.len();
    let length = count.next_power_of_two() * 2;
    let taper = |at: usize| 0.5 - 0.5 * (TAU * (at as f64 + 0.5) / count as f64).cos();
    let tapered: Vec<f64> = values.iter().enumerate().map(|(at, value)| value * taper(at)).collect();
    let mut power = spectrum(&tapered, length);
    power.truncate(length / 2);
    (power, length)
}

/// Autocorrelation at lags from 0 to two thirds of the values, each freed of having fewer pairs (Wiener and Khinchin);
/// `None` of values that are all zero.
pub(super) fn autocorrelation(values: &[f64]) -> Option<Vec<f64>> {
    let count = values.len();
    let length = (2 * count).next_power_of_two();
    let mut re = spectrum(values, length);
    let mut im = vec![0.0; length];
    transform(&mut re, &mut im);
    let whole = re.first().copied().filter(|whole| *whole > 0.0)?;
    let unbiased = |(lag, product): (usize, &f64)| product / whole * count as f64 / (count - lag) as f64;
    Some(re.iter().take(count * 2 / 3 + 1).enumerate().map(unbiased).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transform_of_a_transform_is_the_values_times_their_number() {
        let values = [1.0, -2.0, 3.5, 0.0, 7.0, 1.0, -4.0, 2.0];
        let (mut re, mut im) = (values.to_vec(), vec![0.0; 8]);
        transform(&mut re, &mut im);
        assert!((re[0] - values.iter().sum::<f64>()).abs() < 1e-12);
        transform(&mut re, &mut im);
        // Twice the same direction turns the order about.
        let back: Vec<f64> = (0..8).map(|at| re[(8 - at) % 8] / 8.0).collect();
        assert!(back.iter().zip(values).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
    }

    #[test]
    fn autocorrelation_is_that_of_the_definition() {
        let values: Vec<f64> = (0..50).map(|at| f64::from(at * 37 % 11) - 5.0).collect();
        let power: f64 = values.iter().map(|value| value * value).sum();
        let found = autocorrelation(&values).unwrap();
        for lag in [0, 1, 7, 11, 30] {
            let products: f64 = values[lag..].iter().zip(&values).map(|(a, b)| a * b).sum();
            let expected = products / power * 50.0 / (50 - lag) as f64;
            assert!((found[lag] - expected).abs() < 1e-9, "{lag}");
        }
        assert_eq!(autocorrelation(&[0.0; 8]), None);
    }

    #[test]
    fn a_wave_stands_out_at_its_period() {
        let values: Vec<f64> = (0..500).map(|at| (TAU * f64::from(at) / 25.0).sin()).collect();
        let (power, length) = periodogram(&values);
        let peak = (1..power.len()).max_by(|a, b| power[*a].total_cmp(&power[*b])).unwrap();
        assert!((length as f64 / peak as f64 - 25.0).abs() < 0.5);
    }
}
