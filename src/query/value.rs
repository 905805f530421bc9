//! What an expression evaluates to: columns of numbers, one per series, one number per instant of the grid.
//!
//! An instant at which a series has no value holds [`ABSENT`], the staleness marker: no stored value that survives
//! selection has its bits, and no arithmetic can produce them, because every operation quiets a NaN. So a column costs
//! eight bytes an instant and no bitmap.
//!
//! Not here: how columns are computed.
//!
//! Invariants: every column of a value has the grid's length; scalars are never absent.

use super::error::QueryError;
use super::labels::Labels;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use storage::sample::{STALE_NAN_BITS, Samples};

/// The value of a series at an instant at which it has none.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether a column holds no value here; only ever one bit pattern, so an ordinary NaN is a value.
#[inline]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One series of a result: labels and a column.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<f64>,
}

impl Series {
    /// Whether the series has no value at any instant.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(|&v| is_absent(v))
    }
}

/// One series of a range vector: labels and samples, stale markers removed.
#[derive(Debug, Clone)]
pub(crate) struct RawSeries {
    pub(crate) labels: Labels,
    pub(crate) samples: Samples,
}

/// The value of an expression over a grid.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// One number per instant.
    Scalar(Vec<f64>),
    /// Series in a meaningful order: that of the store, or of a `sort`.
    Vector(Vec<Series>),
}

/// Makes label sets unique after labels were changed: series that never meet at an instant become one, others fail.
///
/// `joined` is false where Prometheus refuses equal label sets even if they never meet (functions over ranges).
pub(crate) fn unite(series: Vec<Series>, joined: bool) -> Result<Vec<Series>, QueryError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut united: Vec<Series> = Vec::with_capacity(series.len());
    for one in series {
        if one.is_empty() {
            continue;
        }
        match places.entry(one.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(united.len());
                united.push(one);
            }
            Entry::Occupied(place) if joined => overlay(&mut united[*place.get()], &one)?,
            Entry::Occupied(_) => return Err(duplicate()),
        }
    }
    Ok(united)
}

fn overlay(under: &mut Series, over: &Series) -> Result<(), QueryError> {
    for (low, &high) in under.values.iter_mut().zip(&over.values) {
        if is_absent(*low) {
            *low = high;
        } else if !is_absent(high) {
            return Err(duplicate());
        }
    }
    Ok(())
}

/// In the words of Prometheus.
fn duplicate() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// Drops the metric's name from every series.
///
/// Label sets stay unique without looking when all series share one name, which is the usual case.
pub(crate) fn drop_names(mut series: Vec<Series>, joined: bool) -> Result<Vec<Series>, QueryError> {
    let one_name = match series.first() {
        Some(first) => {
            let name = first.labels.get(storage::series::NAME_LABEL);
            series.iter().all(|s| s.labels.get(storage::series::NAME_LABEL) == name)
        }
        None => true,
    };
    series.iter_mut().for_each(|s| s.labels = s.labels.without_name());
    if one_name { Ok(series) } else { unite(series, joined) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: &[(&str, &str)], values: &[f64]) -> Series {
        Series { labels: Labels::from_pairs(labels.iter().copied()), values: values.to_vec() }
    }

    #[test]
    fn arithmetic_never_produces_the_absent_bits() {
        for value in [ABSENT + 1.0, -ABSENT, ABSENT * 0.0, f64::NAN, f64::INFINITY - f64::INFINITY, ABSENT.sqrt()] {
            assert!(!is_absent(value));
        }
        assert!(is_absent(ABSENT));
    }

    #[test]
    fn equal_labels_join_only_where_they_never_meet() {
        let a = series(&[("__name__", "a"), ("x", "1")], &[1.0, ABSENT]);
        let b = series(&[("__name__", "b"), ("x", "1")], &[ABSENT, 2.0]);
        let joined = drop_names(vec![a.clone(), b.clone()], true).unwrap();
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].values, [1.0, 2.0]);
        assert!(drop_names(vec![a.clone(), b], false).is_err());
        let c = series(&[("__name__", "c"), ("x", "1")], &[5.0, ABSENT]);
        assert!(drop_names(vec![a, c], true).unwrap_err().to_string().contains("same labelset"));
    }

    #[test]
    fn series_without_any_value_take_part_in_no_conflict() {
        let a = series(&[("__name__", "a")], &[1.0]);
        let b = series(&[("__name__", "b")], &[ABSENT]);
        assert_eq!(drop_names(vec![a, b], false).unwrap().len(), 1);
    }
}
