//! One bucket: what the samples of a series within 5 minutes or an hour amount to.
//!
//! NaN and staleness markers do not count; a bucket without any other sample does not exist.
//!
//! Not here: how buckets are written (see `codec`).

use crate::blocks::DAY_MS;
use crate::chunk::CompensatedSum;

/// Of so many steps of a day one may fall for the series to count as a counter that was reset.
const STEPS_A_DROP: u64 = 16;

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resolution {
    /// 5 minutes.
    Minutes5,
    /// An hour.
    Hour,
}

impl Resolution {
    /// Every resolution that is kept.
    pub const ALL: [Self; 2] = [Self::Minutes5, Self::Hour];

    /// Milliseconds of a bucket; a whole number of buckets makes a UTC day.
    pub const fn ms(self) -> i64 {
        match self {
            Self::Minutes5 => 300_000,
            Self::Hour => 3_600_000,
        }
    }

    /// How many buckets a day has.
    pub const fn a_day(self) -> i64 {
        DAY_MS / self.ms()
    }

    /// Its name in paths and settings: `5m` or `1h`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minutes5 => "5m",
            Self::Hour => "1h",
        }
    }
}

/// The samples of one series in one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollup {
    /// When the bucket begins, in milliseconds since the epoch: a multiple of its length.
    pub start_ms: i64,
    /// How many samples there are; at least 1.
    pub count: u64,
    /// Their sum, compensated: nearly as if added exactly and rounded once.
    pub sum: f64,
    /// The smallest; of 0.0 and -0.0 the earlier.
    pub min: f64,
    /// The largest; of 0.0 and -0.0 the earlier.
    pub max: f64,
    /// The first in time.
    pub first: f64,
    /// The last in time.
    pub last: f64,
    /// For counters, the sum of all values that were followed, within the bucket, by a smaller one; NaN where the
    /// series is no counter: it fell more than once in 16 steps of that day, or below zero.
    pub drops: f64,
}

impl Rollup {
    /// The mean of the samples.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// What a counter rose by over buckets that follow one another in time, resets taken out: from the first sample of the
/// first bucket to the last of the last. NaN when one of them is none of a counter.
pub fn increase(buckets: &[Rollup]) -> f64 {
    let within: f64 = buckets.iter().map(|bucket| bucket.last - bucket.first + bucket.drops).sum();
    let step = |pair: &[Rollup]| match pair[1].first - pair[0].last {
        // A reset between the two: the counter began at 0 again.
        fell if fell < 0.0 => pair[1].first,
        rose => rose,
    };
    within + buckets.windows(2).map(step).sum::<f64>()
}

/// Rolls up the samples of one day of a series.
#[derive(Debug)]
pub(super) struct DayRoller {
    resolution_ms: i64,
    open: Option<Open>,
    last: Option<f64>,
    steps: u64,
    drops: u64,
    is_negative: bool,
}

/// A bucket that may still get samples.
#[derive(Debug)]
struct Open {
    rollup: Rollup,
    sum: CompensatedSum,
    drops: CompensatedSum,
}

impl Open {
    fn new(start_ms: i64, value: f64) -> Self {
        let rollup =
            Rollup { start_ms, count: 0, sum: 0.0, min: value, max: value, first: value, last: value, drops: 0.0 };
        Self { rollup, sum: CompensatedSum::default(), drops: CompensatedSum::default() }
    }

    fn take(&mut self, value: f64) {
        let rollup = &mut self.rollup;
        rollup.count += 1;
        rollup.min = if value < rollup.min { value } else { rollup.min };
        rollup.max = if value > rollup.max { value } else { rollup.max };
        self.drops.add(if value < rollup.last { rollup.last } else { 0.0 });
        self.sum.add(value);
        rollup.last = value;
    }

    fn close(self) -> Rollup {
        Rollup { sum: self.sum.value(), drops: self.drops.value(), ..self.rollup }
    }
}

impl DayRoller {
    /// Appends to `out` the buckets of samples that ascend in time and lie within one day.
    pub(super) fn roll(resolution: Resolution, times: &[i64], values: &[f64], out: &mut Vec<Rollup>) {
        let (resolution_ms, begin) = (resolution.ms(), out.len());
        let mut roller = Self { resolution_ms, open: None, last: None, steps: 0, drops: 0, is_negative: false };
        for (&time_ms, &value) in times.iter().zip(values).filter(|(_, value)| !value.is_nan()) {
            roller.take(time_ms, value, out);
        }
        out.extend(roller.open.take().map(Open::close));
        if roller.is_negative || roller.drops * STEPS_A_DROP > roller.steps {
            out[begin..].iter_mut().for_each(|bucket| bucket.drops = f64::NAN);
        }
    }

    fn take(&mut self, time_ms: i64, value: f64, out: &mut Vec<Rollup>) {
        let start_ms = time_ms - time_ms.rem_euclid(self.resolution_ms);
        if let Some(ended) = self.open.take_if(|open| open.rollup.start_ms != start_ms) {
            out.push(ended.close());
        }
        if let Some(last) = self.last.replace(value) {
            self.steps += 1;
            self.drops += u64::from(value < last);
        }
        self.is_negative |= value < 0.0;
        self.open.get_or_insert_with(|| Open::new(start_ms, value)).take(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::STALE_NAN_BITS;

    fn roll(samples: &[(i64, f64)]) -> Vec<Rollup> {
        let (times, values): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        let mut out = Vec::new();
        DayRoller::roll(Resolution::Minutes5, &times, &values, &mut out);
        out
    }

    #[test]
    fn buckets_of_a_gauge_by_hand() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let found =
            roll(&[(0, 3.0), (100, -1.0), (299_999, 2.5), (300_000, f64::NAN), (600_001, stale), (600_002, 7.0)]);
        assert_eq!(found.len(), 2, "{found:?}");
        let Rollup { start_ms, count, sum, min, max, first, last, drops } = found[0];
        assert_eq!((start_ms, count, sum, min, max, first, last), (0, 3, 4.5, -1.0, 3.0, 3.0, 2.5));
        assert!(drops.is_nan(), "what is below zero is no counter");
        assert_eq!((found[1].start_ms, found[1].count, found[1].mean()), (600_000, 1, 7.0));
    }

    #[test]
    fn the_increase_of_a_counter_steps_over_resets_within_and_between_buckets() {
        // 100 steps of 2, a reset within a bucket after 40 and one at the edge of a bucket.
        let mut samples: Vec<(i64, f64)> = (0..40).map(|i| (i * 15_000, 2.0 * i as f64)).collect();
        samples.extend((40..60).map(|i| (i * 15_000, 2.0 * (i - 40) as f64 + 1.0)));
        samples.extend((60..100).map(|i| (i * 15_000, 2.0 * (i - 60) as f64 + 5.0)));
        let found = roll(&samples);
        assert_eq!(found.len(), 5);
        // 78 to the first reset, 1 after it, 38, 5 after the second, 78.
        assert_eq!(increase(&found), 78.0 + 1.0 + 38.0 + 5.0 + 78.0);
        let within = roll(&[(0, 10.0), (1000, 12.0), (2000, 3.0), (3000, 4.0)]);
        assert!(within[0].drops.is_nan(), "one step of three fell: no counter");
    }

    #[test]
    fn a_series_that_keeps_falling_is_no_counter() {
        let saw: Vec<(i64, f64)> = (0..64).map(|i| (i * 15_000, (i % 4) as f64)).collect();
        assert!(roll(&saw).iter().all(|bucket| bucket.drops.is_nan()));
        assert!(increase(&roll(&saw)).is_nan());
    }

    #[test]
    fn infinities_and_signed_zeros_pass_as_they_are() {
        let found = roll(&[(0, -0.0), (1, 0.0), (2, f64::INFINITY)]);
        assert!(found[0].min.is_sign_negative() && found[0].first.is_sign_negative());
        assert_eq!((found[0].max, found[0].sum), (f64::INFINITY, f64::INFINITY));
        assert!(roll(&[(0, f64::NAN)]).is_empty());
    }
}
