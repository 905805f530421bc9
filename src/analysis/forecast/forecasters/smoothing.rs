//! Exponential smoothing on top of the profiles: simple (Brown 1959), with a trend (Holt 1957) and with a damped one
//! (Gardner and McKenzie 1985).
//!
//! Not here: seasons that are smoothed too (see `holt_winters`).

use super::search::{Axis, best};
use super::smooth::Gains;
use super::{Family, Fit, Forecaster, Need, Past, Smooth};

/// A level.
pub(super) struct Simple;
/// A level and a trend that goes on.
pub(super) struct Holt;
/// A level and a trend that fades.
pub(super) struct DampedHolt;

const LEVEL: Axis = Axis { of: |gains| &mut gains.level, values: &[0.02, 0.1, 0.25, 0.5, 0.9], step: 0.08 };
const SLOPE: Axis = Axis { of: |gains| &mut gains.slope, values: &[0.0, 0.002, 0.02, 0.1], step: 0.01 };
const DAMPING: Axis = Axis { of: |gains| &mut gains.damping, values: &[0.9, 0.98], step: 0.015 };

impl Forecaster for Simple {
    fn name(&self) -> &'static str {
        "simple_smoothing"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        smoothed(past, 0.0, &[LEVEL])
    }
}

impl Forecaster for Holt {
    fn name(&self) -> &'static str {
        "holt"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        smoothed(past, past.parts().slope.per_cell, &[LEVEL, SLOPE])
    }
}

impl Forecaster for DampedHolt {
    fn name(&self) -> &'static str {
        "damped_holt"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        smoothed(past, past.parts().slope.per_cell, &[LEVEL, SLOPE, DAMPING])
    }
}

/// Smooths what the profiles leave, and puts it on top of them.
fn smoothed(past: &Past<'_>, slope: f64, axes: &[Axis]) -> Option<Fit> {
    let parts = past.parts();
    let first = parts.rest.iter().position(|value| !value.is_nan())?;
    let start = Smooth::new(first + 1, parts.rest[first], slope, &[], Gains::FIXED);
    let end = best(&start, &parts.rest[first + 1..], axes);
    let season = parts
        .profiles
        .first()
        .map_or(0.0, |profile| 1.0 / (parts.rest.len() / profile.values.len()).max(2) as f64 * (1.0 - end.gains.level));
    let gains = Gains { season, ..end.gains };
    Some(Fit::Smooth(Smooth::new(parts.rest.len(), end.level, end.slope, &parts.profiles, gains)))
}
