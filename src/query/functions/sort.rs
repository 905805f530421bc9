//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: the order of an instant vector.
//!
//! A range query orders its series by their labels, whatever a sort inside it says; so does Prometheus.
//!
//! Not here: `topk`, which chooses as well as orders (see `rank`).

use crate::query::value::{Series, is_absent};
use std::cmp::Ordering;

/// Orders by the value at the first instant, NaN last in either direction.
pub(crate) fn by_value(series: &mut [Series], descending: bool) {
    series.sort_by(|a, b| {
        let (x, y) = (a.values[0], b.values[0]);
        let order = x.partial_cmp(&y).unwrap_or_else(|| nan_order(x, y, descending));
        if descending { order.reverse() } else { order }
    });
}

/// NaN and absent values come last after the caller has reversed the order or not.
fn nan_order(x: f64, y: f64, descending: bool) -> Ordering {
    let rank = |v: f64| u8::from(v.is_nan()) + u8::from(is_absent(v));
    let order = rank(x).cmp(&rank(y));
    if descending { order.reverse() } else { order }
}

/// Orders by the values of labels, digits by their number, then by all labels.
pub(crate) fn by_labels(series: &mut [Series], names: &[String], descending: bool) {
    series.sort_by(|a, b| {
        let by_names = names
            .iter()
            .map(|name| natural(a.labels.get(name), b.labels.get(name)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.labels.cmp(&b.labels));
        if descending { by_names.reverse() } else { by_names }
    });
}

/// Compares text with runs of digits as numbers: `node2` before `node10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (digits_a, rest_a) = split_digits(a);
            let (digits_b, rest_b) = split_digits(b);
            let (short_a, short_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
            let order = short_a.len().cmp(&short_b.len()).then(short_a.cmp(short_b)).then(digits_a.cmp(digits_b));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if x != y {
            return x.cmp(&y);
        } else {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::labels::Labels;

    fn vector(values: &[(&str, f64)]) -> Vec<Series> {
        let one = |&(x, v): &(&str, f64)| Series { labels: Labels::from_pairs([("x", x)]), values: vec![v] };
        values.iter().map(one).collect()
    }

    fn order(series: &[Series]) -> Vec<&str> {
        series.iter().map(|s| s.labels.get("x")).collect()
    }

    #[test]
    fn nan_comes_last_in_either_direction() {
        let mut series = vector(&[("a", f64::NAN), ("b", 2.0), ("c", 1.0)]);
        by_value(&mut series, false);
        assert_eq!(order(&series), ["c", "b", "a"]);
        by_value(&mut series, true);
        assert_eq!(order(&series), ["b", "c", "a"]);
    }

    #[test]
    fn digits_compare_as_numbers() {
        let mut series = vector(&[("n10", 0.0), ("n2", 0.0), ("n", 0.0), ("n2b", 0.0), ("m3", 0.0)]);
        by_labels(&mut series, &["x".into()], false);
        assert_eq!(order(&series), ["m3", "n", "n2", "n2b", "n10"]);
        by_labels(&mut series, &["x".into()], true);
        assert_eq!(order(&series), ["n10", "n2b", "n2", "n", "m3"]);
    }
}
