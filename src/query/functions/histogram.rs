//! `histogram_quantile` over classic buckets: series that differ only in `le`, each counting what is at most that.
//!
//! Not here: native histograms; the plan refuses their functions by name.

use crate::query::labels::{LabelChoice, Labels};
use crate::query::notes::Notebook;
use crate::query::value::{ABSENT, Series, is_absent};
use std::collections::HashMap;
use storage::series::NAME_LABEL;

/// A fall by less than this part of a count is a rounding of rates.
const ROUNDING: f64 = 1e-12;

/// Upper bound and cumulative count.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The quantile at each instant, one series per set of labels without `le` and name.
pub(crate) fn quantiles(q: &[f64], buckets: &[Series], notes: &Notebook) -> Vec<Series> {
    let choice = LabelChoice::all_but(vec!["le".to_owned()]);
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<(f64, &Series)>)> = Vec::new();
    for series in buckets {
        let bound = series.labels.get("le");
        let Ok(upper) = bound.parse::<f64>() else {
            notes.bad_bucket(series.labels.get(NAME_LABEL), bound);
            continue;
        };
        let labels = choice.of(&series.labels);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push((upper, series));
    }
    groups.into_iter().map(|(labels, members)| Series { labels, values: column(q, members, notes) }).collect()
}

fn column(q: &[f64], mut members: Vec<(f64, &Series)>, notes: &Notebook) -> Vec<f64> {
    members.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut has_fallen = false;
    let mut buckets = Vec::with_capacity(members.len());
    let at = |(step, &q): (usize, &f64)| {
        buckets.clear();
        let present = members.iter().map(|(upper, series)| Bucket { upper: *upper, count: series.values[step] });
        buckets.extend(present.filter(|bucket| !is_absent(bucket.count)));
        if buckets.is_empty() { ABSENT } else { quantile(q, &mut buckets, &mut has_fallen) }
    };
    let column = q.iter().enumerate().map(at).collect();
    if has_fallen {
        notes.falling_buckets(members.first().map_or("", |(_, series)| series.labels.get(NAME_LABEL)));
    }
    column
}

/// The `q`-quantile of buckets ascending by bound; reorders nothing, but merges and levels the counts in place, and says
/// whether they had to be levelled by more than a rounding.
fn quantile(q: f64, buckets: &mut Vec<Bucket>, has_fallen: &mut bool) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return f64::NAN;
    }
    merge_equal_bounds(buckets);
    *has_fallen |= level(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return f64::NAN;
    }
    let mut rank = q * observations;
    let found = first_reaching(&buckets[..last], rank);
    if found == last {
        return buckets[last - 1].upper;
    }
    if found == 0 && buckets[0].upper <= 0.0 {
        return buckets[0].upper;
    }
    let Bucket { upper: end, mut count } = buckets[found];
    let mut start = 0.0;
    if found > 0 {
        start = buckets[found - 1].upper;
        count -= buckets[found - 1].count;
        rank -= buckets[found - 1].count;
    }
    start + (end - start) * (rank / count)
}

/// Binary search as Go's `sort.Search` does it, which matters when counts are NaN.
fn first_reaching(buckets: &[Bucket], rank: f64) -> usize {
    let (mut low, mut high) = (0, buckets.len());
    while low < high {
        let middle = (low + high) / 2;
        if buckets[middle].count >= rank { high = middle } else { low = middle + 1 }
    }
    low
}

fn merge_equal_bounds(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let equal = next.upper == kept.upper;
        if equal {
            kept.count += next.count;
        }
        equal
    });
}

/// Lifts every count to at least the one before: scrapes and rates can make them fall by a little. Whether one fell by
/// more than that.
fn level(buckets: &mut [Bucket]) -> bool {
    let (mut most, mut has_fallen) = (buckets[0].count, false);
    for bucket in &mut buckets[1..] {
        if bucket.count > most {
            most = bucket.count;
        } else if bucket.count < most {
            has_fallen |= most - bucket.count > ROUNDING * most.abs();
            bucket.count = most;
        }
    }
    has_fallen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(q: f64, pairs: &[(f64, f64)]) -> f64 {
        quantile(q, &mut pairs.iter().map(|&(upper, count)| Bucket { upper, count }).collect(), &mut false)
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_lies_within_its_bucket_by_rank() {
        let buckets = [(1.0, 10.0), (2.0, 30.0), (INF, 40.0)];
        assert_eq!(at(0.5, &buckets), 1.5, "rank 20 is half way through the 20 of (1, 2]");
        assert_eq!(at(0.125, &buckets), 0.5, "the lowest bucket begins at zero");
        assert_eq!(at(0.99, &buckets), 2.0, "beyond the last finite bound");
        assert_eq!((at(-1.0, &buckets), at(2.0, &buckets)), (-INF, INF));
        assert_eq!(at(0.1, &[(-1.0, 10.0), (INF, 10.0)]), -1.0);
    }

    #[test]
    fn buckets_without_an_end_or_without_observations_have_no_quantile() {
        assert!(at(0.5, &[(1.0, 10.0)]).is_nan());
        assert!(at(0.5, &[(INF, 10.0)]).is_nan());
        assert!(at(0.5, &[(1.0, 0.0), (INF, 0.0)]).is_nan());
    }

    #[test]
    fn falling_counts_are_levelled_and_equal_bounds_merged() {
        assert_eq!(at(0.5, &[(1.0, 10.0), (2.0, 8.0), (INF, 20.0)]), 1.0);
        assert_eq!(at(0.5, &[(1.0, 5.0), (1.0, 5.0), (2.0, 30.0), (INF, 40.0)]), 1.5);
    }

    #[test]
    fn groups_are_labels_without_bound_and_name() {
        let series = |le: &str, values: &[f64]| Series {
            labels: Labels::from_pairs([("__name__", "b"), ("job", "x"), ("le", le)]),
            values: values.to_vec(),
        };
        let all = [series("1", &[10.0, ABSENT]), series("+Inf", &[20.0, ABSENT]), series("junk", &[1.0, 1.0])];
        let result = quantiles(&[0.5, 0.5], &all, &Notebook::default());
        assert_eq!(result.len(), 1);
        assert_eq!(result[0].labels, Labels::from_pairs([("job", "x")]));
        assert_eq!(result[0].values[0], 1.0);
        assert!(is_absent(result[0].values[1]));
    }
}
