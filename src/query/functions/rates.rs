//! Changes of counters and gauges over a range: `rate`, `increase`, `delta`, `irate`, `idelta`, `resets`, `changes`.
//!
//! The first three estimate the change over the whole range from the samples inside it, as Prometheus does: the change
//! between first and last sample is stretched to the range's edges, but by at most half an average interval beyond a
//! sample that lies further than 1.1 intervals from its edge, and a counter never below zero.
//!
//! Not here: finding the samples of a range and the falls of a counter (see `window`).

use crate::query::digest::Digest;
use crate::query::value::ABSENT;
use crate::query::window::{RangeFunction, Window};

/// How far from the edge the first or last sample may lie, in average intervals, to be stretched all the way.
const STRETCH_INTERVALS_MAX: f64 = 1.1;

pub(super) const TABLE: &[RangeFunction] = &[
    RangeFunction { of_digest: Some(|d, edges| of_digest(d, edges, true, true)), ..counter("rate", rate) },
    RangeFunction { of_digest: Some(|d, edges| of_digest(d, edges, true, false)), ..counter("increase", increase) },
    RangeFunction { of_digest: Some(|d, edges| of_digest(d, edges, false, false)), ..gauge("delta", delta) },
    gauge("irate", |w| newest_change(w, true)),
    gauge("idelta", |w| newest_change(w, false)),
    counter("resets", |w| w.drop_count() as f64),
    gauge("changes", changes),
];

const fn counter(name: &'static str, compute: fn(&Window<'_>) -> f64) -> RangeFunction {
    RangeFunction { wants_drops: true, ..gauge(name, compute) }
}

const fn gauge(name: &'static str, compute: fn(&Window<'_>) -> f64) -> RangeFunction {
    RangeFunction { name, compute, wants_drops: false, keeps_name: false, of_digest: None, check: None }
}

fn rate(window: &Window<'_>) -> f64 {
    of_window(window, true, true)
}

fn increase(window: &Window<'_>) -> f64 {
    of_window(window, true, false)
}

fn delta(window: &Window<'_>) -> f64 {
    of_window(window, false, false)
}

fn of_window(window: &Window<'_>, is_counter: bool, per_second: bool) -> f64 {
    let (&[first_ms, .., last_ms], &[first, .., last]) = (window.times, window.values) else { return ABSENT };
    let mut change = last - first;
    if is_counter {
        window.before_drops().for_each(|lost| change += lost);
    }
    let steps = (window.times.len() - 1) as f64;
    let seen = Seen { times_ms: (first_ms, last_ms), first, steps, change };
    stretched(&seen, (window.start_ms, window.end_ms), is_counter, per_second)
}

fn of_digest(digest: &Digest, edges_ms: (i64, i64), is_counter: bool, per_second: bool) -> f64 {
    if digest.count < 2 {
        return ABSENT;
    }
    let change = digest.last - digest.first + if is_counter { digest.drops } else { 0.0 };
    let times_ms = (digest.first_ms, digest.last_ms);
    let seen = Seen { times_ms, first: digest.first, steps: (digest.count - 1) as f64, change };
    stretched(&seen, edges_ms, is_counter, per_second)
}

/// What the samples of a window say: at least two of them.
struct Seen {
    times_ms: (i64, i64),
    first: f64,
    /// Intervals between samples.
    steps: f64,
    /// From the first to the last, with what a counter lost on the way.
    change: f64,
}

fn stretched(seen: &Seen, (start_ms, end_ms): (i64, i64), is_counter: bool, per_second: bool) -> f64 {
    let ((first_ms, last_ms), change) = (seen.times_ms, seen.change);
    let mut to_start = first_ms.saturating_sub(start_ms) as f64 / 1000.0;
    let to_end = end_ms.saturating_sub(last_ms) as f64 / 1000.0;
    let sampled = last_ms.saturating_sub(first_ms) as f64 / 1000.0;
    let interval = sampled / seen.steps;
    if is_counter && change > 0.0 && seen.first >= 0.0 {
        // A counter began at zero: it cannot have been lower before its first sample.
        let to_zero = sampled * (seen.first / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let near = interval * STRETCH_INTERVALS_MAX;
    let mut covered = sampled;
    covered += if to_start < near { to_start } else { interval / 2.0 };
    covered += if to_end < near { to_end } else { interval / 2.0 };
    let mut factor = covered / sampled;
    if per_second {
        factor /= end_ms.saturating_sub(start_ms) as f64 / 1000.0;
    }
    change * factor
}

fn newest_change(window: &Window<'_>, is_rate: bool) -> f64 {
    let (&[.., previous_ms, last_ms], &[.., previous, last]) = (window.times, window.values) else { return ABSENT };
    let change = if is_rate && last < previous { last } else { last - previous };
    if is_rate { change / (last_ms.saturating_sub(previous_ms) as f64 / 1000.0) } else { change }
}

fn changes(window: &Window<'_>) -> f64 {
    let differs = |pair: &&[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
    window.values.windows(2).filter(differs).count() as f64
}

#[cfg(test)]
mod tests {
    use crate::query::functions::over_range;
    use crate::query::grid::{Grid, Shift};
    use crate::query::limits::{Budget, Cancel, QueryLimits, Semantics};
    use crate::query::value::is_absent;
    use crate::query::window::{Parameters, Slide, Span};
    use storage::sample::Samples;

    /// The value at `end_ms` over the 60 s before.
    fn value(name: &str, pairs: &[(i64, f64)], end_ms: i64) -> f64 {
        let samples =
            Samples { times: pairs.iter().map(|p| p.0).collect(), values: pairs.iter().map(|p| p.1).collect() };
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        let budget = Budget::new(&limits, &cancel);
        let span = Span { range_ms: 60_000, shift: Shift::default(), semantics: Semantics::Closed };
        let fixed = Parameters::Fixed([0.0; 2]);
        let (function, grid, mut column) = (over_range(name).unwrap(), Grid::instant(end_ms), Vec::new());
        let slide = Slide { function: &function, span: &span, parameters: &fixed, grid: &grid };
        slide.run(&samples, &mut Vec::new(), &mut column, &budget).unwrap();
        column[0]
    }

    #[test]
    fn a_steady_counter_has_its_own_rate() {
        let pairs: Vec<_> = (0..7).map(|i| (i * 10_000, i as f64 * 20.0 + 1000.0)).collect();
        assert_eq!(value("rate", &pairs, 60_000), 2.0);
        assert_eq!(value("increase", &pairs, 60_000), 120.0);
    }

    #[test]
    fn what_was_counted_before_a_reset_is_added() {
        let pairs = [(0, 100.0), (20_000, 110.0), (40_000, 4.0), (60_000, 6.0)];
        // 110 - 100 before the reset, 6 after it; the samples cover the whole range.
        assert_eq!(value("increase", &pairs, 60_000), 16.0);
        assert_eq!(value("resets", &pairs, 60_000), 1.0);
        assert_eq!(value("delta", &pairs, 60_000), -94.0);
    }

    #[test]
    fn the_stretch_ends_half_an_interval_beyond_a_distant_sample() {
        // Interval 10 s; 20 s to the start and 20 s to the end are too far, so 5 s on each side: 20 * 30 / 20.
        let pairs = [(20_000, 100.0), (30_000, 110.0), (40_000, 120.0)];
        assert_eq!(value("delta", &pairs, 60_000), 30.0);
        assert_eq!(value("increase", &pairs, 60_000), 30.0);
    }

    #[test]
    fn a_counter_is_never_stretched_below_zero() {
        // 1 at 10 s rising 1 a second reaches zero at 9 s: (50 + 1) s of growth for 50 counted.
        let pairs: Vec<_> = (1..=6).map(|i| (i * 10_000, 1.0 + (i - 1) as f64 * 10.0)).collect();
        assert_eq!(value("increase", &pairs, 60_000), 51.0);
        assert_eq!(value("delta", &pairs, 60_000), 60.0);
    }

    #[test]
    fn one_sample_is_no_change() {
        for name in ["rate", "increase", "delta", "irate", "idelta"] {
            assert!(is_absent(value(name, &[(60_000, 1.0)], 60_000)), "{name}");
        }
        assert_eq!(value("changes", &[(60_000, 1.0)], 60_000), 0.0);
    }

    #[test]
    fn the_newest_two_samples_make_the_instant_rate() {
        let pairs = [(0, 1.0), (20_000, 100.0), (25_000, 110.0)];
        assert_eq!(value("irate", &pairs, 60_000), 2.0);
        assert_eq!(value("idelta", &pairs, 60_000), 10.0);
        assert_eq!(value("irate", &[(0, 50.0), (10_000, 20.0)], 60_000), 2.0, "a reset counts from zero");
    }

    #[test]
    fn a_nan_that_stays_is_no_change() {
        let pairs = [(0, 1.0), (1, f64::NAN), (2, f64::NAN), (3, 2.0), (4, 2.0)];
        assert_eq!(value("changes", &pairs, 60_000), 2.0);
    }
}
