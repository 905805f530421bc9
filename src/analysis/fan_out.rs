//! Threads that models are lent to: the only file of `analysis` that names rayon.
//!
//! Not here: whose models they are and what is done with them (see `shard::scoring`).
//!
//! Invariants: whoever lends never waits; what was lent comes back by the channel it was lent with, whole.

use crossbeam_channel::Sender;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The threads `analysis-N`, or those of another name.
#[derive(Debug)]
pub struct FanOut(ThreadPool);

impl FanOut {
    /// With so many threads.
    ///
    /// # Errors
    /// When the system gives no threads; in words.
    pub fn new(threads: usize) -> Result<Self, String> {
        Self::named("analysis", threads)
    }

    /// The same for other work than scoring, with threads that are called `NAME-N`.
    ///
    /// # Errors
    /// When the system gives no threads; in words.
    pub fn named(name: &'static str, threads: usize) -> Result<Self, String> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(move |number| format!("{name}-{number}"));
        pool.build().map(Self).map_err(|error| error.to_string())
    }

    /// Has `work` done on one of the threads as soon as one is free. What it gives comes back through `back`, which must
    /// have room for everything that is lent with it at a time.
    pub fn lend<T: Send + 'static>(&self, back: &Sender<T>, work: impl FnOnce() -> T + Send + 'static) {
        let back = back.clone();
        self.0.spawn_fifo(move || {
            // Nobody takes it back only when its owner has ended without waiting for it.
            let _ = back.send(work());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn what_is_lent_comes_back() {
        let pool = FanOut::new(2).unwrap();
        let (back, returned) = bounded(64);
        (0..64u64).for_each(|i| pool.lend(&back, move || i * i));
        let sum: u64 = (0..64).map(|_| returned.recv().unwrap()).sum();
        assert_eq!(sum, (0..64u64).map(|i| i * i).sum::<u64>());
    }
}
