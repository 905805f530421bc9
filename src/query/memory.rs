//! Series in memory in place of a store, so that tests evaluate expressions on columns they can work out by hand.
//!
//! Not here: anything of the store's own behaviour.

use super::answer::{Answer, RangeTimes, finish_instant, finish_range, range_expression, range_grid};
use super::error::QueryError;
use super::evaluate::Evaluation;
use super::grid::Grid;
use super::labels::Labels;
use super::limits::{Budget, Cancel, QueryLimits, Semantics};
use super::notes::Notes;
use super::plan::Plan;
use super::select::{Each, Filled, fill_leaves};
use super::window::bounds;
use super::{parse, planner};
use std::cell::RefCell;
use storage::Pieces;
use storage::sample::Samples;

/// A few series.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) series: Vec<(Labels, Samples)>,
    pub(crate) limits: QueryLimits,
    /// Those of the newest answer.
    pub(crate) notes: RefCell<Notes>,
}

impl Memory {
    /// Adds a series with one sample every `step_ms` from time 0; `None` leaves a gap.
    pub(crate) fn add(&mut self, labels: &[(&str, &str)], step_ms: i64, values: &[Option<f64>]) {
        let mut samples = Samples::default();
        for (i, value) in values.iter().enumerate() {
            if let Some(value) = value {
                samples.push(i as i64 * step_ms, *value);
            }
        }
        self.series.push((Labels::from_pairs(labels.iter().copied()), samples));
    }

    pub(crate) fn instant(&self, expression: &str, time_ms: i64) -> Result<Answer, QueryError> {
        let parsed = parse::expression(expression, &self.limits)?;
        let plan = planner::plan(&parsed, Grid::instant(time_ms), time_ms, &self.limits)?;
        let cancel = Cancel::default();
        let budget = Budget::new(&self.limits, &cancel);
        let answer = finish_instant(&plan, Evaluation::new(self.fill(&plan, &budget)?, &budget));
        self.notes.replace(budget.notes.take());
        answer
    }

    pub(crate) fn range(&self, expression: &str, times: RangeTimes) -> Result<Answer, QueryError> {
        let parsed = range_expression(expression, &self.limits)?;
        let plan = planner::plan(&parsed, range_grid(times, &self.limits)?, times.end_ms, &self.limits)?;
        let cancel = Cancel::default();
        let budget = Budget::new(&self.limits, &cancel);
        let answer = finish_range(&plan, Evaluation::new(self.fill(&plan, &budget)?, &budget));
        self.notes.replace(budget.notes.take());
        answer
    }

    fn fill(&self, plan: &Plan, budget: &Budget<'_>) -> Result<Vec<Filled>, QueryError> {
        let mut filled = Vec::new();
        for leaf in &plan.leaves {
            let (from_ms, to_ms) = leaf.times();
            let chosen: Vec<&(Labels, Samples)> = self
                .series
                .iter()
                .filter(|(labels, _)| leaf.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name))))
                .collect();
            let read = |one: &&(Labels, Samples), each: &mut Each<'_>| {
                let wanted = bounds(&one.1.times, from_ms, to_ms, Semantics::Closed);
                let (times, values) = (one.1.times[wanted.clone()].to_vec(), one.1.values[wanted].to_vec());
                each(&one.0, &Pieces { chunks: &[], loose: &Samples { times, values } })
            };
            filled.append(&mut fill_leaves(&[leaf], (from_ms, to_ms), &chosen, read, budget)?);
        }
        Ok(filled)
    }
}
