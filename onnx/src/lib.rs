//! Networks that others trained, from files of ONNX: read, checked, and run on one core.
//!
//! ```text
//! bytes ─ wire ─ file: graph, weights, inputs, outputs ─ model: node after node ─ operators ─ tensors
//! ```
//!
//! For models of some thousand to some million weights, such as autoencoders of windows: dense, recurrent and
//! one-dimensional convolutional layers and what exporters put around them. Operators that are not in
//! [`operators::NAMES`] are refused by name when a file is read.
//!
//! Not here: training; graphs within nodes (`If`, `Loop`, `Scan`); weights in other files; where files come from.
//!
//! Invariants: a file is refused with a reason or runs, and neither panics; what a run computes and holds is bounded,
//! whatever the file says.

mod file;
mod model;
mod operators;
mod tensor;
mod wire;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use file::{Dimension, Port};
pub use model::Model;
pub use tensor::{Data, Tensor};

/// Bytes of a file at most.
pub const FILE_BYTES_MAX: usize = 256 << 20;

/// Why a file cannot be used, or a run has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are no message, or are cut off.
    #[error("it is no ONNX file, or is cut off: {0}")]
    Wire(&'static str),
    /// The file says something that cannot be.
    #[error("{0}")]
    Malformed(String),
    /// The file asks for something that is not done here.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A node cannot work on what it is given.
    #[error("node {node} ({operator}): {what}")]
    Node {
        /// Its name, or that of its first output.
        node: String,
        /// What it does.
        operator: String,
        /// What is wrong.
        what: String,
    },
    /// What was handed in is not what the model takes.
    #[error("{0}")]
    Input(String),
}
