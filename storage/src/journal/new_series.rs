//! The payload of a new-series record: which reference was given to which series key.
//!
//! ```text
//! varint count | count x ( u32 reference | varint bytes of key | key )
//! ```
//!
//! Churn, not the sample path, so nothing here is clever: keys are written whole.
//!
//! Not here: whether the keys are valid or new (see `catalog`).

use super::record::{self, Kind};
use super::{DecodeError, varint};
use crate::series::SeriesRef;

/// When the payload has this many bytes the caller should finish it: far below the limit of a record, so that any
/// one more key still fits.
const FULL_BYTES: usize = 1 << 20;

/// Collects new series and encodes them into one record; keeps its memory between records.
#[derive(Debug, Default)]
pub struct SeriesEncoder {
    count: u64,
    entries: Vec<u8>,
}

impl SeriesEncoder {
    /// Adds a series and its canonical key; when [`Self::is_full`] says so, finish the record first.
    pub fn push(&mut self, series: SeriesRef, key: &[u8]) {
        self.count += 1;
        self.entries.extend_from_slice(&series.0.to_le_bytes());
        varint::push(&mut self.entries, key.len() as u64);
        self.entries.extend_from_slice(key);
    }

    /// Whether the record should be finished before another series is pushed.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= FULL_BYTES
    }

    /// Series pushed since the last record.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends the record to `out` and forgets the series; appends nothing when there are none.
    ///
    /// # Panics
    /// When the payload exceeds 16 MiB, which takes a single key of 15 MiB if [`Self::is_full`] was heeded.
    pub fn finish(&mut self, seq: u64, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        let start = record::begin(out);
        varint::push(out, self.count);
        out.extend_from_slice(&self.entries);
        record::finish(out, start, Kind::NewSeries, seq);
        self.count = 0;
        self.entries.clear();
    }
}

/// Calls `each` with the series of a payload in the order they were pushed and returns how many there were.
///
/// On an error, `each` may have been called for series before the fault; a checksummed record gives none.
pub fn decode_series(payload: &[u8], mut each: impl FnMut(SeriesRef, &[u8])) -> Result<usize, DecodeError> {
    let mut rest = payload;
    let count = varint::take(&mut rest).ok_or(DecodeError("count of series"))?;
    let mut seen = 0;
    while !rest.is_empty() {
        let (series, key) = take_entry(&mut rest).ok_or(DecodeError("series entry"))?;
        each(series, key);
        seen += 1;
    }
    if seen as u64 == count { Ok(seen) } else { Err(DecodeError("count of series")) }
}

/// A bit for each partition that the series of a payload are of; all bits when it cannot be told.
pub fn partitions_of_series(payload: &[u8]) -> u64 {
    let mut partitions = 0;
    let decoded = decode_series(payload, |series, _| partitions |= 1 << series.partition());
    if decoded.is_ok() { partitions } else { u64::MAX }
}

fn take_entry<'a>(rest: &mut &'a [u8]) -> Option<(SeriesRef, &'a [u8])> {
    let (reference, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    let key_bytes = usize::try_from(varint::take(rest)?).ok()?;
    let (key, behind) = rest.split_at_checked(key_bytes)?;
    *rest = behind;
    Some((SeriesRef(u32::from_le_bytes(*reference)), key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(rows: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut encoder = SeriesEncoder::default();
        rows.iter().for_each(|(series, key)| encoder.push(SeriesRef(*series), key));
        let mut out = Vec::new();
        encoder.finish(1, &mut out);
        assert!(encoder.is_empty() && encoder.entries.is_empty());
        out.split_off(record::HEADER_BYTES)
    }

    fn decoded(payload: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, DecodeError> {
        let mut rows = Vec::new();
        let count = decode_series(payload, |series, key| rows.push((series.0, key.to_vec())))?;
        assert_eq!(count, rows.len());
        Ok(rows)
    }

    /// The bytes of `storage/FORMAT.md`.
    #[test]
    fn the_payload_is_that_of_the_format() {
        assert_eq!(encoded(&[(0x0400_0001, b"ab".to_vec())]), [1, 1, 0, 0, 4, 2, b'a', b'b']);
    }

    #[test]
    fn the_partitions_of_a_payload_are_those_of_its_series() {
        let payload = encoded(&[(0x0400_0001, b"ab".to_vec()), (5, b"cd".to_vec())]);
        assert_eq!(partitions_of_series(&payload), 0b11);
        assert_eq!(partitions_of_series(&payload[..payload.len() - 1]), u64::MAX);
    }

    #[test]
    fn a_shortened_payload_is_refused() {
        let payload = encoded(&[(1, b"one".to_vec()), (2, vec![7; 300])]);
        for len in 0..payload.len() {
            assert!(decoded(&payload[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_record_is_full_long_before_it_is_too_long_to_replay() {
        let mut encoder = SeriesEncoder::default();
        let key = vec![b'k'; 70_000];
        while !encoder.is_full() {
            encoder.push(SeriesRef(encoder.len() as u32), &key);
        }
        assert!(encoder.entries.len() + key.len() < record::PAYLOAD_BYTES_MAX / 8);
    }

    #[test]
    fn nothing_pushed_is_no_record() {
        let mut out = Vec::new();
        SeriesEncoder::default().finish(1, &mut out);
        assert!(out.is_empty());
    }

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..200)
    }

    proptest! {
        #[test]
        fn any_series_survive(rows in prop::collection::vec((any::<u32>(), any_key()), 1..20)) {
            prop_assert_eq!(decoded(&encoded(&rows)), Ok(rows));
        }

        #[test]
        fn hostile_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decoded(&payload);
        }
    }
}
