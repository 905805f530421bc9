//! What a source gathered for windows, as columns, on its way from a lane to a shard.
//!
//! Not here: samples with a time of their own (see `batch`), gathering (see `ingest::statsd_table`), what a window makes
//! of it (see `window`).
//!
//! Invariant: all of one batch belongs to one window, that of `received_ms`.

use super::distinct::Distinct;
use super::timer::Timer;

/// What was observed of a series within a window, or within a part of it.
#[derive(Debug)]
pub enum Observed {
    /// Events, already divided by the sample rate.
    Count(f64),
    /// A level, set at this time, or by nothing but changes of the level before: Etsy's rule that a change sets a gauge
    /// that does not exist or is 0 is the same as adding to 0.
    Gauge {
        /// The level, or the sum of changes when it was never set.
        level: f64,
        /// When it was set last, milliseconds since 1970.
        set_ms: Option<i64>,
    },
    /// Many values.
    Timer(Box<Timer>),
    /// Members of a set.
    Members(Box<Distinct>),
}

#[derive(Debug)]
struct Row {
    hash: u64,
    key_end: u32,
    observed: Observed,
}

/// Observations of many series.
#[derive(Debug, Default)]
pub struct Observations {
    keys: Vec<u8>,
    rows: Vec<Row>,
    received_ms: i64,
}

impl Observations {
    /// Adds what was observed of the series with this key in the window of `received_ms`.
    #[inline]
    pub fn push(&mut self, hash: u64, key: &[u8], observed: Observed, received_ms: i64) {
        self.keys.extend_from_slice(key);
        self.rows.push(Row { hash, key_end: self.keys.len() as u32, observed });
        self.received_ms = received_ms;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A time in the window they belong to, milliseconds since the epoch.
    pub fn received_ms(&self) -> i64 {
        self.received_ms
    }

    /// Takes hash, key and observed out, in the order they were added.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, &[u8], Observed)> {
        let mut start = 0;
        let keys = &self.keys;
        self.rows.drain(..).map(move |row| {
            let key = &keys[start..row.key_end as usize];
            start = row.key_end as usize;
            (row.hash, key, row.observed)
        })
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_carry_their_own_key() {
        let mut observations = Observations::default();
        observations.push(1, b"one", Observed::Count(2.0), 10);
        observations.push(2, b"second", Observed::Gauge { level: 3.0, set_ms: None }, 20);
        assert_eq!(observations.received_ms(), 20);
        let read: Vec<_> = observations.drain().map(|(hash, key, observed)| (hash, key.to_vec(), observed)).collect();
        assert!(matches!(&read[0], (1, key, Observed::Count(2.0)) if key == b"one"), "{read:?}");
        assert!(matches!(&read[1], (2, key, Observed::Gauge { level: 3.0, .. }) if key == b"second"), "{read:?}");
        observations.clear();
        assert!(observations.is_empty());
    }
}
