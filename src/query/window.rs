//! A range function slid over the samples of one series: one value per instant of the grid.
//!
//! Cost sketch: two cursors move forward once over the samples, about 2 ns a sample; what a function does with each
//! window comes on top. Functions over counters get the places at which the counter fell from one pass over the
//! series, so that `rate` costs the same however long its range is.
//!
//! Not here: what the functions compute (see `functions`), where samples come from.
//!
//! Invariant: samples ascend in time and hold no staleness marker.

use super::digest::OfDigest;
use super::error::QueryError;
use super::grid::{Grid, Shift};
use super::limits::{Budget, Semantics};
use super::value::{ABSENT, is_absent};
use storage::sample::Samples;

/// Samples that functions look at before the budget is asked again; about a millisecond of work.
const SLICE: usize = 1 << 19;

/// The samples a range function sees at one instant; never empty.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    /// Times of the samples, in milliseconds.
    pub(crate) times: &'a [i64],
    /// Their values.
    pub(crate) values: &'a [f64],
    /// Indices into `values` of samples lower than the one before; only for functions that ask for them.
    drops: &'a [u32],
    /// What to subtract from `drops` to get an index into `values`.
    first: u32,
    /// The instant at which the expression is evaluated.
    pub(crate) time_ms: i64,
    /// Left edge of the range.
    pub(crate) start_ms: i64,
    /// Right edge of the range.
    pub(crate) end_ms: i64,
    /// The function's scalar parameters at this instant.
    pub(crate) parameters: [f64; 2],
}

impl Window<'_> {
    /// The value before each fall of the counter within the window, in order of time.
    pub(crate) fn before_drops(&self) -> impl Iterator<Item = f64> {
        self.drops.iter().map(|&drop| self.values[(drop - self.first) as usize - 1])
    }

    /// How often the counter fell within the window.
    pub(crate) fn drop_count(&self) -> usize {
        self.drops.len()
    }
}

/// A look at the parameters of a range function before it is computed.
pub(crate) type Check = fn(&[f64; 2]) -> Result<(), QueryError>;

/// A function over a range, as a value of the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeFunction {
    /// Its name in PromQL.
    pub(crate) name: &'static str,
    /// The value at one instant, [`ABSENT`] when there is none.
    pub(crate) compute: fn(&Window<'_>) -> f64,
    /// Whether `compute` looks at the falls of a counter.
    pub(crate) wants_drops: bool,
    /// Whether the metric's name survives.
    pub(crate) keeps_name: bool,
    /// The same value from a digest of the window, where that is exact.
    pub(crate) of_digest: Option<OfDigest>,
    /// Refuses parameters outside the function's domain.
    pub(crate) check: Option<Check>,
}

impl RangeFunction {
    /// Whether it means the rate of a counter, and nothing else.
    pub(crate) fn is_rate_of_counter(&self) -> bool {
        matches!(self.name, "rate" | "increase")
    }
}

/// Where a range function looks at each instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) range_ms: i64,
    pub(crate) shift: Shift,
    pub(crate) semantics: Semantics,
}

impl Span {
    /// Whether every instant of a grid sees the same window.
    fn is_fixed(&self) -> bool {
        self.shift.at_ms.is_some()
    }

    fn left_of(&self, end_ms: i64) -> i64 {
        end_ms.saturating_sub(self.range_ms)
    }
}

/// The scalar parameters of a range function: the same at every instant, or a column each.
#[derive(Debug, Clone)]
pub(crate) enum Parameters {
    Fixed([f64; 2]),
    Columns([Vec<f64>; 2]),
}

impl Parameters {
    #[inline]
    fn at(&self, index: usize) -> [f64; 2] {
        match self {
            Self::Fixed(values) => *values,
            Self::Columns(columns) => [0, 1].map(|i| columns[i].get(index).copied().unwrap_or(0.0)),
        }
    }
}

/// Removes staleness markers: a range does not see them.
pub(crate) fn strip_stale(samples: &mut Samples) {
    if !samples.values.iter().any(|&v| is_absent(v)) {
        return;
    }
    let mut kept = 0;
    for i in 0..samples.len() {
        if !is_absent(samples.values[i]) {
            samples.times[kept] = samples.times[i];
            samples.values[kept] = samples.values[i];
            kept += 1;
        }
    }
    samples.times.truncate(kept);
    samples.values.truncate(kept);
}

/// The samples of `start..=end` or `start<..=end`, as the semantics say.
pub(crate) fn bounds(times: &[i64], start_ms: i64, end_ms: i64, semantics: Semantics) -> std::ops::Range<usize> {
    let outside = |time: i64| time < start_ms || (time == start_ms && semantics == Semantics::LeftOpen);
    let first = times.partition_point(|&t| outside(t));
    let end = times.partition_point(|&t| t <= end_ms);
    first..end.max(first)
}

/// A range function with everything that is the same for all series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slide<'a> {
    pub(crate) function: &'a RangeFunction,
    pub(crate) span: &'a Span,
    pub(crate) parameters: &'a Parameters,
    pub(crate) grid: &'a Grid,
}

impl Slide<'_> {
    /// Appends the value at every instant of the grid to `column`; `drops` is working memory. A window that never moves
    /// is computed only once, unless the function looks at the instant as well, as `predict_linear` does.
    pub(crate) fn run(
        &self,
        samples: &Samples,
        drops: &mut Vec<u32>,
        column: &mut Vec<f64>,
        budget: &Budget<'_>,
    ) -> Result<(), QueryError> {
        drops.clear();
        if self.function.wants_drops {
            push_drops(&samples.values, drops);
        }
        if !self.is_alike() {
            return self.slide(samples, drops, column, budget);
        }
        let once = Slide { grid: &Grid::instant(self.grid.start_ms), ..*self };
        once.slide(samples, drops, column, budget)?;
        column.resize(column.len() - 1 + self.grid.count, column[column.len() - 1]);
        Ok(())
    }

    /// Whether the value is the same at every instant.
    pub(crate) fn is_alike(&self) -> bool {
        let looks_at_instant = self.function.name == "predict_linear";
        self.span.is_fixed() && !looks_at_instant && matches!(self.parameters, Parameters::Fixed(_))
    }

    fn slide(
        &self,
        samples: &Samples,
        drops: &[u32],
        column: &mut Vec<f64>,
        budget: &Budget<'_>,
    ) -> Result<(), QueryError> {
        let left_open = self.span.semantics == Semantics::LeftOpen;
        let (mut first, mut end, mut first_drop, mut end_drop) = (0, 0, 0, 0);
        let mut seen = 0;
        for (index, time_ms) in self.grid.times().enumerate() {
            if seen > SLICE {
                budget.check()?;
                seen = 0;
            }
            let end_ms = self.span.shift.look(time_ms);
            let start_ms = self.span.left_of(end_ms);
            while end < samples.len() && samples.times[end] <= end_ms {
                end += 1;
            }
            while first < end && (samples.times[first] < start_ms || (left_open && samples.times[first] == start_ms)) {
                first += 1;
            }
            if first == end {
                column.push(ABSENT);
                continue;
            }
            // A fall from the sample before the window to its first one is none of the window's business.
            while first_drop < drops.len() && drops[first_drop] as usize <= first {
                first_drop += 1;
            }
            end_drop = end_drop.max(first_drop);
            while end_drop < drops.len() && (drops[end_drop] as usize) < end {
                end_drop += 1;
            }
            seen += end - first;
            let parameters = self.parameters.at(index);
            if let Some(check) = self.function.check {
                check(&parameters)?;
            }
            column.push((self.function.compute)(&Window {
                times: &samples.times[first..end],
                values: &samples.values[first..end],
                drops: &drops[first_drop..end_drop],
                first: first as u32,
                time_ms,
                start_ms,
                end_ms,
                parameters,
            }));
        }
        Ok(())
    }
}

/// Appends the indices of values below the one before. Counters seldom fall, so whole groups are passed over.
fn push_drops(values: &[f64], drops: &mut Vec<u32>) {
    const GROUP: usize = 32;
    let (mut before, mut start) = (values.first().copied().unwrap_or(0.0), 0);
    for group in values.chunks(GROUP) {
        let falls = |pair: &[f64]| pair[1] < pair[0];
        let any = (group[0] < before) | group.windows(2).fold(false, |any, pair| any | falls(pair));
        if any {
            for (i, &value) in group.iter().enumerate() {
                if value < before {
                    drops.push((start + i) as u32);
                }
                before = value;
            }
        }
        before = group[group.len() - 1];
        start += group.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::limits::{Cancel, QueryLimits};

    const SUM: RangeFunction = RangeFunction {
        name: "sum",
        compute: |w| w.values.iter().sum(),
        wants_drops: false,
        keeps_name: false,
        of_digest: None,
        check: None,
    };
    const DROPS: RangeFunction =
        RangeFunction { name: "drops", compute: |w| w.before_drops().sum(), wants_drops: true, ..SUM };

    fn samples(pairs: &[(i64, f64)]) -> Samples {
        Samples { times: pairs.iter().map(|p| p.0).collect(), values: pairs.iter().map(|p| p.1).collect() }
    }

    fn span(range_ms: i64, semantics: Semantics) -> Span {
        Span { range_ms, shift: Shift::default(), semantics }
    }

    fn run(function: &RangeFunction, data: &Samples, span: &Span, grid: &Grid) -> Vec<f64> {
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        let budget = Budget::new(&limits, &cancel);
        let mut column = Vec::new();
        let slide = Slide { function, span, parameters: &Parameters::Fixed([0.0; 2]), grid };
        slide.run(data, &mut Vec::new(), &mut column, &budget).unwrap();
        column
    }

    #[test]
    fn both_edges_belong_to_a_closed_window_and_one_to_a_left_open_one() {
        let data = samples(&[(0, 1.0), (10, 2.0), (20, 4.0)]);
        let grid = Grid::range(10, 20, 10);
        assert_eq!(run(&SUM, &data, &span(10, Semantics::Closed), &grid), [3.0, 6.0]);
        assert_eq!(run(&SUM, &data, &span(10, Semantics::LeftOpen), &grid), [2.0, 4.0]);
    }

    #[test]
    fn an_empty_window_has_no_value() {
        let data = samples(&[(0, 1.0), (100, 2.0)]);
        let column = run(&SUM, &data, &span(10, Semantics::Closed), &Grid::range(0, 100, 50));
        assert_eq!(column[0], 1.0);
        assert!(is_absent(column[1]));
        assert_eq!(column[2], 2.0);
    }

    #[test]
    fn a_fall_counts_only_when_both_of_its_samples_are_in_the_window() {
        let data = samples(&[(0, 5.0), (10, 1.0), (20, 3.0), (30, 2.0)]);
        let grid = Grid::range(10, 30, 10);
        assert_eq!(run(&DROPS, &data, &span(10, Semantics::Closed), &grid), [5.0, 0.0, 3.0]);
        assert_eq!(run(&DROPS, &data, &span(30, Semantics::Closed), &Grid::instant(30)), [8.0]);
    }

    #[test]
    fn a_fixed_window_is_the_same_at_every_instant() {
        let data = samples(&[(0, 1.0), (10, 2.0)]);
        let fixed = Span { shift: Shift { at_ms: Some(10), offset_ms: 10 }, ..span(5, Semantics::Closed) };
        assert_eq!(run(&SUM, &data, &fixed, &Grid::range(0, 20, 10)), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_long_slide_can_be_cancelled() {
        let data = samples(&(0..2000).map(|i| (i, 1.0)).collect::<Vec<_>>());
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        cancel.cancel();
        let budget = Budget::new(&limits, &cancel);
        let (span, fixed) = (span(2000, Semantics::Closed), Parameters::Fixed([0.0; 2]));
        let slide = Slide { function: &SUM, span: &span, parameters: &fixed, grid: &Grid::range(0, 2000, 1) };
        let result = slide.run(&data, &mut Vec::new(), &mut Vec::new(), &budget);
        assert!(matches!(result, Err(QueryError::Canceled)));
    }

    #[test]
    fn stale_markers_are_stripped_and_other_nans_kept() {
        let mut data = samples(&[(0, 1.0), (10, ABSENT), (20, f64::NAN)]);
        strip_stale(&mut data);
        assert_eq!(data.times, [0, 20]);
        assert_eq!(bounds(&data.times, 0, 20, Semantics::LeftOpen), 1..2);
        assert_eq!(bounds(&data.times, 5, 4, Semantics::Closed), 1..1);
    }
}
