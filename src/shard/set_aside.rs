//! Models of series that have been silent for long: they are in their partition's file only, until their series come back.
//!
//! Not here: the file as a whole (see `models_file`), when it is written (see `score`).
//!
//! Invariant: the file stays open as long as a model is in it and nowhere else, so that its name may be given to a newer
//! one, or to none; bytes that are not those that were written are never taken for a model.

use super::foresee::place_band;
use super::score::{PartitionModels, RAISE_ANEW_MS, SILENT_STEPS, ScoringContext};
use super::series_slots::Slot;
use crate::analysis::{Effort, SeriesModel, Settings};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::sample::Samples;
use storage::series::{PARTITIONS, SeriesRef};

/// A series is idle when it was silent for this long, and for [`SILENT_STEPS`] of its own.
const IDLE_MS: i64 = 3_600_000;

/// A partition's file is written for no other reason than to free models only where one in this many is idle.
const IDLE_ONE_IN: usize = 8;

/// Idle series are looked for as soon as there is any sample.
pub(super) const LOOK_AT_ONCE_MS: i64 = i64::MIN + 1;

/// Where a model lies in the file, in 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    /// Time of the last sample it has learned, milliseconds since 1970.
    last_ms: i64,
    len: u32,
    crc32: u32,
}

impl Place {
    /// Of these bytes, which lie at `offset`.
    pub(super) fn of(offset: u64, bytes: &[u8], last_ms: i64) -> Self {
        Self { offset, last_ms, len: bytes.len() as u32, crc32: crc32fast::hash(bytes) }
    }

    /// Time of the last sample that the model has learned, milliseconds since 1970.
    pub(super) fn last_ms(&self) -> i64 {
        self.last_ms
    }
}

/// The file models were set aside in; none if none were.
#[derive(Debug, Default)]
pub(super) struct SetAside(Option<File>);

impl SetAside {
    /// Models are in this file.
    pub(super) fn of(file: File) -> Self {
        Self(Some(file))
    }

    /// Appends the bytes at a place.
    ///
    /// # Errors
    /// When the system refuses, or they are not the bytes that were written.
    pub(super) fn copy(&self, place: &Place, out: &mut Vec<u8>) -> std::io::Result<()> {
        let start = out.len();
        out.resize(start + place.len as usize, 0);
        let file = self.0.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
        file.read_exact_at(&mut out[start..], place.offset)?;
        match crc32fast::hash(&out[start..]) == place.crc32 {
            true => Ok(()),
            false => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the model's checksum does not hold")),
        }
    }

    /// The model at a place.
    ///
    /// # Errors
    /// As [`SetAside::copy`], and when the bytes are no model.
    pub(super) fn model(&self, place: &Place, settings: &Arc<Settings>) -> std::io::Result<SeriesModel> {
        let mut bytes = Vec::new();
        self.copy(place, &mut bytes)?;
        match SeriesModel::decode(&bytes, settings.clone()) {
            Some((model, [])) => Ok(model),
            _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "not a model")),
        }
    }
}

impl PartitionModels {
    /// Takes a series' state out, from the file if it was set aside; none if it cannot be read.
    pub(super) fn take(&mut self, context: &ScoringContext, id: u32) -> Option<Slot> {
        let Slot::Away(place) = self.slots.get(id) else { return Some(self.slots.take(id)) };
        let settings = context.settings_of(SeriesRef::new(self.number, id));
        let model = self.aside.model(place, &settings);
        let other_zone = || std::io::Error::other("days were learned by another time zone");
        match model.and_then(|model| model.under(&settings).ok_or_else(other_zone)) {
            Ok(mut model) => {
                place_band(context.layer.as_ref(), &mut model);
                Some(Slot::Model(Box::new(model)))
            }
            Err(error) => {
                tracing::error!(%error, partition = self.number, id, "an idle model is lost and learned anew");
                None
            }
        }
    }

    /// Learns a series from the store, as if nothing had been known of it.
    pub(super) fn learn_anew(&mut self, context: &ScoringContext, id: u32) {
        context.metrics.scoring.files_refused.fetch_add(1, Ordering::Relaxed);
        self.forget(context, id);
        let before_ms = self.raise_from_ms;
        self.raise_from_ms = self.event_ms.saturating_sub(RAISE_ANEW_MS);
        let mut samples = Samples::default();
        match context.store.read(SeriesRef::new(self.number, id), i64::MIN, i64::MAX, &mut samples) {
            Ok(()) => {
                let columns = samples.times.iter().copied().zip(samples.values.iter().copied());
                self.score_series(context, id, columns, Effort::All);
            }
            Err(error) => tracing::error!(%error, "samples of a series cannot be read and are not learned"),
        }
        self.raise_from_ms = before_ms;
    }

    /// Whether the model of a series may be set aside.
    pub(super) fn is_idle(&self, id: u32, slot: &Slot) -> bool {
        let Slot::Model(model) = slot else { return false };
        let silent_ms = self.event_ms.saturating_sub(slot.last_ms());
        silent_ms > IDLE_MS && silent_ms as f64 > SILENT_STEPS * model.step_ms() && !self.trackers.contains_key(&id)
    }

    /// Whether so many models could be set aside that it is worth writing the file; looked at once in an hour of the
    /// samples' time, by each partition at another minute.
    pub(super) fn has_many_idle(&mut self) -> bool {
        if self.event_ms < self.look_ms {
            return false;
        }
        let phase_ms = IDLE_MS * i64::from(self.number) / PARTITIONS as i64;
        let hour = self.event_ms.saturating_sub(phase_ms).div_euclid(IDLE_MS);
        self.look_ms = (hour + 1).saturating_mul(IDLE_MS).saturating_add(phase_ms);
        let (mut models, mut idle) = (0, 0);
        for (id, slot) in self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Model(_))) {
            (models, idle) = (models + 1, idle + usize::from(self.is_idle(id, slot)));
        }
        idle > 0 && idle * IDLE_ONE_IN >= models
    }
}
