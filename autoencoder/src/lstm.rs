//! An LSTM layer with rectified activations, as documented: gates by the logistic function, cell and output rectified.

use crate::dense::drawn;
use ndarray::{Array1, Array2, Axis, Zip, s};
use serde::{Deserialize, Serialize};

/// Weights of what comes in, of the state before, and of nothing; columns are input gate, forget gate, candidate and
/// output gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lstm {
    input: Array2<f32>,
    state: Array2<f32>,
    bias: Array1<f32>,
}

/// What a pass leaves for the way back: for each step the gates, the cell and the output; a row for each series.
pub(crate) struct Tape {
    gates: Vec<Array2<f32>>,
    cells: Vec<Array2<f32>>,
    pub(crate) outputs: Vec<Array2<f32>>,
}

impl Lstm {
    pub(crate) fn new(inputs: usize, units: usize, draw: &mut impl FnMut() -> f32) -> Self {
        let mut bias = Array1::zeros(4 * units);
        // Forgetting nothing at first (Jozefowicz and others, ICML 2015).
        bias.slice_mut(s![units..2 * units]).fill(1.0);
        Self { input: drawn(inputs, 4 * units, draw), state: drawn(units, 4 * units, draw), bias }
    }

    fn units(&self) -> usize {
        self.state.nrows()
    }

    pub(crate) fn forward(&self, steps: &[Array2<f32>]) -> Tape {
        let units = self.units();
        let series = steps.first().map_or(0, Array2::nrows);
        let mut tape = Tape { gates: Vec::new(), cells: Vec::new(), outputs: Vec::new() };
        let (mut output, mut cell) = (Array2::zeros((series, units)), Array2::<f32>::zeros((series, units)));
        for x in steps {
            let mut gates = x.dot(&self.input) + output.dot(&self.state) + &self.bias;
            for row in all(&mut gates).chunks_exact_mut(4 * units) {
                for (at, value) in row.iter_mut().enumerate() {
                    let is_candidate = at / units == 2;
                    *value = if is_candidate { value.max(0.0) } else { 1.0 / (1.0 + (-*value).exp()) };
                }
            }
            let part = |index: usize| gates.slice(s![.., index * units..(index + 1) * units]);
            Zip::from(&mut cell).and(part(0)).and(part(1)).and(part(2)).for_each(|cell, input, forget, candidate| {
                *cell = forget * *cell + input * candidate;
            });
            output = &cell.mapv(|value| value.max(0.0)) * &part(3);
            tape.gates.push(gates);
            tape.cells.push(cell.clone());
            tape.outputs.push(output.clone());
        }
        tape
    }

    /// The gradients of what went in, and those of the three weights, from the gradients of each step's output. A step
    /// whose output nobody used has none.
    pub(crate) fn backward(
        &self,
        steps: &[Array2<f32>],
        tape: &Tape,
        gradients: &[Option<Array2<f32>>],
    ) -> (Vec<Array2<f32>>, [Vec<f32>; 3]) {
        let units = self.units();
        let size = tape.cells[0].dim();
        let (mut input, mut state) = (Array2::zeros(self.input.dim()), Array2::<f32>::zeros(self.state.dim()));
        let mut bias = Array1::<f32>::zeros(self.bias.len());
        let (mut of_output, mut of_cell) = (Array2::<f32>::zeros(size), Array2::<f32>::zeros(size));
        let mut back = vec![Array2::zeros((0, 0)); steps.len()];
        for step in (0..steps.len()).rev() {
            if let Some(gradient) = &gradients[step] {
                of_output += gradient;
            }
            let mut of_gates = Array2::<f32>::zeros((size.0, 4 * units));
            let no_cell = vec![0.0; units];
            for row in 0..size.0 {
                let before = if step > 0 { row_of(&tape.cells[step - 1], row) } else { &no_cell };
                let through = [row_of(&tape.gates[step], row), row_of(&tape.cells[step], row), before];
                let of_row = row * units..(row + 1) * units;
                let of_gates = &mut all(&mut of_gates)[row * 4 * units..(row + 1) * 4 * units];
                back_through(through, row_of(&of_output, row), &mut all(&mut of_cell)[of_row], of_gates);
            }
            input += &steps[step].t().dot(&of_gates);
            if step > 0 {
                state += &tape.outputs[step - 1].t().dot(&of_gates);
            }
            bias += &of_gates.sum_axis(Axis(0));
            back[step] = of_gates.dot(&self.input.t());
            of_output = of_gates.dot(&self.state.t());
        }
        let flat = |matrix: Array2<f32>| matrix.iter().copied().collect();
        (back, [flat(input), flat(state), bias.to_vec()])
    }

    pub(crate) fn parameters(&mut self) -> [&mut [f32]; 3] {
        [
            self.input.as_slice_mut().unwrap_or_default(),
            self.state.as_slice_mut().unwrap_or_default(),
            self.bias.as_slice_mut().unwrap_or_default(),
        ]
    }
}

/// One step of one series backwards: from the gradients of output and cell, those of the gates and of the cell before.
fn back_through([gates, cell, before]: [&[f32]; 3], of_output: &[f32], of_cell: &mut [f32], of_gates: &mut [f32]) {
    let units = cell.len();
    let (entering, forget) = (&gates[..units], &gates[units..2 * units]);
    let (candidate, out) = (&gates[2 * units..3 * units], &gates[3 * units..]);
    for unit in 0..units {
        let (gradient, is_open) = (of_output[unit], cell[unit] > 0.0);
        let through = of_cell[unit] + if is_open { gradient * out[unit] } else { 0.0 };
        of_gates[unit] = through * candidate[unit] * entering[unit] * (1.0 - entering[unit]);
        of_gates[units + unit] = through * before[unit] * forget[unit] * (1.0 - forget[unit]);
        of_gates[2 * units + unit] = if candidate[unit] > 0.0 { through * entering[unit] } else { 0.0 };
        of_gates[3 * units + unit] = gradient * cell[unit].max(0.0) * out[unit] * (1.0 - out[unit]);
        of_cell[unit] = through * forget[unit];
    }
}

/// Every value of a matrix, row by row; those of this crate are laid out so.
fn all(matrix: &mut Array2<f32>) -> &mut [f32] {
    matrix.as_slice_mut().unwrap_or_default()
}

fn row_of(matrix: &Array2<f32>, row: usize) -> &[f32] {
    let width = matrix.ncols();
    &matrix.as_slice().unwrap_or_default()[row * width..(row + 1) * width]
}
