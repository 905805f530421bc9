//! A time and a value, and the one value with a meaning of its own: the staleness marker.

/// The bit pattern by which Prometheus says that a series has ended; a NaN with a payload.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the staleness marker, by its bits: any other NaN is an ordinary value.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// Samples of one series as columns of equal length, ascending and unique in time.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Samples {
    /// Milliseconds since the epoch.
    pub times: Vec<i64>,
    /// The values, bit for bit as received.
    pub values: Vec<f64>,
}

impl Samples {
    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
    }

    /// Adds one sample at the end.
    #[inline]
    pub fn push(&mut self, time_ms: i64, value: f64) {
        self.times.push(time_ms);
        self.values.push(value);
    }
}
