//! Autoencoders: networks that learn to reconstruct windows of one series. A window they reconstruct badly has a shape
//! the series did not have before, even where each of its values is ordinary.
//!
//! ```text
//! values ─ scale ─ windows ─ train (network, adam) ─ Autoencoder ─ judge ─ reconstruction error against its threshold
//! ```
//!
//! Two networks: one of LSTM layers (Hochreiter and Schmidhuber, Neural Computation 9, 1997; as encoder and decoder by
//! Malhotra and others, 2016) and one of dense layers, which learns a hundred times as fast. Gradients are written out by
//! hand and checked against differences.
//!
//! Not here: which series are trained and when, threads, storage.
//!
//! Invariant: the same values and settings always give the same network.

mod adam;
mod dense;
mod judge;
mod lstm;
mod network;
mod scale;
mod settings;
mod train;

pub use judge::{Autoencoder, Judged};
pub use scale::Scaling;
pub use settings::{Layout, Settings, SettingsError};
pub use train::{Epoch, TrainError, train};
