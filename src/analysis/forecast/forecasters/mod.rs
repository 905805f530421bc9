//! What can continue a series: every forecaster behind one trait, one small file each.
//!
//! A forecaster is fitted to a [`Past`] and gives a [`Fit`]: a small state that forecasts any step ahead and takes in the
//! next value in a time that does not depend on the length of the past. Rolling back-tests and live forecasts are made of
//! the same states, so what is tested is what is used.
//!
//! Not here: which of them is used (see `back_test`), bands (see `spread`).
//!
//! Invariant: a fit depends on the past alone; a gap is walked over and never learned from.

mod past;
mod search;
mod smooth;

mod autoregression;
mod holt_winters;
pub(super) mod linear;
mod logarithm;
mod mstl;
mod naive;
mod piecewise;
mod pretrained;
mod smoothing;
mod solve;
mod theta;

#[cfg(test)]
mod golden_tests;

pub(super) use autoregression::Autoregression;
pub(super) use past::Past;
pub(super) use pretrained::Recent;
pub(super) use smooth::Smooth;

use serde::{Deserialize, Serialize};

/// Something that can continue a series.
pub(super) trait Forecaster: Sync {
    /// Its name in results, in lower case.
    fn name(&self) -> &'static str;

    /// What it is much like.
    fn family(&self) -> Family;

    /// Whether it is only worth trying with, or without, a season.
    fn season(&self) -> Need;

    /// What it comes to where there is no season, or no logarithm, for who asks for it alone.
    fn plain(&self) -> Option<&'static dyn Forecaster> {
        None
    }

    /// Fits it to a past of at least two cells; none where it has too little to go by.
    fn fit(&self, past: &Past<'_>) -> Option<Fit>;

    /// What it expects in windows of which more and more is seen behind the past it is fitted to; none where it has too
    /// little to go by.
    fn roll(&self, past: &Past<'_>, later: &[f64], windows: &[Window]) -> Option<Vec<Vec<f64>>> {
        let mut fit = self.fit(past)?;
        let mut seen = 0;
        let path = |window: &Window| {
            later[seen..window.seen].iter().for_each(|value| fit.observe(*value));
            seen = window.seen;
            fit.path(window.horizon)
        };
        Some(windows.iter().map(path).collect())
    }
}

/// A window of a back-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Cells behind the past that are known when it starts; no fewer than of the window before it.
    pub(super) seen: usize,
    /// Its length in cells.
    pub(super) horizon: usize,
}

/// Forecasters that are much alike, and so wrong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// The last value or cycle.
    Repetition,
    /// Straight lines.
    Line,
    /// Level and trend smoothed on fixed profiles.
    Smoothing,
    /// Everything smoothed.
    HoltWinters,
    /// Seasons and trend taken apart.
    Decomposition,
    /// A trend that bends.
    Piecewise,
    /// Regressions on earlier values.
    Regression,
    /// Trained on other series.
    Pretrained,
}

/// Whether a forecaster makes use of periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Works with and without.
    Either,
    /// Has nothing to say without a season.
    Season,
    /// Knows no season.
    NoSeason,
}

/// All of them, simplest first: of equals the first is taken.
pub(super) static ALL: [&dyn Forecaster; 20] = [
    &naive::Naive,
    &naive::SeasonalNaive,
    &naive::Drift,
    &linear::Linear,
    &linear::RobustLinear,
    &linear::RecentLinear,
    &smoothing::Simple,
    &smoothing::Holt,
    &smoothing::DampedHolt,
    &theta::Theta,
    &theta::OptimisedTheta,
    &holt_winters::ADDITIVE,
    &holt_winters::DAMPED,
    &holt_winters::MULTIPLICATIVE,
    &mstl::Mstl,
    &piecewise::Piecewise,
    &autoregression::SeasonalAutoregression,
    &logarithm::LINEAR,
    &logarithm::AUTOREGRESSION,
    &pretrained::Pretrained,
];

/// Values on the grid are at most about one, and so are their logarithms; a forecast of more has gone astray.
const LOG_MAX: f64 = 3.0;

/// A fitted forecaster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Fit {
    /// Level, slope and profiles, each with a gain.
    Smooth(Smooth),
    /// A regression on earlier values.
    Auto(Autoregression),
    /// One of them, of logarithms counted from where zero lies.
    Log(Box<Fit>, f64),
    /// What a model trained on other series looks at.
    Pretrained(Box<Recent>),
}

impl Fit {
    /// The values expected in the next `horizon` cells.
    pub(super) fn path(&self, horizon: usize) -> Vec<f64> {
        match self {
            Self::Smooth(smooth) => smooth.path(horizon),
            Self::Auto(auto) => auto.path(horizon),
            Self::Pretrained(recent) => recent.path(horizon),
            Self::Log(fit, zero) => fit.path(horizon).into_iter().map(|log| zero + log.min(LOG_MAX).exp()).collect(),
        }
    }

    /// About how many bytes of memory it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Smooth(smooth) => smooth.bytes(),
            Self::Auto(auto) => auto.bytes(),
            Self::Log(fit, _) => size_of::<Self>() + fit.bytes(),
            Self::Pretrained(recent) => recent.bytes(),
        }
    }

    /// Takes in the value of the next cell; NaN where there is none.
    pub(super) fn observe(&mut self, value: f64) {
        match self {
            Self::Smooth(smooth) => smooth.observe(value),
            Self::Auto(auto) => auto.observe(value),
            Self::Pretrained(recent) => recent.observe(value),
            Self::Log(fit, zero) => fit.observe(if value > *zero { (value - *zero).ln() } else { f64::NAN }),
        }
    }
}
