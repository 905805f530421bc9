//! Judged samples as points of an answer: one by one, or one a step.
//!
//! A step shows its most unusual sample if any of its samples is anomalous, else its newest, so that no anomaly is lost
//! by looking from further away.
//!
//! Not here: judging (see `replay`).

use super::shapes::{Point, Time};
use crate::analysis::{Band, Verdict};

/// Steps without a sample that are filled in between two with one.
const FILLED_STEPS_MAX: i64 = 5;

/// Collects points.
#[derive(Debug)]
pub(super) struct Points {
    start_ms: i64,
    step_ms: Option<i64>,
    points: Vec<Point>,
}

impl Points {
    /// One a step from `start_ms` on, or one a sample.
    pub(super) fn new(start_ms: i64, step_ms: Option<i64>) -> Self {
        Self { start_ms, step_ms, points: Vec::new() }
    }

    /// Takes a judged sample; they come in order of time.
    pub(super) fn take(&mut self, time_ms: i64, value: f64, verdict: &Verdict) {
        let mut point = point(time_ms, value, verdict);
        let Some(step_ms) = self.step_ms else {
            self.points.push(point);
            return;
        };
        point.timestamp = Time(time_ms - (time_ms - self.start_ms).rem_euclid(step_ms));
        match self.points.last_mut() {
            Some(last) if last.timestamp == point.timestamp => {
                let is_shown = point.is_anomaly >= last.is_anomaly && (!last.is_anomaly || point.score > last.score);
                if is_shown {
                    *last = point;
                }
            }
            last => {
                let last = last.cloned();
                self.fill(last, &point, step_ms);
                self.points.push(point);
            }
        }
    }

    /// Fills a short gap with a straight line.
    fn fill(&mut self, last: Option<Point>, next: &Point, step_ms: i64) {
        let Some(last) = last else { return };
        let steps = (next.timestamp.0 - last.timestamp.0) / step_ms;
        if !(2..=FILLED_STEPS_MAX + 1).contains(&steps) {
            return;
        }
        for step in 1..steps {
            let share = step as f64 / steps as f64;
            self.points.push(Point {
                timestamp: Time(last.timestamp.0 + step * step_ms),
                value: last.value + share * (next.value - last.value),
                ..imputed()
            });
        }
    }

    /// The points so far.
    pub(super) fn finish(self) -> Vec<Point> {
        self.points
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }
}

fn imputed() -> Point {
    let [value, expected, lower, upper] = [f64::NAN; 4];
    let (score, is_anomaly, maintenance) = (0.0, false, false);
    Point { timestamp: Time(0), value, expected, lower, upper, score, is_anomaly, imputed: true, maintenance }
}

/// A sample with its verdict; the band in the unit of the sample.
pub(super) fn point(time_ms: i64, value: f64, verdict: &Verdict) -> Point {
    let unknown = Band { expected: f64::NAN, lower: f64::NAN, upper: f64::NAN };
    let Band { expected, lower, upper } = verdict.band_of(value).unwrap_or(unknown);
    let Verdict { score, is_anomaly, is_held: maintenance, .. } = *verdict;
    Point { timestamp: Time(time_ms), value, expected, lower, upper, score, is_anomaly, imputed: false, maintenance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{SeriesModel, Settings};

    fn quiet(time_ms: i64) -> Verdict {
        SeriesModel::new(None, Settings::default()).observe(time_ms, 0.0)
    }

    fn shown(step_ms: Option<i64>, samples: &[(i64, f64, f64)]) -> Vec<(i64, f64, bool)> {
        let mut points = Points::new(5, step_ms);
        for &(time_ms, value, score) in samples {
            let verdict = Verdict { score, is_anomaly: score >= 0.6, ..quiet(time_ms) };
            points.take(time_ms, value, &verdict);
        }
        points.finish().iter().map(|point| (point.timestamp.0, point.value, point.imputed)).collect()
    }

    #[test]
    fn without_a_step_every_sample_is_a_point() {
        assert_eq!(shown(None, &[(5, 1.0, 0.0), (6, 2.0, 0.0)]), [(5, 1.0, false), (6, 2.0, false)]);
    }

    #[test]
    fn a_step_shows_its_most_unusual_sample_or_its_newest() {
        let samples = [(5, 1.0, 0.0), (14, 2.0, 0.0), (15, 3.0, 0.7), (17, 4.0, 0.9), (18, 5.0, 0.8), (24, 6.0, 0.1)];
        assert_eq!(shown(Some(10), &samples), [(5, 2.0, false), (15, 4.0, false)]);
    }

    #[test]
    fn a_short_gap_is_filled_and_a_long_one_is_not() {
        assert_eq!(
            shown(Some(10), &[(5, 1.0, 0.0), (25, 3.0, 0.0)]),
            [(5, 1.0, false), (15, 2.0, true), (25, 3.0, false)]
        );
        assert_eq!(shown(Some(10), &[(5, 1.0, 0.0), (75, 3.0, 0.0)]).len(), 2);
    }
}
