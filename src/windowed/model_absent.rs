//! In a program without the feature `onnx`: no window is judged by a model.
//!
//! Not here: what stands in for it (see `series`).

use std::path::Path;

/// Why there is no model, or no answer of it.
#[derive(Debug, thiserror::Error)]
pub enum WindowModelError {
    /// None was loaded.
    #[error("Model not loaded")]
    NotLoaded,
    /// Nothing of the kind is built in.
    #[error("this program was built without the feature onnx, so it runs no models of files")]
    NotBuiltIn,
}

/// None.
#[derive(Debug, Default)]
pub struct WindowModel;

impl WindowModel {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn load(_: &Path, _: &str, _: &str) -> Result<Self, WindowModelError> {
        Err(WindowModelError::NotBuiltIn)
    }

    /// None.
    pub fn length(&self) -> Option<usize> {
        None
    }

    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn error(&self, _: ([usize; 3], Vec<f32>)) -> Result<f64, WindowModelError> {
        Err(WindowModelError::NotLoaded)
    }
}
