//! The probability that a limit is reached within the horizon.
//!
//! Not here: when (see `capacity`), series that are set back again and again (see `saw_paths`).
//!
//! It is the share of paths that reach the limit when the errors of past forecasts, each a whole path with its own
//! persistence, are laid over the forecast; see [`Spread::reaches`](super::spread::Spread::reaches).

use super::outlook::Outlook;

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
