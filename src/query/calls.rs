//! Functions of instant vectors and scalars, applied to columns.
//!
//! Not here: functions over ranges (see `window`), the arithmetic of single numbers (see `functions`).
//!
//! Invariant: the planner has checked how many arguments there are and of which type, so a mismatch is unreachable.

use super::error::QueryError;
use super::functions::{histogram, round, sort};
use super::grid::Grid;
use super::labels::Labels;
use super::notes::Notebook;
use super::number;
use super::plan::Call;
use super::value::{ABSENT, Series, Value, drop_names, is_absent, unite};

/// The value of a call.
pub(crate) fn call(function: &Call, arguments: Vec<Value>, grid: &Grid, notes: &Notebook) -> Result<Value, QueryError> {
    let mut arguments = Arguments(arguments.into_iter());
    let vector = match function {
        Call::Vector => vec![Series { labels: Labels::empty(), values: arguments.scalar() }],
        Call::Scalar => return Ok(Value::Scalar(only_values(&arguments.vector(), grid.count))),
        Call::Map(map) => each(arguments.vector(), |_, value| map(value))?,
        Call::Timestamp => each(arguments.vector(), |step, _| grid.time(step) as f64 / 1000.0)?,
        Call::Round => {
            let vector = arguments.vector();
            match arguments.optional_scalar() {
                Some(nearest) => each(vector, |step, value| round(value, nearest[step]))?,
                None => each(vector, |_, value| round(value, 1.0))?,
            }
        }
        Call::Clamp => {
            let (vector, low, high) = (arguments.vector(), arguments.scalar(), arguments.scalar());
            let clamp = |step: usize, value| {
                if high[step] < low[step] { ABSENT } else { number::max(low[step], number::min(high[step], value)) }
            };
            each(vector, clamp)?
        }
        Call::ClampMin => {
            let (vector, low) = (arguments.vector(), arguments.scalar());
            each(vector, |step, value| number::max(low[step], value))?
        }
        Call::ClampMax => {
            let (vector, high) = (arguments.vector(), arguments.scalar());
            each(vector, |step, value| number::min(high[step], value))?
        }
        Call::Absent(labels) => vec![absent(labels, &arguments.vector(), grid.count)],
        Call::HistogramQuantile => {
            let q = arguments.scalar();
            histogram::quantiles(&q, &arguments.vector(), notes)
        }
        Call::Replace(replace) => relabelled(arguments.vector(), |labels| replace.apply(labels))?,
        Call::Join(join) => relabelled(arguments.vector(), |labels| join.apply(labels))?,
        Call::Sort { descending } => {
            let mut vector = arguments.vector();
            sort::by_value(&mut vector, *descending);
            vector
        }
        Call::SortByLabel { names, descending } => {
            let mut vector = arguments.vector();
            sort::by_labels(&mut vector, names, *descending);
            vector
        }
    };
    Ok(Value::Vector(vector))
}

/// Arguments in order, each of the type that the function wants.
struct Arguments(std::vec::IntoIter<Value>);

impl Arguments {
    fn vector(&mut self) -> Vec<Series> {
        match self.0.next() {
            Some(Value::Vector(series)) => series,
            _ => unreachable!("the planner has checked that this argument is an instant vector"),
        }
    }

    fn scalar(&mut self) -> Vec<f64> {
        self.optional_scalar().expect("the planner has checked that this argument exists")
    }

    fn optional_scalar(&mut self) -> Option<Vec<f64>> {
        self.0.next().map(|value| match value {
            Value::Scalar(column) => column,
            Value::Vector(_) => unreachable!("the planner has checked that this argument is a scalar"),
        })
    }
}

/// Computes every value anew and drops the metric's name.
fn each(mut vector: Vec<Series>, compute: impl Fn(usize, f64) -> f64) -> Result<Vec<Series>, QueryError> {
    for series in &mut vector {
        for (step, value) in series.values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
            *value = compute(step, *value);
        }
    }
    drop_names(vector, true)
}

fn relabelled(mut vector: Vec<Series>, relabel: impl Fn(&Labels) -> Labels) -> Result<Vec<Series>, QueryError> {
    vector.iter_mut().for_each(|series| series.labels = relabel(&series.labels));
    unite(vector, true)
}

/// The value where exactly one series has one, NaN elsewhere.
fn only_values(vector: &[Series], steps: usize) -> Vec<f64> {
    let mut column = vec![f64::NAN; steps];
    let mut counts = vec![0usize; steps];
    for series in vector {
        for (step, &value) in series.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
            counts[step] += 1;
            column[step] = if counts[step] == 1 { value } else { f64::NAN };
        }
    }
    column
}

/// 1 where no series has a value.
fn absent(labels: &Labels, vector: &[Series], steps: usize) -> Series {
    let mut values = vec![1.0; steps];
    for series in vector {
        for (value, _) in values.iter_mut().zip(&series.values).filter(|(_, found)| !is_absent(**found)) {
            *value = ABSENT;
        }
    }
    Series { labels: labels.clone(), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(columns: &[&[f64]]) -> Value {
        let one = |(i, values): (usize, &&[f64])| Series {
            labels: Labels::from_pairs([("__name__", "m"), ("x", ["a", "b", "c"][i])]),
            values: values.to_vec(),
        };
        Value::Vector(columns.iter().enumerate().map(one).collect())
    }

    fn run(function: &Call, arguments: Vec<Value>) -> Vec<Series> {
        match call(function, arguments, &Grid::range(0, 1000, 1000), &Notebook::default()).unwrap() {
            Value::Vector(series) => series,
            Value::Scalar(values) => vec![Series { labels: Labels::empty(), values }],
        }
    }

    #[test]
    fn clamping_between_crossed_limits_leaves_nothing() {
        let limits = vec![Value::Scalar(vec![2.0, 9.0]), Value::Scalar(vec![3.0, 3.0])];
        let clamped = run(&Call::Clamp, [vec![vector(&[&[7.0, 7.0]])], limits].concat());
        assert_eq!(clamped[0].values[0], 3.0);
        assert!(is_absent(clamped[0].values[1]));
        assert_eq!(clamped[0].labels, Labels::from_pairs([("x", "a")]));
    }

    #[test]
    fn a_scalar_needs_exactly_one_series() {
        let values = &run(&Call::Scalar, vec![vector(&[&[1.0, 2.0], &[ABSENT, 3.0]])])[0].values;
        assert_eq!(values[0], 1.0);
        assert!(values[1].is_nan() && !is_absent(values[1]));
        assert!(run(&Call::Scalar, vec![vector(&[])])[0].values[0].is_nan());
    }

    #[test]
    fn absence_is_one_where_nothing_is() {
        let found = run(&Call::Absent(Labels::empty()), vec![vector(&[&[5.0, ABSENT]])]);
        assert!(is_absent(found[0].values[0]));
        assert_eq!(found[0].values[1], 1.0);
    }

    #[test]
    fn timestamps_of_computed_values_are_the_instants() {
        assert_eq!(run(&Call::Timestamp, vec![vector(&[&[5.0, 6.0]])])[0].values, [0.0, 1.0]);
    }

    #[test]
    fn rounding_takes_an_optional_multiple() {
        assert_eq!(run(&Call::Round, vec![vector(&[&[1.4, 2.5]])])[0].values, [1.0, 3.0]);
        let nearest = Value::Scalar(vec![5.0, 0.5]);
        assert_eq!(run(&Call::Round, vec![vector(&[&[7.6, 2.3]]), nearest])[0].values, [10.0, 2.5]);
    }
}
