//! Forecasts that were asked for once are kept: the next request reads only the samples that are newer.
//!
//! Not here: what is kept of a series (see `analysis::forecast`), reading a whole history (see `forecast`).
//!
//! Invariants: at most [`KEPT_MAX`] are kept, of which the one asked for longest ago goes first; nothing is kept while it
//! is in use, so two requests for one series at once learn it twice rather than wait.

use crate::analysis::forecast::LiveForecast;
use parking_lot::Mutex;
use std::collections::HashMap;
use storage::series::SeriesRef;

/// Forecasts that are kept: one of a week of hours takes about 50 KB, nearly all of it the paths of past errors.
const KEPT_MAX: usize = 512;

/// What a forecast is made for; a wish for another step, level or horizon is another forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wish {
    pub(super) series: SeriesRef,
    pub(super) step_ms: Option<i64>,
    /// Bits of the band's level.
    pub(super) level: u64,
    pub(super) horizon: usize,
}

/// What is kept of a series.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) live: LiveForecast,
    /// The step that samples are averaged over, if they are.
    pub(super) averaged_ms: Option<i64>,
}

/// All that is kept.
#[derive(Debug, Default)]
pub(super) struct KeptForecasts(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<Wish, (u64, Kept)>,
    asked: u64,
}

impl KeptForecasts {
    /// Takes what is kept for a wish; it is to be given back by [`KeptForecasts::keep`].
    pub(super) fn take(&self, wish: &Wish) -> Option<Kept> {
        self.0.lock().kept.remove(wish).map(|(_, kept)| kept)
    }

    /// Keeps it, in the place of the one asked for longest ago if there are too many.
    pub(super) fn keep(&self, wish: Wish, kept: Kept) {
        let mut shelf = self.0.lock();
        shelf.asked += 1;
        let asked = shelf.asked;
        if shelf.kept.len() >= KEPT_MAX && !shelf.kept.contains_key(&wish) {
            let oldest = shelf.kept.iter().min_by_key(|(_, (asked, _))| *asked).map(|(wish, _)| *wish);
            oldest.and_then(|oldest| shelf.kept.remove(&oldest));
        }
        shelf.kept.insert(wish, (asked, kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::forecast::ForecastEngine;

    #[test]
    fn the_one_asked_for_longest_ago_goes_first() {
        let live = ForecastEngine::default().learn(&[0, 1000], &[1.0, 2.0]).unwrap();
        let wish = |number: u32| Wish { series: SeriesRef(number), step_ms: None, level: 0, horizon: 1 };
        let shelf = KeptForecasts::default();
        let keep = |number| shelf.keep(wish(number), Kept { live: live.clone(), averaged_ms: None });
        (0..KEPT_MAX as u32).for_each(keep);
        let first = shelf.take(&wish(0)).unwrap();
        shelf.keep(wish(0), first);
        keep(KEPT_MAX as u32);
        assert!(shelf.take(&wish(1)).is_none());
        assert!(shelf.take(&wish(0)).is_some() && shelf.take(&wish(KEPT_MAX as u32)).is_some());
    }
}
