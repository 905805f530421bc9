//! Attention in time, with turned and decaying positions, and across series at one time.

use crate::network::Heads;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

/// Which blocks of a call see what, and where its tokens stand.
pub(super) struct Call<'a> {
    /// Position of the first token of the call.
    pub(super) start: usize,
    /// Tokens of each series.
    pub(super) length: usize,
    /// For each series its identity at each position from the beginning; see [`MISSING`].
    pub(super) ids: &'a [Vec<i32>],
    /// Whether missing patches are hidden from the rest in time.
    pub(super) hide_missing: bool,
}

/// The identity of a patch in which nothing was seen.
pub(super) const MISSING: i32 = -1;

impl Call<'_> {
    pub(super) fn series(&self) -> usize {
        self.ids.len()
    }

    /// The rows of one series.
    pub(super) fn rows(&self, series: usize) -> std::ops::Range<usize> {
        series * self.length..(series + 1) * self.length
    }

    /// The centre of the decay, from which positions count in this call.
    fn centre(&self) -> f64 {
        ((self.start + self.length) / 2) as f64
    }
}

/// Features of a head that are turned; the rest pass as they are.
fn turned(head: usize) -> usize {
    head / 2
}

/// Turns pairs of neighbouring features by angles that grow with the position, and scales them by a decay that makes
/// far positions weigh less: queries by it, keys by its inverse.
pub(super) fn turn(mut rows: ArrayViewMut2<f32>, heads: usize, call: &Call, series: usize, queries: bool) {
    let head = rows.ncols() / heads;
    let turned = turned(head);
    for step in 0..call.length {
        let position = (call.start + step) as f64;
        let power = (position - call.centre()) / 256.0;
        let row = call.rows(series).start + step;
        for pair in 0..turned / 2 {
            let (sine, cosine) = (position * 10_000f64.powf(-2.0 * pair as f64 / turned as f64)).sin_cos();
            let base = (2.0 * pair as f64 + 0.4 * turned as f64) / (1.4 * turned as f64);
            let decay = base.powf(if queries { power } else { -power });
            for first in (0..rows.ncols()).step_by(head) {
                let (even, odd) = (first + 2 * pair, first + 2 * pair + 1);
                let (a, b) = (f64::from(rows[[row, even]]), f64::from(rows[[row, odd]]));
                rows[[row, even]] = ((a * cosine - b * sine) * decay) as f32;
                rows[[row, odd]] = ((b * cosine + a * sine) * decay) as f32;
            }
        }
    }
}

/// One series looks back in time. `keys` and `values` hold every position from the beginning to the end of the call.
pub(super) fn in_time(
    heads: usize,
    queries: ArrayView2<f32>,
    keys: ArrayView2<f32>,
    values: ArrayView2<f32>,
    (call, series): (&Call, usize),
    into: ArrayViewMut2<f32>,
) {
    let ids = &call.ids[series];
    let adjust = |_, scores: &mut Array2<f32>| {
        for (step, mut row) in scores.rows_mut().into_iter().enumerate() {
            let query = call.start + step;
            for (key, score) in row.iter_mut().enumerate() {
                let hidden = call.hide_missing && ids[key] != ids[query];
                if key > query || hidden {
                    *score = f32::MIN;
                }
            }
        }
    };
    Heads { count: heads, queries, keys, values }.attend(1.0, adjust, into);
}

/// All series of a group look at each other, position by position.
pub(super) fn across_series(
    heads: usize,
    [queries, keys, values]: [ArrayView2<f32>; 3],
    call: &Call,
    mut into: ArrayViewMut2<f32>,
) {
    if call.series() == 1 {
        into.assign(&values);
        return;
    }
    for step in 0..call.length {
        let rows = s![step..;call.length, ..];
        // The published code reads the identities of the first tokens in every call.
        let adjust = |_, scores: &mut Array2<f32>| {
            for ((query, key), score) in scores.indexed_iter_mut() {
                if call.ids[query][step] != call.ids[key][step] {
                    *score = f32::MIN;
                }
            }
        };
        let heads =
            Heads { count: heads, queries: queries.slice(rows), keys: keys.slice(rows), values: values.slice(rows) };
        heads.attend(1.0, adjust, into.slice_mut(rows));
    }
}
