//! A model from a folder: which layout it is, and what is wrong with it.

use crate::weights::Weights;
use crate::{Bolt, Card, Pretrained, TimesFm, Toto};
use serde_json::Value;
use std::path::Path;

/// Why a folder is no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// Its path.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// `config.json` is not what its layout wants.
    #[error("config.json: {0}")]
    Config(String),
    /// A model that is known and not supported, or not known.
    #[error("this model is not supported: {0}")]
    Unsupported(String),
    /// `model.safetensors` is no such file, or cut off.
    #[error("model.safetensors: {0}")]
    File(String),
    /// A tensor that the configuration asks for is not in the file.
    #[error("model.safetensors: there is no tensor {name} of shape {wanted:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape according to the configuration.
        wanted: Vec<usize>,
    },
    /// A tensor is of another shape than the configuration says.
    #[error("model.safetensors: tensor {name} is of shape {found:?} instead of {wanted:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape according to the configuration.
        wanted: Vec<usize>,
    },
    /// A tensor of a type that is not read.
    #[error("model.safetensors: tensor {name} is of type {found}; F32, F16 and BF16 are read")]
    Type {
        /// Its name.
        name: String,
        /// Its type in the file.
        found: String,
    },
    /// A tensor holds a value that is no number.
    #[error("model.safetensors: tensor {name} holds a value that is not finite")]
    NotFinite {
        /// Its name.
        name: String,
    },
}

/// Loads the model in a folder of `config.json` and `model.safetensors` (or `model.f16.safetensors`).
///
/// TimesFM's own folder has no `config.json`; it is known by its tensors.
///
/// # Errors
/// [`LoadError`] names the first thing that is missing or wrong.
pub fn load(folder: &Path) -> Result<Box<dyn Pretrained>, LoadError> {
    let config = folder.join("config.json");
    let config = if config.exists() { Some(text(&config)?) } else { None };
    let half = folder.join("model.f16.safetensors");
    let single = folder.join("model.safetensors");
    let file = if half.exists() && !single.exists() { half } else { single };
    let bytes = std::fs::read(&file).map_err(|error| LoadError::Read { file: file.display().to_string(), error })?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let about = About {
        name: name.unwrap_or_else(|| "model".to_owned()),
        source: folder.display().to_string(),
        licence: licence(folder),
    };
    from_bytes(config.as_deref(), &bytes, about)
}

/// What is known of a model beside its numbers.
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) licence: Option<String>,
}

impl About {
    pub(crate) fn card(self, layout: &'static str, parameters: usize, shape: Shape) -> Card {
        let Shape { context, steps_per_pass, levels } = shape;
        let Self { name, source, licence } = self;
        Card { name, layout, source, licence, parameters, context, steps_per_pass, levels }
    }
}

/// What goes into a pass and what comes out of it.
pub(crate) struct Shape {
    pub(crate) context: usize,
    pub(crate) steps_per_pass: usize,
    pub(crate) levels: Vec<f64>,
}

/// The model of a configuration and the bytes of its tensors.
pub(crate) fn from_bytes(config: Option<&str>, bytes: &[u8], about: About) -> Result<Box<dyn Pretrained>, LoadError> {
    let weights = Weights::new(bytes)?;
    let Some(config) = config else {
        return match weights.has("stacked_xf.0.attn.qkv_proj.weight") {
            true => Ok(Box::new(TimesFm::new(None, &weights, about)?)),
            false => Err(LoadError::Config("there is none, and the tensors are not those of TimesFM 2.5".to_owned())),
        };
    };
    let value: Value = serde_json::from_str(config).map_err(|error| LoadError::Config(error.to_string()))?;
    match layout(&value)? {
        Layout::Bolt => Ok(Box::new(Bolt::new(&value, &weights, about)?)),
        Layout::TimesFm => Ok(Box::new(TimesFm::new(Some(&value), &weights, about)?)),
        Layout::Toto => Ok(Box::new(Toto::new(&value, &weights, about)?)),
    }
}

#[derive(Debug, PartialEq)]
enum Layout {
    Bolt,
    TimesFm,
    Toto,
}

/// The layout a configuration speaks of; what is known and not supported is named.
fn layout(config: &Value) -> Result<Layout, LoadError> {
    let unsupported = |what: String| Err(LoadError::Unsupported(what));
    let architecture = config["architectures"][0].as_str().unwrap_or_default();
    let kind = config["model_type"].as_str().unwrap_or_default();
    let chronos = &config["chronos_config"];
    match (architecture, kind) {
        ("ChronosBoltModelForForecasting", _) => Ok(Layout::Bolt),
        ("Chronos2Model", _) => unsupported("Chronos-2 (Chronos-Bolt is read)".to_owned()),
        _ if !chronos.is_null() && chronos["tokenizer_class"].is_string() => {
            unsupported("the first Chronos, which samples tokens (Chronos-Bolt is read)".to_owned())
        }
        (_, "timesfm-2.5") => Ok(Layout::TimesFm),
        (_, kind) if kind.starts_with("timesfm") => unsupported(format!("{kind} (timesfm-2.5 is read)")),
        _ if config["residual_attn_ratio"].is_number() && config["patch_size"].is_number() => Ok(Layout::Toto),
        ("", "") => unsupported("config.json names neither an architecture nor a model_type that is known".to_owned()),
        ("", kind) => unsupported(format!("model_type {kind}")),
        (architecture, _) => unsupported(architecture.to_owned()),
    }
}

/// A number of the configuration that has to be there, between 1 and `most`.
pub(crate) fn count(config: &Value, key: &str, most: usize) -> Result<usize, LoadError> {
    optional_count(config, key, most)?.ok_or_else(|| LoadError::Config(format!("{key} is missing")))
}

/// A number of the configuration, between 1 and `most`, that may be absent or null.
pub(crate) fn optional_count(config: &Value, key: &str, most: usize) -> Result<Option<usize>, LoadError> {
    let value = &config[key];
    if value.is_null() {
        return Ok(None);
    }
    match value.as_u64().and_then(|value| usize::try_from(value).ok()) {
        Some(value) if (1..=most).contains(&value) => Ok(Some(value)),
        _ => Err(LoadError::Config(format!("{key} is {value}, not a whole number from 1 to {most}"))),
    }
}

/// A fraction of the configuration that is added below a root: above 0 and below 1.
pub(crate) fn epsilon(config: &Value, key: &str, default: f32) -> Result<f32, LoadError> {
    let value = &config[key];
    match value.as_f64() {
        None if value.is_null() => Ok(default),
        Some(value) if value > 0.0 && value < 1.0 => Ok(value as f32),
        _ => Err(LoadError::Config(format!("{key} is {value}, not a number between 0 and 1"))),
    }
}

/// A yes or no of the configuration that may be absent or null.
pub(crate) fn switch(config: &Value, key: &str, default: bool) -> Result<bool, LoadError> {
    match &config[key] {
        Value::Null => Ok(default),
        Value::Bool(value) => Ok(*value),
        value => Err(LoadError::Config(format!("{key} is {value}, not true or false"))),
    }
}

/// Refuses a setting of the configuration that is there and is not the one that is read.
pub(crate) fn only(config: &Value, key: &str, wanted: &Value) -> Result<(), LoadError> {
    match &config[key] {
        Value::Null => Ok(()),
        found if found == wanted => Ok(()),
        found => Err(LoadError::Unsupported(format!("{key} {found} (only {wanted} is read)"))),
    }
}

fn text(file: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(file).map_err(|error| LoadError::Read { file: file.display().to_string(), error })
}

/// The first line of a file of licence, if there is one.
fn licence(folder: &Path) -> Option<String> {
    let text = ["LICENSE", "LICENSE.txt", "LICENSE.md"].iter().find_map(|name| text(&folder.join(name)).ok())?;
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(|line| line.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout_of(config: &str) -> Result<Layout, String> {
        layout(&serde_json::from_str(config).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn layouts_are_told_apart_by_what_their_configuration_says() {
        let bolt = r#"{"architectures":["ChronosBoltModelForForecasting"],"chronos_config":{}}"#;
        assert_eq!(layout_of(bolt), Ok(Layout::Bolt));
        assert_eq!(layout_of(r#"{"model_type":"timesfm-2.5"}"#), Ok(Layout::TimesFm));
        assert_eq!(layout_of(r#"{"patch_size":32,"residual_attn_ratio":5.1}"#), Ok(Layout::Toto));
    }

    #[test]
    fn a_model_that_is_not_supported_is_named() {
        let refused = [
            (r#"{"architectures":["Chronos2Model"],"chronos_config":{}}"#, "Chronos-2"),
            (
                r#"{"architectures":["T5"],"chronos_config":{"tokenizer_class":"MeanScaleUniformBins"}}"#,
                "first Chronos",
            ),
            (r#"{"model_type":"timesfm-3.0"}"#, "timesfm-3.0"),
            (r#"{"architectures":["MoiraiModule"]}"#, "MoiraiModule"),
            (r#"{"model_type":"llama"}"#, "llama"),
            ("{}", "neither"),
            ("[1]", "neither"),
        ];
        for (config, named) in refused {
            let error = layout_of(config).unwrap_err();
            assert!(error.contains(named), "{config}: {error}");
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_refused_with_their_key() {
        let config = serde_json::json!({"a": 0, "b": 1.5, "c": -3, "d": 1e30, "e": "7", "f": 7, "g": 8});
        for key in ["a", "b", "c", "d", "e", "g", "none"] {
            let error = count(&config, key, 7).unwrap_err().to_string();
            assert!(error.contains(&format!("{key} is")), "{key}: {error}");
        }
        assert_eq!(count(&config, "f", 7).unwrap(), 7);
    }
}
