//! Range functions from the statistics of whole chunks: what a long range amounts to without decoding it.
//!
//! A chunk that lies within the window counts by the statistics in its head; only the chunks at the window's edges are
//! decoded. Exact: extremes, counts, ends and rates are those of the samples themselves, because a chunk with staleness
//! markers or with falls of its counter is decoded. Sums are compensated within chunks and between them, so they differ
//! from one long compensated sum by a rounding at most; where they are not finite, everything is decoded.
//!
//! Cost sketch: 50 ns for a chunk's head once, 5 ns for a chunk in a window, against 400 ns for decoding it and 100 to
//! 500 ns for each window that looks at its 128 samples.
//!
//! Not here: functions that need every sample (see `window`), how statistics are kept (see `storage::chunk`).

use super::error::QueryError;
use super::grid::Grid;
use super::limits::{Budget, Semantics};
use super::number::CarrySum;
use super::value::ABSENT;
use super::window::{Parameters, Slide, bounds, strip_stale};
use storage::sample::Samples;
use storage::{Pieces, chunk};

/// Windows shorter than so many chunks are not worth the bookkeeping.
const CHUNKS_MIN: i64 = 3;
/// Sums beyond this could have overflowed on the way, in one order of addition and not in another.
const SUM_MAX: f64 = 1e290;

/// What a run of samples amounts to; there is at least one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digest {
    pub(crate) count: u64,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) first: f64,
    pub(crate) last: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) sum: CarrySum,
    /// Values that were followed by a smaller one, summed in order.
    pub(crate) drops: f64,
}

/// A function of a digest and the window's edges in milliseconds.
pub(crate) type OfDigest = fn(&Digest, (i64, i64)) -> f64;

impl Digest {
    fn of_samples(times: &[i64], values: &[f64]) -> Option<Self> {
        let (&[first_ms, ..], &[.., last_ms], &[first, ..]) = (times, times, values) else { return None };
        let mut sum = CarrySum::default();
        let (mut min, mut max, mut last, mut drops) = (first, first, first, 0.0);
        for &value in values {
            sum.add(value);
            min = if value < min || min.is_nan() { value } else { min };
            max = if value > max || max.is_nan() { value } else { max };
            drops += if value < last { last } else { 0.0 };
            last = value;
        }
        Some(Self { count: values.len() as u64, first_ms, last_ms, first, last, min, max, sum, drops })
    }

    /// None when the samples themselves have to be looked at: how often a counter fell, and by how much each time,
    /// decides in which order Prometheus adds.
    fn of_stats(stats: &chunk::Stats, wants_drops: bool) -> Option<Self> {
        (stats.stale == 0 && (stats.drops == 0.0 || !wants_drops)).then_some(Self {
            count: u64::from(stats.count),
            first_ms: stats.start_ms,
            last_ms: stats.end_ms,
            first: stats.first,
            last: stats.last,
            min: stats.min,
            max: stats.max,
            sum: CarrySum { sum: stats.sum, error: 0.0 },
            drops: 0.0,
        })
    }

    /// This run and the one that follows it in time.
    fn then(&mut self, next: &Self) {
        if next.first < self.last {
            self.drops += self.last;
        }
        self.drops += next.drops;
        self.count += next.count;
        self.sum.add(next.sum.sum);
        self.sum.error += next.sum.error;
        self.min = if next.min < self.min || self.min.is_nan() { next.min } else { self.min };
        self.max = if next.max > self.max || self.max.is_nan() { next.max } else { self.max };
        (self.last, self.last_ms) = (next.last, next.last_ms);
    }
}

/// One piece of a series and what is known of it so far.
struct Cell<'a> {
    start_ms: i64,
    end_ms: i64,
    bytes: &'a [u8],
    /// The digest of the whole, once asked for; an inner none for a piece of staleness markers only.
    whole: Option<Option<Digest>>,
    /// The samples without staleness markers, once decoded.
    samples: Option<Samples>,
}

/// A chunk does not hold, or sums are out of range: the ordinary way decides.
struct Declined;

impl Cell<'_> {
    fn samples(&mut self, read: &mut usize) -> Result<&Samples, Declined> {
        if self.samples.is_none() {
            let mut samples = Samples::default();
            chunk::decode(self.bytes, &mut samples.times, &mut samples.values).map_err(|_| Declined)?;
            *read += samples.len();
            strip_stale(&mut samples);
            self.samples = Some(samples);
        }
        self.samples.as_ref().ok_or(Declined)
    }

    fn whole(&mut self, wants_drops: bool, read: &mut usize) -> Result<Option<Digest>, Declined> {
        if let Some(whole) = self.whole {
            return Ok(whole);
        }
        let from_head = match &self.samples {
            None => Digest::of_stats(&chunk::stats(self.bytes).map_err(|_| Declined)?, wants_drops),
            Some(_) => None,
        };
        let whole = match from_head {
            Some(digest) => Some(digest),
            None => {
                let samples = self.samples(read)?;
                Digest::of_samples(&samples.times, &samples.values)
            }
        };
        self.whole = Some(whole);
        Ok(whole)
    }

    fn part(
        &mut self,
        (start_ms, end_ms): (i64, i64),
        semantics: Semantics,
        read: &mut usize,
    ) -> Result<Option<Digest>, Declined> {
        let samples = self.samples(read)?;
        let seen = bounds(&samples.times, start_ms, end_ms, semantics);
        Ok(Digest::of_samples(&samples.times[seen.clone()], &samples.values[seen]))
    }
}

/// Appends the value at every instant, if that is quicker this way than by decoding everything; else false and nothing.
pub(crate) fn run(
    slide: &Slide<'_>,
    pieces: &Pieces<'_>,
    column: &mut Vec<f64>,
    budget: &Budget<'_>,
) -> Result<bool, QueryError> {
    let Some(function) = slide.function.of_digest.filter(|_| pays(slide, pieces)) else { return Ok(false) };
    let once = Grid::instant(slide.grid.start_ms);
    let grid = if slide.is_alike() { &once } else { slide.grid };
    let (start, mut read) = (column.len(), 0);
    let outcome = fill(slide, function, grid, cells(pieces), column, &mut read, budget);
    budget.read(read)?;
    match outcome? {
        Ok(()) => {
            let last = column[column.len() - 1];
            column.resize(start + slide.grid.count, last);
            Ok(true)
        }
        Err(Declined) => {
            column.truncate(start);
            Ok(false)
        }
    }
}

/// Whether windows hold enough whole chunks. Rates cost the same for any range once samples are decoded, so they must
/// be spared decoding most of them.
fn pays(slide: &Slide<'_>, pieces: &Pieces<'_>) -> bool {
    let [first, .., last] = pieces.chunks else { return false };
    let mean_ms = last.end_ms.saturating_sub(first.start_ms) / pieces.chunks.len() as i64;
    let instants = if slide.is_alike() { 1 } else { slide.grid.count };
    matches!(slide.parameters, Parameters::Fixed(_))
        && slide.span.range_ms >= CHUNKS_MIN.saturating_mul(mean_ms)
        && (!slide.function.wants_drops || 4 * instants < pieces.chunks.len())
        && pieces.ascend()
}

fn cells<'a>(pieces: &Pieces<'a>) -> Vec<Cell<'a>> {
    let cell = |start_ms, end_ms, bytes| Cell { start_ms, end_ms, bytes, whole: None, samples: None };
    let mut cells: Vec<_> = pieces.chunks.iter().map(|chunk| cell(chunk.start_ms, chunk.end_ms, chunk.bytes)).collect();
    if let (Some(&start_ms), Some(&end_ms)) = (pieces.loose.times.first(), pieces.loose.times.last()) {
        let mut samples = pieces.loose.clone();
        strip_stale(&mut samples);
        cells.push(Cell { samples: Some(samples), ..cell(start_ms, end_ms, &[]) });
    }
    cells
}

fn fill(
    slide: &Slide<'_>,
    function: OfDigest,
    grid: &Grid,
    mut cells: Vec<Cell<'_>>,
    column: &mut Vec<f64>,
    read: &mut usize,
    budget: &Budget<'_>,
) -> Result<Result<(), Declined>, QueryError> {
    let semantics = slide.span.semantics;
    let mut first = 0;
    for time_ms in grid.times() {
        budget.check()?;
        let end_ms = slide.span.shift.look(time_ms);
        let start_ms = end_ms.saturating_sub(slide.span.range_ms);
        let inside = |at_ms: i64| at_ms > start_ms || (at_ms == start_ms && semantics == Semantics::Closed);
        while first < cells.len() && !inside(cells[first].end_ms) {
            cells[first].samples = None;
            first += 1;
        }
        let mut digest: Option<Digest> = None;
        for cell in cells[first..].iter_mut().take_while(|cell| cell.start_ms <= end_ms) {
            let part = match inside(cell.start_ms) && cell.end_ms <= end_ms {
                true => cell.whole(slide.function.wants_drops, read),
                false => cell.part((start_ms, end_ms), semantics, read),
            };
            let Ok(part) = part else { return Ok(Err(Declined)) };
            match (&mut digest, part) {
                (Some(digest), Some(part)) => digest.then(&part),
                (None, part) => digest = part,
                (Some(_), None) => {}
            }
        }
        column.push(match digest {
            Some(digest) if is_plain(digest.sum.sum) => function(&digest, (start_ms, end_ms)),
            Some(_) => return Ok(Err(Declined)),
            None => ABSENT,
        });
    }
    Ok(Ok(()))
}

fn is_plain(sum: f64) -> bool {
    sum.abs() <= SUM_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::functions::over_range;
    use crate::query::grid::Shift;
    use crate::query::limits::{Cancel, QueryLimits};
    use crate::query::value::is_absent;
    use crate::query::window::Span;
    use storage::ChunkPiece;

    const FUNCTIONS: [&str; 11] = [
        "avg_over_time",
        "count_over_time",
        "first_over_time",
        "last_over_time",
        "max_over_time",
        "min_over_time",
        "present_over_time",
        "sum_over_time",
        "rate",
        "increase",
        "delta",
    ];

    /// A value every 10 s, in chunks of 8 and a tail that is in none.
    struct Stored {
        samples: Samples,
        chunks: Vec<(i64, i64, Vec<u8>)>,
        loose: Samples,
    }

    impl Stored {
        fn of(count: usize, value: impl Fn(usize) -> f64) -> Self {
            let mut samples = Samples::default();
            (0..count).for_each(|i| samples.push(i as i64 * 10_000, value(i)));
            let sealed = count - count % 8;
            let chunks = (0..sealed).step_by(8).map(|at| {
                let mut bytes = Vec::new();
                chunk::encode(&samples.times[at..at + 8], &samples.values[at..at + 8], &mut bytes);
                (samples.times[at], samples.times[at + 7], bytes)
            });
            let chunks = chunks.collect();
            let loose = Samples { times: samples.times[sealed..].to_vec(), values: samples.values[sealed..].to_vec() };
            Self { samples, chunks, loose }
        }

        /// Both ways over a window of `range_s`; whether the quick one was taken.
        fn both(&self, name: &str, range_s: i64, grid: &Grid, semantics: Semantics) -> Option<[Vec<f64>; 2]> {
            let chunks: Vec<_> = self
                .chunks
                .iter()
                .map(|(start_ms, end_ms, bytes)| ChunkPiece { start_ms: *start_ms, end_ms: *end_ms, bytes })
                .collect();
            let pieces = Pieces { chunks: &chunks, loose: &self.loose };
            let span = Span { range_ms: range_s * 1000, shift: Shift::default(), semantics };
            let (function, parameters) = (over_range(name).unwrap(), Parameters::Fixed([0.0; 2]));
            let slide = Slide { function: &function, span: &span, parameters: &parameters, grid };
            let (limits, cancel) = (QueryLimits::default(), Cancel::default());
            let budget = Budget::new(&limits, &cancel);
            let (mut quick, mut slow) = (vec![7.0], vec![7.0]);
            let taken = run(&slide, &pieces, &mut quick, &budget).unwrap();
            let mut clean = self.samples.clone();
            strip_stale(&mut clean);
            slide.run(&clean, &mut Vec::new(), &mut slow, &budget).unwrap();
            assert_eq!(quick.len(), if taken { slow.len() } else { 1 }, "{name}");
            taken.then_some([quick, slow])
        }
    }

    fn assert_alike(name: &str, [quick, slow]: [Vec<f64>; 2]) {
        for (at, (a, b)) in quick.iter().zip(&slow).enumerate() {
            let close = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-13 * b.abs();
            assert!(close && is_absent(*a) == is_absent(*b), "{name} at {at}: {a} {b}");
        }
    }

    #[test]
    fn statistics_and_samples_give_the_same_answers() {
        let stale = |i: usize| if i % 11 == 3 { ABSENT } else { i as f64 / 10.0 };
        let data: [(&str, Stored); 6] = [
            ("rising", Stored::of(203, |i| i as f64 * 1.1)),
            ("resets", Stored::of(203, |i| (i % 37) as f64 + 0.3)),
            ("gauge", Stored::of(200, |i| (i as f64).sin() * 1e6)),
            ("stale", Stored::of(203, stale)),
            ("all stale for a while", Stored::of(203, |i| if (60..90).contains(&i) { ABSENT } else { 2.0 })),
            ("signs", Stored::of(203, |i| if i % 2 == 0 { 0.0 } else { -0.0 })),
        ];
        for (what, stored) in &data {
            for semantics in [Semantics::Closed, Semantics::LeftOpen] {
                for (range_s, grid) in [
                    (600, Grid::range(0, 2_600_000, 700_000)),
                    (805, Grid::range(-5_000, 3_000_000, 1_234_567)),
                    (5000, Grid::instant(2_030_000)),
                    (400, Grid::instant(1_000_000)),
                ] {
                    for name in FUNCTIONS {
                        let both = stored.both(name, range_s, &grid, semantics);
                        assert_alike(name, both.unwrap_or_else(|| panic!("{name} of {what} takes the quick way")));
                    }
                }
            }
        }
    }

    #[test]
    fn what_would_not_be_exact_or_quick_is_declined() {
        let grid = Grid::range(0, 2_000_000, 50_000);
        let rising = Stored::of(200, |i| i as f64);
        assert!(rising.both("rate", 800, &grid, Semantics::Closed).is_none(), "every chunk stands at some edge");
        assert!(rising.both("sum_over_time", 100, &grid, Semantics::Closed).is_none(), "no chunk fits the window");
        assert!(rising.both("quantile_over_time", 800, &grid, Semantics::Closed).is_none());
        for odd in [f64::NAN, f64::INFINITY, 1.7e308] {
            let stored = Stored::of(200, |i| if i == 77 { odd } else { 1.0 });
            assert!(
                stored.both("sum_over_time", 1000, &Grid::instant(1_500_000), Semantics::Closed).is_none(),
                "{odd}"
            );
        }
        let mut damaged = Stored::of(200, |i| i as f64);
        damaged.chunks[10].2.truncate(3);
        assert!(damaged.both("max_over_time", 1000, &Grid::instant(1_500_000), Semantics::Closed).is_none());
    }
}
