//! The model that is part of the program: see `docs/infrawatch-tiny.md`.

use crate::Pretrained;
use crate::load::{About, LoadError, from_bytes};

const CONFIG: &str = include_str!("../models/infrawatch-tiny/config.json");
const WEIGHTS: &[u8] = include_bytes!("../models/infrawatch-tiny/model.f16.safetensors");

/// Loads `infrawatch-tiny` from the program itself; takes some milliseconds, the result is to be kept.
///
/// # Errors
/// None in a program that was built from whole files; a test loads it.
pub fn embedded() -> Result<Box<dyn Pretrained>, LoadError> {
    let about = About {
        name: "infrawatch-tiny".to_owned(),
        source: "embedded".to_owned(),
        licence: Some("MIT License".to_owned()),
    };
    from_bytes(Some(CONFIG), WEIGHTS, about)
}
