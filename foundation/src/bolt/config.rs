//! What `config.json` of a Chronos-Bolt folder says.

use crate::LoadError;
use crate::load::{count, epsilon, only, optional_count, switch};
use serde_json::{Value, json};

/// The shape of a model, in tokens and features.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Of all heads together; need not be `width`.
    pub(super) inner: usize,
    pub(super) encoder_blocks: usize,
    pub(super) decoder_blocks: usize,
    pub(super) buckets: usize,
    pub(super) distance_max: usize,
    pub(super) epsilon: f32,
    /// Points of a history that are used at most.
    pub(super) context: usize,
    /// Steps of one pass.
    pub(super) steps: usize,
    /// Points in a patch.
    pub(super) patch: usize,
    pub(super) levels: Vec<f64>,
    /// Whether a token stands for the whole series.
    pub(super) register: bool,
}

impl Config {
    pub(super) fn new(config: &Value) -> Result<Self, LoadError> {
        only(config, "feed_forward_proj", &json!("relu"))?;
        let chronos = &config["chronos_config"];
        if !chronos.is_object() {
            return Err(LoadError::Config("chronos_config is missing".to_owned()));
        }
        let heads = count(config, "num_heads", 256)?;
        let encoder_blocks = count(config, "num_layers", 256)?;
        let patch = count(chronos, "input_patch_size", 4096)?;
        only(chronos, "input_patch_stride", &json!(patch))?;
        let buckets = optional_count(config, "relative_attention_num_buckets", 4096)?.unwrap_or(32);
        let distance_max = optional_count(config, "relative_attention_max_distance", 1 << 20)?.unwrap_or(128);
        if buckets < 4 || buckets % 4 != 0 || distance_max <= buckets / 4 {
            let said = format!("{buckets} buckets for distances to {distance_max} cannot be laid out");
            return Err(LoadError::Config(said));
        }
        Ok(Self {
            width: count(config, "d_model", 1 << 16)?,
            hidden: count(config, "d_ff", 1 << 18)?,
            heads,
            inner: heads * count(config, "d_kv", 4096)?,
            encoder_blocks,
            decoder_blocks: optional_count(config, "num_decoder_layers", 256)?.unwrap_or(encoder_blocks),
            buckets,
            distance_max,
            epsilon: epsilon(config, "layer_norm_epsilon", 1e-6)?,
            context: count(chronos, "context_length", 1 << 16)?,
            steps: count(chronos, "prediction_length", 1 << 14)?,
            patch,
            levels: levels(&chronos["quantiles"])?,
            register: switch(chronos, "use_reg_token", false)?,
        })
    }
}

fn levels(value: &Value) -> Result<Vec<f64>, LoadError> {
    let wrong = || LoadError::Config(format!("quantiles {value} are not ascending numbers between 0 and 1"));
    let listed = value.as_array().ok_or_else(wrong)?;
    let levels: Vec<f64> = listed.iter().filter_map(Value::as_f64).collect();
    let ascending = levels.windows(2).all(|pair| pair[0] < pair[1]);
    let between = levels.iter().all(|level| (0.0..=1.0).contains(level));
    let all = levels.len() == listed.len() && (1..=99).contains(&levels.len());
    if all && ascending && between { Ok(levels) } else { Err(wrong()) }
}
