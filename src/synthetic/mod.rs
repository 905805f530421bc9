//! Seeded metrics that look like those of real hosts, with anomalies whose truth is known.
//!
//! ```text
//! Plan ─ one Series per metric and host ─ Shape (what is normal) ─ Anomaly (what is not) ─ rows
//! ```
//!
//! Not here: files and arguments (see `cli::generate`), the clock.
//!
//! Invariant: everything follows from the plan; the same plan gives the same rows, and a series does not depend on how
//! many others there are beside it.

mod anomaly;
pub mod demo;
mod normal;
mod random;
mod shape;

pub use anomaly::{Anomaly, AnomalyKind};
pub use normal::{Normal, NormalKind};
pub use shape::Metric;

use random::Random;
use shape::Shape;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How many hosts report.
    pub hosts: usize,
    /// Time of the first sample in milliseconds since 1970.
    pub start_ms: i64,
    /// Milliseconds from one sample to the next.
    pub step_ms: i64,
    /// From the first sample to the end.
    pub length_ms: i64,
    /// The seed of all chance.
    pub seed: u64,
    /// How many anomalies each metric gets, in the order of [`Metric::ALL`], all hosts together.
    pub anomalies: [usize; Metric::ALL.len()],
}

/// One metric of one host.
#[derive(Debug)]
pub struct Series {
    /// What is measured.
    pub metric: Metric,
    /// Where, such as `host-01`.
    pub host: String,
    /// What is not normal, in order of time; no two overlap.
    pub anomalies: Vec<Anomaly>,
    shape: Shape,
}

impl Plan {
    /// Deals `count` anomalies to metrics by chance.
    pub fn deal(seed: u64, count: usize) -> [usize; Metric::ALL.len()] {
        let mut random = Random::of(seed, &[0]);
        let mut dealt = [0; Metric::ALL.len()];
        (0..count).for_each(|_| dealt[random.below(Metric::ALL.len())] += 1);
        dealt
    }

    /// The series of a metric, one a host; nothing if its anomalies do not find room in the plan's length.
    pub fn series(&self, metric: Metric) -> Option<Vec<Series>> {
        let of_host = |host: usize| Series {
            metric,
            host: format!("host-{:02}", host + 1),
            anomalies: Vec::new(),
            shape: Shape::new(metric, Random::of(self.seed, &[1, metric as u64, host as u64]), host),
        };
        let mut all: Vec<Series> = (0..self.hosts).map(of_host).collect();
        let mut random = Random::of(self.seed, &[2, metric as u64]);
        let span = (self.start_ms, self.start_ms + self.length_ms, self.step_ms);
        for _ in 0..self.anomalies[metric as usize] {
            anomaly::place(metric, span, &mut random, &mut all)?;
        }
        all.iter_mut().for_each(|series| series.anomalies.sort_by_key(|anomaly| anomaly.start_ms));
        Some(all)
    }

    /// The times of all samples.
    pub fn times(&self) -> impl Iterator<Item = i64> {
        (0..self.length_ms / self.step_ms).map(|at| self.start_ms + at * self.step_ms)
    }
}

impl Series {
    /// The value at the next time of the plan, rounded as the metric is written; nothing while the series is silent.
    /// Times must be asked for in order, each once.
    pub fn next(&mut self, plan: &Plan, time_ms: i64) -> Option<f64> {
        let normal = self.shape.next(time_ms - plan.start_ms, time_ms, plan.step_ms);
        let anomaly = self.anomalies.iter().find(|anomaly| anomaly.covers(time_ms));
        let value = anomaly.map_or(Some(normal), |anomaly| anomaly.apply(self.metric, time_ms, normal))?;
        Some(self.metric.written(value))
    }
}

#[cfg(test)]
mod tests;
