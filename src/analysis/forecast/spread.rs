//! How far forecasts were off, by horizon: the band, and the paths that a series may take around its forecast.
//!
//! Not here: making the forecasts that were off (see `back_test`).
//!
//! Errors of held-out windows are divided by their usual size at that horizon; the quantiles of what remains, in which each
//! window has its weight, widened for how few windows there were, are the band (split conformal prediction, Lei et al.
//! 2018, by horizon, with weights of Barber et al. 2023).
//!
//! Invariant: the usual size never falls with the horizon; the band holds the forecast.

use super::combination::weighted_quantile;
use super::robust::{normal_cdf, normal_quantile};
use serde::{Deserialize, Serialize};

/// Quantiles that stand for paths where nothing could be held out.
const MADE_UP_PATHS: usize = 19;
/// How much larger errors to come are than those of the windows by which the forecast was chosen.
const CHOSEN: f64 = 1.04;
/// Mean absolute value of a standard normal.
const MEAN_ABSOLUTE: f64 = 0.797_884_560_802_865_4;

/// Sizes and shapes of errors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spread {
    /// Horizon in cells and the usual size of an error there, both rising.
    knots: Vec<(f64, f64)>,
    /// Power of the horizon by which errors grow beyond the last knot.
    growth: f64,
    /// Errors over their usual size, one path a window, from horizon 1 on; in half the digits, as they are most of what a
    /// kept forecast takes.
    paths: Vec<Vec<f32>>,
    /// What each path counts for; they add up to one.
    weights: Vec<f32>,
    low: f64,
    high: f64,
}

/// How far windows were off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried<'a> {
    /// Actual less forecast, NaN where unknown; those of a window that the series ended in are fewer.
    pub(super) errors: &'a [Vec<f64>],
    /// What each window counts for.
    pub(super) weights: &'a [f64],
}

impl Spread {
    /// From the errors of windows, of which `independent` do not overlap.
    pub(super) fn of_errors(tried: Tried<'_>, independent: f64, level: f64) -> Self {
        let knots = knots(tried);
        let whole = tried.errors.iter().map(Vec::len).max().unwrap_or(0);
        let (paths, weights, low, high) = (Vec::new(), Vec::new(), 0.0, 0.0);
        let mut spread = Self { growth: growth(&knots), knots, paths, weights, low, high };
        let shapes: Vec<Vec<f64>> = tried.errors.iter().map(|path| spread.shape(path)).collect();
        let weighted = shapes.iter().zip(tried.weights);
        let mut pooled: Vec<(f64, f64)> =
            weighted.clone().flat_map(|(path, weight)| path.iter().map(|error| (*error, *weight))).collect();
        pooled.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let tail = (1.0 - level) / 2.0;
        let widening = widening(1.0 + (independent - 1.0) * effective(tried.weights) * telling(&shapes));
        spread.low = widening * weighted_quantile(&pooled, tail).min(0.0);
        spread.high = widening * weighted_quantile(&pooled, 1.0 - tail).max(0.0);
        let kept: Vec<(&Vec<f64>, &f64)> = weighted.filter(|(path, _)| path.len() == whole).collect();
        let total: f64 = kept.iter().map(|(_, weight)| **weight).sum();
        spread.weights = kept.iter().map(|(_, weight)| (**weight / total) as f32).collect();
        spread.paths = kept.iter().map(|(path, _)| path.iter().map(|error| *error as f32).collect()).collect();
        spread
    }

    /// For a series too short to hold anything out: a random walk whose steps are as large as those seen.
    pub(super) fn of_steps(bridged: &[f64], level: f64) -> Self {
        let steps = bridged.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        let size = steps.sum::<f64>() / (bridged.len().saturating_sub(1).max(1)) as f64;
        let path = |i: usize| vec![(normal_quantile(i as f64 / (MADE_UP_PATHS + 1) as f64) / MEAN_ABSOLUTE) as f32];
        let edge = normal_quantile(0.5 + level / 2.0) / MEAN_ABSOLUTE * widening(bridged.len() as f64 - 1.0);
        let paths = (1..=MADE_UP_PATHS).map(path).collect();
        Self { knots: vec![(1.0, size)], growth: 0.5, paths, weights: even(), low: -edge, high: edge }
    }

    /// A band of `deviations` standard deviations of values to either side, as wide at every horizon.
    pub(super) fn of_values(values: &[f64], deviations: f64) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let path = |i: usize| vec![normal_quantile(i as f64 / (MADE_UP_PATHS + 1) as f64) as f32];
        let paths = (1..=MADE_UP_PATHS).map(path).collect();
        let (low, high) = (-deviations, deviations);
        Self { knots: vec![(1.0, deviation)], growth: 0.0, paths, weights: even(), low, high }
    }

    /// The usual size of an error at this horizon.
    pub(super) fn size(&self, ahead: usize) -> f64 {
        let at = ahead as f64;
        let above = self.knots.partition_point(|(horizon, _)| *horizon < at);
        match (above.checked_sub(1).map(|below| self.knots[below]), self.knots.get(above)) {
            (Some((from, low)), Some((to, high))) => low + (high - low) * (at - from) / (to - from),
            (None, Some((_, size))) => *size,
            (Some((last, size)), None) => size * (at / last).powf(self.growth),
            (None, None) => 0.0,
        }
    }

    /// The band's edges at this horizon, less the forecast.
    pub(super) fn band(&self, ahead: usize) -> (f64, f64) {
        let size = self.size(ahead);
        (size * self.low, size * self.high)
    }

    /// The probability that a path around this forecast reaches `limit` from below within it.
    ///
    /// Each held-out window's error, as a path, is laid over the forecast; how far its highest point is above or below
    /// the limit, smoothed over by Silverman's bandwidth (1986), says how likely reaching it is.
    pub(super) fn reaches(&self, forecast: &[f64], limit: f64) -> f64 {
        let sizes: Vec<f64> = (1..=forecast.len()).map(|ahead| self.size(ahead)).collect();
        let highest = |path: &Vec<f32>| {
            let error = |i: usize| path.get(i).or(path.last()).copied().map_or(0.0, f64::from);
            let values = forecast.iter().zip(&sizes).enumerate().map(|(i, (value, size))| value + size * error(i));
            values.fold(f64::NEG_INFINITY, f64::max) - limit
        };
        let margins: Vec<(f64, f64)> =
            self.paths.iter().map(highest).zip(self.weights.iter().copied().map(f64::from)).collect();
        let total: f64 = margins.iter().map(|(_, weight)| weight).sum();
        let mean = margins.iter().map(|(margin, weight)| weight * margin).sum::<f64>() / total;
        let variance = margins.iter().map(|(margin, weight)| weight * (margin - mean).powi(2)).sum::<f64>() / total;
        let bandwidth = 1.06 * variance.sqrt() * effective_count(&self.weights).powf(-0.2);
        let reached = |margin: f64| {
            if bandwidth > 0.0 { normal_cdf(margin / bandwidth) } else { f64::from(u8::from(margin >= 0.0)) }
        };
        (margins.iter().map(|(margin, weight)| weight * reached(*margin)).sum::<f64>() / total).clamp(0.0, 1.0)
    }

    /// The share of time, 0 to 1, that paths around this forecast are expected to spend at or above `limit`.
    pub(super) fn share_beyond(&self, forecast: &[f64], limit: f64) -> f64 {
        let mut beyond = 0.0;
        for (i, value) in forecast.iter().enumerate() {
            let size = self.size(i + 1);
            let error = |path: &Vec<f32>| path.get(i).or(path.last()).copied().map_or(0.0, f64::from);
            let reaches = self.paths.iter().zip(&self.weights).filter(|(path, _)| value + size * error(path) >= limit);
            beyond += reaches.map(|(_, weight)| f64::from(*weight)).sum::<f64>();
        }
        let total: f64 = self.weights.iter().copied().map(f64::from).sum();
        (beyond / (total * forecast.len() as f64).max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// About how many bytes of memory it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        let paths: usize = self.paths.iter().map(|path| size_of::<Vec<f32>>() + 4 * path.len()).sum();
        paths + 4 * self.weights.len() + 16 * self.knots.len()
    }

    /// The mirror image: where what was above is below.
    pub(super) fn mirrored(&self) -> Self {
        let paths = self.paths.iter().map(|path| path.iter().map(|error| -error).collect()).collect();
        let (knots, weights) = (self.knots.clone(), self.weights.clone());
        Self { knots, growth: self.growth, paths, weights, low: -self.high, high: -self.low }
    }

    /// A window's errors over their usual size; an unknown one is taken to be like the one before it.
    fn shape(&self, errors: &[f64]) -> Vec<f64> {
        let mut before = 0.0;
        let relative = |(i, error): (usize, &f64)| {
            let size = self.size(i + 1);
            if !error.is_nan() {
                before = if size > 0.0 { error / size } else { 0.0 };
            }
            before
        };
        errors.iter().enumerate().map(relative).collect()
    }
}

/// Weights of paths that were made up.
fn even() -> Vec<f32> {
    vec![1.0 / MADE_UP_PATHS as f32; MADE_UP_PATHS]
}

/// How many equal weights would say as much as these (Kish 1965), as a share of them.
fn effective(weights: &[f64]) -> f64 {
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    if squares > 0.0 { sum * sum / squares / weights.len() as f64 } else { 1.0 }
}

fn effective_count(weights: &[f32]) -> f64 {
    let weights: Vec<f64> = weights.iter().copied().map(f64::from).collect();
    (effective(&weights) * weights.len() as f64).max(1.0)
}

/// The mean absolute error in horizons 1, 2, 3-4, 5-8 and so on, made to never fall by pooling neighbours that do
/// (isotonic regression; Ayer et al. 1955).
fn knots(Tried { errors, weights }: Tried<'_>) -> Vec<(f64, f64)> {
    let horizon = errors.iter().map(Vec::len).max().unwrap_or(0);
    // Sum of absolute errors, what they count for, and how many buckets they come from.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    let mut centres = Vec::new();
    let mut from = 0;
    while from < horizon {
        let to = (2 * from).clamp(from + 1, horizon);
        let weighted = errors.iter().zip(weights);
        let bucket =
            weighted.flat_map(|(path, weight)| path.iter().take(to).skip(from).map(move |error| (error, weight)));
        let known = bucket.filter(|(error, _)| !error.is_nan());
        let (sum, count) =
            known.fold((0.0, 0.0), |(sum, count), (error, weight)| (sum + weight * error.abs(), count + weight));
        pools.push((sum, count, 1));
        while let [.., before, last] = pools[..]
            && before.0 * last.1 >= last.0 * before.1
        {
            pools.truncate(pools.len() - 2);
            pools.push((before.0 + last.0, before.1 + last.1, before.2 + last.2));
        }
        centres.push((from + to + 1) as f64 / 2.0);
        from = to;
    }
    let size = |pool: &(f64, f64, usize)| if pool.1 > 0.0 { pool.0 / pool.1 } else { 0.0 };
    let sizes = pools.iter().flat_map(|pool| std::iter::repeat_n(size(pool), pool.2));
    centres.into_iter().zip(sizes).collect()
}

/// The power by which errors grew over the second half of the knots.
fn growth(knots: &[(f64, f64)]) -> f64 {
    let Some((last, size)) = knots.last() else { return 0.5 };
    let (middle, smaller) = knots[knots.len() / 2];
    if *last > middle && smaller > 0.0 {
        ((size / smaller).ln() / (last / middle).ln()).clamp(0.0, 1.0)
    } else if *size > 0.0 {
        0.5
    } else {
        0.0
    }
}

/// How many errors of a path tell something of their own: one where neighbours are the same, some where they have nothing
/// in common: not all of them, as also the level of a window is uncertain.
fn telling(paths: &[Vec<f64>]) -> f64 {
    let power: f64 = paths.iter().flatten().map(|error| error * error).sum();
    let lagged: f64 = paths.iter().flat_map(|path| path.windows(2)).map(|pair| pair[0] * pair[1]).sum();
    let correlation = if power > 0.0 { (lagged / power).clamp(0.0, 1.0) } else { 1.0 };
    let length = paths.iter().map(Vec::len).max().unwrap_or(1).max(1);
    (length as f64).powf((1.0 - correlation) / 2.0)
}

/// How much wider quantiles from few windows must be: about what Student's t of as many degrees is beyond the normal
/// at the 80 % level.
fn widening(independent: f64) -> f64 {
    CHOSEN + 0.6 / independent.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From windows that all count the same.
    fn of_errors(errors: &[Vec<f64>], independent: f64) -> Spread {
        let weights = vec![1.0; errors.len()];
        Spread::of_errors(Tried { errors, weights: &weights }, independent, 0.8)
    }

    #[test]
    fn sizes_rise_with_the_horizon_and_go_on_growing_as_they_did() {
        // Errors of size h: knots at horizons 1, 2, 3.5 (3-4) and 6.5 (5-8).
        let errors = vec![(1..=8).map(f64::from).collect::<Vec<_>>(); 3];
        let spread = of_errors(&errors, 3.0);
        for ahead in 1..=6 {
            assert!((spread.size(ahead) - ahead as f64).abs() < 1e-12, "{ahead}");
        }
        assert!((spread.size(65) - 65.0).abs() < 1e-9);
        let falling = of_errors(&[vec![4.0, 3.0, 2.0, 1.0]], 1.0);
        assert_eq!(falling.size(4), 2.5);
    }

    #[test]
    fn the_band_is_the_quantiles_of_relative_errors_widened_for_few_windows() {
        // Eleven windows of one step, errors -5 to 5, mean size 30/11, in shares whose middles are 1/22, 3/22 and so on:
        // the 90 % quantile lies four tenths of the way from 4 to 5, widened by 1.04 + 0.6/11.
        let errors: Vec<Vec<f64>> = (-5..=5).map(|error| vec![f64::from(error)]).collect();
        let (low, high) = of_errors(&errors, 11.0).band(1);
        assert!((high - 4.4 * (CHOSEN + 0.6 / 11.0)).abs() < 1e-12, "{high}");
        assert!((low + high).abs() < 1e-12);
    }

    #[test]
    fn a_band_holds_its_forecast_even_when_every_error_had_one_sign() {
        let (low, high) = of_errors(&[vec![1.0], vec![2.0]], 2.0).band(1);
        assert_eq!(low, 0.0);
        assert!(high > 0.0);
    }

    #[test]
    fn steps_of_one_make_the_band_of_a_random_walk() {
        let spread = Spread::of_steps(&[0.0, 1.0, 0.0, 1.0, 0.0], 0.8);
        let (_, at_one) = spread.band(1);
        let (_, at_four) = spread.band(4);
        assert!((at_one - 1.281_551_565_5 / MEAN_ABSOLUTE * (CHOSEN + 0.15)).abs() < 1e-6, "{at_one}");
        assert!((at_four - 2.0 * at_one).abs() < 1e-12);
    }

    #[test]
    fn reaching_a_limit_is_certain_above_it_even_at_it_and_rare_far_below() {
        let errors: Vec<Vec<f64>> = (-10..=10).map(|error| vec![f64::from(error); 3]).collect();
        let spread = of_errors(&errors, 21.0);
        assert!(spread.reaches(&[40.0; 3], 0.0) > 0.999);
        assert!((spread.reaches(&[0.0; 3], 0.0) - 0.5).abs() < 1e-6);
        assert!(spread.reaches(&[-40.0; 3], 0.0) < 0.001);
        assert_eq!(Spread::of_steps(&[1.0, 1.0], 0.8).reaches(&[1.0], 1.0), 1.0);
        // Errors of -10 to 10: eleven of twenty-one paths are at or above their forecast, at one step of two.
        assert!((spread.share_beyond(&[0.0, -40.0], 0.0) - 11.0 / 42.0).abs() < 1e-9);
    }

    #[test]
    fn old_errors_count_less_and_windows_that_are_cut_off_are_no_paths() {
        let errors = [vec![90.0; 4], vec![-90.0; 4], vec![1.0; 4], vec![-1.0; 4], vec![1.0; 2]];
        let even = of_errors(&errors, 4.0);
        let weights = [0.01, 0.01, 1.0, 1.0, 1.0];
        let aged = Spread::of_errors(Tried { errors: &errors, weights: &weights }, 4.0, 0.8);
        assert!(aged.band(4).1 < 4.0 && even.band(4).1 > 50.0, "{:?} {:?}", aged.band(4), even.band(4));
        assert_eq!((aged.paths.len(), aged.weights.len()), (4, 4));
        assert!((aged.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(aged.reaches(&[0.0; 4], 60.0) < 0.05 && even.reaches(&[0.0; 4], 60.0) > 0.15);
    }
}
