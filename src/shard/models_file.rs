//! The file in which the models of one partition outlive the process: `models/NN.models` in the data directory.
//!
//! ```text
//! "IWMD" 1:u8 encoding:u16 partition:u8
//! series*:  1:u8 id:u32 key_hash:u64 kind:u8 len:u32 state[len]     kind 1: samples (time:i64 bits:u64)*, 2: a model
//!                                                                   both after the summary on the board
//! runs*:    2:u8 id:u32 len:u32 tracker[len]
//! flat*:    3:u8 id:u32 len:u32 (start last samples peak)[len]      a flat line that was told and goes on
//! end:      0:u8 crc32:u32 of everything before it
//! ```
//!
//! Numbers are little-endian; `encoding` is `analysis::ENCODING_VERSION`. Models, summaries and trackers are in postcard's
//! encoding. There is no way to read another version: models are learned anew from the store then.
//!
//! Not here: when it is written and what is done without it (see `score`).
//!
//! Invariants: a file is whole or it is not there: it is written beside the current one, synced, and renamed; a series
//! is known by its id and the hash of its key, so that no state is ever given to another series.

use super::questions::Summary;
use super::series_slots::{FEW_SAMPLES, Slot};
use super::set_aside::{Place, SetAside};
use crate::analysis::{ENCODING_VERSION, SeriesModel, Settings};
use crate::anomaly::run::{AnomalyRun, Peak, RunTracker};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 4] = b"IWMD";
const FORMAT_VERSION: u8 = 2;
const END: u8 = 0;
const SERIES: u8 = 1;
const RUN: u8 = 2;
const FLAT: u8 = 3;
const FEW: u8 = 1;
const MODEL: u8 = 2;
const CRC_BYTES: usize = 4;

/// Why models were not read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModelsFileError {
    /// The system refused.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        error: std::io::Error,
    },
    /// Not what was written.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: usize,
        /// What does not hold.
        what: &'static str,
    },
    /// Whole, and of another version.
    #[error("{path} was written by another version")]
    OtherVersion {
        /// Which file.
        path: PathBuf,
    },
}

/// What a file says of one series.
#[derive(Debug)]
pub(super) struct SavedSeries {
    /// Id within the partition.
    pub(super) id: u32,
    /// `storage::series::hash` of its key.
    pub(super) key_hash: u64,
    /// What is remembered of it.
    pub(super) slot: Slot,
    /// What stood on the board.
    pub(super) summary: Summary,
    /// Where its model lies, if it has one.
    pub(super) place: Option<Place>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct SavedModels {
    /// The series by id.
    pub(super) series: Vec<SavedSeries>,
    /// The runs that were going on, by series id.
    pub(super) runs: Vec<(u32, RunTracker)>,
    /// The flat lines that were told and going on, by series id; without their keys.
    pub(super) flat: Vec<(u32, AnomalyRun)>,
    /// The file itself.
    pub(super) file: SetAside,
}

/// Where the models of a partition lie.
pub(super) fn path(dir: &Path, partition: u8) -> PathBuf {
    dir.join(format!("{partition:02}.models"))
}

/// Writes a file piece by piece.
pub(super) struct ModelsWriter {
    out: BufWriter<File>,
    hasher: crc32fast::Hasher,
    new: PathBuf,
    path: PathBuf,
    state: Vec<u8>,
    /// Bytes written.
    at: u64,
}

impl ModelsWriter {
    /// Begins a file beside the current one.
    pub(super) fn create(dir: &Path, partition: u8) -> Result<Self, ModelsFileError> {
        let path = path(dir, partition);
        let new = path.with_extension("new");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&new).map_err(io("create", &new))?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let mut writer = Self { out, hasher: crc32fast::Hasher::new(), new, path, state: Vec::new(), at: 0 };
        writer.write(MAGIC)?;
        writer.write(&[FORMAT_VERSION])?;
        writer.write(&ENCODING_VERSION.to_le_bytes())?;
        writer.write(&[partition])?;
        Ok(writer)
    }

    /// Adds a series, with what stands on the board of it; where its model lies then, if it has one. One that was set
    /// aside is copied.
    pub(super) fn series(
        &mut self,
        id: u32,
        key_hash: u64,
        slot: &Slot,
        summary: &Summary,
        aside: &SetAside,
    ) -> Result<Option<Place>, ModelsFileError> {
        let mut state = std::mem::take(&mut self.state);
        state.clear();
        state = postcard::to_extend(summary, state).expect("a summary has no part of unknown length");
        let summary_bytes = state.len();
        let kind = match slot {
            Slot::Vacant => return Ok(None),
            Slot::Few(few) => {
                for (time_ms, value) in few.samples() {
                    state.extend_from_slice(&time_ms.to_le_bytes());
                    state.extend_from_slice(&value.to_bits().to_le_bytes());
                }
                FEW
            }
            Slot::Model(model) => {
                state = model.encode(state);
                MODEL
            }
            Slot::Away(place) => {
                aside.copy(place, &mut state).map_err(io("copy a model from", &self.path))?;
                MODEL
            }
        };
        self.write(&[SERIES])?;
        self.write(&id.to_le_bytes())?;
        self.write(&key_hash.to_le_bytes())?;
        self.write(&[kind])?;
        let offset = self.at + size_of::<u32>() as u64 + summary_bytes as u64;
        let place = (kind == MODEL).then(|| Place::of(offset, &state[summary_bytes..], slot.last_ms()));
        self.sized(state)?;
        Ok(place)
    }

    /// Adds a run that is going on.
    pub(super) fn run(&mut self, id: u32, tracker: &RunTracker) -> Result<(), ModelsFileError> {
        let mut state = std::mem::take(&mut self.state);
        state.clear();
        state = postcard::to_extend(tracker, state).expect("a run has no part of unknown length");
        self.write(&[RUN])?;
        self.write(&id.to_le_bytes())?;
        self.sized(state)
    }

    /// Adds a flat line that was told and goes on.
    pub(super) fn flat(&mut self, id: u32, run: &AnomalyRun) -> Result<(), ModelsFileError> {
        let mut state = std::mem::take(&mut self.state);
        state.clear();
        let told = (run.start_ms, run.last_ms, run.samples, &run.peak);
        state = postcard::to_extend(&told, state).expect("a run has no part of unknown length");
        self.write(&[FLAT])?;
        self.write(&id.to_le_bytes())?;
        self.sized(state)
    }

    /// Syncs the file and puts it in the place of the current one; the file, for models that are set aside in it.
    pub(super) fn finish(mut self) -> Result<SetAside, ModelsFileError> {
        self.write(&[END])?;
        let crc = self.hasher.clone().finalize();
        self.write(&crc.to_le_bytes())?;
        let new = self.new;
        let file = self.out.into_inner().map_err(|error| io("write", &new)(error.into_error()))?;
        file.sync_all().map_err(io("sync", &new))?;
        fs::rename(&new, &self.path).map_err(io("rename", &new))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync", dir))?;
        Ok(SetAside::of(file))
    }

    fn sized(&mut self, state: Vec<u8>) -> Result<(), ModelsFileError> {
        self.write(&(state.len() as u32).to_le_bytes())?;
        let written = self.write(&state);
        self.state = state;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ModelsFileError> {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes).map_err(io("write", &self.new))
    }
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ModelsFileError {
    let path = path.to_path_buf();
    move |error| ModelsFileError::Io { what, path, error }
}

/// Reads the models of a partition; none when there is no file.
pub(super) fn read(
    dir: &Path,
    partition: u8,
    settings: &Arc<Settings>,
) -> Result<Option<SavedModels>, ModelsFileError> {
    let path = path(dir, partition);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open", &path)(error)),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io("read", &path))?;
    match decode(&bytes, partition, settings) {
        Ok(Some(saved)) => Ok(Some(SavedModels { file: SetAside::of(file), ..saved })),
        Ok(None) => Err(ModelsFileError::OtherVersion { path }),
        Err((offset, what)) => Err(ModelsFileError::Damaged { path, offset, what }),
    }
}

/// What does not hold, and at which byte.
type Fault = (usize, &'static str);

/// None if the file is whole and of another version.
fn decode(bytes: &[u8], partition: u8, settings: &Arc<Settings>) -> Result<Option<SavedModels>, Fault> {
    let Some((body, crc)) = bytes.split_last_chunk::<CRC_BYTES>() else {
        return Err((bytes.len(), "too short for a file of models"));
    };
    if crc32fast::hash(body).to_le_bytes() != *crc {
        return Err((body.len(), "the checksum does not hold"));
    }
    let mut reader = Reader { bytes: body, at: 0 };
    if reader.array()? != *MAGIC {
        return Err((0, "not a file of models"));
    }
    let [version] = reader.array()?;
    if version != FORMAT_VERSION || u16::from_le_bytes(reader.array()?) != ENCODING_VERSION {
        return Ok(None);
    }
    if reader.array()? != [partition] {
        return Err((7, "models of another partition"));
    }
    let mut saved = SavedModels::default();
    loop {
        match reader.array()? {
            [SERIES] => saved.series.push(reader.series(settings)?),
            [RUN] => saved.runs.push(reader.run()?),
            [FLAT] => saved.flat.push(reader.flat()?),
            [END] if reader.at == body.len() => return Ok(Some(saved)),
            [END] => return Err((reader.at, "bytes after the end")),
            _ => return Err((reader.at, "unknown kind of entry")),
        }
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

    fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let len = u32::from_le_bytes(self.array()?);
        self.take(len as usize)
    }

    fn series(&mut self, settings: &Arc<Settings>) -> Result<SavedSeries, Fault> {
        let at = self.at;
        let id = u32::from_le_bytes(self.array()?);
        let key_hash = u64::from_le_bytes(self.array()?);
        let [kind] = self.array()?;
        let state = self.sized()?;
        let end = self.at;
        let (summary, state) = postcard::take_from_bytes(state).map_err(|_| (at, "a summary does not decode"))?;
        let slot = match kind {
            FEW => few(state, settings).ok_or((at, "samples do not decode"))?,
            MODEL => match SeriesModel::decode(state, settings.clone()) {
                Some((model, [])) => Slot::Model(Box::new(model)),
                _ => return Err((at, "a model does not decode")),
            },
            _ => return Err((at, "unknown kind of state")),
        };
        let place = (kind == MODEL).then(|| Place::of((end - state.len()) as u64, state, slot.last_ms()));
        Ok(SavedSeries { id, key_hash, slot, summary, place })
    }

    fn run(&mut self) -> Result<(u32, RunTracker), Fault> {
        let at = self.at;
        let id = u32::from_le_bytes(self.array()?);
        let tracker = postcard::from_bytes(self.sized()?).map_err(|_| (at, "a run does not decode"))?;
        Ok((id, tracker))
    }
}

impl Reader<'_> {
    fn flat(&mut self) -> Result<(u32, AnomalyRun), Fault> {
        let at = self.at;
        let id = u32::from_le_bytes(self.array()?);
        let told: Result<(i64, i64, u32, Peak), _> = postcard::from_bytes(self.sized()?);
        let (start_ms, last_ms, samples, peak) = told.map_err(|_| (at, "a flat line does not decode"))?;
        Ok((id, AnomalyRun { key: Arc::from([]), start_ms, last_ms, is_open: true, samples, peak }))
    }
}

fn few(bytes: &[u8], settings: &Arc<Settings>) -> Option<Slot> {
    let (samples, []) = bytes.as_chunks::<16>() else { return None };
    if samples.len() > FEW_SAMPLES {
        return None;
    }
    let mut slot = Slot::default();
    for sample in samples {
        let (time, bits) = sample.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes is 8"));
        slot.observe(word(time) as i64, f64::from_bits(word(bits)), settings);
    }
    Some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    fn slot(samples: i64) -> Slot {
        let mut slot = Slot::default();
        for i in 0..samples {
            slot.observe(i * 60_000, (i * 7919 % 31) as f64, &Arc::default());
        }
        slot
    }

    fn write(dir: &Path) {
        let mut writer = ModelsWriter::create(dir, 3).unwrap();
        for (id, samples) in [(0, 4), (2, 0), (7, 400)] {
            let summary = Summary::of_few(samples as u32);
            writer.series(id, 1000 + u64::from(id), &slot(samples), &summary, &SetAside::default()).unwrap();
        }
        writer.run(7, &RunTracker::default()).unwrap();
        writer.finish().unwrap();
    }

    fn read_at(dir: &Path) -> Result<Option<SavedModels>, ModelsFileError> {
        read(dir, 3, &Arc::default())
    }

    #[test]
    fn a_file_reads_back_what_was_written() {
        let dir = tempdir().unwrap();
        assert!(read_at(dir.path()).unwrap().is_none());
        write(dir.path());
        let mut saved = read_at(dir.path()).unwrap().unwrap();
        let told: Vec<_> =
            saved.series.iter().map(|s| (s.id, s.key_hash, s.slot.last_ms(), s.summary.samples)).collect();
        assert_eq!(told, [(0, 1000, 180_000, 4), (7, 1007, 399 * 60_000, 400)]);
        assert_eq!(saved.runs, [(7, RunTracker::default())]);
        let (mut whole, mut read) = (slot(400), std::mem::take(&mut saved.series[1].slot));
        let next = |slot: &mut Slot| slot.observe(400 * 60_000, 900.0, &Arc::default());
        assert_eq!(next(&mut read), next(&mut whole));
    }

    #[test]
    fn a_model_that_was_set_aside_is_copied_from_file_to_file_and_comes_back_the_same() {
        let dir = tempdir().unwrap();
        write(dir.path());
        let mut saved = read_at(dir.path()).unwrap().unwrap();
        let SavedSeries { place: Some(place), summary, .. } = saved.series.remove(1) else { panic!("a model") };
        let mut writer = ModelsWriter::create(dir.path(), 3).unwrap();
        let copied = writer.series(7, 1007, &Slot::Away(place), &summary, &saved.file).unwrap().unwrap();
        let file = writer.finish().unwrap();
        assert_ne!(copied, place, "it stands alone in the new file");
        for (file, place) in [(&saved.file, place), (&file, copied)] {
            assert_eq!(place.last_ms(), 399 * 60_000);
            let mut back = Slot::Model(Box::new(file.model(&place, &Arc::default()).unwrap()));
            let (next, mut whole) = ((400 * 60_000, 900.0), slot(400));
            assert_eq!(back.observe(next.0, next.1, &Arc::default()), whole.observe(next.0, next.1, &Arc::default()));
        }
        assert!(file.model(&place, &Arc::default()).is_err(), "what lies elsewhere in the file is no model");
        assert!(SetAside::default().model(&place, &Arc::default()).is_err());
    }

    #[test]
    fn no_cut_or_flipped_byte_passes_and_none_panics() {
        let dir = tempdir().unwrap();
        write(dir.path());
        let path = path(dir.path(), 3);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(read_at(dir.path()), Err(ModelsFileError::Damaged { .. })), "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert!(decode(&flipped, 3, &Arc::default()).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn bytes_under_a_right_checksum_that_mean_nothing_are_refused() {
        let dir = tempdir().unwrap();
        write(dir.path());
        let whole = fs::read(path(dir.path(), 3)).unwrap();
        let body = &whole[..whole.len() - CRC_BYTES];
        for at in 8..body.len() {
            let mut changed = body.to_vec();
            changed[at] = changed[at].wrapping_add(0x81);
            let crc = crc32fast::hash(&changed);
            changed.extend_from_slice(&crc.to_le_bytes());
            // Whatever is read must be safe to go on with; much of a model is numbers of which any is one.
            let _ = decode(&changed, 3, &Arc::default());
        }
    }

    #[test]
    fn files_of_other_versions_and_partitions_are_told() {
        let dir = tempdir().unwrap();
        write(dir.path());
        let path = path(dir.path(), 3);
        let whole = fs::read(&path).unwrap();
        for (at, is_other_version) in [(4, true), (5, true), (7, false)] {
            let mut body = whole[..whole.len() - CRC_BYTES].to_vec();
            body[at] += 1;
            let crc = crc32fast::hash(&body);
            body.extend_from_slice(&crc.to_le_bytes());
            fs::write(&path, &body).unwrap();
            match read_at(dir.path()) {
                Err(ModelsFileError::OtherVersion { .. }) => assert!(is_other_version, "byte {at}"),
                Err(ModelsFileError::Damaged { .. }) => assert!(!is_other_version, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}
