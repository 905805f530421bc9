//! Trains every model again once a day, on the same expression and span as before.
//!
//! Not here: the clock and the thread (see `server`).
//!
//! Invariant: a model that cannot be trained again stays as it is.

use super::shelf::ModelShelf;
use super::source::Source;
use super::trained::{TrainedModel, Training};
use crate::query::{Cancel, RangeTimes};

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retrained {
    /// Models that were trained again.
    pub trained: usize,
    /// Why others were not, each with its name.
    pub failed: Vec<String>,
}

/// Whether the daily minute `at_minute` (UTC) lies between two moments, the later of which is now.
pub fn is_due(before_ms: i64, now_ms: i64, at_minute: u32) -> bool {
    let at_ms = i64::from(at_minute) * MINUTE_MS;
    let days = |time_ms: i64| (time_ms - at_ms).div_euclid(DAY_MS);
    days(before_ms) < days(now_ms)
}

/// Trains all models again. Blocks, for some tenths of a second of a core a model.
pub fn retrain(shelf: &ModelShelf, source: &Source, now_ms: i64) -> Retrained {
    let mut done = Retrained::default();
    let models = match shelf.all() {
        Ok((models, unreadable)) => {
            done.failed = unreadable;
            models
        }
        Err(error) => return Retrained { trained: 0, failed: vec![error.to_string()] },
    };
    for model in models {
        let about = &model.about;
        match again(shelf, source, about, now_ms) {
            Ok(()) => done.trained += 1,
            Err(what) => done.failed.push(format!("{}: {what}", about.name)),
        }
    }
    done
}

pub(super) fn again(shelf: &ModelShelf, source: &Source, about: &Training, now_ms: i64) -> Result<(), String> {
    let start_ms = now_ms - (about.days * DAY_MS as f64) as i64;
    let times = RangeTimes { start_ms, end_ms: now_ms, step_ms: about.step_ms };
    let mut source = source.clone();
    let points = ((now_ms - start_ms) / about.step_ms.max(1)) as usize + 2;
    source.limits.max_points = source.limits.max_points.max(points);
    let series = source.range(&about.promql, times, &Cancel::default()).map_err(|error| error.to_string())?;
    let (version, networks) = (about.version + 1, Vec::new());
    let training = Training { trained_at_ms: now_ms, version, series, networks, ..about.clone() };
    let model = TrainedModel::train(training.clone(), &|| true).map_err(|error| error.to_string())?;
    shelf.keep(&training, model).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_a_day_at_its_minute() {
        let hour = |hour: i64| 20_000 * DAY_MS + hour * 60 * MINUTE_MS;
        let two = 120;
        assert!(is_due(hour(2) - 1, hour(2), two) && !is_due(hour(2), hour(3), two));
        assert!(!is_due(hour(3), hour(25), two) && is_due(hour(3), hour(26), two));
        assert!(is_due(hour(1), hour(100), two), "a machine that slept for days trains once");
        assert!(is_due(hour(-1), hour(0), 0) && !is_due(hour(0), hour(23), 0));
    }
}
