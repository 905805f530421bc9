//! The encoder: every patch looks at every other, with a bias by their distance.

use super::Tokens;
use super::config::Config;
use crate::LoadError;
use crate::network::{Heads, Linear, all, rms_norm, stacked};
use crate::numeric::relu;
use crate::weights::Weights;
use ndarray::{Array1, Array2, ArrayView2, s};
use std::ops::Range;

pub(super) struct Encoder {
    blocks: Vec<Block>,
    norm: Array1<f32>,
    /// By bucket and head.
    bias: Array2<f32>,
    heads: usize,
    inner: usize,
    buckets: usize,
    distance_max: usize,
    epsilon: f32,
}

struct Block {
    attention_norm: Array1<f32>,
    /// Queries, keys and values, one after the other.
    projection: Linear,
    output: Linear,
    forward: FeedForward,
}

/// Two layers on every token by itself.
pub(super) struct FeedForward {
    norm: Array1<f32>,
    wide: Linear,
    narrow: Linear,
}

impl FeedForward {
    pub(super) fn new(config: &Config, weights: &Weights, layer: &str) -> Result<Self, LoadError> {
        let (hidden, width) = (config.hidden, config.width);
        Ok(Self {
            norm: weights.vector(&format!("{layer}.layer_norm.weight"), width)?,
            wide: Linear::load(weights, &format!("{layer}.DenseReluDense.wi"), hidden, width, false)?,
            narrow: Linear::load(weights, &format!("{layer}.DenseReluDense.wo"), width, hidden, false)?,
        })
    }

    pub(super) fn add_to(&self, x: &mut Array2<f32>, epsilon: f32) {
        let mut hidden = self.wide.apply(rms_norm(x.view(), Some(&self.norm), epsilon).view());
        relu(all(&mut hidden));
        self.narrow.add_to(hidden.view(), x);
    }
}

impl Encoder {
    pub(super) fn new(config: &Config, weights: &Weights) -> Result<Self, LoadError> {
        let block = |index: usize| -> Result<Block, LoadError> {
            let layer = format!("encoder.block.{index}.layer.0");
            let map = |name: &str| {
                weights.matrix(&format!("{layer}.SelfAttention.{name}.weight"), config.inner, config.width)
            };
            let parts = [map("q")?, map("k")?, map("v")?];
            let projection = stacked(&parts.each_ref().map(|part| part.view()), config.width);
            let output = format!("{layer}.SelfAttention.o");
            Ok(Block {
                attention_norm: weights.vector(&format!("{layer}.layer_norm.weight"), config.width)?,
                projection: Linear::new(projection, None),
                output: Linear::load(weights, &output, config.width, config.inner, false)?,
                forward: FeedForward::new(config, weights, &format!("encoder.block.{index}.layer.1"))?,
            })
        };
        let bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
        Ok(Self {
            blocks: (0..config.encoder_blocks).map(block).collect::<Result<_, _>>()?,
            norm: weights.vector("encoder.final_layer_norm.weight", config.width)?,
            bias: weights.matrix(bias, config.buckets, config.heads)?,
            heads: config.heads,
            inner: config.inner,
            buckets: config.buckets,
            distance_max: config.distance_max,
            epsilon: config.epsilon,
        })
    }

    /// A row for every token.
    pub(super) fn encode(&self, tokens: &Tokens) -> Array2<f32> {
        let bias = self.bias_by_head(tokens.rows.iter().map(Range::len).max().unwrap_or(0));
        let mut x = tokens.values.clone();
        let mut seen = Array2::zeros((x.nrows(), self.inner));
        for block in &self.blocks {
            let normed = rms_norm(x.view(), Some(&block.attention_norm), self.epsilon);
            let projected = block.projection.apply(normed.view());
            for rows in &tokens.rows {
                let part = |index: usize| -> ArrayView2<f32> {
                    projected.slice(s![rows.clone(), index * self.inner..(index + 1) * self.inner])
                };
                let heads = Heads { count: self.heads, queries: part(0), keys: part(1), values: part(2) };
                let visible = &tokens.attended[rows.clone()];
                let adjust = |head: usize, scores: &mut Array2<f32>| {
                    *scores += &bias[head].slice(s![..rows.len(), ..rows.len()]);
                    hide(scores, visible);
                };
                heads.attend(1.0, adjust, seen.slice_mut(s![rows.clone(), ..]));
            }
            block.output.add_to(seen.view(), &mut x);
            block.forward.add_to(&mut x, self.epsilon);
        }
        rms_norm(x.view(), Some(&self.norm), self.epsilon)
    }

    /// For each head what is added to the score of a query (row) for a key (column).
    pub(super) fn bias_by_head(&self, length: usize) -> Vec<Array2<f32>> {
        let of_head = |head: usize| {
            Array2::from_shape_fn((length, length), |(query, key)| {
                self.bias[[bucket(key as i64 - query as i64, self.buckets, self.distance_max), head]]
            })
        };
        (0..self.heads).map(of_head).collect()
    }
}

/// Adds the least number to the scores of keys that may not be looked at; not minus infinity, so that a series without
/// any visible key gets the average of all instead of no number.
pub(super) fn hide(scores: &mut Array2<f32>, visible: &[bool]) {
    for (key, _) in visible.iter().enumerate().filter(|(_, visible)| !**visible) {
        scores.column_mut(key).mapv_inplace(|score| score + f32::MIN);
    }
}

/// The bucket of a distance (key minus query): near ones exactly, far ones on a logarithmic scale, each sign its half.
pub(super) fn bucket(distance: i64, buckets: usize, distance_max: usize) -> usize {
    let half = buckets / 2;
    let exact = half / 2;
    let base = if distance > 0 { half } else { 0 };
    let away = distance.unsigned_abs() as usize;
    if away < exact {
        return base + away;
    }
    let share = (away as f32 / exact as f32).ln() / (distance_max as f32 / exact as f32).ln();
    base + (half - 1).min(exact + (share * (half - exact) as f32) as usize)
}
