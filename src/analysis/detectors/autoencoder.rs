//! Autoencoders: windows that a network trained on the first samples reconstructs badly.
//!
//! The network learns the first [`TRAINED_ON`] values, then every window that ends in a later one is judged: its error
//! is the mean square of what was reconstructed wrongly, in the spread of the values trained on, and its limit the 99th
//! percentile of the errors in training. It sees shapes: a daily bump that is missing, while each value is ordinary.
//!
//! Not here: the networks and their training (see the crate `autoencoder`).
//!
//! Invariant: nothing is flagged before the network is trained and a whole window has come.

use super::{Detector, Judgement, Online, Options, Samples};
use autoencoder::{Autoencoder, Judged, Layout, Settings, train};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Values that are learned.
const TRAINED_ON: usize = 500;
/// Windows of them that training goes over, which bounds its time.
const WINDOWS_MAX: usize = 128;

/// What a network is trained with: window and percentile of the options, or 60 and 99.
fn settings(options: &Options, layout: Layout) -> Settings {
    let defaults = Settings::default();
    Settings {
        layout,
        sequence_length: options.window.unwrap_or(defaults.sequence_length).clamp(2, TRAINED_ON / 2),
        threshold_percentile: options.threshold.unwrap_or(defaults.threshold_percentile).clamp(1.0, 100.0),
        windows_max: WINDOWS_MAX,
        ..defaults
    }
}

fn judgement(judged: Option<Judged>) -> Judgement {
    let Some(judged) = judged else { return Judgement::ABSTAINS };
    let limit = judged.threshold.max(f64::MIN_POSITIVE);
    let measured = Judgement::of_limit(judged.reconstruction_error, limit);
    // On the limit is not beyond it, and the two are to agree.
    let share = if judged.is_anomaly { measured.share.max(1.0) } else { measured.share.min(1.0 - f64::EPSILON) };
    Judgement { is_anomaly: judged.is_anomaly, share, ..measured }
}

/// A network of dense layers over the last 60 values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DenseAutoencoder {
    settings: Settings,
    /// Values to learn; none when they were learned.
    learning: Vec<f64>,
    last: VecDeque<f64>,
    network: Option<Autoencoder>,
}

impl DenseAutoencoder {
    /// With the window of the options, and their threshold as the percentile of errors in training.
    pub fn new(options: &Options) -> Self {
        let settings = settings(options, Layout::Dense);
        Self { settings, learning: Vec::new(), last: VecDeque::new(), network: None }
    }
}

impl Online for DenseAutoencoder {
    const METHOD: &'static str = "autoencoder";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        if self.last.len() == self.settings.sequence_length {
            self.last.pop_front();
        }
        self.last.push_back(value);
        if let Some(network) = &self.network {
            return judgement(network.judge(self.last.make_contiguous()));
        }
        self.learning.push(value);
        if self.learning.len() == TRAINED_ON {
            // If it does not settle, the next as many values may.
            self.network = train(&self.learning, &self.settings, |_| true).ok();
            self.learning = Vec::new();
        }
        Judgement::ABSTAINS
    }
}

/// A network of LSTM layers over 60 values at a time, which takes some seconds to train.
#[derive(Debug, Clone)]
pub struct LstmAutoencoder {
    settings: Settings,
}

impl LstmAutoencoder {
    /// With the window of the options, and their threshold as the percentile of errors in training.
    pub fn new(options: &Options) -> Self {
        Self { settings: settings(options, Layout::Lstm) }
    }
}

impl Detector for LstmAutoencoder {
    fn method(&self) -> &'static str {
        "lstm_autoencoder"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let mut judged = vec![Judgement::ABSTAINS; samples.values.len()];
        let Some(learned) = samples.values.get(..TRAINED_ON) else { return judged };
        let Ok(network) = train(learned, &self.settings, |_| true) else { return judged };
        let each = network.judge_each(samples.values).into_iter().enumerate();
        each.skip(TRAINED_ON).for_each(|(at, one)| judged[at] = judgement(one));
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days of 24 hours with a bump at noon, but for one; noise in a fixed order.
    fn value(at: usize, without: usize) -> f64 {
        let (day, hour) = (at / 24, at % 24);
        let bump = if day == without { 0.0 } else { 10.0 * (-((hour as f64 - 12.0) / 3.0).powi(2)).exp() };
        20.0 + bump + ((at * 7919) % 13) as f64 * 0.05
    }

    #[test]
    fn a_day_without_its_bump_is_flagged_and_no_value_before_training() {
        let options = Options { window: Some(24), ..Options::default() };
        let mut detector = DenseAutoencoder::new(&options);
        let without = 28;
        let judged: Vec<Judgement> = (0..30 * 24).map(|at| detector.judge(0, value(at, without))).collect();
        assert!(judged[..TRAINED_ON].iter().all(|judged| !judged.is_judged && !judged.is_anomaly));
        let usual = judged[TRAINED_ON..without * 24].iter().filter(|judged| judged.is_anomaly).count();
        assert!(usual <= 12, "{usual} of {} usual windows", without * 24 - TRAINED_ON);
        let flagged = judged[without * 24 + 12..29 * 24].iter().filter(|judged| judged.is_anomaly).count();
        assert!(flagged >= 6, "{flagged} of 12 windows without a bump");
    }
}
