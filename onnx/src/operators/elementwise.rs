//! Operators that work on each value by itself, or on pairs where dimensions of one are repeated.

use super::{Answer, Call, floats, one};
use crate::tensor::{Data, Tensor, broadcast, count, places};

fn each(call: &Call<'_>, of: impl Fn(f32) -> f32) -> Answer {
    let (shape, values) = call.floats(0)?;
    floats(shape.to_vec(), values.iter().map(|value| of(*value)).collect())
}

fn pairs(call: &Call<'_>, of_floats: impl Fn(f32, f32) -> f32, of_numbers: impl Fn(i64, i64) -> Option<i64>) -> Answer {
    let (mut result, others) = (call.input(0)?.clone(), call.inputs.len().max(2));
    for at in 1..others {
        result = pair(&result, call.input(at)?, &of_floats, &of_numbers)?;
    }
    Ok(vec![result])
}

fn pair(
    a: &Tensor,
    b: &Tensor,
    of_floats: &impl Fn(f32, f32) -> f32,
    of_numbers: &impl Fn(i64, i64) -> Option<i64>,
) -> Result<Tensor, String> {
    let shape = broadcast(a.shape(), b.shape())
        .ok_or_else(|| format!("shapes {:?} and {:?} do not go together", a.shape(), b.shape()))?;
    let both = || places(a.shape(), &shape).zip(places(b.shape(), &shape));
    let result = match (a.data(), b.data()) {
        (Data::Floats(x), Data::Floats(y)) => {
            Tensor::floats(shape.clone(), both().map(|(i, j)| of_floats(x[i], y[j])).collect())
        }
        (Data::Numbers(x), Data::Numbers(y)) => {
            let values: Option<Vec<i64>> = both().map(|(i, j)| of_numbers(x[i], y[j])).collect();
            Tensor::numbers(shape.clone(), values.ok_or("a whole number leaves its range")?)
        }
        _ => return Err("floats and whole numbers do not go together".to_owned()),
    };
    result.ok_or_else(|| "the answer is too large".to_owned())
}

pub(super) fn add(call: &Call<'_>) -> Answer {
    pairs(call, |x, y| x + y, i64::checked_add)
}

pub(super) fn sub(call: &Call<'_>) -> Answer {
    pairs(call, |x, y| x - y, i64::checked_sub)
}

pub(super) fn mul(call: &Call<'_>) -> Answer {
    pairs(call, |x, y| x * y, i64::checked_mul)
}

pub(super) fn div(call: &Call<'_>) -> Answer {
    pairs(call, |x, y| x / y, i64::checked_div)
}

pub(super) fn pow(call: &Call<'_>) -> Answer {
    // A power may be a whole number where the base is a float.
    if let (Ok((shape, values)), Ok([power])) = (call.floats(0), call.numbers(1)) {
        let power = *power as f32;
        return floats(shape.to_vec(), values.iter().map(|value| value.powf(power)).collect());
    }
    pairs(call, f32::powf, |x, y| x.checked_pow(u32::try_from(y).ok()?))
}

pub(super) fn max(call: &Call<'_>) -> Answer {
    if call.inputs.len() == 1 { super::shapes::identity(call) } else { pairs(call, f32::max, |x, y| Some(x.max(y))) }
}

pub(super) fn min(call: &Call<'_>) -> Answer {
    if call.inputs.len() == 1 { super::shapes::identity(call) } else { pairs(call, f32::min, |x, y| Some(x.min(y))) }
}

fn compare(call: &Call<'_>, of_floats: fn(&f32, &f32) -> bool, of_numbers: fn(&i64, &i64) -> bool) -> Answer {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let shape = broadcast(a.shape(), b.shape()).ok_or("the shapes do not go together")?;
    let both = places(a.shape(), &shape).zip(places(b.shape(), &shape));
    let values = match (a.data(), b.data()) {
        (Data::Floats(x), Data::Floats(y)) => both.map(|(i, j)| i64::from(of_floats(&x[i], &y[j]))).collect(),
        (Data::Numbers(x), Data::Numbers(y)) => both.map(|(i, j)| i64::from(of_numbers(&x[i], &y[j]))).collect(),
        _ => return Err("floats and whole numbers do not go together".to_owned()),
    };
    one(Tensor::numbers(shape.clone(), values))
}

pub(super) fn equal(call: &Call<'_>) -> Answer {
    compare(call, f32::eq, i64::eq)
}

pub(super) fn greater(call: &Call<'_>) -> Answer {
    compare(call, |x, y| x > y, |x, y| x > y)
}

pub(super) fn less(call: &Call<'_>) -> Answer {
    compare(call, |x, y| x < y, |x, y| x < y)
}

/// `Where`: of two tensors, value by value, the first where a condition holds.
pub(super) fn choose(call: &Call<'_>) -> Answer {
    let (condition, a, b) = (call.numbers(0)?, call.input(1)?, call.input(2)?);
    let shape = broadcast(a.shape(), b.shape()).and_then(|shape| broadcast(&shape, call.input(0).ok()?.shape()));
    let shape = shape.ok_or("the shapes do not go together")?;
    let holds = places(call.input(0)?.shape(), &shape).map(|at| condition[at] != 0);
    let both = holds.zip(places(a.shape(), &shape).zip(places(b.shape(), &shape)));
    one(match (a.data(), b.data()) {
        (Data::Floats(x), Data::Floats(y)) => {
            Tensor::floats(shape.clone(), both.map(|(first, (i, j))| if first { x[i] } else { y[j] }).collect())
        }
        (Data::Numbers(x), Data::Numbers(y)) => {
            Tensor::numbers(shape.clone(), both.map(|(first, (i, j))| if first { x[i] } else { y[j] }).collect())
        }
        _ => return Err("floats and whole numbers do not go together".to_owned()),
    })
}

pub(super) fn abs(call: &Call<'_>) -> Answer {
    each(call, f32::abs)
}

pub(super) fn neg(call: &Call<'_>) -> Answer {
    each(call, |value| -value)
}

pub(super) fn exp(call: &Call<'_>) -> Answer {
    each(call, f32::exp)
}

pub(super) fn log(call: &Call<'_>) -> Answer {
    each(call, f32::ln)
}

pub(super) fn sqrt(call: &Call<'_>) -> Answer {
    each(call, f32::sqrt)
}

pub(super) fn reciprocal(call: &Call<'_>) -> Answer {
    each(call, f32::recip)
}

pub(super) fn relu(call: &Call<'_>) -> Answer {
    each(call, |value| value.max(0.0))
}

pub(super) fn leaky_relu(call: &Call<'_>) -> Answer {
    let alpha = call.float("alpha", 0.01);
    each(call, |value| if value < 0.0 { alpha * value } else { value })
}

pub(super) fn elu(call: &Call<'_>) -> Answer {
    let alpha = call.float("alpha", 1.0);
    each(call, |value| if value < 0.0 { alpha * value.exp_m1() } else { value })
}

pub(super) fn selu(call: &Call<'_>) -> Answer {
    let (alpha, gamma) = (call.float("alpha", 1.673_263_2), call.float("gamma", 1.050_701));
    each(call, |value| gamma * if value < 0.0 { alpha * value.exp_m1() } else { value })
}

pub(super) fn sigmoid(call: &Call<'_>) -> Answer {
    each(call, |value| 1.0 / (1.0 + (-value).exp()))
}

pub(super) fn tanh(call: &Call<'_>) -> Answer {
    each(call, f32::tanh)
}

pub(super) fn softplus(call: &Call<'_>) -> Answer {
    each(call, |value| value.max(0.0) + (-value.abs()).exp().ln_1p())
}

pub(super) fn clip(call: &Call<'_>) -> Answer {
    let bound = |at: usize, name: &str, absent: f32| match call.optional(at) {
        Some(_) => call.floats(at).map(|(_, values)| values.first().copied().unwrap_or(absent)),
        None => Ok(call.float(name, absent)),
    };
    let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
    each(call, |value| value.max(low).min(high))
}

pub(super) fn cast(call: &Call<'_>) -> Answer {
    let (tensor, shape) = (call.input(0)?, call.input(0)?.shape().to_vec());
    count(&shape).ok_or("the shape is too large")?;
    one(match (call.number("to", 0), tensor.data()) {
        (1 | 10 | 11 | 16, Data::Floats(_)) | (6 | 7, Data::Numbers(_)) => Some(tensor.clone()),
        (1 | 10 | 11 | 16, Data::Numbers(values)) => {
            Tensor::floats(shape, values.iter().map(|value| *value as f32).collect())
        }
        (6 | 7, Data::Floats(values)) => Tensor::numbers(shape, values.iter().map(|value| *value as i64).collect()),
        (9, Data::Floats(values)) => {
            Tensor::numbers(shape, values.iter().map(|value| i64::from(*value != 0.0)).collect())
        }
        (9, Data::Numbers(values)) => {
            Tensor::numbers(shape, values.iter().map(|value| i64::from(*value != 0)).collect())
        }
        (other, _) => return Err(format!("a cast to type {other} is not done")),
    })
}
