//! Horizons beyond one pass: each quantile path is taken as the future in turn, and what follows from all of them is
//! summed up in quantiles again.

use super::Bolt;
use crate::Quantiles;
use crate::quantiles::of_sorted;

impl Bolt {
    /// As many passes as `horizon` needs: one for the first, then one for every level for each further block.
    pub(super) fn unrolled(&self, history: &[f64], horizon: usize) -> Quantiles {
        let context = self.config.context;
        let last = |values: &[f64]| values[values.len().saturating_sub(context)..].to_vec();
        let kept = last(history);
        let mut block = self.pass(&[&kept]).remove(0);
        let levels = block.levels().to_vec();
        let mut paths = vec![kept; levels.len()];
        let mut found: Vec<Vec<f64>> = (0..levels.len()).map(|level| block.of_level(level).to_vec()).collect();
        while found[0].len() < horizon {
            for (level, path) in paths.iter_mut().enumerate() {
                path.extend_from_slice(block.of_level(level));
                *path = last(path);
            }
            let histories: Vec<&[f64]> = paths.iter().map(Vec::as_slice).collect();
            block = summed_up(&self.pass(&histories));
            for (level, values) in found.iter_mut().enumerate() {
                values.extend_from_slice(block.of_level(level));
            }
        }
        let values = found.iter().flat_map(|values| values[..horizon].iter().copied()).collect();
        Quantiles::new(levels, horizon, values)
    }
}

/// The quantiles of all quantiles, each counted once.
fn summed_up(blocks: &[Quantiles]) -> Quantiles {
    let levels = blocks[0].levels().to_vec();
    let steps = blocks[0].steps();
    let mut values = vec![0.0; levels.len() * steps];
    for step in 0..steps {
        let of_block =
            |block: &Quantiles| (0..levels.len()).map(|level| block.of_level(level)[step]).collect::<Vec<_>>();
        let mut all: Vec<f64> = blocks.iter().flat_map(of_block).collect();
        all.sort_by(f64::total_cmp);
        for (index, level) in levels.iter().enumerate() {
            values[index * steps + step] = of_sorted(&all, *level);
        }
    }
    Quantiles::new(levels, steps, values)
}
