//! What is kept of forecasts, by what they were wished for.
//!
//! Not here: what is kept of a series (see `analysis::forecast`), how it is learned (see `desk`).
//!
//! Invariants: what is kept takes at most `bytes_max`, those asked for longest ago go first; nothing is kept while it is in
//! use, so two who wish the same at once learn it twice rather than wait.

use crate::analysis::forecast::LiveForecast;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use storage::series::SeriesRef;

/// What a place in the tables takes beside the forecast itself.
const PLACE_BYTES: usize = 256;

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
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) live: LiveForecast,
    /// The step that samples are averaged over, if they are.
    pub(super) averaged_ms: Option<i64>,
}

impl Kept {
    fn bytes(&self) -> usize {
        PLACE_BYTES + self.live.bytes()
    }
}

#[derive(Debug)]
struct Place {
    used: u64,
    bytes: usize,
    kept: Arc<Kept>,
}

/// All that is kept.
#[derive(Debug)]
pub(super) struct Shelf {
    bytes_max: usize,
    bytes: usize,
    kept: HashMap<Wish, Place>,
    by_use: BTreeMap<u64, Wish>,
    uses: u64,
    /// Rises with each change, so that an unchanged shelf is not written again.
    changes: u64,
}

impl Shelf {
    /// An empty one for so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, kept: HashMap::new(), by_use: BTreeMap::new(), uses: 0, changes: 0 }
    }

    /// Takes what is kept for a wish; it is to be given back by [`Shelf::keep`].
    pub(super) fn take(&mut self, wish: &Wish) -> Option<Kept> {
        let place = self.kept.remove(wish)?;
        self.by_use.remove(&place.used);
        self.bytes -= place.bytes;
        Some(Arc::unwrap_or_clone(place.kept))
    }

    /// Keeps it, in the place of those asked for longest ago if there is no room.
    pub(super) fn keep(&mut self, wish: Wish, kept: Kept) {
        drop(self.take(&wish));
        let bytes = kept.bytes();
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes + bytes > self.bytes_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.bytes -= self.kept.remove(&oldest).map_or(0, |place| place.bytes);
        }
        self.uses += 1;
        self.changes += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, wish);
        self.kept.insert(wish, Place { used: self.uses, bytes, kept: Arc::new(kept) });
    }

    /// How many are kept, and what they take.
    pub(super) fn figures(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// Rises with each change.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// All that is kept, the one asked for longest ago first; only shared, so that nobody waits for whoever writes it down.
    pub(super) fn all(&self) -> Vec<(Wish, Arc<Kept>)> {
        let kept = |wish: &Wish| Some((*wish, self.kept.get(wish)?.kept.clone()));
        self.by_use.values().filter_map(kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::forecast::ForecastEngine;

    #[test]
    fn the_one_asked_for_longest_ago_goes_first() {
        let live = ForecastEngine::default().learn(&[0, 1000], &[1.0, 2.0]).unwrap();
        let kept = || Kept { live: live.clone(), averaged_ms: None };
        let wish = |number: u32| Wish { series: SeriesRef(number), step_ms: None, level: 0, horizon: 1 };
        let mut shelf = Shelf::new(3 * kept().bytes());
        (0..3).for_each(|number| shelf.keep(wish(number), kept()));
        let first = shelf.take(&wish(0)).unwrap();
        shelf.keep(wish(0), first);
        shelf.keep(wish(3), kept());
        assert!(shelf.take(&wish(1)).is_none());
        assert!(shelf.take(&wish(0)).is_some() && shelf.take(&wish(3)).is_some());
        assert_eq!(shelf.figures(), (1, kept().bytes()));
        let mut small = Shelf::new(kept().bytes() - 1);
        small.keep(wish(0), kept());
        assert_eq!(small.figures(), (0, 0));
    }
}
