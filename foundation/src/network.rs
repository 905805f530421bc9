//! The parts these networks share: linear maps, residual blocks, root-mean-square norm, attention.
//!
//! Rows are tokens, columns are features. Not here: what a token means, positions, masks.

use crate::LoadError;
use crate::numeric::softmax;
use crate::weights::Weights;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, s};

/// `x W^T + b`, with a row of W for every output.
pub(crate) struct Linear {
    /// W, transposed: a row for every input, which is the order a product reads it in.
    weight: Array2<f32>,
    bias: Option<Array1<f32>>,
}

impl Linear {
    pub(crate) fn new(weight: Array2<f32>, bias: Option<Array1<f32>>) -> Self {
        Self { weight: weight.t().as_standard_layout().into_owned(), bias }
    }

    /// The map stored as `name.weight` and, where `biased`, `name.bias`.
    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        outputs: usize,
        inputs: usize,
        biased: bool,
    ) -> Result<Self, LoadError> {
        let weight = weights.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let bias = biased.then(|| weights.vector(&format!("{name}.bias"), outputs)).transpose()?;
        Ok(Self::new(weight, bias))
    }

    /// The same map with everything it gives multiplied.
    pub(crate) fn scaled(mut self, weight: f32, bias: f32) -> Self {
        self.weight *= weight;
        if let Some(values) = &mut self.bias {
            *values *= bias;
        }
        self
    }

    pub(crate) fn apply(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut y = x.dot(&self.weight);
        if let Some(bias) = &self.bias {
            y += bias;
        }
        y
    }

    /// Adds what the map gives to `into`.
    pub(crate) fn add_to(&self, x: ArrayView2<f32>, into: &mut Array2<f32>) {
        general_mat_mul(1.0, &x, &self.weight, 1.0, into);
        if let Some(bias) = &self.bias {
            *into += bias;
        }
    }
}

/// A map with one hidden layer beside a linear one: `output(activation(hidden(x))) + skip(x)`.
pub(crate) struct Residual {
    pub(crate) hidden: Linear,
    pub(crate) output: Linear,
    pub(crate) skip: Linear,
    pub(crate) activation: fn(&mut [f32]),
}

impl Residual {
    pub(crate) fn apply(&self, x: ArrayView2<f32>) -> Array2<f32> {
        let mut hidden = self.hidden.apply(x);
        (self.activation)(all(&mut hidden));
        let mut y = self.skip.apply(x);
        self.output.add_to(hidden.view(), &mut y);
        y
    }
}

/// Every value of a matrix that owns its rows one after the other.
pub(crate) fn all(matrix: &mut Array2<f32>) -> &mut [f32] {
    // A matrix made by this crate is always laid out row by row.
    matrix.as_slice_mut().unwrap_or_default()
}

/// Matrices of as many columns, one below the other.
pub(crate) fn stacked(parts: &[ArrayView2<f32>], columns: usize) -> Array2<f32> {
    let mut whole = Array2::zeros((parts.iter().map(|part| part.nrows()).sum(), columns));
    let mut row = 0;
    for part in parts {
        whole.slice_mut(s![row..row + part.nrows(), ..]).assign(part);
        row += part.nrows();
    }
    whole
}

/// Each row divided by the root of its mean square, then weighted (Zhang and Sennrich, NeurIPS 2019).
pub(crate) fn rms_norm(x: ArrayView2<f32>, weight: Option<&Array1<f32>>, epsilon: f32) -> Array2<f32> {
    let mut y = x.to_owned();
    for mut row in y.rows_mut() {
        let mean_square = sum_of_squares(row.as_slice().unwrap_or_default()) / row.len() as f32;
        row *= 1.0 / (mean_square + epsilon).sqrt();
    }
    if let Some(weight) = weight {
        y *= weight;
    }
    y
}

/// Summed in eight lanes, which vector code can do and which is also the more exact way.
fn sum_of_squares(row: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (whole, rest) = row.as_chunks::<8>();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

/// What a query may see: a matrix of queries, keys and values, a block of columns for every head.
pub(crate) struct Heads<'a> {
    pub(crate) count: usize,
    pub(crate) queries: ArrayView2<'a, f32>,
    pub(crate) keys: ArrayView2<'a, f32>,
    pub(crate) values: ArrayView2<'a, f32>,
}

impl Heads<'_> {
    /// For every head `softmax(scale * q k^T + what `adjust` adds) v` (Vaswani and others, NeurIPS 2017). `adjust` gets
    /// the number of the head and its scores, a row for each query and a column for each key.
    pub(crate) fn attend(
        &self,
        scale: f32,
        mut adjust: impl FnMut(usize, &mut Array2<f32>),
        mut into: ArrayViewMut2<f32>,
    ) {
        let width = self.queries.ncols() / self.count;
        let mut scores = Array2::zeros((self.queries.nrows(), self.keys.nrows()));
        for head in 0..self.count {
            let columns = s![.., head * width..(head + 1) * width];
            general_mat_mul(scale, &self.queries.slice(columns), &self.keys.slice(columns).t(), 0.0, &mut scores);
            adjust(head, &mut scores);
            for mut row in scores.rows_mut() {
                softmax(row.as_slice_mut().unwrap_or_default());
            }
            general_mat_mul(1.0, &scores, &self.values.slice(columns), 0.0, &mut into.slice_mut(columns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_linear_map_has_a_row_of_weights_for_every_output() {
        let map = Linear::new(array![[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]], Some(array![10.0, 0.0, 1.0]));
        let x = array![[1.0, 1.0], [2.0, 0.5]];
        let wanted = array![[13.0, -1.0, 4.0], [13.0, -0.5, 7.0]];
        assert_eq!(map.apply(x.view()), wanted);
        let mut sum = wanted.clone();
        map.add_to(x.view(), &mut sum);
        assert_eq!(sum, &wanted * 2.0);
        assert_eq!(map.scaled(2.0, 0.0).apply(x.view()), array![[6.0, -2.0, 6.0], [6.0, -1.0, 12.0]]);
    }

    #[test]
    fn a_norm_gives_rows_of_mean_square_one_without_moving_their_mean() {
        let normed = rms_norm(array![[3.0, 4.0, 3.0, 4.0]].view(), Some(&array![1.0, 1.0, 2.0, 2.0]), 0.0);
        let root = 12.5f32.sqrt();
        for (found, wanted) in normed.iter().zip([3.0 / root, 4.0 / root, 6.0 / root, 8.0 / root]) {
            assert!((found - wanted).abs() < 1e-6);
        }
    }

    #[test]
    fn each_head_looks_with_its_own_columns() {
        let (queries, keys) = (array![[50.0, 0.0]], array![[1.0, 1.0], [0.0, 1.0]]);
        let values = array![[1.0, 10.0], [2.0, 20.0]];
        let heads = Heads { count: 2, queries: queries.view(), keys: keys.view(), values: values.view() };
        let mut seen = Array2::zeros((1, 2));
        heads.attend(1.0, |_, _| (), seen.view_mut());
        // The first head sees the first key alone, the second both alike.
        assert!((seen[[0, 0]] - 1.0).abs() < 1e-6 && (seen[[0, 1]] - 15.0).abs() < 1e-5, "{seen}");
        heads.attend(1.0, |head, scores| scores[[0, head]] = f32::MIN, seen.view_mut());
        assert!((seen[[0, 0]] - 2.0).abs() < 1e-6 && (seen[[0, 1]] - 10.0).abs() < 1e-5, "{seen}");
    }
}
