//! The protobuf wire format: fields, numbers and lengths, read in place or written to a caller's buffer.
//!
//! Not here: what a field means (see the protocol's own folder); groups, which proto3 does not have and which are
//! refused like the wire types that do not exist.
//!
//! Numbers need not be minimal, as the specification allows; ten bytes and 64 bits are the most a number may have.
//!
//! Invariants: a reader never leaves its message; each successful call but the last `tag` moves forward, so a walk
//! ends after at most as many steps as there are bytes; `at` counts from the start of the outermost buffer.

use crate::ParseError;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// A field's number and wire type as one value, so that a schema is a `match` over constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u32);

impl Tag {
    pub(crate) const fn varint(number: u32) -> Self {
        Self(number << 3 | VARINT)
    }

    pub(crate) const fn fixed64(number: u32) -> Self {
        Self(number << 3 | FIXED64)
    }

    /// A message, a string or bytes.
    pub(crate) const fn length_delimited(number: u32) -> Self {
        Self(number << 3 | LENGTH_DELIMITED)
    }

    /// The tag as it stands on the wire; for field numbers below 16 only, whose tags are one byte.
    pub(crate) const fn byte(self) -> u8 {
        assert!(self.0 < 0x80);
        self.0 as u8
    }

    /// Writes the tag and the length of a field whose contents follow; for field numbers below 16 only.
    pub(crate) fn push_header(self, out: &mut Vec<u8>, contents_bytes: usize) {
        out.push(self.byte());
        push_varint(out, contents_bytes as u64);
    }

    #[inline]
    fn number(self) -> u32 {
        self.0 >> 3
    }

    #[inline]
    fn wire_type(self) -> u32 {
        self.0 & 7
    }
}

/// A position within one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// From the start of the outermost buffer to the end of this message.
    bytes: &'a [u8],
    /// Invariant: at most `bytes.len()`.
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the start of an outermost message.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes from the start of the outermost buffer.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What is left of the message.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Moves forward by `len` bytes that the caller has seen in `rest`.
    #[inline]
    pub(crate) fn advance(&mut self, len: usize) {
        debug_assert!(len <= self.bytes.len() - self.at);
        self.at += len;
    }

    /// The next field's tag; `None` at the end of the message. Its value follows.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>, ParseError> {
        let offset = self.at;
        if offset == self.bytes.len() {
            return Ok(None);
        }
        match u32::try_from(self.varint()?) {
            Ok(tag) if tag >> 3 != 0 => Ok(Some(Tag(tag))),
            _ => Err(ParseError::FieldNumber { offset }),
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, ParseError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    /// A number of up to six bytes, which every length and every time from 1971 to 2109 is, without a loop.
    fn long_varint(&mut self) -> Result<u64, ParseError> {
        let Some(&[b0, b1, b2, b3, b4, b5]) = self.rest().first_chunk() else { return self.any_varint() };
        let word = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, 0, 0]);
        let last_bytes = !word & 0x8080_8080_8080;
        if last_bytes == 0 {
            return self.any_varint();
        }
        // The lowest set bit is the top bit of the last byte: keep what is below it, then close the gaps between the
        // groups of seven bits, two, four and eight at a time.
        let groups = word & (last_bytes ^ (last_bytes - 1)) & 0x7f7f_7f7f_7f7f;
        let pairs = (groups & 0x007f_007f_007f) | (groups & 0x7f00_7f00_7f00) >> 1;
        let fours = (pairs & 0x3fff_0000_3fff) | (pairs & 0x3fff_0000) >> 2;
        self.at += last_bytes.trailing_zeros() as usize / 8 + 1;
        Ok((fours & 0x0fff_ffff) | (fours & 0x3fff_0000_0000) >> 4)
    }

    #[cold]
    fn any_varint(&mut self) -> Result<u64, ParseError> {
        let offset = self.at;
        let mut value = 0;
        for (i, &byte) in self.rest().iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                // The tenth byte holds bit 63 and nothing else.
                if i == 9 && byte > 1 {
                    return Err(ParseError::VarintTooLong { offset });
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(if self.rest().len() < 10 {
            ParseError::Truncated { offset }
        } else {
            ParseError::VarintTooLong { offset }
        })
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, ParseError> {
        let &bytes = self.rest().first_chunk().ok_or(ParseError::Truncated { offset: self.at })?;
        self.at += 8;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A length and the bytes it announces.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], ParseError> {
        let message = self.message()?;
        Ok(message.rest())
    }

    /// A length and a reader over the message it announces.
    #[inline]
    pub(crate) fn message(&mut self) -> Result<Reader<'a>, ParseError> {
        let offset = self.at;
        let len = self.varint()?;
        let start = self.at;
        if len > (self.bytes.len() - start) as u64 {
            return Err(ParseError::LengthPastEnd { offset });
        }
        self.at += len as usize;
        Ok(Reader { bytes: &self.bytes[..self.at], at: start })
    }

    /// Steps over the value of a field that the schema does not have; `known` are the numbers that it does have, which
    /// can only get here with a wrong wire type.
    #[inline]
    pub(crate) fn skip_unknown(&mut self, tag: Tag, known: &[u32]) -> Result<(), ParseError> {
        if known.contains(&tag.number()) {
            return Err(ParseError::WrongWireType { offset: self.at });
        }
        self.skip(tag)
    }

    /// Steps over the value of a field.
    #[inline]
    pub(crate) fn skip(&mut self, tag: Tag) -> Result<(), ParseError> {
        let offset = self.at;
        match tag.wire_type() {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LENGTH_DELIMITED => self.message().map(drop),
            FIXED32 if self.rest().len() < 4 => Err(ParseError::Truncated { offset }),
            FIXED32 => {
                self.at += 4;
                Ok(())
            }
            _ => Err(ParseError::UnknownWireType { offset }),
        }
    }
}

/// The bytes of a length-delimited field whose number is below 16: tag, minimal length, contents.
pub(crate) fn field_bytes(contents_bytes: usize) -> usize {
    1 + varint_bytes(contents_bytes as u64) + contents_bytes
}

/// The bytes of a number written as short as it can be.
pub(crate) fn varint_bytes(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes a number as short as it can be.
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> Result<(u64, usize), ParseError> {
        let mut reader = Reader::new(bytes);
        reader.varint().map(|value| (value, reader.at()))
    }

    /// The first two are the examples of the encoding guide, the rest by hand.
    #[test]
    fn numbers_are_read_in_every_legal_length() {
        assert_eq!(varint(&[0x01]), Ok((1, 1)));
        assert_eq!(varint(&[0x96, 0x01]), Ok((150, 2)));
        assert_eq!(varint(&[0x81, 0x80, 0x00]), Ok((1, 3)), "longer than needed is legal");
        let all_ones = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&all_ones), Ok((u64::MAX, 10)));
    }

    #[test]
    fn numbers_are_written_as_short_as_they_can_be_and_read_back() {
        for (value, bytes) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)]
        {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            assert_eq!(out.len(), bytes);
            assert_eq!(varint_bytes(value), bytes);
            assert_eq!(varint(&out), Ok((value, bytes)), "at the end of a message");
            out.extend([0xff; 6]);
            assert_eq!(varint(&out), Ok((value, bytes)), "within a message");
        }
    }

    #[test]
    fn numbers_that_end_early_or_never_are_refused() {
        assert_eq!(varint(&[]), Err(ParseError::Truncated { offset: 0 }));
        assert_eq!(varint(&[0xff; 9]), Err(ParseError::Truncated { offset: 0 }));
        assert_eq!(varint(&[0xff; 11]), Err(ParseError::VarintTooLong { offset: 0 }));
        let bit_64 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(varint(&bit_64), Err(ParseError::VarintTooLong { offset: 0 }));
    }

    #[test]
    fn tags_without_a_field_number_are_refused() {
        assert_eq!(Reader::new(&[0x02]).tag(), Err(ParseError::FieldNumber { offset: 0 }));
        let bit_32 = [0x82, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(Reader::new(&bit_32).tag(), Err(ParseError::FieldNumber { offset: 0 }));
        assert_eq!(Reader::new(&[]).tag(), Ok(None));
    }

    #[test]
    fn every_wire_type_is_stepped_over_exactly() {
        for (bytes, len) in [
            (&[0x08, 0xff, 0x01, 9][..], 3),
            (&[0x09, 1, 2, 3, 4, 5, 6, 7, 8, 9][..], 9),
            (&[0x0a, 2, 1, 2, 9][..], 4),
            (&[0x0d, 1, 2, 3, 4, 9][..], 5),
        ] {
            let mut reader = Reader::new(bytes);
            let tag = reader.tag().unwrap().unwrap();
            assert_eq!(reader.skip(tag), Ok(()));
            assert_eq!(reader.at(), len, "{bytes:x?}");
        }
    }

    #[test]
    fn values_that_cannot_be_stepped_over_say_where() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let tag = reader.tag().unwrap().unwrap();
            reader.skip(tag)
        };
        assert_eq!(skip(&[0x08, 0x80]), Err(ParseError::Truncated { offset: 1 }));
        assert_eq!(skip(&[0x09, 1, 2, 3, 4, 5, 6, 7]), Err(ParseError::Truncated { offset: 1 }));
        assert_eq!(skip(&[0x0d, 1, 2, 3]), Err(ParseError::Truncated { offset: 1 }));
        assert_eq!(skip(&[0x0a, 3, 1, 2]), Err(ParseError::LengthPastEnd { offset: 1 }));
        for wire_type in [3, 4, 6, 7] {
            assert_eq!(skip(&[0x08 | wire_type, 0]), Err(ParseError::UnknownWireType { offset: 1 }));
        }
    }

    #[test]
    fn offsets_inside_nested_messages_count_from_the_outermost() {
        let mut outer = Reader::new(&[0x0a, 3, 0x12, 5, 0, 0, 0]);
        outer.tag().unwrap();
        let mut inner = outer.message().unwrap();
        inner.tag().unwrap();
        assert_eq!(inner.bytes(), Err(ParseError::LengthPastEnd { offset: 3 }), "the inner message has 1 byte left");
    }

    #[test]
    fn a_known_field_with_another_wire_type_is_refused() {
        let mut reader = Reader::new(&[0x08, 1, 0x10, 1]);
        let tag = reader.tag().unwrap().unwrap();
        assert_eq!(reader.skip_unknown(tag, &[2, 1]), Err(ParseError::WrongWireType { offset: 1 }));
        assert_eq!(reader.skip_unknown(tag, &[2, 3]), Ok(()));
        assert_eq!(reader.at(), 2);
    }
}
