//! The theta method (Assimakopoulos and Nikolopoulos 2000) and the optimised one (Fiorucci et al. 2016), on top of the
//! profiles.
//!
//! The line of least squares and a theta line, whose bends are theta times as strong, are continued, the one straight and
//! the other by simple smoothing, and weighted so that together they give the series. With theta = 2 that is simple
//! smoothing with half the line's slope (Hyndman and Billah 2003).
//!
//! Not here: smoothing with a trend of its own (see `smoothing`).

use super::linear::least_squares;
use super::smooth::Gains;
use super::{Family, Fit, Forecaster, Need, Past, Smooth};

const LEVEL_GAINS: [f64; 11] = [0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0];
const THETAS: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Theta = 2.
pub(super) struct Theta;
/// The theta that forecast the next value best.
pub(super) struct OptimisedTheta;

impl Forecaster for Theta {
    fn name(&self) -> &'static str {
        "theta"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        best(past, &[2.0])
    }
}

impl Forecaster for OptimisedTheta {
    fn name(&self) -> &'static str {
        "optimised_theta"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        best(past, &THETAS)
    }
}

fn best(past: &Past<'_>, thetas: &[f64]) -> Option<Fit> {
    let parts = past.parts();
    let (end, slope) = least_squares(&parts.rest)?;
    let start = end - slope * (parts.rest.len() - 1) as f64;
    let settings = thetas.iter().flat_map(|theta| LEVEL_GAINS.map(|gain| (*theta, gain)));
    let runs = settings.map(|(theta, gain)| (run(&parts.rest, start, slope, theta, gain), gain));
    let ((_, level, slope), gain) = runs.min_by(|a, b| a.0.0.total_cmp(&b.0.0))?;
    let season = parts
        .profiles
        .first()
        .map_or(0.0, |profile| 1.0 / (parts.rest.len() / profile.values.len()).max(2) as f64 * (1.0 - gain));
    let gains = Gains { level: gain, season, ..Gains::FIXED };
    Some(Fit::Smooth(Smooth::new(parts.rest.len(), level, slope, &parts.profiles, gains)))
}

/// The mean absolute error of forecasts of the next value, and the level and slope that continue the series (the state
/// space form of Fiorucci et al., equations 8 to 10, whose time starts at 1).
///
/// With `y = start + slope * i` the line, the level follows the values, and the forecast adds `1 - 1/theta` of what the
/// line is above the level that would follow it.
pub(super) fn run(values: &[f64], start: f64, slope: f64, theta: f64, gain: f64) -> (f64, f64, f64) {
    let share = 1.0 - 1.0 / theta;
    let before = start - slope;
    let mut level = values.iter().copied().find(|value| !value.is_nan()).unwrap_or(start) / theta;
    let (mut error, mut left) = (0.0, 1.0);
    let line = |left: f64| share * (left * before + (1.0 - left * (1.0 - gain)) / gain * slope);
    for value in values {
        let expected = level + line(left);
        let value = if value.is_nan() { expected } else { *value };
        error += (value - expected).abs();
        level += gain * (value - level);
        left *= 1.0 - gain;
    }
    (error, level + line(left) - share * slope, share * slope)
}
