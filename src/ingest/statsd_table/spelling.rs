//! The bytes of a line that tell its series from others, and their hash.
//!
//! Not here: which slot they have (see `slots`).
//!
//! Invariant: hashes are seeded, so that nobody can choose names that collide.

use protocols::statsd::Measure;
use std::hash::{BuildHasher, RandomState};

/// The bytes of a line that tell its series from others.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingest) struct Raw<'a> {
    name: &'a [u8],
    tags: &'a [u8],
    container: &'a [u8],
    shape: Shape,
}

/// The same with its hash.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingest) struct Hashed<'a> {
    pub(super) raw: Raw<'a>,
    pub(super) hash: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Count,
    Gauge,
    Timer,
    Set,
    /// Counted like a count; its kind stands in the place of the container.
    Event,
}

/// Lengths and type: what is compared before bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    name_len: u16,
    tags_len: u16,
    container_len: u16,
    class: Class,
}

/// A spelling that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Box<[u8]>,
    shape: Shape,
}

impl<'a> Raw<'a> {
    pub(super) fn new(name: &'a [u8], tags: &'a [u8], container: &'a [u8], class: Class) -> Self {
        // A datagram has less than 64 KiB, and lines of a stream are held to that.
        let shape = Shape {
            name_len: name.len() as u16,
            tags_len: tags.len() as u16,
            container_len: container.len() as u16,
            class,
        };
        Self { name, tags, container, shape }
    }

    #[inline]
    pub(super) fn is(&self, kept: &Kept) -> bool {
        if self.shape != kept.shape {
            return false;
        }
        // Equal shapes cut both at the same places.
        let (name, rest) = kept.bytes.split_at(self.name.len().min(kept.bytes.len()));
        name == self.name
            && (rest.is_empty() || rest.split_at_checked(self.tags.len()) == Some((self.tags, self.container)))
    }

    pub(super) fn class(&self) -> Class {
        self.shape.class
    }

    pub(super) fn kept(&self) -> Kept {
        Kept { bytes: [self.name, self.tags, self.container].concat().into(), shape: self.shape }
    }
}

#[inline]
pub(super) fn class(measure: &Measure<'_>) -> Class {
    match measure {
        Measure::Count(_) => Class::Count,
        Measure::Gauge(_) | Measure::GaugeChange(_) => Class::Gauge,
        Measure::Timer(_) => Class::Timer,
        Measure::Member(_) => Class::Set,
        Measure::Event(_) => Class::Event,
    }
}

/// The seeds of one process' hashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds([u64; 2]);

impl Seeds {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(1), random.hash_one(2)])
    }

    /// Two multiplications for a name of 32 bytes; seeded, so that nobody can choose names that collide.
    #[inline]
    pub(super) fn hashed<'a>(&self, raw: Raw<'a>) -> Hashed<'a> {
        let [seed, other] = self.0;
        let mut hash = fold_bytes(seed ^ raw.shape.class as u64, other, raw.name);
        if !raw.tags.is_empty() {
            hash = fold_bytes(hash, other, raw.tags);
        }
        if !raw.container.is_empty() {
            hash = fold_bytes(hash, other, raw.container);
        }
        Hashed { raw, hash }
    }
}

/// Mixes bytes into a hash by full multiplications of 64 by 64 bits whose halves are folded together.
#[inline]
fn fold_bytes(seed: u64, other: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed;
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<16>() {
        let (low, high) = halves(chunk);
        hash = fold(low ^ hash, high ^ other);
        rest = after;
    }
    if !rest.is_empty() {
        let mut last = [0; 16];
        match bytes.last_chunk::<16>() {
            // What stands before is mixed in twice, which is cheaper than copying a length that varies.
            Some(chunk) => last = *chunk,
            None => last[..rest.len()].copy_from_slice(rest),
        }
        let (low, high) = halves(&last);
        hash = fold(low ^ hash, high ^ other);
    }
    // The length comes last: mixed into the first bytes, one could make up for the other.
    fold(hash ^ bytes.len() as u64, other | 1)
}

#[inline]
fn halves(chunk: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*chunk);
    (both as u64, (both >> 64) as u64)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_all_lengths_differ_by_every_byte() {
        let (seed, other) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..50 {
            let mut bytes = vec![b'x'; len];
            assert!(seen.insert(fold_bytes(seed, other, &bytes)));
            for at in 0..len {
                bytes[at] = b'y';
                assert!(seen.insert(fold_bytes(seed, other, &bytes)), "{len} {at}");
                bytes[at] = b'x';
            }
        }
    }
}
