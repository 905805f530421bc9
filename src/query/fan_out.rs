//! Series in parallel, on rayon: the only file of `query` that names it.
//!
//! Not here: what is done with a series. The work is cut into runs of neighbouring series, so that every run can reuse
//! its buffers and the order of the results is the order of the input, whatever thread did the work.

use super::error::QueryError;
use rayon::prelude::*;

/// Series a thread takes at once; large enough to hide the hand-over (about 1 us), small enough to share 100 series.
pub(crate) const RUN: usize = 16;

/// Lets each thread that parts of evaluations run on begin with `begin`; changes nothing once there are such threads.
pub(crate) fn begin_threads_by(begin: fn()) {
    // Refused when the threads are there already, as in a process that opens a second server: they began like this then.
    let _ = rayon::ThreadPoolBuilder::new()
        .thread_name(|number| format!("query-{number}"))
        .start_handler(move |_| begin())
        .build_global();
}

/// Applies `work` to every item, in parallel and `length` items at a time, with one `state` per run; results keep the
/// order of the items.
pub(crate) fn map<T, S, R>(
    items: &[T],
    length: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<R, QueryError> + Sync,
) -> Result<Vec<R>, QueryError>
where
    T: Sync,
    R: Send,
{
    let run = |run: &[T]| {
        let mut state = state();
        run.iter().map(|item| work(&mut state, item)).collect::<Result<Vec<R>, QueryError>>()
    };
    if items.len() <= length {
        return run(items);
    }
    let runs = items.par_chunks(length).map(run).collect::<Result<Vec<Vec<R>>, QueryError>>()?;
    Ok(runs.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(map(&items, RUN, || (), |(), &i| Ok(i + 1)).unwrap(), (1..=1000).collect::<Vec<u32>>());
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let items: Vec<u32> = (0..1000).collect();
        let result = map(&items, RUN, || (), |(), &i| if i == 777 { Err(QueryError::Canceled) } else { Ok(i) });
        assert!(matches!(result, Err(QueryError::Canceled)));
    }
}
