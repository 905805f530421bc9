//! Training: windows of the past, the newest held out, until that no longer gets better.

use crate::adam::Adam;
use crate::judge::{Autoencoder, errors};
use crate::network::Network;
use crate::scale::{Scale, percentile};
use crate::settings::{Settings, SettingsError};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

/// What one round over all windows reached: mean square errors of scaled values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// On what was trained on.
    pub loss: f32,
    /// On what was held out; none where nothing was.
    pub validation_loss: Option<f32>,
}

/// Why there is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Too little to learn from.
    #[error("training needs {needed} values without gaps, found {found}")]
    TooShort {
        /// Finite values that were found.
        found: usize,
        /// Values needed.
        needed: usize,
    },
    /// The weights ran away.
    #[error("training did not settle: the error is no number")]
    Diverged,
    /// The caller ended it.
    #[error("training was stopped")]
    Stopped,
}

/// Trains on equidistant values, oldest first; those that are not finite are left out. `go_on` is asked after every
/// epoch with what it reached, and may end training without a result.
///
/// # Errors
/// [`TrainError`] for too few values, settings out of range, or when `go_on` says no.
pub fn train(
    values: &[f64],
    settings: &Settings,
    mut go_on: impl FnMut(Epoch) -> bool,
) -> Result<Autoencoder, TrainError> {
    settings.check()?;
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let needed = 2 * settings.sequence_length;
    if finite.len() < needed {
        return Err(TrainError::TooShort { found: finite.len(), needed });
    }
    let scale = Scale::of(&finite, settings.scaling);
    let windows = windows(&finite, &scale, settings);
    let held_out = (windows.nrows() as f64 * settings.validation_split) as usize;
    let (training, validation) = windows.view().split_at(Axis(0), windows.nrows() - held_out);
    let mut network = Network::new(settings);
    let mut best = (f32::INFINITY, network.clone());
    let (mut adam, mut since_best, mut curve) = (Adam::new(settings.learning_rate), 0, Vec::new());
    for epoch in 0..settings.epochs {
        let mut sum = 0.0;
        for batch in order(training.nrows(), settings.seed, epoch).chunks(settings.batch_size) {
            let (loss, gradients) = network.gradients(training.select(Axis(0), batch).view());
            adam.step(network.parameters(), &gradients);
            sum += loss * batch.len() as f32;
        }
        let validation_loss = (held_out > 0).then(|| mean(&errors(&network, validation)) as f32);
        let reached = Epoch { loss: sum / training.nrows() as f32, validation_loss };
        let judged = validation_loss.unwrap_or(reached.loss);
        if !judged.is_finite() {
            return Err(TrainError::Diverged);
        }
        curve.push(reached);
        if judged < best.0 {
            best = (judged, network.clone());
            since_best = 0;
        } else {
            since_best += 1;
        }
        if !go_on(reached) {
            return Err(TrainError::Stopped);
        }
        if settings.patience > 0 && since_best >= settings.patience {
            break;
        }
    }
    let network = best.1;
    let mut found = errors(&network, training);
    found.sort_by(f64::total_cmp);
    let threshold = percentile(&found, settings.threshold_percentile);
    Ok(Autoencoder::new(*settings, scale, network, threshold, curve))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Windows at every place, or evenly spread where there are more than wanted; the oldest first.
fn windows(values: &[f64], scale: &Scale, settings: &Settings) -> Array2<f32> {
    let places = values.len() - settings.sequence_length + 1;
    let count = places.min(settings.windows_max);
    let first = |index: usize| index * (places - 1) / (count - 1).max(1);
    Array2::from_shape_fn((count, settings.sequence_length), |(row, column)| scale.apply(values[first(row) + column]))
}

/// The windows in another order each epoch, the same in every run (Fisher and Yates).
fn order(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = seed ^ (epoch as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    fn wave(count: usize) -> Vec<f64> {
        (0..count).map(|at| 40.0 + 5.0 * (at as f64 * std::f64::consts::TAU / 24.0).sin()).collect()
    }

    fn quick(layout: Layout) -> Settings {
        Settings {
            layout,
            sequence_length: 24,
            latent_dim: 6,
            epochs: 20,
            windows_max: 160,
            learning_rate: 4e-3,
            ..Settings::default()
        }
    }

    #[test]
    fn the_loss_falls_and_the_threshold_is_the_percentile_of_the_training_errors() {
        for layout in [Layout::Lstm, Layout::Dense] {
            let settings = quick(layout);
            let mut seen = Vec::new();
            let model = train(&wave(400), &settings, |epoch| {
                seen.push(epoch);
                true
            });
            let model = model.unwrap();
            assert_eq!(model.curve(), seen);
            let (first, last) = (seen[0].loss, seen[seen.len() - 1].loss);
            assert!(last < 0.5 * first, "{layout:?}: {first} to {last}");
            let scale = Scale::of(&wave(400), settings.scaling);
            let windows = windows(&wave(400), &scale, &settings);
            let mut found = errors(model.network(), windows.slice(ndarray::s![..144, ..]));
            found.sort_by(f64::total_cmp);
            assert!((model.threshold() - percentile(&found, 99.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_same_values_give_the_same_network() {
        let settings = Settings { epochs: 2, ..quick(Layout::Lstm) };
        let model = || train(&wave(200), &settings, |_| true).unwrap();
        assert_eq!(model(), model());
    }

    #[test]
    fn what_cannot_be_trained_is_refused() {
        let refused = |values: &[f64], settings: Settings| train(values, &settings, |_| true).unwrap_err().to_string();
        assert!(refused(&wave(119), Settings::default()).contains("120 values"));
        assert!(refused(&[f64::NAN; 500], Settings::default()).contains("found 0"));
        assert!(refused(&wave(500), Settings { latent_dim: 0, ..Settings::default() }).contains("latent_dim"));
        assert_eq!(train(&wave(200), &quick(Layout::Dense), |_| false).unwrap_err(), TrainError::Stopped);
    }

    #[test]
    fn an_order_has_every_window_once() {
        let mut order = order(100, 7, 3);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
