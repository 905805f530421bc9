//! Operators that make one value of many along some dimensions.

use super::{Answer, Call, axis, floats};
use crate::tensor::{count, strides, walk};

/// Makes of the values along the dimensions one each.
fn reduced(call: &Call<'_>, of: impl Fn(&mut dyn Iterator<Item = f32>) -> f32) -> Answer {
    let (shape, values) = call.floats(0)?;
    let wanted = call.list_or_input("axes", 1)?.filter(|axes| !axes.is_empty());
    let mut is_along = vec![wanted.is_none(); shape.len()];
    match wanted {
        None if call.number("noop_with_empty_axes", 0) != 0 => return super::shapes::identity(call),
        None => {}
        Some(axes) => axes.into_iter().try_for_each(|one| axis(one, shape.len()).map(|at| is_along[at] = true))?,
    }
    let part = |along: bool| -> (Vec<usize>, Vec<usize>) {
        let steps = strides(shape);
        (0..shape.len()).filter(|at| is_along[*at] == along).map(|at| (shape[at], steps[at])).unzip()
    };
    let ((kept, kept_steps), (along, along_steps)) = (part(false), part(true));
    let one = |start: usize| of(&mut walk(along.clone(), along_steps.clone(), start).map(|at| values[at]));
    let reduced: Vec<f32> = walk(kept.clone(), kept_steps, 0).map(one).collect();
    let keeps = call.number("keepdims", 1) != 0;
    let size = |at: usize| if is_along[at] { keeps.then_some(1) } else { Some(shape[at]) };
    floats((0..shape.len()).filter_map(size).collect(), reduced)
}

pub(super) fn sum(call: &Call<'_>) -> Answer {
    reduced(call, |values| values.sum())
}

pub(super) fn mean(call: &Call<'_>) -> Answer {
    reduced(call, |values| {
        let (sum, count) = values.fold((0.0f32, 0.0f32), |(sum, count), value| (sum + value, count + 1.0));
        sum / count
    })
}

pub(super) fn max(call: &Call<'_>) -> Answer {
    reduced(call, |values| values.fold(f32::NEG_INFINITY, f32::max))
}

pub(super) fn min(call: &Call<'_>) -> Answer {
    reduced(call, |values| values.fold(f32::INFINITY, f32::min))
}

pub(super) fn l1(call: &Call<'_>) -> Answer {
    reduced(call, |values| values.map(f32::abs).sum())
}

pub(super) fn l2(call: &Call<'_>) -> Answer {
    reduced(call, |values| values.map(|value| value * value).sum::<f32>().sqrt())
}

pub(super) fn sum_square(call: &Call<'_>) -> Answer {
    reduced(call, |values| values.map(|value| value * value).sum())
}

pub(super) fn softmax(call: &Call<'_>) -> Answer {
    let (shape, values) = call.floats(0)?;
    let old = call.version < 13;
    let at = axis(call.number("axis", if old { 1 } else { -1 }), shape.len())?;
    // Versions before 13 take all dimensions from the axis on as one.
    let (length, inner) = match old {
        true => (shape[at..].iter().product(), 1),
        false => (shape[at], shape[at + 1..].iter().product::<usize>()),
    };
    count(shape).ok_or("the shape is too large")?;
    let mut out = values.to_vec();
    for start in (0..values.len()).filter(|start| start % (length * inner).max(1) < inner) {
        let places = || (0..length).map(|step| start + step * inner);
        let most = places().map(|at| values[at]).fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = places().map(|at| (values[at] - most).exp()).sum();
        places().for_each(|at| out[at] = (values[at] - most).exp() / total);
    }
    floats(shape.to_vec(), out)
}
