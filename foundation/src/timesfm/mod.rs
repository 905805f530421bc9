//! TimesFM 2.5: a causal transformer over patches of a series, each patch standardised by all that came before it.
//!
//! Source: Das and others, "A decoder-only foundation model for time-series forecasting" (ICML 2024) and the published
//! code of its version 2.5, whose constants are the ones used when a folder has no `config.json`.
//!
//! Padding patches are left out instead of masked: nothing sees them, and positions count from the first real one.

mod config;
mod flags;
mod network;
mod prepare;
#[cfg(test)]
mod tests;

use crate::load::{About, Shape};
use crate::weights::Weights;
use crate::{Card, ForecastError, LoadError, Pretrained, Quantiles, check};
use config::{COLUMNS, Config};
use flags::Flags;
use network::Network;
use serde_json::Value;

/// A TimesFM 2.5 model.
pub struct TimesFm {
    card: Card,
    config: Config,
    network: Network,
}

impl TimesFm {
    pub(crate) fn new(config: Option<&Value>, weights: &Weights, about: About) -> Result<Self, LoadError> {
        let config = config.map_or_else(|| Ok(Config::published()), Config::new)?;
        let levels = (1..COLUMNS).map(|tenth| tenth as f64 / 10.0).collect();
        let shape = Shape { context: config.context, steps_per_pass: config.steps, levels };
        let network = Network::new(&config, weights)?;
        Ok(Self { card: about.card("timesfm-2.5", weights.parameters(), shape), config, network })
    }
}

impl Pretrained for TimesFm {
    fn card(&self) -> &Card {
        &self.card
    }

    /// With all that the published code recommends: see [`Flags`].
    fn forecast(&self, histories: &[&[f64]], horizon: usize) -> Result<Vec<Quantiles>, ForecastError> {
        check(histories, horizon)?;
        let of = |history: &&[f64]| {
            let kept = history.len().min(self.config.context);
            let context = kept.next_multiple_of(self.config.patch);
            let columns = self.columns(history, context, horizon, Flags::RECOMMENDED);
            let level = |level: usize| columns.iter().map(move |step| step[level]);
            let values = (1..COLUMNS).flat_map(level).collect();
            Quantiles::new(self.card.levels.clone(), horizon, values).sorted()
        };
        Ok(histories.iter().map(of).collect())
    }
}
