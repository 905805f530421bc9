//! What a caller chooses; the defaults are the documented ones.

use serde::{Deserialize, Serialize};

use crate::Scaling;

/// The layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// LSTM(32) over the window, LSTM(latent) to one vector, the same twice back, and a value a step.
    #[default]
    Lstm,
    /// Window, 32, latent, 32, window.
    Dense,
}

/// How a network is made and trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The layers.
    pub layout: Layout,
    /// Values in a window: 2 to 1000.
    pub sequence_length: usize,
    /// Numbers a window is squeezed into: 1 to 256.
    pub latent_dim: usize,
    /// Rounds over all windows at most: 1 to 10 000.
    pub epochs: usize,
    /// Windows a step is made of: 1 to 4096.
    pub batch_size: usize,
    /// Share of the windows, the newest, that is not trained on: 0 or more and less than 1.
    pub validation_split: f64,
    /// Percentile of the training errors beyond which a window is unusual: more than 0, at most 100.
    pub threshold_percentile: f64,
    /// Epochs without a better validation error after which training ends; the best network is kept. 0 for never.
    pub patience: usize,
    /// Windows trained on at most, evenly spread: what bounds the time.
    pub windows_max: usize,
    /// How values are brought to one scale.
    pub scaling: Scaling,
    /// Length of the steps of Adam: more than 0, at most 1.
    pub learning_rate: f32,
    /// What the first weights are drawn from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            layout: Layout::Lstm,
            sequence_length: 60,
            latent_dim: 16,
            epochs: 50,
            batch_size: 32,
            validation_split: 0.1,
            threshold_percentile: 99.0,
            patience: 8,
            windows_max: 1024,
            scaling: Scaling::Standard,
            learning_rate: 1e-3,
            seed: 1,
        }
    }
}

/// A setting out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not {range}")]
pub struct SettingsError {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub range: &'static str,
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let rules = [
            ((2..=1000).contains(&self.sequence_length), "sequence_length", "a whole number from 2 to 1000"),
            ((1..=256).contains(&self.latent_dim), "latent_dim", "a whole number from 1 to 256"),
            ((1..=10_000).contains(&self.epochs), "epochs", "a whole number from 1 to 10000"),
            ((1..=4096).contains(&self.batch_size), "batch_size", "a whole number from 1 to 4096"),
            ((0.0..1.0).contains(&self.validation_split), "validation_split", "0 or more and less than 1"),
            (
                self.threshold_percentile > 0.0 && self.threshold_percentile <= 100.0,
                "threshold_percentile",
                "more than 0 and at most 100",
            ),
            (self.learning_rate > 0.0 && self.learning_rate <= 1.0, "learning_rate", "more than 0 and at most 1"),
            ((1..=1_000_000).contains(&self.windows_max), "windows_max", "a whole number from 1 to 1000000"),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, name, range)) => Err(SettingsError { name, range }),
            None => Ok(()),
        }
    }
}
