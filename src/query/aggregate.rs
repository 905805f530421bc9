//! Aggregation over series that needs one pass: sum, mean, count, extremes, deviations, instant by instant.
//!
//! Cost sketch: choosing the group of a series costs about 200 ns; adding a column costs one pass over it, 1-2 ns an
//! instant. A fold takes series one by one, so that a selector can feed it without all its columns being in memory.
//!
//! Not here: operators that must see all values of a group at once (see `rank`).
//!
//! Invariant: series are added in the order of the input; sums are plain, without carried errors, as in Prometheus 2.42.

use super::labels::{LabelChoice, Labels};
use super::value::{ABSENT, Series, is_absent};
use std::collections::HashMap;

/// What a fold computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoldOp {
    Sum,
    Avg,
    Count,
    Group,
    Min,
    Max,
    Stddev,
    Stdvar,
}

/// Groups of an aggregation under way.
#[derive(Debug)]
pub(crate) struct Fold {
    op: FoldOp,
    choice: LabelChoice,
    steps: usize,
    places: HashMap<Labels, usize>,
    groups: Vec<Group>,
    key: Vec<u8>,
}

/// Columns of one group; those an operator does not need stay empty.
#[derive(Debug)]
struct Group {
    labels: Labels,
    values: Vec<f64>,
    counts: Vec<f64>,
    means: Vec<f64>,
}

impl Fold {
    pub(crate) fn new(op: FoldOp, choice: LabelChoice, steps: usize) -> Self {
        Self { op, choice, steps, places: HashMap::new(), groups: Vec::new(), key: Vec::new() }
    }

    /// Adds one series to its group.
    pub(crate) fn add(&mut self, labels: &Labels, column: &[f64]) {
        self.choice.apply(labels, &mut self.key);
        let place = match self.places.get(self.key.as_slice()) {
            Some(&place) => place,
            None => self.found_group(),
        };
        self.groups[place].add(self.op, column);
    }

    fn found_group(&mut self) -> usize {
        let labels = Labels::from_bytes(&self.key);
        let column = |wanted: bool, value: f64| if wanted { vec![value; self.steps] } else { Vec::new() };
        let deviates = matches!(self.op, FoldOp::Stddev | FoldOp::Stdvar);
        self.groups.push(Group {
            labels: labels.clone(),
            values: column(true, ABSENT),
            counts: column(deviates || self.op == FoldOp::Avg, 0.0),
            means: column(deviates, 0.0),
        });
        self.places.insert(labels, self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// Adds what another fold of the same kind has gathered, as if its series had been added after these.
    pub(crate) fn absorb(&mut self, other: Self) {
        for group in other.groups {
            match self.places.get(group.labels.as_bytes()) {
                Some(&place) => self.groups[place].absorb(self.op, &group),
                None => {
                    self.places.insert(group.labels.clone(), self.groups.len());
                    self.groups.push(group);
                }
            }
        }
    }

    /// How many instants a column has.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// How many groups there are so far.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// One series per group, in order of first appearance; groups without any value are left out.
    pub(crate) fn finish(self) -> Vec<Series> {
        let op = self.op;
        let series = self.groups.into_iter().map(|group| group.finish(op));
        series.filter(|series| !series.is_empty()).collect()
    }
}

impl Group {
    fn add(&mut self, op: FoldOp, column: &[f64]) {
        match op {
            FoldOp::Sum => self.merge(column, |sum, value| sum + value),
            FoldOp::Min => self.merge(column, |least, v| if least > v || least.is_nan() { v } else { least }),
            FoldOp::Max => self.merge(column, |most, v| if most < v || most.is_nan() { v } else { most }),
            FoldOp::Count => self.count(column, |count| count + 1.0),
            FoldOp::Group => self.count(column, |one| one),
            FoldOp::Avg => self.average(column),
            FoldOp::Stddev | FoldOp::Stdvar => self.deviate(column),
        }
    }

    /// Joins the columns of two parts of one group.
    fn absorb(&mut self, op: FoldOp, other: &Self) {
        match op {
            FoldOp::Sum | FoldOp::Min | FoldOp::Max | FoldOp::Group => self.add(op, &other.values),
            FoldOp::Count => self.merge(&other.values, |count, more| count + more),
            FoldOp::Avg => {
                let state = self.values.iter_mut().zip(&mut self.counts);
                for ((mean, count), (&more, &weight)) in state.zip(other.values.iter().zip(&other.counts)) {
                    (*mean, *count) = joined_mean((*mean, *count), (more, weight));
                }
            }
            FoldOp::Stddev | FoldOp::Stdvar => {
                for i in 0..self.values.len() {
                    let (count, weight) = (self.counts[i], other.counts[i]);
                    if count == 0.0 {
                        self.values[i] = other.values[i];
                    } else if weight > 0.0 {
                        // Chan, Golub and LeVeque: the squares of both parts and of the distance of their means.
                        let delta = other.means[i] - self.means[i];
                        let between = delta * delta * (count * weight / (count + weight));
                        // One after the other, infinity would have been taken from infinity.
                        self.values[i] += other.values[i] + if delta.is_finite() { between } else { f64::NAN };
                    }
                    (self.means[i], self.counts[i]) = joined_mean((self.means[i], count), (other.means[i], weight));
                }
            }
        }
    }

    #[inline]
    fn merge(&mut self, column: &[f64], merge: impl Fn(f64, f64) -> f64) {
        for (held, &value) in self.values.iter_mut().zip(column) {
            if !is_absent(value) {
                *held = if is_absent(*held) { value } else { merge(*held, value) };
            }
        }
    }

    #[inline]
    fn count(&mut self, column: &[f64], next: impl Fn(f64) -> f64) {
        for (held, &value) in self.values.iter_mut().zip(column) {
            if !is_absent(value) {
                *held = if is_absent(*held) { 1.0 } else { next(*held) };
            }
        }
    }

    /// A running mean: no intermediate sum can overflow, and an infinite mean stays what it is.
    fn average(&mut self, column: &[f64]) {
        for ((mean, count), &value) in self.values.iter_mut().zip(&mut self.counts).zip(column) {
            if is_absent(value) {
                continue;
            }
            *count += 1.0;
            if *count == 1.0 {
                *mean = value;
            } else if mean.is_infinite() && (value.is_finite() || *mean == value) {
                continue;
            } else {
                *mean += value / *count - *mean / *count;
            }
        }
    }

    fn deviate(&mut self, column: &[f64]) {
        let state = self.values.iter_mut().zip(&mut self.counts).zip(&mut self.means);
        for (((squares, count), mean), &value) in state.zip(column) {
            if is_absent(value) {
                continue;
            }
            *count += 1.0;
            if *count == 1.0 {
                *squares = 0.0;
                *mean = value;
            } else {
                let delta = value - *mean;
                *mean += delta / *count;
                *squares += delta * (value - *mean);
            }
        }
    }

    fn finish(mut self, op: FoldOp) -> Series {
        for (value, count) in self.values.iter_mut().zip(&self.counts).filter(|(value, _)| !is_absent(**value)) {
            match op {
                FoldOp::Stdvar => *value /= count,
                FoldOp::Stddev => *value = (*value / count).sqrt(),
                _ => {}
            }
        }
        Series { labels: self.labels, values: self.values }
    }
}

/// The mean of two parts and how many values it has; without overflow, and infinite where a part is.
fn joined_mean((mean, count): (f64, f64), (more, weight): (f64, f64)) -> (f64, f64) {
    let total = count + weight;
    if weight == 0.0 {
        (mean, count)
    } else if count == 0.0 {
        (more, weight)
    } else if mean.is_infinite() || more.is_infinite() {
        // Opposite infinities and NaN make NaN, anything finite changes nothing.
        (mean + more, total)
    } else {
        (mean + (more / total - mean / total) * weight, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of the groups of three series, `a` twice and `b` once, each with two instants.
    fn folded(op: FoldOp) -> Vec<(String, Vec<f64>)> {
        let mut fold = Fold::new(op, LabelChoice::only(vec!["x".into()]), 2);
        for (x, y, column) in [("a", "1", [1.0, ABSENT]), ("b", "1", [7.0, 8.0]), ("a", "2", [5.0, ABSENT])] {
            fold.add(&Labels::from_pairs([("__name__", "m"), ("x", x), ("y", y)]), &column);
        }
        fold.finish().into_iter().map(|s| (s.labels.to_string(), s.values)).collect()
    }

    #[test]
    fn every_operator_sees_its_group_only() {
        for (op, a, b) in [
            (FoldOp::Sum, 6.0, 7.0),
            (FoldOp::Avg, 3.0, 7.0),
            (FoldOp::Count, 2.0, 1.0),
            (FoldOp::Group, 1.0, 1.0),
            (FoldOp::Min, 1.0, 7.0),
            (FoldOp::Max, 5.0, 7.0),
            (FoldOp::Stdvar, 4.0, 0.0),
            (FoldOp::Stddev, 2.0, 0.0),
        ] {
            let groups = folded(op);
            assert_eq!((groups[0].0.as_str(), groups[0].1[0]), ("{x=\"a\"}", a), "{op:?}");
            assert_eq!((groups[1].0.as_str(), groups[1].1[0]), ("{x=\"b\"}", b), "{op:?}");
            assert!(is_absent(groups[0].1[1]), "no series of the group has a value here: {op:?}");
        }
    }

    #[test]
    fn parts_of_a_fold_join_to_the_whole() {
        let columns = [[1.0, ABSENT, 3.5], [ABSENT, ABSENT, 2.0], [4.0, 7.0, f64::INFINITY], [1.5, -2.0, 1.0]];
        for op in [
            FoldOp::Sum,
            FoldOp::Avg,
            FoldOp::Count,
            FoldOp::Group,
            FoldOp::Min,
            FoldOp::Max,
            FoldOp::Stddev,
            FoldOp::Stdvar,
        ] {
            let of = |columns: &[[f64; 3]]| {
                let mut fold = Fold::new(op, LabelChoice::only(vec![]), 3);
                columns.iter().for_each(|column| fold.add(&Labels::empty(), column));
                fold
            };
            let whole = of(&columns).finish();
            for cut in 0..=columns.len() {
                let mut joined = of(&columns[..cut]);
                joined.absorb(of(&columns[cut..]));
                let joined = joined.finish();
                for (a, b) in joined[0].values.iter().zip(&whole[0].values) {
                    let alike = a == b || (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
                    assert!(alike && is_absent(*a) == is_absent(*b), "{op:?} cut at {cut}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn joined_means_neither_overflow_nor_forget_infinity() {
        assert_eq!(joined_mean((f64::MAX, 3.0), (f64::MAX, 5.0)), (f64::MAX, 8.0));
        assert_eq!(joined_mean((0.1, 3.0), (0.1, 5.0)).0, 0.1);
        assert_eq!(joined_mean((f64::INFINITY, 1.0), (2.0, 1.0)).0, f64::INFINITY);
        assert!(joined_mean((f64::INFINITY, 1.0), (f64::NEG_INFINITY, 1.0)).0.is_nan());
        assert_eq!(joined_mean((ABSENT, 0.0), (2.0, 1.0)), (2.0, 1.0));
    }

    #[test]
    fn a_group_without_values_is_no_group() {
        let mut fold = Fold::new(FoldOp::Sum, LabelChoice::only(vec![]), 1);
        fold.add(&Labels::empty(), &[ABSENT]);
        assert_eq!(fold.group_count(), 1);
        assert!(fold.finish().is_empty());
    }

    #[test]
    fn nan_loses_against_numbers_in_extremes_and_wins_in_sums() {
        for (op, expected) in [(FoldOp::Max, Some(1.0)), (FoldOp::Min, Some(1.0)), (FoldOp::Sum, None)] {
            let mut fold = Fold::new(op, LabelChoice::only(vec![]), 1);
            fold.add(&Labels::empty(), &[f64::NAN]);
            fold.add(&Labels::empty(), &[1.0]);
            let value = fold.finish()[0].values[0];
            assert_eq!((!value.is_nan()).then_some(value), expected);
        }
    }

    #[test]
    fn an_infinite_mean_stays_infinite_until_its_opposite_comes() {
        let mean = |values: &[f64]| {
            let mut fold = Fold::new(FoldOp::Avg, LabelChoice::only(vec![]), 1);
            values.iter().for_each(|&v| fold.add(&Labels::empty(), &[v]));
            fold.finish()[0].values[0]
        };
        assert_eq!(mean(&[f64::INFINITY, 1.0, f64::INFINITY]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean(&[f64::MAX, f64::MAX]), f64::MAX);
    }
}
