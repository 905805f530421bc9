//! Straight lines on top of the profiles: least squares over the newest hundred values, and Theil and Sen's over all or
//! the newest third.
//!
//! Not here: lines that bend (see `piecewise`).

use super::super::robust::{median, theil_sen};
use super::past::Parts;
use super::smooth::Gains;
use super::{Family, Fit, Forecaster, Need, Past, Smooth};

/// Values that least squares looks at: more bend more often than they steady.
pub(in super::super) const NEWEST: usize = 100;

/// Least squares through the newest [`NEWEST`] values.
pub(super) struct Linear;
/// The same without any season, under the name of the documents; not among those that are chosen from.
pub(in super::super) struct LinearTrend;
/// The Theil-Sen line (Sen 1968).
pub(super) struct RobustLinear;
/// The Theil-Sen line of the newest third.
pub(super) struct RecentLinear;

impl Forecaster for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn family(&self) -> Family {
        Family::Line
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let parts = past.parts();
        let newest = &parts.rest[parts.rest.len().saturating_sub(NEWEST)..];
        let (end, slope) = least_squares(newest)?;
        Some(on_top(parts, end, slope, newest.len()))
    }
}

impl Forecaster for LinearTrend {
    fn name(&self) -> &'static str {
        "linear_trend"
    }

    fn family(&self) -> Family {
        Family::Line
    }

    fn season(&self) -> Need {
        Need::NoSeason
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        Linear.fit(past)
    }
}

impl Forecaster for RobustLinear {
    fn name(&self) -> &'static str {
        "robust_linear"
    }

    fn family(&self) -> Family {
        Family::Line
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let parts = past.parts();
        let slope = parts.slope.per_cell;
        Some(on_top(parts, line_end(&parts.rest, slope)?, slope, parts.rest.len()))
    }
}

impl Forecaster for RecentLinear {
    fn name(&self) -> &'static str {
        "recent_linear"
    }

    fn family(&self) -> Family {
        Family::Line
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let parts = past.parts();
        let recent = &parts.rest[parts.rest.len() - parts.rest.len().div_ceil(3)..];
        let slope = theil_sen(recent, 0.8).per_cell;
        Some(on_top(parts, line_end(recent, slope)?, slope, recent.len()))
    }
}

/// A line on top of the profiles, with the gains that one more value has in a line through so many.
fn on_top(parts: &Parts, end: f64, slope: f64, count: usize) -> Fit {
    let count = count.max(4) as f64;
    let cycles = parts.profiles.first().map_or(1, |profile| (parts.rest.len() / profile.values.len()).max(2));
    let gains = Gains {
        level: 4.0 / count,
        slope: 6.0 / (count * count),
        season: if parts.profiles.is_empty() { 0.0 } else { 1.0 / cycles as f64 },
        ..Gains::FIXED
    };
    Fit::Smooth(Smooth::new(parts.rest.len(), end, slope, &parts.profiles, gains))
}

/// Where a line of this slope through the middle of the values ends, in the last cell.
fn line_end(values: &[f64], slope: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let present = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let mut ends: Vec<f64> = present.map(|(i, value)| value + slope * (last - i) as f64).collect();
    if ends.is_empty() { None } else { Some(median(&mut ends)) }
}

/// The end and the slope of the line of least squares.
pub(super) fn least_squares(values: &[f64]) -> Option<(f64, f64)> {
    let present = || values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let count = present().count() as f64;
    if count < 2.0 {
        return None;
    }
    let (x_mean, y_mean) = present().fold((0.0, 0.0), |(x, y), (i, value)| (x + i as f64 / count, y + value / count));
    let (xx, xy) = present().fold((0.0, 0.0), |(xx, xy), (i, value)| {
        let x = i as f64 - x_mean;
        (xx + x * x, xy + x * (value - y_mean))
    });
    let slope = xy / xx;
    Some((y_mean + slope * ((values.len() - 1) as f64 - x_mean), slope))
}
