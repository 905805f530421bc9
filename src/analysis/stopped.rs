//! When a series counts as stopped, and whether what comes afterwards goes on where it had stopped.
//!
//! It has stopped when others have gone on for ten of its steps, a minute at least, and for twice its longest gap of late.
//! What was seen for less than a day comes and goes as it likes.
//!
//! Not here: who knows that others go on (see `shard::silence`).

use super::{SeriesModel, Stage};

/// Steps without a sample, the least time, and how often the longest gap.
const STEPS: f64 = 10.0;
const SILENT_MS_MIN: f64 = 60_000.0;
const GAPS: f64 = 2.0;

/// For how long by the clock a series must still have stopped before it is told, in milliseconds: what comes late but in
/// order is no silence.
pub const SILENCE_PATIENCE_MS: i64 = 60_000;

/// A sample that comes so many steps after the last one goes on where it had stopped.
const FILLS_STEPS: f64 = 3.5;

impl SeriesModel {
    /// Whether it has stopped if it was not heard until this time, at which others were, in milliseconds since 1970.
    pub fn has_stopped_by(&self, event_ms: i64) -> bool {
        self.silent_ms(event_ms) > self.patience_ms() && self.stage() > Stage::Warming
    }

    /// The last time at which it has not stopped yet, in milliseconds since 1970.
    pub fn goes_on_until_ms(&self) -> i64 {
        self.last_ms().unwrap_or(i64::MIN).saturating_add(self.patience_ms() as i64)
    }

    /// Whether a sample at this time goes on where the series had stopped: it was late, and nothing is missing.
    pub fn goes_on_at(&self, back_ms: i64) -> bool {
        self.silent_ms(back_ms) <= FILLS_STEPS * self.step_ms()
    }

    fn silent_ms(&self, time_ms: i64) -> f64 {
        time_ms.saturating_sub(self.last_ms().unwrap_or(i64::MIN)) as f64
    }

    fn patience_ms(&self) -> f64 {
        (STEPS * self.step_ms()).max(SILENT_MS_MIN).max(GAPS * self.longest_gap_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Settings;

    const START_MS: i64 = 1_704_067_200_000;
    const STEP_MS: i64 = 30_000;

    fn seen(samples: i64) -> SeriesModel {
        let mut model = SeriesModel::new(None, Settings::default());
        (0..samples).for_each(|at| _ = model.observe(START_MS + at * STEP_MS, 20.0 + (at % 7) as f64));
        model
    }

    #[test]
    fn a_known_series_has_stopped_after_ten_steps_and_a_young_one_never() {
        let (known, young) = (seen(4000), seen(400));
        let last_ms = known.last_ms().unwrap();
        assert_eq!(known.goes_on_until_ms(), last_ms + 10 * STEP_MS);
        assert_eq!([10 * STEP_MS, 10 * STEP_MS + 1].map(|ms| known.has_stopped_by(last_ms + ms)), [false, true]);
        assert!(!young.has_stopped_by(young.last_ms().unwrap() + 100 * STEP_MS));
        assert_eq!([3, 4].map(|steps| known.goes_on_at(last_ms + steps * STEP_MS)), [true, false]);
    }

    #[test]
    fn twice_the_longest_gap_is_waited_for() {
        let mut model = seen(4000);
        let last_ms = model.last_ms().unwrap();
        model.observe(last_ms + 20 * STEP_MS, 20.0);
        let passed_ms = model.goes_on_until_ms() - model.last_ms().unwrap();
        assert!((passed_ms - 40 * STEP_MS).abs() <= STEP_MS, "{passed_ms}");
    }
}
