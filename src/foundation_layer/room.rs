//! How many series may have a band, and how many have one.
//!
//! Invariant: a band takes its place with it wherever it goes, and gives it back when it is dropped.

use parking_lot::Mutex;
use std::sync::Arc;

/// The places of bands.
#[derive(Debug)]
pub(super) struct Room {
    /// As many hold it beside us as there are bands.
    place: Arc<()>,
    places: usize,
    /// Held by who looks whether there is room and takes it.
    looking: Mutex<()>,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { place: Arc::new(()), places, looking: Mutex::default() }
    }

    /// How many bands there are.
    pub(super) fn taken(&self) -> usize {
        Arc::strong_count(&self.place) - 1
    }

    /// How many there may be.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// A place for a band; whether there is one is the caller's to ask.
    pub(super) fn place(&self) -> Arc<()> {
        self.place.clone()
    }

    /// The same if there is one.
    pub(super) fn place_if_any(&self) -> Option<Arc<()>> {
        let _looking = self.looking.lock();
        (self.taken() < self.places).then(|| self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_it_is_dropped() {
        let room = Room::new(2);
        let (first, second) = (room.place_if_any().unwrap(), room.place());
        assert_eq!((room.taken(), room.places()), (2, 2));
        assert!(room.place_if_any().is_none());
        drop(first);
        assert_eq!(room.taken(), 1);
        drop(second);
        assert_eq!(room.taken(), 0);
    }
}
