//! Changes of level in a finished series, by PELT (Killick, Fearnhead and Eckley 2012): the cuts into stretches of one level
//! each that are worth more than they cost.
//!
//! Not here: shifts as they happen (see `cusum`).
//!
//! Invariants: a stretch has at least [`STRETCH_MIN`] samples, so that spikes are none; a season is taken out first.
//!
//! Cost: nearly linear where there are changes; series of more than [`PLACES_MAX`] samples are cut at that many places
//! only, then each cut moves to the best place nearby.

use super::super::robust::median;
use super::super::seasonality;
use super::mad::Centre;
use super::{Detector, Floor, Judgement, Options, Samples};

/// Least difference of two levels, in spreads.
const THRESHOLD: f64 = 3.0;
const STRETCH_MIN: usize = 12;
const PLACES_MAX: usize = 2000;
/// Cost of a cut in units of the spread's square and the logarithm of the length (Yao 1988 with room for heavy tails).
const PENALTY: f64 = 4.0;
/// Median absolute difference of two neighbours to their standard deviation.
const DIFFERENCE_TO_SIGMA: f64 = 1.4826 / std::f64::consts::SQRT_2;

/// The first sample of each stretch whose level is another than before.
#[derive(Debug, Clone)]
pub struct ChangePoint {
    threshold: f64,
    floor: Floor,
}

impl ChangePoint {
    /// With the threshold of the options, or 3.
    pub fn new(options: &Options) -> Self {
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), floor: Floor::new(options) }
    }

    /// Where the level changes: the first place of every stretch but the first.
    pub fn cuts(values: &[f64]) -> Vec<usize> {
        let count = values.len();
        let spread = noise(values);
        if count < 2 * STRETCH_MIN || spread <= 0.0 {
            return if spread > 0.0 { Vec::new() } else { steps(values) };
        }
        let centre = median(&mut values.to_vec());
        let (mut sums, mut squares) = (vec![0.0; count + 1], vec![0.0; count + 1]);
        for (at, value) in values.iter().enumerate() {
            // Giants say nothing of levels.
            let off = ((value - centre) / spread).clamp(-1e6, 1e6);
            (sums[at + 1], squares[at + 1]) = (sums[at] + off, squares[at] + off * off);
        }
        let cost = |from: usize, to: usize| {
            let sum = sums[to] - sums[from];
            (squares[to] - squares[from] - sum * sum / (to - from) as f64).max(0.0)
        };
        let penalty = PENALTY * (count as f64).ln() * widening(values, spread);
        let stride = count.div_ceil(PLACES_MAX);
        let rough = cheapest(count, stride, penalty, &cost);
        refine(&rough, count, stride, &cost)
    }
}

/// Spread of the values about their level, told from the differences of neighbours.
fn noise(values: &[f64]) -> f64 {
    let mut differences: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    if differences.is_empty() {
        return 0.0;
    }
    let typical = median(&mut differences);
    match typical {
        0.0 => differences.iter().sum::<f64>() / differences.len() as f64 / std::f64::consts::SQRT_2,
        typical => typical * DIFFERENCE_TO_SIGMA,
    }
}

/// How much more a mean scatters than one of independent values: neighbours that resemble each other make long waves that
/// are no changes. Measured within short stretches, where changes hardly count.
fn widening(values: &[f64], spread: f64) -> f64 {
    let mut within: Vec<f64> = values.chunks(4 * STRETCH_MIN).map(|chunk| Centre::of(chunk).spread).collect();
    let ratio = median(&mut within) / spread;
    if ratio.is_finite() { (ratio * ratio).clamp(1.0, 100.0) } else { 1.0 }
}

/// Changes of a series without noise: every step that lasts.
fn steps(values: &[f64]) -> Vec<usize> {
    let lasts = |at: &usize| {
        let end = (at + STRETCH_MIN).min(values.len());
        values[*at] != values[at - 1] && end - at == STRETCH_MIN && values[*at..end].iter().all(|v| *v == values[*at])
    };
    (1..values.len()).filter(lasts).collect()
}

/// The cuts at multiples of `stride` whose stretches cost least together.
fn cheapest(count: usize, stride: usize, penalty: f64, cost: &impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let places = count.div_ceil(stride);
    let place = |at: usize| (at * stride).min(count);
    let least = STRETCH_MIN.div_ceil(stride);
    let mut best = vec![f64::INFINITY; places + 1];
    let mut before = vec![0; places + 1];
    best[0] = -penalty;
    let mut open = vec![0usize];
    for end in least..=places {
        if end >= 2 * least {
            open.push(end - least);
        }
        let total = |from: usize| best[from] + cost(place(from), place(end));
        let found = open.iter().map(|from| (total(*from), *from)).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((least_cost, from)) = found else { continue };
        // What is dearer already than the best with another cut can never be the best again.
        let with_cut = least_cost + penalty;
        open.retain(|from| total(*from) <= with_cut);
        (best[end], before[end]) = (with_cut, from);
    }
    let mut cuts = Vec::new();
    let mut at = before[places];
    while at > 0 {
        cuts.push(place(at));
        at = before[at];
    }
    cuts.reverse();
    cuts
}

/// Moves each cut by less than a stride to where it is cheapest.
fn refine(rough: &[usize], count: usize, stride: usize, cost: &impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut cuts = rough.to_vec();
    for i in 0..cuts.len() {
        let from = if i == 0 { 0 } else { cuts[i - 1] };
        let to = rough.get(i + 1).copied().unwrap_or(count);
        let near = cuts[i].saturating_sub(stride).max(from + 1)..(cuts[i] + stride).min(to);
        let price = |at: &usize| cost(from, *at) + cost(*at, to);
        cuts[i] = near.min_by(|a, b| price(a).total_cmp(&price(b))).unwrap_or(cuts[i]);
    }
    cuts
}

impl Detector for ChangePoint {
    fn method(&self) -> &'static str {
        "change_point"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let rest = seasonality::without_season(samples.times_ms, samples.values);
        let cuts = Self::cuts(&rest);
        let edges: Vec<usize> = [0].into_iter().chain(cuts.iter().copied()).chain([rest.len()]).collect();
        let spread = noise(&rest);
        let deviation_min = self.floor.of_all(samples.values);
        let level = |at: usize| Centre::of(&rest[edges[at]..edges[at + 1]]).median;
        let mut judgements = vec![Judgement { is_judged: true, ..Judgement::ABSTAINS }; rest.len()];
        for (stretch, cut) in cuts.iter().enumerate() {
            let difference = (level(stretch + 1) - level(stretch)).abs();
            let score = if spread > 0.0 { difference / spread } else { 2.0 * self.threshold };
            let judgement = Judgement::of_limit(score, self.threshold);
            let is_anomaly = judgement.is_anomaly && difference >= deviation_min;
            let share = if is_anomaly { judgement.share } else { judgement.share.min(1.0 - f64::EPSILON) };
            judgements[*cut] = Judgement { is_anomaly, share, ..judgement };
        }
        judgements
    }
}
