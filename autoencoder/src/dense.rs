//! A dense layer: every output sees every input.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// `x W + b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dense {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

/// Small weights of mean zero (Glorot and Bengio, AISTATS 2010) from numbers between 0 and 1.
pub(crate) fn drawn(rows: usize, columns: usize, draw: &mut impl FnMut() -> f32) -> Array2<f32> {
    let bound = (6.0 / (rows + columns) as f32).sqrt();
    Array2::from_shape_fn((rows, columns), |_| (2.0 * draw() - 1.0) * bound)
}

impl Dense {
    pub(crate) fn new(inputs: usize, outputs: usize, draw: &mut impl FnMut() -> f32) -> Self {
        Self { weight: drawn(inputs, outputs, draw), bias: Array1::zeros(outputs) }
    }

    pub(crate) fn forward(&self, x: ArrayView2<f32>) -> Array2<f32> {
        x.dot(&self.weight) + &self.bias
    }

    /// The gradient of what went in, and those of weight and bias, from the gradient of what came out.
    pub(crate) fn backward(&self, x: ArrayView2<f32>, gradient: ArrayView2<f32>) -> (Array2<f32>, [Vec<f32>; 2]) {
        let weight = x.t().dot(&gradient);
        let bias = gradient.sum_axis(Axis(0));
        (gradient.dot(&self.weight.t()), [weight.iter().copied().collect(), bias.to_vec()])
    }

    pub(crate) fn parameters(&mut self) -> [&mut [f32]; 2] {
        [self.weight.as_slice_mut().unwrap_or_default(), self.bias.as_slice_mut().unwrap_or_default()]
    }
}
