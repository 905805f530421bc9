//! Chronos-Bolt: an encoder and a decoder of the T5 kind over patches of a series, all quantiles in one pass.
//!
//! Sources: Ansari and others, "Chronos: Learning the Language of Time Series" (TMLR 2024), its successor's published
//! code and configuration; Raffel and others, "Exploring the Limits of Transfer Learning" (JMLR 21, 2020) for the
//! blocks.
//!
//! Invariant: positions enter as differences only and patches are aligned to the end of the series. Series of any length
//! stand one below the other in a batch, and only the attention keeps them apart: no padding, no wasted work.

mod config;
mod decoder;
mod encoder;
mod horizon;
mod prepare;
#[cfg(test)]
mod tests;

use crate::load::{About, Shape};
use crate::network::{Linear, Residual, stacked};
use crate::numeric::relu;
use crate::weights::Weights;
use crate::{Card, ForecastError, LoadError, Pretrained, Quantiles, check};
use config::Config;
use decoder::Decoder;
use encoder::Encoder;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};
use prepare::{Patches, patches};
use serde_json::Value;
use std::ops::Range;

/// Histories in one pass: enough for the products to run at full speed, and few enough for their rows to stay near the
/// processor.
const BATCH: usize = 16;

/// A Chronos-Bolt model.
pub struct Bolt {
    card: Card,
    config: Config,
    embedding: Residual,
    /// What stands for the whole series, behind its patches.
    register: Option<Array1<f32>>,
    encoder: Encoder,
    decoder: Decoder,
    head: Residual,
}

impl Bolt {
    pub(crate) fn new(config: &Value, weights: &Weights, about: About) -> Result<Self, LoadError> {
        let config = Config::new(config)?;
        let shared = weights.matrix("shared.weight", if config.register { 2 } else { 1 }, config.width)?;
        let (patch, width, steps) = (2 * config.patch, config.width, config.steps);
        let outputs = config.levels.len() * steps;
        let encoder = Encoder::new(&config, weights)?;
        let decoder = Decoder::new(&config, weights, &shared.slice(s![0..1, ..]))?;
        let shape = Shape { context: config.context, steps_per_pass: steps, levels: config.levels.clone() };
        Ok(Self {
            embedding: residual(weights, "input_patch_embedding", patch, config.hidden, width)?,
            register: config.register.then(|| shared.row(1).to_owned()),
            encoder,
            decoder,
            head: residual(weights, "output_patch_embedding", width, config.hidden, outputs)?,
            card: about.card("chronos-bolt", weights.parameters(), shape),
            config,
        })
    }

    /// One pass for each history, as the network gives it: quantiles may cross.
    fn pass(&self, histories: &[&[f64]]) -> Vec<Quantiles> {
        let prepared: Vec<Patches> = histories.iter().map(|history| patches(history, &self.config)).collect();
        prepared.chunks(BATCH).flat_map(|batch| self.pass_of_batch(batch)).collect()
    }

    fn pass_of_batch(&self, batch: &[Patches]) -> Vec<Quantiles> {
        let tokens = self.tokens(batch);
        let encoded = self.encoder.encode(&tokens);
        let decoded = self.decoder.decode(encoded.view(), &tokens);
        let raw = self.head.apply(decoded.view());
        let in_unit = |(patches, row): (&Patches, ArrayView1<f32>)| {
            let values = row.iter().map(|value| f64::from(*value) * patches.scale + patches.location).collect();
            Quantiles::new(self.config.levels.clone(), self.config.steps, values)
        };
        batch.iter().zip(raw.rows()).map(in_unit).collect()
    }

    /// The tokens of a batch, series after series.
    fn tokens(&self, batch: &[Patches]) -> Tokens {
        let features: Vec<ArrayView2<f32>> = batch.iter().map(|patches| patches.features.view()).collect();
        let embedded = self.embedding.apply(stacked(&features, 2 * self.config.patch).view());
        let extra = usize::from(self.register.is_some());
        let mut values = Array2::zeros((embedded.nrows() + extra * batch.len(), self.config.width));
        let mut tokens = Tokens { values: Array2::zeros((0, 0)), attended: Vec::new(), rows: Vec::new() };
        let (mut from, mut to) = (0, 0);
        for patches in batch {
            let own = s![from..from + patches.count, ..];
            values.slice_mut(s![to..to + patches.count, ..]).assign(&embedded.slice(own));
            tokens.attended.extend_from_slice(&patches.attended);
            let end = to + patches.count + extra;
            if let Some(register) = &self.register {
                values.row_mut(end - 1).assign(register);
                tokens.attended.push(true);
            }
            tokens.rows.push(to..end);
            (from, to) = (from + patches.count, end);
        }
        Tokens { values, ..tokens }
    }
}

/// What the encoder sees of a batch: one row for every token, the rows of a series one after the other.
struct Tokens {
    values: Array2<f32>,
    /// Which tokens may be looked at.
    attended: Vec<bool>,
    /// The rows of each series.
    rows: Vec<Range<usize>>,
}

impl Pretrained for Bolt {
    fn card(&self) -> &Card {
        &self.card
    }

    fn forecast(&self, histories: &[&[f64]], horizon: usize) -> Result<Vec<Quantiles>, ForecastError> {
        check(histories, horizon)?;
        if horizon <= self.config.steps {
            let passes = self.pass(histories).into_iter();
            return Ok(passes.map(|quantiles| quantiles.sorted().first(horizon)).collect());
        }
        Ok(histories.iter().map(|history| self.unrolled(history, horizon).sorted()).collect())
    }
}

fn residual(
    weights: &Weights,
    name: &str,
    inputs: usize,
    hidden: usize,
    outputs: usize,
) -> Result<Residual, LoadError> {
    Ok(Residual {
        hidden: Linear::load(weights, &format!("{name}.hidden_layer"), hidden, inputs, true)?,
        output: Linear::load(weights, &format!("{name}.output_layer"), outputs, hidden, true)?,
        skip: Linear::load(weights, &format!("{name}.residual_layer"), outputs, inputs, true)?,
        activation: relu,
    })
}
