//! The checkpoint file of one partition: its position in the journal, and every series with its open head.
//!
//! Not here: when one is due and what must be durable before it counts (see `keeper`).
//!
//! Invariants: a file is whole or is not there: it is written under a new name, synced, and renamed; one checksum
//! covers all of it. Layout in `storage/FORMAT.md`.

use crate::StoreError;
use crate::chunk;
use crate::head::HeadBlock;
use crate::partition::{PartitionSnapshot, SeriesState};
use crate::sample::Samples;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"IWCP";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4 + 1 + 1 + 16 + 4 + 8 + 4 + 4;
const CRC_BYTES: usize = 4;

/// How the samples of an open head are written.
const HEAD_EMPTY: u8 = 0;
const HEAD_RISING: u8 = 1;
const HEAD_AS_ARRIVED: u8 = 2;

/// A partition as a checkpoint file describes it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// Number of the checkpoint, which rises in a store; blocks of a later one are not part of it.
    pub(crate) generation: u32,
    /// Sequence of the last journal record it contains.
    pub(crate) position: u64,
    /// How many ids had been given, and are in the catalog on disk.
    pub(crate) ids_len: u32,
    /// The series.
    pub(crate) series: Vec<SeriesState>,
}

/// Where the checkpoint of a partition lies.
pub(crate) fn path(dir: &Path, partition: u8) -> PathBuf {
    dir.join(format!("p{partition:02}.iwc"))
}

/// The bytes of a checkpoint file.
pub(crate) fn encode(snapshot: &PartitionSnapshot, store_id: &[u8; 16], generation: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + snapshot.series.len() * 64);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.push(snapshot.partition);
    out.extend_from_slice(store_id);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&snapshot.position.to_le_bytes());
    out.extend_from_slice(&snapshot.ids_len.to_le_bytes());
    out.extend_from_slice(&(snapshot.series.len() as u32).to_le_bytes());
    let mut writer = SeriesWriter::default();
    for series in &snapshot.series {
        writer.series(series, &mut out);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

#[derive(Default)]
struct SeriesWriter {
    encoder: chunk::Encoder,
    samples: Samples,
    bytes: Vec<u8>,
}

impl SeriesWriter {
    fn series(&mut self, series: &SeriesState, out: &mut Vec<u8>) {
        out.extend_from_slice(&series.id.to_le_bytes());
        out.extend_from_slice(&series.newest_ms.to_le_bytes());
        out.extend_from_slice(&series.sealed_span.0.to_le_bytes());
        out.extend_from_slice(&series.sealed_span.1.to_le_bytes());
        if series.len == 0 {
            return out.push(HEAD_EMPTY);
        }
        self.bytes.clear();
        if series.rising {
            self.samples.clear();
            series.head.first(series.len).for_each(|(time_ms, value)| self.samples.push(time_ms, value));
            self.encoder.encode(&self.samples.times, &self.samples.values, &mut self.bytes);
            out.push(HEAD_RISING);
        } else {
            for (time_ms, value) in series.head.first(series.len) {
                self.bytes.extend_from_slice(&time_ms.to_le_bytes());
                self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            out.push(HEAD_AS_ARRIVED);
        }
        out.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

/// Writes a checkpoint beside the current one, synced; [`replace`] makes it the current one.
pub(crate) fn write_new(dir: &Path, partition: u8, bytes: &[u8]) -> Result<(), StoreError> {
    let path = new_path(dir, partition);
    let mut file = File::create(&path).map_err(|e| StoreError::io("create", &path, e))?;
    file.write_all(bytes).map_err(|e| StoreError::io("write", &path, e))?;
    file.sync_all().map_err(|e| StoreError::io("sync", &path, e))
}

/// Makes the checkpoint written last the current one; the caller syncs the directory.
pub(crate) fn replace(dir: &Path, partition: u8) -> Result<(), StoreError> {
    let new = new_path(dir, partition);
    fs::rename(&new, path(dir, partition)).map_err(|e| StoreError::io("rename", &new, e))
}

fn new_path(dir: &Path, partition: u8) -> PathBuf {
    dir.join(format!("p{partition:02}.new"))
}

/// Reads the checkpoint of a partition; none when it has none.
///
/// # Errors
/// When the file cannot be read, is damaged, or belongs to another store or a newer version.
pub(crate) fn read(dir: &Path, partition: u8, store_id: &[u8; 16]) -> Result<Option<Checkpoint>, StoreError> {
    let path = path(dir, partition);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    decode(&bytes, partition, store_id).map(Some).map_err(|(offset, what)| StoreError::Damaged {
        path,
        offset: offset as u64,
        what: what.to_owned(),
    })
}

/// What does not hold, and at which byte.
pub(crate) type Fault = (usize, &'static str);

/// The checkpoint that the bytes of a partition's file hold.
pub(crate) fn decode(bytes: &[u8], partition: u8, store_id: &[u8; 16]) -> Result<Checkpoint, Fault> {
    if bytes.len() < HEADER_BYTES + CRC_BYTES {
        return Err((bytes.len(), "too short for a checkpoint"));
    }
    let (body, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
    if crc32fast::hash(body).to_le_bytes() != crc {
        return Err((body.len(), "checksum does not hold"));
    }
    let mut reader = Reader { bytes: body, at: 0 };
    if reader.array::<4>()? != *MAGIC {
        return Err((0, "not a checkpoint"));
    }
    if reader.array::<1>()? != [VERSION] {
        return Err((4, "written by another version"));
    }
    if reader.array::<1>()? != [partition] {
        return Err((5, "checkpoint of another partition"));
    }
    if reader.array::<16>()? != *store_id {
        return Err((6, "checkpoint of another store"));
    }
    let generation = u32::from_le_bytes(reader.array()?);
    let position = u64::from_le_bytes(reader.array()?);
    let ids_len = u32::from_le_bytes(reader.array()?);
    let count = u32::from_le_bytes(reader.array()?);
    let mut series = Vec::new();
    let mut samples = Samples::default();
    for _ in 0..count {
        series.push(reader.series(ids_len, &mut samples)?);
    }
    match reader.at == body.len() {
        true => Ok(Checkpoint { generation, position, ids_len, series }),
        false => Err((reader.at, "bytes after the last series")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or((self.at, "ends too early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N).map(|bytes| bytes.try_into().expect("take returns as many bytes as asked"))
    }

    fn series(&mut self, ids_len: u32, samples: &mut Samples) -> Result<SeriesState, Fault> {
        let id = u32::from_le_bytes(self.array()?);
        if id >= ids_len {
            return Err((self.at, "series id out of range"));
        }
        let newest_ms = i64::from_le_bytes(self.array()?);
        let sealed_span = (i64::from_le_bytes(self.array()?), i64::from_le_bytes(self.array()?));
        let [kind] = self.array()?;
        samples.clear();
        if kind != HEAD_EMPTY {
            let at = self.at;
            let len = u32::from_le_bytes(self.array()?) as usize;
            let bytes = self.take(len)?;
            read_head(kind, bytes, samples).map_err(|what| (at, what))?;
        }
        let head = HeadBlock::of(samples.times.iter().copied().zip(samples.values.iter().copied()));
        let len = samples.len();
        Ok(SeriesState { id, newest_ms, sealed_span, rising: kind != HEAD_AS_ARRIVED, head, len })
    }
}

fn read_head(kind: u8, bytes: &[u8], samples: &mut Samples) -> Result<(), &'static str> {
    match kind {
        HEAD_RISING => {
            chunk::decode(bytes, &mut samples.times, &mut samples.values).map_err(|_| "head does not decode")
        }
        HEAD_AS_ARRIVED if bytes.len().is_multiple_of(16) => {
            for cell in bytes.chunks_exact(16) {
                let (time, bits) = cell.split_at(8);
                let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes is 8"));
                samples.push(word(time) as i64, f64::from_bits(word(bits)));
            }
            Ok(())
        }
        _ => Err("unknown kind of head"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: [u8; 16] = [7; 16];

    fn state(id: u32, rising: bool, samples: &[(i64, f64)]) -> SeriesState {
        let head = HeadBlock::of(samples.iter().copied());
        SeriesState { id, newest_ms: 99, sealed_span: (1, 2), rising, head, len: samples.len() }
    }

    fn file() -> Vec<u8> {
        let series = vec![
            state(0, true, &[(10, 1.5), (20, f64::NAN)]),
            state(1, false, &[(30, 1.0), (20, -0.0)]),
            state(4, true, &[]),
        ];
        let snapshot = PartitionSnapshot {
            partition: 3,
            position: 77,
            series,
            chunks: Vec::new(),
            taken: Vec::new(),
            keys: Vec::new(),
            ids_len: 5,
        };
        encode(&snapshot, &STORE, 9)
    }

    #[test]
    fn a_checkpoint_reads_back_what_was_written() {
        let read = decode(&file(), 3, &STORE).unwrap();
        assert_eq!((read.generation, read.position, read.ids_len, read.series.len()), (9, 77, 5, 3));
        let second: Vec<_> = read.series[1].head.iter().map(|(t, v)| (t, v.to_bits())).collect();
        assert_eq!(second, [(30, 1.0f64.to_bits()), (20, (-0.0f64).to_bits())]);
        assert!(!read.series[1].rising && read.series[0].rising);
        assert_eq!(read.series[0].head.value_at(20).unwrap().to_bits(), f64::NAN.to_bits());
        assert_eq!(read.series[2].len, 0);
    }

    #[test]
    fn no_cut_or_flipped_byte_passes() {
        let whole = file();
        for len in 0..whole.len() {
            assert!(decode(&whole[..len], 3, &STORE).is_err(), "cut at {len}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert!(decode(&flipped, 3, &STORE).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn files_of_other_stores_and_partitions_are_refused() {
        assert_eq!(decode(&file(), 4, &STORE).unwrap_err().1, "checkpoint of another partition");
        assert_eq!(decode(&file(), 3, &[8; 16]).unwrap_err().1, "checkpoint of another store");
    }
}
