//! A network that learned the windows of one series, on request.
//!
//! Not here: the networks and their training (see the crate `autoencoder`), the detectors that train by themselves (see
//! `detectors`). A program built without the feature `ml` trains none, and says so.
//!
//! Invariant: the same values always give the same network.

use serde::Serialize;

/// Values in a window where there are enough of them.
pub const WINDOW: usize = 60;
/// Fewer values of a series are not trained on: two windows of ten.
pub const VALUES_MIN: usize = 20;

/// The layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkLayout {
    /// Window, 32, 16, 32, window.
    Dense,
    /// LSTM layers of 32, 16, 16 and 32, and a value a step.
    Lstm,
}

/// What is known of a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NetworkFacts {
    /// Values in a window.
    pub window: usize,
    /// Number of trained values.
    pub parameters: usize,
    /// Rounds over all windows until what was held out got no better.
    pub epochs: usize,
    /// Mean square error of the windows trained on in the round that is kept, in variances of the values.
    pub loss: f64,
    /// The same of the newest windows, which were held out; none where there were too few.
    pub validation_loss: Option<f64>,
    /// The error beyond which a window is unusual.
    pub threshold: f64,
}

/// What was found of the window that ends at a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgedWindow {
    /// Mean square of what was reconstructed wrongly.
    pub error: f64,
    /// What it may be.
    pub threshold: f64,
    /// Whether it is more.
    pub is_anomaly: bool,
}

/// Why there is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Nothing of the kind is built in.
    #[error("this program was built without the feature ml, so it trains no networks")]
    NotBuiltIn,
    /// The caller ended it.
    #[error("training was stopped")]
    Stopped,
    /// The values cannot be learned.
    #[error("{0}")]
    Unfit(String),
}

pub use engine::SeriesNetwork;

#[cfg(feature = "ml")]
mod engine {
    use super::{JudgedWindow, NetworkError, NetworkFacts, NetworkLayout, WINDOW};
    use autoencoder::{Autoencoder, Judged, Layout, Settings, TrainError, train};
    use serde::{Deserialize, Serialize};

    /// Windows that training goes over, evenly spread, which bounds its time: some seconds of a core.
    const DENSE_WINDOWS_MAX: usize = 1024;
    const LSTM_WINDOWS_MAX: usize = 256;

    /// A trained network.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct SeriesNetwork(Autoencoder);

    impl SeriesNetwork {
        /// Learns values in their order, oldest first; the newest tenth of their windows is held out and says when to
        /// stop. A window is unusual beyond the errors of all but a `contamination` (0 to 1) of those trained on.
        ///
        /// # Errors
        /// When there are fewer than [`super::VALUES_MIN`], training does not settle, or `goes_on` says no.
        pub fn train(
            values: &[f64],
            layout: NetworkLayout,
            contamination: f64,
            goes_on: &dyn Fn() -> bool,
        ) -> Result<Self, NetworkError> {
            let (layout, windows_max) = match layout {
                NetworkLayout::Dense => (Layout::Dense, DENSE_WINDOWS_MAX),
                NetworkLayout::Lstm => (Layout::Lstm, LSTM_WINDOWS_MAX),
            };
            let settings = Settings {
                layout,
                sequence_length: WINDOW.min(values.len() / 2).max(super::VALUES_MIN / 2),
                threshold_percentile: (100.0 * (1.0 - contamination)).clamp(1.0, 100.0),
                windows_max,
                ..Settings::default()
            };
            train(values, &settings, |_| goes_on()).map(Self).map_err(|error| match error {
                TrainError::Stopped => NetworkError::Stopped,
                other => NetworkError::Unfit(other.to_string()),
            })
        }

        /// What the window that ends at each of these values is; none where a window is not whole.
        pub fn judge_each(&self, values: &[f64]) -> Vec<Option<JudgedWindow>> {
            let of = |judged: Judged| JudgedWindow {
                error: judged.reconstruction_error,
                threshold: judged.threshold,
                is_anomaly: judged.is_anomaly,
            };
            self.0.judge_each(values).into_iter().map(|judged| judged.map(of)).collect()
        }

        /// What is known of it.
        pub fn facts(&self) -> NetworkFacts {
            let curve = self.0.curve();
            let reached = |epoch: &&autoencoder::Epoch| epoch.validation_loss.unwrap_or(epoch.loss);
            let kept = curve.iter().min_by(|a, b| reached(a).total_cmp(&reached(b)));
            NetworkFacts {
                window: self.0.settings().sequence_length,
                parameters: self.0.parameters(),
                epochs: curve.len(),
                loss: kept.map_or(0.0, |epoch| f64::from(epoch.loss)),
                validation_loss: kept.and_then(|epoch| epoch.validation_loss).map(f64::from),
                threshold: self.0.threshold(),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn training_ends_early_keeps_the_best_and_a_broken_shape_is_unusual() {
            let value = |at: usize| (at as f64 * std::f64::consts::TAU / 20.0).sin() + (at * 7919 % 13) as f64 * 0.01;
            let mut values: Vec<f64> = (0..900).map(value).collect();
            let network = SeriesNetwork::train(&values, NetworkLayout::Dense, 0.01, &|| true).unwrap();
            let facts = network.facts();
            assert_eq!(facts.window, 60);
            assert!(facts.validation_loss.unwrap() < 0.2 && facts.epochs <= 50 && facts.parameters > 1000, "{facts:?}");
            // The wave stands still for a while, within its own range.
            values[800..840].fill(0.5);
            let judged = network.judge_each(&values);
            assert!(judged[..59].iter().all(Option::is_none));
            let unusual = |range: std::ops::Range<usize>| {
                judged[range].iter().filter(|one| one.is_some_and(|one| one.is_anomaly)).count()
            };
            assert!(unusual(60..800) < 30 && unusual(830..850) > 15, "{} {}", unusual(60..800), unusual(830..850));
        }

        #[test]
        fn few_values_make_shorter_windows_and_a_caller_may_end_it() {
            let values: Vec<f64> = (0..100).map(|at| f64::from(at % 7)).collect();
            let network = SeriesNetwork::train(&values, NetworkLayout::Dense, 0.0, &|| true).unwrap();
            assert_eq!(network.facts().window, 50);
            let stopped = SeriesNetwork::train(&values, NetworkLayout::Lstm, 0.01, &|| false);
            assert_eq!(stopped.unwrap_err(), NetworkError::Stopped);
            let few = SeriesNetwork::train(&values[..19], NetworkLayout::Dense, 0.01, &|| true);
            assert!(matches!(few, Err(NetworkError::Unfit(_))));
        }
    }
}

#[cfg(not(feature = "ml"))]
mod engine {
    use super::{JudgedWindow, NetworkError, NetworkFacts, NetworkLayout};
    use serde::{Deserialize, Serialize};

    /// None can be made.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub enum SeriesNetwork {}

    impl SeriesNetwork {
        /// Says that there is none.
        ///
        /// # Errors
        /// Always.
        pub fn train(_: &[f64], _: NetworkLayout, _: f64, _: &dyn Fn() -> bool) -> Result<Self, NetworkError> {
            Err(NetworkError::NotBuiltIn)
        }

        /// Is never asked.
        pub fn judge_each(&self, _: &[f64]) -> Vec<Option<JudgedWindow>> {
            match *self {}
        }

        /// Is never asked.
        pub fn facts(&self) -> NetworkFacts {
            match *self {}
        }
    }
}
