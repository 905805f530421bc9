//! What the three layers of detectors say of the same samples: the statistics of the ensemble, models learned from the
//! series itself, and the foundation model.
//!
//! Not here: the detectors (see `analysis`).

use crate::analysis::detectors::{self, AnomalyResult, Options, Samples};
use crate::analysis::{Detection, Family};
use serde_json::{Value, json};

/// Names of the layers, in the order in which they are told.
pub(super) const LAYERS: [&str; 3] = ["statistical", "machine-learned", "foundation"];

/// Detectors that learn a model of the series as a whole.
const LEARNED: [&str; 2] = ["isolation_forest", "autoencoder"];

/// One detector's vote on a sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerVote {
    /// Which of [`LAYERS`].
    layer: usize,
    detector: &'static str,
    /// 0 to 1, 0.6 is its limit.
    score: f64,
    is_anomalous: bool,
}

/// What the layers say of a series.
pub(super) struct Layers {
    learned: Vec<Vec<AnomalyResult>>,
}

impl Layers {
    /// Has the learned models judge; what is not built in says nothing.
    pub(super) fn of(times_ms: &[i64], values: &[f64]) -> Self {
        let judge = |name: &&str| {
            let mut detector = detectors::find(name).ok()?.of_whole_series(&Options::default()).ok()?;
            Some(detectors::judge(detector.as_mut(), Samples::new(times_ms, values)))
        };
        Self { learned: LEARNED.iter().filter_map(judge).collect() }
    }

    /// The votes of all who judge on one sample.
    pub(super) fn votes(&self, detection: &Detection, index: usize) -> Vec<LayerVote> {
        let Some(verdict) = detection.verdicts.get(index) else { return Vec::new() };
        let own = verdict.votes.all().zip(verdict.votes.scores()).filter_map(|(vote, score)| {
            let layer = if vote.family == Family::Foundation { 2 } else { 0 };
            let is_anomalous = verdict.votes.finds(vote.detector);
            Some(LayerVote { layer, detector: vote.detector, score: score?, is_anomalous })
        });
        let of_learned = |result: &AnomalyResult| LayerVote {
            layer: 1,
            detector: result.method,
            score: result.judgement.normalised(),
            is_anomalous: result.is_anomaly,
        };
        let learned = self.learned.iter().filter_map(|told| told.get(index).filter(|told| told.judgement.is_judged));
        let mut votes: Vec<LayerVote> = own.chain(learned.map(of_learned)).collect();
        votes.sort_by_key(|vote| vote.layer);
        votes
    }
}

/// The votes in a line: of each layer those who find the sample unusual with their scores, and how many judged.
pub(super) fn line(votes: &[LayerVote]) -> String {
    let of_layer = |(layer, name): (usize, &&str)| {
        let said: Vec<&LayerVote> = votes.iter().filter(|vote| vote.layer == layer).collect();
        let agreeing = said.iter().filter(|vote| vote.is_anomalous);
        let agreeing: Vec<String> = agreeing.map(|vote| format!("{} {:.2}", vote.detector, vote.score)).collect();
        match (said.len(), agreeing.len()) {
            (0, _) => format!("{name}: none judges"),
            (judged, 0) => format!("{name}: 0 of {judged}"),
            (judged, count) => format!("{name}: {count} of {judged} ({})", agreeing.join(", ")),
        }
    };
    LAYERS.iter().enumerate().map(of_layer).collect::<Vec<_>>().join("; ")
}

/// The same for programs.
pub(super) fn json(votes: &[LayerVote]) -> Value {
    let of = |vote: &LayerVote| {
        json!({
            "layer": LAYERS[vote.layer], "detector": vote.detector, "score": vote.score, "anomalous": vote.is_anomalous,
        })
    };
    votes.iter().map(of).collect()
}
