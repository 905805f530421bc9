//! Reading the bytes of a chunk front to back, and the small numbers that are written between its columns.
//!
//! Unsigned numbers are little-endian base-128 varints (LEB128) of at most ten bytes; signed ones are zigzagged
//! first, so that small negatives stay short.
//!
//! Not here: packed columns (see `bits`).
//!
//! Invariant: a cursor never leaves its slice; what is missing is [`ChunkError::Truncated`].

/// Why bytes are not a chunk that this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The bytes end before the chunk does.
    #[error("chunk is cut short")]
    Truncated,
    /// The chunk ends before the bytes do.
    #[error("chunk is followed by {bytes} stray bytes")]
    TrailingBytes {
        /// How many bytes are left over.
        bytes: usize,
    },
    /// The type byte names no layout known here; a newer version may have written it.
    #[error("chunk type {found} is unknown")]
    UnknownType {
        /// The type byte.
        found: u8,
    },
    /// The bytes contradict the layout.
    #[error("chunk is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where reading stood when it showed, in bytes from the start of the chunk.
        offset: usize,
        /// What does not hold.
        what: &'static str,
    },
}

/// A position in the bytes of a chunk.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// What has not been read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Steps over `count` bytes and returns them.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ChunkError> {
        let taken = self.rest().get(..count).ok_or(ChunkError::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, ChunkError> {
        let &byte = self.bytes.get(self.at).ok_or(ChunkError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// Eight bytes, little-endian.
    pub(super) fn word(&mut self) -> Result<u64, ChunkError> {
        let bytes = self.take(8)?.first_chunk().expect("eight bytes were taken");
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, ChunkError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte has room for the top bit only; the rest of it would be lost unseen.
                return if shift == 63 && byte > 1 {
                    Err(self.damaged("number of more than 64 bits"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(self.damaged("number of more than ten bytes"))
    }

    #[inline]
    pub(super) fn zigzag(&mut self) -> Result<i64, ChunkError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Demands that everything has been read.
    pub(super) fn finish(self) -> Result<(), ChunkError> {
        match self.rest().len() {
            0 => Ok(()),
            bytes => Err(ChunkError::TrailingBytes { bytes }),
        }
    }

    /// An error that says where the cursor stands.
    #[cold]
    pub(super) fn damaged(&self, what: &'static str) -> ChunkError {
        ChunkError::Damaged { offset: self.at, what }
    }
}

#[inline]
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn push_zigzag(out: &mut Vec<u8>, value: i64) {
    push_varint(out, zigzag(value));
}

#[inline]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// How many bytes [`push_zigzag`] would write.
#[inline]
pub(super) fn zigzag_bytes(value: i64) -> u32 {
    (64 - (zigzag(value) | 1).leading_zeros()).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_their_size_is_foretold() {
        for value in [0, 1, -1, 63, -64, 64, 8191, -8192, 8192, 1 << 40, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_zigzag(&mut out, value);
            assert_eq!(out.len(), zigzag_bytes(value) as usize, "{value}");
            let mut cursor = Cursor::new(&out);
            assert_eq!(cursor.zigzag(), Ok(value));
            assert_eq!(cursor.finish(), Ok(()));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(Cursor::new(&longest).varint(), Ok(u64::MAX));
        longest[9] = 2;
        assert!(matches!(Cursor::new(&longest).varint(), Err(ChunkError::Damaged { offset: 10, .. })));
        assert!(matches!(Cursor::new(&[0x80; 11]).varint(), Err(ChunkError::Damaged { .. })));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(ChunkError::Truncated));
    }

    #[test]
    fn what_is_left_over_is_counted() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.byte(), Ok(1));
        assert_eq!(cursor.word(), Err(ChunkError::Truncated));
        assert_eq!(cursor.finish(), Err(ChunkError::TrailingBytes { bytes: 2 }));
    }
}
