//! The only part of `query` that reads the store: fills the leaves of a plan.
//!
//! Leaves with the same matchers and overlapping times share one reading. Every series is read into a buffer that its
//! thread reuses, worked on by each leaf at once and forgotten; a leaf with a fold takes the columns of a slice of
//! series before the next slice is read.
//!
//! Cost sketch: reading is the store's; the work on a sample is 1-2 ns (see `window`, `instant`).
//!
//! Not here: what the leaves compute.

use super::aggregate::Fold;
use super::error::QueryError;
use super::fan_out;
use super::instant::look;
use super::labels::Labels;
use super::limits::Budget;
use super::plan::{Leaf, LeafWork, Plan};
use super::value::{RawSeries, Series, drop_names};
use super::window::{bounds, slide_or_repeat, strip_stale};
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::{SelectedSeries, Store};

/// Series read before their columns are folded and the budget is asked again.
const SLICE: usize = 512;

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

/// Reads everything a plan needs; the result has one entry per leaf.
pub(crate) fn fill(plan: &Plan, store: &Store, budget: &Budget<'_>) -> Result<Vec<Filled>, QueryError> {
    let mut filled: Vec<Option<Filled>> = plan.leaves.iter().map(|_| None).collect();
    for reading in readings(&plan.leaves) {
        budget.check()?;
        let (from_ms, to_ms) = reading.times;
        let matchers: &[Matcher] = &plan.leaves[reading.leaves[0]].matchers;
        let series = store.select(matchers, from_ms, to_ms)?;
        let max = budget.limits.max_series;
        if series.len() > max {
            return Err(QueryError::Execution(format!(
                "a selector chooses {} series, more than the {max} allowed; give it more matchers",
                series.len()
            )));
        }
        let read = |one: &SelectedSeries, samples: &mut Samples| {
            store.read(one.series, from_ms, to_ms, samples)?;
            Ok(Labels::from_key(one.key.clone()))
        };
        let leaves: Vec<&Leaf> = reading.leaves.iter().map(|&leaf| &plan.leaves[leaf]).collect();
        for (&leaf, result) in reading.leaves.iter().zip(fill_leaves(&leaves, &series, read, budget)?) {
            filled[leaf] = Some(result);
        }
    }
    Ok(filled.into_iter().map(|one| one.expect("every leaf belongs to one reading")).collect())
}

/// Leaves that are read together.
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

/// What one series became for one leaf.
enum Product {
    Column(Vec<f64>),
    Samples(Samples),
}

/// Reads `series` slice by slice and lets every leaf work on each. `read` fills the buffer and names the series.
pub(crate) fn fill_leaves<S: Sync>(
    leaves: &[&Leaf],
    series: &[S],
    read: impl Fn(&S, &mut Samples) -> Result<Labels, QueryError> + Sync,
    budget: &Budget<'_>,
) -> Result<Vec<Filled>, QueryError> {
    let mut sinks: Vec<Sink> = leaves.iter().map(|leaf| Sink::new(leaf)).collect();
    for slice in series.chunks(SLICE) {
        budget.check()?;
        let worked = fan_out::map(slice, Buffers::default, |buffers, one| {
            let labels = read(one, &mut buffers.samples)?;
            budget.read(buffers.samples.len())?;
            let products = leaves.iter().map(|leaf| work(leaf, buffers, budget)).collect::<Result<Vec<_>, _>>()?;
            Ok((labels, products))
        })?;
        for (labels, products) in worked {
            for (sink, product) in sinks.iter_mut().zip(products) {
                sink.take(&labels, product, budget)?;
            }
        }
    }
    sinks.into_iter().zip(leaves).map(|(sink, leaf)| sink.finish(leaf)).collect()
}

/// What one thread reuses from series to series: the samples as read, and without staleness markers.
#[derive(Default)]
struct Buffers {
    samples: Samples,
    clean: Samples,
}

fn work(leaf: &Leaf, buffers: &mut Buffers, budget: &Budget<'_>) -> Result<Product, QueryError> {
    if let LeafWork::Instant { lookback, wants_time } = &leaf.work {
        return Ok(Product::Column(look(&buffers.samples, lookback, *wants_time, &leaf.grid)));
    }
    buffers.clean.times.clone_from(&buffers.samples.times);
    buffers.clean.values.clone_from(&buffers.samples.values);
    strip_stale(&mut buffers.clean);
    match &leaf.work {
        LeafWork::Range { function, span, parameters } => {
            slide_or_repeat(function, &buffers.clean, span, parameters, &leaf.grid, budget).map(Product::Column)
        }
        LeafWork::Raw { span } => {
            let (from_ms, to_ms) = leaf.times();
            let seen = bounds(&buffers.clean.times, from_ms, to_ms, span.semantics);
            Ok(Product::Samples(Samples {
                times: buffers.clean.times[seen.clone()].to_vec(),
                values: buffers.clean.values[seen].to_vec(),
            }))
        }
        LeafWork::Instant { .. } => unreachable!("instant selectors have returned above"),
    }
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

    fn take(&mut self, labels: &Labels, product: Product, budget: &Budget<'_>) -> Result<(), QueryError> {
        match (self, product) {
            (Self::Columns(all), Product::Column(values)) => {
                let series = Series { labels: labels.clone(), values };
                if !series.is_empty() {
                    budget.hold(series.values.len())?;
                    all.push(series);
                }
            }
            (Self::Fold(fold), Product::Column(values)) => {
                let groups = fold.group_count();
                fold.add(labels, &values);
                budget.hold((fold.group_count() - groups) * values.len())?;
            }
            (Self::Raw(all), Product::Samples(samples)) if !samples.is_empty() => {
                budget.hold(2 * samples.len())?;
                all.push(RawSeries { labels: labels.clone(), samples });
            }
            _ => {}
        }
        Ok(())
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
        let read = |_: &u32, samples: &mut Samples| {
            samples.clear();
            (0..6).for_each(|i| samples.push(i, 0.0));
            Ok(Labels::empty())
        };
        let budget = Budget::new(&limits, &cancel);
        assert!(fill_leaves(&[&leaves[0]], &[1], read, &budget).is_ok());
        assert!(matches!(fill_leaves(&[&leaves[0]], &[2], read, &budget), Err(QueryError::Execution(_))));
    }
}
