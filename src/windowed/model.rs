//! A network of the user's own that judges windows: an autoencoder in a file of ONNX, which says how far off it is.
//!
//! Not here: reading and running such files (see the crate `onnx`), what becomes of the error (see `series`).
//!
//! Invariant: a model that was loaded takes windows of its length and answers one number; what it cannot answer is an
//! error, never a made-up score.

use onnx::{Dimension, FILE_BYTES_MAX, Model, OnnxError, Tensor};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Values in a window where a model takes any number of them: as many as a window keeps in their order.
const LENGTH: usize = 10;
/// Values in a window at most.
const LENGTH_MAX: usize = 10_000;

/// Why there is no model, or no answer of it.
#[derive(Debug, thiserror::Error)]
pub enum WindowModelError {
    /// None was loaded.
    #[error("Model not loaded")]
    NotLoaded,
    /// Its file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own answer.
        source: io::Error,
    },
    /// Its file cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OnnxError,
    },
    /// It does not take a window, or does not answer one number.
    #[error("{}: {what}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It cannot judge this window.
    #[error(transparent)]
    Run(#[from] OnnxError),
}

/// A model that may be loaded.
#[derive(Debug, Default)]
pub struct WindowModel(Option<Loaded>);

#[derive(Debug)]
struct Loaded {
    model: Model,
    input: String,
    output: String,
    length: usize,
}

impl WindowModel {
    /// Reads a file whose input and output have these names, and tries it on a window of zeros.
    ///
    /// # Errors
    /// When the file cannot be read or used, or does not make one number of a window `[1, length, 1]`.
    pub fn load(path: &Path, input: &str, output: &str) -> Result<Self, WindowModelError> {
        let io = |source| WindowModelError::Io { path: path.to_path_buf(), source };
        let wrong = |what| WindowModelError::Shape { path: path.to_path_buf(), what };
        let refused = |source| WindowModelError::File { path: path.to_path_buf(), source };
        if fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX as u64 {
            return Err(wrong(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let model = Model::read(&fs::read(path).map_err(io)?).map_err(refused)?;
        let names = |ports: &[onnx::Port]| ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
        if !model.outputs().iter().any(|port| port.name == output) {
            return Err(wrong(format!("it has no output {output}, but {}", names(model.outputs()))));
        }
        let [port] = model.inputs() else {
            return Err(wrong(format!("it has more than one input: {}", names(model.inputs()))));
        };
        if port.name != input {
            return Err(wrong(format!("it has no input {input}, but {}", port.name)));
        }
        let length = match port.shape.as_deref() {
            None => LENGTH,
            Some([_, Dimension::Any(_), _]) => LENGTH,
            Some([_, Dimension::Known(length @ 2..=LENGTH_MAX), _]) => *length,
            Some(_) => return Err(wrong(format!("its input {input} takes no windows [1, length, 1]"))),
        };
        let loaded = Loaded { model, input: input.to_owned(), output: output.to_owned(), length };
        let found = Self(Some(loaded));
        found.error(([1, length, 1], vec![0.0; length])).map_err(|error| wrong(error.to_string()))?;
        Ok(found)
    }

    /// Values in a window; none before it is loaded.
    pub fn length(&self) -> Option<usize> {
        self.0.as_ref().map(|loaded| loaded.length)
    }

    /// How far off it is of a window: the one number of its output.
    ///
    /// # Errors
    /// When none is loaded, or it cannot judge this window.
    pub fn error(&self, (shape, values): ([usize; 3], Vec<f32>)) -> Result<f64, WindowModelError> {
        let Loaded { model, input, output, .. } = self.0.as_ref().ok_or(WindowModelError::NotLoaded)?;
        let wrong = |what: &str| WindowModelError::Run(OnnxError::Input(format!("the output {output} {what}")));
        let window = Tensor::floats(shape.to_vec(), values).ok_or_else(|| wrong("is asked of no window"))?;
        let outputs = model.run(&[(input, window)])?;
        match outputs.get(output).and_then(Tensor::as_floats) {
            Some([error]) if error.is_finite() => Ok(f64::from(*error)),
            Some([_]) => Err(wrong("is no finite number")),
            _ => Err(wrong("is not one number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(stem: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/samples").join(stem).with_extension("onnx")
    }

    fn load(stem: &str) -> Result<WindowModel, WindowModelError> {
        WindowModel::load(&sample(stem), "input", "reconstruction_error")
    }

    #[test]
    fn before_it_is_loaded_it_says_so_and_then_answers_one_number() {
        let error = WindowModel::default().error(([1, 12, 1], vec![0.0; 12])).unwrap_err();
        assert_eq!(error.to_string(), "Model not loaded");
        for stem in ["dense", "lstm", "gru", "convolution"] {
            let model = load(stem).unwrap();
            assert_eq!(model.length(), Some(12), "{stem}");
            let error = model.error(([1, 12, 1], (0..12).map(|at| (at as f32).sin()).collect())).unwrap();
            assert!(error > 0.0 && error < 10.0, "{stem}: {error}");
            let short = model.error(([1, 11, 1], vec![0.0; 11])).unwrap_err().to_string();
            assert!(short.contains("12, 1], not [1, 11, 1]"), "{short}");
        }
    }

    #[test]
    fn what_judges_no_windows_is_refused_with_the_reason() {
        let said = |error: WindowModelError| error.to_string();
        assert!(said(load("operators").unwrap_err()).contains("has no output reconstruction_error, but "));
        assert!(said(load("nowhere").unwrap_err()).contains("nowhere.onnx: "));
        let other = WindowModel::load(&sample("lstm"), "x", "reconstruction_error").unwrap_err();
        assert!(said(other).ends_with("it has no input x, but input"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.onnx");
        let whole = fs::read(sample("lstm")).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let cut = WindowModel::load(&path, "input", "reconstruction_error").unwrap_err();
        assert!(said(cut).contains("cut off"));
    }
}
