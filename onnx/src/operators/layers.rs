//! Products with weights: dense and one-dimensional convolutional layers; and norms.

use super::{Answer, Call, axis, floats};
use crate::tensor::{broadcast, count, places};

/// `rows x inner` times `inner x columns`, added to what is there.
pub(super) fn product(out: &mut [f32], a: &[f32], b: &[f32], inner: usize, columns: usize) {
    for (out, a) in out.chunks_mut(columns.max(1)).zip(a.chunks(inner.max(1))) {
        for (factor, b) in a.iter().zip(b.chunks(columns.max(1))) {
            out.iter_mut().zip(b).for_each(|(sum, b)| *sum += factor * b);
        }
    }
}

pub(super) fn mat_mul(call: &Call<'_>) -> Answer {
    let ((a_shape, a), (b_shape, b)) = (call.floats(0)?, call.floats(1)?);
    // A vector is a row on the left and a column on the right, and the answer loses that dimension.
    let (is_row, is_column) = (a_shape.len() == 1, b_shape.len() == 1);
    let a_shape: Vec<usize> = if is_row { vec![1, a_shape[0]] } else { a_shape.to_vec() };
    let b_shape: Vec<usize> = if is_column { vec![b_shape[0], 1] } else { b_shape.to_vec() };
    let ([a_batch @ .., rows, inner], [b_batch @ .., b_inner, columns]) = (&a_shape[..], &b_shape[..]) else {
        return Err("a product needs at least one dimension on either side".to_owned());
    };
    if inner != b_inner {
        return Err(format!("shapes {a_shape:?} and {b_shape:?} do not go together"));
    }
    let batch = broadcast(a_batch, b_batch).ok_or("the batches do not go together")?;
    let whole: Vec<usize> = batch.iter().chain([rows, columns]).copied().collect();
    let mut out = vec![0.0; count(&whole).ok_or("the answer is too large")?];
    call.spend(&[batch.iter().product(), *rows, *inner, *columns])?;
    let (of_a, of_b, of_out) = (rows * inner, inner * columns, rows * columns);
    let pairs = places(a_batch, &batch).zip(places(b_batch, &batch));
    for (out, (i, j)) in out.chunks_mut(of_out.max(1)).zip(pairs) {
        product(out, &a[i * of_a..(i + 1) * of_a], &b[j * of_b..(j + 1) * of_b], *inner, *columns);
    }
    let shape = batch.iter().copied();
    let shape = shape.chain((!is_row).then_some(*rows)).chain((!is_column).then_some(*columns));
    floats(shape.collect(), out)
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

pub(super) fn gemm(call: &Call<'_>) -> Answer {
    let ((a_shape, a), (b_shape, b)) = (call.floats(0)?, call.floats(1)?);
    let (&[mut rows, mut inner], &[mut b_inner, mut columns]) = (a_shape, b_shape) else {
        return Err("both factors need two dimensions".to_owned());
    };
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    if call.number("transA", 0) != 0 {
        a = transposed(&a, rows, inner);
        std::mem::swap(&mut rows, &mut inner);
    }
    if call.number("transB", 0) != 0 {
        b = transposed(&b, b_inner, columns);
        std::mem::swap(&mut b_inner, &mut columns);
    }
    if inner != b_inner {
        return Err(format!("shapes {a_shape:?} and {b_shape:?} do not go together"));
    }
    let shape = vec![rows, columns];
    call.spend(&[rows, inner, columns])?;
    let mut out = vec![0.0; count(&shape).ok_or("the answer is too large")?];
    product(&mut out, &a, &b, inner, columns);
    let alpha = call.float("alpha", 1.0);
    out.iter_mut().for_each(|value| *value *= alpha);
    if call.optional(2).is_some() {
        let (c_shape, c) = call.floats(2)?;
        if broadcast(c_shape, &shape).as_ref() != Some(&shape) {
            return Err(format!("a shape of {c_shape:?} cannot be added to {shape:?}"));
        }
        let beta = call.float("beta", 1.0);
        out.iter_mut().zip(places(c_shape, &shape)).for_each(|(value, at)| *value += beta * c[at]);
    }
    floats(shape, out)
}

/// Padding before and after, from what the node says.
fn padding(call: &Call<'_>, length: usize, reach: usize, stride: usize) -> Result<(usize, usize), String> {
    let needed = (length.div_ceil(stride).saturating_sub(1) * stride + reach).saturating_sub(length);
    match (call.text("auto_pad").unwrap_or("NOTSET"), call.list("pads")) {
        ("SAME_UPPER", _) => Ok((needed / 2, needed - needed / 2)),
        ("SAME_LOWER", _) => Ok((needed - needed / 2, needed / 2)),
        ("VALID", _) | ("NOTSET", None) => Ok((0, 0)),
        ("NOTSET", Some([before, after])) => match (usize::try_from(*before), usize::try_from(*after)) {
            (Ok(before), Ok(after)) if before.max(after) <= 1 << 16 => Ok((before, after)),
            _ => Err("the padding is none".to_owned()),
        },
        _ => Err("the padding is none".to_owned()),
    }
}

/// One positive number of an attribute.
fn single(call: &Call<'_>, name: &str) -> Result<usize, String> {
    match call.list(name) {
        None => Ok(1),
        Some([one @ 1..=65_536]) => Ok(*one as usize),
        Some(other) => Err(format!("{name} is {other:?}")),
    }
}

pub(super) fn conv(call: &Call<'_>) -> Answer {
    let ((x_shape, x), (w_shape, w)) = (call.floats(0)?, call.floats(1)?);
    let (&[batch, channels, length], &[filters, of_group, kernel]) = (x_shape, w_shape) else {
        return Err("only convolutions along one dimension are done".to_owned());
    };
    let groups = usize::try_from(call.number("group", 1)).ok().filter(|groups| (1..=channels.max(1)).contains(groups));
    let groups = groups.ok_or("the number of groups is none")?;
    if of_group.checked_mul(groups) != Some(channels) || !filters.is_multiple_of(groups) || kernel == 0 {
        return Err(format!("shapes {x_shape:?} and {w_shape:?} do not go together"));
    }
    let bias = match call.optional(2) {
        Some(_) => {
            Some(call.floats(2)?.1).filter(|bias| bias.len() == filters).map(Some).ok_or("the bias has another size")?
        }
        None => None,
    };
    let (stride, dilation) = (single(call, "strides")?, single(call, "dilations")?);
    let reach = dilation * (kernel - 1) + 1;
    let (before, after) = padding(call, length, reach, stride)?;
    let padded = length + before + after;
    let steps = padded.checked_sub(reach).map_or(0, |room| room / stride + 1);
    let shape = vec![batch, filters, steps];
    let mut out = vec![0.0; count(&shape).ok_or("the answer is too large")?];
    call.spend(&[batch, filters, steps, of_group, kernel])?;
    for (at, out) in out.chunks_mut(steps.max(1)).enumerate() {
        let (sample, filter) = (at / filters.max(1), at % filters.max(1));
        out.fill(bias.map_or(0.0, |bias| bias[filter]));
        let first = filter / (filters / groups) * of_group;
        for channel in 0..of_group {
            let row = &x[(sample * channels + first + channel) * length..][..length];
            for tap in 0..kernel {
                let weight = w[(filter * of_group + channel) * kernel + tap];
                for (step, sum) in out.iter_mut().enumerate() {
                    let place = (step * stride + tap * dilation).checked_sub(before);
                    *sum += weight * place.and_then(|place| row.get(place)).copied().unwrap_or(0.0);
                }
            }
        }
    }
    floats(shape, out)
}

pub(super) fn batch_normalization(call: &Call<'_>) -> Answer {
    let (shape, values) = call.floats(0)?;
    let channels = *shape.get(1).ok_or("the input has no channels")?;
    let mut parts = [&[][..]; 4];
    for (at, part) in parts.iter_mut().enumerate() {
        *part = Some(call.floats(at + 1)?.1).filter(|part| part.len() == channels).ok_or("a part has another size")?;
    }
    let [scale, bias, mean, variance] = parts;
    let (epsilon, inner) = (call.float("epsilon", 1e-5), shape[2..].iter().product::<usize>().max(1));
    let normal = |(at, value): (usize, &f32)| {
        let of = at / inner % channels;
        (value - mean[of]) / (variance[of] + epsilon).sqrt() * scale[of] + bias[of]
    };
    floats(shape.to_vec(), values.iter().enumerate().map(normal).collect())
}

pub(super) fn layer_normalization(call: &Call<'_>) -> Answer {
    let ((shape, values), (_, scale)) = (call.floats(0)?, call.floats(1)?);
    let at = axis(call.number("axis", -1), shape.len())?;
    let length: usize = shape[at..].iter().product();
    let bias = call.optional(2).map(|_| call.floats(2)).transpose()?.map(|(_, bias)| bias);
    if scale.len() != length || bias.is_some_and(|bias| bias.len() != length) {
        return Err("scale or bias has another size".to_owned());
    }
    let epsilon = call.float("epsilon", 1e-5);
    let mut out = values.to_vec();
    for row in out.chunks_mut(length.max(1)) {
        let mean = row.iter().sum::<f32>() / length as f32;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / length as f32;
        let unit = (variance + epsilon).sqrt();
        for (at, value) in row.iter_mut().enumerate() {
            *value = (*value - mean) / unit * scale[at] + bias.map_or(0.0, |bias| bias[at]);
        }
    }
    floats(shape.to_vec(), out)
}
