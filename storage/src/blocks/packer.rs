//! Packs sorted chunks of one partition and day into full blocks of one directory.
//!
//! Not here: sorting and grouping (see `store`), what a chunk holds.

use super::block::BlockBuilder;
use super::directory::Directory;
use crate::StoreError;

/// Writes a block whenever the next chunk finds no room.
#[derive(Debug)]
pub(super) struct Packer<'a> {
    directory: &'a Directory,
    partition: u8,
    generation: u32,
    builder: BlockBuilder,
    value: Vec<u8>,
}

impl<'a> Packer<'a> {
    pub(super) fn new(directory: &'a Directory, partition: u8, generation: u32) -> Self {
        Self { directory, partition, generation, builder: BlockBuilder::default(), value: Vec::new() }
    }

    /// Adds a chunk; ids ascend until [`Self::flush`]. The chunk is at most `CHUNK_BYTES_MAX` long.
    pub(super) fn push(&mut self, id: u32, start_ms: i64, end_ms: i64, chunk: &[u8]) -> Result<(), StoreError> {
        if !self.builder.push(id, start_ms, end_ms, chunk) {
            self.flush()?;
            let fits = self.builder.push(id, start_ms, end_ms, chunk);
            assert!(fits, "a chunk of at most CHUNK_BYTES_MAX always fits an empty block");
        }
        Ok(())
    }

    /// Writes what is left as a block.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.directory.write_block((self.partition, self.generation), &mut self.builder, &mut self.value)
    }
}
