//! Windows of samples by their own time: statistics of a minute, ten seconds after ten seconds.
//!
//! Not here: windows of StatsD (see `shard::window`), which close by the clock.
//!
//! Invariants: time is that of the samples, so old samples played back give the windows they gave live; a window holds
//! exactly the samples of the span before its end, which is left open; samples that are not later than the last window's
//! end are passed over.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Values of a window's end that are kept as they are.
const RAW_SEQUENCE: usize = 10;

/// How samples become windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowConfig {
    /// Length of a window in milliseconds.
    pub window_size_ms: i64,
    /// Distance from one window to the next.
    pub step_ms: i64,
    /// Fewer samples are no window.
    pub min_samples: usize,
    /// Samples a window holds at most; the oldest go first.
    pub max_samples: usize,
}

impl Default for WindowConfig {
    /// A minute every ten seconds, from fifteen samples on.
    fn default() -> Self {
        Self { window_size_ms: 60_000, step_ms: 10_000, min_samples: 15, max_samples: 100_000 }
    }
}

/// Statistics of one window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowStats {
    /// End of the window, milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std_dev: f64,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// How many samples.
    pub count: usize,
    /// The last ten values in the order of their times.
    pub raw_sequence: Vec<f64>,
}

/// Makes windows of samples in the order of their times.
///
/// ```
/// use infrawatch::analysis::prepare::{WindowAggregator, WindowConfig};
///
/// let mut windows = WindowAggregator::new(WindowConfig::default());
/// let mut ends = Vec::new();
/// for second in 0..90 {
///     ends.extend(windows.observe(second * 1000, second as f64).iter().map(|window| window.timestamp));
/// }
/// assert_eq!(ends, [60_000, 70_000, 80_000]);
/// ```
#[derive(Debug, Clone)]
pub struct WindowAggregator {
    config: WindowConfig,
    samples: VecDeque<(i64, f64)>,
    /// End of the next window.
    next_ms: Option<i64>,
    late: u64,
}

impl WindowAggregator {
    /// Without samples.
    pub fn new(config: WindowConfig) -> Self {
        let step_ms = config.step_ms.max(1);
        let window_size_ms = config.window_size_ms.max(step_ms);
        let config = WindowConfig { step_ms, window_size_ms, ..config };
        Self { config, samples: VecDeque::new(), next_ms: None, late: 0 }
    }

    /// Samples that came too late to count.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Takes a sample; gives the windows that end at or before it. What is not finite is passed over.
    pub fn observe(&mut self, time_ms: i64, value: f64) -> Vec<WindowStats> {
        if !value.is_finite() {
            return Vec::new();
        }
        let WindowConfig { window_size_ms, step_ms, max_samples, .. } = self.config;
        // Windows end at whole steps, so that two runs over one series have the same ones.
        let first_end =
            |time_ms: i64| time_ms.div_euclid(step_ms).saturating_mul(step_ms).saturating_add(window_size_ms);
        let mut next_ms = *self.next_ms.get_or_insert_with(|| first_end(time_ms));
        if time_ms < next_ms.saturating_sub(step_ms)
            && self.samples.back().is_some_and(|(last_ms, _)| time_ms < *last_ms)
        {
            self.late += 1;
            return Vec::new();
        }
        let mut windows = Vec::new();
        while next_ms <= time_ms {
            let from_ms = next_ms.saturating_sub(window_size_ms);
            while self.samples.front().is_some_and(|(time_ms, _)| *time_ms < from_ms) {
                self.samples.pop_front();
            }
            windows.extend(self.stats(next_ms));
            // After a silence the windows without a sample are passed over at once.
            let after = next_ms.saturating_add(step_ms);
            let newest_ms = self.samples.back().map_or(i64::MIN, |(time_ms, _)| *time_ms);
            let is_empty = newest_ms < after.saturating_sub(window_size_ms);
            next_ms = if is_empty { after.max(time_ms.div_euclid(step_ms).saturating_mul(step_ms)) } else { after };
            if next_ms == i64::MAX {
                break;
            }
        }
        self.next_ms = Some(next_ms);
        if self.samples.len() >= max_samples {
            self.samples.pop_front();
        }
        let at = self.samples.partition_point(|(other, _)| *other <= time_ms);
        self.samples.insert(at, (time_ms, value));
        windows
    }

    /// Of the samples before `end_ms`, if there are enough.
    fn stats(&self, end_ms: i64) -> Option<WindowStats> {
        let held = self.samples.partition_point(|(time_ms, _)| *time_ms < end_ms);
        let values = || self.samples.iter().take(held).map(|(_, value)| *value);
        if held < self.config.min_samples.max(1) {
            return None;
        }
        let (mean, std_dev) = super::super::detectors::mean_and_deviation(values().collect::<Vec<_>>().iter().copied());
        Some(WindowStats {
            timestamp: end_ms,
            mean,
            std_dev,
            min: values().fold(f64::INFINITY, f64::min),
            max: values().fold(f64::NEG_INFINITY, f64::max),
            count: held,
            raw_sequence: values().skip(held.saturating_sub(RAW_SEQUENCE)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(config: WindowConfig, samples: impl IntoIterator<Item = (i64, f64)>) -> Vec<WindowStats> {
        let mut windows = WindowAggregator::new(config);
        samples.into_iter().flat_map(|(time_ms, value)| windows.observe(time_ms, value)).collect()
    }

    /// WIN-001: a minute every ten seconds; fewer than fifteen samples are no window.
    #[test]
    fn a_minute_is_told_every_ten_seconds_if_it_has_fifteen_samples() {
        let ends = |step_s: i64| {
            let samples = (0..120 / step_s).map(|i| (i * step_s * 1000, i as f64));
            windows(WindowConfig::default(), samples).iter().map(|window| window.timestamp / 1000).collect::<Vec<_>>()
        };
        assert_eq!(ends(4), [60, 70, 80, 90, 100, 110]);
        assert_eq!(ends(5), [0; 0]);
    }

    /// WIN-002: by hand.
    #[test]
    fn statistics_of_one_to_twenty() {
        let config = WindowConfig { window_size_ms: 20_000, step_ms: 20_000, ..WindowConfig::default() };
        let samples = (0..21).map(|i| (i * 1000, (i + 1) as f64));
        let [window] = &windows(config, samples)[..] else { panic!("one window") };
        assert_eq!((window.mean, window.min, window.max, window.count), (10.5, 1.0, 20.0, 20));
        assert!((window.std_dev - 5.766).abs() < 5e-4);
        assert_eq!(window.raw_sequence, (11..=20).map(f64::from).collect::<Vec<_>>());
        assert!(serde_json::to_string(window).unwrap().contains("\"stdDev\":5.76"));
    }

    /// WIN-003, DEF-026: windows go by the samples' own time.
    #[test]
    fn old_samples_played_back_give_the_same_windows() {
        let day_ms = 86_400_000;
        let live = windows(WindowConfig::default(), (0..300).map(|i| (i * 1000, (i * i % 17) as f64)));
        let later = windows(WindowConfig::default(), (0..300).map(|i| (day_ms + i * 1000, (i * i % 17) as f64)));
        assert_eq!(live.len(), 24);
        assert!(live.iter().zip(&later).all(|(a, b)| a.timestamp + day_ms == b.timestamp && a.mean == b.mean));
        assert!(live.iter().all(|window| window.count == 60), "what is older than a window is gone");
    }

    #[test]
    fn a_silence_costs_nothing_and_late_samples_are_counted() {
        let mut windows = WindowAggregator::new(WindowConfig { min_samples: 1, ..WindowConfig::default() });
        assert_eq!(windows.observe(0, 1.0), []);
        let told = windows.observe(1 << 60, 2.0);
        assert_eq!(told.len(), 1);
        windows.observe(5, 3.0);
        assert_eq!(windows.late(), 1);
    }
}
