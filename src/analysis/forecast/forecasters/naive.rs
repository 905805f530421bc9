//! The last value, the last cycle, and either carried on along the slope.
//!
//! Not here: the benchmark of the M4 competition (see `measures`).

use super::super::season::Profile;
use super::smooth::Gains;
use super::{Family, Fit, Forecaster, Need, Past, Smooth};

/// The last value.
pub(super) struct Naive;
/// The last cycle of the longest period.
pub(super) struct SeasonalNaive;
/// The last value, carried on along the line from the first, or the last cycle along the Theil-Sen slope.
pub(super) struct Drift;

/// What a new value replaces altogether.
const REPLACED: Gains = Gains { level: 1.0, ..Gains::FIXED };

impl Forecaster for Naive {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn family(&self) -> Family {
        Family::Repetition
    }

    fn season(&self) -> Need {
        Need::NoSeason
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let last = past.bridged.last()?;
        Some(Fit::Smooth(Smooth::new(past.bridged.len(), *last, 0.0, &[], REPLACED)))
    }
}

impl Forecaster for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal_naive"
    }

    fn family(&self) -> Family {
        Family::Repetition
    }

    fn season(&self) -> Need {
        Need::Season
    }

    fn plain(&self) -> Option<&'static dyn Forecaster> {
        Some(&Naive)
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        last_cycle(past, 0.0)
    }
}

impl Forecaster for Drift {
    fn name(&self) -> &'static str {
        "drift"
    }

    fn family(&self) -> Family {
        Family::Repetition
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        if !past.periods.is_empty() {
            return last_cycle(past, past.parts().slope.per_cell);
        }
        let (first, last) = (past.bridged.first()?, past.bridged.last()?);
        let steps = past.bridged.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let slope = (last - first) / steps as f64;
        Some(Fit::Smooth(Smooth::new(past.bridged.len(), *last, slope, &[], REPLACED)))
    }
}

/// The newest cycle of the longest period, moved along a slope.
fn last_cycle(past: &Past<'_>, slope: f64) -> Option<Fit> {
    let cells = past.bridged.len();
    let period = past.periods.last().copied().filter(|period| *period <= cells)?;
    let mut values = vec![0.0; period];
    for i in cells - period..cells {
        values[i % period] = past.bridged[i] + slope * (cells - 1 - i) as f64;
    }
    let gains = Gains { season: 1.0, ..Gains::FIXED };
    Some(Fit::Smooth(Smooth::new(cells, 0.0, slope, &[Profile { values }], gains)))
}
