//! Threads for whoever reads long: they give way to those who write.
//!
//! A thread that shares a core with writers gets a tenth of it while these want the rest, and all of it otherwise: the
//! system's `nice` value, which Linux keeps for each thread. It cannot be taken back without a privilege, so that these
//! threads do nothing else.
//!
//! Not here: how many read at once (see `api::prometheus`).
//!
//! Invariant: what was lent runs to its end even when nobody waits for it; who ends the program does not wait for it.

use super::fan_out;
use std::io;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// The `nice` value of a reading thread: a weight of 110 beside the usual 1024.
const NICE: i32 = 10;

/// Threads, as many as are lent at a time up to some limit.
#[derive(Debug, Clone)]
pub struct ReadingThreads(Arc<Lent>);

/// A runtime of which only the threads for blocking work are used.
#[derive(Debug)]
struct Lent(Option<Runtime>);

impl ReadingThreads {
    /// At most so many, each with so large a stack; and those on which parts of one evaluation run side by side give way
    /// from now on, unless the first of them has run before.
    ///
    /// # Errors
    /// When the system lends nothing to wait with.
    pub fn new(most: usize, stack_bytes: usize) -> io::Result<Self> {
        fan_out::begin_threads_by(give_way);
        let mut runtime = Builder::new_current_thread();
        runtime.max_blocking_threads(most).thread_name("reading").thread_stack_size(stack_bytes);
        Ok(Self(Arc::new(Lent(Some(runtime.on_thread_start(give_way).build()?)))))
    }

    /// Runs `work` on one of them, as soon as one is free; what it waits for is that of the runtime it is lent from.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn lend<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let lender = Handle::current();
        let work = move || {
            let _within = lender.enter();
            work()
        };
        self.0.0.as_ref().expect("it is taken only at the end").spawn_blocking(work)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Waiting for the threads could take as long as a slow client, and a runtime must not wait inside another.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Lowers the priority of the calling thread; on a system that refuses, reading is as urgent as writing.
fn give_way() {
    let _ = rustix::process::setpriority_process(None, NICE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_lent_runs_with_less_priority_and_the_lender_keeps_its_own() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let threads = ReadingThreads::new(2, 1 << 20).unwrap();
        assert_eq!(threads.lend(own).await.unwrap(), NICE.max(before));
        assert_eq!(own(), before);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_lent_waits_by_the_clock_of_its_lender() {
        let threads = ReadingThreads::new(1, 1 << 20).unwrap();
        let nap = || Handle::current().block_on(tokio::time::sleep(std::time::Duration::from_millis(1)));
        threads.lend(nap).await.unwrap();
    }

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_once() {
        let threads = ReadingThreads::new(1, 1 << 20).unwrap();
        let (first, second) = (std::sync::mpsc::channel::<()>(), threads.clone());
        let waiting = threads.lend(move || first.1.recv().is_ok());
        let (told, hears) = std::sync::mpsc::channel();
        let queued = second.lend(move || told.send(()).is_ok());
        assert!(hears.try_recv().is_err(), "the only thread is taken");
        first.0.send(()).unwrap();
        assert!(waiting.await.unwrap() && queued.await.unwrap());
    }
}
