//! What `config.json` of a Toto 2.0 folder says.

use crate::LoadError;
use crate::load::{count, epsilon, only, optional_count, switch};
use serde_json::{Value, json};

/// The shape of a model.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// Points in a patch.
    pub(super) patch: usize,
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Width of a head.
    pub(super) head: usize,
    /// For each block whether it attends across series instead of over time.
    pub(super) across: Vec<bool>,
    pub(super) epsilon: f32,
    pub(super) attention_bias: bool,
    pub(super) forward_bias: bool,
}

impl Config {
    pub(super) fn new(config: &Value) -> Result<Self, LoadError> {
        for (key, wanted) in [
            ("num_output_patches", json!(1)),
            ("pre_norm", json!(true)),
            ("heads_per_group", json!(1)),
            ("per_dim_scale", json!(true)),
            ("use_xpos", json!(true)),
            ("qk_norm", json!(false)),
            ("norm_include_weight", json!(false)),
        ] {
            only(config, key, &wanted)?;
        }
        let width = count(config, "d_model", 1 << 16)?;
        let heads = count(config, "num_heads", 256)?;
        only(config, "num_groups", &json!(heads))?;
        let head = optional_count(config, "qk_dim", 4096)?.unwrap_or(width / heads);
        only(config, "v_dim", &json!(head))?;
        if head == 0 || head % 4 != 0 {
            return Err(LoadError::Unsupported(format!("heads of width {head} (multiples of 4 are read)")));
        }
        Ok(Self {
            patch: count(config, "patch_size", 4096)?,
            width,
            hidden: optional_count(config, "d_ff", 1 << 18)?.unwrap_or((8 * width / 3).next_multiple_of(8)),
            heads,
            head,
            across: across(config)?,
            epsilon: epsilon(config, "norm_eps", 5e-5)?,
            attention_bias: switch(config, "attn_bias", true)?,
            forward_bias: switch(config, "mlp_bias", false)?,
        })
    }
}

/// The blocks that attend across series: the last of each group of blocks, or the first.
fn across(config: &Value) -> Result<Vec<bool>, LoadError> {
    let blocks = count(config, "num_layers", 256)?;
    let group = optional_count(config, "layer_group_size", 256)?.unwrap_or(blocks);
    let of_group = match &config["num_variate_layers_per_group"] {
        Value::Null => 1,
        value if value.as_u64() == Some(0) => 0,
        _ => count(config, "num_variate_layers_per_group", group)?,
    };
    let first = switch(config, "variate_layer_first", false)?;
    let is_across = |block: usize| match first {
        true => block % group < of_group,
        false => block % group >= group - of_group,
    };
    Ok((0..blocks).map(is_across).collect())
}
