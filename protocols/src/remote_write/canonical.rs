//! The hot path of labels: recognising bytes that are a series key already, without copying them.
//!
//! ```text
//! per label:  0x0A  length(label)  0x0A  length(name) name  0x12  length(value) value
//! ```
//!
//! Labels are canonical when names strictly ascend by bytes, neither name nor value is empty, every number is
//! minimal, name stands before value, nothing else stands between, and `__name__` is among them. Prometheus sends
//! them so. The store lays its keys out in the same way; only the layout is shared.
//!
//! Not here: errors (what is not canonical is read again by the general walk of `series` and `labels`, which names
//! them), and UTF-8, which the store checks for keys it has not seen.
//!
//! Cost: the six bytes of tags and lengths of each label are looked at, and as much of its name as tells it from its
//! neighbour: about 5 ns a label, so at most 50 ns for 8 labels (`cargo bench --bench parse`, case `labels_only`).

use super::labels::{LABEL, NAME, VALUE, read_label};
use crate::protobuf::{Reader, field_bytes};

const TAGS: [u8; 3] = [LABEL.byte(), NAME.byte(), VALUE.byte()];
const NAME_LABEL: &[u8] = b"__name__";

/// Moves `fields` past the canonical labels it begins with and says whether `__name__` is one of them.
#[inline]
pub(super) fn step_over_labels(fields: &mut Reader<'_>) -> bool {
    let mut previous: &[u8] = &[];
    let mut named = false;
    while let Some((name, len)) = short_label(fields.rest()).or_else(|| long_label(fields)) {
        // Most neighbours differ in their first byte, which is cheaper to look at than to call a comparison. An empty
        // name is not above the empty name that stands before the first label.
        if previous.first() >= name.first() && previous >= name {
            break;
        }
        named |= name == NAME_LABEL;
        fields.advance(len);
        previous = name;
    }
    named
}

/// The name and the bytes of a label whose lengths take one byte each.
#[inline]
fn short_label(fields: &[u8]) -> Option<(&[u8], usize)> {
    const TAGS_AND_LENGTHS: usize = 4;
    let &[label_tag, label_len, name_tag, name_len, ref rest @ ..] = fields else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let &[value_tag, value_len, ref rest @ ..] = rest else { return None };
    let lens_agree = usize::from(label_len) == TAGS_AND_LENGTHS + name.len() + usize::from(value_len);
    let tags = [label_tag, name_tag, value_tag] == TAGS;
    // The sum is below 0x80, so the two lengths are as well: all three are whole numbers of one byte.
    let whole = label_len < 0x80 && usize::from(value_len) <= rest.len();
    (tags && lens_agree && whole && value_len != 0).then_some((name, 2 + usize::from(label_len)))
}

/// The name and the bytes of any canonical label.
#[cold]
fn long_label<'a>(fields: &Reader<'a>) -> Option<(&'a [u8], usize)> {
    let mut after = *fields;
    if after.tag().ok()?? != LABEL {
        return None;
    }
    let message = after.message().ok()?;
    let name_first = message.rest().first() == Some(&TAGS[1]);
    let (name, value) = read_label(message).ok()?;
    let bytes = after.at() - fields.at();
    // A label that holds this name and this value cannot be shorter, so at this size it holds nothing else.
    let minimal = bytes == field_bytes(field_bytes(name.len()) + field_bytes(value.len()));
    (name_first && minimal && !value.is_empty()).then_some((name, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of `fields` are canonical labels, and whether they are named.
    fn canonical(fields: &[u8]) -> (usize, bool) {
        let mut reader = Reader::new(fields);
        let named = step_over_labels(&mut reader);
        (reader.at(), named)
    }

    /// A label as the layout has it, with lengths of one or two bytes.
    fn label(name: &[u8], value: &[u8]) -> Vec<u8> {
        let field = |tag: u8, contents: &[u8]| {
            let len = contents.len();
            let mut bytes =
                if len < 0x80 { vec![tag, len as u8] } else { vec![tag, len as u8 | 0x80, (len >> 7) as u8] };
            bytes.extend_from_slice(contents);
            bytes
        };
        field(0x0a, &[field(0x0a, name), field(0x12, value)].concat())
    }

    #[test]
    fn labels_are_canonical_up_to_the_first_that_is_not() {
        let good = [label(b"__name__", b"up"), label(b"a", b"1"), label(b"ab", b"2"), label(b"b", b"3")].concat();
        assert_eq!(canonical(&good), (good.len(), true));
        let with_samples = [&good[..], b"\x12\x00"].concat();
        assert_eq!(canonical(&with_samples), (good.len(), true));
        assert_eq!(canonical(&label(b"job", b"node")), (label(b"job", b"node").len(), false));
        assert_eq!(canonical(b""), (0, false));
    }

    #[test]
    fn names_that_do_not_ascend_are_not_canonical() {
        let first = label(b"ab", b"1");
        for name in [&b"a"[..], b"ab", b"aa", b"_"] {
            let labels = [first.clone(), label(name, b"2")].concat();
            assert_eq!(canonical(&labels).0, first.len(), "{name:?}");
        }
    }

    #[test]
    fn lengths_of_several_bytes_are_canonical_when_minimal() {
        for (name_len, value_len) in [(1, 122), (1, 123), (1, 124), (1, 200), (127, 1), (128, 1), (300, 16_000)] {
            let bytes = label(&vec![b'n'; name_len], &vec![b'v'; value_len]);
            assert_eq!(canonical(&bytes).0, bytes.len(), "{name_len} {value_len}");
        }
    }

    /// Taken as one byte, the first byte of this two-byte length would fit what follows it.
    #[test]
    fn half_a_length_is_not_taken_for_a_whole_one() {
        let bytes = [&b"\x0a\x84\x0a\x01a\x12\x7f"[..], &[b'v'; 127]].concat();
        assert_eq!(canonical(&bytes), (0, false));
    }

    #[test]
    fn other_encodings_of_a_label_are_not_canonical() {
        for bytes in [
            &b"\x0a\x06\x0a\x01a\x12\x01"[..],
            b"\x0a\x86\x00\x0a\x01a\x12\x01b",
            b"\x0a\x07\x0a\x81\x00a\x12\x01b",
            b"\x0a\x07\x0a\x01a\x12\x81\x00b",
            b"\x0a\x06\x12\x01b\x0a\x01a",
            b"\x0a\x08\x0a\x01a\x12\x01b\x18\x01",
            b"\x0a\x08\x18\x01\x0a\x01a\x12\x01b",
            b"\x0a\x09\x0a\x01a\x0a\x01a\x12\x01b",
            b"\x0a\x05\x0a\x00\x12\x01b",
            b"\x0a\x05\x0a\x01a\x12\x00",
            b"\x0a\x03\x0a\x01a",
            b"\x0a\x03\x12\x01b",
            b"\x0a\x00",
            b"\x12\x06\x0a\x01a\x12\x01b",
        ] {
            assert_eq!(canonical(bytes), (0, false), "{bytes:x?}");
        }
    }
}
