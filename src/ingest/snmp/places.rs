//! Places for devices in the middle of a cycle: so many at a time, the others wait in the order in which they came.
//!
//! Not here: what a cycle does.
//!
//! Invariant: a place is given back exactly once.

use std::collections::VecDeque;

/// Places of one kind.
#[derive(Debug)]
pub(super) struct Places {
    free: usize,
    waiting: VecDeque<usize>,
}

impl Places {
    pub(super) fn new(places: usize) -> Self {
        Self { free: places.max(1), waiting: VecDeque::new() }
    }

    /// Whether there is a place; if not, the device is told when there is one.
    pub(super) fn take_or_wait(&mut self, device: usize) -> bool {
        if self.free == 0 {
            self.waiting.push_back(device);
            return false;
        }
        self.free -= 1;
        true
    }

    /// Gives a place back; the device that has it now, if one waited.
    pub(super) fn give_back(&mut self) -> Option<usize> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.free += 1;
        }
        next
    }

    /// A device that has gone waits no longer.
    pub(super) fn forget(&mut self, device: usize) {
        self.waiting.retain(|waiting| *waiting != device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_gets_the_next_place() {
        let mut places = Places::new(1);
        assert!(places.take_or_wait(7));
        assert!(!places.take_or_wait(8) && !places.take_or_wait(9) && !places.take_or_wait(10));
        places.forget(8);
        assert_eq!((places.give_back(), places.give_back(), places.give_back()), (Some(9), Some(10), None));
        assert!(places.take_or_wait(7), "the one place is free again");
    }
}
