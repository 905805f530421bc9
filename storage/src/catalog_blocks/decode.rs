//! From a block back to ids and keys, whatever the bytes are.
//!
//! Each label is put together once; a key is then copied from its labels. About 0.15 us for a key of 8 labels, confirmed by
//! `benches/index.rs`.
//!
//! Not here: the drawing of the bytes (`storage/FORMAT.md`).
//!
//! Invariants: a key that is handed out is canonical and at most `KEY_BYTES_MAX` bytes long; ids ascend strictly;
//! memory stays below [`LABELS_BYTES_MAX`] plus 16 bytes for each byte of the block.

use super::format::{CHECKSUM_BYTES, CatalogError, KEY_BYTES_MAX, ROWS_MAX, VERSION, width};
use crate::series::push_label;
use std::ops::Range;

/// The most bytes that the labels of a block expand to; thousands of the longest values.
const LABELS_BYTES_MAX: usize = 16 << 20;

/// Hands out every id and key of a block, ascending by id.
///
/// Damage is noticed by the checksum before the first key. Only a block that is wrong and has the right checksum can
/// fail after some keys were handed out.
pub fn decode_block(block: &[u8], mut emit: impl FnMut(u32, &[u8])) -> Result<(), CatalogError> {
    let damaged = |offset, what| Err(CatalogError::Damaged { offset, what });
    let Some((content, checksum)) = block.split_last_chunk::<CHECKSUM_BYTES>() else {
        return damaged(block.len(), "no room for a checksum");
    };
    if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
        return damaged(content.len(), "the checksum does not fit");
    }
    let mut reader = Reader { content, at: 0 };
    if reader.byte()? != VERSION {
        return damaged(0, "unknown version");
    }
    let rows = reader.count(ROWS_MAX)?;
    let first_id = reader.number()?;
    let gap_bits = u32::from(reader.byte()?);
    if gap_bits > u32::BITS {
        return damaged(reader.at - 1, "ids further apart than ids go");
    }
    let columns = Columns::read(&mut reader)?;
    let schemas = read_schemas(&mut reader, columns.values.len())?;
    let mut bits = BitReader { reader: &mut reader, pending: 0, count: 0 };
    let (mut id, mut key) = (u64::from(first_id), Vec::new());
    for _ in 0..rows {
        id += u64::from(bits.take(gap_bits)?);
        let schema = bits.index(schemas.len())?;
        key.clear();
        for column in &schemas[schema] {
            let labels = &columns.values[*column];
            let label = labels[bits.index(labels.len())?].clone();
            key.extend_from_slice(&columns.labels[label]);
        }
        let Ok(this) = u32::try_from(id) else { return damaged(bits.reader.at, "an id that is too large") };
        if key.len() > KEY_BYTES_MAX {
            return damaged(bits.reader.at, "a key that is too long");
        }
        emit(this, &key);
        id += 1;
    }
    if bits.pending != 0 || reader.at != content.len() {
        return damaged(reader.at, "something follows the last row");
    }
    Ok(())
}

/// The labels of a block as they stand in keys, and for each column, in order of name, where its labels are.
struct Columns {
    labels: Vec<u8>,
    values: Vec<Vec<Range<usize>>>,
}

impl Columns {
    fn read(reader: &mut Reader<'_>) -> Result<Self, CatalogError> {
        let count = reader.count(reader.content.len())?;
        let mut columns = Self { labels: Vec::new(), values: Vec::new() };
        let (mut name, mut value) = (Vec::new(), Vec::new());
        for _ in 0..count {
            reader.text(&mut name)?;
            let count = reader.count(reader.content.len())?;
            let mut places = Vec::new();
            value.clear();
            for _ in 0..count {
                reader.text(&mut value)?;
                let start = columns.labels.len();
                push_label(&mut columns.labels, &name, &value);
                if columns.labels.len() > LABELS_BYTES_MAX {
                    return Err(reader.damaged("more text than a block can hold"));
                }
                places.push(start..columns.labels.len());
            }
            columns.values.push(places);
        }
        Ok(columns)
    }
}

/// The sets of columns that rows choose from, each ascending.
fn read_schemas(reader: &mut Reader<'_>, columns: usize) -> Result<Vec<Vec<usize>>, CatalogError> {
    let count = reader.count(reader.content.len())?;
    let mut schemas = Vec::new();
    for _ in 0..count {
        let labels = reader.count(columns)?;
        let (mut schema, mut next) = (Vec::new(), 0);
        for _ in 0..labels {
            let column = next + reader.number()? as usize;
            if column >= columns {
                return Err(reader.damaged("a column that is not there"));
            }
            schema.push(column);
            next = column + 1;
        }
        schemas.push(schema);
    }
    Ok(schemas)
}

/// A place in the block; every step is checked.
struct Reader<'a> {
    content: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn damaged(&self, what: &'static str) -> CatalogError {
        CatalogError::Damaged { offset: self.at, what }
    }

    fn byte(&mut self) -> Result<u8, CatalogError> {
        let byte = *self.content.get(self.at).ok_or(self.damaged("it ends too soon"))?;
        self.at += 1;
        Ok(byte)
    }

    /// A minimal varint of 32 bits.
    fn number(&mut self) -> Result<u32, CatalogError> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let minimal = byte != 0 || shift == 0;
                let number = u32::try_from(number).ok().filter(|_| minimal);
                return number.ok_or(self.damaged("a number that is spelt wrong"));
            }
        }
        Err(self.damaged("a number that is too long"))
    }

    /// How many of something follow: at least one, at most `max`.
    fn count(&mut self, max: usize) -> Result<usize, CatalogError> {
        let count = self.number()? as usize;
        if (1..=max).contains(&count) { Ok(count) } else { Err(self.damaged("a count that cannot be")) }
    }

    /// Turns the text before this one into this one, which must come after it.
    fn text(&mut self, text: &mut Vec<u8>) -> Result<(), CatalogError> {
        let (alike, rest) = (self.number()? as usize, self.number()? as usize);
        let end = self.at.saturating_add(rest);
        let bytes = self.content.get(self.at..end).ok_or(self.damaged("a text that is cut off"))?;
        let follows = text.get(alike..).is_some_and(|replaced| bytes > replaced);
        if !follows || alike + rest > KEY_BYTES_MAX {
            return Err(self.damaged("a text out of order or too long"));
        }
        text.truncate(alike);
        text.extend_from_slice(bytes);
        self.at = end;
        std::str::from_utf8(text).map(|_| ()).map_err(|_| self.damaged("a text that is not UTF-8"))
    }
}

/// Bits from the lowest of each byte up.
struct BitReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    pending: u64,
    count: u32,
}

impl BitReader<'_, '_> {
    /// The next `width` bits, at most 32.
    fn take(&mut self, width: u32) -> Result<u32, CatalogError> {
        while self.count < width {
            self.pending |= u64::from(self.reader.byte()?) << self.count;
            self.count += 8;
        }
        let taken = self.pending & ((1 << width) - 1);
        self.pending >>= width;
        self.count -= width;
        Ok(taken as u32)
    }

    /// The number of one of `count` things.
    fn index(&mut self, count: usize) -> Result<usize, CatalogError> {
        let index = self.take(width(count))? as usize;
        if index < count { Ok(index) } else { Err(self.reader.damaged("a row with a value that is not there")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of one row, its parts given; the checksum is right.
    fn sealed(parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let checksum = crc32fast::hash(&content).to_le_bytes();
        [&content[..], &checksum].concat()
    }

    fn decoded(block: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, CatalogError> {
        let mut entries = Vec::new();
        decode_block(block, |id, key| entries.push((id, key.to_vec())))?;
        Ok(entries)
    }

    fn reason(parts: &[&[u8]]) -> &'static str {
        match decoded(&sealed(parts)) {
            Err(CatalogError::Damaged { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    const HEAD: &[u8] = b"\x01\x01\x05\x00";
    const ONE_COLUMN: &[u8] = b"\x01\x00\x01n\x01\x00\x01v";
    const ONE_SCHEMA: &[u8] = b"\x01\x01\x00";

    #[test]
    fn the_smallest_block_is_one_label() {
        let entries = decoded(&sealed(&[HEAD, ONE_COLUMN, ONE_SCHEMA])).unwrap();
        assert_eq!(entries, [(5, b"\x0a\x06\x0a\x01n\x12\x01v".to_vec())]);
    }

    #[test]
    fn content_that_cannot_be_is_named_even_when_the_checksum_fits() {
        assert_eq!(reason(&[]), "it ends too soon");
        assert_eq!(reason(&[b"\x02", &HEAD[1..], ONE_COLUMN, ONE_SCHEMA]), "unknown version");
        assert_eq!(reason(&[b"\x01\x00\x05\x00", ONE_COLUMN, ONE_SCHEMA]), "a count that cannot be");
        assert_eq!(reason(&[b"\x01\x81\x20\x05\x00", ONE_COLUMN, ONE_SCHEMA]), "a count that cannot be");
        assert_eq!(reason(&[b"\x01\x01\x85\x00\x00", ONE_COLUMN, ONE_SCHEMA]), "a number that is spelt wrong");
        assert_eq!(reason(&[b"\x01\x01\xff\xff\xff\xff\x1f\x00"]), "a number that is spelt wrong");
        assert_eq!(reason(&[b"\x01\x01\xff\xff\xff\xff\xff\x01\x00"]), "a number that is too long");
        assert_eq!(reason(&[b"\x01\x01\x05\x21", ONE_COLUMN, ONE_SCHEMA]), "ids further apart than ids go");
        let highest = b"\x01\x02\xff\xff\xff\xff\x0f\x00";
        assert_eq!(reason(&[highest, ONE_COLUMN, ONE_SCHEMA]), "an id that is too large");
        assert_eq!(reason(&[HEAD, ONE_COLUMN, ONE_SCHEMA, b"\x00"]), "something follows the last row");
        assert_eq!(reason(&[HEAD, ONE_COLUMN, b"\x01\x01\x01"]), "a column that is not there");
    }

    #[test]
    fn texts_that_are_out_of_order_cut_off_or_not_utf8_are_refused() {
        let out_of_order = "a text out of order or too long";
        assert_eq!(reason(&[HEAD, b"\x01\x00\x01n\x02\x00\x01v\x00\x01v", ONE_SCHEMA]), out_of_order);
        assert_eq!(reason(&[HEAD, b"\x01\x00\x01n\x02\x00\x01v\x02\x01v", ONE_SCHEMA]), out_of_order);
        assert_eq!(reason(&[HEAD, b"\x01\x00\x00\x01\x00\x01v", ONE_SCHEMA]), out_of_order);
        assert_eq!(reason(&[HEAD, b"\x01\x00\x01n\x01\x00\x7fv"]), "a text that is cut off");
        assert_eq!(reason(&[HEAD, b"\x01\x00\x01n\x01\x00\x01\xff", ONE_SCHEMA]), "a text that is not UTF-8");
    }

    #[test]
    fn a_row_may_only_name_values_that_are_there() {
        let three = b"\x01\x00\x01n\x03\x00\x01a\x00\x01b\x00\x01c";
        assert_eq!(decoded(&sealed(&[HEAD, three, ONE_SCHEMA, b"\x02"])).map(|entries| entries.len()), Ok(1));
        assert_eq!(reason(&[HEAD, three, ONE_SCHEMA, b"\x03"]), "a row with a value that is not there");
        assert_eq!(reason(&[HEAD, three, ONE_SCHEMA, b"\x82"]), "something follows the last row");
        assert_eq!(reason(&[HEAD, three, ONE_SCHEMA]), "it ends too soon");
    }

    #[test]
    fn a_small_block_cannot_expand_without_bound() {
        // Each value shares 4090 bytes with the one before and adds one.
        let first = [&b"\x00\xfa\x1f"[..], &[b'x'; 4090]].concat();
        let more: Vec<u8> = (0..8000u32)
            .flat_map(|i| {
                [0xfa, 0x1f, 0x03, b'0' + (i / 4096) as u8, b'0' + (i / 64 % 64) as u8, b'0' + (i % 64) as u8]
            })
            .collect();
        assert_eq!(reason(&[HEAD, b"\x01\x00\x01n\xc1\x3e", &first, &more]), "more text than a block can hold");
    }

    #[test]
    fn a_key_of_several_long_values_is_too_long() {
        let long = [&b"\x00\xb8\x17"[..], &[b'x'; 3000]].concat();
        let columns = [&b"\x02\x00\x01m\x01"[..], &long, b"\x00\x01n\x01", &long].concat();
        assert_eq!(reason(&[HEAD, &columns, b"\x01\x02\x00\x00"]), "a key that is too long");
    }
}
