//! From histories to quantiles: one call for any horizon, or block by block with the medians as what was seen.

use super::attention::{Call, MISSING};
use super::network::Memory;
use super::scaler::Scaled;
use super::{LEVELS, Toto};
use crate::Quantiles;
use ndarray::{Array2, ArrayView1, s};

/// Histories that are forecast together.
pub(super) struct Group<'a> {
    pub(super) histories: &'a [&'a [f64]],
    /// An identity for each; those of the same one see each other. 0 or more.
    pub(super) ids: &'a [i32],
    /// Points of each that are used at most.
    pub(super) context: usize,
}

/// What the published code lets a caller choose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags {
    /// Patches decoded at once; all in one call where there is none.
    pub(super) block: Option<usize>,
    /// Points that must have been seen before running statistics are trusted.
    pub(super) fallback_below: usize,
    /// Scales by which a forecast may leave the range of the history; 0 for any.
    pub(super) cap: f64,
    /// Whether missing patches are hidden from the rest.
    pub(super) hide_missing: bool,
}

impl Flags {
    /// The guards of the published predictor.
    pub(super) const RECOMMENDED: Self = Self { block: None, fallback_below: 8, cap: 1e4, hide_missing: true };
}

/// A series on its way.
struct Series {
    scaled: Scaled,
    range: (f64, f64),
    /// Level by level the steps found so far.
    found: Vec<Vec<f64>>,
}

impl Toto {
    /// The quantiles of `horizon` steps of each history of a group, each with at least one point.
    pub(super) fn decode(&self, group: &Group, horizon: usize, flags: Flags) -> Vec<Quantiles> {
        let patch = self.config.patch;
        let longest = group.histories.iter().map(|history| history.len()).max().unwrap_or(0);
        let begin = |history: &&[f64]| {
            // Series of a group begin together: what a shorter one lacks is missing.
            let mut padded = vec![f64::NAN; longest - history.len()];
            padded.extend_from_slice(history);
            let scaled = Scaled::new(&padded, group.context, patch, flags.fallback_below);
            Series { range: scaled.range(), scaled, found: vec![Vec::new(); LEVELS.len()] }
        };
        let mut series: Vec<Series> = group.histories.iter().map(begin).collect();
        let context = series[0].scaled.seen.len();
        let future = horizon.div_ceil(patch);
        let ids: Vec<Vec<i32>> = series.iter().zip(group.ids).map(|(one, id)| identities(one, *id, future)).collect();
        let block = flags.block.unwrap_or(future).clamp(1, future);
        let mut memory = Memory::default();
        let (mut start, mut seen, mut left) = (0, context, future);
        while left > 0 {
            let ahead = block.min(left);
            let length = seen + ahead;
            let call = Call { start, length, ids: &ids, hide_missing: flags.hide_missing };
            let tokens = self.network.run(self.features(&series, start, length).view(), &call, seen, &mut memory);
            for (index, one) in series.iter_mut().enumerate() {
                let first = call.rows(index).start + seen - 1;
                let raw = self.network.quantiles(tokens.slice(s![first..first + ahead, ..]));
                for row in raw.rows() {
                    one.take(row, patch, flags.cap);
                }
                one.scaled.go_on(&one.found[LEVELS.len() / 2][(future - left) * patch..]);
            }
            left -= ahead;
            (start, seen) = (start + seen, ahead);
        }
        series.into_iter().map(|one| one.quantiles(horizon)).collect()
    }

    /// What the network sees of each series: the patches from `start` on that are known, then as many unknown ones as
    /// make up `length`.
    fn features(&self, series: &[Series], start: usize, length: usize) -> Array2<f32> {
        let patch = self.config.patch;
        let mut features = Array2::zeros((series.len() * length, 2 * patch));
        for (index, one) in series.iter().enumerate() {
            for step in 0..length {
                let mut row = features.row_mut(index * length + step);
                match start + step < one.scaled.seen.len() {
                    true => one.scaled.features(start + step, row.as_slice_mut().unwrap_or_default()),
                    false => row.slice_mut(s![patch..]).fill(1.0),
                }
            }
        }
        features
    }
}

/// Who a series is at each position: nobody where nothing was seen, itself in the future.
fn identities(series: &Series, id: i32, future: usize) -> Vec<i32> {
    let context = series.scaled.seen.iter().map(|seen| if *seen { id } else { MISSING });
    context.chain(std::iter::repeat_n(id, future)).collect()
}

impl Series {
    /// One patch from the row the head gave for it: steps, and for each its levels.
    fn take(&mut self, row: ArrayView1<f32>, patch: usize, cap: f64) {
        let (location, scale) = self.scaled.location_and_scale();
        let mut levels: Vec<Vec<f32>> = (0..LEVELS.len())
            .map(|level| (0..patch).map(|step| sinh(row[step * LEVELS.len() + level]) * scale + location).collect())
            .collect();
        levels.iter_mut().for_each(|level| replace_overflow(level));
        let room = cap * f64::from(scale);
        for step in 0..patch {
            let mut column: Vec<f64> = levels.iter().map(|level| f64::from(level[step])).collect();
            if cap > 0.0 {
                column.iter_mut().for_each(|value| *value = value.clamp(self.range.0 - room, self.range.1 + room));
            }
            column.sort_by(f64::total_cmp);
            self.found.iter_mut().zip(column).for_each(|(level, value)| level.push(value));
        }
    }

    fn quantiles(self, horizon: usize) -> Quantiles {
        let values = self.found.iter().flat_map(|level| level[..horizon].iter().copied()).collect();
        Quantiles::new(LEVELS.to_vec(), horizon, values)
    }
}

/// What overflowed becomes the farthest value of its quantile that did not.
fn replace_overflow(level: &mut [f32]) {
    let finite = || level.iter().copied().filter(|value| value.is_finite());
    let most = finite().fold(f32::MIN, f32::max);
    let least = finite().fold(f32::MAX, f32::min);
    let (most, least) = if most < least { (f32::MAX, f32::MIN) } else { (most, least) };
    for value in level {
        *value = value.clamp(least, most);
    }
}

fn sinh(x: f32) -> f32 {
    f64::from(x).sinh() as f32
}
