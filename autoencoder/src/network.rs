//! The two networks, and their gradients.

use crate::dense::Dense;
use crate::lstm::{Lstm, Tape};
use crate::settings::{Layout, Settings};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Width of the outer layers.
const WIDTH: usize = 32;

/// A network that reconstructs windows: a row for each, a column for each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Network {
    /// Encoder of two layers, decoder of two, and what makes a value of each step.
    Lstm(Box<[Lstm; 4]>, Dense),
    /// Four layers.
    Dense(Box<[Dense; 4]>),
}

/// Numbers between 0 and 1 in an order given by the seed (Marsaglia, xorshift, 2003).
fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    }
}

impl Network {
    pub(crate) fn new(settings: &Settings) -> Self {
        let draw = &mut numbers(settings.seed);
        let (length, latent) = (settings.sequence_length, settings.latent_dim);
        match settings.layout {
            Layout::Lstm => {
                let encoder = [Lstm::new(1, WIDTH, draw), Lstm::new(WIDTH, latent, draw)];
                let decoder = [Lstm::new(latent, latent, draw), Lstm::new(latent, WIDTH, draw)];
                let [first, second] = encoder;
                let [third, fourth] = decoder;
                Self::Lstm(Box::new([first, second, third, fourth]), Dense::new(WIDTH, 1, draw))
            }
            Layout::Dense => Self::Dense(Box::new([
                Dense::new(length, WIDTH, draw),
                Dense::new(WIDTH, latent, draw),
                Dense::new(latent, WIDTH, draw),
                Dense::new(WIDTH, length, draw),
            ])),
        }
    }

    /// Every trained value, layer by layer.
    pub(crate) fn parameters(&mut self) -> Vec<&mut [f32]> {
        match self {
            Self::Lstm(layers, last) => layers.iter_mut().flat_map(Lstm::parameters).chain(last.parameters()).collect(),
            Self::Dense(layers) => layers.iter_mut().flat_map(Dense::parameters).collect(),
        }
    }

    pub(crate) fn reconstruct(&self, windows: ArrayView2<f32>) -> Array2<f32> {
        match self {
            Self::Lstm(layers, last) => {
                let passes = run(layers, windows);
                values(last, &passes[3], windows.ncols())
            }
            Self::Dense(layers) => {
                let mut x = windows.to_owned();
                for (index, layer) in layers.iter().enumerate() {
                    x = layer.forward(x.view());
                    if index < 3 {
                        x.mapv_inplace(|value| value.max(0.0));
                    }
                }
                x
            }
        }
    }

    /// The mean square error of some windows, and its gradient for every parameter.
    pub(crate) fn gradients(&self, windows: ArrayView2<f32>) -> (f32, Vec<Vec<f32>>) {
        match self {
            Self::Lstm(layers, last) => lstm_gradients(layers, last, windows),
            Self::Dense(layers) => dense_gradients(layers, windows),
        }
    }
}

/// Mean square of a difference, and what it changes by with each value.
fn error(difference: &Array2<f32>) -> (f32, Array2<f32>) {
    let count = difference.len() as f32;
    (difference.iter().map(|value| value * value).sum::<f32>() / count, difference * (2.0 / count))
}

/// The columns of windows, each as a step with one value for every series.
fn steps(windows: ArrayView2<f32>) -> Vec<Array2<f32>> {
    windows.columns().into_iter().map(|column| column.to_owned().insert_axis(Axis(1))).collect()
}

/// All four layers; the last output of the second is what the third sees at every step.
fn run(layers: &[Lstm; 4], windows: ArrayView2<f32>) -> [Tape; 4] {
    let first = layers[0].forward(&steps(windows));
    let second = layers[1].forward(&first.outputs);
    let third = layers[2].forward(&repeated(&second));
    let fourth = layers[3].forward(&third.outputs);
    [first, second, third, fourth]
}

fn repeated(tape: &Tape) -> Vec<Array2<f32>> {
    let length = tape.outputs.len();
    vec![tape.outputs[length - 1].clone(); length]
}

fn values(last: &Dense, tape: &Tape, length: usize) -> Array2<f32> {
    let series = tape.outputs[0].nrows();
    let mut values = Array2::zeros((series, length));
    for (step, output) in tape.outputs.iter().enumerate() {
        values.column_mut(step).assign(&last.forward(output.view()).column(0));
    }
    values
}

fn lstm_gradients(layers: &[Lstm; 4], last: &Dense, windows: ArrayView2<f32>) -> (f32, Vec<Vec<f32>>) {
    let tapes = run(layers, windows);
    let length = windows.ncols();
    let (loss, gradient) = error(&(values(last, &tapes[3], length) - windows));
    let mut of_last: Option<[Vec<f32>; 2]> = None;
    let mut down = Vec::with_capacity(length);
    for (step, output) in tapes[3].outputs.iter().enumerate() {
        let column = gradient.column(step).insert_axis(Axis(1));
        let (back, own) = last.backward(output.view(), column);
        match &mut of_last {
            Some(sum) => sum.iter_mut().zip(&own).for_each(|(sum, own)| add(sum, own)),
            None => of_last = Some(own),
        }
        down.push(Some(back));
    }
    let (back, of_fourth) = layers[3].backward(&tapes[2].outputs, &tapes[3], &down);
    let down: Vec<_> = back.into_iter().map(Some).collect();
    let (back, of_third) = layers[2].backward(&repeated(&tapes[1]), &tapes[2], &down);
    let mut at_the_end = vec![None; length];
    at_the_end[length - 1] = back.into_iter().reduce(|sum, one| sum + one);
    let (back, of_second) = layers[1].backward(&tapes[0].outputs, &tapes[1], &at_the_end);
    let down: Vec<_> = back.into_iter().map(Some).collect();
    let (_, of_first) = layers[0].backward(&steps(windows), &tapes[0], &down);
    let all = [of_first, of_second, of_third, of_fourth].into_iter().flatten();
    (loss, all.chain(of_last.into_iter().flatten()).collect())
}

fn dense_gradients(layers: &[Dense; 4], windows: ArrayView2<f32>) -> (f32, Vec<Vec<f32>>) {
    let mut inputs = vec![windows.to_owned()];
    for (index, layer) in layers.iter().enumerate() {
        let mut x = layer.forward(inputs[index].view());
        if index < 3 {
            x.mapv_inplace(|value| value.max(0.0));
        }
        inputs.push(x);
    }
    let (loss, mut gradient) = error(&(&inputs[4] - &windows));
    let mut all = Vec::with_capacity(8);
    for index in (0..4).rev() {
        let (back, [weight, bias]) = layers[index].backward(inputs[index].view(), gradient.view());
        all.extend([bias, weight]);
        gradient = back;
        gradient.zip_mut_with(&inputs[index], |gradient, input| {
            // What went in was rectified, but for the window itself, whose gradient nobody reads.
            *gradient = if *input > 0.0 { *gradient } else { 0.0 };
        });
    }
    all.reverse();
    (loss, all)
}

fn add(sum: &mut [f32], other: &[f32]) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(length: usize) -> Array2<f32> {
        Array2::from_shape_fn((3, length), |(row, column)| ((row * 5 + column * 3) as f32 * 0.7).sin())
    }

    /// Every gradient against the difference quotient of the loss, which knows nothing of how it was derived.
    #[test]
    fn gradients_are_what_the_loss_changes_by() {
        for (layout, tolerance) in [(Layout::Lstm, 3e-2), (Layout::Dense, 3e-2)] {
            let settings = Settings { layout, sequence_length: 5, latent_dim: 3, ..Settings::default() };
            let network = Network::new(&settings);
            let windows = windows(5);
            let (_, gradients) = network.gradients(windows.view());
            let (mut checked, mut wrong) = (0, 0);
            for (part, gradients) in gradients.iter().enumerate() {
                for at in (0..gradients.len()).step_by(7) {
                    let loss_with = |change: f32| {
                        let mut moved = network.clone();
                        moved.parameters()[part][at] += change;
                        error(&(moved.reconstruct(windows.view()) - &windows)).0
                    };
                    let step = 2e-3;
                    let wanted = (loss_with(step) - loss_with(-step)) / (2.0 * step);
                    let scale = wanted.abs().max(gradients[at].abs()).max(5e-3);
                    wrong += usize::from((wanted - gradients[at]).abs() > tolerance * scale + 5e-4);
                    checked += 1;
                }
            }
            // Where a rectified unit is at its corner, a difference is no derivative.
            assert!(checked > 80 && wrong * 30 <= checked, "{layout:?}: {wrong} of {checked}");
        }
    }

    #[test]
    fn the_documented_layout_has_the_documented_number_of_parameters() {
        let count =
            |settings: Settings| Network::new(&settings).parameters().iter().map(|part| part.len()).sum::<usize>();
        // 4 (inputs + units + 1) units for each of the four LSTM layers, 33 for the last.
        assert_eq!(count(Settings::default()), 4352 + 3136 + 2112 + 6272 + 33);
        let dense = Settings { layout: Layout::Dense, ..Settings::default() };
        assert_eq!(count(dense), 61 * 32 + 33 * 16 + 17 * 32 + 33 * 60);
    }
}
