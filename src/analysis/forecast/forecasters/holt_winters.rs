//! Exponential smoothing of level, trend and every season (Winters 1960; several seasons and lasting errors: Taylor 2003,
//! 2010), with the season as summand, as summand beside a damped trend, or as factor.
//!
//! Not here: seasons that stay as they are (see `smoothing`).

use super::super::season::profiles;
use super::search::{Axis, best};
use super::smooth::Gains;
use super::smoothing::{DampedHolt, Holt};
use super::{Family, Fit, Forecaster, Need, Past, Smooth};

/// One of the three.
pub(super) struct HoltWinters {
    name: &'static str,
    damping: f64,
    is_factor: bool,
}

pub(super) const ADDITIVE: HoltWinters = HoltWinters { name: "holt_winters", damping: 1.0, is_factor: false };
pub(super) const DAMPED: HoltWinters = HoltWinters { name: "holt_winters_damped", damping: 0.98, is_factor: false };
pub(super) const MULTIPLICATIVE: HoltWinters =
    HoltWinters { name: "holt_winters_multiplicative", damping: 1.0, is_factor: true };

const LEVEL: Axis = Axis { of: |gains| &mut gains.level, values: &[0.01, 0.06, 0.25], step: 0.04 };
const SLOPE: Axis = Axis { of: |gains| &mut gains.slope, values: &[0.0, 0.001], step: 0.001 };
const SEASON: Axis = Axis { of: |gains| &mut gains.season, values: &[0.05, 0.2, 0.5], step: 0.08 };
const LASTING: Axis = Axis { of: |gains| &mut gains.lasting, values: &[0.0, 0.5, 0.9], step: 0.15 };

impl Forecaster for HoltWinters {
    fn name(&self) -> &'static str {
        self.name
    }

    fn family(&self) -> Family {
        Family::HoltWinters
    }

    fn season(&self) -> Need {
        Need::Season
    }

    fn plain(&self) -> Option<&'static dyn Forecaster> {
        Some(match (self.is_factor, self.damping < 1.0) {
            (true, _) => &ADDITIVE,
            (false, true) => &DampedHolt,
            (false, false) => &Holt,
        })
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let gains = Gains { damping: self.damping, ..Gains::FIXED };
        let mut start = if self.is_factor { factors(past, gains)? } else { summands(past, gains)? };
        start.slots.fill(0);
        Some(Fit::Smooth(best(&start, past.values, &[LEVEL, SLOPE, SEASON, LASTING])))
    }
}

/// The state before the first cell: the line through what the profiles leave.
fn summands(past: &Past<'_>, gains: Gains) -> Option<Smooth> {
    let parts = past.parts();
    let slope = parts.slope.per_cell;
    let level = start_of(&parts.rest, slope)?;
    Some(Smooth::new(0, level - slope, slope, &parts.profiles, gains))
}

/// The same with profiles as factors, found by way of logarithms; none where a value is not above zero.
fn factors(past: &Past<'_>, gains: Gains) -> Option<Smooth> {
    let zero = past.zero?;
    let log = |value: &f64| (value - zero).ln();
    let mut rest: Vec<f64> = past.values.iter().map(log).collect();
    let mut solid: Vec<f64> = past.bridged.iter().map(log).collect();
    if !solid.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut profiles = profiles(&mut rest, &mut solid, past.periods);
    profiles.iter_mut().flat_map(|profile| &mut profile.values).for_each(|value| *value = value.exp());
    let level: Vec<f64> = rest.iter().map(|value| value.exp()).collect();
    let slope = super::super::robust::theil_sen(&level, 0.8).per_cell;
    let start = start_of(&level, slope)?;
    Some(Smooth { zero: Some(zero), ..Smooth::new(0, start - slope, slope, &profiles, gains) })
}

/// Where a line of this slope through the middle of the values begins, in the first cell.
fn start_of(values: &[f64], slope: f64) -> Option<f64> {
    let present = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let mut starts: Vec<f64> = present.map(|(i, value)| value - slope * i as f64).collect();
    if starts.is_empty() { None } else { Some(super::super::robust::median(&mut starts)) }
}
