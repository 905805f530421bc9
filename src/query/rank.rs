//! Aggregation that must see all values of a group at once: `topk`, `bottomk`, `quantile`, `count_values`.
//!
//! Not here: aggregation in one pass (see `aggregate`).
//!
//! Invariant: which of several equal values `topk` keeps is decided as Prometheus decides it, by a binary heap with the
//! weakest value on top that is filled in the order of the input.

use super::error::QueryError;
use super::functions::quantile;
use super::labels::{LabelChoice, Labels, may_name_label};
use super::limits::Budget;
use super::number::{push_general, push_plain};
use super::value::{ABSENT, Series, is_absent};
use std::collections::HashMap;

/// Indices of series by group, groups in order of first appearance.
fn grouped(series: &[Series], choice: &LabelChoice) -> Vec<(Labels, Vec<usize>)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
    for (index, one) in series.iter().enumerate() {
        let labels = choice.of(&one.labels);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(index);
    }
    groups
}

/// The `k` largest values of each group at each instant (smallest with `bottom`), with all their labels.
///
/// With one instant the result is ordered from strongest to weakest within each group.
pub(crate) fn top(
    k: &[f64],
    bottom: bool,
    choice: &LabelChoice,
    series: Vec<Series>,
) -> Result<Vec<Series>, QueryError> {
    let k = k.iter().map(|&k| whole(k)).collect::<Result<Vec<usize>, _>>()?;
    let mut order = Vec::new();
    let mut kept: Vec<Vec<f64>> = series.iter().map(|one| vec![ABSENT; one.values.len()]).collect();
    for (_, members) in grouped(&series, choice) {
        for (step, &k) in k.iter().enumerate().filter(|(_, k)| **k > 0) {
            let mut heap = WeakestFirst { k, bottom, entries: Vec::new() };
            for &member in &members {
                let value = series[member].values[step];
                if !is_absent(value) {
                    heap.offer((value, member));
                }
            }
            for (value, member) in heap.into_strongest_first() {
                kept[member][step] = value;
                if step == 0 {
                    order.push(member);
                }
            }
        }
    }
    if k.len() > 1 {
        order = (0..series.len()).collect();
    }
    let mut result: Vec<Series> = Vec::with_capacity(order.len());
    result.extend(
        order
            .into_iter()
            .map(|index| Series { labels: series[index].labels.clone(), values: std::mem::take(&mut kept[index]) }),
    );
    result.retain(|one| !one.is_empty());
    Ok(result)
}

fn whole(k: f64) -> Result<usize, QueryError> {
    if k.is_nan() || k.abs() >= i64::MAX as f64 {
        let mut text = "Scalar value ".to_owned();
        push_general(&mut text, k);
        return Err(QueryError::Execution(text + " overflows int64"));
    }
    Ok(if k < 1.0 { 0 } else { k as usize })
}

/// A binary heap of at most `k` values with the weakest on top.
struct WeakestFirst {
    k: usize,
    bottom: bool,
    entries: Vec<(f64, usize)>,
}

impl WeakestFirst {
    /// Whether `a` leaves the heap before `b`; NaN is weaker than any number.
    fn weaker(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.bottom { a > b } else { a < b }
    }

    /// Adds an entry if there is room or it beats the weakest; the weakest is taken out before the entry goes in, and
    /// the order of the two steps decides among equals.
    fn offer(&mut self, entry: (f64, usize)) {
        if self.entries.len() == self.k {
            let weakest = self.entries[0].0;
            let beaten = if self.bottom { weakest > entry.0 } else { weakest < entry.0 };
            if !beaten && !weakest.is_nan() {
                return;
            }
            self.entries.swap_remove(0);
            self.sink();
        }
        self.entries.push(entry);
        self.lift(self.entries.len() - 1);
    }

    fn lift(&mut self, mut child: usize) {
        while child > 0 {
            let parent = (child - 1) / 2;
            if !self.weaker(self.entries[child].0, self.entries[parent].0) {
                break;
            }
            self.entries.swap(child, parent);
            child = parent;
        }
    }

    fn sink(&mut self) {
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            if left >= self.entries.len() {
                return;
            }
            let right_is_weaker =
                right < self.entries.len() && self.weaker(self.entries[right].0, self.entries[left].0);
            let child = if right_is_weaker { right } else { left };
            if !self.weaker(self.entries[child].0, self.entries[parent].0) {
                return;
            }
            self.entries.swap(parent, child);
            parent = child;
        }
    }

    fn into_strongest_first(mut self) -> Vec<(f64, usize)> {
        let bottom = self.bottom;
        self.entries.sort_by(|a, b| {
            let by_value = if bottom { a.0.partial_cmp(&b.0) } else { b.0.partial_cmp(&a.0) };
            by_value.unwrap_or_else(|| a.0.is_nan().cmp(&b.0.is_nan()))
        });
        self.entries
    }
}

/// The `q`-quantile over the series of each group at each instant.
pub(crate) fn quantiles(q: &[f64], choice: &LabelChoice, series: &[Series]) -> Vec<Series> {
    let mut values = Vec::new();
    let groups = grouped(series, choice).into_iter();
    let column = |(labels, members): (Labels, Vec<usize>)| {
        let at = |(step, &q): (usize, &f64)| {
            values.clear();
            values.extend(members.iter().map(|&m| series[m].values[step]).filter(|&v| !is_absent(v)));
            if values.is_empty() { ABSENT } else { quantile(q, &mut values) }
        };
        Series { labels, values: q.iter().enumerate().map(at).collect() }
    };
    groups.map(column).collect()
}

/// How many series of each group have each value, the value becoming the label `name`.
pub(crate) fn count_values(
    name: &str,
    choice: &LabelChoice,
    series: &[Series],
    budget: &Budget<'_>,
) -> Result<Vec<Series>, QueryError> {
    if !may_name_label(name, budget.limits.semantics) {
        return Err(QueryError::Execution(format!("invalid label name {name:?}")));
    }
    let choice = if choice.keeps() {
        LabelChoice::only(choice.names().iter().cloned().chain([name.to_owned()]).collect())
    } else {
        choice.clone()
    };
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut counted: Vec<Series> = Vec::new();
    let mut text = String::new();
    for one in series {
        let mut known: HashMap<u64, usize> = HashMap::new();
        for (step, &value) in one.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
            let place = match known.get(&value.to_bits()) {
                Some(&place) => place,
                None => {
                    text.clear();
                    push_plain(&mut text, value);
                    let labels = choice.of(&one.labels.with(name, &text));
                    let place = match places.get(&labels) {
                        Some(&place) => place,
                        None => {
                            // Every distinct value is a series of its own: the one operator that makes many of few.
                            budget.hold(one.values.len())?;
                            counted.push(Series { labels: labels.clone(), values: vec![ABSENT; one.values.len()] });
                            places.insert(labels, counted.len() - 1);
                            counted.len() - 1
                        }
                    };
                    known.insert(value.to_bits(), place);
                    place
                }
            };
            let count = &mut counted[place].values[step];
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::limits::{Cancel, QueryLimits};

    fn vector(values: &[(&str, f64)]) -> Vec<Series> {
        let one = |&(x, v): &(&str, f64)| Series { labels: Labels::from_pairs([("x", x)]), values: vec![v] };
        values.iter().map(one).collect()
    }

    fn names(series: &[Series]) -> Vec<&str> {
        series.iter().map(|s| s.labels.get("x")).collect()
    }

    fn all() -> LabelChoice {
        LabelChoice::only(vec![])
    }

    #[test]
    fn the_strongest_come_first_and_nan_last() {
        let series = vector(&[("a", 1.0), ("b", f64::NAN), ("c", 3.0), ("d", 2.0)]);
        assert_eq!(names(&top(&[2.0], false, &all(), series.clone()).unwrap()), ["c", "d"]);
        assert_eq!(names(&top(&[9.0], false, &all(), series.clone()).unwrap()), ["c", "d", "a", "b"]);
        assert_eq!(names(&top(&[2.0], true, &all(), series.clone()).unwrap()), ["a", "d"]);
        assert!(top(&[0.5], true, &all(), series.clone()).unwrap().is_empty());
        assert!(top(&[f64::NAN], true, &all(), series).is_err());
    }

    #[test]
    fn among_equals_the_heap_decides() {
        // The heap of two holds a and b; c takes the place of the one on top, which is a.
        let series = vector(&[("a", 1.0), ("b", 1.0), ("c", 2.0)]);
        assert_eq!(names(&top(&[2.0], false, &all(), series).unwrap()), ["c", "b"]);
        // Prometheus 2.42 answers bottomk(3, ..) of these in this order.
        let series = vector(&[("a", 3.0), ("b", 3.0), ("c", 5.0), ("d", -2.0), ("e", f64::NAN)]);
        assert_eq!(names(&top(&[3.0], true, &all(), series).unwrap()), ["d", "a", "b"]);
    }

    #[test]
    fn each_instant_has_its_own_choice() {
        let mut series = vector(&[("a", 1.0), ("b", 2.0)]);
        series[0].values.push(5.0);
        series[1].values.push(4.0);
        let result = top(&[1.0, 1.0], false, &all(), series).unwrap();
        assert!(is_absent(result[0].values[0]) && result[0].values[1] == 5.0);
        assert!(result[1].values[0] == 2.0 && is_absent(result[1].values[1]));
    }

    #[test]
    fn values_become_labels() {
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        let budget = Budget::new(&limits, &cancel);
        let counted = count_values("v", &all(), &vector(&[("a", 1.5), ("b", 1.5), ("c", 2.0)]), &budget).unwrap();
        let shown: Vec<_> = counted.iter().map(|s| (s.labels.get("v"), s.values[0])).collect();
        assert_eq!(shown, [("1.5", 2.0), ("2", 1.0)]);
        assert!(count_values("a-b", &all(), &[], &budget).is_err());
    }

    #[test]
    fn quantiles_are_taken_over_series() {
        let result = quantiles(&[0.5], &all(), &vector(&[("a", 1.0), ("b", 3.0), ("c", 100.0)]));
        assert_eq!(result[0].values, [3.0]);
    }
}
