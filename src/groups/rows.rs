//! The samples of a group's series as rows: at each step the last value of each metric, of several series their mean; and
//! whether any of them came while trouble was planned for its series.
//!
//! Not here: where samples come from (see `runner`).
//!
//! Invariant: a row holds nothing from after its time, and nothing older than [`LOOKBACK_MS`].

use crate::shard::rests::Rest;
use storage::sample::Samples;

/// A value counts for so long, as in queries.
pub(super) const LOOKBACK_MS: i64 = 300_000;

/// The samples of one series; times rise.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) times_ms: Vec<i64>,
    pub(super) values: Vec<f64>,
    /// Whether each came while trouble was planned; empty where nothing is planned.
    pub(super) rested: Vec<bool>,
}

impl Column {
    /// Of samples, and of what was planned for their series.
    pub(super) fn new(samples: Samples, rest: Option<Box<dyn Rest>>) -> Self {
        let Samples { times: times_ms, values } = samples;
        let rested =
            rest.map_or_else(Vec::new, |mut rest| times_ms.iter().map(|time_ms| rest.rests(*time_ms)).collect());
        Self { times_ms, values, rested }
    }

    /// The last value at or before a time, if it is not too old, and whether it came while trouble was planned.
    fn at(&self, time_ms: i64) -> Option<(f64, bool)> {
        let last = self.times_ms.partition_point(|known_ms| *known_ms <= time_ms).checked_sub(1)?;
        let (value, rested) = (self.values[last], self.rested.get(last).is_some_and(|rested| *rested));
        (time_ms - self.times_ms[last] < LOOKBACK_MS && value.is_finite()).then_some((value, rested))
    }
}

/// The value of each metric at a time, given the columns of its series, NaN where none has one; and whether any of them
/// came while trouble was planned.
pub(super) fn row_at(metrics: &[Vec<Column>], time_ms: i64) -> (Vec<f64>, bool) {
    let mut rested = false;
    let mut mean = |columns: &Vec<Column>| {
        let (mut sum, mut count) = (0.0, 0u32);
        for (value, rests) in columns.iter().filter_map(|column| column.at(time_ms)) {
            (sum, count, rested) = (sum + value, count + 1, rested | rests);
        }
        if count > 0 { sum / f64::from(count) } else { f64::NAN }
    };
    let row = metrics.iter().map(&mut mean).collect();
    (row, rested)
}

/// Up to when every metric has been heard.
pub(super) fn heard_ms(metrics: &[Vec<Column>]) -> Option<i64> {
    let last = |columns: &Vec<Column>| columns.iter().filter_map(|column| column.times_ms.last().copied()).max();
    metrics.iter().map(last).min().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_last_values_and_the_mean_of_several_series() {
        let column = |times_ms: &[i64], values: &[f64]| {
            Column::new(Samples { times: times_ms.to_vec(), values: values.to_vec() }, None)
        };
        let cpu = vec![column(&[0, 60_000], &[1.0, 3.0]), column(&[0, 60_000], &[5.0, 7.0])];
        let memory = vec![column(&[30_000], &[9.0])];
        let metrics = [cpu, memory];
        assert_eq!(row_at(&metrics, 60_000), (vec![5.0, 9.0], false));
        assert_eq!(row_at(&metrics, 59_999), (vec![3.0, 9.0], false));
        assert_eq!(heard_ms(&metrics), Some(30_000));
        let (late, _) = row_at(&metrics, 340_000);
        assert!(late[0] == 5.0 && late[1].is_nan(), "{late:?}");
        assert_eq!(heard_ms(&[Vec::new()]), None);
    }

    #[derive(Debug)]
    struct Until(i64);

    impl Rest for Until {
        fn rests(&mut self, time_ms: i64) -> bool {
            time_ms < self.0
        }

        fn rests_between(&mut self, from_ms: i64, _: i64) -> bool {
            from_ms < self.0
        }
    }

    #[test]
    fn a_row_rests_as_long_as_any_of_its_values_came_while_trouble_was_planned() {
        let samples = || Samples { times: vec![0, 60_000, 120_000], values: vec![1.0, 2.0, 3.0] };
        let metrics = [vec![Column::new(samples(), None)], vec![Column::new(samples(), Some(Box::new(Until(90_000))))]];
        let rests = [0, 60_000, 119_999, 120_000].map(|time_ms| row_at(&metrics, time_ms).1);
        assert_eq!(rests, [true, true, true, false]);
    }
}
