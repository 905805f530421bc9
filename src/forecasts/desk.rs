//! Forecasts of stored series: from what is kept of a series and the samples since, or from its history where nothing is
//! kept or that has become stale.
//!
//! What a series sent while trouble was planned for it is not learned: it counts as sent, and its values as not known.
//!
//! Not here: how a forecast is made (see `analysis::forecast`), who asks, what is planned (the server hands that in).

use super::history;
use super::shelf::{Kept, Shelf, Wish};
use crate::analysis::forecast::{Forecast, ForecastEngine, ForecastError, most_of};
use crate::shard::rests::{NoRestPlans, RestPlans, rest_of};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};
use storage::{SelectedSeries, Store, StoreError};

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum NoForecast {
    /// The samples cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be said of them, or not what was asked.
    #[error(transparent)]
    Series(#[from] ForecastError),
}

/// A forecast, and what is known of the present.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The forecast.
    pub forecast: Forecast,
    /// The newest value that it knows.
    pub current: f64,
    /// The time of that value, in milliseconds since 1970.
    pub current_ms: i64,
}

/// Figures for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskFigures {
    /// Forecasts that are kept.
    pub kept: usize,
    /// What they take.
    pub bytes: usize,
    /// Times a history was read and learned.
    pub learned: u64,
    /// Times what was kept was brought up to date instead.
    pub updated: u64,
    /// Forecasts that were kept before the last start and were taken over.
    pub restored: u64,
}

/// Makes forecasts of what a store holds, and keeps what it learned.
#[derive(Debug)]
pub struct ForecastDesk {
    pub(super) store: Store,
    pub(super) shelf: Mutex<Shelf>,
    rests: Arc<dyn RestPlans>,
    learned: AtomicU64,
    updated: AtomicU64,
    pub(super) restored: AtomicU64,
}

impl ForecastDesk {
    /// Over a store, keeping at most so many bytes.
    pub fn new(store: Store, bytes_max: usize) -> Self {
        let (shelf, rests) = (Mutex::new(Shelf::new(bytes_max)), Arc::new(NoRestPlans));
        Self {
            store,
            shelf,
            rests,
            learned: AtomicU64::new(0),
            updated: AtomicU64::new(0),
            restored: AtomicU64::new(0),
        }
    }

    /// The same, which learns nothing of what comes while trouble is planned.
    pub fn resting(self, rests: Arc<dyn RestPlans>) -> Self {
        Self { rests, ..self }
    }

    /// The forecast of a series in steps of `step_ms`, or of what is usual for its samples; `samples` is room to read in.
    ///
    /// # Errors
    /// When the store cannot be read, or the series has too few usable values.
    pub fn of(
        &self,
        one: &SelectedSeries,
        engine: ForecastEngine,
        step_ms: Option<i64>,
        samples: &mut Samples,
    ) -> Result<Made, NoForecast> {
        self.with((one, engine, step_ms), true, samples, made)
    }

    /// The same for somebody who goes through all series: what had to be learned for it is not kept, so that what others ask
    /// for again and again stays.
    ///
    /// # Errors
    /// When the store cannot be read, or the series has too few usable values.
    pub fn once(
        &self,
        one: &SelectedSeries,
        engine: ForecastEngine,
        step_ms: Option<i64>,
        samples: &mut Samples,
    ) -> Result<Made, NoForecast> {
        self.with((one, engine, step_ms), false, samples, made)
    }

    /// The same up to a time, however long the steps of the series turn out to be; `engine.horizon` is how many of them are
    /// made at most.
    ///
    /// # Errors
    /// When the store cannot be read, or the series has too few usable values.
    pub fn until(
        &self,
        one: &SelectedSeries,
        engine: ForecastEngine,
        (step_ms, until_ms): (Option<i64>, i64),
        samples: &mut Samples,
    ) -> Result<Made, NoForecast> {
        let make = |kept: &Kept, engine: ForecastEngine| {
            let ahead_ms = until_ms.saturating_sub(kept.live.last_ms()).max(0) as u64;
            let steps = ahead_ms.div_ceil(kept.live.step_ms().max(1) as u64);
            let horizon = (steps.max(1) as usize).min(engine.horizon);
            made(kept, ForecastEngine { horizon, ..engine })
        };
        self.with((one, engine, step_ms), true, samples, make)
    }

    /// Makes something of what is kept of a series once that is up to date; what was not kept before is if `keeps`.
    fn with(
        &self,
        (one, engine, step_ms): (&SelectedSeries, ForecastEngine, Option<i64>),
        keeps: bool,
        samples: &mut Samples,
        make: impl Fn(&Kept, ForecastEngine) -> Result<Made, NoForecast>,
    ) -> Result<Made, NoForecast> {
        let most = engine.most.or_else(|| most_of(series::label(&one.key, NAME_LABEL).unwrap_or(""), None));
        let engine = ForecastEngine { most, ..engine };
        if engine.method.is_some() {
            // Only the combination is kept: one forecaster alone is asked for to be compared.
            return make(&self.learn(one, engine, step_ms, samples)?, engine);
        }
        let wish = Wish { series: one.series, step_ms, level: engine.level.to_bits(), horizon: engine.horizon };
        let before = self.take(&wish);
        let is_kept = keeps || before.is_some();
        let kept = match before {
            Some(kept) => self.brought_up_to_date(one, kept, samples)?,
            None => None,
        };
        let kept = match kept {
            Some(kept) => kept,
            None => self.learn(one, engine, step_ms, samples)?,
        };
        let made = make(&kept, engine);
        if is_kept {
            self.shelf.lock().keep(wish, kept);
        }
        made
    }

    fn take(&self, wish: &Wish) -> Option<Kept> {
        self.shelf.lock().take(wish)
    }

    fn learn(
        &self,
        one: &SelectedSeries,
        engine: ForecastEngine,
        step_ms: Option<i64>,
        samples: &mut Samples,
    ) -> Result<Kept, NoForecast> {
        let mut rest = rest_of(&*self.rests, &one.key);
        let averaged_ms = history::read(&self.store, one, step_ms, &mut rest, samples)?;
        self.learned.fetch_add(1, Ordering::Relaxed);
        Ok(Kept { live: engine.learn(&samples.times, &samples.values)?, averaged_ms })
    }

    /// Lets what is kept take in the samples since; none where its history is to be learned anew.
    fn brought_up_to_date(
        &self,
        one: &SelectedSeries,
        mut kept: Kept,
        samples: &mut Samples,
    ) -> Result<Option<Kept>, StoreError> {
        let mut rest = rest_of(&*self.rests, &one.key);
        history::read_since(&self.store, one, (kept.averaged_ms, kept.live.last_ms()), &mut rest, samples)?;
        samples.times.iter().zip(&samples.values).for_each(|(time_ms, value)| kept.live.observe(*time_ms, *value));
        if kept.live.is_stale() {
            return Ok(None);
        }
        self.updated.fetch_add(1, Ordering::Relaxed);
        Ok(Some(kept))
    }

    /// How the desk does.
    pub fn figures(&self) -> DeskFigures {
        let (kept, bytes) = self.shelf.lock().figures();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (learned, updated, restored) = (of(&self.learned), of(&self.updated), of(&self.restored));
        DeskFigures { kept, bytes, learned, updated, restored }
    }
}

/// The forecast of what is kept.
fn made(kept: &Kept, engine: ForecastEngine) -> Result<Made, NoForecast> {
    let forecast = kept.live.forecast(engine.horizon, engine.threshold)?;
    Ok(Made { forecast, current: kept.live.newest(), current_ms: kept.live.last_ms() })
}
