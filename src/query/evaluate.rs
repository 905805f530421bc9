//! The nodes above the leaves: every node is evaluated once, for all instants of its grid.
//!
//! Not here: reading (the leaves arrive filled), what the operators and functions do with their columns.
//!
//! Invariant: after a node is evaluated the budget accounts for its result and nothing of its operands.

use super::aggregate::Fold;
use super::calls;
use super::error::QueryError;
use super::grid::Grid;
use super::limits::Budget;
use super::plan::{Call, Node, RankOp, Source};
use super::rank;
use super::select::Filled;
use super::value::{RawSeries, Series, Value, drop_names, is_absent};
use super::window::{Parameters, RangeFunction, Slide, Span, bounds};
use super::{fan_out, matching};
use storage::sample::Samples;

/// An evaluation under way: leaves are taken by the one node that refers to each.
pub(crate) struct Evaluation<'a> {
    leaves: Vec<Option<Filled>>,
    /// Values of the leaves taken so far.
    taken: u64,
    budget: &'a Budget<'a>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(leaves: Vec<Filled>, budget: &'a Budget<'a>) -> Self {
        Self { leaves: leaves.into_iter().map(Some).collect(), taken: 0, budget }
    }

    /// The value of a node on a grid.
    pub(crate) fn node(&mut self, node: &Node, grid: &Grid) -> Result<Value, QueryError> {
        self.budget.check()?;
        let (before, taken) = (self.budget.held(), self.taken);
        let value = self.compute(node, grid)?;
        let values = match &value {
            Value::Scalar(column) => column.len(),
            Value::Vector(series) => series.len() * grid.count,
        };
        // A leaf is in the account since it was filled, until the node that took it is done.
        if !matches!(node, Node::Leaf(_)) {
            self.budget.settle(before.saturating_sub(self.taken - taken));
            self.budget.hold(values)?;
        }
        Ok(value)
    }

    fn compute(&mut self, node: &Node, grid: &Grid) -> Result<Value, QueryError> {
        match node {
            Node::Number(number) => Ok(Value::Scalar(vec![*number; grid.count])),
            Node::Time => Ok(Value::Scalar(grid.times().map(|time_ms| time_ms as f64 / 1000.0).collect())),
            Node::Leaf(leaf) => self.leaf(*leaf),
            Node::Range { function, source, parameters } => self.range(function, source, parameters, grid),
            Node::Negate(inner) => self.negate(inner, grid),
            Node::Operate { operation, matching, left, right } => {
                let (left, right) = (self.node(left, grid)?, self.node(right, grid)?);
                Ok(match (left, right) {
                    (Value::Scalar(a), Value::Scalar(b)) => Value::Scalar(operation.scalars(&a, &b)),
                    (Value::Vector(a), Value::Scalar(b)) => Value::Vector(operation.with_scalar(a, &b, false)?),
                    (Value::Scalar(a), Value::Vector(b)) => Value::Vector(operation.with_scalar(b, &a, true)?),
                    (Value::Vector(a), Value::Vector(b)) => {
                        Value::Vector(matching::operate(*operation, matching, &a, &b, grid.count, self.budget)?)
                    }
                })
            }
            Node::Combine { operator, choice, left, right } => {
                let (left, right) = (self.vector(left, grid)?, self.vector(right, grid)?);
                matching::combine(*operator, choice, left, right, grid.count).map(Value::Vector)
            }
            Node::Fold { op, choice, inner } => {
                let mut fold = Fold::new(*op, choice.clone(), grid.count);
                for series in self.vector(inner, grid)? {
                    fold.add(&series.labels, &series.values);
                }
                Ok(Value::Vector(fold.finish()))
            }
            Node::Rank { op, choice, inner } => match op {
                RankOp::Top { k, bottom } => {
                    let k = self.scalar(k, grid)?;
                    let mut series = self.vector(inner, grid)?;
                    // Which of equal values stay depends on the order, so it must not be that of partitions.
                    series.sort_by(|a, b| a.labels.cmp(&b.labels));
                    self.budget.hold(series.len() * grid.count)?;
                    rank::top(&k, *bottom, choice, series).map(Value::Vector)
                }
                RankOp::Quantile(q) => {
                    let q = self.scalar(q, grid)?;
                    self.warn_of_quantiles(&q);
                    Ok(Value::Vector(rank::quantiles(&q, choice, &self.vector(inner, grid)?)))
                }
                RankOp::CountValues(name) => {
                    rank::count_values(name, choice, &self.vector(inner, grid)?, self.budget).map(Value::Vector)
                }
            },
            Node::Call { function, arguments } => {
                let arguments = arguments.iter().map(|one| self.node(one, grid)).collect::<Result<Vec<_>, _>>()?;
                if let (Call::HistogramQuantile, Some(Value::Scalar(q))) = (function, arguments.first()) {
                    self.warn_of_quantiles(q);
                }
                calls::call(function, arguments, grid, &self.budget.notes)
            }
        }
    }

    fn warn_of_quantiles(&self, column: &[f64]) {
        for &q in column.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.budget.notes.bad_quantile(q);
        }
    }

    fn take(&mut self, leaf: usize) -> Option<Filled> {
        let filled = self.leaves[leaf].take();
        self.taken += filled.as_ref().map_or(0, Filled::held) as u64;
        filled
    }

    fn leaf(&mut self, leaf: usize) -> Result<Value, QueryError> {
        match self.take(leaf) {
            Some(Filled::Columns(series)) => Ok(Value::Vector(series)),
            _ => unreachable!("the planner refers to every leaf once, and to raw leaves only from ranges"),
        }
    }

    fn vector(&mut self, node: &Node, grid: &Grid) -> Result<Vec<Series>, QueryError> {
        match self.node(node, grid)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(_) => Err(QueryError::bad_data("an instant vector is expected here, got a scalar")),
        }
    }

    fn scalar(&mut self, node: &Node, grid: &Grid) -> Result<Vec<f64>, QueryError> {
        match self.node(node, grid)? {
            Value::Scalar(column) => Ok(column),
            Value::Vector(_) => Err(QueryError::bad_data("a scalar is expected here, got an instant vector")),
        }
    }

    fn negate(&mut self, inner: &Node, grid: &Grid) -> Result<Value, QueryError> {
        match self.node(inner, grid)? {
            Value::Scalar(mut column) => {
                column.iter_mut().for_each(|value| *value = -*value);
                Ok(Value::Scalar(column))
            }
            Value::Vector(mut series) => {
                let values = series.iter_mut().flat_map(|one| &mut one.values);
                values.filter(|value| !is_absent(**value)).for_each(|value| *value = -*value);
                drop_names(series, false).map(Value::Vector)
            }
        }
    }

    fn range(
        &mut self,
        function: &RangeFunction,
        source: &Source,
        parameters: &[Node],
        grid: &Grid,
    ) -> Result<Value, QueryError> {
        let mut columns = Vec::with_capacity(2);
        for parameter in parameters {
            columns.push(self.scalar(parameter, grid)?);
        }
        if function.name == "quantile_over_time" {
            columns.iter().for_each(|column| self.warn_of_quantiles(column));
        }
        columns.resize(2, Vec::new());
        let parameters = Parameters::Columns([columns.swap_remove(0), columns.swap_remove(0)]);
        let (series, span, taken_bytes) = self.samples(source)?;
        let budget = self.budget;
        let slid = fan_out::map(&series, fan_out::RUN, Vec::new, |drops, one| {
            budget.check()?;
            budget.hold(grid.count)?;
            let mut values = Vec::with_capacity(grid.count);
            let slide = Slide { function, span: &span, parameters: &parameters, grid };
            slide.run(&one.samples, drops, &mut values, budget)?;
            Ok(Series { labels: one.labels.clone(), values })
        })?;
        drop(series);
        budget.give_bytes(taken_bytes);
        let present: Vec<Series> = slid.into_iter().filter(|one| !one.is_empty()).collect();
        if function.keeps_name { Ok(Value::Vector(present)) } else { drop_names(present, false).map(Value::Vector) }
    }

    /// The samples of a range vector, where a window over them looks, and what room they take besides the values that
    /// are in the account.
    fn samples(&mut self, source: &Source) -> Result<(Vec<RawSeries>, Span, u64), QueryError> {
        match source {
            Source::Leaf { leaf, span } => match self.take(*leaf) {
                Some(Filled::Raw(series)) => Ok((series, *span, 0)),
                _ => unreachable!("the planner makes the leaves of ranges raw and refers to each once"),
            },
            Source::Subquery { grid: None, span, .. } => Ok((Vec::new(), *span, 0)),
            Source::Subquery { inner, grid: Some(grid), span } => {
                let series = match self.node(inner, grid)? {
                    Value::Scalar(values) => vec![Series { labels: super::labels::Labels::empty(), values }],
                    Value::Vector(series) => series,
                };
                // A time and a value for each, beside the columns they come from.
                let taken_bytes = (series.len() * grid.count * size_of::<(i64, f64)>()) as u64;
                self.budget.take_bytes(taken_bytes)?;
                Ok((series.into_iter().map(|one| to_samples(one, grid)).collect(), *span, taken_bytes))
            }
        }
    }

    /// The samples of a range vector at one instant; what an instant query of a range selector answers.
    pub(crate) fn matrix(&mut self, source: &Source, time_ms: i64) -> Result<Vec<RawSeries>, QueryError> {
        let (mut series, span, _) = self.samples(source)?;
        let end_ms = span.shift.look(time_ms);
        for one in &mut series {
            let seen = bounds(&one.samples.times, end_ms.saturating_sub(span.range_ms), end_ms, span.semantics);
            one.samples.times = one.samples.times[seen.clone()].to_vec();
            one.samples.values = one.samples.values[seen].to_vec();
        }
        series.retain(|one| !one.samples.is_empty());
        Ok(series)
    }
}

fn to_samples(series: Series, grid: &Grid) -> RawSeries {
    let mut samples = Samples::default();
    for (time_ms, &value) in grid.times().zip(&series.values).filter(|(_, value)| !is_absent(**value)) {
        samples.push(time_ms, value);
    }
    RawSeries { labels: series.labels, samples }
}
