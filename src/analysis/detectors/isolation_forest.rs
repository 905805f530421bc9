//! Isolation forest (Liu, Ting and Zhou 2008): what few random cuts separate from all else is unusual.
//!
//! Not here: the features (see `prepare::features`).
//!
//! Invariants: the same rows give the same forest, whose chance is seeded; scores are more than 0 and less than 1, and
//! one half is what rows have that nothing sets apart; a hundredth of the rows is flagged at most.
//!
//! Cost: a hundred paths of some ten cuts a row; each tree is walked by all rows before the next, so that it stays in the
//! nearest cache.

use super::super::prepare::{FeatureEngineer, Matrix};
use super::super::robust::{median, quantile};
use super::{Detector, Judgement, Options, Samples};

const TREES: usize = 100;
const SUBSAMPLE: usize = 256;
/// Share of rows that is flagged at most.
const CONTAMINATION: f64 = 0.01;
/// Score from which a row is set apart at all; Liu, Ting and Zhou hold 0.6 for potential anomalies.
const THRESHOLD: f64 = 0.6;
const EULER: f64 = 0.577_215_664_901_532_9;

/// A cut, or where it leads no further: the length of path to add there.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// `u32::MAX` at a leaf.
    column: u32,
    /// Where the greater side begins; the smaller one follows the node.
    greater: u32,
    /// Where it is cut; at a leaf the path that its rows would still have had.
    at: f32,
}

const LEAF: u32 = u32::MAX;

/// A forest that has seen rows.
///
/// ```
/// use infrawatch::analysis::detectors::IsolationForest;
/// use infrawatch::analysis::prepare::Matrix;
///
/// let mut rows = Matrix::new(2);
/// (0..500).for_each(|at| rows.push(&[f64::from(at * 7 % 50), f64::from(at * 11 % 40)]));
/// rows.push(&[400.0, -300.0]);
/// let forest = IsolationForest::fit(&rows);
/// let scores = forest.scores(&rows);
/// assert!(scores[500] > 0.65 && scores[..500].iter().all(|score| *score < scores[500]));
/// ```
#[derive(Debug, Clone)]
pub struct IsolationForest {
    trees: Vec<Vec<Node>>,
    /// The mean path of as many rows as a tree has seen.
    usual: f64,
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// Less than `count`.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }

    /// From 0 to 1.
    fn even(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The mean length of an unsuccessful search in a binary tree of so many rows.
fn usual_path(rows: usize) -> f64 {
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        rows => 2.0 * (((rows - 1) as f64).ln() + EULER) - 2.0 * (rows - 1) as f64 / rows as f64,
    }
}

impl IsolationForest {
    /// A hundred trees of 256 rows each.
    pub fn fit(rows: &Matrix) -> Self {
        let mut chance = Chance(0x1507_F0E5);
        let subsample = rows.len().min(SUBSAMPLE);
        let depth_max = (subsample.max(2) as f64).log2().ceil() as u32;
        let mut all: Vec<u32> = (0..rows.len() as u32).collect();
        let tree = |_| {
            // The first so many of a shuffled deck are a sample without repetition.
            for at in 0..subsample {
                let other = at + chance.below(rows.len() - at);
                all.swap(at, other);
            }
            let mut nodes = Vec::with_capacity(2 * subsample);
            grow(rows, &mut all[..subsample], depth_max, &mut chance, &mut nodes);
            nodes
        };
        let trees = if rows.is_empty() { Vec::new() } else { (0..TREES).map(tree).collect() };
        Self { trees, usual: usual_path(subsample).max(1.0) }
    }

    /// How few cuts isolate each row: near 1 very few, about one half as many as any, below more.
    pub fn scores(&self, rows: &Matrix) -> Vec<f64> {
        let mut paths = vec![0.0f32; rows.len()];
        for tree in &self.trees {
            for (path, row) in paths.iter_mut().zip(rows.rows()) {
                *path += path_of(tree, row);
            }
        }
        let mean = |path: f32| f64::from(path) / self.trees.len().max(1) as f64;
        paths.into_iter().map(|path| (-mean(path) / self.usual).exp2()).collect()
    }
}

/// Cuts the rows by chance until each is alone or the tree is deep enough.
fn grow(rows: &Matrix, at: &mut [u32], depth_left: u32, chance: &mut Chance, nodes: &mut Vec<Node>) {
    let leaf = |nodes: &mut Vec<Node>, count: usize| {
        nodes.push(Node { column: LEAF, greater: 0, at: usual_path(count) as f32 });
    };
    // A column in which all are equal cannot be cut: another is tried, but not for ever.
    let cut = (0..2 * rows.columns()).filter(|_| at.len() > 1 && depth_left > 0).find_map(|_| {
        let column = chance.below(rows.columns());
        let values = at.iter().map(|row| rows.at(*row as usize, column));
        let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let middle = (f64::from(low) + (f64::from(high) - f64::from(low)) * chance.even()) as f32;
        (low < high).then_some((column, middle.max(low).min(high)))
    });
    let Some((column, middle)) = cut else { return leaf(nodes, at.len()) };
    let mut below = 0;
    for place in 0..at.len() {
        if rows.at(at[place] as usize, column) < middle {
            at.swap(below, place);
            below += 1;
        }
    }
    let here = nodes.len();
    nodes.push(Node { column: column as u32, greater: 0, at: middle });
    let (smaller, greater) = at.split_at_mut(below);
    grow(rows, smaller, depth_left - 1, chance, nodes);
    nodes[here].greater = nodes.len() as u32;
    grow(rows, greater, depth_left - 1, chance, nodes);
}

fn path_of(tree: &[Node], row: &[f32]) -> f32 {
    let (mut at, mut path) = (0, 0.0);
    loop {
        let node = tree[at];
        if node.column == LEAF {
            return path + node.at;
        }
        at = if row[node.column as usize] < node.at { at + 1 } else { node.greater as usize };
        path += 1.0;
    }
}

/// Isolation of samples by value, change, distance from the means of 5, 15 and 60 samples before, and hour of the day.
///
/// Not by all features that models are trained on: a window of them is unusual for as long as a spike is in it, and would
/// be flagged instead of the spike.
#[derive(Debug, Clone)]
pub struct IsolationForestDetector {
    threshold: f64,
    features: FeatureEngineer,
}

impl IsolationForestDetector {
    /// With the threshold of the options, or 0.6.
    pub fn new(options: &Options) -> Self {
        let mut features = FeatureEngineer::default();
        features.zone = options.zone.clone();
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), features }
    }

    fn rows(&self, samples: Samples<'_>) -> Matrix {
        let columns = self.features.columns(samples.values, Some(samples.times_ms));
        let names = self.features.names(true);
        let of = |name: &str| names.iter().position(|known| known == name).map(|at| &columns[at]);
        let means: Vec<&Vec<f64>> = ["mean_5", "mean_15", "mean_60"].into_iter().filter_map(of).collect();
        let others: Vec<&Vec<f64>> = ["diff", "hour"].into_iter().filter_map(of).collect();
        // Numbers of 32 bits count from the middle, or a great offset would eat what differs.
        let middle = median(&mut samples.values.to_vec());
        let mut rows = Matrix::new(1 + means.len() + others.len());
        for (at, value) in samples.values.iter().enumerate() {
            let apart = means.iter().map(|mean| value - mean[at]);
            let row: Vec<f64> = [value - middle].into_iter().chain(apart).chain(others.iter().map(|c| c[at])).collect();
            rows.push(&row);
        }
        rows
    }
}

impl Detector for IsolationForestDetector {
    fn method(&self) -> &'static str {
        "isolation_forest"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let is_constant = samples.values.windows(2).all(|pair| pair[0] == pair[1]);
        if is_constant {
            return vec![Judgement::ABSTAINS; samples.values.len()];
        }
        judge_rows(&self.rows(samples), self.threshold)
    }
}

/// Judges each row by a forest of all of them.
fn judge_rows(rows: &Matrix, threshold: f64) -> Vec<Judgement> {
    let scores = IsolationForest::fit(rows).scores(rows);
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let limit = quantile(&sorted, 1.0 - CONTAMINATION).max(threshold);
    let judge = |score: f64| {
        // A hundredth at most: a score at the limit itself is none.
        let is_anomaly = score > limit;
        let share = if is_anomaly { (score / limit).max(1.0) } else { (score / limit).min(1.0 - f64::EPSILON) };
        Judgement { score, share, is_anomaly, is_judged: true, ..Judgement::ABSTAINS }
    };
    scores.into_iter().map(judge).collect()
}

/// Isolation of a series' samples by their values and what other series of its group had at the same time: rows of
/// `[value, feature, ..]`. A feature's value counts for two of its own steps; a sample that lacks one is not judged, and
/// without features none is, so that it has no vote. Results are as those of [`judge`](super::judge).
///
/// ```
/// use infrawatch::analysis::detectors::{Options, Samples, judge_with_features};
///
/// let times_ms: Vec<i64> = (0..600).map(|minute| minute * 60_000).collect();
/// // Latency follows the load, but for one minute in which it is that of a busy hour while there is none.
/// let load: Vec<f64> = (0..600).map(|at| f64::from(at * 7 % 60)).collect();
/// let mut latency: Vec<f64> = load.iter().map(|load| 10.0 + 2.0 * load).collect();
/// latency[300] = 190.0;
/// let load = Samples::new(&times_ms, &load);
/// let results = judge_with_features(Samples::new(&times_ms, &latency), &[load], &Options::default());
/// assert!(results[300].is_anomaly && results[300].judgement.is_judged);
/// ```
pub fn judge_with_features(
    samples: Samples<'_>,
    features: &[Samples<'_>],
    options: &Options,
) -> Vec<super::AnomalyResult> {
    let usable = super::usable(samples, false);
    let (times_ms, values) = super::kept(samples, &usable);
    let threshold = options.threshold.unwrap_or(THRESHOLD);
    let detect = || of_features(Samples::new(&times_ms, &values), features, threshold);
    let judged = super::guarded(detect);
    super::results(samples, &usable, "isolation_forest", judged)
}

fn of_features(samples: Samples<'_>, features: &[Samples<'_>], threshold: f64) -> Vec<Judgement> {
    let mut judged = vec![Judgement::ABSTAINS; samples.values.len()];
    if features.is_empty() || samples.values.is_empty() {
        return judged;
    }
    let mut columns = vec![samples.values.to_vec()];
    columns.extend(features.iter().map(|feature| values_at(*feature, samples.times_ms)));
    let whole: Vec<usize> =
        (0..samples.values.len()).filter(|at| columns.iter().all(|column| !column[*at].is_nan())).collect();
    // Numbers of 32 bits count from the middle, or a great offset would eat what differs.
    let middle = |column: &Vec<f64>| median(&mut whole.iter().map(|at| column[*at]).collect::<Vec<_>>());
    let middles: Vec<f64> = columns.iter().map(middle).collect();
    let mut rows = Matrix::new(columns.len());
    for at in &whole {
        let row: Vec<f64> = columns.iter().zip(&middles).map(|(column, middle)| column[*at] - middle).collect();
        rows.push(&row);
    }
    if rows.is_empty() {
        return judged;
    }
    whole.iter().zip(judge_rows(&rows, threshold)).for_each(|(at, judgement)| judged[*at] = judgement);
    judged
}

/// The last value at or before each of these rising times, NaN where it is older than two of the feature's steps.
fn values_at(feature: Samples<'_>, times_ms: &[i64]) -> Vec<f64> {
    let usable = super::usable(feature, false);
    let (known_ms, values) = super::kept(feature, &usable);
    let mut steps: Vec<i64> = known_ms.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = steps.len() / 2;
    let step_ms = if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 };
    let mut next = 0;
    let at = |time_ms: &i64| {
        next += known_ms[next..].iter().take_while(|known_ms| *known_ms <= time_ms).count();
        let last = next.checked_sub(1).filter(|last| time_ms.saturating_sub(known_ms[*last]) <= 2 * step_ms);
        last.map_or(f64::NAN, |last| values[last])
    };
    times_ms.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_taken_from_the_last_two_steps_and_without_any_nobody_votes() {
        let known_ms = [0, 60_000, 120_000, 600_000];
        let feature = Samples::new(&known_ms, &[1.0, 2.0, 3.0, 4.0]);
        let found = values_at(feature, &[0, 59_999, 120_000, 240_000, 240_001, 600_000]);
        assert_eq!(found[..4], [1.0, 1.0, 3.0, 3.0]);
        assert!(found[4].is_nan() && found[5] == 4.0);
        let samples = Samples::new(&known_ms, &[5.0; 4]);
        let alone = judge_with_features(samples, &[], &Options::default());
        assert!(alone.len() == 4 && alone.iter().all(|result| !result.judgement.is_judged));
    }

    /// ML-020: rows of cpu, memory and latency; what is usual has about one half, and a row that is unusual in all three
    /// together has the most, although each of its values is within what the column has elsewhere.
    #[test]
    fn of_three_metrics_the_row_that_is_unusual_in_all_together_ranks_first() {
        let noise = |i: u32, k: u32| f64::from((i * 3 + k).wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5;
        let mut rows = Matrix::new(3);
        for i in 0..1000 {
            rows.push(&[40.0 + 10.0 * noise(i, 0), 60.0 + 10.0 * noise(i, 1), 120.0 + 30.0 * noise(i, 2)]);
        }
        rows.push(&[95.0, 99.0, 900.0]);
        let scores = IsolationForest::fit(&rows).scores(&rows);
        let mut usual = scores[..1000].to_vec();
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
        let middle = median(&mut usual);
        assert!((0.4..0.55).contains(&middle), "{middle}");
        assert!(usual.iter().all(|score| *score < scores[1000]) && scores[1000] > 0.7, "{}", scores[1000]);
    }
}
