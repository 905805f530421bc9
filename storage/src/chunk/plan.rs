//! Choosing, for a block of integers, the window in which they are packed and which of them are left to patches.
//!
//! A window of width `w` at `reference` holds the integers `reference .. reference + 2^w`. Those inside cost `w` bits;
//! each one outside costs `w` bits too and a patch of two bytes or more. The narrowest window around everything is
//! rarely the cheapest: one reset among 128 increments would set the width for all of them.
//!
//! The search counts the integers in 64 buckets across their whole range, slides windows of half, a quarter, .. a
//! 64th of it over the counts, and, while a narrower one may still pay, looks again inside the two fullest buckets.
//!
//! Cost: two passes over the block and some hundred byte-wide operations that the compiler turns into vectors, about
//! 2 ns an integer; another look, as much again, is taken only where a block has far outliers.
//!
//! Not here: writing anything (see `integers`).

use super::bits::BLOCK;

/// A window, with what packing through it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// The window's first integer.
    pub(super) reference: i64,
    /// The window's width in bits.
    pub(super) width: u32,
    /// Packed integers and patches in bits; patches are estimated, as if every one were as far out as the farthest.
    pub(super) cost_bits: u32,
}

const BUCKET_BITS: u32 = 6;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// How many integers are looked at side by side.
const LANES: usize = 4;

// Counts fit a byte, so the search for the fullest window runs sixteen lanes wide even on the oldest x86-64.
const _: () = assert!(BLOCK < 256);

/// The cheapest window found for one to [`BLOCK`] integers.
pub(super) fn plan(integers: &[i64]) -> Plan {
    let (mut low, max) = range(integers);
    let mut width = width_of(max.wrapping_sub(low) as u64);
    let (count, full_width) = (integers.len() as u32, width);
    let cost_bits = |width, patches| count * width + patches * patch_bits(full_width - width);
    let mut best = Plan { reference: low, width, cost_bits: cost_bits(width, 0) };
    while width > 0 {
        let shift = width.saturating_sub(BUCKET_BITS);
        let below = count_below(integers, low, shift);
        for narrower in (shift..width).rev() {
            let window = 1 << (narrower - shift);
            let inside = fullest(&below, window);
            let cost_bits = cost_bits(narrower, count - u32::from(inside));
            if cost_bits < best.cost_bits {
                let reference = low.wrapping_add(find(&below, window, inside) << shift);
                best = Plan { reference, width: narrower, cost_bits };
            }
        }
        // What would fit into one bucket lies in at most two. Looking there again pays only if the patches of all
        // that lies elsewhere leave a gain, be the window as wide as a bucket or nothing at all.
        let inside = fullest(&below, 2);
        let patches = count - u32::from(inside);
        if shift == 0 || cost_bits(shift, patches).min(cost_bits(0, patches)) >= best.cost_bits {
            break;
        }
        let from = low.wrapping_add(find(&below, 2, inside) << shift);
        (low, width) = window_within(integers, from, shift);
        if cost_bits(width, patches) < best.cost_bits {
            best = Plan { reference: low, width, cost_bits: cost_bits(width, patches) };
        }
    }
    best
}

/// The smallest and the largest integer.
pub(super) fn range(integers: &[i64]) -> (i64, i64) {
    let (mut min, mut max) = ([i64::MAX; LANES], [i64::MIN; LANES]);
    let (lanes, rest) = integers.as_chunks::<LANES>();
    for integers in lanes {
        for lane in 0..LANES {
            min[lane] = min[lane].min(integers[lane]);
            max[lane] = max[lane].max(integers[lane]);
        }
    }
    let min = min.iter().chain(rest).fold(i64::MAX, |min, x| min.min(*x));
    let max = max.iter().chain(rest).fold(i64::MIN, |max, x| max.max(*x));
    (min, max)
}

/// The narrowest window around those integers that lie in `from .. from + 2 * 2^shift`; there is at least one.
/// Without a branch on each: where a second look is needed, inside and outside are anything but predictable.
fn window_within(integers: &[i64], from: i64, shift: u32) -> (i64, u32) {
    let (mut min, mut max) = (u64::MAX, 0);
    for &integer in integers {
        let offset = integer.wrapping_sub(from) as u64;
        min = min.min(offset);
        max = max.max(if offset >> shift < 2 { offset } else { 0 });
    }
    (from.wrapping_add(min as i64), width_of(max - min))
}

/// How many bits `offset` has.
fn width_of(offset: u64) -> u32 {
    u64::BITS - offset.leading_zeros()
}

/// A position, and the zigzagged high part of an integer that lies up to `excess` bits above its window.
fn patch_bits(excess: u32) -> u32 {
    8 + 8 * (excess + 1).div_ceil(7)
}

/// For each bucket of 2^`shift` integers from `low` on, how many integers lie in the buckets before it.
fn count_below(integers: &[i64], low: i64, shift: u32) -> [u8; BUCKETS + 1] {
    // Neighbouring integers often share a bucket; counting them in turn in several tables keeps one addition from
    // waiting for the one before. What lies outside goes to a bucket of its own.
    let mut counts = [[0; BUCKETS + 1]; LANES];
    let bucket = |x: i64| (x.wrapping_sub(low) as u64 >> shift).min(BUCKETS as u64) as usize;
    let (lanes, rest) = integers.as_chunks::<LANES>();
    for integers in lanes {
        for lane in 0..LANES {
            counts[lane][bucket(integers[lane])] += 1;
        }
    }
    rest.iter().for_each(|&x| counts[0][bucket(x)] += 1);
    let [mut sum, others @ ..] = counts;
    for counts in others {
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let mut below = [0; BUCKETS + 1];
    let mut total = 0;
    for (below, count) in below[1..].iter_mut().zip(sum) {
        total += count;
        *below = total;
    }
    below
}

/// The most integers in any `window` neighbouring buckets.
fn fullest(below: &[u8; BUCKETS + 1], window: usize) -> u8 {
    below.iter().zip(&below[window..]).map(|(from, to)| to - from).max().unwrap_or(0)
}

/// The first of `window` neighbouring buckets that hold `inside` integers.
fn find(below: &[u8; BUCKETS + 1], window: usize, inside: u8) -> i64 {
    let found = below.iter().zip(&below[window..]).position(|(from, to)| to - from == inside);
    found.expect("the same buckets were counted before") as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_integers_need_no_bits() {
        assert_eq!(plan(&[7; 100]), Plan { reference: 7, width: 0, cost_bits: 0 });
        assert_eq!(plan(&[i64::MIN]), Plan { reference: i64::MIN, width: 0, cost_bits: 0 });
    }

    #[test]
    fn an_even_spread_is_packed_whole() {
        let integers: Vec<i64> = (0..128).map(|i| 500 + i * 7 % 128).collect();
        assert_eq!(plan(&integers), Plan { reference: 500, width: 7, cost_bits: 7 * 128 });
    }

    #[test]
    fn one_far_outlier_on_either_side_does_not_widen_the_rest() {
        for outlier in [1 << 40, -(1 << 40), i64::MAX, i64::MIN] {
            let mut integers: Vec<i64> = (0..128).map(|i| 1000 + i * 5 % 16).collect();
            integers[64] = outlier;
            let plan = plan(&integers);
            assert_eq!(plan.width, 4, "{outlier}");
            assert!((993..=1000).contains(&plan.reference), "{plan:?}");
        }
    }

    #[test]
    fn outliers_on_both_sides_are_both_left_outside() {
        let mut integers = vec![0; 128];
        (integers[10], integers[11]) = (15_000, -15_000);
        let plan = plan(&integers);
        assert_eq!((plan.reference, plan.width), (0, 0));
    }

    #[test]
    fn many_outliers_are_packed_rather_than_patched() {
        let integers: Vec<i64> = (0..128).map(|i| if i % 2 == 0 { 1 << 10 } else { 0 }).collect();
        assert_eq!(plan(&integers).width, 11);
    }
}
