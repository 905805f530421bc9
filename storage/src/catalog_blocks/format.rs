//! What encoder and decoder of catalog blocks agree on, and what can be wrong with their input.
//!
//! Not here: the layout itself, which is drawn in `storage/FORMAT.md` and followed by `encode` and `decode`
//! from top to bottom.

pub use crate::series::KEY_BYTES_MAX;

/// The smallest block limit that has room for any one key. A key costs at most 5 bytes a label more than it is long,
/// and has at most `KEY_BYTES_MAX` / 8 labels.
pub const BLOCK_BYTES_MIN: usize = KEY_BYTES_MAX + 5 * (KEY_BYTES_MAX / 8) + FIXED_BYTES_MAX;

/// The first byte of every block.
pub(super) const VERSION: u8 = 1;

/// The checksum at the end: CRC-32 (IEEE) of all bytes before it, little endian.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// The most rows of a block; keeps what a block expands to bounded when rows take no bits.
pub(super) const ROWS_MAX: usize = 4096;

/// The most bytes of everything that a block has once: version, counts, first id, width of gaps, checksum.
pub(super) const FIXED_BYTES_MAX: usize = 1 + 2 + 5 + 1 + 3 + 3 + CHECKSUM_BYTES;

/// Why entries are no block, or bytes are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A key is longer than [`KEY_BYTES_MAX`].
    #[error("key of series id {id} is {bytes} bytes long, the most is {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// The series id.
        id: u32,
        /// The length of its key.
        bytes: usize,
    },
    /// A key is not canonical.
    #[error("key of series id {id} is not canonical")]
    BadKey {
        /// The series id.
        id: u32,
    },
    /// Two entries have one id.
    #[error("series id {id} has two keys")]
    DuplicateId {
        /// The series id.
        id: u32,
    },
    /// The block is not what was written.
    #[error("catalog block is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where in the block.
        offset: usize,
        /// What does not hold.
        what: &'static str,
    },
}

/// How many bits number `count` things; none for one.
#[inline]
pub(super) fn width(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}
