//! Recurrent layers: LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho and others 2014), forward, backward or both.
//!
//! Not done, and refused: peepholes, clipping, sequences of different lengths in a batch, other activations than
//! Sigmoid, Tanh and Relu.

use super::{Answer, Call, layers::product};
use crate::file::Attribute;
use crate::tensor::{Tensor, count};

type Activation = fn(f32) -> f32;

fn activation(name: &str) -> Result<Activation, String> {
    match name {
        "Sigmoid" => Ok(|value| 1.0 / (1.0 + (-value).exp())),
        "Tanh" => Ok(f32::tanh),
        "Relu" => Ok(|value| value.max(0.0)),
        other => Err(format!("the activation {other} is not done")),
    }
}

/// What a layer of either kind is given.
struct Layer<'a> {
    x: &'a [f32],
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
    gates: usize,
    directions: usize,
    /// Whether each direction goes backward.
    backward: Vec<bool>,
    weights: &'a [f32],
    recurrence: &'a [f32],
    bias: Option<&'a [f32]>,
    activations: Vec<Activation>,
}

/// Reads what both kinds have in common; `usual` are the activations of one direction.
fn layer<'a>(call: &Call<'a>, gates: usize, usual: &[&str]) -> Result<Layer<'a>, String> {
    let ((x_shape, x), (w_shape, weights), (r_shape, recurrence)) = (call.floats(0)?, call.floats(1)?, call.floats(2)?);
    let &[steps, batch, input] = x_shape else { return Err("the input needs three dimensions".to_owned()) };
    let backward = match call.text("direction").unwrap_or("forward") {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return Err(format!("the direction {other} is not known")),
    };
    let (directions, hidden) = (backward.len(), r_shape.last().copied().unwrap_or(0));
    let fits = w_shape == [directions, gates * hidden, input] && r_shape == [directions, gates * hidden, hidden];
    let bias = call.optional(3).map(|_| call.floats(3)).transpose()?;
    if !fits || hidden == 0 || bias.is_some_and(|(shape, _)| shape != [directions, 2 * gates * hidden]) {
        return Err(format!("weights of shapes {w_shape:?} and {r_shape:?} do not go with {x_shape:?}"));
    }
    if call.optional(4).is_some() && call.numbers(4)?.iter().any(|length| *length != steps as i64) {
        return Err("sequences of different lengths are not done".to_owned());
    }
    if call.number("layout", 0) != 0 || call.node.attributes.contains_key("clip") || call.number("input_forget", 0) != 0
    {
        return Err("layout, clip and input_forget are not done".to_owned());
    }
    let names: Vec<&str> = match call.node.attributes.get("activations") {
        Some(Attribute::Texts(names)) => names.iter().map(String::as_str).collect(),
        _ => usual.repeat(directions),
    };
    if names.len() != usual.len() * directions {
        return Err("there are not as many activations as needed".to_owned());
    }
    let activations = names.into_iter().map(activation).collect::<Result<_, _>>()?;
    call.spend(&[directions, steps, batch, gates * hidden, input + hidden])?;
    count(&[steps, directions, batch, hidden]).ok_or("the answer is too large")?;
    count(&[steps, batch, gates * hidden]).ok_or("the answer is too large")?;
    let bias = bias.map(|(_, bias)| bias);
    Ok(Layer { x, steps, batch, input, hidden, gates, directions, backward, weights, recurrence, bias, activations })
}

/// Columns of a matrix of rows, so that products go along rows.
fn turned(rows: &[f32], columns: usize) -> Vec<f32> {
    let count = rows.len() / columns.max(1);
    (0..columns).flat_map(|column| (0..count).map(move |row| rows[row * columns + column])).collect()
}

impl Layer<'_> {
    /// Weights of the recurrence, turned, of a direction.
    fn recurrence_of(&self, direction: usize) -> Vec<f32> {
        let size = self.gates * self.hidden * self.hidden;
        turned(&self.recurrence[direction * size..][..size], self.hidden)
    }

    /// Bias of the recurrence of a direction, if there is one.
    fn recurrence_bias(&self, direction: usize) -> Option<&[f32]> {
        let size = self.gates * self.hidden;
        self.bias.map(|bias| &bias[(2 * direction + 1) * size..][..size])
    }

    /// What the inputs of all steps come to at the gates, with their bias.
    fn gates_of_input(&self, direction: usize) -> Vec<f32> {
        let size = self.gates * self.hidden;
        let weights = turned(&self.weights[direction * size * self.input..][..size * self.input], self.input);
        let mut gates = vec![0.0; self.steps * self.batch * size];
        if let Some(bias) = self.bias {
            gates.chunks_mut(size).for_each(|row| row.copy_from_slice(&bias[2 * direction * size..][..size]));
        }
        product(&mut gates, self.x, &weights, self.input, size);
        gates
    }

    /// A state that was handed in, of a direction, or zeros.
    fn start(&self, call: &Call<'_>, at: usize, direction: usize) -> Result<Vec<f32>, String> {
        let size = self.batch * self.hidden;
        match call.optional(at) {
            None => Ok(vec![0.0; size]),
            Some(_) => {
                let (shape, values) = call.floats(at)?;
                let fits = shape == [self.directions, self.batch, self.hidden];
                if fits {
                    Ok(values[direction * size..][..size].to_vec())
                } else {
                    Err("a first state has another shape".to_owned())
                }
            }
        }
    }

    /// The order in which a direction takes the steps.
    fn order(&self, direction: usize) -> Vec<usize> {
        let steps = 0..self.steps;
        if self.backward[direction] { steps.rev().collect() } else { steps.collect() }
    }

    fn answers(&self, all: Vec<f32>, lasts: Vec<Vec<f32>>) -> Answer {
        let too_large = || "the answer is too large".to_owned();
        let shape = vec![self.steps, self.directions, self.batch, self.hidden];
        let mut answers = vec![Tensor::floats(shape, all).ok_or_else(too_large)?];
        for last in lasts {
            answers.push(Tensor::floats(vec![self.directions, self.batch, self.hidden], last).ok_or_else(too_large)?);
        }
        Ok(answers)
    }
}

pub(super) fn lstm(call: &Call<'_>) -> Answer {
    let layer = layer(call, 4, &["Sigmoid", "Tanh", "Tanh"])?;
    if call.optional(7).is_some() {
        return Err("peepholes are not done".to_owned());
    }
    let (hidden, batch) = (layer.hidden, layer.batch);
    let mut all = vec![0.0; layer.steps * layer.directions * batch * hidden];
    let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
    for direction in 0..layer.directions {
        let [f, g, h] = [0, 1, 2].map(|at| layer.activations[3 * direction + at]);
        let (inputs, recurrence) = (layer.gates_of_input(direction), layer.recurrence_of(direction));
        let bias = layer.recurrence_bias(direction);
        let (mut state, mut cell) = (layer.start(call, 5, direction)?, layer.start(call, 6, direction)?);
        for step in layer.order(direction) {
            let mut gates = inputs[step * batch * 4 * hidden..][..batch * 4 * hidden].to_vec();
            product(&mut gates, &state, &recurrence, hidden, 4 * hidden);
            for (row, gates) in gates.chunks_mut(4 * hidden).enumerate() {
                if let Some(bias) = bias {
                    gates.iter_mut().zip(bias).for_each(|(gate, bias)| *gate += bias);
                }
                // Input, output, forget, cell.
                for at in 0..hidden {
                    let place = row * hidden + at;
                    cell[place] = f(gates[2 * hidden + at]) * cell[place] + f(gates[at]) * g(gates[3 * hidden + at]);
                    state[place] = f(gates[hidden + at]) * h(cell[place]);
                }
            }
            all[(step * layer.directions + direction) * batch * hidden..][..batch * hidden].copy_from_slice(&state);
        }
        last_h.extend(state);
        last_c.extend(cell);
    }
    layer.answers(all, vec![last_h, last_c])
}

pub(super) fn gru(call: &Call<'_>) -> Answer {
    let layer = layer(call, 3, &["Sigmoid", "Tanh"])?;
    let (hidden, batch) = (layer.hidden, layer.batch);
    let resets_product = call.number("linear_before_reset", 0) != 0;
    let mut all = vec![0.0; layer.steps * layer.directions * batch * hidden];
    let mut last = Vec::new();
    for direction in 0..layer.directions {
        let [f, g] = [0, 1].map(|at| layer.activations[2 * direction + at]);
        let (inputs, recurrence) = (layer.gates_of_input(direction), layer.recurrence_of(direction));
        let zeros = vec![0.0; 3 * hidden];
        let bias = layer.recurrence_bias(direction).unwrap_or(&zeros);
        let mut state = layer.start(call, 5, direction)?;
        for step in layer.order(direction) {
            let inputs = &inputs[step * batch * 3 * hidden..][..batch * 3 * hidden];
            for (state, inputs) in state.chunks_mut(hidden).zip(inputs.chunks(3 * hidden)) {
                let mut back = bias.to_vec();
                product(&mut back, state, &recurrence, hidden, 3 * hidden);
                // Update, reset, hidden.
                let reset: Vec<f32> = (hidden..2 * hidden).map(|at| f(inputs[at] + back[at])).collect();
                if !resets_product {
                    let kept: Vec<f32> = state.iter().zip(&reset).map(|(state, reset)| state * reset).collect();
                    let mut again = bias.to_vec();
                    product(&mut again, &kept, &recurrence, hidden, 3 * hidden);
                    back[2 * hidden..].copy_from_slice(&again[2 * hidden..]);
                }
                for at in 0..hidden {
                    let update = f(inputs[at] + back[at]);
                    let share = if resets_product { reset[at] } else { 1.0 };
                    let new = g(inputs[2 * hidden + at] + share * back[2 * hidden + at]);
                    state[at] = (1.0 - update) * new + update * state[at];
                }
            }
            all[(step * layer.directions + direction) * batch * hidden..][..batch * hidden].copy_from_slice(&state);
        }
        last.extend(state);
    }
    layer.answers(all, vec![last])
}
