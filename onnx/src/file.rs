//! A file as a graph: weights, nodes in their order, what goes in and what comes out.
//!
//! Field numbers are those of `onnx.proto`.
//!
//! Not here: whether operators are known (see `model`), what they do (see `operators`).
//!
//! Invariant: every tensor has as many values as its shape says, and all of its bytes stand in the file.

use crate::OnnxError;
use crate::tensor::{self, Tensor};
use crate::wire::{Reader, Value};
use std::collections::BTreeMap;

/// Nodes, weights, inputs and outputs at most, each.
const PARTS_MAX: usize = 100_000;

/// One dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// So many.
    Known(usize),
    /// Any number, which has a name; or none.
    Any(String),
}

impl std::fmt::Display for Dimension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(count) => write!(f, "{count}"),
            Self::Any(name) if name.is_empty() => write!(f, "?"),
            Self::Any(name) => write!(f, "{name}"),
        }
    }
}

/// What goes in or comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its values: `float32`, `int64` and so on.
    pub element: &'static str,
    /// Its dimensions; none where the file does not say.
    pub shape: Option<Vec<Dimension>>,
}

/// A setting of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attribute {
    Float(f32),
    Number(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Numbers(Vec<i64>),
    Texts(Vec<String>),
}

/// One step of the computation.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) operator: String,
    pub(crate) domain: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: BTreeMap<String, Attribute>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) producer: String,
    /// Version of the operators.
    pub(crate) operators: i64,
    pub(crate) weights: BTreeMap<String, Tensor>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

/// Reads a whole file.
pub(crate) fn read(bytes: &[u8]) -> Result<File, OnnxError> {
    if bytes.len() > crate::FILE_BYTES_MAX {
        return Err(OnnxError::Malformed(format!("it has more than {} bytes", crate::FILE_BYTES_MAX)));
    }
    let mut file = File::default();
    let mut has_graph = false;
    each(bytes, |number, value| {
        match number {
            2 => file.producer = value.text()?,
            7 if has_graph => return Err(OnnxError::Malformed("it has two graphs".to_owned())),
            7 => {
                has_graph = true;
                graph(value.bytes()?, &mut file)?;
            }
            8 => operator_set(value.bytes()?, &mut file)?,
            25 => return Err(OnnxError::Unsupported("a function of the file's own".to_owned())),
            _ => {}
        }
        Ok(())
    })?;
    match (has_graph, file.operators) {
        (false, _) => Err(OnnxError::Malformed("it holds no graph".to_owned())),
        (true, 0) => Err(OnnxError::Malformed("it does not say which version of the operators it uses".to_owned())),
        (true, 7..=25) => Ok(file),
        (true, other) => Err(OnnxError::Unsupported(format!("version {other} of the operators (7 to 25 are)"))),
    }
}

fn each<'a>(bytes: &'a [u8], mut take: impl FnMut(u64, Value<'a>) -> Result<(), OnnxError>) -> Result<(), OnnxError> {
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.field()? {
        take(number, value)?;
    }
    Ok(())
}

fn operator_set(bytes: &[u8], file: &mut File) -> Result<(), OnnxError> {
    let (mut domain, mut version) = (String::new(), 0);
    each(bytes, |number, value| {
        match number {
            1 => domain = value.text()?,
            2 => version = value.number()? as i64,
            _ => {}
        }
        Ok(())
    })?;
    if domain.is_empty() || domain == "ai.onnx" {
        file.operators = version;
    }
    Ok(())
}

fn graph(bytes: &[u8], file: &mut File) -> Result<(), OnnxError> {
    let mut inputs = Vec::new();
    each(bytes, |number, value| {
        match number {
            1 => file.nodes.push(node(value.bytes()?)?),
            5 => {
                let (name, weights) = weights(value.bytes()?)?;
                file.weights.insert(name, weights);
            }
            11 => inputs.push(port(value.bytes()?)?),
            12 => file.outputs.push(port(value.bytes()?)?),
            15 => return Err(OnnxError::Unsupported("a sparse tensor".to_owned())),
            _ => {}
        }
        let most = file.nodes.len().max(file.weights.len()).max(inputs.len()).max(file.outputs.len());
        if most > PARTS_MAX { Err(OnnxError::Malformed(format!("it has more than {PARTS_MAX} parts"))) } else { Ok(()) }
    })?;
    // Old files list their weights among the inputs.
    inputs.retain(|port| !file.weights.contains_key(&port.name));
    file.inputs = inputs;
    Ok(())
}

fn node(bytes: &[u8]) -> Result<Node, OnnxError> {
    let mut node = Node::default();
    each(bytes, |number, value| {
        match number {
            1 => node.inputs.push(value.text()?),
            2 => node.outputs.push(value.text()?),
            3 => node.name = value.text()?,
            4 => node.operator = value.text()?,
            5 => {
                if let Some((name, attribute)) = attribute(value.bytes()?)? {
                    node.attributes.insert(name, attribute);
                }
            }
            7 => node.domain = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    if node.name.is_empty() {
        node.name = node.outputs.first().cloned().unwrap_or_default();
    }
    Ok(node)
}

/// What stands in an attribute, whatever its type field says: exporters of old left that out.
#[derive(Default)]
struct Found {
    name: String,
    kind: u64,
    float: Option<f32>,
    number: Option<i64>,
    text: Option<String>,
    tensor: Option<Tensor>,
    floats: Vec<f32>,
    numbers: Vec<i64>,
    texts: Vec<String>,
}

fn attribute(bytes: &[u8]) -> Result<Option<(String, Attribute)>, OnnxError> {
    let mut found = Found::default();
    each(bytes, |number, value| {
        match (number, value) {
            (1, value) => found.name = value.text()?,
            (2, Value::Four(four)) => found.float = Some(f32::from_le_bytes(four)),
            (3, value) => found.number = Some(value.number()? as i64),
            (4, value) => found.text = Some(String::from_utf8_lossy(value.bytes()?).into_owned()),
            (5, value) => found.tensor = Some(weights(value.bytes()?)?.1),
            (6 | 11, _) => return Err(OnnxError::Unsupported("a graph within a node".to_owned())),
            (7, value) => value.floats(&mut found.floats)?,
            (8, value) => value.numbers(&mut found.numbers)?,
            (9, value) => found.texts.push(String::from_utf8_lossy(value.bytes()?).into_owned()),
            (20, value) => found.kind = value.number()?,
            _ => {}
        }
        Ok(())
    })?;
    let Found { name, kind, float, number, text, tensor, floats, numbers, texts } = found;
    let of_kind = match kind {
        1 => Some(Attribute::Float(float.unwrap_or(0.0))),
        2 => Some(Attribute::Number(number.unwrap_or(0))),
        3 => Some(Attribute::Text(text.clone().unwrap_or_default())),
        6 => Some(Attribute::Floats(floats.clone())),
        7 => Some(Attribute::Numbers(numbers.clone())),
        8 => Some(Attribute::Texts(texts.clone())),
        _ => None,
    };
    let present = || {
        let single = tensor.map(Attribute::Tensor).or(float.map(Attribute::Float)).or(number.map(Attribute::Number));
        single.or(text.map(Attribute::Text)).or(match (floats.is_empty(), numbers.is_empty(), texts.is_empty()) {
            (false, _, _) => Some(Attribute::Floats(floats)),
            (_, false, _) => Some(Attribute::Numbers(numbers)),
            (_, _, false) => Some(Attribute::Texts(texts)),
            _ => None,
        })
    };
    Ok(of_kind.or_else(present).map(|attribute| (name, attribute)))
}

fn port(bytes: &[u8]) -> Result<Port, OnnxError> {
    let mut port = Port { name: String::new(), element: "unknown", shape: None };
    each(bytes, |number, value| {
        match number {
            1 => port.name = value.text()?,
            2 => each(value.bytes()?, |number, value| match number {
                1 => tensor_type(value.bytes()?, &mut port),
                _ => Err(OnnxError::Unsupported("an input or output that is no tensor".to_owned())),
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(port)
}

fn tensor_type(bytes: &[u8], port: &mut Port) -> Result<(), OnnxError> {
    each(bytes, |number, value| {
        match number {
            1 => port.element = element(value.number()?),
            2 => {
                let mut shape = Vec::new();
                each(value.bytes()?, |number, value| {
                    if number == 1 {
                        shape.push(dimension(value.bytes()?)?);
                    }
                    Ok(())
                })?;
                port.shape = Some(shape);
            }
            _ => {}
        }
        Ok(())
    })
}

fn dimension(bytes: &[u8]) -> Result<Dimension, OnnxError> {
    let mut found = Dimension::Any(String::new());
    each(bytes, |number, value| {
        match number {
            1 => {
                // Exporters write 0 or -1 for what they do not know.
                found = match value.number()? as i64 {
                    ..=0 => Dimension::Any(String::new()),
                    known => Dimension::Known(known as usize),
                };
            }
            2 => found = Dimension::Any(value.text()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn element(kind: u64) -> &'static str {
    match kind {
        1 => "float32",
        2 => "uint8",
        3 => "int8",
        6 => "int32",
        7 => "int64",
        8 => "string",
        9 => "bool",
        10 => "float16",
        11 => "float64",
        16 => "bfloat16",
        _ => "unknown",
    }
}

/// A tensor of the file, with its name.
fn weights(bytes: &[u8]) -> Result<(String, Tensor), OnnxError> {
    let (mut name, mut shape, mut kind) = (String::new(), Vec::new(), 0);
    let (mut floats, mut numbers, mut raw) = (Vec::new(), Vec::new(), None);
    let mut doubles = Vec::new();
    each(bytes, |number, value| {
        match number {
            1 => value.numbers(&mut shape)?,
            2 => kind = value.number()?,
            4 => value.floats(&mut floats)?,
            5 | 7 => value.numbers(&mut numbers)?,
            8 => name = value.text()?,
            9 => raw = Some(value.bytes()?),
            10 => match value {
                Value::Eight(eight) => doubles.push(f64::from_le_bytes(eight)),
                other => doubles.extend(other.bytes()?.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight))),
            },
            13 => {
                return Err(OnnxError::Unsupported(format!("the tensor {name}, whose values stand in another file,")));
            }
            14 if value.number()? != 0 => {
                return Err(OnnxError::Unsupported("a tensor whose values stand in another file".to_owned()));
            }
            _ => {}
        }
        Ok(())
    })?;
    let wrong = |what: &str| OnnxError::Malformed(format!("the tensor {name} {what}"));
    let shape: Option<Vec<usize>> = shape.into_iter().map(|one| usize::try_from(one).ok()).collect();
    let shape = shape.filter(|shape| tensor::count(shape).is_some());
    let shape = shape.ok_or_else(|| wrong("has a shape that is none, or is too large"))?;
    let tensor = match (kind, raw) {
        (1, None) => Tensor::floats(shape, floats),
        (1, Some(raw)) => Tensor::floats(shape, chunks(raw, f32::from_le_bytes)),
        (11, None) => Tensor::floats(shape, doubles.into_iter().map(|value| value as f32).collect()),
        (11, Some(raw)) => Tensor::floats(shape, chunks(raw, |eight| f64::from_le_bytes(eight) as f32)),
        (6 | 7 | 9, None) => Tensor::numbers(shape, numbers),
        (6, Some(raw)) => Tensor::numbers(shape, chunks(raw, |four| i64::from(i32::from_le_bytes(four)))),
        (7, Some(raw)) => Tensor::numbers(shape, chunks(raw, i64::from_le_bytes)),
        (9, Some(raw)) => Tensor::numbers(shape, chunks(raw, |[one]: [u8; 1]| i64::from(one != 0))),
        (other, _) => return Err(OnnxError::Unsupported(format!("the tensor {name} of type {}", element(other)))),
    };
    let tensor = tensor.ok_or_else(|| wrong("has not as many values as its shape says"))?;
    Ok((name, tensor))
}

/// Values of `N` bytes each; none where some are left over, so that their number is wrong.
fn chunks<const N: usize, T>(raw: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
    match raw.as_chunks() {
        (chunks, []) => chunks.iter().map(|chunk| of(*chunk)).collect(),
        _ => Vec::new(),
    }
}
