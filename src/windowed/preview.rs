//! What another limit would have told on samples that are stored, before anybody sets it.
//!
//! Not here: how windows are judged (see `series`), who asks (see `api`).
//!
//! Invariant: as the runner does it with statistics, also where a model judges: windows are compared with those before them, and nothing of it is kept.

use super::runner::{Judge, Settings};
use super::series::{Told, WindowedSeries};
use crate::analysis::prepare::FeatureNormalizer;
use std::sync::Arc;
use storage::sample::Samples;

/// What would have been told of one series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preview {
    /// Windows judged.
    pub windows: u64,
    /// Those beyond the limit.
    pub anomalous: u64,
    /// Runs of them, each of which is one anomaly.
    pub alerts: u64,
}

/// Judges the samples of a series, which is of a family by its name, window by window.
pub fn preview(key: &Arc<[u8]>, family: &str, samples: &Samples, settings: &Settings) -> Preview {
    let mut series = WindowedSeries::new(key.clone(), family.to_owned(), settings);
    let mut scales = FeatureNormalizer::new(settings.update_points);
    let judge = Judge { model: None, falls_back: true };
    let (mut told, mut alerts, mut last_start_ms) = (Told::default(), 0, None);
    for (time_ms, value) in samples.times.iter().zip(&samples.values) {
        series.observe((*time_ms, *value), &mut scales, (settings, &judge), true, &mut told);
        for run in told.runs.drain(..) {
            alerts += u64::from(last_start_ms != Some(run.start_ms));
            last_start_ms = Some(run.start_ms);
        }
    }
    Preview { windows: told.windows, anomalous: told.anomalous, alerts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::series::{KeyBuilder, NAME_LABEL};

    /// CAL-015.
    #[test]
    fn a_greater_multiplier_tells_less_and_the_runs_are_counted_once() {
        let mut keys = KeyBuilder::default();
        keys.push(NAME_LABEL, "load");
        let key: Arc<[u8]> = keys.finish().unwrap().to_vec().into();
        let noise =
            |i: i64| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) >> 11) as f64 / 2f64.powi(53);
        let bump = |i: i64| [(3000, 2.0), (5000, 8.0), (7000, 60.0)].iter().find(|(at, _)| (0..60).contains(&(i - at)));
        let value = |i: i64| 50.0 + noise(i) + bump(i).map_or(0.0, |(_, by)| *by);
        let mut samples = Samples::default();
        for i in 0..9000 {
            samples.times.push(1_700_000_000_000 + i * 1000);
            samples.values.push(value(i));
        }
        let alerts = [1.0, 3.0, 50.0, 100.0].map(|std_multiplier| {
            preview(&key, "load", &samples, &Settings { std_multiplier, ..Settings::default() }).alerts
        });
        assert!(alerts.is_sorted_by(|a, b| a >= b) && alerts[0] > alerts[3], "{alerts:?}");
        assert!(alerts[1] >= 3, "{alerts:?}");
        let usual = preview(&key, "load", &samples, &Settings::default());
        assert!(usual.windows > 800 && usual.anomalous >= usual.alerts, "{usual:?}");
    }
}
