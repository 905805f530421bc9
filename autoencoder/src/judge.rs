//! A trained network, and what it says of the newest window.

use crate::network::Network;
use crate::scale::Scale;
use crate::settings::Settings;
use crate::train::Epoch;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Windows that are judged at a time.
const TOGETHER: usize = 256;

/// A network that was trained on a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Autoencoder {
    settings: Settings,
    scale: Scale,
    network: Network,
    threshold: f64,
    curve: Vec<Epoch>,
}

/// What was found of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// Mean square of value less reconstruction, in units of the scale of the training values.
    pub reconstruction_error: f64,
    /// What it may be.
    pub threshold: f64,
    /// Whether it is more.
    pub is_anomaly: bool,
}

impl Autoencoder {
    pub(crate) fn new(settings: Settings, scale: Scale, network: Network, threshold: f64, curve: Vec<Epoch>) -> Self {
        Self { settings, scale, network, threshold, curve }
    }

    /// What it was trained with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The error beyond which a window is unusual.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// What each epoch reached.
    pub fn curve(&self) -> &[Epoch] {
        &self.curve
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.network.clone().parameters().iter().map(|part| part.len()).sum()
    }

    #[cfg(test)]
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// What the newest window of these values is; none where they are too few, or one of it is not finite.
    pub fn judge(&self, values: &[f64]) -> Option<Judged> {
        let length = self.settings.sequence_length;
        let newest = values.get(values.len().checked_sub(length)?..)?;
        if newest.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let window = Array2::from_shape_fn((1, length), |(_, column)| self.scale.apply(newest[column]));
        Some(self.judged(errors(&self.network, window.view())[0]))
    }

    /// What the window that ends at each of these values is, many at a time; none where a window is not whole.
    pub fn judge_each(&self, values: &[f64]) -> Vec<Option<Judged>> {
        let length = self.settings.sequence_length;
        let mut judged = vec![None; values.len()];
        let is_whole = |end: &usize| values[end + 1 - length..=*end].iter().all(|value| value.is_finite());
        let ends: Vec<usize> = (length - 1..values.len()).filter(is_whole).collect();
        for ends in ends.chunks(TOGETHER) {
            let value = |row: usize, column: usize| self.scale.apply(values[ends[row] + 1 - length + column]);
            let windows = Array2::from_shape_fn((ends.len(), length), |(row, column)| value(row, column));
            for (end, error) in ends.iter().zip(errors(&self.network, windows.view())) {
                judged[*end] = Some(self.judged(error));
            }
        }
        judged
    }

    fn judged(&self, reconstruction_error: f64) -> Judged {
        // By more than what rounding makes of the same window in another batch.
        let is_anomaly = reconstruction_error > self.threshold * (1.0 + 1e-5);
        Judged { reconstruction_error, threshold: self.threshold, is_anomaly }
    }
}

/// The mean square error of each window.
pub(crate) fn errors(network: &Network, windows: ArrayView2<f32>) -> Vec<f64> {
    let reconstructed = network.reconstruct(windows);
    let of_row = |(found, wanted): (ndarray::ArrayView1<f32>, ndarray::ArrayView1<f32>)| {
        let squares = found.iter().zip(wanted).map(|(found, wanted)| f64::from(found - wanted).powi(2));
        squares.sum::<f64>() / found.len() as f64
    };
    reconstructed.rows().into_iter().zip(windows.rows()).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, train};

    /// A day of 24 hours: quiet, with a bump at noon; noise from a fixed order.
    fn days(count: usize, has_bump: impl Fn(usize) -> bool) -> Vec<f64> {
        let value = |at: usize| {
            let (day, hour) = (at / 24, at % 24);
            let bump = if has_bump(day) { 10.0 * (-((hour as f64 - 12.0) / 3.0).powi(2)).exp() } else { 0.0 };
            20.0 + bump + ((at * 7919) % 13) as f64 * 0.05
        };
        (0..count * 24).map(value).collect()
    }

    #[test]
    fn a_missing_bump_is_found_while_every_value_is_ordinary() {
        for layout in [Layout::Lstm, Layout::Dense] {
            let settings = Settings {
                layout,
                sequence_length: 24,
                epochs: 100,
                windows_max: 192,
                learning_rate: 5e-3,
                patience: 0,
                ..Settings::default()
            };
            let model = train(&days(20, |_| true), &settings, |_| true).unwrap();
            let usual = days(24, |_| true);
            let flagged = (0..24).filter(|hour| model.judge(&usual[..22 * 24 + hour]).unwrap().is_anomaly).count();
            assert!(flagged <= 3, "{layout:?}: {flagged} of 24 usual windows");
            // The whole of the day without a bump is in the window.
            let broken = days(24, |day| day != 22);
            let judged = model.judge(&broken[..23 * 24]).unwrap();
            assert!(
                judged.is_anomaly && judged.reconstruction_error > 2.0 * judged.threshold,
                "{layout:?}: {judged:?}"
            );
            assert!(broken[22 * 24..23 * 24].iter().all(|value| (20.0..=30.7).contains(value)));
        }
    }

    #[test]
    fn a_wave_is_reconstructed_to_less_than_its_noise() {
        let noise = |at: usize| ((at * 7919 % 101) as f64 / 101.0 - 0.5) * 0.4;
        let values: Vec<f64> =
            (0..600).map(|at| (at as f64 * std::f64::consts::TAU / 30.0).sin() + noise(at)).collect();
        let settings = Settings { epochs: 25, windows_max: 192, learning_rate: 5e-3, ..Settings::default() };
        let model = train(&values, &settings, |_| true).unwrap();
        assert_eq!(model.parameters(), 15_905);
        let last = model.curve().last().unwrap().loss;
        // Noise of this kind has a variance of a thirteenth; the wave one of a half.
        assert!(last < 0.15, "{last} of a variance of one");
    }

    #[test]
    fn too_few_or_broken_values_are_not_judged() {
        let settings = Settings { layout: Layout::Dense, epochs: 1, ..Settings::default() };
        let model = train(&days(5, |_| true), &settings, |_| true).unwrap();
        let each = model.judge_each(&days(20, |day| day != 9));
        assert!(each[..59].iter().all(Option::is_none) && each[59..].iter().all(Option::is_some));
        let alone = model.judge(&days(20, |day| day != 9)).unwrap().reconstruction_error;
        assert!((each.last().unwrap().unwrap().reconstruction_error - alone).abs() < 1e-5 * alone);
        assert!(model.judge_each(&[1.0; 59]).iter().all(Option::is_none));
        assert_eq!(model.judge(&[1.0; 59]), None);
        assert_eq!(model.judge(&[f64::NAN; 60]), None);
        assert!(model.judge(&[20.0; 60]).is_some());
        let bytes = postcard::to_allocvec(&model).unwrap();
        assert_eq!(postcard::from_bytes::<Autoencoder>(&bytes).unwrap(), model);
    }
}
