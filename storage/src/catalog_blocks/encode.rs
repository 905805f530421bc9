//! From ids and keys to blocks of a limited size.
//!
//! Rows are added as long as an upper bound of the block's size stays within the limit. The bound takes values as they
//! arrive, each front-coded against the one before; in order they can only share more, so the bound holds, and blocks
//! come out 85 % full or better, node_exporter's 97 %.
//!
//! Cost sketch: a key costs one look-up a label in tables that fit the cache, and its share of sorting the values of
//! a block: about 1 us for a key of 8 labels, a third of it for reading the key. Confirmed by `benches/index.rs`.
//!
//! Not here: the drawing of the bytes (`storage/FORMAT.md`).
//!
//! Invariant: the names of a key ascend, so the columns of a row ascend once columns are in order of name.

use super::format::{BLOCK_BYTES_MIN, CatalogError, FIXED_BYTES_MAX, KEY_BYTES_MAX, ROWS_MAX, VERSION, width};
use crate::series::{self, push_varint, varint_bytes};
use hashbrown::HashTable;

/// Sorts entries by id and hands them out as blocks of at most `limit` bytes, each with its first and last id.
///
/// Fails before the first block when an id is there twice, and at the first key that is too long or not canonical;
/// what was handed out before is good.
///
/// # Panics
/// When `limit` is below [`BLOCK_BYTES_MIN`], which has room for any one key.
pub fn encode_blocks<K: AsRef<[u8]>>(
    entries: &mut [(u32, K)],
    limit: usize,
    emit: &mut dyn FnMut(u32, u32, &[u8]),
) -> Result<(), CatalogError> {
    assert!(limit >= BLOCK_BYTES_MIN, "a block of {limit} bytes has no room for every key");
    entries.sort_unstable_by_key(|(id, _)| *id);
    if let Some(twice) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(CatalogError::DuplicateId { id: twice[0].0 });
    }
    let (mut table, mut block) = (Table::default(), Vec::with_capacity(limit));
    for (id, key) in entries.iter() {
        table.plan(*id, key.as_ref())?;
        if !table.rows.is_empty() && table.bytes_with_planned(*id) > limit {
            table.finish(&mut block, emit);
            table = Table::default();
            table.plan(*id, key.as_ref())?;
        }
        table.add_planned(*id);
    }
    if !table.rows.is_empty() {
        table.finish(&mut block, emit);
    }
    Ok(())
}

/// One label name and its values in the order of their arrival.
struct Column<'a> {
    name: &'a str,
    values: Vec<&'a str>,
    by_value: HashTable<u32>,
    rows: usize,
}

impl Column<'_> {
    /// Bits of the rows that have this column, with some more rows and values.
    fn bits(&self, more_rows: usize, more_values: usize) -> usize {
        (self.rows + more_rows) * width(self.values.len() + more_values) as usize
    }
}

/// One label of a key about to be added: where it is found, or what is new about it.
struct Planned<'a> {
    name: &'a str,
    value: &'a str,
    column: Option<u32>,
    number: Option<u32>,
    hash: u64,
}

/// A block in the making.
#[derive(Default)]
struct Table<'a> {
    columns: Vec<Column<'a>>,
    schemas: Vec<Vec<u32>>,
    /// Id and schema of each row; the values of all rows one after the other.
    rows: Vec<(u32, u32)>,
    cells: Vec<u32>,
    gap_max: u32,
    /// Upper bound of the bytes of names, values and schemas.
    text_bytes: usize,
    cell_bits: usize,
    planned: Vec<Planned<'a>>,
    planned_schema: Option<usize>,
}

impl<'a> Table<'a> {
    /// Checks a key and finds its labels without adding anything.
    fn plan(&mut self, id: u32, key: &'a [u8]) -> Result<(), CatalogError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(CatalogError::KeyTooLong { id, bytes: key.len() });
        }
        self.planned.clear();
        let (mut from, mut end, mut previous) = (0, std::ptr::null(), "");
        for (name, value) in series::labels(key) {
            if name <= previous || value.is_empty() {
                return Err(CatalogError::BadKey { id });
            }
            (end, previous) = (value.as_bytes().as_ptr_range().end, name);
            // Columns stand in the order in which keys brought them, so the next name is mostly the next column.
            let hash = series::hash(value.as_bytes());
            let (before, after) = self.columns.split_at(from);
            let at = match after.iter().position(|column| column.name == name) {
                Some(at) => Some(from + at),
                None => before.iter().position(|column| column.name == name),
            };
            from = at.map_or(from, |at| at + 1);
            let number = at.and_then(|at| {
                let Column { values, by_value, .. } = &self.columns[at];
                by_value.find(hash, |number| values[*number as usize] == value).copied()
            });
            self.planned.push(Planned { name, value, column: at.map(|at| at as u32), number, hash });
        }
        let columns = || self.planned.iter().map(|label| label.column);
        self.planned_schema =
            self.schemas.iter().position(|schema| schema.iter().map(|&column| Some(column)).eq(columns()));
        // Reading stops at the first byte that is no label, so the last value ends where the key does or is not the last.
        if end == key.as_ptr_range().end { Ok(()) } else { Err(CatalogError::BadKey { id }) }
    }

    /// Upper bound of the block's size if the planned key were its next row.
    fn bytes_with_planned(&self, id: u32) -> usize {
        if self.rows.len() == ROWS_MAX {
            return usize::MAX;
        }
        let (mut bytes, mut bits) = (self.text_bytes, self.cell_bits);
        for label in &self.planned {
            bytes += self.new_text_bytes(label);
            let column = label.column.map(|at| &self.columns[at as usize]);
            bits += column.map_or(0, |c| c.bits(1, usize::from(label.number.is_none())) - c.bits(0, 0));
        }
        let schemas = match self.planned_schema {
            Some(_) => self.schemas.len(),
            None => {
                bytes += schema_bytes(self.planned.len());
                self.schemas.len() + 1
            }
        };
        let gap_max = self.rows.last().map_or(0, |&(last, _)| self.gap_max.max(id - last - 1));
        let row_bits = width(schemas) + width(gap_max as usize + 1);
        FIXED_BYTES_MAX + bytes + (bits + (self.rows.len() + 1) * row_bits as usize).div_ceil(8)
    }

    /// Upper bound of what a label adds to names and values.
    fn new_text_bytes(&self, label: &Planned<'_>) -> usize {
        let whole = |text: &str| 2 * varint_bytes(text.len()) + text.len();
        match (label.column, label.number) {
            (_, Some(_)) => 0,
            (None, None) => whole(label.name) + 3 + whole(label.value),
            (Some(at), None) => {
                let previous = self.columns[at as usize].values.last().map_or("", |text| text);
                whole(label.value) - shared(previous.as_bytes(), label.value.as_bytes())
            }
        }
    }

    /// Adds the planned key as a row.
    fn add_planned(&mut self, id: u32) {
        self.text_bytes += self.planned.iter().map(|label| self.new_text_bytes(label)).sum::<usize>();
        let mut columns = Vec::with_capacity(self.planned.len());
        for label in std::mem::take(&mut self.planned) {
            let at = label.column.unwrap_or_else(|| {
                let (values, by_value) = (Vec::new(), HashTable::new());
                self.columns.push(Column { name: label.name, values, by_value, rows: 0 });
                self.columns.len() as u32 - 1
            });
            let column = &mut self.columns[at as usize];
            self.cell_bits -= column.bits(0, 0);
            let number = label.number.unwrap_or_else(|| {
                let Column { values, by_value, .. } = column;
                values.push(label.value);
                let rehash = |number: &u32| series::hash(values[*number as usize].as_bytes());
                *by_value.insert_unique(label.hash, values.len() as u32 - 1, rehash).get()
            });
            column.rows += 1;
            self.cell_bits += column.bits(0, 0);
            columns.push(at);
            self.cells.push(number);
        }
        let schema = self.planned_schema.unwrap_or_else(|| {
            self.text_bytes += schema_bytes(columns.len());
            self.schemas.push(columns);
            self.schemas.len() - 1
        });
        self.gap_max = self.rows.last().map_or(0, |&(last, _)| self.gap_max.max(id - last - 1));
        self.rows.push((id, schema as u32));
    }

    /// Writes the block and hands it out.
    fn finish(&self, block: &mut Vec<u8>, emit: &mut dyn FnMut(u32, u32, &[u8])) {
        let (first, last) = (self.rows[0].0, self.rows[self.rows.len() - 1].0);
        let gap_bits = width(self.gap_max as usize + 1);
        block.clear();
        block.push(VERSION);
        push_varint(block, self.rows.len());
        push_varint(block, first as usize);
        block.push(gap_bits as u8);
        let column_ranks = ranks(self.columns.len(), |at| self.columns[at].name);
        let value_ranks = self.push_columns(block, &column_ranks);
        push_varint(block, self.schemas.len());
        for schema in &self.schemas {
            push_varint(block, schema.len());
            let mut next = 0;
            for &column in schema {
                let rank = column_ranks[column as usize];
                push_varint(block, (rank - next) as usize);
                next = rank + 1;
            }
        }
        self.push_rows(block, gap_bits, &value_ranks);
        block.extend_from_slice(&crc32fast::hash(block).to_le_bytes());
        emit(first, last, block);
    }

    /// Writes names and values in order and says, for each column, which place each value got.
    fn push_columns(&self, block: &mut Vec<u8>, column_ranks: &[u32]) -> Vec<Vec<u32>> {
        push_varint(block, self.columns.len());
        let value_ranks: Vec<_> =
            self.columns.iter().map(|column| ranks(column.values.len(), |number| column.values[number])).collect();
        let mut name_before = "";
        for at in inverse(column_ranks) {
            let Column { name, values, .. } = &self.columns[at as usize];
            push_text(block, name_before, name);
            name_before = name;
            push_varint(block, values.len());
            let mut value_before = "";
            for number in inverse(&value_ranks[at as usize]) {
                push_text(block, value_before, values[number as usize]);
                value_before = values[number as usize];
            }
        }
        value_ranks
    }

    fn push_rows(&self, block: &mut Vec<u8>, gap_bits: u32, value_ranks: &[Vec<u32>]) {
        let schema_bits = width(self.schemas.len());
        let (mut bits, mut cells) = (BitWriter { out: block, pending: 0, count: 0 }, self.cells.iter());
        let mut expected = self.rows[0].0;
        for &(id, schema) in &self.rows {
            // The first row's gap is 0: its id is in the header. It costs bits, and saves a case.
            bits.push(id - expected, gap_bits);
            bits.push(schema, schema_bits);
            for (&column, &number) in self.schemas[schema as usize].iter().zip(&mut cells) {
                let ranks = &value_ranks[column as usize];
                bits.push(ranks[number as usize], width(ranks.len()));
            }
            expected = id.wrapping_add(1);
        }
        bits.finish();
    }
}

fn schema_bytes(labels: usize) -> usize {
    varint_bytes(labels) + 2 * labels
}

fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn push_text(out: &mut Vec<u8>, before: &str, text: &str) {
    let alike = shared(before.as_bytes(), text.as_bytes());
    push_varint(out, alike);
    push_varint(out, text.len() - alike);
    out.extend_from_slice(&text.as_bytes()[alike..]);
}

/// The place of each of `count` texts when they are in order.
fn ranks<'t>(count: usize, text: impl Fn(usize) -> &'t str) -> Vec<u32> {
    let mut order: Vec<_> = (0..count as u32).collect();
    order.sort_unstable_by_key(|&number| text(number as usize));
    inverse(&order)
}

fn inverse(permutation: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; permutation.len()];
    permutation.iter().zip(0..).for_each(|(&to, from)| inverse[to as usize] = from);
    inverse
}

/// Bits from the lowest of each byte up.
struct BitWriter<'o> {
    out: &'o mut Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter<'_> {
    /// Appends the lowest `width` bits of a number that has no others; at most 32.
    fn push(&mut self, number: u32, width: u32) {
        self.pending |= u64::from(number) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    fn finish(self) {
        if self.count > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::KeyBuilder;

    fn key(labels: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = KeyBuilder::default();
        labels.iter().for_each(|(name, value)| builder.push(name, value));
        builder.finish().unwrap().to_vec()
    }

    fn blocks(entries: &mut [(u32, Vec<u8>)], limit: usize) -> Result<Vec<(u32, u32, Vec<u8>)>, CatalogError> {
        let mut blocks = Vec::new();
        encode_blocks(entries, limit, &mut |first, last, block| blocks.push((first, last, block.to_vec())))?;
        Ok(blocks)
    }

    /// Written by hand from `storage/FORMAT.md`; the checksum is that of Python's `zlib.crc32`.
    #[test]
    fn a_small_block_has_the_bytes_of_the_format() {
        let up = |job| key(&[("__name__", "up"), ("job", job)]);
        let content =
            b"\x01\x02\x05\x01\x02\x00\x08__name__\x01\x00\x02up\x00\x03job\x02\x00\x01a\x00\x01b\x01\x02\x00\x00\x0c";
        let expected = [&content[..], &0xd762_46d1u32.to_le_bytes()].concat();
        assert_eq!(blocks(&mut [(7, up("b")), (5, up("a"))], 7168), Ok(vec![(5, 7, expected)]));
    }

    #[test]
    fn bad_entries_are_refused_by_their_id() {
        let good = key(&[("__name__", "up")]);
        let long = key(&[("__name__", &"x".repeat(KEY_BYTES_MAX))]);
        let refusal = |id, key: &[u8]| blocks(&mut [(1, good.clone()), (id, key.to_vec())], 7168).unwrap_err();
        assert_eq!(refusal(9, &long), CatalogError::KeyTooLong { id: 9, bytes: long.len() });
        assert_eq!(refusal(1, &good), CatalogError::DuplicateId { id: 1 });
        assert_eq!(refusal(2, b""), CatalogError::BadKey { id: 2 });
        assert_eq!(refusal(2, &good[..good.len() - 1]), CatalogError::BadKey { id: 2 });
        assert_eq!(refusal(2, &[&good[..], b"x"].concat()), CatalogError::BadKey { id: 2 });
        assert_eq!(refusal(2, &[&good[..], &good].concat()), CatalogError::BadKey { id: 2 });
    }

    #[test]
    fn no_entries_are_no_block() {
        assert_eq!(blocks(&mut [], 7168), Ok(Vec::new()));
    }

    #[test]
    fn blocks_stay_within_the_limit_and_fill_it() {
        let scatter = |i: u32| i.wrapping_mul(2_654_435_761);
        let pod = |i| key(&[("__name__", "up"), ("job", "pods"), ("pod", &format!("pod-{:08x}", scatter(i)))]);
        let mut entries: Vec<_> = (0..5000).map(|i| (i * 3, pod(i))).collect();
        let blocks = blocks(&mut entries, 7168).unwrap();
        assert!(blocks.iter().all(|(_, _, block)| block.len() <= 7168));
        let (_, full) = blocks.split_last().unwrap();
        let least = full.iter().map(|(_, _, block)| block.len()).min().unwrap();
        assert!(least > 6000, "{} blocks, the smallest full one has {least} bytes", blocks.len());
        assert!(blocks.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn the_longest_keys_fit_the_smallest_limit() {
        let text = |bytes| "x".repeat(bytes);
        let longest = key(&[("__name__", &text(KEY_BYTES_MAX - 16))]);
        let names: Vec<_> = (0..400).map(|i| format!("{i:03}")).collect();
        let most_labels: Vec<_> = names.iter().map(|n| (n.as_str(), "v")).chain([("__name__", "n")]).collect();
        let most_labels = key(&most_labels);
        assert!(longest.len() == KEY_BYTES_MAX && most_labels.len() > KEY_BYTES_MAX - 100);
        let blocks = blocks(&mut [(1, longest), (2, most_labels)], BLOCK_BYTES_MIN).unwrap();
        assert_eq!(blocks.len(), 2);
        assert!(blocks.iter().all(|(_, _, block)| block.len() <= BLOCK_BYTES_MIN));
    }
}
