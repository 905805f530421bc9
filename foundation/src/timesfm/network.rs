//! The transformer: blocks of causal attention with rotary positions, and the two heads.

use super::config::{COLUMNS, Config};
use crate::LoadError;
use crate::network::{Heads, Linear, Residual, all, rms_norm};
use crate::numeric::{silu, softplus};
use crate::weights::Weights;
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, s};

const EPSILON: f32 = 1e-6;

pub(super) struct Network {
    tokenizer: Residual,
    blocks: Vec<Block>,
    point: Residual,
    quantiles: Residual,
    heads: usize,
}

struct Block {
    norms: [Array1<f32>; 4],
    projection: Linear,
    output: Linear,
    query_norm: Array1<f32>,
    key_norm: Array1<f32>,
    /// What each feature of a query is multiplied by.
    query_scale: Vec<f32>,
    wide: Linear,
    narrow: Linear,
}

impl Block {
    fn new(config: &Config, weights: &Weights, index: usize) -> Result<Self, LoadError> {
        let (width, hidden, head) = (config.width, config.hidden, config.width / config.heads);
        let layer = format!("stacked_xf.{index}");
        let norm = |name: &str| weights.vector(&format!("{layer}.{name}.scale"), width);
        let map = |name: &str, outputs: usize, inputs: usize| {
            Linear::load(weights, &format!("{layer}.{name}"), outputs, inputs, false)
        };
        let per_feature = weights.vector(&format!("{layer}.attn.per_dim_scale.per_dim_scale"), head)?;
        let unit = std::f32::consts::LOG2_E / (head as f32).sqrt();
        Ok(Self {
            norms: [norm("pre_attn_ln")?, norm("post_attn_ln")?, norm("pre_ff_ln")?, norm("post_ff_ln")?],
            projection: map("attn.qkv_proj", 3 * width, width)?,
            output: map("attn.out", width, width)?,
            query_norm: weights.vector(&format!("{layer}.attn.query_ln.scale"), head)?,
            key_norm: weights.vector(&format!("{layer}.attn.key_ln.scale"), head)?,
            query_scale: per_feature.iter().map(|value| unit * softplus(*value)).collect(),
            wide: map("ff0", hidden, width)?,
            narrow: map("ff1", width, hidden)?,
        })
    }

    fn attention(&self, x: &Array2<f32>, heads: usize) -> Array2<f32> {
        let width = x.ncols();
        let mut projected = self.projection.apply(rms_norm(x.view(), Some(&self.norms[0]), EPSILON).view());
        for (position, mut row) in projected.rows_mut().into_iter().enumerate() {
            let head = width / heads;
            for first in (0..width).step_by(head) {
                let mut query = row.slice_mut(s![first..first + head]);
                rotate(&mut query, position);
                normalise(&mut query, self.query_norm.view());
                query.iter_mut().zip(&self.query_scale).for_each(|(value, scale)| *value *= scale);
                let mut key = row.slice_mut(s![width + first..width + first + head]);
                rotate(&mut key, position);
                normalise(&mut key, self.key_norm.view());
            }
        }
        let part = |index: usize| projected.slice(s![.., index * width..(index + 1) * width]);
        let views = Heads { count: heads, queries: part(0), keys: part(1), values: part(2) };
        let mut seen = Array2::zeros(x.dim());
        views.attend(1.0, |_, scores| hide_later(scores), seen.view_mut());
        self.output.apply(seen.view())
    }

    fn apply(&self, x: &mut Array2<f32>, heads: usize) {
        *x += &rms_norm(self.attention(x, heads).view(), Some(&self.norms[1]), EPSILON);
        let mut hidden = self.wide.apply(rms_norm(x.view(), Some(&self.norms[2]), EPSILON).view());
        silu(all(&mut hidden));
        *x += &rms_norm(self.narrow.apply(hidden.view()).view(), Some(&self.norms[3]), EPSILON);
    }
}

/// What the last patch says, standardised: rows of [`COLUMNS`].
pub(super) struct Output {
    pub(super) point: Array2<f32>,
    pub(super) quantiles: Array2<f32>,
}

impl Network {
    pub(super) fn new(config: &Config, weights: &Weights) -> Result<Self, LoadError> {
        let (width, patch) = (config.width, config.patch);
        let residual = |name: &str, inputs: usize, outputs: usize, biased: bool| -> Result<Residual, LoadError> {
            let map = |part: &str, outputs: usize, inputs: usize| {
                Linear::load(weights, &format!("{name}.{part}_layer"), outputs, inputs, biased)
            };
            Ok(Residual {
                hidden: map("hidden", width, inputs)?,
                output: map("output", outputs, width)?,
                skip: map("residual", outputs, inputs)?,
                activation: silu,
            })
        };
        let block = |index| Block::new(config, weights, index);
        Ok(Self {
            tokenizer: residual("tokenizer", 2 * patch, width, true)?,
            blocks: (0..config.blocks).map(block).collect::<Result<_, _>>()?,
            point: residual("output_projection_point", width, config.steps * COLUMNS, false)?,
            quantiles: residual("output_projection_quantiles", width, config.quantile_steps * COLUMNS, false)?,
            heads: config.heads,
        })
    }

    /// From the features of the patches of one series.
    pub(super) fn run(&self, features: &Array2<f32>) -> Output {
        let x = self.transform(features);
        let last = x.slice(s![x.nrows() - 1.., ..]);
        let rows = |flat: Array2<f32>| {
            let steps = flat.ncols() / COLUMNS;
            Array2::from_shape_fn((steps, COLUMNS), |(step, column)| flat[[0, step * COLUMNS + column]])
        };
        Output { point: rows(self.point.apply(last)), quantiles: rows(self.quantiles.apply(last)) }
    }

    /// The tokens behind the last block.
    pub(super) fn transform(&self, features: &Array2<f32>) -> Array2<f32> {
        let mut x = self.tokenizer.apply(features.view());
        for block in &self.blocks {
            block.apply(&mut x, self.heads);
        }
        x
    }
}

/// Turns pairs of features, one from each half, by angles that grow with the position (Su and others, RoFormer, 2021).
fn rotate(features: &mut ArrayViewMut1<f32>, position: usize) {
    let half = features.len() / 2;
    for index in 0..half {
        let frequency = 10_000f64.powf(-(index as f64) / half as f64);
        let (sine, cosine) = (position as f64 * frequency).sin_cos();
        let (a, b) = (f64::from(features[index]), f64::from(features[index + half]));
        features[index] = (a * cosine - b * sine) as f32;
        features[index + half] = (b * cosine + a * sine) as f32;
    }
}

fn normalise(features: &mut ArrayViewMut1<f32>, weight: ArrayView1<f32>) {
    let mean_square = features.iter().map(|value| value * value).sum::<f32>() / features.len() as f32;
    let factor = 1.0 / (mean_square + EPSILON).sqrt();
    features.iter_mut().zip(weight).for_each(|(value, weight)| *value *= factor * weight);
}

/// A patch sees itself and what came before it.
fn hide_later(scores: &mut Array2<f32>) {
    for (query, mut row) in scores.rows_mut().into_iter().enumerate() {
        row.slice_mut(s![query + 1..]).fill(f32::MIN);
    }
}
