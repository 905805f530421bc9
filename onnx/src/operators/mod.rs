//! What nodes compute, by their operator's name.
//!
//! Meanings are those of the ONNX operators' definition, version 7 to 25; what of one is not done here is refused.
//!
//! Not here: in which order nodes run (see `model`).
//!
//! Invariant: no operator panics, whatever it is given; what it computes is counted before it does.

mod elementwise;
mod layers;
mod recurrent;
mod reduce;
mod shapes;

pub(crate) use shapes::bytes;

use crate::file::{Attribute, Node};
use crate::tensor::Tensor;
use std::cell::Cell;

/// Multiplications of one run at most: a second or two of a core.
pub(crate) const WORK_MAX: u64 = 1 << 31;

/// What a node answers, or in words why it cannot.
pub(crate) type Answer = Result<Vec<Tensor>, String>;

type Operator = fn(&Call<'_>) -> Answer;

/// Every operator that is known, in alphabetical order.
pub(crate) const NAMES: &[(&str, Operator)] = &[
    ("Abs", elementwise::abs),
    ("Add", elementwise::add),
    ("BatchNormalization", layers::batch_normalization),
    ("Cast", elementwise::cast),
    ("Clip", elementwise::clip),
    ("Concat", shapes::concat),
    ("Constant", shapes::constant),
    ("ConstantOfShape", shapes::constant_of_shape),
    ("Conv", layers::conv),
    ("Div", elementwise::div),
    ("Dropout", shapes::identity),
    ("Elu", elementwise::elu),
    ("Equal", elementwise::equal),
    ("Exp", elementwise::exp),
    ("Expand", shapes::expand),
    ("Flatten", shapes::flatten),
    ("GRU", recurrent::gru),
    ("Gather", shapes::gather),
    ("Gemm", layers::gemm),
    ("Greater", elementwise::greater),
    ("Identity", shapes::identity),
    ("LSTM", recurrent::lstm),
    ("LayerNormalization", layers::layer_normalization),
    ("LeakyRelu", elementwise::leaky_relu),
    ("Less", elementwise::less),
    ("Log", elementwise::log),
    ("MatMul", layers::mat_mul),
    ("Max", elementwise::max),
    ("Min", elementwise::min),
    ("Mul", elementwise::mul),
    ("Neg", elementwise::neg),
    ("Pow", elementwise::pow),
    ("Reciprocal", elementwise::reciprocal),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::min),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Relu", elementwise::relu),
    ("Reshape", shapes::reshape),
    ("Selu", elementwise::selu),
    ("Shape", shapes::shape),
    ("Sigmoid", elementwise::sigmoid),
    ("Slice", shapes::slice),
    ("Softmax", reduce::softmax),
    ("Softplus", elementwise::softplus),
    ("Split", shapes::split),
    ("Sqrt", elementwise::sqrt),
    ("Squeeze", shapes::squeeze),
    ("Sub", elementwise::sub),
    ("Tanh", elementwise::tanh),
    ("Tile", shapes::tile),
    ("Transpose", shapes::transpose),
    ("Unsqueeze", shapes::unsqueeze),
    ("Where", elementwise::choose),
];

/// The operator of a name.
pub(crate) fn named(name: &str) -> Option<Operator> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
}

/// A node with what goes into it.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
    /// None where an optional one is left out.
    pub(crate) inputs: Vec<Option<&'a Tensor>>,
    /// Version of the operators.
    pub(crate) version: i64,
    /// What is left of the work of a run.
    pub(crate) work: &'a Cell<u64>,
}

impl<'a> Call<'a> {
    /// Counts work that is about to be done.
    pub(crate) fn spend(&self, factors: &[usize]) -> Result<(), String> {
        let work = factors.iter().try_fold(1u64, |work, one| work.checked_mul(*one as u64));
        let left = work.and_then(|work| self.work.get().checked_sub(work));
        left.map(|left| self.work.set(left)).ok_or_else(|| format!("a run takes more than {WORK_MAX} multiplications"))
    }

    pub(crate) fn optional(&self, at: usize) -> Option<&'a Tensor> {
        self.inputs.get(at).copied().flatten()
    }

    pub(crate) fn input(&self, at: usize) -> Result<&'a Tensor, String> {
        self.optional(at).ok_or_else(|| format!("input {at} is missing"))
    }

    /// Shape and values of a tensor of floats.
    pub(crate) fn floats(&self, at: usize) -> Result<(&'a [usize], &'a [f32]), String> {
        let tensor = self.input(at)?;
        let values = tensor.as_floats().ok_or_else(|| format!("input {at} has no floats"))?;
        Ok((tensor.shape(), values))
    }

    pub(crate) fn numbers(&self, at: usize) -> Result<&'a [i64], String> {
        self.input(at)?.as_numbers().ok_or_else(|| format!("input {at} has no whole numbers"))
    }

    pub(crate) fn number(&self, name: &str, absent: i64) -> i64 {
        match self.node.attributes.get(name) {
            Some(Attribute::Number(number)) => *number,
            _ => absent,
        }
    }

    pub(crate) fn float(&self, name: &str, absent: f32) -> f32 {
        match self.node.attributes.get(name) {
            Some(Attribute::Float(float)) => *float,
            _ => absent,
        }
    }

    pub(crate) fn list(&self, name: &str) -> Option<&'a [i64]> {
        match self.node.attributes.get(name) {
            Some(Attribute::Numbers(numbers)) => Some(numbers),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        match self.node.attributes.get(name) {
            Some(Attribute::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Numbers that are an attribute in old versions and an input in new ones.
    pub(crate) fn list_or_input(&self, name: &str, at: usize) -> Result<Option<Vec<i64>>, String> {
        match (self.list(name), self.optional(at)) {
            (Some(list), _) => Ok(Some(list.to_vec())),
            (None, Some(_)) => self.numbers(at).map(|numbers| Some(numbers.to_vec())),
            (None, None) => Ok(None),
        }
    }
}

/// One answer, of floats.
pub(crate) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Answer {
    one(Tensor::floats(shape, values))
}

pub(crate) fn one(tensor: Option<Tensor>) -> Answer {
    tensor
        .map(|tensor| vec![tensor])
        .ok_or_else(|| "the shapes do not go together, or the answer is too large".to_owned())
}

/// A dimension counted from either end, below `rank`.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    found.ok_or_else(|| format!("axis {axis} is none of {rank}"))
}
