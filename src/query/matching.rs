//! Operators with a vector on both sides: which series meet which, and what their result is called.
//!
//! Series meet when their signatures, the labels of `on` or all but those of `ignoring`, are equal. All instants are
//! computed for a pair of series at once; rules that hold instant by instant (one side must be unique) are checked only
//! for signatures that several series of a side share.
//!
//! Not here: what an operator does to two numbers (see `operator`).

use super::error::QueryError;
use super::labels::{LabelChoice, Labels};
use super::limits::Budget;
use super::operator::Operation;
use super::value::{ABSENT, Series, is_absent, unite};
use std::collections::HashMap;
use storage::series::NAME_LABEL;

/// Which side may have several series per signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left`: many on the left; the labels come from the right.
    ManyToOne(Vec<String>),
    /// `group_right`: many on the right; the labels come from the left.
    OneToMany(Vec<String>),
}

/// How two vectors are matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matching {
    pub(crate) choice: LabelChoice,
    /// Whether `ignoring` lists the metric's name; for the signature it never counts.
    pub(crate) ignores_name: bool,
    pub(crate) cardinality: Cardinality,
}

/// An operator on sets of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetOperator {
    And,
    Or,
    Unless,
}

/// Indices of the series with one signature.
type Signatures = HashMap<Labels, Vec<usize>>;

fn signatures(series: &[Series], choice: &LabelChoice) -> Signatures {
    let mut found = Signatures::with_capacity(series.len());
    let mut key = Vec::new();
    for (index, one) in series.iter().enumerate() {
        choice.apply(&one.labels, &mut key);
        match found.get_mut(key.as_slice()) {
            Some(indices) => indices.push(index),
            None => {
                found.insert(Labels::from_bytes(&key), vec![index]);
            }
        }
    }
    found
}

/// Where any of the series has a value.
fn presence<'a>(series: impl IntoIterator<Item = &'a Series>, steps: usize) -> Vec<bool> {
    let mut present = vec![false; steps];
    for one in series {
        present.iter_mut().zip(&one.values).for_each(|(present, &value)| *present |= !is_absent(value));
    }
    present
}

/// `left op right`, series by series.
pub(crate) fn operate(
    operation: Operation,
    matching: &Matching,
    left: &[Series],
    right: &[Series],
    steps: usize,
    budget: &Budget<'_>,
) -> Result<Vec<Series>, QueryError> {
    let swapped = matches!(matching.cardinality, Cardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let ones = signatures(one, &matching.choice);
    let manys = signatures(many, &matching.choice);
    refuse_shared_instants(&ones, one, many, swapped, steps)?;
    let mut results: Vec<Series> = Vec::new();
    let mut keys: Vec<(usize, &Labels)> = manys.iter().map(|(key, indices)| (indices[0], key)).collect();
    keys.sort_unstable_by_key(|(first, _)| *first);
    for (_, key) in keys {
        let Some(partners) = ones.get(key) else { continue };
        let start = results.len();
        budget.check()?;
        for &m in &manys[key] {
            for &o in partners {
                budget.hold(steps)?;
                let (a, b) = if swapped { (&one[o], &many[m]) } else { (&many[m], &one[o]) };
                let values = operation.columns(&a.values, &b.values);
                let labels = result_labels(operation, matching, &many[m].labels, &one[o].labels);
                results.push(Series { labels, values });
            }
        }
        if manys[key].len() > 1 {
            match matching.cardinality {
                Cardinality::OneToOne => refuse_overlap(&results[start..], steps)?,
                _ => refuse_equal(&results[start..])?,
            }
        }
    }
    unite(results, true)
}

/// Fails where two series of the "one" side share a signature at an instant at which the other side has any series.
fn refuse_shared_instants(
    ones: &Signatures,
    one: &[Series],
    many: &[Series],
    swapped: bool,
    steps: usize,
) -> Result<(), QueryError> {
    let shared: Vec<(&Labels, &Vec<usize>)> = ones.iter().filter(|(_, indices)| indices.len() > 1).collect();
    if shared.is_empty() {
        return Ok(());
    }
    let asked = presence(many, steps);
    let by_labels = |a: &usize, b: &usize| one[*a].labels.cmp(&one[*b].labels);
    // Named is the meeting that Prometheus comes upon first: at the earliest instant, in the order of labels.
    let mut first: Option<(usize, usize, usize, &Labels)> = None;
    for (signature, indices) in shared {
        let mut indices = indices.clone();
        indices.sort_unstable_by(by_labels);
        let mut holder: Vec<Option<usize>> = vec![None; steps];
        for index in indices {
            for (step, _) in one[index].values.iter().enumerate().filter(|(i, v)| asked[*i] && !is_absent(**v)) {
                let Some(other) = holder[step].replace(index) else { continue };
                let is_earlier = |&(at, met, _, _): &(usize, usize, usize, &Labels)| {
                    step.cmp(&at).then_with(|| by_labels(&index, &met)).is_lt()
                };
                if first.as_ref().is_none_or(is_earlier) {
                    first = Some((step, index, other, signature));
                }
            }
        }
    }
    let Some((_, index, other, signature)) = first else { return Ok(()) };
    let side = if swapped { "left" } else { "right" };
    Err(QueryError::Execution(format!(
        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{}, {}];\
         many-to-many matching not allowed: matching labels must be unique on one side",
        one[index].labels, one[other].labels
    )))
}

/// Fails where series of the "many" side that met the same partner became equal.
fn refuse_equal(results: &[Series]) -> Result<(), QueryError> {
    let mut sorted: Vec<&Series> = results.iter().collect();
    sorted.sort_unstable_by(|a, b| a.labels.as_bytes().cmp(b.labels.as_bytes()));
    for equal in sorted.chunk_by(|a, b| a.labels == b.labels).filter(|equal| equal.len() > 1) {
        let mut taken = vec![false; equal[0].values.len()];
        for one in equal {
            for (taken, _) in taken.iter_mut().zip(&one.values).filter(|(_, value)| !is_absent(**value)) {
                if std::mem::replace(taken, true) {
                    return Err(QueryError::execution(
                        "multiple matches for labels: grouping labels must ensure unique matches",
                    ));
                }
            }
        }
    }
    Ok(())
}

fn refuse_overlap(results: &[Series], steps: usize) -> Result<(), QueryError> {
    let mut taken = vec![false; steps];
    for one in results {
        for (taken, _) in taken.iter_mut().zip(&one.values).filter(|(_, value)| !is_absent(**value)) {
            if std::mem::replace(taken, true) {
                return Err(QueryError::execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
        }
    }
    Ok(())
}

fn result_labels(operation: Operation, matching: &Matching, many: &Labels, one: &Labels) -> Labels {
    let named = || if operation.drops_name() { many.without_name() } else { many.clone() };
    match &matching.cardinality {
        Cardinality::OneToOne if matching.choice.keeps() => {
            let chosen = matching.choice.of(many);
            if operation.drops_name() { chosen.without_name() } else { chosen }
        }
        Cardinality::OneToOne => {
            // The choice leaves the name out for the signature's sake.
            let name = many.get(NAME_LABEL);
            let chosen = matching.choice.of(many);
            if operation.drops_name() || matching.ignores_name { chosen } else { chosen.with(NAME_LABEL, name) }
        }
        Cardinality::ManyToOne(extra) | Cardinality::OneToMany(extra) => {
            extra.iter().fold(named(), |labels, name| labels.with(name, one.get(name)))
        }
    }
}

/// `left and|or|unless right`.
pub(crate) fn combine(
    operator: SetOperator,
    choice: &LabelChoice,
    left: Vec<Series>,
    right: Vec<Series>,
    steps: usize,
) -> Result<Vec<Series>, QueryError> {
    match operator {
        SetOperator::And => Ok(filter(left, &right, choice, steps, true)),
        SetOperator::Unless => Ok(filter(left, &right, choice, steps, false)),
        SetOperator::Or => {
            let added = filter(right, &left, choice, steps, false);
            let mut all = left;
            all.extend(added);
            unite(all, true)
        }
    }
}

/// Keeps values where a partner with the same signature has a value too, or where none has.
fn filter(series: Vec<Series>, partners: &[Series], choice: &LabelChoice, steps: usize, with: bool) -> Vec<Series> {
    let found = signatures(partners, choice);
    let mut masks: HashMap<&Labels, Vec<bool>> = HashMap::new();
    let mut key = Vec::new();
    let mut kept = Vec::with_capacity(series.len());
    for mut one in series {
        choice.apply(&one.labels, &mut key);
        match found.get_key_value(key.as_slice()) {
            Some((signature, indices)) => {
                let mask = masks
                    .entry(signature)
                    .or_insert_with(|| presence(indices.iter().map(|&index| &partners[index]), steps));
                for (value, _) in one.values.iter_mut().zip(mask).filter(|(_, present)| **present != with) {
                    *value = ABSENT;
                }
            }
            None if with => continue,
            None => {}
        }
        if !one.is_empty() {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::limits::{Cancel, QueryLimits};
    use crate::query::operator::Operator;

    fn series(labels: &[(&str, &str)], values: &[f64]) -> Series {
        Series { labels: Labels::from_pairs(labels.iter().copied()), values: values.to_vec() }
    }

    fn matching(on: Option<&[&str]>, cardinality: Cardinality) -> Matching {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let choice = on.map_or(LabelChoice::all_but(vec![]), |on| LabelChoice::only(names(on)));
        Matching { choice, ignores_name: false, cardinality }
    }

    fn add(matching: &Matching, left: &[Series], right: &[Series]) -> Result<Vec<Series>, QueryError> {
        let operation = Operation { operator: Operator::Add, returns_bool: false };
        run(operation, matching, left, right)
    }

    fn run(
        operation: Operation,
        matching: &Matching,
        left: &[Series],
        right: &[Series],
    ) -> Result<Vec<Series>, QueryError> {
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        operate(operation, matching, left, right, left[0].values.len(), &Budget::new(&limits, &cancel))
    }

    #[test]
    fn equal_labels_meet_whatever_their_name() {
        let left = [series(&[("__name__", "a"), ("x", "1")], &[1.0, 2.0]), series(&[("x", "2")], &[1.0, 1.0])];
        let right = [series(&[("__name__", "b"), ("x", "1")], &[10.0, ABSENT])];
        let sum = add(&matching(None, Cardinality::OneToOne), &left, &right).unwrap();
        assert_eq!(sum.len(), 1);
        assert_eq!(sum[0].labels, Labels::from_pairs([("x", "1")]));
        assert!(sum[0].values[0] == 11.0 && is_absent(sum[0].values[1]));
    }

    #[test]
    fn a_group_side_keeps_its_labels_and_takes_some_from_the_other() {
        let many = [series(&[("x", "1"), ("cpu", "0")], &[1.0]), series(&[("x", "1"), ("cpu", "1")], &[2.0])];
        let one = [series(&[("x", "1"), ("version", "v")], &[10.0])];
        let with_version = |card: fn(Vec<String>) -> Cardinality| matching(Some(&["x"]), card(vec!["version".into()]));
        let left = add(&with_version(Cardinality::ManyToOne), &many, &one).unwrap();
        assert_eq!(left[1].labels, Labels::from_pairs([("x", "1"), ("cpu", "1"), ("version", "v")]));
        assert_eq!(left[1].values, [12.0]);
        assert_eq!(add(&with_version(Cardinality::OneToMany), &one, &many).unwrap().len(), 2);
        assert!(add(&matching(Some(&["x"]), Cardinality::OneToOne), &many, &one).is_err());
        assert!(add(&matching(Some(&["x"]), Cardinality::OneToOne), &one, &many).is_err());
    }

    #[test]
    fn several_series_of_one_signature_are_fine_while_they_never_meet() {
        let left =
            [series(&[("x", "1"), ("p", "a")], &[1.0, ABSENT]), series(&[("x", "1"), ("p", "b")], &[ABSENT, 2.0])];
        let right = [series(&[("x", "1")], &[10.0, 10.0])];
        let sum = add(&matching(Some(&["x"]), Cardinality::OneToOne), &left, &right).unwrap();
        assert_eq!((sum.len(), sum[0].values.as_slice()), (1, [11.0, 12.0].as_slice()));
        assert!(add(&matching(Some(&["x"]), Cardinality::OneToOne), &right, &left).is_ok());
    }

    #[test]
    fn sets_filter_instant_by_instant() {
        let a = || vec![series(&[("x", "1")], &[1.0, 1.0]), series(&[("x", "2")], &[2.0, 2.0])];
        let b = || vec![series(&[("x", "1")], &[9.0, ABSENT])];
        let all = LabelChoice::all_but(vec![]);
        let and = combine(SetOperator::And, &all, a(), b(), 2).unwrap();
        assert!(and.len() == 1 && and[0].values[0] == 1.0 && is_absent(and[0].values[1]));
        let unless = combine(SetOperator::Unless, &all, a(), b(), 2).unwrap();
        assert!(unless.len() == 2 && is_absent(unless[0].values[0]) && unless[0].values[1] == 1.0);
        let or = combine(SetOperator::Or, &all, b(), a(), 2).unwrap();
        assert_eq!((or.len(), or[0].values.as_slice()), (2, [9.0, 1.0].as_slice()));
    }

    #[test]
    fn a_comparison_keeps_the_name_unless_on_leaves_it_out() {
        let left = [series(&[("__name__", "a"), ("x", "1")], &[5.0])];
        let right = [series(&[("__name__", "b"), ("x", "1")], &[5.0])];
        let equal = Operation { operator: Operator::Equal, returns_bool: false };
        let ignoring = matching(None, Cardinality::OneToOne);
        assert_eq!(run(equal, &ignoring, &left, &right).unwrap()[0].labels, left[0].labels);
        let on = matching(Some(&["x"]), Cardinality::OneToOne);
        assert_eq!(run(equal, &on, &left, &right).unwrap()[0].labels, Labels::from_pairs([("x", "1")]));
    }
}
