//! The samples of a group's series as rows: at each step the last value of each metric, of several series their mean.
//!
//! Not here: where samples come from (see `runner`).
//!
//! Invariant: a row holds nothing from after its time, and nothing older than [`LOOKBACK_MS`].

/// A value counts for so long, as in queries.
pub(super) const LOOKBACK_MS: i64 = 300_000;

/// The samples of one series; times rise.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) times_ms: Vec<i64>,
    pub(super) values: Vec<f64>,
}

impl Column {
    /// The last value at or before a time, if it is not too old.
    fn at(&self, time_ms: i64) -> Option<f64> {
        let last = self.times_ms.partition_point(|known_ms| *known_ms <= time_ms).checked_sub(1)?;
        let value = self.values[last];
        (time_ms - self.times_ms[last] < LOOKBACK_MS && value.is_finite()).then_some(value)
    }
}

/// The value of each metric at a time, given the columns of its series; NaN where none has one.
pub(super) fn row_at(metrics: &[Vec<Column>], time_ms: i64) -> Vec<f64> {
    let mean = |columns: &Vec<Column>| {
        let present = columns.iter().filter_map(|column| column.at(time_ms));
        let (sum, count) = present.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
        if count > 0 { sum / f64::from(count) } else { f64::NAN }
    };
    metrics.iter().map(mean).collect()
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
        let column = |times_ms: &[i64], values: &[f64]| Column { times_ms: times_ms.to_vec(), values: values.to_vec() };
        let cpu = vec![column(&[0, 60_000], &[1.0, 3.0]), column(&[0, 60_000], &[5.0, 7.0])];
        let memory = vec![column(&[30_000], &[9.0])];
        let metrics = [cpu, memory];
        assert_eq!(row_at(&metrics, 60_000), [5.0, 9.0]);
        assert_eq!(row_at(&metrics, 59_999), [3.0, 9.0]);
        assert_eq!(heard_ms(&metrics), Some(30_000));
        let late = row_at(&metrics, 340_000);
        assert!(late[0] == 5.0 && late[1].is_nan(), "{late:?}");
        assert_eq!(heard_ms(&[Vec::new()]), None);
    }
}
