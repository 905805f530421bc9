//! MSTL (Bandara, Hyndman and Bergmeir 2021): every season found by smoothing and repeated as it was in its last cycle,
//! and what it leaves continued by a damped trend.
//!
//! Not here: taking a series apart (see `prepare::decompose`).

use super::super::super::prepare::mstl;
use super::super::season::Profile;
use super::search::{Axis, best};
use super::smooth::Gains;
use super::smoothing::DampedHolt;
use super::{Family, Fit, Forecaster, Need, Past, Smooth};

/// Trend, and seasons that change.
pub(super) struct Mstl;

const LEVEL: Axis = Axis { of: |gains| &mut gains.level, values: &[0.01, 0.06, 0.25, 0.8], step: 0.06 };
const SLOPE: Axis = Axis { of: |gains| &mut gains.slope, values: &[0.0, 0.01], step: 0.01 };
const LASTING: Axis = Axis { of: |gains| &mut gains.lasting, values: &[0.0, 0.5, 0.9], step: 0.1 };
/// What a season learns from an error once it is continued: what its smoothing over eleven cycles would.
const SEASON: f64 = 0.15;

impl Forecaster for Mstl {
    fn name(&self) -> &'static str {
        "mstl"
    }

    fn family(&self) -> Family {
        Family::Decomposition
    }

    fn season(&self) -> Need {
        Need::Season
    }

    fn plain(&self) -> Option<&'static dyn Forecaster> {
        Some(&DampedHolt)
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let parts = mstl(past.bridged, past.periods)?;
        let cells = past.bridged.len();
        let last_cycle = |(seasonal, period): (&Vec<f64>, &usize)| {
            let mut values = vec![0.0; *period];
            (cells - period..cells).for_each(|i| values[i % period] = seasonal[i]);
            Profile { values }
        };
        let fitting = past.periods.iter().filter(|period| 2 * **period <= cells);
        let profiles: Vec<Profile> = parts.seasonals.iter().zip(fitting).map(last_cycle).collect();
        let season = |i: usize| parts.seasonals.iter().map(|seasonal| seasonal[i]).sum::<f64>();
        let rest: Vec<f64> = past.values.iter().enumerate().map(|(i, value)| value - season(i)).collect();
        let first = rest.iter().position(|value| !value.is_nan())?;
        let gains = Gains { damping: 0.97, ..Gains::FIXED };
        let start = Smooth::new(first + 1, rest[first], 0.0, &[], gains);
        let end = best(&start, &rest[first + 1..], &[LEVEL, SLOPE, LASTING]);
        let gains = Gains { season: SEASON, ..end.gains };
        let fit = Smooth::new(cells, end.level, end.slope, &profiles, gains);
        Some(Fit::Smooth(Smooth { error: end.error, ..fit }))
    }
}
