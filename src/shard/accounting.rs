//! What a shard made of a batch, as counters: where the accounting law meets the store's tally.
//!
//! Not here: the counters (see `self_metrics`).

use crate::self_metrics::{Rejection, SourceCounters};
use storage::Tally;

/// Counts every sample of a tally once.
pub(super) fn count(counters: &SourceCounters, tally: &Tally) {
    counters.add_stored(tally.stored);
    counters.add_late(tally.late);
    counters.add_duplicate(tally.duplicate);
    for (reason, count) in rejections(tally) {
        counters.add_rejected(reason, count);
    }
}

/// The part of a tally that counts as rejected, by reason.
pub fn rejections(tally: &Tally) -> [(Rejection, u64); 6] {
    [
        (Rejection::Conflict, tally.conflict),
        (Rejection::InFuture, tally.in_future),
        (Rejection::TooOld, tally.too_old),
        (Rejection::BadSeries, tally.bad_series),
        (Rejection::SeriesLimit, tally.series_limit),
        (Rejection::Unreadable, tally.unreadable),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_counted_once_and_whole() {
        let counters = SourceCounters::default();
        let tally = Tally {
            stored: 1,
            duplicate: 2,
            late: 3,
            conflict: 4,
            in_future: 5,
            too_old: 6,
            bad_series: 7,
            series_limit: 8,
            unreadable: 9,
        };
        counters.add_received(45);
        count(&counters, &tally);
        let rejected: u64 = Rejection::ALL.iter().map(|reason| counters.rejected(*reason)).sum();
        assert_eq!(counters.stored() + counters.duplicate() + counters.late() + rejected, counters.received());
    }
}
