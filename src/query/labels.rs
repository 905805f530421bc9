//! Label sets of query results: canonical key bytes as the store has them, with or without a metric name.
//!
//! Cost sketch: one label costs two varints and two UTF-8 checks to read, about 15 ns; a set of nine labels is
//! regrouped in about 200 ns, one allocation included.
//!
//! Not here: which series exist (see the store's index).
//!
//! Invariants: names strictly ascend; no value is empty; equal sets have equal bytes.

use super::limits::Semantics;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use storage::series::{self, NAME_LABEL};

/// A label set; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// The labels of a canonical series key.
    pub fn from_key(key: Arc<[u8]>) -> Self {
        Self(key)
    }

    /// No labels at all.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Labels from pairs in any order; of a name given twice the last value counts, and an empty value is no label.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sorted: std::collections::BTreeMap<&str, &str> = pairs.into_iter().collect();
        let mut bytes = Vec::new();
        sorted.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| push(&mut bytes, name, value));
        Self(bytes.into())
    }

    /// Names and values, ascending by name.
    pub fn iter(&self) -> series::Labels<'_> {
        series::labels(&self.0)
    }

    /// The value of a label, empty when it is absent.
    pub fn get(&self, name: &str) -> &str {
        series::label(&self.0, name).unwrap_or("")
    }

    /// The same labels without the metric's name.
    pub(crate) fn without_name(&self) -> Self {
        if self.get(NAME_LABEL).is_empty() {
            return self.clone();
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        self.iter().filter(|(name, _)| *name != NAME_LABEL).for_each(|(name, value)| push(&mut bytes, name, value));
        Self(bytes.into())
    }

    /// The same labels with one set to `value`, or removed when `value` is empty.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + name.len() + value.len() + 8);
        let mut pending = !value.is_empty();
        for (other, other_value) in self.iter() {
            if pending && name <= other {
                push(&mut bytes, name, value);
                pending = false;
            }
            if other != name {
                push(&mut bytes, other, other_value);
            }
        }
        if pending {
            push(&mut bytes, name, value);
        }
        Self(bytes.into())
    }

    /// The canonical bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Borrow<[u8]> for Labels {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

/// Orders canonical bytes by names and values, label by label. Reads no UTF-8: bytes order as characters do.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        match (split_first(a), split_first(b)) {
            (Some((label_a, rest_a)), Some((label_b, rest_b))) => {
                if a[..a.len() - rest_a.len()] != b[..b.len() - rest_b.len()] {
                    return label_a.cmp(&label_b);
                }
                (a, b) = (rest_a, rest_b);
            }
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

/// Name and value as bytes.
type RawLabel<'a> = (&'a [u8], &'a [u8]);

/// Name and value of the first label, and the bytes behind it.
fn split_first(bytes: &[u8]) -> Option<(RawLabel<'_>, &[u8])> {
    let (_, inner) = take_length(bytes.get(1..)?)?;
    let (name_bytes, inner) = take_length(inner.get(1..)?)?;
    let (name, inner) = inner.split_at_checked(name_bytes)?;
    let (value_bytes, inner) = take_length(inner.get(1..)?)?;
    let (value, rest) = inner.split_at_checked(value_bytes)?;
    Some(((name, value), rest))
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (i, &byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((length, &bytes[i + 1..]));
        }
    }
    None
}

/// A choice of labels: those of a `by`, `without`, `on` or `ignoring` clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelChoice {
    names: Vec<String>,
    keeps: bool,
}

impl LabelChoice {
    /// Only the labels named.
    pub(crate) fn only(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self { names, keeps: true }
    }

    /// All labels but the ones named and the metric's name.
    pub(crate) fn all_but(mut names: Vec<String>) -> Self {
        names.push(NAME_LABEL.to_owned());
        names.sort_unstable();
        names.dedup();
        Self { names, keeps: false }
    }

    /// Whether the choice lists the labels that stay.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// The names listed, ascending; for an exclusion the metric's name is among them.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Writes the chosen labels into `out`, after clearing it.
    pub(crate) fn apply(&self, labels: &Labels, out: &mut Vec<u8>) {
        out.clear();
        if self.keeps && self.names.is_empty() {
            return;
        }
        for (name, value) in labels.iter() {
            if self.names.iter().any(|n| n == name) == self.keeps {
                push(out, name, value);
            }
        }
    }

    /// The chosen labels.
    pub(crate) fn of(&self, labels: &Labels) -> Labels {
        let mut bytes = Vec::new();
        self.apply(labels, &mut bytes);
        Labels(bytes.into())
    }
}

/// Whether `name` may be the name of a label.
pub(crate) fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether an expression may give a label this name: Prometheus 3 takes any text.
pub(crate) fn may_name_label(name: &str, semantics: Semantics) -> bool {
    is_label_name(name) || (semantics == Semantics::LeftOpen && !name.is_empty())
}

fn push(out: &mut Vec<u8>, name: &str, value: &str) {
    let inner = 2 + varint_bytes(name.len()) + name.len() + varint_bytes(value.len()) + value.len();
    out.push(0x0A);
    push_varint(out, inner);
    out.push(0x0A);
    push_varint(out, name.len());
    out.extend_from_slice(name.as_bytes());
    out.push(0x12);
    push_varint(out, value.len());
    out.extend_from_slice(value.as_bytes());
}

fn varint_bytes(value: usize) -> usize {
    (value.max(1).ilog2() / 7 + 1) as usize
}

fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn the_bytes_are_those_of_a_series_key() {
        let mut builder = series::KeyBuilder::default();
        let long = "v".repeat(20_000);
        let pairs = [("__name__", "up"), ("job", "node"), ("path", &long), ("a", "")];
        pairs.iter().for_each(|(n, v)| builder.push(n, v));
        let key: Arc<[u8]> = builder.finish().unwrap().into();
        assert_eq!(Labels::from_key(key), labels(&pairs));
    }

    #[test]
    fn a_label_is_set_replaced_and_removed_in_its_place() {
        let set = labels(&[("b", "1"), ("d", "2")]);
        assert_eq!(set.with("a", "0"), labels(&[("a", "0"), ("b", "1"), ("d", "2")]));
        assert_eq!(set.with("c", "0"), labels(&[("b", "1"), ("c", "0"), ("d", "2")]));
        assert_eq!(set.with("e", "0"), labels(&[("b", "1"), ("d", "2"), ("e", "0")]));
        assert_eq!(set.with("b", "9"), labels(&[("b", "9"), ("d", "2")]));
        assert_eq!(set.with("b", ""), labels(&[("d", "2")]));
    }

    #[test]
    fn choices_keep_or_drop() {
        let set = labels(&[("__name__", "up"), ("a", "1"), ("b", "2")]);
        assert_eq!(LabelChoice::only(vec!["b".into(), "x".into()]).of(&set), labels(&[("b", "2")]));
        assert_eq!(LabelChoice::all_but(vec!["b".into()]).of(&set), labels(&[("a", "1")]));
        assert_eq!(LabelChoice::only(vec![]).of(&set), Labels::empty());
        assert_eq!(set.without_name(), labels(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn sets_order_by_name_then_value_pair_by_pair() {
        assert!(labels(&[("host", "a")]) < labels(&[("hostname", "a")]));
        assert!(labels(&[("a", "10")]) < labels(&[("a", "2")]));
        assert!(labels(&[("a", "1")]) < labels(&[("a", "1"), ("b", "1")]));
        let long = "v".repeat(300);
        let sets = [&[][..], &[("a", "1"), ("b", &long)], &[("a", "1"), ("b", "w")], &[("a", "é")], &[("b", "")]];
        for (a, b) in sets.iter().flat_map(|a| sets.iter().map(move |b| (labels(a), labels(b)))) {
            assert_eq!(a.cmp(&b), a.iter().cmp(b.iter()), "{a} {b}");
        }
    }

    #[test]
    fn label_names_are_letters_digits_and_underscores() {
        assert!(is_label_name("_a1"));
        assert!(!is_label_name("") && !is_label_name("1a") && !is_label_name("a-b") && !is_label_name("a:b"));
    }
}
