//! Series identity: canonical key bytes, their hash, the partition it chooses, and small references.
//!
//! The key is laid out exactly as Prometheus remote write lays out a label set, labels sorted by name:
//!
//! ```text
//! per label:  0x0A  length(label)  0x0A  length(name) name  0x12  length(value) value
//! ```
//!
//! so a label set that arrives sorted is a key already: it is hashed and compared where it lies, without being
//! copied or re-encoded. Lengths are minimal base-128 varints. `__name__` is a label like any other.
//!
//! Not here: which id a key has (see `catalog`), what a label means.
//!
//! Invariants: names strictly ascend by bytes; names and values are UTF-8 and not empty; equality of series is
//! equality of key bytes, never of hashes alone.

use xxhash_rust::xxh3::xxh3_64;

/// How many slices the key space has; fixed for every store and part of the format.
pub const PARTITIONS: usize = 64;

/// The longest key that gets an id, in bytes; bounded so that a key always fits a catalog block.
pub const KEY_BYTES_MAX: usize = 4096;

/// The label that carries the metric's name.
pub const NAME_LABEL: &str = "__name__";

const LABEL_TAG: u8 = 0x0A;
const NAME_TAG: u8 = 0x0A;
const VALUE_TAG: u8 = 0x12;

/// XXH3-64 of the key, seed 0.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The partition of a key with this hash: its top six bits.
#[inline]
pub fn partition_of(hash: u64) -> u8 {
    (hash >> 58) as u8
}

/// A series within one store: its partition in the top 6 bits, its dense id there in the other 26.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u32);

impl SeriesRef {
    /// The most series a partition can name.
    pub const IDS_PER_PARTITION: u32 = 1 << 26;

    /// Joins a partition and an id below [`Self::IDS_PER_PARTITION`].
    #[inline]
    pub fn new(partition: u8, id: u32) -> Self {
        debug_assert!((partition as usize) < PARTITIONS && id < Self::IDS_PER_PARTITION);
        Self((u32::from(partition) << 26) | id)
    }

    /// The partition.
    #[inline]
    pub fn partition(self) -> u8 {
        (self.0 >> 26) as u8
    }

    /// The id within the partition.
    #[inline]
    pub fn id(self) -> u32 {
        self.0 & (Self::IDS_PER_PARTITION - 1)
    }
}

/// Why a label set is no series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// One label name twice.
    #[error("duplicate label name")]
    DuplicateLabel,
    /// No `__name__`.
    #[error("no metric name")]
    NoName,
    /// A label without a name.
    #[error("empty label name")]
    EmptyLabelName,
    /// Bytes that are no label set.
    #[error("malformed label set")]
    Malformed,
}

/// Builds a canonical key from labels in any order; keeps its memory between keys.
#[derive(Debug, Default)]
pub struct KeyBuilder {
    text: Vec<u8>,
    labels: Vec<(u32, u32, u32)>,
    key: Vec<u8>,
}

impl KeyBuilder {
    /// Starts a new key.
    pub fn clear(&mut self) {
        self.text.clear();
        self.labels.clear();
    }

    /// Adds a label; one with an empty value is no label and is left out.
    pub fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(name.as_bytes());
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(value.as_bytes());
        self.labels.push((start, middle, self.text.len() as u32));
    }

    /// The canonical key of the labels pushed since `clear`.
    pub fn finish(&mut self) -> Result<&[u8], KeyError> {
        let text = &self.text;
        let name = |l: &(u32, u32, u32)| &text[l.0 as usize..l.1 as usize];
        self.labels.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        if self.labels.windows(2).any(|w| name(&w[0]) == name(&w[1])) {
            return Err(KeyError::DuplicateLabel);
        }
        if self.labels.iter().any(|l| l.0 == l.1) {
            return Err(KeyError::EmptyLabelName);
        }
        if !self.labels.iter().any(|l| name(l) == NAME_LABEL.as_bytes()) {
            return Err(KeyError::NoName);
        }
        self.key.clear();
        for &(start, middle, end) in &self.labels {
            let (name, value) = (&text[start as usize..middle as usize], &text[middle as usize..end as usize]);
            push_label(&mut self.key, name, value);
        }
        Ok(&self.key)
    }
}

/// Appends one label as it stands in a key.
pub(crate) fn push_label(key: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let inner = 2 + varint_bytes(name.len()) + name.len() + varint_bytes(value.len()) + value.len();
    key.push(LABEL_TAG);
    push_varint(key, inner);
    key.push(NAME_TAG);
    push_varint(key, name.len());
    key.extend_from_slice(name);
    key.push(VALUE_TAG);
    push_varint(key, value.len());
    key.extend_from_slice(value);
}

/// How many bytes [`push_varint`] appends.
pub(crate) fn varint_bytes(mut value: usize) -> usize {
    let mut bytes = 1;
    while value >= 0x80 {
        value >>= 7;
        bytes += 1;
    }
    bytes
}

/// Appends a number as a minimal base-128 varint.
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The labels of a canonical key in key order; stops at the first byte that is not part of one.
pub fn labels(key: &[u8]) -> Labels<'_> {
    Labels { rest: key }
}

/// Iterator over `(name, value)` of a key.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (&LABEL_TAG, rest) = self.rest.split_first()? else { return None };
        let (inner_len, rest) = take_varint(rest)?;
        let (inner, rest) = rest.split_at_checked(inner_len)?;
        let (name, inner) = take_field(inner, NAME_TAG)?;
        let (value, inner) = take_field(inner, VALUE_TAG)?;
        if !inner.is_empty() {
            return None;
        }
        self.rest = rest;
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    }
}

fn take_field(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    if found != tag {
        return None;
    }
    let (len, rest) = take_varint(rest)?;
    rest.split_at_checked(len)
}

#[inline]
fn take_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (i, &byte) in bytes.iter().enumerate().take(5) {
        value |= ((byte & 0x7f) as usize) << (7 * i);
        if byte < 0x80 {
            // A trailing zero group would give one length two spellings.
            return (i == 0 || byte != 0).then_some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// The value of one label of a key.
pub fn label<'a>(key: &'a [u8], name: &str) -> Option<&'a str> {
    labels(key).find(|(n, _)| *n == name).map(|(_, v)| v)
}

/// Checks every invariant of a key; what a catalog demands before it gives a key an id.
pub fn validate(key: &[u8]) -> Result<(), KeyError> {
    let mut iter = labels(key);
    let mut previous = "";
    let mut named = false;
    for (name, value) in iter.by_ref() {
        if name.is_empty() {
            return Err(KeyError::EmptyLabelName);
        }
        if name == previous {
            return Err(KeyError::DuplicateLabel);
        }
        if name < previous || value.is_empty() {
            return Err(KeyError::Malformed);
        }
        named |= name == NAME_LABEL;
        previous = name;
    }
    match (iter.rest.is_empty(), named) {
        (false, _) => Err(KeyError::Malformed),
        (true, false) => Err(KeyError::NoName),
        (true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> Result<Vec<u8>, KeyError> {
        let mut builder = KeyBuilder::default();
        builder.clear();
        labels.iter().for_each(|(n, v)| builder.push(n, v));
        builder.finish().map(<[u8]>::to_vec)
    }

    #[test]
    fn order_of_labels_does_not_change_the_key() {
        let a = key(&[("__name__", "up"), ("job", "node"), ("instance", "a:9100")]).unwrap();
        let b = key(&[("instance", "a:9100"), ("job", "node"), ("__name__", "up")]).unwrap();
        assert_eq!(a, b);
        assert_eq!(validate(&a), Ok(()));
        let read: Vec<_> = labels(&a).collect();
        assert_eq!(read, [("__name__", "up"), ("instance", "a:9100"), ("job", "node")]);
    }

    #[test]
    fn bad_label_sets_are_named() {
        assert_eq!(key(&[("job", "x")]), Err(KeyError::NoName));
        assert_eq!(key(&[("__name__", "x"), ("a", "1"), ("a", "2")]), Err(KeyError::DuplicateLabel));
        assert_eq!(key(&[("__name__", "x"), ("", "2")]), Err(KeyError::EmptyLabelName));
        assert_eq!(validate(b"\x0a\x7f"), Err(KeyError::Malformed));
        assert_eq!(validate(b""), Err(KeyError::NoName));
    }

    #[test]
    fn an_empty_value_is_no_label() {
        assert_eq!(key(&[("__name__", "x"), ("a", "")]), key(&[("__name__", "x")]));
    }

    #[test]
    fn long_values_survive() {
        let long = "v".repeat(70_000);
        let bytes = key(&[("__name__", "x"), ("a", &long)]).unwrap();
        assert_eq!(label(&bytes, "a"), Some(long.as_str()));
        assert_eq!(validate(&bytes), Ok(()));
    }

    /// The vectors of `storage/FORMAT.md`, computed with another implementation of XXH3: partitions must never move.
    #[test]
    fn partitions_are_those_of_the_format() {
        let up = key(&[("__name__", "up")]).unwrap();
        assert_eq!(up, b"\x0a\x0e\x0a\x08__name__\x12\x02up");
        let scraped = key(&[("__name__", "up"), ("instance", "a:9100"), ("job", "node")]).unwrap();
        let idle = key(&[("__name__", "node_cpu_seconds_total"), ("cpu", "0"), ("mode", "idle")]).unwrap();
        assert_eq!((hash(&up), partition_of(hash(&up))), (0x6f24_379a_5e5a_85c7, 27));
        assert_eq!((hash(&scraped), partition_of(hash(&scraped))), (0x3bce_6bda_30e0_3f92, 14));
        assert_eq!((hash(&idle), partition_of(hash(&idle))), (0x6f0a_77b8_d719_9c45, 27));
        assert_eq!(partition_of(u64::MAX), 63);
        assert_eq!(SeriesRef::new(63, 5).partition(), 63);
        assert_eq!(SeriesRef::new(63, 5).id(), 5);
    }
}
