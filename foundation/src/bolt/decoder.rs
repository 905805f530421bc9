//! The decoder: one token that asks the encoded patches what comes next.

use super::Tokens;
use super::config::Config;
use super::encoder::{FeedForward, hide};
use crate::LoadError;
use crate::network::{Linear, rms_norm};
use crate::numeric::softmax;
use crate::weights::Weights;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, s};

pub(super) struct Decoder {
    /// The token behind the first self-attention, which nothing of a series has reached yet: one row.
    start: Array2<f32>,
    blocks: Vec<Block>,
    norm: Array1<f32>,
    heads: usize,
    inner: usize,
    epsilon: f32,
}

struct Block {
    own: SelfAttention,
    norm: Array1<f32>,
    query: Linear,
    key: Array2<f32>,
    value: Array2<f32>,
    output: Linear,
    forward: FeedForward,
}

/// One token sees itself alone, so that its attention is a linear map: queries, keys and positions have no effect.
struct SelfAttention {
    norm: Array1<f32>,
    value: Linear,
    output: Linear,
}

impl SelfAttention {
    fn new(config: &Config, weights: &Weights, layer: &str) -> Result<Self, LoadError> {
        let (inner, width) = (config.inner, config.width);
        for unused in ["q", "k"] {
            Linear::load(weights, &format!("{layer}.SelfAttention.{unused}"), inner, width, false)?;
        }
        Ok(Self {
            norm: weights.vector(&format!("{layer}.layer_norm.weight"), width)?,
            value: Linear::load(weights, &format!("{layer}.SelfAttention.v"), inner, width, false)?,
            output: Linear::load(weights, &format!("{layer}.SelfAttention.o"), width, inner, false)?,
        })
    }

    fn add_to(&self, x: &mut Array2<f32>, epsilon: f32) {
        let value = self.value.apply(rms_norm(x.view(), Some(&self.norm), epsilon).view());
        self.output.add_to(value.view(), x);
    }
}

impl Block {
    fn new(config: &Config, weights: &Weights, index: usize) -> Result<Self, LoadError> {
        let (inner, width) = (config.inner, config.width);
        let layer = format!("decoder.block.{index}.layer");
        let cross = |name: &str, outputs: usize, inputs: usize| {
            Linear::load(weights, &format!("{layer}.1.EncDecAttention.{name}"), outputs, inputs, false)
        };
        Ok(Self {
            own: SelfAttention::new(config, weights, &format!("{layer}.0"))?,
            norm: weights.vector(&format!("{layer}.1.layer_norm.weight"), width)?,
            query: cross("q", inner, width)?,
            key: weights.matrix(&format!("{layer}.1.EncDecAttention.k.weight"), inner, width)?,
            value: weights.matrix(&format!("{layer}.1.EncDecAttention.v.weight"), inner, width)?,
            output: cross("o", width, inner)?,
            forward: FeedForward::new(config, weights, &format!("{layer}.2"))?,
        })
    }
}

impl Decoder {
    /// `first` is the row of the token that starts decoding.
    pub(super) fn new(config: &Config, weights: &Weights, first: &ArrayView2<f32>) -> Result<Self, LoadError> {
        let block = |index| Block::new(config, weights, index);
        let blocks: Vec<Block> = (0..config.decoder_blocks).map(block).collect::<Result<_, _>>()?;
        let mut start = first.to_owned();
        if let Some(block) = blocks.first() {
            block.own.add_to(&mut start, config.epsilon);
        }
        Ok(Self {
            start,
            blocks,
            norm: weights.vector("decoder.final_layer_norm.weight", config.width)?,
            heads: config.heads,
            inner: config.inner,
            epsilon: config.epsilon,
        })
    }

    /// One row for each series, from their encoded tokens.
    pub(super) fn decode(&self, encoded: ArrayView2<f32>, tokens: &Tokens) -> Array2<f32> {
        let (batch, width) = (tokens.rows.len(), self.start.ncols());
        let mut x = Array2::from_shape_fn((batch, width), |(_, column)| self.start[[0, column]]);
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                block.own.add_to(&mut x, self.epsilon);
            }
            let queries = block.query.apply(rms_norm(x.view(), Some(&block.norm), self.epsilon).view());
            let seen = self.look(block, queries.view(), encoded, tokens);
            block.output.add_to(seen.view(), &mut x);
            block.forward.add_to(&mut x, self.epsilon);
        }
        rms_norm(x.view(), Some(&self.norm), self.epsilon)
    }
    /// What each series' token sees of its patches.
    ///
    /// There is one query for each series and many keys, so that the maps of keys and values are moved to where there is
    /// less to map: `q (K e)^T = (q K) e^T` and `p (V e) = (p e) V`, which is a tenth of the work.
    fn look(&self, block: &Block, queries: ArrayView2<f32>, encoded: ArrayView2<f32>, tokens: &Tokens) -> Array2<f32> {
        let (batch, head) = (tokens.rows.len(), self.inner / self.heads);
        let columns = |index: usize| index * head..(index + 1) * head;
        // A row for every head of every series.
        let mut asked = Array2::zeros((batch * self.heads, encoded.ncols()));
        for index in 0..self.heads {
            let (query, key) = (queries.slice(s![.., columns(index)]), block.key.slice(s![columns(index), ..]));
            general_mat_mul(1.0, &query, &key, 0.0, &mut asked.slice_mut(s![index..;self.heads, ..]));
        }
        let mut found = Array2::zeros(asked.dim());
        for (series, rows) in tokens.rows.iter().enumerate() {
            let own = s![series * self.heads..(series + 1) * self.heads, ..];
            let patches = encoded.slice(s![rows.clone(), ..]);
            let mut scores = asked.slice(own).dot(&patches.t());
            hide(&mut scores, &tokens.attended[rows.clone()]);
            scores.rows_mut().into_iter().for_each(|mut row| softmax(row.as_slice_mut().unwrap_or_default()));
            general_mat_mul(1.0, &scores, &patches, 0.0, &mut found.slice_mut(own));
        }
        let mut seen = Array2::zeros((batch, self.inner));
        for index in 0..self.heads {
            let (found, value) = (found.slice(s![index..;self.heads, ..]), block.value.slice(s![columns(index), ..]));
            general_mat_mul(1.0, &found, &value.t(), 0.0, &mut seen.slice_mut(s![.., columns(index)]));
        }
        seen
    }
}
