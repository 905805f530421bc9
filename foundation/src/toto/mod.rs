//! Toto 2.0: a unit-scaled transformer over patches, in time and across series that belong together.
//!
//! Sources: "Toto 2.0" (Datadog, arXiv 2605.20119) and its published code; Blake and others, "u-muP" (2024) for the
//! scaling; Sun and others, "A Length-Extrapolatable Transformer" (2023) for the positions.
//!
//! All factors of the unit scaling are folded into the weights when they are loaded.

mod attention;
mod config;
mod decode;
mod network;
mod scaler;
#[cfg(test)]
mod tests;

use crate::load::{About, Shape};
use crate::weights::Weights;
use crate::{Card, ForecastError, LoadError, Pretrained, Quantiles, check};
use config::Config;
use decode::{Flags, Group};
use network::Network;
use serde_json::Value;

/// Levels of the quantiles: constants of the published code.
pub(crate) const LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Points of a history that are used at most: what the published benchmarks use. The model itself has no bound.
const CONTEXT: usize = 2048;

/// Steps of one pass that are made with what the published results used.
const STEPS_PER_PASS: usize = 1024;

/// A Toto 2.0 model.
pub struct Toto {
    card: Card,
    config: Config,
    network: Network,
}

impl Toto {
    pub(crate) fn new(config: &Value, weights: &Weights, about: About) -> Result<Self, LoadError> {
        let config = Config::new(config)?;
        let shape = Shape { context: CONTEXT, steps_per_pass: STEPS_PER_PASS, levels: LEVELS.to_vec() };
        let network = Network::new(&config, weights)?;
        Ok(Self { card: about.card("toto-2.0", weights.parameters(), shape), config, network })
    }
}

impl Pretrained for Toto {
    fn card(&self) -> &Card {
        &self.card
    }

    /// Each history by itself, with the guards of the published predictor.
    fn forecast(&self, histories: &[&[f64]], horizon: usize) -> Result<Vec<Quantiles>, ForecastError> {
        check(histories, horizon)?;
        Ok(histories.iter().map(|history| self.moved(history, horizon)).collect())
    }
}

impl Toto {
    /// The forecast of a history that was moved to begin at 0 and scaled by a power of two: the model stores location
    /// and scale as f32, with a smallest scale of 1e-6, and pads with zeros, which then stand at the level of the series.
    fn moved(&self, history: &[f64], horizon: usize) -> Quantiles {
        let kept = &history[history.len().saturating_sub(CONTEXT)..];
        let origin = kept.iter().copied().find(|value| value.is_finite()).unwrap_or(0.0);
        let largest = kept.iter().filter(|value| value.is_finite()).fold(0.0f64, |largest, value| {
            let away = (value / 2.0 - origin / 2.0).abs();
            largest.max(away)
        });
        let unit = if largest > 0.0 { 2f64.powi(largest.log2().floor() as i32 + 1) } else { 1.0 };
        let moved: Vec<f64> = kept.iter().map(|value| value / unit - origin / unit).collect();
        let group = Group { histories: &[&moved], ids: &[0], context: CONTEXT };
        let quantiles = self.decode(&group, horizon, Flags::RECOMMENDED).remove(0);
        let back =
            |level: usize| quantiles.of_level(level).to_vec().into_iter().map(|value| (value + origin / unit) * unit);
        Quantiles::new(LEVELS.to_vec(), horizon, (0..LEVELS.len()).flat_map(back).collect())
    }
}
