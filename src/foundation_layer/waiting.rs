//! Series that wait for a forecast, the most urgent first, and of equals the one that came first.
//!
//! Not here: the forecasts (see `worker`).
//!
//! Invariants: a series waits once, however often it is offered; no more wait than may.

use super::{Offer, Urgency};
use std::collections::{HashSet, VecDeque};
use storage::series::SeriesRef;

/// How many urgencies there are.
const URGENCIES: usize = 3;

/// Who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    queues: [VecDeque<Offer>; URGENCIES],
    /// With its urgency, since a series that becomes more urgent waits in both queues until its turn.
    known: HashSet<(SeriesRef, Urgency)>,
    len_max: usize,
}

impl Waiting {
    /// Room for so many.
    pub(super) fn new(len_max: usize) -> Self {
        Self { queues: Default::default(), known: HashSet::new(), len_max }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes a series; false if it, or one that was less urgent, found no room.
    pub(super) fn push(&mut self, offer: Offer) -> bool {
        if self.known.contains(&(offer.series, offer.urgency)) {
            return true;
        }
        let mut has_room = true;
        if self.len() >= self.len_max {
            has_room = false;
            let mut less = self.queues[..offer.urgency as usize].iter_mut();
            let Some(given_up) = less.find_map(VecDeque::pop_back) else { return false };
            self.known.remove(&(given_up.series, given_up.urgency));
        }
        self.known.insert((offer.series, offer.urgency));
        self.queues[offer.urgency as usize].push_back(offer);
        has_room
    }

    /// The one that is served next.
    pub(super) fn pop(&mut self) -> Option<Offer> {
        let next = self.queues.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.known.remove(&(next.series, next.urgency));
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Kind;

    fn offer(id: u32, urgency: Urgency) -> Offer {
        Offer {
            series: SeriesRef::new(0, id),
            urgency,
            kind: Kind::Gauge,
            step_ms: 1000.0,
            last_ms: 0,
            has_band: false,
            offered_ms: 0,
        }
    }

    fn order(waiting: &mut Waiting) -> Vec<u32> {
        std::iter::from_fn(|| waiting.pop()).map(|offer| offer.series.id()).collect()
    }

    #[test]
    fn the_most_urgent_are_served_first_and_each_waits_once() {
        let mut waiting = Waiting::new(10);
        let offered = [(1, Urgency::Settled), (2, Urgency::Suspicious), (3, Urgency::New), (1, Urgency::Settled)];
        assert!(offered.into_iter().all(|(id, urgency)| waiting.push(offer(id, urgency))));
        assert!(waiting.push(offer(4, Urgency::New)));
        assert_eq!(waiting.len(), 4);
        assert_eq!(order(&mut waiting), [3, 4, 2, 1]);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn who_is_less_urgent_makes_room_and_who_is_least_finds_none() {
        let mut waiting = Waiting::new(3);
        for id in 0..3 {
            assert!(waiting.push(offer(id, Urgency::Settled)));
        }
        assert!(!waiting.push(offer(9, Urgency::Settled)), "no room among equals");
        assert!(!waiting.push(offer(7, Urgency::New)), "one was given up for it");
        assert_eq!(waiting.len(), 3);
        assert_eq!(order(&mut waiting), [7, 0, 1]);
    }
}
