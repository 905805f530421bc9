//! The only part of `query` that reads the store: fills the leaves of a plan.
//!
//! Leaves with the same matchers and overlapping times share one reading. Series are read in runs of neighbours within
//! a partition, so that a block is fetched once for all of them; a thread takes a run, lets each leaf work on each of
//! its series at once, and forgets the samples. A leaf with a fold folds within its run, and runs are joined in order:
//! the result does not depend on which thread did what.
//!
//! Cost sketch: reading is the store's; the work on a sample is 1-2 ns (see `window`, `instant`).
//!
//! Not here: what the leaves compute.

use super::aggregate::Fold;
use super::computed::ComputedSeries;
use super::error::QueryError;
use super::instant::look;
use super::labels::Labels;
use super::limits::Budget;
use super::plan::{Leaf, LeafWork, Plan};
use super::value::{RawSeries, Series, drop_names, is_absent};
use super::window::{Parameters, Slide, bounds, strip_stale};
use super::{digest, fan_out};
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{NAME_LABEL, SeriesRef};
use storage::{Pieces, ReadBuffers, SelectedSeries, Store};

/// Most series of a run, so that runs of a store of ten thousand are whole partitions.
const RUN_SERIES_MAX: i64 = 256;
/// A run of so many series over this span holds a few MiB of compressed chunks; longer spans get shorter runs.
const RUN_SPAN_MS: i64 = 6 * 3_600_000;
/// A sample in the buffers: as read, and perhaps once more without staleness markers.
const SAMPLE_BYTES: usize = 2 * size_of::<(i64, f64)>();
/// What a series takes besides its values: its place in lists, and labels that it has for itself.
const SERIES_BYTES: u64 = 64;
/// Values that are computed for a window, and for a leaf with windows altogether.
const WINDOW_VALUES: i64 = 30;
const COMPUTED_MAX: i64 = 50_000;
/// Runs whose folds are held beside each other before they are joined.
const RUNS_AT_ONCE: usize = 64;

/// What a leaf holds once the store has been read.
#[derive(Debug)]
pub(crate) enum Filled {
    Columns(Vec<Series>),
    Raw(Vec<RawSeries>),
}

impl Filled {
    /// How many values it holds in memory; a time counts as one.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Columns(series) => series.iter().map(|one| one.values.len()).sum(),
            Self::Raw(series) => series.iter().map(|one| 2 * one.samples.len()).sum(),
        }
    }
}

/// The series that leaves read together choose.
#[derive(Debug)]
pub(crate) struct Found {
    reading: Reading,
    series: Vec<SelectedSeries>,
    /// Whether they are computed and not read.
    is_computed: bool,
}

impl Found {
    /// How many series there are.
    pub(crate) fn series(&self) -> usize {
        self.series.len()
    }

    /// Whether finding them is work that was not done yet.
    pub(crate) fn is_computed(&self) -> bool {
        self.is_computed
    }

    /// How long a time they are read over.
    pub(crate) fn span_ms(&self) -> i64 {
        self.reading.times.1.saturating_sub(self.reading.times.0)
    }

    /// What the list takes.
    fn bytes(&self) -> u64 {
        (self.series.len() * size_of::<SelectedSeries>()) as u64
    }
}

/// Looks up the series of every leaf; nothing of them is read yet.
pub(crate) fn find(plan: &Plan, store: &Store, budget: &Budget<'_>) -> Result<Vec<Found>, QueryError> {
    let find = |reading: Reading| {
        budget.check()?;
        let (from_ms, to_ms) = reading.times;
        let matchers: &[Matcher] = &plan.leaves[reading.leaves[0]].matchers;
        if budget.computes(matchers).is_some() {
            return Ok(Found { reading, series: Vec::new(), is_computed: true });
        }
        let series = store.find(matchers, from_ms, to_ms, &|| budget.check().is_err())?;
        let max = budget.limits.max_series;
        if series.len() > max {
            return Err(QueryError::Execution(format!(
                "a selector chooses {} series, more than the {max} allowed; give it more matchers",
                series.len()
            )));
        }
        let found = Found { reading, series, is_computed: false };
        budget.take_bytes(found.bytes())?;
        Ok(found)
    };
    readings(&plan.leaves).into_iter().map(find).collect()
}

/// Reads everything a plan needs; the result has one entry per leaf.
pub(crate) fn fill(
    plan: &Plan,
    store: &Store,
    found: Vec<Found>,
    budget: &Budget<'_>,
) -> Result<Vec<Filled>, QueryError> {
    let mut filled: Vec<Option<Filled>> = plan.leaves.iter().map(|_| None).collect();
    for one in found {
        budget.check()?;
        let (from_ms, to_ms) = one.reading.times;
        let leaves: Vec<&Leaf> = one.reading.leaves.iter().map(|&leaf| &plan.leaves[leaf]).collect();
        if one.is_computed {
            let results = fill_computed(&leaves, one.reading.times, budget)?;
            one.reading.leaves.iter().zip(results).for_each(|(&leaf, result)| filled[leaf] = Some(result));
            continue;
        }
        let runs = runs(&one.series, to_ms.saturating_sub(from_ms));
        let read = |run: &&[SelectedSeries], each: &mut Each<'_>| {
            let refs: Vec<SeriesRef> = run.iter().map(|one| one.series).collect();
            let mut outcome = Ok(());
            store.read_many(&refs, from_ms, to_ms, &mut ReadBuffers::default(), &mut |index, pieces| {
                if outcome.is_ok() {
                    outcome = each(&Labels::from_key(run[index].key.clone()), pieces);
                }
            })?;
            outcome
        };
        let results = fill_leaves(&leaves, one.reading.times, &runs, read, budget)?;
        budget.give_bytes(one.bytes());
        for (&leaf, result) in one.reading.leaves.iter().zip(results) {
            filled[leaf] = Some(result);
        }
    }
    Ok(filled.into_iter().map(|one| one.expect("every leaf belongs to one reading")).collect())
}

/// Computes series that are not stored, and lets every leaf work on each.
fn fill_computed(leaves: &[&Leaf], times: (i64, i64), budget: &Budget<'_>) -> Result<Vec<Filled>, QueryError> {
    let matchers = &leaves[0].matchers;
    let mut instants: Vec<i64> = leaves.iter().flat_map(|leaf| instants_of(leaf)).collect();
    instants.sort_unstable();
    instants.dedup();
    let found = match budget.computes(matchers) {
        Some(computes) => computes.compute(matchers, &instants, &|| budget.check().is_err())?,
        None => Vec::new(),
    };
    let read = |one: &ComputedSeries, each: &mut Each<'_>| {
        each(&Labels::from_key(one.key.clone()), &Pieces { chunks: &[], loose: &one.samples })
    };
    fill_leaves(leaves, times, &found, read, budget)
}

/// The times at which a leaf needs values: its instants, or thirty in each of its windows.
fn instants_of(leaf: &Leaf) -> Vec<i64> {
    match &leaf.work {
        LeafWork::Instant { lookback, .. } => leaf.grid.times().map(|time_ms| lookback.shift.look(time_ms)).collect(),
        LeafWork::Range { span, .. } | LeafWork::Raw { span } => {
            let (from_ms, to_ms) = leaf.times();
            let apart_ms = (span.range_ms / WINDOW_VALUES).max((to_ms - from_ms) / COMPUTED_MAX).max(1);
            (0..=(to_ms - from_ms) / apart_ms).map(|i| from_ms + i * apart_ms).collect()
        }
    }
}

/// Cuts series, which stand by partition and id, into runs within a partition.
fn runs(series: &[SelectedSeries], span_ms: i64) -> Vec<&[SelectedSeries]> {
    let most = (RUN_SERIES_MAX * RUN_SPAN_MS / span_ms.max(1)).clamp(8, RUN_SERIES_MAX) as usize;
    series.chunk_by(|a, b| a.series.partition() == b.series.partition()).flat_map(|run| run.chunks(most)).collect()
}

/// Leaves that are read together.
#[derive(Debug)]
struct Reading {
    leaves: Vec<usize>,
    times: (i64, i64),
}

fn readings(leaves: &[Leaf]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    for (index, leaf) in leaves.iter().enumerate() {
        let (from_ms, to_ms) = leaf.times();
        let shared = readings.iter_mut().find(|reading| {
            let overlaps = reading.times.0 <= to_ms && from_ms <= reading.times.1;
            overlaps && same_matchers(&leaves[reading.leaves[0]].matchers, &leaf.matchers)
        });
        match shared {
            Some(reading) => {
                reading.times = (reading.times.0.min(from_ms), reading.times.1.max(to_ms));
                reading.leaves.push(index);
            }
            None => readings.push(Reading { leaves: vec![index], times: (from_ms, to_ms) }),
        }
    }
    readings
}

fn same_matchers(a: &[Matcher], b: &[Matcher]) -> bool {
    let same = |(a, b): (&Matcher, &Matcher)| {
        a.name == b.name && a.value == b.value && std::mem::discriminant(&a.op) == std::mem::discriminant(&b.op)
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Takes the labels of a series and what is stored of it.
pub(crate) type Each<'a> = dyn FnMut(&Labels, &Pieces<'_>) -> Result<(), QueryError> + 'a;

/// Reads runs of series in `times` and lets every leaf work on each series. `read` hands out the series of a run.
pub(crate) fn fill_leaves<R: Sync>(
    leaves: &[&Leaf],
    times: (i64, i64),
    runs: &[R],
    read: impl Fn(&R, &mut Each<'_>) -> Result<(), QueryError> + Sync,
    budget: &Budget<'_>,
) -> Result<Vec<Filled>, QueryError> {
    let empty = || leaves.iter().map(|leaf| Sink::new(leaf)).collect::<Vec<_>>();
    let mut sinks = empty();
    for slice in runs.chunks(RUNS_AT_ONCE) {
        budget.check()?;
        let worked = fan_out::map(slice, 1, Buffers::default, |buffers, run| {
            let mut part = empty();
            read(run, &mut |labels, pieces| {
                budget.check()?;
                buffers.start();
                for (leaf, sink) in leaves.iter().zip(&mut part) {
                    work(leaf, times, pieces, buffers, budget)?;
                    remark_on(leaf, labels, &buffers.column, budget);
                    sink.take(labels, buffers, budget)?;
                }
                Ok(())
            })?;
            budget.give_bytes(std::mem::take(&mut buffers.taken_bytes));
            Ok(part)
        })?;
        for part in worked {
            sinks.iter_mut().zip(part).for_each(|(sink, part)| sink.absorb(part, budget));
        }
    }
    sinks.into_iter().zip(leaves).map(|(sink, leaf)| sink.finish(leaf)).collect()
}

/// What one thread reuses from series to series.
#[derive(Debug, Default)]
struct Buffers {
    /// Whether `samples` are those of the series at hand.
    is_read: bool,
    /// The samples as read.
    samples: Samples,
    has_stale: bool,
    /// The samples without staleness markers, when there are some; or those that a raw leaf takes.
    clean: Samples,
    drops: Vec<u32>,
    /// What a leaf made of the series.
    column: Vec<f64>,
    /// Room taken for the longest series so far.
    taken_bytes: u64,
}

impl Buffers {
    fn start(&mut self) {
        self.is_read = false;
    }

    fn read(
        &mut self,
        (from_ms, to_ms): (i64, i64),
        pieces: &Pieces<'_>,
        budget: &Budget<'_>,
    ) -> Result<(), QueryError> {
        if !self.is_read {
            pieces.read(from_ms, to_ms, &mut self.samples);
            budget.read(self.samples.len())?;
            let bytes = (SAMPLE_BYTES * self.samples.len()) as u64;
            if bytes > self.taken_bytes {
                budget.take_bytes(bytes - self.taken_bytes)?;
                self.taken_bytes = bytes;
            }
            self.has_stale = self.samples.values.iter().fold(false, |any, &value| any | is_absent(value));
            self.is_read = true;
        }
        Ok(())
    }
}

/// Leaves the leaf's column in `buffers.column`, or its samples in `buffers.clean`.
fn work(
    leaf: &Leaf,
    times: (i64, i64),
    pieces: &Pieces<'_>,
    buffers: &mut Buffers,
    budget: &Budget<'_>,
) -> Result<(), QueryError> {
    buffers.column.clear();
    if let LeafWork::Range { function, span, parameters } = &leaf.work {
        let slide = Slide { function, span, parameters, grid: &leaf.grid };
        if !buffers.is_read && digest::run(&slide, pieces, &mut buffers.column, budget)? {
            return Ok(());
        }
    }
    buffers.read(times, pieces, budget)?;
    let Buffers { samples, has_stale, clean, drops, column, .. } = buffers;
    match &leaf.work {
        LeafWork::Instant { lookback, wants_time } => look(samples, lookback, *wants_time, &leaf.grid, column),
        LeafWork::Range { function, span, parameters } => {
            let slide = Slide { function, span, parameters, grid: &leaf.grid };
            let seen = if *has_stale { without_stale(samples, clean) } else { &*samples };
            slide.run(seen, drops, column, budget)?;
        }
        LeafWork::Raw { span } => {
            let (from_ms, to_ms) = leaf.times();
            let seen = bounds(&samples.times, from_ms, to_ms, span.semantics);
            clean.times.clear();
            clean.values.clear();
            clean.times.extend_from_slice(&samples.times[seen.clone()]);
            clean.values.extend_from_slice(&samples.values[seen]);
            strip_stale(clean);
        }
    }
    Ok(())
}

/// Says so where a counter's function meets what has not the name of one, or a quantile is none.
fn remark_on(leaf: &Leaf, labels: &Labels, column: &[f64], budget: &Budget<'_>) {
    let LeafWork::Range { function, parameters, .. } = &leaf.work else { return };
    if let ("quantile_over_time", Parameters::Fixed([q, _])) = (function.name, parameters)
        && !(0.0..=1.0).contains(q)
        && column.iter().any(|&value| !is_absent(value))
    {
        budget.notes.bad_quantile(*q);
    }
    if !function.is_rate_of_counter() {
        return;
    }
    let name = labels.get(NAME_LABEL);
    let is_counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end)) || name.is_empty();
    if !is_counter && column.iter().any(|&value| !is_absent(value)) {
        budget.notes.no_counter(name);
    }
}

fn without_stale<'a>(samples: &Samples, clean: &'a mut Samples) -> &'a Samples {
    clean.times.clone_from(&samples.times);
    clean.values.clone_from(&samples.values);
    strip_stale(clean);
    clean
}

/// Where the products of a leaf go.
enum Sink {
    Columns(Vec<Series>),
    Raw(Vec<RawSeries>),
    Fold(Fold),
}

impl Sink {
    fn new(leaf: &Leaf) -> Self {
        match (&leaf.work, &leaf.fold) {
            (LeafWork::Raw { .. }, _) => Self::Raw(Vec::new()),
            (_, Some((op, choice))) => Self::Fold(Fold::new(*op, choice.clone(), leaf.grid.count)),
            _ => Self::Columns(Vec::new()),
        }
    }

    fn take(&mut self, labels: &Labels, buffers: &mut Buffers, budget: &Budget<'_>) -> Result<(), QueryError> {
        match self {
            Self::Columns(all) => {
                if buffers.column.iter().any(|&value| !is_absent(value)) {
                    budget.hold(buffers.column.len())?;
                    budget.take_bytes(SERIES_BYTES + labels.as_bytes().len() as u64)?;
                    all.push(Series { labels: labels.clone(), values: buffers.column.as_slice().to_vec() });
                }
            }
            Self::Fold(fold) => {
                let groups = fold.group_count();
                fold.add(labels, &buffers.column);
                budget.hold((fold.group_count() - groups) * buffers.column.len())?;
            }
            Self::Raw(all) => {
                let Samples { times, values } = &buffers.clean;
                if !times.is_empty() {
                    budget.hold(2 * times.len())?;
                    let samples = Samples { times: times.as_slice().to_vec(), values: values.as_slice().to_vec() };
                    all.push(RawSeries { labels: labels.clone(), samples });
                }
            }
        }
        Ok(())
    }

    /// Adds the products of a later run.
    fn absorb(&mut self, part: Self, budget: &Budget<'_>) {
        match (self, part) {
            (Self::Columns(all), Self::Columns(part)) => all.extend(part),
            (Self::Raw(all), Self::Raw(part)) => all.extend(part),
            (Self::Fold(fold), Self::Fold(part)) => {
                let (groups, more) = (fold.group_count(), part.group_count());
                fold.absorb(part);
                budget.release((groups + more - fold.group_count()) * fold.steps());
            }
            _ => unreachable!("both were made for the same leaf"),
        }
    }

    fn finish(self, leaf: &Leaf) -> Result<Filled, QueryError> {
        Ok(match self {
            Self::Raw(all) => Filled::Raw(all),
            Self::Fold(fold) => Filled::Columns(fold.finish()),
            // Ranges refuse series that became equal even when they never meet; instants (`timestamp`) do not.
            Self::Columns(all) if leaf.drops_name() => {
                Filled::Columns(drop_names(all, matches!(leaf.work, LeafWork::Instant { .. }))?)
            }
            Self::Columns(all) => Filled::Columns(all),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::grid::Grid;
    use crate::query::limits::{Cancel, QueryLimits};
    use crate::query::{parse, planner};

    fn leaves(text: &str) -> Vec<Leaf> {
        let limits = QueryLimits::default();
        planner::plan(&parse::expression(text, &limits).unwrap(), Grid::instant(1_000_000), 1_000_000, &limits)
            .unwrap()
            .leaves
    }

    fn read_together(text: &str) -> Vec<Vec<usize>> {
        readings(&leaves(text)).into_iter().map(|reading| reading.leaves).collect()
    }

    #[test]
    fn equal_selectors_with_overlapping_times_are_read_once() {
        assert_eq!(read_together("rate(m[5m]) / rate(m[1m]) + m"), [vec![0, 1, 2]]);
        assert_eq!(read_together("m - m offset 1d"), [vec![0], vec![1]]);
        assert_eq!(read_together("m{a=\"1\"} - m{a!=\"1\"}"), [vec![0], vec![1]]);
    }

    #[test]
    fn too_many_samples_stop_the_reading() {
        let leaves = leaves("m");
        let limits = QueryLimits { max_samples_read: 10, ..QueryLimits::default() };
        let cancel = Cancel::default();
        let read = |_: &u32, each: &mut Each<'_>| {
            let loose = Samples { times: (0..6).collect(), values: vec![0.0; 6] };
            each(&Labels::empty(), &Pieces { chunks: &[], loose: &loose })
        };
        let budget = Budget::new(&limits, &cancel);
        assert!(fill_leaves(&[&leaves[0]], (0, 10), &[1], read, &budget).is_ok());
        assert!(matches!(fill_leaves(&[&leaves[0]], (0, 10), &[2], read, &budget), Err(QueryError::Execution(_))));
    }
}
