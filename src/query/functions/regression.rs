//! Trends of a range: `deriv`, `predict_linear`, and double exponential smoothing under both of its names.
//!
//! Not here: the forecasting of `analysis`, which is another thing altogether.

use crate::query::error::QueryError;
use crate::query::number::CarrySum;
use crate::query::value::ABSENT;
use crate::query::window::{RangeFunction, Window};

pub(super) const TABLE: &[RangeFunction] = &[
    function("deriv", deriv),
    function("predict_linear", predict_linear),
    RangeFunction { check: Some(check_factors), ..function("holt_winters", smoothed) },
    RangeFunction { check: Some(check_factors), ..function("double_exponential_smoothing", smoothed) },
];

const fn function(name: &'static str, compute: fn(&Window<'_>) -> f64) -> RangeFunction {
    RangeFunction { name, compute, wants_drops: false, keeps_name: false, of_digest: None, check: None }
}

fn deriv(window: &Window<'_>) -> f64 {
    if window.values.len() < 2 {
        return ABSENT;
    }
    // Any origin near the samples gives the same slope, and a near one loses no precision.
    line(window, window.times[0]).0
}

fn predict_linear(window: &Window<'_>) -> f64 {
    if window.values.len() < 2 {
        return ABSENT;
    }
    let (slope, intercept) = line(window, window.time_ms);
    slope * window.parameters[0] + intercept
}

/// Slope per second and value at `origin_ms` of the least-squares line.
fn line(window: &Window<'_>, origin_ms: i64) -> (f64, f64) {
    let first = window.values[0];
    if window.values.iter().all(|&value| value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [mut sum_x, mut sum_y, mut sum_xy, mut sum_xx] = [CarrySum::default(); 4];
    for (&time_ms, &y) in window.times.iter().zip(window.values) {
        let x = time_ms.saturating_sub(origin_ms) as f64 / 1e3;
        sum_x.add(x);
        sum_y.add(y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    let n = window.values.len() as f64;
    let [x, y, xy, xx] = [sum_x, sum_y, sum_xy, sum_xx].map(|sum| sum.sum + sum.error);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

fn check_factors(parameters: &[f64; 2]) -> Result<(), QueryError> {
    for (what, short, factor) in [("smoothing", "sf", parameters[0]), ("trend", "tf", parameters[1])] {
        if factor <= 0.0 || factor >= 1.0 {
            return Err(QueryError::Execution(format!(
                "invalid {what} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
            )));
        }
    }
    Ok(())
}

fn smoothed(window: &Window<'_>) -> f64 {
    let &[first, second, ..] = window.values else { return ABSENT };
    let [smoothing, trending] = window.parameters;
    let (mut before, mut level, mut trend) = (0.0, first, second - first);
    for (i, &value) in window.values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trending * (level - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        before = level;
        level = next;
    }
    level
}

#[cfg(test)]
mod tests {
    use crate::query::functions::over_range;
    use crate::query::grid::{Grid, Shift};
    use crate::query::limits::{Budget, Cancel, QueryLimits, Semantics};
    use crate::query::value::is_absent;
    use crate::query::window::{Parameters, Slide, Span};
    use storage::sample::Samples;

    fn value(name: &str, values: &[f64], parameters: [f64; 2]) -> Result<f64, String> {
        let samples =
            Samples { times: (0..values.len() as i64).map(|i| i * 10_000).collect(), values: values.to_vec() };
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        let budget = Budget::new(&limits, &cancel);
        let span = Span { range_ms: 600_000, shift: Shift::default(), semantics: Semantics::Closed };
        let (function, grid, mut column) = (over_range(name).unwrap(), Grid::instant(100_000), Vec::new());
        let parameters = Parameters::Fixed(parameters);
        let slide = Slide { function: &function, span: &span, parameters: &parameters, grid: &grid };
        slide.run(&samples, &mut Vec::new(), &mut column, &budget).map_err(|error| error.to_string())?;
        Ok(column[0])
    }

    #[test]
    fn a_line_has_its_slope_and_goes_on() {
        let rising: Vec<f64> = (0..10).map(|i| 5.0 + f64::from(i) * 20.0).collect();
        assert!((value("deriv", &rising, [0.0; 2]).unwrap() - 2.0).abs() < 1e-12);
        // At 100 s the line is at 205; 50 s later at 305.
        assert!((value("predict_linear", &rising, [50.0, 0.0]).unwrap() - 305.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_has_no_slope_and_an_infinite_one_no_line() {
        assert_eq!(value("deriv", &[3.0; 5], [0.0; 2]), Ok(0.0));
        assert_eq!(value("predict_linear", &[3.0; 5], [1e9, 0.0]), Ok(3.0));
        assert!(value("deriv", &[f64::INFINITY; 3], [0.0; 2]).unwrap().is_nan());
        assert!(is_absent(value("deriv", &[1.0], [0.0; 2]).unwrap()));
    }

    #[test]
    fn smoothing_follows_a_trend() {
        let rising: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(value("holt_winters", &rising, [0.5, 0.5]), Ok(9.0));
        // By hand: level 10, trend 10; 0.5 * 40 + 0.5 * (10 + 10) = 30 ... with values 10, 20, 40:
        // i = 1: 0.5 * 20 + 0.5 * 20 = 20; i = 2: trend 0.1 * 10 + 0.9 * 10 = 10, 0.5 * 40 + 0.5 * 30 = 35.
        assert_eq!(value("double_exponential_smoothing", &[10.0, 20.0, 40.0], [0.5, 0.1]), Ok(35.0));
        assert!(is_absent(value("holt_winters", &[1.0], [0.5, 0.5]).unwrap()));
    }

    #[test]
    fn smoothing_factors_lie_between_zero_and_one() {
        assert!(value("holt_winters", &[1.0, 2.0], [0.0, 0.5]).unwrap_err().contains("smoothing"));
        assert!(value("holt_winters", &[1.0, 2.0], [0.5, 1.0]).unwrap_err().contains("trend"));
    }
}
