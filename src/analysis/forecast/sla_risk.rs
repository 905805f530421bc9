//! The probability that a limit is reached within the horizon.
//!
//! Not here: when (see `capacity`).
//!
//! It is the share of paths that reach the limit when the errors of past forecasts, each a whole path with its own
//! persistence, are laid over the forecast; see [`Spread::reaches`](super::spread::Spread::reaches).

use super::outlook::Outlook;
use super::sawtooth::Teeth;

/// The probability, 0 to 1, that a limit is reached from below within `horizon` cells.
pub(super) fn sla_risk(outlook: &Outlook, limit: f64, horizon: usize) -> f64 {
    let path: Vec<f64> = (1..=horizon).map(|ahead| outlook.at(ahead)).collect();
    outlook.spread.reaches(&path, limit)
}

/// The share of the next `horizon` cells, 0 to 1, that is expected to be at or beyond a limit reached from below.
pub(super) fn time_beyond(outlook: &Outlook, limit: f64, horizon: usize) -> f64 {
    let path: Vec<f64> = (1..=horizon).map(|ahead| outlook.at(ahead)).collect();
    outlook.spread.share_beyond(&path, limit)
}

/// The probability for the peaks of a sawtooth: each peak to come is on their line, off it by as much as one of those seen.
pub(super) fn of_peaks(teeth: &Teeth, limit: f64, cells: usize, horizon: usize) -> f64 {
    let scatter = teeth.scatter();
    let last = teeth.peaks.last().map_or(0.0, |(cell, _)| *cell);
    let newest = (cells - 1) as f64;
    let mut below = 1.0;
    for number in 1..=horizon {
        let ahead = last + number as f64 * teeth.cycle.max(1.0) - newest;
        if ahead > horizon as f64 {
            break;
        }
        let peak = teeth.peak_at(cells, ahead.max(0.0));
        let reached = scatter.iter().filter(|off| peak + **off >= limit).count();
        below *= 1.0 - reached as f64 / scatter.len().max(1) as f64;
    }
    1.0 - below
}
