//! When a series will reach a limit: as a number of days, and as the earliest, likely and latest time.
//!
//! Not here: how likely it is within the horizon (see `sla_risk`).
//!
//! Times are real ones: a cell lasts as long as the samples are apart, whatever that is.

use super::outlook::Outlook;
use super::robust::normal_cdf;
use super::sawtooth::Teeth;

/// How far beyond the history, in lengths of it, a limit is looked for: further than that no trend can be trusted.
const HISTORIES_AHEAD: usize = 10;
/// Cells that are looked at: more than eleven years of hours.
const CELLS_MAX: usize = 100_000;

/// Which way a limit is exceeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// By values at or above it.
    #[default]
    Above,
    /// By values at or below it.
    Below,
}

/// A limit of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// In the unit of the values.
    pub value: f64,
    /// Which way it is exceeded.
    pub direction: Direction,
}

/// When a limit is reached; times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exhaustion {
    /// When the band's nearer edge reaches it.
    pub earliest_ms: i64,
    /// When the forecast itself reaches it; none if it does not within ten times the length of the history.
    pub likely_ms: Option<i64>,
    /// When even the band's farther edge has reached it; none as for `likely_ms`.
    pub latest_ms: Option<i64>,
    /// Probability, 0 to 1, that it is reached within ten times the length of the history.
    pub probability: f64,
}

/// The cells ahead, counted from 1, in which the edges and the forecast of an outlook reach a limit from below.
#[derive(Debug, PartialEq)]
pub(super) struct Crossings {
    pub(super) earliest: usize,
    pub(super) likely: Option<usize>,
    pub(super) latest: Option<usize>,
    pub(super) probability: f64,
}

/// When an outlook reaches a limit from below; none if not even its upper edge does.
pub(super) fn crossings(outlook: &Outlook, limit: f64, history_cells: usize, horizon: usize) -> Option<Crossings> {
    let cells = history_cells.saturating_mul(HISTORIES_AHEAD).max(horizon).min(CELLS_MAX.max(horizon));
    let first = |edge: &dyn Fn(usize) -> f64| (1..=cells).find(|ahead| edge(*ahead) >= limit);
    let earliest = first(&|ahead| outlook.at(ahead) + outlook.band(ahead).1)?;
    let likely = first(&|ahead| outlook.at(ahead));
    let latest = first(&|ahead| outlook.at(ahead) + outlook.band(ahead).0);
    let path: Vec<f64> = (1..=cells).map(|ahead| outlook.at(ahead)).collect();
    Some(Crossings { earliest, likely, latest, probability: outlook.spread.reaches(&path, limit) })
}

/// When the peaks of a sawtooth reach a limit; none if they do not rise for good and no peak comes near it.
///
/// Between peaks the series is set back, so a line through all of it is too low and one through its newest rise too steep.
/// The likely time is that of the peaks' line; the others are those of the slope's edges and of the usual scatter of peaks.
pub(super) fn crossings_of_peaks(teeth: &Teeth, limit: f64, history_cells: usize) -> Option<Crossings> {
    let cells = history_cells.saturating_mul(HISTORIES_AHEAD).min(CELLS_MAX) as f64;
    let (below, above) = teeth.usual_scatter();
    let slope = teeth.slope();
    let (lower, upper) = if slope == 0.0 { (0.0, 0.0) } else { (teeth.peak_slope.lower, teeth.peak_slope.upper) };
    let now = teeth.peak_at(history_cells, 0.0);
    let after = |start: f64, slope: f64| match (limit - start, slope) {
        (missing, _) if missing <= 0.0 => Some(1),
        (missing, slope) if slope > 0.0 && missing / slope <= cells => Some((missing / slope).ceil().max(1.0) as usize),
        _ => None,
    };
    let earliest = after(now + above, upper)?;
    let likely = after(now, slope).map(|ahead| ahead.max(earliest));
    let latest = likely.and_then(|likely| after(now + below, lower).map(|ahead| ahead.max(likely)));
    // The interval of the slope holds 80 % or so of what it may be: 1.28 deviations to either side.
    let deviation = ((upper - lower) / 2.56).max(1e-15);
    let probability = normal_cdf((slope - (limit - now) / cells) / deviation);
    Some(Crossings { earliest, likely, latest, probability: probability.clamp(0.0, 1.0) })
}
