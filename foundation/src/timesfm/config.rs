//! The shape of a TimesFM 2.5 model.

use crate::LoadError;
use crate::load::{count, only};
use serde_json::{Value, json};

/// Columns of an output: a mean and nine quantiles.
pub(super) const COLUMNS: usize = 10;
/// The column of the median, from which longer horizons go on.
pub(super) const MEDIAN: usize = 5;

#[derive(Debug, Clone)]
pub(super) struct Config {
    /// Points in a patch.
    pub(super) patch: usize,
    /// Steps of one pass.
    pub(super) steps: usize,
    /// Steps of the head for quantiles.
    pub(super) quantile_steps: usize,
    pub(super) blocks: usize,
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Points of a history that are used at most.
    pub(super) context: usize,
}

impl Config {
    /// The constants of the published code.
    pub(super) fn published() -> Self {
        let (patch, steps, quantile_steps) = (32, 128, 1024);
        Self { patch, steps, quantile_steps, blocks: 20, width: 1280, hidden: 1280, heads: 16, context: 16_384 }
    }

    pub(super) fn new(config: &Value) -> Result<Self, LoadError> {
        only(config, "decode_index", &json!(MEDIAN))?;
        only(config, "quantiles", &json!([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))?;
        let found = Self {
            patch: count(config, "input_patch_len", 4096)?,
            steps: count(config, "output_patch_len", 1 << 14)?,
            quantile_steps: count(config, "output_quantile_len", 1 << 14)?,
            blocks: count(config, "num_layers", 256)?,
            width: count(config, "model_dims", 1 << 16)?,
            hidden: count(config, "hidden_dims", 1 << 18)?,
            heads: count(config, "num_heads", 256)?,
            context: count(config, "context_limit", 1 << 16)?,
        };
        let whole = found.steps.is_multiple_of(found.patch) && found.context.is_multiple_of(found.patch);
        let even = found.width.is_multiple_of(2 * found.heads);
        match whole && even {
            true => Ok(found),
            false => Err(LoadError::Config(
                "output_patch_len and context_limit must be multiples of input_patch_len, model_dims of 2 num_heads"
                    .to_owned(),
            )),
        }
    }
}
