//! From expression to answer: the two kinds of query, and the form in which their results leave this module.
//!
//! Not here: JSON (see `api::prometheus`).

use super::error::QueryError;
use super::evaluate::Evaluation;
use super::grid::Grid;
use super::labels::Labels;
use super::limits::{Budget, Cancel, QueryLimits};
use super::notes::Notes;
use super::plan::{Plan, Root};
use super::room::Share;
pub use super::value::is_absent;
use super::value::{RawSeries, Series, Value};
use super::{parse, planner, select};
use promql_parser::parser::Expr;
use promql_parser::parser::value::ValueType;
use storage::Store;
use storage::sample::Samples;

/// The largest distance of a query's times from the epoch; 73 million years.
const TIME_MS_MAX: u64 = i64::MAX as u64 / 4;

/// The result of a query.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A text, with the time of the query in milliseconds.
    Text(i64, String),
    /// A number, with the time of the query in milliseconds.
    Scalar(i64, f64),
    /// One value per series at one time; the order matters only after a `sort`, `topk` or `bottomk`.
    Vector(i64, Vec<(Labels, f64)>),
    /// Samples of series as they are stored, in the order of their labels.
    Matrix(Vec<AnswerSeries>),
    /// What a range query found: values of series at common instants.
    Columns(AnswerColumns),
}

/// A result and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The result.
    pub answer: Answer,
    /// Warnings and remarks.
    pub notes: Notes,
}

/// Series in the order of their labels, each with a value or none at every one of the same instants.
#[derive(Debug, Clone)]
pub struct AnswerColumns {
    /// The instants in milliseconds, ascending.
    pub times_ms: Vec<i64>,
    series: Vec<Series>,
}

impl AnswerColumns {
    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Takes one series after the other: its labels, and its value at every instant, [`is_absent`] where it has none.
    pub fn into_series(self) -> impl Iterator<Item = (Labels, Vec<f64>)> {
        self.series.into_iter().map(|one| (one.labels, one.values))
    }
}

/// One series of a matrix.
#[derive(Debug, Clone)]
pub struct AnswerSeries {
    /// The labels.
    pub labels: Labels,
    /// The samples, ascending in time, never none.
    pub samples: Samples,
}

/// The instants of a range query, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RangeTimes {
    /// The first instant.
    pub start_ms: i64,
    /// No instant is later than this.
    pub end_ms: i64,
    /// From one instant to the next.
    pub step_ms: i64,
}

/// Most series that a small query reads, and most instants of all its columns together.
const SMALL_SERIES: usize = 16;
const SMALL_VALUES: usize = 16_384;
/// The longest time over which a small query reads: samples of a second are 22 thousand then.
const SMALL_SPAN_MS: i64 = 6 * 3_600_000;

/// A query that is understood, and whose series have been looked up; nothing of them has been read.
#[derive(Debug)]
pub struct Prepared {
    plan: Plan,
    found: Vec<select::Found>,
    is_range: bool,
}

/// Prepares the evaluation of an expression at one instant, in milliseconds since the epoch.
///
/// # Errors
/// When the expression cannot be understood, chooses too many series, or was cancelled.
pub fn instant(
    store: &Store,
    expression: &str,
    time_ms: i64,
    limits: &QueryLimits,
    bounds: (&Cancel, &Share),
) -> Result<Prepared, QueryError> {
    refuse_far_times(&[time_ms])?;
    let plan = planner::plan(&parse::expression(expression, limits)?, Grid::instant(time_ms), time_ms, limits)?;
    prepared(plan, store, limits, bounds, false)
}

/// Prepares the evaluation of an expression at every instant of a range.
///
/// # Errors
/// As [`instant`], and when there are too many instants or none.
pub fn range(
    store: &Store,
    expression: &str,
    times: RangeTimes,
    limits: &QueryLimits,
    bounds: (&Cancel, &Share),
) -> Result<Prepared, QueryError> {
    let parsed = range_expression(expression, limits)?;
    let plan = planner::plan(&parsed, range_grid(times, limits)?, times.end_ms, limits)?;
    prepared(plan, store, limits, bounds, true)
}

/// A number that the series which any selector of an expression chooses do not exceed: how far it may reach, known before
/// anything is looked up.
///
/// # Errors
/// When it is not understood.
pub fn reach(store: &Store, expression: &str, limits: &QueryLimits) -> Result<u64, QueryError> {
    let parsed = parse::expression(expression, limits)?;
    let plan = planner::plan(&parsed, Grid::instant(0), 0, limits)?;
    Ok(plan.leaves.iter().map(|leaf| store.at_most(&leaf.matchers)).max().unwrap_or(0))
}

/// Looks whether an expression may stand in a rule: it is understood, and gives numbers at an instant.
///
/// # Errors
/// When it is not understood, or gives a text or a range of samples.
pub fn check_rule(expression: &str, limits: &QueryLimits) -> Result<(), QueryError> {
    let parsed = parse::expression(expression, limits)?;
    let name = match parsed.value_type() {
        ValueType::String => "a string",
        ValueType::Matrix => "a range vector",
        ValueType::Scalar | ValueType::Vector => {
            return planner::plan(&parsed, Grid::instant(0), 0, limits).map(drop);
        }
    };
    Err(QueryError::BadData(format!("the expression gives {name}, a rule needs an instant vector or a number")))
}

fn prepared(
    plan: Plan,
    store: &Store,
    limits: &QueryLimits,
    (cancel, share): (&Cancel, &Share),
    is_range: bool,
) -> Result<Prepared, QueryError> {
    let found = select::find(&plan, store, &Budget::sharing(limits, cancel, share))?;
    Ok(Prepared { plan, found, is_range })
}

impl Prepared {
    /// Whether evaluating it, and writing its answer, takes less than handing it to another thread is worth: well below a
    /// millisecond.
    pub fn is_small(&self) -> bool {
        let series: usize = self.found.iter().map(select::Found::series).sum();
        let instants: usize = self.plan.leaves.iter().map(|leaf| leaf.grid.count).sum();
        let is_read = !self.found.iter().any(select::Found::is_computed);
        let is_plain = is_read && !self.plan.has_subquery && !self.plan.leaves.is_empty();
        let is_short = self.found.iter().all(|found| found.span_ms() <= SMALL_SPAN_MS);
        is_plain && is_short && series <= SMALL_SERIES && instants.saturating_mul(series.max(1)) <= SMALL_VALUES
    }

    /// No sample later than this, in milliseconds, has a part in the answer.
    pub(super) fn until_ms(&self) -> i64 {
        self.plan.leaves.iter().map(|leaf| leaf.times().1).max().unwrap_or(i64::MIN)
    }

    /// Reads and evaluates. The answer takes up what `share` has taken.
    ///
    /// # Errors
    /// When the data and the expression do not go together, a limit is met, or the query was cancelled.
    pub fn evaluate(
        self,
        store: &Store,
        limits: &QueryLimits,
        (cancel, share): (&Cancel, &Share),
    ) -> Result<Answered, QueryError> {
        let budget = Budget::sharing(limits, cancel, share);
        let leaves = select::fill(&self.plan, store, self.found, &budget)?;
        let evaluation = Evaluation::new(leaves, &budget);
        let answer = match self.is_range {
            true => finish_range(&self.plan, evaluation)?,
            false => finish_instant(&self.plan, evaluation)?,
        };
        Ok(Answered { answer, notes: budget.notes.take() })
    }
}

/// Refuses times so far away that differences between them, offsets included, would not fit an `i64`.
fn refuse_far_times(times_ms: &[i64]) -> Result<(), QueryError> {
    match times_ms.iter().find(|time_ms| time_ms.unsigned_abs() > TIME_MS_MAX) {
        Some(far_ms) => Err(QueryError::BadData(format!("the time {far_ms} ms is out of range"))),
        None => Ok(()),
    }
}

pub(super) fn range_expression(text: &str, limits: &QueryLimits) -> Result<Expr, QueryError> {
    let expression = parse::expression(text, limits)?;
    let name = match expression.value_type() {
        ValueType::String => "string",
        ValueType::Matrix => "range vector",
        ValueType::Scalar | ValueType::Vector => return Ok(expression),
    };
    Err(QueryError::BadData(format!(
        "invalid expression type {name:?} for range query, must be scalar or instant vector"
    )))
}

pub(super) fn range_grid(times: RangeTimes, limits: &QueryLimits) -> Result<Grid, QueryError> {
    let RangeTimes { start_ms, end_ms, step_ms } = times;
    refuse_far_times(&[start_ms, end_ms])?;
    if end_ms < start_ms {
        return Err(QueryError::bad_data("end timestamp must not be before start time"));
    }
    if step_ms <= 0 {
        return Err(QueryError::bad_data("the step must be larger than zero"));
    }
    let max = limits.max_points;
    if end_ms.saturating_sub(start_ms) / step_ms > max as i64 {
        return Err(QueryError::BadData(format!(
            "exceeded maximum resolution of {max} points per timeseries; try a larger step, or raise query.max_points"
        )));
    }
    Ok(Grid::range(start_ms, end_ms, step_ms))
}

pub(super) fn finish_instant(plan: &Plan, mut evaluation: Evaluation<'_>) -> Result<Answer, QueryError> {
    let time_ms = plan.grid.start_ms;
    Ok(match &plan.root {
        Root::Text(text) => Answer::Text(time_ms, text.clone()),
        Root::Matrix(source) => Answer::Matrix(sorted(evaluation.matrix(source, time_ms)?)),
        Root::Scalar(node) | Root::Vector(node) => match evaluation.node(node, &plan.grid)? {
            Value::Scalar(column) => Answer::Scalar(time_ms, column[0]),
            Value::Vector(series) => {
                let present = series.into_iter().filter(|one| !is_absent(one.values[0]));
                Answer::Vector(time_ms, present.map(|one| (one.labels, one.values[0])).collect())
            }
        },
    })
}

pub(super) fn finish_range(plan: &Plan, mut evaluation: Evaluation<'_>) -> Result<Answer, QueryError> {
    let series = match &plan.root {
        Root::Text(_) | Root::Matrix(_) => return Err(QueryError::bad_data("not an expression for a range query")),
        Root::Scalar(node) | Root::Vector(node) => match evaluation.node(node, &plan.grid)? {
            Value::Scalar(values) => vec![Series { labels: Labels::empty(), values }],
            Value::Vector(series) => series,
        },
    };
    let mut series = series;
    series.retain(|one| !one.is_empty());
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Answer::Columns(AnswerColumns { times_ms: plan.grid.times().collect(), series }))
}

fn sorted(series: Vec<RawSeries>) -> Vec<AnswerSeries> {
    let mut series: Vec<AnswerSeries> =
        series.into_iter().map(|one| AnswerSeries { labels: one.labels, samples: one.samples }).collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}
