//! A series as trend, seasons and remainder: STL (Cleveland, Cleveland, McRae and Terpenning 1990) and, for several
//! seasons, MSTL (Bandara, Hyndman and Bergmeir 2021).
//!
//! Not here: which seasons a series has (see `seasonality`), gaps (see `resample`).
//!
//! Invariant: trend, seasons and remainder add up to the series.
//!
//! Cost: a pass is a few smoothings; where windows are long, every tenth of a window is computed and the rest joined by
//! lines, as the authors do: ten thousand values take some milliseconds a pass.

use super::super::robust::median;
use super::loess::{Smoother, Weights};

/// How a series is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StlConfig {
    /// Values a season has, at least 2.
    pub period: usize,
    /// Values of one slot of the season that are smoothed together, odd; `None`: all alike, the season never changes.
    pub seasonal: Option<usize>,
    /// Values the trend is smoothed over, odd; `None`: as the authors advise.
    pub trend: Option<usize>,
    /// Passes within a round.
    pub inner: usize,
    /// Rounds after the first, in each of which outliers count for less.
    pub outer: usize,
    /// Whether every value is computed: slower by some ten times, and no better.
    pub is_exact: bool,
}

/// A series taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Decomposition {
    /// What moves slowly.
    pub trend: Vec<f64>,
    /// What repeats.
    pub seasonal: Vec<f64>,
    /// What is left.
    pub remainder: Vec<f64>,
}

/// A series taken apart into several seasons.
#[derive(Debug, Clone, PartialEq)]
pub struct MultipleDecomposition {
    /// What moves slowly.
    pub trend: Vec<f64>,
    /// What repeats, one a period, in the order of the periods.
    pub seasonals: Vec<Vec<f64>>,
    /// What is left.
    pub remainder: Vec<f64>,
}

impl StlConfig {
    /// A season that never changes, robustly.
    pub fn periodic(period: usize) -> Self {
        Self { period, seasonal: None, trend: None, inner: 2, outer: 4, is_exact: false }
    }

    /// A season that is smoothed over so many of its cycles, not robustly.
    pub fn smooth(period: usize, seasonal: usize) -> Self {
        Self { period, seasonal: Some(seasonal | 1), trend: None, inner: 5, outer: 0, is_exact: false }
    }

    /// Takes finite values at equal distances apart; `None` of less than two cycles, or a period of less than 2.
    ///
    /// ```
    /// use infrawatch::analysis::prepare::StlConfig;
    ///
    /// // Two weeks of hours: a rise of one a day and a daily wave.
    /// let wave = |hour: u32| 10.0 * (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin();
    /// let values: Vec<f64> = (0..336).map(|hour| f64::from(hour) / 24.0 + wave(hour)).collect();
    /// let parts = StlConfig::periodic(24).decompose(&values).unwrap();
    /// assert!((parts.trend[200] - 200.0 / 24.0).abs() < 0.1);
    /// assert!((parts.seasonal[200] - wave(200)).abs() < 0.1);
    /// ```
    pub fn decompose(&self, values: &[f64]) -> Option<Decomposition> {
        let count = values.len();
        if self.period < 2 || count < 2 * self.period {
            return None;
        }
        let stl = Stl::new(self, count);
        let mut weights = None;
        let (mut trend, mut seasonal) = (vec![0.0; count], vec![0.0; count]);
        for round in 0..=self.outer {
            for _ in 0..self.inner.max(1) {
                stl.pass(values, &mut trend, &mut seasonal, weights.as_deref());
            }
            if round < self.outer {
                weights = Some(outlier_weights(values, &trend, &seasonal));
            }
        }
        if self.seasonal.is_none() {
            even_out(&mut seasonal, self.period);
        }
        let remainder = (0..count).map(|i| values[i] - trend[i] - seasonal[i]).collect();
        Some(Decomposition { trend, seasonal, remainder })
    }
}

/// The windows of a decomposition.
struct Stl {
    period: usize,
    seasonal: Smoother,
    low_pass: Smoother,
    trend: Smoother,
}

impl Stl {
    fn new(config: &StlConfig, count: usize) -> Self {
        let odd = |window: usize| window | 1;
        let (seasonal, degree) = config.seasonal.map_or((10 * count + 1, 0), |window| (odd(window.max(3)), 1));
        let advised = 1.5 * config.period as f64 / (1.0 - 1.5 / seasonal as f64);
        let trend = config.trend.map_or_else(|| odd(advised.ceil() as usize), |window| odd(window.max(3)));
        let low_pass = odd(config.period);
        let low_pass = if low_pass <= config.period { low_pass + 2 } else { low_pass };
        let jump = |window: usize| if config.is_exact { 1 } else { window.div_ceil(10) };
        let smoother = |window: usize, degree| Smoother { window, degree, jump: jump(window) };
        Self {
            period: config.period,
            seasonal: smoother(seasonal, degree),
            low_pass: smoother(low_pass, 1),
            trend: smoother(trend, 1),
        }
    }

    /// One pass: the season of what the trend leaves, then the trend of what the season leaves.
    fn pass(&self, values: &[f64], trend: &mut [f64], seasonal: &mut [f64], weights: Option<&[f64]>) {
        let count = values.len();
        let detrended: Vec<f64> = values.iter().zip(&*trend).map(|(value, trend)| value - trend).collect();
        let cycles = self.cycles(&detrended, weights);
        let thrice = moving_average(&moving_average(&moving_average(&cycles, self.period), self.period), 3);
        let mut low = vec![0.0; count];
        self.low_pass.smooth(&thrice, Weights::None, &mut low);
        for i in 0..count {
            seasonal[i] = cycles[self.period + i] - low[i];
        }
        let adjusted: Vec<f64> = values.iter().zip(&*seasonal).map(|(value, season)| value - season).collect();
        self.trend.smooth(&adjusted, Weights::of(weights), trend);
    }

    /// Each slot of the season smoothed over its cycles, and continued by one cycle at both ends.
    fn cycles(&self, detrended: &[f64], weights: Option<&[f64]>) -> Vec<f64> {
        let (count, period) = (detrended.len(), self.period);
        let mut out = vec![0.0; count + 2 * period];
        let mut slot_weights = Vec::new();
        for slot in 0..period {
            let values: Vec<f64> = detrended.iter().skip(slot).step_by(period).copied().collect();
            if let Some(weights) = weights {
                slot_weights.clear();
                slot_weights.extend(weights.iter().skip(slot).step_by(period));
            }
            let weights = weights.map_or(Weights::None, |_| Weights::Some(&slot_weights));
            let mut smooth = vec![0.0; values.len() + 2];
            self.seasonal.smooth(&values, weights, &mut smooth[1..=values.len()]);
            let length = values.len();
            smooth[0] = self.seasonal.before(&values, weights).unwrap_or(smooth[1]);
            smooth[length + 1] = self.seasonal.after(&values, weights).unwrap_or(smooth[length]);
            for (cycle, value) in smooth.into_iter().enumerate() {
                if let Some(cell) = out.get_mut(slot + cycle * period) {
                    *cell = value;
                }
            }
        }
        out
    }
}

/// Means of so many neighbours; shorter than the values by one less than that.
fn moving_average(values: &[f64], width: usize) -> Vec<f64> {
    let mut sum: f64 = values[..width].iter().sum();
    let mut out = Vec::with_capacity(values.len() + 1 - width);
    out.push(sum / width as f64);
    for at in width..values.len() {
        sum += values[at] - values[at - width];
        out.push(sum / width as f64);
    }
    out
}

/// Tukey's biweight of what is left, beyond six median deviations nothing.
fn outlier_weights(values: &[f64], trend: &[f64], seasonal: &[f64]) -> Vec<f64> {
    let rest: Vec<f64> = (0..values.len()).map(|i| (values[i] - trend[i] - seasonal[i]).abs()).collect();
    let reach = 6.0 * median(&mut rest.clone());
    let weight = |rest: &f64| match *rest {
        rest if rest <= 0.001 * reach => 1.0,
        rest if rest <= 0.999 * reach => (1.0 - (rest / reach).powi(2)).powi(2),
        _ => 0.0,
    };
    rest.iter().map(weight).collect()
}

/// A season that never changes has the mean of each slot.
fn even_out(seasonal: &mut [f64], period: usize) {
    for slot in 0..period {
        let cycles = seasonal.iter().skip(slot).step_by(period);
        let mean = cycles.clone().sum::<f64>() / cycles.count() as f64;
        seasonal.iter_mut().skip(slot).step_by(period).for_each(|value| *value = mean);
    }
}

/// Takes a series with several seasons apart: the seasons, shortest first, are found again twice with the others taken
/// out, each smoothed over four more cycles than the one before. Periods of which two cycles do not fit are left out;
/// `None` if none is left.
pub fn mstl(values: &[f64], periods: &[usize]) -> Option<MultipleDecomposition> {
    mstl_by(values, periods, StlConfig::smooth)
}

/// With a decomposition of each season, made for its period and a number of cycles.
fn mstl_by(
    values: &[f64],
    periods: &[usize],
    stl: impl Fn(usize, usize) -> StlConfig,
) -> Option<MultipleDecomposition> {
    const ROUNDS: usize = 2;
    let mut periods: Vec<usize> = periods.iter().copied().filter(|p| *p >= 2 && 2 * p <= values.len()).collect();
    periods.sort_unstable();
    periods.dedup();
    let mut seasonals = vec![vec![0.0; values.len()]; periods.len()];
    let mut rest = values.to_vec();
    let mut trend = None;
    for _ in 0..ROUNDS {
        for (number, (period, seasonal)) in periods.iter().zip(&mut seasonals).enumerate() {
            rest.iter_mut().zip(&*seasonal).for_each(|(rest, season)| *rest += season);
            let parts = stl(*period, 11 + 4 * number).decompose(&rest)?;
            rest.iter_mut().zip(&parts.seasonal).for_each(|(rest, season)| *rest -= season);
            *seasonal = parts.seasonal;
            trend = Some(parts.trend);
        }
    }
    let trend = trend?;
    let remainder = rest.iter().zip(&trend).map(|(rest, trend)| rest - trend).collect();
    Some(MultipleDecomposition { trend, seasonals, remainder })
}

#[cfg(test)]
#[path = "decompose_tests.rs"]
mod tests;
