//! BER as SNMP uses it (RFC 3417, section 8): definite lengths, one-byte tags, read in place and written from the end.
//!
//! Not here: what the fields of a message are (see `message` and `pdu`).
//!
//! Invariants: a reader never looks past the end of the element it was made for; what a writer finished, a reader reads
//! back. Lengths may be written with more bytes than needed, as some agents do; an indefinite length is refused.
//!
//! A message is built back to front: a length is known when its contents have been written, so nothing is moved and
//! nothing is counted twice. The buffer holds the bytes in reverse until [`Writer::finish`] turns them round.

use crate::ParseError;

/// Tags of the universal types SNMP uses.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// The longest length of a length: 4 bytes are more than any datagram.
const LENGTH_BYTES_MAX: usize = 4;

/// One element: its tag, its contents, and where the contents begin in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) contents: &'a [u8],
    pub(super) offset: usize,
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Of the first byte left, in the datagram.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads a datagram, or a part of one that begins at `offset`.
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// Reads the contents of an element.
    pub(super) fn of(element: Element<'a>) -> Self {
        Self::new(element.contents, element.offset)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes that are left.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The next element, whatever its tag.
    pub(super) fn next(&mut self) -> Result<Element<'a>, ParseError> {
        let start = self.offset;
        let truncated = ParseError::Truncated { offset: start };
        let [tag, first, rest @ ..] = self.bytes else { return Err(truncated) };
        let (len, rest, header) = match *first {
            short if short < 0x80 => (usize::from(short), rest, 2),
            long => {
                let count = usize::from(long & 0x7f);
                if count == 0 || count > LENGTH_BYTES_MAX {
                    return Err(ParseError::BadValue { offset: start });
                }
                let (bytes, rest) = rest.split_at_checked(count).ok_or(truncated)?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest, 2 + count)
            }
        };
        let (contents, rest) = rest.split_at_checked(len).ok_or(ParseError::LengthPastEnd { offset: start + 1 })?;
        let offset = start + header;
        self.bytes = rest;
        self.offset = offset + len;
        Ok(Element { tag: *tag, contents, offset })
    }

    /// The next element, which has to have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, ParseError> {
        let start = self.offset;
        let element = self.next()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(ParseError::UnexpectedTag { offset: start, tag: element.tag })
        }
    }

    /// The next element as an INTEGER of at most 32 bits.
    pub(super) fn integer(&mut self) -> Result<i32, ParseError> {
        let element = self.expect(INTEGER)?;
        signed(element).and_then(|value| i32::try_from(value).map_err(|_| bad(element)))
    }

    /// The next element as an INTEGER of 0 to 2^31 - 1.
    pub(super) fn natural(&mut self) -> Result<u32, ParseError> {
        let offset = self.offset;
        u32::try_from(self.integer()?).map_err(|_| ParseError::BadValue { offset })
    }

    /// Fails unless everything has been read.
    pub(super) fn end(&self) -> Result<(), ParseError> {
        if self.is_empty() { Ok(()) } else { Err(ParseError::BadValue { offset: self.offset }) }
    }
}

fn bad(element: Element<'_>) -> ParseError {
    ParseError::BadValue { offset: element.offset }
}

/// Two's complement of 1 to 8 bytes.
pub(super) fn signed(element: Element<'_>) -> Result<i64, ParseError> {
    match element.contents {
        [] => Err(bad(element)),
        [first, ..] if element.contents.len() <= 8 => {
            let sign = if *first < 0x80 { 0 } else { -1 };
            Ok(element.contents.iter().fold(sign, |value: i64, byte| value << 8 | i64::from(*byte)))
        }
        _ => Err(bad(element)),
    }
}

/// An unsigned number of at most 64 bits. Agents are known to leave out the zero byte that keeps a large number
/// positive, so a leading one bit is taken as part of the number.
pub(super) fn unsigned(element: Element<'_>) -> Result<u64, ParseError> {
    let digits = match element.contents {
        [] => return Err(bad(element)),
        [0, rest @ ..] => rest,
        all => all,
    };
    if digits.len() > 8 {
        return Err(bad(element));
    }
    Ok(digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Writes elements from the last to the first; the contents of an element are written before its header.
#[derive(Debug, Default)]
pub(super) struct Writer {
    reversed: Vec<u8>,
}

impl Writer {
    /// Starts a message in a buffer whose memory is used again.
    pub(super) fn over(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { reversed: buffer }
    }

    /// How many bytes have been written; what an element's contents are measured from.
    pub(super) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.reversed.extend(bytes.iter().rev());
    }

    /// The header of an element whose contents were written since `end` was the length.
    pub(super) fn header(&mut self, tag: u8, end: usize) {
        let len = self.reversed.len() - end;
        if len < 0x80 {
            self.reversed.push(len as u8);
        } else {
            let mut left = len;
            let mut count = 0;
            while left > 0 {
                self.reversed.push(left as u8);
                left >>= 8;
                count += 1;
            }
            self.reversed.push(0x80 | count);
        }
        self.reversed.push(tag);
    }

    /// An element of these contents.
    pub(super) fn element(&mut self, tag: u8, contents: &[u8]) {
        let end = self.len();
        self.raw(contents);
        self.header(tag, end);
    }

    /// A signed number, as short as it can be.
    pub(super) fn integer(&mut self, value: i64) {
        self.number(INTEGER, value);
    }

    /// A number of any tag in two's complement.
    pub(super) fn number(&mut self, tag: u8, value: i64) {
        let end = self.len();
        let mut left = value;
        loop {
            self.reversed.push(left as u8);
            let sign_fits = (left as u8 >= 0x80) == (left < 0);
            left >>= 8;
            if sign_fits && (left == 0 || left == -1) {
                break;
            }
        }
        self.header(tag, end);
    }

    /// An unsigned number of any tag; a zero byte keeps a large one positive.
    pub(super) fn unsigned(&mut self, tag: u8, value: u64) {
        let end = self.len();
        let mut left = value;
        loop {
            self.reversed.push(left as u8);
            let high = left as u8 >= 0x80;
            left >>= 8;
            if left == 0 {
                if high {
                    self.reversed.push(0);
                }
                break;
            }
        }
        self.header(tag, end);
    }

    /// The message, first byte first.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.reversed.reverse();
        self.reversed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Element<'_>, ParseError> {
        Reader::new(bytes, 0).next()
    }

    #[test]
    fn accepts_lengths_of_every_form() {
        assert_eq!(read(&[4, 1, 7]).unwrap().contents, [7]);
        assert_eq!(read(&[4, 0x81, 1, 7]).unwrap().contents, [7]);
        assert_eq!(read(&[4, 0x84, 0, 0, 0, 1, 7]).unwrap(), Element { tag: 4, contents: &[7], offset: 6 });
        let mut long = vec![4, 0x82, 1, 0];
        long.extend([9; 256]);
        assert_eq!(read(&long).unwrap().contents.len(), 256);
    }

    #[test]
    fn rejects_what_is_no_element() {
        assert_eq!(read(&[]), Err(ParseError::Truncated { offset: 0 }));
        assert_eq!(read(&[4]), Err(ParseError::Truncated { offset: 0 }));
        assert_eq!(read(&[4, 2, 7]), Err(ParseError::LengthPastEnd { offset: 1 }));
        assert_eq!(read(&[4, 0x80, 7, 0, 0]), Err(ParseError::BadValue { offset: 0 }), "indefinite");
        assert_eq!(read(&[4, 0x85, 0, 0, 0, 0, 1, 7]), Err(ParseError::BadValue { offset: 0 }));
        assert_eq!(read(&[4, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(ParseError::LengthPastEnd { offset: 1 }));
        assert_eq!(read(&[4, 0x82, 1]), Err(ParseError::Truncated { offset: 0 }));
    }

    #[test]
    fn numbers_that_do_not_fit_are_rejected() {
        let element = |contents| Element { tag: INTEGER, contents, offset: 0 };
        assert!(signed(element(&[])).is_err());
        assert!(signed(element(&[1; 9])).is_err());
        assert!(unsigned(element(&[])).is_err());
        assert!(unsigned(element(&[1; 9])).is_err());
        assert_eq!(unsigned(element(&[0, 255, 255, 255, 255, 255, 255, 255, 255])), Ok(u64::MAX));
        assert_eq!(unsigned(element(&[255, 255, 255, 255])), Ok(u64::from(u32::MAX)), "without the zero byte");
        assert!(Reader::new(&[2, 5, 1, 0, 0, 0, 0], 0).integer().is_err());
    }

    proptest! {
        #[test]
        fn numbers_come_back(value: i64, size: u64) {
            let mut writer = Writer::default();
            writer.unsigned(0x46, size);
            writer.integer(value);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes, 0);
            prop_assert_eq!(signed(reader.expect(INTEGER).unwrap()), Ok(value));
            prop_assert_eq!(unsigned(reader.expect(0x46).unwrap()), Ok(size));
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn elements_of_any_length_come_back(contents in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut writer = Writer::default();
            writer.element(OCTET_STRING, &contents);
            let bytes = writer.finish();
            prop_assert_eq!(Reader::new(&bytes, 0).expect(OCTET_STRING).unwrap().contents, &contents[..]);
        }
    }
}
