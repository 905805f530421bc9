//! Observations in flight: what belongs into a window, as columns, on its way from a lane to a shard.
//!
//! Not here: samples with a time of their own (see `batch`), what a window makes of them (see `window`).
//!
//! Invariant: all observations of one batch were received within one window, that of `received_ms`.

/// One observation of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Observed {
    /// Events, already divided by the sample rate.
    Count(f64),
    /// A level.
    Gauge(f64),
    /// A change of a level by Etsy's rule: it sets a gauge that does not exist or is 0.
    GaugeChange(f64),
    /// One of many values; `weight` events looked like it.
    Timer {
        /// The value.
        value: f64,
        /// How many events it stands for.
        weight: f64,
    },
    /// A member of a set, as 64 bits of its hash.
    Member(u64),
}

#[derive(Debug, Clone, Copy)]
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
    /// Adds an observation of the series with this key, received at `received_ms`.
    #[inline]
    pub fn push(&mut self, hash: u64, key: &[u8], observed: Observed, received_ms: i64) {
        self.keys.extend_from_slice(key);
        self.rows.push(Row { hash, key_end: self.keys.len() as u32, observed });
        self.received_ms = received_ms;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// When they were received, milliseconds since the epoch.
    pub fn received_ms(&self) -> i64 {
        self.received_ms
    }

    /// Hash, key and observation in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8], Observed)> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let key = &self.keys[start..row.key_end as usize];
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
        observations.push(2, b"second", Observed::Gauge(3.0), 20);
        let read: Vec<_> = observations.iter().collect();
        assert_eq!(read, [(1, &b"one"[..], Observed::Count(2.0)), (2, &b"second"[..], Observed::Gauge(3.0))]);
        assert_eq!(observations.received_ms(), 20);
        observations.clear();
        assert!(observations.is_empty());
    }
}
