//! How many series may have a band, and how many have one.
//!
//! Invariant: a band takes its place with it wherever it goes, and gives it back when it is dropped.

use std::sync::Arc;

/// The places of bands.
#[derive(Debug)]
pub(super) struct Room {
    /// As many hold it beside us as there are bands.
    place: Arc<()>,
    places: usize,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { place: Arc::new(()), places }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_it_is_dropped() {
        let room = Room::new(2);
        let (first, second) = (room.place(), room.place());
        assert_eq!((room.taken(), room.places()), (2, 2));
        drop(first);
        assert_eq!(room.taken(), 1);
        drop(second);
        assert_eq!(room.taken(), 0);
    }
}
