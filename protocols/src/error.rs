//! Why bytes are not what their protocol says they are, and where.
//!
//! Not here: what a server answers or counts for it.
//!
//! Invariant: offsets are bytes from the start of the buffer that was handed to the parser, also inside nested
//! messages; for remote write that is the decompressed body.

/// Malformed input: small, `Copy`, and made without formatting or allocation, because bad input is normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The body says it decompresses to more than the caller allows; nothing was decompressed.
    #[error("body claims {claimed_bytes} bytes decompressed, more than the limit")]
    BodyTooLarge {
        /// The length in the body's header.
        claimed_bytes: u64,
    },
    /// The body is not one whole snappy block.
    #[error("body is not a snappy block")]
    NotSnappy,
    /// The body is not one whole frame of zstd.
    #[error("body is not a frame of zstd")]
    NotZstd,
    /// A number or a fixed-width value ends early.
    #[error("message ends inside the value at byte {offset}")]
    Truncated {
        /// Where the value begins.
        offset: usize,
    },
    /// A variable-length number has more than 64 bits.
    #[error("number at byte {offset} has more than 64 bits")]
    VarintTooLong {
        /// Where the number begins.
        offset: usize,
    },
    /// A request's table of symbols is longer than any sender makes it.
    #[error("more symbols than are accepted at byte {offset}")]
    TooManySymbols {
        /// Where the first symbol too many begins.
        offset: usize,
    },
    /// A length points past the end of the message it stands in.
    #[error("length at byte {offset} runs past the end of its message")]
    LengthPastEnd {
        /// Where the length begins.
        offset: usize,
    },
    /// A field number is 0 or has more than 29 bits.
    #[error("no field has the number at byte {offset}")]
    FieldNumber {
        /// Where the field begins.
        offset: usize,
    },
    /// A field has another wire type than its schema gives it.
    #[error("field with the value at byte {offset} has another wire type than its schema says")]
    WrongWireType {
        /// Where the field's value begins.
        offset: usize,
    },
    /// A field has a wire type that proto3 does not use (groups) or that does not exist.
    #[error("field with the value at byte {offset} has no known wire type")]
    UnknownWireType {
        /// Where the field's value begins.
        offset: usize,
    },
    /// An element has a tag that does not belong where it stands.
    #[error("element at byte {offset} has the tag {tag:#04x}, which does not belong there")]
    UnexpectedTag {
        /// Where the element begins.
        offset: usize,
        /// Its tag.
        tag: u8,
    },
    /// A value does not have the form or the size its type demands.
    #[error("value at byte {offset} does not have the form its type demands")]
    BadValue {
        /// Where the value begins.
        offset: usize,
    },
}
