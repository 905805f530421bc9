//! How a partition's models outlive the process: they are read at the start, and written down now and then.
//!
//! Not here: bytes on disk (see `models_file`), when it is done (see `score`).
//!
//! Invariant: a series whose id was given to another one since is learned anew.

use super::foresee::place_band;
use super::models_file::{self, ModelsFileError, ModelsWriter};
use super::score::{Followed, PartitionModels, RAISE_ANEW_MS, SLICE_SERIES, ScoringContext};
use super::series_slots::Slot;
use super::set_aside::SetAside;
use std::sync::atomic::Ordering;
use storage::series::{SeriesRef, hash};

impl PartitionModels {
    pub(super) fn load(&mut self, context: &ScoringContext) {
        self.is_loaded = true;
        match models_file::read(&context.dir, self.number, context.settings.usual()) {
            Ok(Some(saved)) => return self.restore(context, saved),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, partition = self.number, "the models are learned anew from the store");
                context.metrics.scoring.files_refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.raise_from_ms = context.newest_at_start_ms.map_or(i64::MIN, |newest_ms| newest_ms - RAISE_ANEW_MS);
    }

    fn restore(&mut self, context: &ScoringContext, saved: models_file::SavedModels) {
        self.aside = saved.file;
        self.event_ms = context.store.newest_ms().unwrap_or(i64::MIN);
        let follow = |(id, run)| (id, Followed { run, heard_ms: self.now_ms });
        self.trackers = saved.runs.into_iter().map(follow).collect();
        let mut of_other_zone = 0;
        for series in saved.series {
            let known = SeriesRef::new(self.number, series.id);
            // An id that was lost with the end of the journal may have been given to another series since.
            if context.store.key(known).is_none_or(|key| hash(&key) != series.key_hash) {
                continue;
            }
            let Some(slot) = series.slot.under(&context.settings_of(known)) else {
                of_other_zone += 1;
                continue;
            };
            let place = series.place.filter(|_| self.is_idle(series.id, &slot));
            let mut slot = place.map_or(slot, Slot::Away);
            if let Slot::Model(model) = &mut slot {
                place_band(context.layer.as_ref(), model);
            }
            self.slots.put(series.id, slot);
            self.series += 1;
            self.summaries.push((series.id, Some(series.summary)));
        }
        if of_other_zone > 0 {
            tracing::info!(
                partition = self.number,
                series = of_other_zone,
                "series have another time zone and are learned anew"
            );
        }
        self.trackers.retain(|id, _| matches!(self.slots.get(*id), Slot::Model(_)));
        for (id, run) in saved.flat {
            if !matches!(self.slots.get(id), Slot::Vacant) {
                self.tell_flat_again(context, id, run);
            }
        }
    }

    /// Writes the models down, a slice at a time, and sets those of idle series aside.
    pub(super) fn save(&mut self, context: &ScoringContext) -> Result<(), ModelsFileError> {
        let mut writer = ModelsWriter::create(&context.dir, self.number)?;
        let mut away = Vec::new();
        for (at, (id, slot)) in self.slots.iter().enumerate() {
            let series = SeriesRef::new(self.number, id);
            let is_away = matches!(slot, Slot::Away(_)) || self.is_idle(id, slot);
            let Some((key, summary)) = context.store.key(series).zip(context.board.of(series)) else {
                // It is about to be forgotten, and will not be found in the new file.
                away.extend(is_away.then_some((id, Slot::Vacant)));
                continue;
            };
            let place = writer.series(id, hash(&key), slot, &summary, &self.aside)?;
            away.extend(place.filter(|_| is_away).map(|place| (id, Slot::Away(place))));
            if at % SLICE_SERIES == SLICE_SERIES - 1 {
                std::thread::yield_now();
            }
        }
        let mut trackers: Vec<_> = self.trackers.iter().collect();
        trackers.sort_unstable_by_key(|(id, _)| **id);
        trackers.into_iter().try_for_each(|(id, followed)| writer.run(*id, &followed.run))?;
        let mut flat: Vec<_> = self.beside.flat().collect();
        flat.sort_unstable_by_key(|(id, _)| **id);
        flat.into_iter().try_for_each(|(id, run)| writer.flat(*id, run))?;
        let file = writer.finish()?;
        self.aside = if away.is_empty() { SetAside::default() } else { file };
        away.into_iter().for_each(|(id, slot)| self.slots.put(id, slot));
        Ok(())
    }
}
