//! An instant selector over the samples of one series: the newest sample within the lookback window, at each instant.
//!
//! Cost sketch: one cursor moves forward once over the samples, about 1 ns a sample and 1 ns an instant.
//!
//! Not here: ranges (see `window`).
//!
//! Invariant: samples ascend in time; a staleness marker ends the series until its next sample.

use super::grid::{Grid, Shift};
use super::limits::Semantics;
use super::value::{ABSENT, is_absent};
use storage::sample::Samples;

/// How an instant selector looks back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lookback {
    pub(crate) lookback_ms: i64,
    pub(crate) shift: Shift,
    pub(crate) semantics: Semantics,
}

/// Appends the value at each instant, or with `wants_time` the sample's own time in seconds.
pub(crate) fn look(samples: &Samples, lookback: &Lookback, wants_time: bool, grid: &Grid, column: &mut Vec<f64>) {
    let mut next = 0;
    for time_ms in grid.times() {
        let seen_ms = lookback.shift.look(time_ms);
        while next < samples.len() && samples.times[next] <= seen_ms {
            next += 1;
        }
        column.push(match next.checked_sub(1) {
            Some(last) if is_visible(samples, last, seen_ms, lookback) => {
                if wants_time {
                    samples.times[last] as f64 / 1000.0
                } else {
                    samples.values[last]
                }
            }
            _ => ABSENT,
        });
    }
}

#[inline]
fn is_visible(samples: &Samples, last: usize, seen_ms: i64, lookback: &Lookback) -> bool {
    let edge_ms = seen_ms.saturating_sub(lookback.lookback_ms);
    let time_ms = samples.times[last];
    let recent = time_ms > edge_ms || (time_ms == edge_ms && lookback.semantics == Semantics::Closed);
    recent && !is_absent(samples.values[last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(pairs: &[(i64, f64)]) -> Samples {
        Samples { times: pairs.iter().map(|p| p.0).collect(), values: pairs.iter().map(|p| p.1).collect() }
    }

    fn shown(column: &[f64]) -> Vec<Option<f64>> {
        column.iter().map(|&v| (!is_absent(v)).then_some(v)).collect()
    }

    fn column(samples: &Samples, lookback: &Lookback, wants_time: bool, grid: &Grid) -> Vec<f64> {
        let mut column = Vec::new();
        look(samples, lookback, wants_time, grid, &mut column);
        column
    }

    fn lookback(semantics: Semantics) -> Lookback {
        Lookback { lookback_ms: 50, shift: Shift::default(), semantics }
    }

    #[test]
    fn a_sample_is_seen_for_the_lookback_window() {
        let data = samples(&[(0, 1.0)]);
        let grid = Grid::range(-25, 75, 25);
        let closed = column(&data, &lookback(Semantics::Closed), false, &grid);
        assert_eq!(shown(&closed), [None, Some(1.0), Some(1.0), Some(1.0), None]);
        let open = column(&data, &lookback(Semantics::LeftOpen), false, &grid);
        assert_eq!(shown(&open), [None, Some(1.0), Some(1.0), None, None]);
    }

    #[test]
    fn a_stale_marker_ends_the_series_until_its_next_sample() {
        let data = samples(&[(0, 1.0), (10, ABSENT), (30, f64::NAN)]);
        let column = column(&data, &lookback(Semantics::Closed), false, &Grid::range(0, 30, 10));
        assert_eq!(column[0], 1.0);
        assert!(is_absent(column[1]) && is_absent(column[2]));
        assert!(column[3].is_nan() && !is_absent(column[3]));
    }

    #[test]
    fn the_time_of_a_sample_is_its_own() {
        let data = samples(&[(1500, 7.0)]);
        let wide = Lookback { lookback_ms: 5000, ..lookback(Semantics::Closed) };
        assert_eq!(column(&data, &wide, true, &Grid::instant(4000)), [1.5]);
    }
}
