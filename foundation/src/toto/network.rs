//! The transformer: blocks in time and across series, with all factors of its unit scaling folded into the weights.

use super::LEVELS;
use super::attention::{Call, across_series, in_time, turn};
use super::config::Config;
use crate::LoadError;
use crate::network::{Linear, Residual, all, rms_norm, stacked};
use crate::numeric::{silu, softplus};
use crate::weights::Weights;
use ndarray::{Array2, ArrayView2, s};
use std::f32::consts::{FRAC_1_SQRT_2, LN_2};

/// What keeps the variance of a product with SiLU at one; a constant of the published code.
const SILU_UNIT: f32 = 1.766_783;

pub(super) struct Network {
    embedding: Residual,
    blocks: Vec<Block>,
    head: Residual,
    heads: usize,
    /// Width of all heads together.
    inner: usize,
    epsilon: f32,
}

struct Block {
    across: bool,
    projection: Linear,
    output: Linear,
    /// What each feature of a query is multiplied by.
    query_scale: Vec<f32>,
    attention_weight: f32,
    wide: Linear,
    narrow: Linear,
    forward_weight: f32,
}

/// Keys and values of the positions that later calls look back on: for every block one pair for each series.
#[derive(Default)]
pub(super) struct Memory {
    blocks: Vec<Vec<[Array2<f32>; 2]>>,
}

/// The map `name` with the factor that keeps the variance of what it gives.
fn unit(weights: &Weights, name: &str, outputs: usize, inputs: usize, biased: bool) -> Result<Linear, LoadError> {
    let factor = 1.0 / (inputs as f32).sqrt();
    Ok(Linear::load(weights, name, outputs, inputs, biased)?.scaled(factor, factor))
}

/// A residual block; what comes out of a `readout` is divided by its inputs instead of their root.
fn residual(
    weights: &Weights,
    name: &str,
    inputs: usize,
    hidden: usize,
    outputs: usize,
    readout: bool,
) -> Result<Residual, LoadError> {
    let factor = |inputs: usize| match readout {
        true => FRAC_1_SQRT_2 / inputs as f32,
        false => FRAC_1_SQRT_2 / (inputs as f32).sqrt(),
    };
    let output = Linear::load(weights, &format!("{name}.linear2"), outputs, hidden, true)?;
    let skip = Linear::load(weights, &format!("{name}.skip_proj"), outputs, inputs, true)?;
    Ok(Residual {
        hidden: unit(weights, &format!("{name}.linear1"), hidden, inputs, true)?,
        output: output.scaled(SILU_UNIT * factor(hidden), factor(hidden)),
        skip: skip.scaled(factor(inputs), factor(inputs)),
        activation: silu,
    })
}

impl Block {
    fn new(config: &Config, weights: &Weights, index: usize) -> Result<Self, LoadError> {
        let (width, hidden, inner) = (config.width, config.hidden, config.heads * config.head);
        let layer = format!("transformer.layers.{index}");
        let map = |name: &str, outputs: usize, inputs: usize, biased: bool| {
            unit(weights, &format!("{layer}.{name}"), outputs, inputs, biased)
        };
        let per_feature = weights.vector(&format!("{layer}.attn._pds.per_dim_scale"), config.head)?;
        let tau = |name: &str| weights.scalar(&format!("{layer}.{name}"));
        Ok(Self {
            across: config.across[index],
            projection: map("attn.in_proj", 3 * inner, width, config.attention_bias)?,
            output: map("attn.out_proj", width, inner, config.attention_bias)?,
            query_scale: per_feature.iter().map(|value| softplus(*value) / LN_2 / config.head as f32).collect(),
            attention_weight: tau("attn_tau")?,
            wide: map("ffn.fc1", 2 * hidden, width, config.forward_bias)?,
            narrow: map("ffn.fc2", width, hidden, config.forward_bias)?,
            forward_weight: tau("mlp_tau")?,
        })
    }

    /// The gated layers on every token by itself.
    fn forward(&self, x: &Array2<f32>, epsilon: f32) -> Array2<f32> {
        let mut both = self.wide.apply(rms_norm(x.view(), None, epsilon).view());
        let hidden = both.ncols() / 2;
        let mut gate = both.slice(s![.., hidden..]).as_standard_layout().into_owned();
        silu(all(&mut gate));
        let mut first = both.slice_mut(s![.., ..hidden]);
        first *= &gate;
        self.narrow.apply(both.slice(s![.., ..hidden]))
    }
}

/// A branch joined to what it branched from, by a weight that keeps the variance at one.
fn join(x: &mut Array2<f32>, branch: &Array2<f32>, weight: f32) {
    let inverse = 1.0 / (1.0 + weight * weight).sqrt();
    x.zip_mut_with(branch, |x, branch| *x = (weight * branch + *x) * inverse);
}

impl Network {
    pub(super) fn new(config: &Config, weights: &Weights) -> Result<Self, LoadError> {
        let (width, patch) = (config.width, config.patch);
        let head = "output_head.param_projection.proj";
        let block = |index| Block::new(config, weights, index);
        Ok(Self {
            embedding: residual(weights, "patch_proj", 2 * patch, 4 * width, width, false)?,
            blocks: (0..config.across.len()).map(block).collect::<Result<_, _>>()?,
            head: residual(weights, head, width, 4 * width, LEVELS.len() * patch, true)?,
            heads: config.heads,
            inner: config.heads * config.head,
            epsilon: config.epsilon,
        })
    }

    /// The tokens of a call behind the last norm, series after series. The keys and values of the first `keep` tokens of
    /// each series are added to `memory`, behind those that are there.
    pub(super) fn run(&self, features: ArrayView2<f32>, call: &Call, keep: usize, memory: &mut Memory) -> Array2<f32> {
        let mut x = self.embedding.apply(features);
        if memory.blocks.is_empty() {
            let nothing = || [Array2::zeros((0, self.inner)), Array2::zeros((0, self.inner))];
            memory.blocks = self.blocks.iter().map(|_| (0..call.series()).map(|_| nothing()).collect()).collect();
        }
        for (block, memory) in self.blocks.iter().zip(&mut memory.blocks) {
            let branch = self.attention(block, &x, call, keep, memory);
            join(&mut x, &branch, block.attention_weight);
            let branch = block.forward(&x, self.epsilon);
            join(&mut x, &branch, block.forward_weight);
        }
        rms_norm(x.view(), None, self.epsilon)
    }

    /// Quantiles of the patch behind each token: steps, and for each its levels.
    pub(super) fn quantiles(&self, tokens: ArrayView2<f32>) -> Array2<f32> {
        self.head.apply(tokens)
    }

    fn attention(
        &self,
        block: &Block,
        x: &Array2<f32>,
        call: &Call,
        keep: usize,
        memory: &mut [[Array2<f32>; 2]],
    ) -> Array2<f32> {
        let mut projected = block.projection.apply(rms_norm(x.view(), None, self.epsilon).view());
        let inner = self.inner;
        for mut row in projected.slice_mut(s![.., ..inner]).rows_mut() {
            row.iter_mut().zip(block.query_scale.iter().cycle()).for_each(|(value, scale)| *value *= scale);
        }
        let mut seen = Array2::zeros((x.nrows(), inner));
        if block.across {
            let part = |index: usize| projected.slice(s![.., index * inner..(index + 1) * inner]);
            across_series(self.heads, [part(0), part(1), part(2)], call, seen.view_mut());
            return block.output.apply(seen.view());
        }
        for (series, memory) in memory.iter_mut().enumerate() {
            turn(projected.slice_mut(s![.., ..inner]), self.heads, call, series, true);
            turn(projected.slice_mut(s![.., inner..2 * inner]), self.heads, call, series, false);
            let rows = call.rows(series);
            let part = |index: usize| projected.slice(s![rows.clone(), index * inner..(index + 1) * inner]);
            let with_memory = |index: usize| stacked(&[memory[index - 1].view(), part(index)], inner);
            let (keys, values) = (with_memory(1), with_memory(2));
            let into = seen.slice_mut(s![rows.clone(), ..]);
            in_time(self.heads, part(0), keys.view(), values.view(), (call, series), into);
            let kept = call.start + keep;
            *memory = [keys.slice(s![..kept, ..]).to_owned(), values.slice(s![..kept, ..]).to_owned()];
        }
        block.output.apply(seen.view())
    }
}
