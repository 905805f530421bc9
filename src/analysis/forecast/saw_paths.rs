//! Simulated paths of a sawtooth: how likely it reaches a limit, and for how long.
//!
//! Each path is made of teeth as they were seen: how long a rise lasts, and how far its end and the floor before it lie off
//! their lines, are drawn together from the same tooth of the past, so that what belongs together stays so (a bootstrap;
//! Efron 1979). The line of the peaks is drawn from its interval for each path: what is not known of it is shared by all
//! peaks to come. Of the rise that goes on, only teeth that lasted longer than it already does are drawn from.
//!
//! Not here: finding teeth (see `sawtooth`), dates (see `capacity`).
//!
//! Invariant: the same teeth always give the same paths.

use super::robust::normal_quantile;
use super::sawtooth::Teeth;

const PATHS: usize = 400;
/// Half the interval at 80 % of a normal distribution, in its deviations.
const INTERVAL: f64 = 1.281_551_565_5;

/// What paths come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reached {
    /// The share of them that reach the limit.
    pub(super) risk: f64,
    /// The share of all their time at or above it.
    pub(super) share: f64,
}

/// A tooth that is over: how long it rose, and how far its floor and its peak lie off their lines.
#[derive(Debug, Clone, Copy)]
struct Tooth {
    cells: f64,
    floor_off: f64,
    peak_off: f64,
}

/// What the next `horizon` cells bring, after `cells` of which the newest has the value `newest`.
pub(super) fn reached(teeth: &Teeth, limit: f64, (cells, newest): (usize, f64), horizon: usize) -> Reached {
    let known = known(teeth);
    let now = (cells - 1) as f64;
    let end = now + horizon as f64;
    let since = teeth.floors.last().map_or(0.0, |(cell, _)| now - cell).max(0.0);
    let lasting: Vec<Tooth> = known.iter().copied().filter(|tooth| tooth.cells > since).collect();
    let deviation = (teeth.peak_slope.upper - teeth.peak_slope.lower) / (2.0 * INTERVAL);
    let middle = teeth.middle_cell();
    let (mut paths, mut beyond) = (0usize, 0.0);
    let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
    for path in 0..PATHS {
        // Evenly spread, so that few paths are enough for the tails.
        let off =
            normal_quantile((path as f64 + 0.5) / PATHS as f64) * if teeth.slope() == 0.0 { 0.0 } else { deviation };
        let peak_at =
            |cell: f64, tooth: &Tooth| teeth.peak_at(cells, cell - now) + off * (cell - middle) + tooth.peak_off;
        let first = draw.of(if lasting.is_empty() { &known } else { &lasting });
        let left = if lasting.is_empty() { first.cells / 2.0 } else { first.cells - since };
        let (mut from, mut low) = (now, newest);
        let (mut to, mut high) = (now + left.max(1.0), peak_at(now + left.max(1.0), &first).max(newest));
        let mut is_reached = false;
        loop {
            let last = to.min(end);
            let top = low + (high - low) * (last - from) / (to - from).max(1e-9);
            if top >= limit {
                is_reached = true;
                let rise = ((top - limit.max(low)) / (top - low).max(1e-12)).clamp(0.0, 1.0);
                // The cell of the peak itself lasts until the reset.
                beyond += rise * (last - from) + (end - last).min(1.0);
            }
            if to >= end {
                break;
            }
            let tooth = draw.of(&known);
            from = to + 1.0;
            if from >= end {
                break;
            }
            low = teeth.floor_at(from) + tooth.floor_off;
            to = from + tooth.cells.max(1.0);
            high = peak_at(to, &tooth).max(low);
        }
        paths += usize::from(is_reached);
    }
    Reached { risk: paths as f64 / PATHS as f64, share: beyond / (PATHS * horizon.max(1)) as f64 }
}

fn known(teeth: &Teeth) -> Vec<Tooth> {
    let scatter = teeth.scatter();
    let tooth = |at: usize| {
        let ((from, floor), (to, _)) = (teeth.floors[at], teeth.peaks[at + 1]);
        Tooth { cells: (to - from).max(1.0), floor_off: floor - teeth.floor_at(from), peak_off: scatter[at + 1] }
    };
    (0..teeth.peaks.len().saturating_sub(1)).map(tooth).collect()
}

/// Uniform draws (splitmix64).
struct Draw(u64);

impl Draw {
    fn of(&mut self, teeth: &[Tooth]) -> Tooth {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let at = ((mixed ^ (mixed >> 31)) >> 11) as usize % teeth.len().max(1);
        teeth.get(at).copied().unwrap_or(Tooth { cells: 1.0, floor_off: 0.0, peak_off: 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform numbers between -1 and 1.
    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        }
    }

    /// A heap: rises of 15 to 35 cells up to a level that scatters, over a floor that rises in every second series.
    fn heap(seed: u64, cells: usize) -> Vec<f64> {
        let mut noise = noise(seed);
        let leak = if seed.is_multiple_of(2) { 0.02 } else { 0.0 };
        let mut values = Vec::with_capacity(cells);
        while values.len() < cells {
            let length = 25.0 + 10.0 * noise();
            let floor = leak * values.len() as f64 + 0.6 * noise();
            let rise = 10.0 + 3.0 * noise();
            values.extend((0..length as usize).map(|i| floor + rise * i as f64 / length + 0.05 * noise()));
        }
        values.truncate(cells);
        values
    }

    #[test]
    fn of_limits_with_a_risk_so_many_are_reached_and_for_as_long_as_said() {
        let (past, horizon) = (500, 60);
        // By tenths of the risk: how many, and how many were reached; and the share of time, said and come.
        let mut bins = [(0.0, 0.0, 0.0); 5];
        let (mut said, mut came) = (0.0, 0.0);
        for seed in 0..300u64 {
            let all = heap(seed, past + horizon);
            let Some(teeth) = Teeth::find(&all[..past], 0.8) else { continue };
            let ahead = &all[past..];
            let line = teeth.peak_at(past, horizon as f64 / 2.0);
            for above in [-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0] {
                let limit = line + above;
                if all[past - 1] >= limit {
                    continue;
                }
                let found = reached(&teeth, limit, (past, all[past - 1]), horizon);
                let is_reached = ahead.iter().any(|value| *value >= limit);
                let bin = &mut bins[((found.risk * 5.0) as usize).min(4)];
                *bin = (bin.0 + 1.0, bin.1 + found.risk, bin.2 + f64::from(u8::from(is_reached)));
                said += found.share;
                came += ahead.iter().filter(|value| **value >= limit).count() as f64 / horizon as f64;
            }
        }
        for (count, risk, reached) in bins {
            assert!(count > 20.0, "{bins:?}");
            assert!((risk / count - reached / count).abs() < 0.12, "{bins:?}");
        }
        assert!((said / came - 1.0).abs() < 0.12, "{said} {came}");
    }

    #[test]
    fn a_limit_far_above_is_never_reached_and_one_below_the_floor_always() {
        let all = heap(3, 500);
        let teeth = Teeth::find(&all, 0.8).unwrap();
        let of = |limit: f64| reached(&teeth, limit, (500, all[499]), 60);
        assert_eq!(of(100.0), Reached { risk: 0.0, share: 0.0 });
        let always = of(-20.0);
        assert!(always.risk == 1.0 && always.share > 0.99, "{always:?}");
    }
}
