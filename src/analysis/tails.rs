//! Tails of distributions that tests are made with: Student's t and Kolmogorov's.
//!
//! Not here: the normal distribution (see `robust`), tails that are learned (see `calibrate`).

/// Steps of a continued fraction or a series, at most; a few tens are usual.
const STEPS_MAX: usize = 300;
/// Relative accuracy at which they end.
const ACCURACY: f64 = 1e-14;

/// The quantile of Student's t with so many degrees of freedom; `p` is more than 0.5 and less than 1.
pub(super) fn student_t_quantile(p: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while student_t_cdf(high, freedom) < p && high < 1e12 {
        (low, high) = (high, 2.0 * high);
    }
    // Halving some sixty times ends at neighbouring doubles.
    while high - low > ACCURACY * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if student_t_cdf(middle, freedom) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The distribution function of Student's t at `t`, which is not negative.
fn student_t_cdf(t: f64, freedom: f64) -> f64 {
    1.0 - 0.5 * incomplete_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5)
}

/// The regularised incomplete beta function, by the continued fraction of DiDonato and Morris (1992) in Lentz's way.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let guarded = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guarded(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..STEPS_MAX {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for factor in [even, odd] {
            d = 1.0 / guarded(1.0 + factor * d);
            c = guarded(1.0 + factor / c);
            fraction *= d * c;
        }
        if (d * c - 1.0).abs() < ACCURACY {
            break;
        }
    }
    front * fraction
}

/// The logarithm of the gamma function of a positive number (Lanczos 1964, with seven terms).
fn ln_gamma(x: f64) -> f64 {
    const FACTORS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum =
        FACTORS.iter().zip(1..).fold(0.999_999_999_999_809_9, |sum, (factor, i)| sum + factor / (x + f64::from(i)));
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The chance that Kolmogorov's statistic is at least `x` (Kolmogorov 1933, by Marsaglia's series for the tail).
pub(super) fn kolmogorov_tail(x: f64) -> f64 {
    // Below, the series converges slowly and the chance is one to nine digits.
    if x < 0.2 {
        return 1.0;
    }
    let term = |k: i32| (-2.0 * f64::from(k * k) * x * x).exp();
    let sum: f64 = (1..100).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Two-sided 5 % and one-sided 0.1 % of the usual tables.
        for (p, freedom, table) in
            [(0.975, 1.0, 12.706), (0.975, 10.0, 2.228), (0.999, 30.0, 3.385), (0.95, 120.0, 1.658)]
        {
            let t = student_t_quantile(p, freedom);
            assert!((t - table).abs() < 6e-4, "{p} {freedom}: {t}");
        }
    }

    #[test]
    fn kolmogorovs_tail_is_that_of_the_tables() {
        for (x, table) in [(1.358, 0.05), (1.628, 0.01), (1.224, 0.1)] {
            assert!((kolmogorov_tail(x) - table).abs() < 2e-4, "{x}");
        }
    }
}
