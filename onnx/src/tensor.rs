//! Values in rows and columns of any number of dimensions, the last one the closest.
//!
//! Not here: what is computed of them (see `operators`).
//!
//! Invariant: there are as many values as the shape says, and at most [`ELEMENTS_MAX`].

/// Values of one tensor at most: 64 MiB of floats.
pub(crate) const ELEMENTS_MAX: usize = 1 << 24;
/// Dimensions at most.
pub(crate) const RANK_MAX: usize = 8;

/// The values, by their type.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floats, which weights and windows are.
    Floats(Vec<f32>),
    /// Whole numbers, which shapes and places are; truths are 0 and 1.
    Numbers(Vec<i64>),
}

/// A shape and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// How many values a shape has; none where they are too many.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    // Also without those that are 0, so that no product of some of them overflows.
    let most = shape.iter().try_fold(1usize, |count, one| count.checked_mul((*one).max(1)))?;
    (most <= ELEMENTS_MAX && shape.len() <= RANK_MAX).then(|| shape.iter().product())
}

impl Tensor {
    /// Floats of a shape; none where they are not as many as it says, or too many.
    pub fn floats(shape: Vec<usize>, values: Vec<f32>) -> Option<Self> {
        (count(&shape)? == values.len()).then_some(Self { shape, data: Data::Floats(values) })
    }

    /// Whole numbers of a shape; none where they are not as many as it says, or too many.
    pub fn numbers(shape: Vec<usize>, values: Vec<i64>) -> Option<Self> {
        (count(&shape)? == values.len()).then_some(Self { shape, data: Data::Numbers(values) })
    }

    /// Its dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its values.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Its floats; none if it has others.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Floats(values) => Some(values),
            Data::Numbers(_) => None,
        }
    }

    /// Its whole numbers; none if it has others.
    pub fn as_numbers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Numbers(values) => Some(values),
            Data::Floats(_) => None,
        }
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        match &self.data {
            Data::Floats(values) => values.len(),
            Data::Numbers(values) => values.len(),
        }
    }

    /// The same values in another shape; none where it has not as many.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Option<Self> {
        (count(&shape)? == self.len()).then(|| Self { shape, data: self.data.clone() })
    }

    /// The values at these places, in a shape of as many; places are within.
    pub(crate) fn picked(&self, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Option<Self> {
        match &self.data {
            Data::Floats(values) => Self::floats(shape, places.filter_map(|at| values.get(at).copied()).collect()),
            Data::Numbers(values) => Self::numbers(shape, places.filter_map(|at| values.get(at).copied()).collect()),
        }
    }
}

/// How far apart neighbours of each dimension are.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for at in (0..shape.len().saturating_sub(1)).rev() {
        strides[at] = strides[at + 1] * shape[at + 1];
    }
    strides
}

/// The shape that both come to where dimensions of one are repeated; none where they do not go together.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let of = |shape: &[usize], at: usize| (at + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let both = (0..rank).map(|at| match (of(a, at), of(b, at)) {
        (one, other) if one == other => Some(one),
        (1, other) | (other, 1) => Some(other),
        _ => None,
    });
    let shape: Vec<usize> = both.collect::<Option<_>>()?;
    count(&shape).map(|_| shape)
}

/// For every place of `shape`, in order, the place in a tensor of the shape `of` that is repeated to it.
pub(crate) fn places<'a>(of: &'a [usize], shape: &'a [usize]) -> impl Iterator<Item = usize> + use<'a> {
    let own = strides(of);
    let step = |at: usize| match (at + of.len()).checked_sub(shape.len()) {
        Some(own_at) if of[own_at] != 1 => own[own_at],
        _ => 0,
    };
    let steps: Vec<usize> = (0..shape.len()).map(step).collect();
    walk(shape.to_vec(), steps, 0)
}

/// The sums of `start` and the steps of each dimension, place after place.
pub(crate) fn walk(shape: Vec<usize>, steps: Vec<usize>, start: usize) -> impl Iterator<Item = usize> {
    let total: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    let mut place = start;
    (0..total).map(move |_| {
        let now = place;
        for at in (0..shape.len()).rev() {
            index[at] += 1;
            place += steps[at];
            if index[at] < shape[at] {
                break;
            }
            place -= steps[at] * shape[at];
            index[at] = 0;
        }
        now
    })
}
