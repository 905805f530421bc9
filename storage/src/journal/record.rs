//! The frame around every journal record: how it begins, how long it is, and how to tell that it is whole.
//!
//! ```text
//! byte  0        4      5        9          17      21
//!       marker   kind   length   sequence   crc32   payload ...
//! ```
//!
//! Not here: what payloads mean (see `samples`, `new_series`), where records lie in files (see `segment`).
//!
//! Invariants: the checksum covers marker, kind, length, sequence and payload, so no field can change unnoticed;
//! the marker holds bytes that UTF-8 never contains, so no label can imitate it.

/// What every record begins with; what replay looks for after damage.
pub(super) const MARKER: [u8; 4] = [0xF7, b'I', b'W', 0xFE];

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 21;

/// The longest payload replay accepts: a bound on its memory, and on what a damaged length can claim.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// The version of the payloads written by this code, in the upper four bits of the kind byte.
const VERSION: u8 = 1;

const KIND_AT: usize = 4;
const LENGTH_AT: usize = 5;
const SEQ_AT: usize = 9;
const CRC_AT: usize = 17;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Samples of series that have a reference already.
    Samples = 1,
    /// References given to new series keys.
    NewSeries = 2,
}

/// A record's header as read; worth nothing until [`Header::checks`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Unique in the store; rises within a partition.
    pub(super) seq: u64,
    /// Bytes of payload behind the header.
    pub(super) payload_bytes: usize,
    kind_byte: u8,
}

impl Header {
    /// Reads a header off the front of `bytes`; `None` when no record can begin here.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        let payload_bytes = u32::from_le_bytes(field(header, LENGTH_AT)) as usize;
        (header.starts_with(&MARKER) && payload_bytes <= PAYLOAD_BYTES_MAX).then(|| Self {
            seq: u64::from_le_bytes(field(header, SEQ_AT)),
            payload_bytes,
            kind_byte: header[KIND_AT],
        })
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes
    }

    /// Whether `record`, header and payload, is what was written.
    pub(super) fn checks(&self, record: &[u8]) -> bool {
        record.len() == self.record_bytes() && crc(record) == u32::from_le_bytes(field(record, CRC_AT))
    }

    /// The kind; the kind byte itself when it is of a kind or version this program does not know.
    pub(super) fn kind(&self) -> Result<Kind, u8> {
        match (self.kind_byte >> 4, self.kind_byte & 0x0f) {
            (VERSION, 1) => Ok(Kind::Samples),
            (VERSION, 2) => Ok(Kind::NewSeries),
            _ => Err(self.kind_byte),
        }
    }
}

/// Makes room for a header at the end of `out`; the payload follows, then [`finish`].
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

/// Writes the header of the record that began at `start` and whose payload is the rest of `out`.
///
/// # Panics
/// When the payload is longer than replay would accept; the encoders' limits keep it far below.
pub(super) fn finish(out: &mut [u8], start: usize, kind: Kind, seq: u64) {
    let record = &mut out[start..];
    let payload_bytes = record.len() - HEADER_BYTES;
    assert!(payload_bytes <= PAYLOAD_BYTES_MAX, "record of {payload_bytes} bytes would not be replayed");
    record[..KIND_AT].copy_from_slice(&MARKER);
    record[KIND_AT] = VERSION << 4 | kind as u8;
    record[LENGTH_AT..SEQ_AT].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    record[SEQ_AT..CRC_AT].copy_from_slice(&seq.to_le_bytes());
    let crc = crc(record);
    record[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
}

fn crc(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..CRC_AT]);
    hasher.update(&record[HEADER_BYTES..]);
    hasher.finalize()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie within a header whose length was checked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let mut out = vec![9; 3];
        let start = begin(&mut out);
        out.extend_from_slice(payload);
        finish(&mut out, start, Kind::NewSeries, 77);
        out.split_off(3)
    }

    #[test]
    fn a_frame_reads_as_written() {
        let record = record(b"payload");
        let header = Header::read(&record).unwrap();
        assert_eq!((header.seq, header.payload_bytes, header.record_bytes()), (77, 7, 28));
        assert_eq!(header.kind(), Ok(Kind::NewSeries));
        assert!(header.checks(&record));
    }

    #[test]
    fn no_bit_can_change_unnoticed() {
        let record = record(b"payload");
        for bit in 0..record.len() * 8 {
            let mut bent = record.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!Header::read(&bent).is_some_and(|header| header.checks(&bent)), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_kind_is_told_from_damage() {
        let mut record = record(b"payload");
        record[KIND_AT] = 0x29;
        let sum = crc(&record);
        record[CRC_AT..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        let header = Header::read(&record).unwrap();
        assert!(header.checks(&record));
        assert_eq!(header.kind(), Err(0x29));
    }

    #[test]
    fn a_length_beyond_the_limit_begins_no_record() {
        let mut record = record(b"payload");
        record[LENGTH_AT..SEQ_AT].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32 + 1).to_le_bytes());
        assert!(Header::read(&record).is_none());
        assert!(Header::read(&record[..HEADER_BYTES - 1]).is_none());
    }

    /// The bytes of `storage/FORMAT.md`.
    #[test]
    fn the_frame_is_that_of_the_format() {
        let record = record(b"");
        assert_eq!(record[..17], [0xF7, b'I', b'W', 0xFE, 0x12, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
    }
}
