//! A partition's side of the foundation layer: which of its series want a band, and the bands that have come for them.
//!
//! Series are looked at once a second, so many at a time, and not when their samples are scored: a sample pays for the
//! layer with one comparison, and with reading its band where there is one.
//!
//! Not here: the forecasts (see `foundation_layer`), how a band judges (see `analysis::foreseen`).
//!
//! Invariants: a band that has said nothing for long is forgotten, so that its room is another's; a band that was written
//! down takes a place again before it is read, or is forgotten; a series that rests wants none.

use super::score::{Moment, PartitionModels, ScoringContext};
use super::series_slots::Slot;
use crate::analysis::foresight::{SAMPLES_MIN, STEPS};
use crate::analysis::{SeriesModel, Stage};
use crate::foundation_layer::{LayerDoor, Offer, Urgency};
use storage::series::SeriesRef;

/// How often a partition looks at its series, and at how many.
const LOOK_EVERY_MS: i64 = 1000;
const LOOK_SERIES: usize = 256;

/// From this score on a sample makes its series suspicious: the flag line is at 0.6.
const SUSPICIOUS: f64 = 0.5;

/// Suspicious series that are remembered until the next look.
const SUSPECTS_MAX: usize = 64;

/// A band is given up when it has said nothing for as long as it was for.
const OVER_STEPS: f64 = 2.0 * STEPS as f64;

/// A series that was not heard for this many of its steps wants no band.
const SILENT_STEPS: f64 = 8.0;

/// What a partition remembers of its looks.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Series that were unusual since the last one.
    suspects: Vec<u32>,
    /// Where the next one begins.
    next: usize,
    looked_ms: i64,
}

impl Looks {
    /// The newest sample of a series had this score.
    #[inline]
    pub(super) fn hear(&mut self, id: u32, score: f64) {
        if score >= SUSPICIOUS {
            self.suspect(id);
        }
    }

    #[cold]
    fn suspect(&mut self, id: u32) {
        if self.suspects.len() < SUSPECTS_MAX && !self.suspects.contains(&id) {
            self.suspects.push(id);
        }
    }
}

impl PartitionModels {
    /// Gives models the bands that have come for them, and offers series that want one.
    pub(super) fn exchange_bands(&mut self, context: &ScoringContext, moment: Moment) {
        self.take_bands(context);
        self.offer(context, moment);
    }

    fn take_bands(&mut self, context: &ScoringContext) {
        let Some(layer) = &context.layer else { return };
        while let Some((id, band)) = layer.next_band(self.number) {
            if let Some(Slot::Model(model)) = self.slots.get_mut(id) {
                if let Some(before) = model.foreseen() {
                    count_age(layer, before.after_ms(), model);
                }
                model.foresee(band);
            }
        }
    }

    /// The suspicious ones first.
    fn offer(&mut self, context: &ScoringContext, moment: Moment) {
        let Some(layer) = &context.layer else { return };
        if (moment.now_ms - self.looks.looked_ms).abs() < LOOK_EVERY_MS {
            return;
        }
        self.looks.looked_ms = moment.now_ms;
        for id in std::mem::take(&mut self.looks.suspects) {
            if let Slot::Model(model) = self.slots.get(id)
                && !self.rests.is_resting(id)
                && let Some(offer) = wanted(model, SeriesRef::new(self.number, id), layer.refresh(), moment)
            {
                layer.offer(Offer { urgency: offer.urgency.max(Urgency::Suspicious), ..offer });
            }
        }
        let (number, len) = (self.number, self.slots.len());
        for at in self.looks.next..(self.looks.next + LOOK_SERIES).min(len) {
            let Some(Slot::Model(model)) = self.slots.get_mut(at as u32) else { continue };
            let over = model
                .foreseen()
                .filter(|band| band.age_steps(moment.event_ms) > OVER_STEPS)
                .map(|band| band.after_ms());
            if let Some(after_ms) = over {
                count_age(layer, after_ms, model);
                model.forget_foreseen();
            }
            let offer = wanted(model, SeriesRef::new(number, at as u32), layer.refresh(), moment);
            if let Some(offer) = offer.filter(|_| !self.rests.is_resting(at as u32)) {
                layer.offer(offer);
            }
        }
        let next = self.looks.next + LOOK_SERIES;
        self.looks.next = if next < len { next } else { 0 };
    }
}

/// A model's band, which was written down before, goes on if there is still a layer and room in it.
pub(super) fn place_band(layer: Option<&LayerDoor>, model: &mut SeriesModel) {
    if model.foreseen().is_some() {
        match layer.and_then(LayerDoor::place) {
            Some(place) => model.place_foreseen(place),
            None => model.forget_foreseen(),
        }
    }
}

/// Counts how old a band of a series has become.
fn count_age(layer: &LayerDoor, after_ms: i64, model: &SeriesModel) {
    let last_ms = model.last_ms().unwrap_or(after_ms);
    layer.counters().age.add(last_ms.saturating_sub(after_ms).max(0) as f64 / 1000.0);
}

/// What is offered of a series, if it wants a band: it has samples enough, and no band or one that is not fresh.
fn wanted(model: &SeriesModel, series: SeriesRef, refresh: f64, moment: Moment) -> Option<Offer> {
    let last_ms = model.last_ms()?;
    if moment.event_ms.saturating_sub(last_ms) as f64 > SILENT_STEPS * model.step_ms() {
        return None;
    }
    let band = model.foreseen();
    let is_wanted = match band {
        Some(band) => band.age_steps(last_ms) >= refresh,
        None => model.samples() as usize >= SAMPLES_MIN,
    };
    let urgency = if model.stage() == Stage::Warming { Urgency::New } else { Urgency::Settled };
    is_wanted.then(|| Offer {
        series,
        urgency,
        kind: model.kind(),
        step_ms: model.step_ms(),
        last_ms,
        has_band: band.is_some(),
        offered_ms: moment.now_ms,
    })
}
