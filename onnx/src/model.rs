//! A model: a file whose operators are known, in an order in which it can be run.
//!
//! Not here: what operators do.
//!
//! Invariant: a run ends, and holds no more than [`HELD_BYTES_MAX`], whatever the file says.

use crate::OnnxError;
use crate::file::{self, Dimension, File, Node, Port};
use crate::operators::{self, Call, WORK_MAX};
use crate::tensor::{Tensor, count};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of what nodes answer in one run.
const HELD_BYTES_MAX: usize = 256 << 20;

/// A network that can be run.
#[derive(Debug)]
pub struct Model {
    file: File,
}

impl Model {
    /// Reads a file.
    ///
    /// # Errors
    /// With the reason why it cannot be used: it is none, is cut off, or asks for what is not done here.
    pub fn read(bytes: &[u8]) -> Result<Self, OnnxError> {
        let file = file::read(bytes)?;
        let mut known: BTreeSet<&str> = file.weights.keys().map(String::as_str).collect();
        known.extend(file.inputs.iter().map(|port| port.name.as_str()));
        for node in &file.nodes {
            let whole = match node.domain.as_str() {
                "" | "ai.onnx" => node.operator.clone(),
                domain => format!("{domain}.{}", node.operator),
            };
            if operators::named(&whole).is_none() {
                return Err(OnnxError::Unsupported(format!("the operator {whole}")));
            }
            if let Some(missing) = node.inputs.iter().find(|name| !name.is_empty() && !known.contains(name.as_str())) {
                return Err(failed(node, format!("its input {missing} comes from nowhere before it")));
            }
            known.extend(node.outputs.iter().map(String::as_str));
        }
        if file.inputs.is_empty() || file.outputs.is_empty() {
            return Err(OnnxError::Malformed("it has no input or no output".to_owned()));
        }
        if let Some(port) = file.outputs.iter().find(|port| !known.contains(port.name.as_str())) {
            return Err(OnnxError::Malformed(format!("its output {} comes from nowhere", port.name)));
        }
        Ok(Self { file })
    }

    /// What goes in, weights left out.
    pub fn inputs(&self) -> &[Port] {
        &self.file.inputs
    }

    /// What comes out.
    pub fn outputs(&self) -> &[Port] {
        &self.file.outputs
    }

    /// Who wrote the file.
    pub fn producer(&self) -> &str {
        &self.file.producer
    }

    /// Version of the operators.
    pub fn version(&self) -> i64 {
        self.file.operators
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.file.weights.values().filter(|weights| weights.as_floats().is_some()).map(Tensor::len).sum()
    }

    /// The names of the operators it uses, and how often.
    pub fn operators(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        self.file.nodes.iter().for_each(|node| *counts.entry(node.operator.as_str()).or_insert(0) += 1);
        counts
    }

    /// Runs it: what comes out, by name, of what goes in, by name.
    ///
    /// # Errors
    /// When an input is missing or has another shape than the model takes, or a node cannot work on what it gets.
    pub fn run(&self, inputs: &[(&str, Tensor)]) -> Result<BTreeMap<String, Tensor>, OnnxError> {
        for port in &self.file.inputs {
            let given = inputs.iter().find(|(name, _)| *name == port.name);
            let (_, tensor) = given.ok_or_else(|| OnnxError::Input(format!("the input {} is missing", port.name)))?;
            check(port, tensor)?;
        }
        let work = Cell::new(WORK_MAX);
        let mut found: BTreeMap<&str, Tensor> = BTreeMap::new();
        let mut held = 0;
        for node in &self.file.nodes {
            let input = |name: &String| {
                let given = inputs.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
                found.get(name.as_str()).or(given).or_else(|| self.file.weights.get(name))
            };
            let call = Call {
                node,
                inputs: node.inputs.iter().map(input).collect(),
                version: self.file.operators,
                work: &work,
            };
            let run = operators::named(&node.operator).ok_or_else(|| failed(node, "it is not known".to_owned()))?;
            let answers = run(&call).map_err(|what| failed(node, what))?;
            held += answers.iter().map(operators::bytes).sum::<usize>();
            let is_counted = call.spend(&[answers.iter().map(Tensor::len).sum::<usize>()]);
            is_counted.map_err(|what| failed(node, what))?;
            if held > HELD_BYTES_MAX {
                return Err(failed(node, format!("a run holds more than {HELD_BYTES_MAX} bytes")));
            }
            let named = node.outputs.iter().map(String::as_str).zip(answers);
            found.extend(named.filter(|(name, _)| !name.is_empty()));
        }
        let output = |port: &Port| {
            let name = port.name.as_str();
            let given = inputs.iter().find(|(known, _)| *known == name).map(|(_, tensor)| tensor);
            let tensor = found.get(name).or(given).or_else(|| self.file.weights.get(name)).cloned();
            tensor.map(|tensor| (port.name.clone(), tensor))
        };
        let outputs: BTreeMap<String, Tensor> = self.file.outputs.iter().filter_map(output).collect();
        match self.file.outputs.iter().find(|port| !outputs.contains_key(&port.name)) {
            Some(port) => Err(OnnxError::Malformed(format!("nothing became of the output {}", port.name))),
            None => Ok(outputs),
        }
    }
}

/// Whether a tensor is of the type and shape that an input takes.
fn check(port: &Port, tensor: &Tensor) -> Result<(), OnnxError> {
    let is_float = tensor.as_floats().is_some();
    if (port.element == "float32") != is_float {
        return Err(OnnxError::Input(format!("the input {} is of type {}", port.name, port.element)));
    }
    let Some(wanted) = &port.shape else { return Ok(()) };
    let fits = |(wanted, given): (&Dimension, &usize)| match wanted {
        Dimension::Known(size) => size == given,
        Dimension::Any(_) => true,
    };
    if wanted.len() == tensor.shape().len()
        && wanted.iter().zip(tensor.shape()).all(fits)
        && count(tensor.shape()).is_some()
    {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.iter().map(Dimension::to_string).collect();
    Err(OnnxError::Input(format!("the input {} takes [{}], not {:?}", port.name, wanted.join(", "), tensor.shape())))
}

fn failed(node: &Node, what: String) -> OnnxError {
    OnnxError::Node { node: node.name.clone(), operator: node.operator.clone(), what }
}
