//! Several series of one host or service judged together, by what each has beyond its own normal.
//!
//! Each member has a [`SeriesModel`] of its own, so that a row holds how far each is from what its hour of the week usually
//! has, in its own mean deviations: seasons and levels that moved are no news. Two judge a row by the rows before it: an
//! isolation forest, and the distance of Mahalanobis (1936), which knows what usually goes together. Both are compared with
//! their own past (`calibrate`). The distance says how rare a row is, because a forest's score has no tail: beyond what it
//! has seen all rows look the same to it. The forest must agree, because the distance takes every joint bend for a distance.
//!
//! Not here: which series form a group, and how rows are made of their samples (see `groups`).
//!
//! Invariants: a row is judged before it is learned, and one that is held is not learned at all; what was judged anomalous does not enter the forest until it has
//! lasted for [`ADOPT_ROWS`]; state is bounded by rows and members.
//!
//! Cost: 100 paths of some eight cuts a row and the cube of the members; 600 KiB of trees, at most 2048 rows, and a model a
//! member.

use super::calibrate::Calibrator;
use super::detectors::IsolationForest;
use super::ensemble::score;
use super::judge::{CALM_SAMPLES, FLAG_LINE};
use super::prepare::Matrix;
use super::{Effort, SeriesModel, Settings};
use std::collections::VecDeque;
use std::sync::Arc;

/// Members of a group, at least and at most.
pub const MEMBERS: (usize, usize) = (2, 16);

/// Rows the forest is grown from: the last so many, from so many on, anew after so many.
const ROWS: (usize, usize) = (256, 2048);
const REGROW_ROWS: usize = 256;

/// Anomalous rows after which they are the new normal.
const ADOPT_ROWS: u32 = 60;

/// The forest agrees where it finds a row as isolated as one of fifty, in -log10.
const AGREES_LOG_TAIL: f32 = 1.7;

/// Share of each member's own variance that is added to it, so that members that are always alike can be told apart.
const RIDGE: f64 = 0.01;

/// Deviations beyond are as good as this one.
const DEVIATIONS_MAX: f64 = 12.0;
/// Distances beyond are as good as this one.
const DISTANCE_MAX: f64 = 1e6;
/// Rows a member's mean deviation remembers.
const DEVIATION_MEMORY: f64 = 512.0;
/// A deviation of more than so many mean ones counts as that many when the mean is learned.
const CLIP: f64 = 5.0;

/// What is said of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupVerdict {
    /// What few cuts isolate it: near 1 very few, about one half as many as any; 0 while there is no forest.
    pub isolation: f64,
    /// 0..=1 on the scale of all scores; 0.6 is where the budget is spent.
    pub score: f64,
    /// Whether the row is anomalous.
    pub is_anomaly: bool,
    /// Whether a run of anomalous rows goes on after it.
    pub goes_on: bool,
    /// What each member was, what was expected of it, and its share of the isolation; together the shares are 1 where the
    /// row is anomalous, and 0 elsewhere.
    pub members: Vec<MemberVerdict>,
}

/// A member's part in a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemberVerdict {
    /// What was judged: the value, or a counter's increase a second; NaN if nothing could be.
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// 0..=1.
    pub share: f64,
}

#[derive(Debug)]
struct Member {
    model: SeriesModel,
    deviation: f64,
    rows: f64,
}

/// A measure and how great it usually is.
#[derive(Debug, Default)]
struct Usual {
    mean: f64,
    deviation: f64,
    calibrator: Calibrator,
    seen: u16,
}

/// How deviations of members go together.
#[derive(Debug)]
struct Covariance {
    /// Row by row.
    cells: Vec<f64>,
    rows: f64,
}

/// What is known of one group.
#[derive(Debug)]
pub struct GroupModel {
    members: Vec<Member>,
    rows: VecDeque<Vec<f64>>,
    forest: Option<IsolationForest>,
    since_grown: usize,
    isolation: Usual,
    covariance: Covariance,
    distance: Usual,
    budget: f64,
    run_rows: u32,
    calm: u32,
}

impl GroupModel {
    /// Of so many members whose rows come every `step_ms`.
    pub fn new(members: usize, settings: &Arc<Settings>, step_ms: i64) -> Self {
        let member = || Member { model: SeriesModel::new(None, settings.clone()), deviation: 0.0, rows: 0.0 };
        Self {
            members: (0..members).map(|_| member()).collect(),
            rows: VecDeque::new(),
            forest: None,
            since_grown: 0,
            isolation: Usual::default(),
            covariance: Covariance { cells: vec![0.0; members * members], rows: 0.0 },
            distance: Usual::default(),
            budget: settings.budget_log_tail(step_ms.max(1) as f64),
            run_rows: 0,
            calm: 0,
        }
    }

    /// Judges a row of one value a member, then learns it. Times rise; members that are missing from `values` are not
    /// asked.
    pub fn observe(&mut self, time_ms: i64, values: &[f64]) -> GroupVerdict {
        self.take(time_ms, values, true)
    }

    /// Judges a row by what is known and learns nothing of it, as where trouble was planned for a member.
    /// [`GroupModel::go_on`] ends a span of such rows.
    pub fn observe_held(&mut self, time_ms: i64, values: &[f64]) -> GroupVerdict {
        self.take(time_ms, values, false)
    }

    /// After rows that taught nothing: a run of them is over, all else is as before them.
    pub fn go_on(&mut self) {
        self.members.iter_mut().for_each(|member| member.model.go_on());
        (self.run_rows, self.calm) = (0, 0);
    }

    fn take(&mut self, time_ms: i64, values: &[f64], teaches: bool) -> GroupVerdict {
        let members = self.members.iter_mut().zip(values);
        let told: Vec<(MemberVerdict, f64)> =
            members.map(|(member, value)| member.observe(time_ms, *value, teaches)).collect();
        let row: Vec<f64> = told.iter().map(|(_, deviations)| *deviations).collect();
        let members = told.into_iter().map(|(verdict, _)| verdict).collect();
        let mut verdict = GroupVerdict { isolation: 0.0, score: 0.0, is_anomaly: false, goes_on: false, members };
        if row.len() == self.members.len() && row.iter().all(|deviations| deviations.is_finite()) {
            self.judge(&row, &mut verdict, teaches);
            self.follow(&verdict, teaches);
            if teaches {
                self.learn(row, &verdict);
            }
        }
        verdict.goes_on = self.run_rows > 0;
        verdict
    }

    fn judge(&mut self, row: &[f64], verdict: &mut GroupVerdict, teaches: bool) {
        let Some(forest) = &self.forest else { return };
        let isolation = isolation(forest, row);
        let distance = self.covariance.distance(row);
        let (isolated, far) = (self.isolation.unit(isolation), self.distance.unit(distance));
        let agrees = self.isolation.log_tail(isolated) >= AGREES_LOG_TAIL;
        let log_tail = self.distance.log_tail(far);
        let score = if log_tail.is_nan() { 0.0 } else { score(f64::from(log_tail), self.budget) };
        verdict.isolation = isolation;
        verdict.score = if agrees { score } else { score.min(FLAG_LINE - 0.01) };
        verdict.is_anomaly = verdict.score >= FLAG_LINE;
        if verdict.is_anomaly {
            // What would be left if a member had been as usual: the more is lost, the more of it was this one.
            let lost = |at: usize| {
                let mut other = row.to_vec();
                other[at] = 0.0;
                (distance - self.covariance.distance(&other)).max(0.0) + f64::EPSILON
            };
            let lost: Vec<f64> = (0..row.len()).map(lost).collect();
            let sum: f64 = lost.iter().sum();
            verdict.members.iter_mut().zip(lost).for_each(|(member, lost)| member.share = lost / sum);
        }
        if teaches && (!verdict.is_anomaly || self.run_rows == 0) {
            self.isolation.learn(isolation, isolated, self.budget as f32);
            self.distance.learn(distance, far, self.budget as f32);
        }
    }

    /// Goes on with the run of anomalous rows, or ends it; one that was planned becomes no new normal.
    fn follow(&mut self, verdict: &GroupVerdict, teaches: bool) {
        match verdict.is_anomaly {
            true => (self.run_rows, self.calm) = (if teaches { self.run_rows + 1 } else { 1 }, 0),
            false => self.calm += 1,
        }
        if self.calm >= CALM_SAMPLES {
            self.run_rows = 0;
        }
    }

    fn learn(&mut self, row: Vec<f64>, verdict: &GroupVerdict) {
        let has_lasted = self.run_rows >= ADOPT_ROWS;
        if has_lasted {
            self.run_rows = 0;
        }
        if verdict.is_anomaly && !has_lasted {
            return;
        }
        if self.rows.len() == ROWS.1 {
            self.rows.pop_front();
        }
        self.covariance.learn(&row);
        self.rows.push_back(row);
        self.since_grown += 1;
        let is_due = self.forest.is_none() || self.since_grown >= REGROW_ROWS || has_lasted;
        if self.rows.len() >= ROWS.0 && is_due {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mut matrix = Matrix::new(self.members.len());
        self.rows.iter().for_each(|row| matrix.push(row));
        let forest = IsolationForest::fit(&matrix);
        if self.forest.is_none() {
            // How isolated and how far rows are is known at once from those it has grown from.
            for (isolation, row) in forest.scores(&matrix).into_iter().zip(&self.rows) {
                let distance = self.covariance.distance(row);
                let (isolated, far) = (self.isolation.unit(isolation), self.distance.unit(distance));
                self.isolation.learn(isolation, isolated, self.budget as f32);
                self.distance.learn(distance, far, self.budget as f32);
            }
        }
        (self.forest, self.since_grown) = (Some(forest), 0);
    }

    /// Whether rows are judged already.
    pub fn is_ready(&self) -> bool {
        self.forest.is_some()
    }
}

fn isolation(forest: &IsolationForest, row: &[f64]) -> f64 {
    let mut matrix = Matrix::new(row.len());
    matrix.push(row);
    forest.scores(&matrix).first().copied().unwrap_or(0.0)
}

impl Member {
    /// What is said of it, and how many of its mean deviations it is from what was expected; NaN if nothing is known.
    fn observe(&mut self, time_ms: i64, value: f64, teaches: bool) -> (MemberVerdict, f64) {
        let expected = self.model.expected(time_ms).unwrap_or(f64::NAN);
        let told = match teaches {
            true => self.model.observe(time_ms, value),
            false => self.model.observe_held(time_ms, value, Effort::All),
        };
        let judged = told.judged.unwrap_or(f64::NAN);
        let verdict = MemberVerdict { value: judged, expected, share: 0.0 };
        let away = judged - expected;
        if !away.is_finite() {
            return (verdict, f64::NAN);
        }
        let deviations = if self.deviation > 0.0 { away / self.deviation } else { 0.0 };
        if !teaches {
            return (verdict, deviations.clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX));
        }
        self.rows += 1.0;
        let limit = if self.deviation > 0.0 { CLIP * self.deviation } else { f64::INFINITY };
        let weight = 1.0 / self.rows.min(DEVIATION_MEMORY);
        self.deviation += weight * (away.abs().min(limit) - self.deviation);
        (verdict, deviations.clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX))
    }
}

impl Covariance {
    fn learn(&mut self, row: &[f64]) {
        self.rows += 1.0;
        let weight = 1.0 / self.rows.min(ROWS.1 as f64);
        let clipped: Vec<f64> = row.iter().map(|deviations| deviations.clamp(-CLIP, CLIP)).collect();
        for (cells, left) in self.cells.chunks_mut(row.len()).zip(&clipped) {
            cells.iter_mut().zip(&clipped).for_each(|(cell, right)| *cell += weight * (left * right - *cell));
        }
    }

    /// The distance of Mahalanobis, over the root of the number of members.
    fn distance(&self, row: &[f64]) -> f64 {
        let n = row.len();
        let mut rest = row.to_vec();
        let mut matrix = self.cells.clone();
        (0..n).for_each(|at| matrix[at * n + at] = matrix[at * n + at] * (1.0 + RIDGE) + f64::MIN_POSITIVE);
        // Forward substitution by the factor of Cholesky, which takes the place of the matrix.
        for i in 0..n {
            for j in 0..=i {
                let sum: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
                let left = matrix[i * n + j] - sum;
                matrix[i * n + j] = if i == j { left.max(f64::MIN_POSITIVE).sqrt() } else { left / matrix[j * n + j] };
            }
            let sum: f64 = (0..i).map(|k| matrix[i * n + k] * rest[k]).sum();
            rest[i] = (rest[i] - sum) / matrix[i * n + i];
        }
        let square: f64 = rest.iter().map(|x| x * x).sum();
        if square.is_finite() { (square / n as f64).sqrt().min(DISTANCE_MAX) } else { DISTANCE_MAX }
    }
}

impl Usual {
    /// How far beyond the mean a measure is, in mean deviations.
    fn unit(&self, measure: f64) -> f32 {
        if self.deviation > 0.0 { ((measure - self.mean) / self.deviation).max(0.0) as f32 } else { 0.0 }
    }

    fn log_tail(&self, unit: f32) -> f32 {
        self.calibrator.log_tail(unit, self.seen)
    }

    fn learn(&mut self, measure: f64, unit: f32, budget: f32) {
        self.seen = self.seen.saturating_add(1);
        let weight = 1.0 / f64::from(self.seen).min(ROWS.1 as f64);
        let reach = if self.deviation > 0.0 { 2.0 * CLIP * self.deviation } else { f64::INFINITY };
        let away = (measure - self.mean).clamp(-reach, reach);
        self.mean += weight * away;
        self.deviation += weight * (away.abs() - self.deviation);
        let unit = if self.calibrator.line().is_finite() { unit.min(self.calibrator.line()) } else { unit };
        self.calibrator.learn(unit, self.seen, budget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_MS: i64 = 60_000;
    const DAY: i64 = 1440;

    /// Near enough to a Gaussian of deviation 1, always the same for an index.
    fn gauss(i: i64) -> f64 {
        let mix = |x: u64| (x ^ (x >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (x >> 29);
        let noise =
            |k: i64| (mix((i * 12 + k) as u64 ^ 0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        (0..12).map(noise).sum()
    }

    /// Members of a host's group.
    const METRICS: usize = 6;

    /// What a host shows at a minute, each metric so many of its deviations away, or as chance has it.
    fn host(i: i64, by: Option<f64>) -> [f64; METRICS] {
        let day = (std::f64::consts::TAU * i as f64 / DAY as f64).sin();
        std::array::from_fn(|k| {
            let away = by.unwrap_or_else(|| gauss(METRICS as i64 * i + k as i64));
            let scale = 3f64.powi(k as i32);
            scale * (40.0 + if k == 0 { 5.0 * day } else { 0.0 } + away)
        })
    }

    /// Anomalous rows, and those that a model of one member finds anomalous by itself.
    fn told(days: i64, by: impl Fn(i64) -> Option<f64>) -> (Vec<i64>, Vec<i64>) {
        let settings = Arc::<Settings>::default();
        let mut group = GroupModel::new(METRICS, &settings, STEP_MS);
        let mut alone: Vec<SeriesModel> = (0..METRICS).map(|_| SeriesModel::new(None, settings.clone())).collect();
        let (mut together, mut single) = (Vec::new(), Vec::new());
        for i in 0..days * DAY {
            let row = host(i, by(i));
            let verdict = group.observe(i * STEP_MS, &row);
            if verdict.is_anomaly {
                let shares: f64 = verdict.members.iter().map(|member| member.share).sum();
                assert!((shares - 1.0).abs() < 1e-9 && verdict.score <= 1.0, "{verdict:?}");
                together.push(i);
            }
            let flags = |(model, value): (&mut SeriesModel, f64)| model.observe(i * STEP_MS, value).is_anomaly;
            if alone.iter_mut().zip(row).map(flags).fold(false, |any, flag| any | flag) {
                single.push(i);
            }
        }
        (together, single)
    }

    /// CTX-005: all move by what is nothing unusual for one of them alone.
    #[test]
    fn what_is_odd_together_is_told_although_nothing_is_by_itself() {
        let odd = 9 * DAY + 700;
        let (together, single) = told(10, |i| (i == odd).then_some(2.5));
        assert!(together.contains(&odd), "{together:?}");
        assert!(!single.contains(&odd), "{single:?}");
        let others = together.iter().filter(|i| **i >= 2 * DAY && **i != odd).count();
        assert!(others <= 3, "{together:?}");
    }

    #[test]
    fn what_is_held_is_judged_and_teaches_nothing() {
        let mut group = GroupModel::new(2, &Arc::default(), STEP_MS);
        let row = |i: i64, by: f64| [50.0 + gauss(2 * i) + by, 70.0 + gauss(2 * i + 1) + by];
        for i in 0..2000 {
            group.observe(i * STEP_MS, &row(i, 0.0));
        }
        let held: Vec<bool> = (2000..2500).map(|i| group.observe_held(i * STEP_MS, &row(i, 30.0)).is_anomaly).collect();
        assert!(held.iter().all(|flag| *flag), "the first is as odd as the last: {held:?}");
        assert!(group.observe_held(2500 * STEP_MS, &row(2500, 30.0)).goes_on);
        group.go_on();
        let after: Vec<GroupVerdict> = (2501..2560).map(|i| group.observe(i * STEP_MS, &row(i, 0.0))).collect();
        assert!(!after.iter().any(|verdict| verdict.is_anomaly || verdict.goes_on), "the normal of before is normal");
        assert!(group.observe(2560 * STEP_MS, &row(2560, 30.0)).is_anomaly);
    }

    #[test]
    fn a_row_without_a_value_says_nothing_and_a_shift_is_adopted() {
        let mut group = GroupModel::new(2, &Arc::default(), STEP_MS);
        let row = |i: i64, by: f64| [50.0 + gauss(2 * i) + by, 70.0 + gauss(2 * i + 1) + by];
        for i in 0..2000 {
            group.observe(i * STEP_MS, &row(i, 0.0));
        }
        assert!(group.is_ready());
        assert_eq!(group.observe(2000 * STEP_MS, &[f64::NAN, 70.0]).score, 0.0);
        assert_eq!(group.observe(2001 * STEP_MS, &[50.0]).score, 0.0);
        let shifted: Vec<bool> = (2002..3500).map(|i| group.observe(i * STEP_MS, &row(i, 30.0)).is_anomaly).collect();
        assert!(shifted[0] && shifted[1], "{:?}", &shifted[..5]);
        assert!(!shifted[400..].iter().any(|flag| *flag), "{:?}", shifted.iter().rposition(|flag| *flag));
    }
}
