//! The labels of a series in whatever order and form they came: the general walk behind the canonical one.
//!
//! ```text
//! Label { string name = 1;  string value = 2; }
//! ```
//!
//! Not here: order, duplicates, empty names and values, UTF-8: whoever builds a series key judges those.

use crate::ParseError;
use crate::protobuf::{Reader, Tag};

/// The field of a series that holds one label.
pub(super) const LABEL: Tag = Tag::length_delimited(1);
pub(super) const NAME: Tag = Tag::length_delimited(1);
pub(super) const VALUE: Tag = Tag::length_delimited(2);
const KNOWN: &[u32] = &[1, 2];

/// The label in `fields` as `(name, value)`: absent fields are empty, and of a field that comes twice the last counts.
pub(super) fn read_label<'a>(mut fields: Reader<'a>) -> Result<(&'a [u8], &'a [u8]), ParseError> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    while let Some(tag) = fields.tag()? {
        match tag {
            NAME => name = fields.bytes()?,
            VALUE => value = fields.bytes()?,
            _ => fields.skip_unknown(tag, KNOWN)?,
        }
    }
    Ok((name, value))
}

/// Iterator over the `(name, value)` of a series' labels, as sent.
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    /// Invariant: the rest of a series that was read once without error.
    pub(super) fields: Reader<'a>,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.tag().ok()?? {
                LABEL => return read_label(self.fields.message().ok()?).ok(),
                other => self.fields.skip(other).ok()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(label: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
        read_label(Reader::new(label))
    }

    #[test]
    fn name_and_value_are_read_in_any_order_and_the_last_of_each_counts() {
        assert_eq!(read(b"\x0a\x01a\x12\x02bc"), Ok((&b"a"[..], &b"bc"[..])));
        assert_eq!(read(b"\x12\x02bc\x0a\x01a"), Ok((&b"a"[..], &b"bc"[..])));
        assert_eq!(read(b"\x0a\x01x\x12\x01y\x12\x02bc\x0a\x01a"), Ok((&b"a"[..], &b"bc"[..])));
        assert_eq!(read(b"\x18\x05\x0a\x01a"), Ok((&b"a"[..], &b""[..])));
        assert_eq!(read(b""), Ok((&b""[..], &b""[..])));
    }

    #[test]
    fn malformed_labels_are_refused() {
        assert_eq!(read(b"\x0a\x02a"), Err(ParseError::LengthPastEnd { offset: 1 }));
        assert_eq!(read(b"\x08\x01"), Err(ParseError::WrongWireType { offset: 1 }));
        assert_eq!(read(b"\x10\x01"), Err(ParseError::WrongWireType { offset: 1 }));
    }

    #[test]
    fn labels_are_found_between_other_fields() {
        let series = b"\x12\x00\x0a\x03\x0a\x01a\x22\x01z\x0a\x03\x12\x01b";
        let labels: Vec<_> = Labels { fields: Reader::new(series) }.collect();
        assert_eq!(labels, [(&b"a"[..], &b""[..]), (&b""[..], &b"b"[..])]);
    }
}
