//! Which times have been written since some moment: what lets others keep what they computed from samples, and know when
//! it no longer holds.
//!
//! Each batch is a new version of the store. Of each version that is remembered the oldest time written is known, and
//! versions that a later one undercuts are forgotten: what was written since a version is then found by one search.
//! Times count by the minute they begin in, so that a store that is written in order remembers one version a minute.
//!
//! Not here: what is kept (see the callers of `Store::version`).
//!
//! Invariant: what is said to be unchanged is; what changed may be said of more than did.
//!
//! Cost: one lock a batch.

use parking_lot::Mutex;
use std::collections::VecDeque;

const MINUTE_MS: i64 = 60_000;
/// Versions remembered: 17 hours of a store that is written in order.
const VERSIONS_MAX: usize = 1024;

/// The times of what one batch stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Of all samples; `i64::MAX` without any.
    pub(crate) oldest_ms: i64,
    /// Of samples that are the newest of their series; `i64::MIN` without any.
    pub(crate) newest_ms: i64,
}

impl Span {
    /// Of no samples.
    pub(crate) const NONE: Self = Self { oldest_ms: i64::MAX, newest_ms: i64::MIN };
}

/// What has been written, and when.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    version: u64,
    /// Of what came with this version or before it nothing is known.
    forgotten: u64,
    /// Versions with the oldest time written with them and since the one before, both ascending.
    remembered: VecDeque<(u64, i64)>,
}

impl Changes {
    /// The present version; to be asked before anything is read.
    pub(crate) fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// Samples were stored, none of them older than this; to be said once they can be read and before anybody is told so.
    pub(crate) fn wrote(&self, oldest_ms: i64) {
        if oldest_ms == Span::NONE.oldest_ms {
            return;
        }
        let minute = oldest_ms.div_euclid(MINUTE_MS);
        let mut written = self.0.lock();
        written.version += 1;
        while written.remembered.back().is_some_and(|(_, known)| *known >= minute) {
            written.remembered.pop_back();
        }
        let version = written.version;
        written.remembered.push_back((version, minute));
        if written.remembered.len() > VERSIONS_MAX
            && let Some((version, _)) = written.remembered.pop_front()
        {
            written.forgotten = version;
        }
    }

    /// Samples of any time have gone.
    pub(crate) fn removed(&self) {
        let mut written = self.0.lock();
        written.version += 1;
        written.forgotten = written.version;
        written.remembered.clear();
    }

    /// Whether all samples up to and including a time are those of an earlier version.
    pub(crate) fn is_unchanged(&self, since: u64, until_ms: i64) -> bool {
        let written = self.0.lock();
        let later = written.remembered.partition_point(|(version, _)| *version <= since);
        let oldest = written.remembered.get(later).map(|(_, minute)| *minute);
        since >= written.forgotten && oldest.is_none_or(|minute| minute > until_ms.div_euclid(MINUTE_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of everything that was ever written.
        #[test]
        fn what_is_said_to_be_unchanged_is(
            minutes in proptest::collection::vec(prop_oneof![9 => 0..40_i64, 1 => Just(-1_i64)], 0..60),
            since in 0..60_u64,
            until in 0..40_i64,
        ) {
            let changes = Changes::default();
            for minute in &minutes {
                match minute {
                    -1 => changes.removed(),
                    minute => changes.wrote(minute * MINUTE_MS + 17),
                }
            }
            let later = minutes.iter().skip(since as usize);
            let expected = later.clone().all(|minute| *minute > until);
            prop_assert_eq!(changes.is_unchanged(since, until * MINUTE_MS + 59_999), expected);
            prop_assert_eq!(changes.version(), minutes.len() as u64);
        }
    }

    #[test]
    fn a_store_written_in_order_is_remembered_by_the_minute_and_in_bounded_memory() {
        let changes = Changes::default();
        let minutes = 2 * VERSIONS_MAX as i64;
        for batch in 0..minutes * 10 {
            changes.wrote(batch * MINUTE_MS / 10);
        }
        assert_eq!(changes.0.lock().remembered.len(), VERSIONS_MAX);
        let version_of = |minute: i64| (minute * 10) as u64;
        assert!(changes.is_unchanged(version_of(minutes - 5), (minutes - 6) * MINUTE_MS));
        assert!(!changes.is_unchanged(version_of(minutes - 5), (minutes - 5) * MINUTE_MS));
        assert!(!changes.is_unchanged(version_of(5), MINUTE_MS), "too long ago to be known");
    }
}
