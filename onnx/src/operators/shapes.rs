//! Operators that move values and change shapes, and compute nothing.

use super::{Answer, Call, axis, one};
use crate::file::Attribute;
use crate::tensor::{Data, Tensor, broadcast, count, places, strides, walk};

pub(super) fn identity(call: &Call<'_>) -> Answer {
    Ok(vec![call.input(0)?.clone()])
}

pub(super) fn constant(call: &Call<'_>) -> Answer {
    let attributes = &call.node.attributes;
    one(match attributes.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value) {
        Some(Attribute::Tensor(tensor)) => Some(tensor.clone()),
        Some(Attribute::Float(value)) => Tensor::floats(Vec::new(), vec![*value]),
        Some(Attribute::Number(value)) => Tensor::numbers(Vec::new(), vec![*value]),
        Some(Attribute::Floats(values)) => Tensor::floats(vec![values.len()], values.clone()),
        Some(Attribute::Numbers(values)) => Tensor::numbers(vec![values.len()], values.clone()),
        _ => return Err("it has no value that is a tensor".to_owned()),
    })
}

/// Whole numbers as a shape.
fn as_shape(numbers: &[i64]) -> Result<Vec<usize>, String> {
    let shape: Option<Vec<usize>> = numbers.iter().map(|number| usize::try_from(*number).ok()).collect();
    let shape = shape.filter(|shape| count(shape).is_some());
    shape.ok_or_else(|| format!("{numbers:?} is no shape, or is too large"))
}

pub(super) fn constant_of_shape(call: &Call<'_>) -> Answer {
    let shape = as_shape(call.numbers(0)?)?;
    let total = shape.iter().product();
    one(match call.node.attributes.get("value") {
        Some(Attribute::Tensor(value)) => value.picked(shape, std::iter::repeat_n(0, total)),
        _ => Tensor::floats(shape, vec![0.0; total]),
    })
}

pub(super) fn shape(call: &Call<'_>) -> Answer {
    let shape: Vec<i64> = call.input(0)?.shape().iter().map(|one| *one as i64).collect();
    let bound = |name: &str, absent: i64| {
        let (at, rank) = (call.number(name, absent), shape.len() as i64);
        (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", i64::MAX));
    let part = shape.get(start..end).unwrap_or_default().to_vec();
    one(Tensor::numbers(vec![part.len()], part))
}

pub(super) fn reshape(call: &Call<'_>) -> Answer {
    let (tensor, wanted) = (call.input(0)?, call.numbers(1)?);
    let copies_zero = call.number("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (at, size) in wanted.iter().enumerate() {
        shape.push(match size {
            0 if copies_zero => *tensor.shape().get(at).ok_or("a 0 stands for no dimension")?,
            -1 if open.replace(at).is_none() => 1,
            size => usize::try_from(*size).map_err(|_| format!("{wanted:?} is no shape"))?,
        });
    }
    if let Some(at) = open {
        let others = count(&shape).ok_or("the shape is too large")?;
        shape[at] = tensor.len().checked_div(others).unwrap_or(0);
    }
    let from = tensor.shape();
    tensor.reshaped(shape).map(|tensor| vec![tensor]).ok_or_else(|| format!("{from:?} cannot become {wanted:?}"))
}

pub(super) fn flatten(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let rank = tensor.shape().len();
    let at = call.number("axis", 1);
    let at = if at == rank as i64 { rank } else { axis(at, rank)? };
    let (rows, columns) = tensor.shape().split_at(at);
    one(tensor.reshaped(vec![rows.iter().product(), columns.iter().product()]))
}

pub(super) fn transpose(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let rank = tensor.shape().len();
    let order: Vec<usize> = match call.list("perm") {
        Some(order) => order.iter().map(|one| axis(*one, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("{order:?} is no order of {rank} dimensions"));
    }
    let own = strides(tensor.shape());
    let shape: Vec<usize> = order.iter().map(|at| tensor.shape()[*at]).collect();
    let steps = order.iter().map(|at| own[*at]).collect();
    one(tensor.picked(shape.clone(), walk(shape, steps, 0)))
}

pub(super) fn squeeze(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let rank = tensor.shape().len();
    let gone: Vec<usize> = match call.list_or_input("axes", 1)? {
        Some(axes) => axes.into_iter().map(|one| axis(one, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).filter(|at| tensor.shape()[*at] == 1).collect(),
    };
    let kept = (0..rank).filter(|at| !gone.contains(at)).map(|at| tensor.shape()[at]).collect();
    one(tensor.reshaped(kept))
}

pub(super) fn unsqueeze(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let axes = call.list_or_input("axes", 1)?.ok_or("it has no axes")?;
    let rank = tensor.shape().len() + axes.len();
    let new = axes.into_iter().map(|one| axis(one, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut old = tensor.shape().iter();
    let size = |at: usize| if new.contains(&at) { Some(1) } else { old.next().copied() };
    let shape: Option<Vec<usize>> = (0..rank).map(size).collect();
    one(shape.and_then(|shape| tensor.reshaped(shape)))
}

pub(super) fn expand(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let shape = broadcast(tensor.shape(), &as_shape(call.numbers(1)?)?).ok_or("the shapes do not go together")?;
    one(tensor.picked(shape.clone(), places(tensor.shape(), &shape)))
}

pub(super) fn tile(call: &Call<'_>) -> Answer {
    let (tensor, repeats) = (call.input(0)?, as_shape(call.numbers(1)?)?);
    if repeats.len() != tensor.shape().len() {
        return Err("there is not one number a dimension".to_owned());
    }
    let sizes = tensor.shape().iter().zip(&repeats).map(|(size, repeat)| size.checked_mul(*repeat));
    let shape: Vec<usize> = sizes.collect::<Option<_>>().ok_or("the answer is too large")?;
    count(&shape).ok_or("the answer is too large")?;
    let (own, wide) = (strides(tensor.shape()), strides(&shape));
    let place = |at: usize| (0..shape.len()).map(|k| at / wide[k] % shape[k] % tensor.shape()[k] * own[k]).sum();
    let total = shape.iter().product();
    one(tensor.picked(shape.clone(), (0..total).map(place)))
}

pub(super) fn concat(call: &Call<'_>) -> Answer {
    let parts = (0..call.inputs.len()).map(|at| call.input(at)).collect::<Result<Vec<_>, _>>()?;
    let first = parts.first().ok_or("it has no inputs")?.shape();
    let at = axis(call.number("axis", 0), first.len())?;
    let alike = |part: &&Tensor| {
        part.shape().len() == first.len() && (0..first.len()).all(|k| k == at || part.shape()[k] == first[k])
    };
    if !parts.iter().all(alike) {
        return Err("the shapes do not go together".to_owned());
    }
    let mut shape = first.to_vec();
    shape[at] = parts.iter().map(|part| part.shape()[at]).sum();
    count(&shape).ok_or("the answer is too large")?;
    let blocks: usize = first[..at].iter().product();
    let size = |part: &Tensor| part.shape()[at..].iter().product::<usize>();
    if parts.iter().all(|part| part.as_floats().is_some()) {
        let block = |block: usize| {
            parts.iter().flat_map(move |part| {
                part.as_floats().unwrap_or_default()[block * size(part)..].iter().take(size(part)).copied()
            })
        };
        return one(Tensor::floats(shape, (0..blocks).flat_map(block).collect()));
    }
    let numbers = parts.iter().map(|part| part.as_numbers()).collect::<Option<Vec<_>>>();
    let numbers = numbers.ok_or("floats and whole numbers do not go together")?;
    let block = |block: usize| {
        let both = parts.iter().zip(&numbers);
        both.flat_map(move |(part, numbers)| numbers[block * size(part)..].iter().take(size(part)).copied())
    };
    one(Tensor::numbers(shape, (0..blocks).flat_map(block).collect()))
}

pub(super) fn gather(call: &Call<'_>) -> Answer {
    let (tensor, chosen) = (call.input(0)?, call.input(1)?);
    let at = axis(call.number("axis", 0), tensor.shape().len())?;
    let (size, inner) = (tensor.shape()[at], tensor.shape()[at + 1..].iter().product::<usize>());
    let chosen_at = call.numbers(1)?.iter().map(|one| axis(*one, size)).collect::<Result<Vec<_>, _>>()?;
    let (before, after) = (&tensor.shape()[..at], &tensor.shape()[at + 1..]);
    let shape: Vec<usize> = before.iter().chain(chosen.shape()).chain(after).copied().collect();
    count(&shape).ok_or("the answer is too large")?;
    let outer: usize = before.iter().product();
    let place = |block: usize| {
        let chosen_at = &chosen_at;
        chosen_at.iter().flat_map(move |one| (0..inner).map(move |k| (block * size + one) * inner + k))
    };
    one(tensor.picked(shape, (0..outer).flat_map(place)))
}

/// Start, end and step of a slice of a dimension, as the definition of `Slice` bounds them.
fn bounds(start: i64, end: i64, step: i64, size: usize) -> Result<(i64, i64, usize), String> {
    let size = size as i64;
    let absolute = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = match step {
        _ if size == 0 => return Ok((0, 1, 0)),
        0 => return Err("a step is 0".to_owned()),
        1.. => (absolute(start).clamp(0, size), absolute(end).clamp(0, size)),
        _ => (absolute(start).clamp(0, size - 1), absolute(end).clamp(-1, size - 1)),
    };
    let way = if step > 0 { end - start } else { start - end };
    let taken = if way > 0 && size > 0 { (way as u64).div_ceil(step.unsigned_abs()) } else { 0 };
    Ok((start, step, taken as usize))
}

pub(super) fn slice(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let rank = tensor.shape().len();
    let (starts, ends) = (call.list_or_input("starts", 1)?, call.list_or_input("ends", 2)?);
    let (starts, ends) = starts.zip(ends).ok_or("it has no starts or ends")?;
    let axes = call.list_or_input("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.list_or_input("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|count| *count != starts.len()) {
        return Err("starts, ends, axes and steps are not equally many".to_owned());
    }
    let mut cuts: Vec<(i64, i64, usize)> = tensor.shape().iter().map(|size| (0, 1, *size)).collect();
    for (((start, end), one), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let at = axis(one, rank)?;
        cuts[at] = bounds(start, end, step, tensor.shape()[at])?;
    }
    let shape: Vec<usize> = cuts.iter().map(|(_, _, taken)| *taken).collect();
    let (own, wide) = (strides(tensor.shape()), strides(&shape));
    let place = |at: usize| {
        let along = |k: usize| {
            let (start, step, taken) = cuts[k];
            let index = start + step * (at / wide[k] % taken) as i64;
            usize::try_from(index).unwrap_or(0) * own[k]
        };
        (0..rank).map(along).sum()
    };
    let total = shape.iter().product();
    one(tensor.picked(shape.clone(), (0..total).map(place)))
}

pub(super) fn split(call: &Call<'_>) -> Answer {
    let tensor = call.input(0)?;
    let at = axis(call.number("axis", 0), tensor.shape().len())?;
    let size = tensor.shape()[at];
    let sizes: Vec<usize> = match call.list_or_input("split", 1)? {
        Some(sizes) => as_shape(&sizes)?,
        None => {
            let parts = call.node.outputs.len().max(1);
            let each = size.div_ceil(parts);
            (0..parts).map(|part| each.min(size.saturating_sub(part * each))).collect()
        }
    };
    if sizes.iter().sum::<usize>() != size {
        return Err(format!("{sizes:?} is not {size} together"));
    }
    let own = strides(tensor.shape());
    let mut from = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let mut shape = tensor.shape().to_vec();
        shape[at] = size;
        let part = tensor.picked(shape.clone(), walk(shape, own.clone(), from * own[at]));
        parts.push(part.ok_or("the answer is too large")?);
        from += size;
    }
    Ok(parts)
}

/// How many bytes a tensor takes.
pub(crate) fn bytes(tensor: &Tensor) -> usize {
    match tensor.data() {
        Data::Floats(values) => 4 * values.len(),
        Data::Numbers(values) => 8 * values.len(),
    }
}
