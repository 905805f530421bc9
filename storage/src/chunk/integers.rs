//! A column of integers in blocks of up to 128, each under the cheapest of four predictions.
//!
//! | prediction | what is packed for `x[i]` | cheapest for |
//! |---|---|---|
//! | level | `x[i] - last` | noise around a level |
//! | delta | `x[i] - x[i-1]` | random walks, counters of irregular speed |
//! | line | `x[i] - last - (i + 1) * slope` | a steady pace with jitter that does not add up, such as time stamps |
//! | delta of delta | change of the delta | counters whose speed drifts |
//!
//! `last` is the integer before the block, 0 before the first, as is the delta before the first. The remainders are
//! bit packed through a window (see `plan`); what a remainder has above the window is a patch.
//!
//! All arithmetic wraps, so every `i64` comes back whatever the prediction made of it.
//!
//! Cost: encoding plans three predictions (level or line, by a cheap test) at about 3 ns an integer each and writes
//! one; decoding is an unpack and one or two dependent additions, 1 to 1.5 ns an integer (`cargo bench --bench chunk`).
//!
//! Not here: what the integers stand for (see `timestamps` and `values`).

use super::bits::{BLOCK, pack, packed_bytes, unpack};
use super::cursor::{ChunkError, Cursor, push_zigzag, zigzag_bytes};
use super::plan::{Plan, plan, range};

/// How the integers of a block are foretold; the top two bits of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prediction {
    Level,
    Delta,
    Line,
    DeltaOfDelta,
}

const PREDICTIONS: [Prediction; 4] = [Prediction::Level, Prediction::Delta, Prediction::Line, Prediction::DeltaOfDelta];

/// The width code for 64 bits; width 63 is never written, so that six bits are enough.
const WIDTH_CODE_64: u8 = 63;

/// What is known when a block begins.
#[derive(Debug, Clone, Copy, Default)]
struct History {
    last: i64,
    delta: i64,
}

impl History {
    /// The history after `block`.
    fn after(self, block: &[i64]) -> Self {
        match *block {
            [.., before, last] => Self { last, delta: last.wrapping_sub(before) },
            [last] => Self { last, delta: last.wrapping_sub(self.last) },
            [] => self,
        }
    }
}

/// Appends the column; its length is the reader's to know.
pub(super) fn encode(integers: &[i64], out: &mut Vec<u8>) {
    let mut history = History::default();
    for block in integers.chunks(BLOCK) {
        encode_block(block, history, out);
        history = history.after(block);
    }
}

fn encode_block(block: &[i64], history: History, out: &mut Vec<u8>) {
    let slope = slope(block);
    let (mut trial, mut best) = ([0; BLOCK], [0; BLOCK]);
    let (mut trial, mut best) = (&mut trial[..block.len()], &mut best[..block.len()]);
    let mut chosen: Option<(Prediction, Plan, u32)> = None;
    let level_or_line = if slope == 0 { Prediction::Level } else { Prediction::Line };
    for prediction in [level_or_line, Prediction::Delta, Prediction::DeltaOfDelta] {
        remainders(prediction, block, history, slope, trial);
        let plan = plan(trial);
        let slope_bytes = if prediction == Prediction::Line { zigzag_bytes(slope) } else { 0 };
        let cost_bits = plan.cost_bits + 8 * (zigzag_bytes(plan.reference) + slope_bytes);
        if chosen.is_none_or(|(.., cheapest)| cost_bits < cheapest) {
            chosen = Some((prediction, plan, cost_bits));
            std::mem::swap(&mut trial, &mut best);
        }
    }
    let (prediction, plan, _) = chosen.expect("there is more than one prediction");
    write_block(prediction, slope, plan, best, out);
}

/// The pace of a block, rounded, or 0 where a level foretells it as well: the rise between its ends is less than half
/// of its range, or it is too short to tell. Medians keep one outlier at an end from tilting the line.
fn slope(block: &[i64]) -> i64 {
    let ([a, b, c, ..], [.., x, y, z]) = (block, block) else { return 0 };
    let steps = block.len() as i64 - 3;
    let rise = median(*x, *y, *z).wrapping_sub(median(*a, *b, *c));
    let (min, max) = range(block);
    if steps < 3 || rise.unsigned_abs() < max.wrapping_sub(min) as u64 / 2 {
        return 0;
    }
    rise.wrapping_add(steps / 2).div_euclid(steps)
}

fn median(a: i64, b: i64, c: i64) -> i64 {
    a.min(b).max(a.max(b).min(c))
}

fn remainders(prediction: Prediction, block: &[i64], history: History, slope: i64, out: &mut [i64]) {
    match prediction {
        Prediction::Level => {
            for (out, x) in out.iter_mut().zip(block) {
                *out = x.wrapping_sub(history.last);
            }
        }
        Prediction::Line => {
            let mut foretold = history.last;
            for (out, x) in out.iter_mut().zip(block) {
                foretold = foretold.wrapping_add(slope);
                *out = x.wrapping_sub(foretold);
            }
        }
        Prediction::Delta => deltas(block, history.last, out),
        Prediction::DeltaOfDelta => {
            deltas(block, history.last, out);
            let mut before = history.delta;
            for out in out {
                (*out, before) = (out.wrapping_sub(before), *out);
            }
        }
    }
}

fn deltas(block: &[i64], last: i64, out: &mut [i64]) {
    out[0] = block[0].wrapping_sub(last);
    for (out, pair) in out[1..].iter_mut().zip(block.windows(2)) {
        *out = pair[1].wrapping_sub(pair[0]);
    }
}

fn write_block(prediction: Prediction, slope: i64, plan: Plan, remainders: &[i64], out: &mut Vec<u8>) {
    // A width of 63 would save one bit in 64 of full-range noise: not worth a longer first byte.
    let (width, code) = if plan.width >= 63 { (64, WIDTH_CODE_64) } else { (plan.width, plan.width as u8) };
    out.push(((prediction as u8) << 6) | code);
    push_zigzag(out, plan.reference);
    if prediction == Prediction::Line {
        push_zigzag(out, slope);
    }
    let patches_at = out.len();
    out.push(0);
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let mut low = [0; BLOCK];
    for (i, (low, x)) in low.iter_mut().zip(remainders).enumerate() {
        let offset = x.wrapping_sub(plan.reference);
        *low = offset as u64 & mask;
        if *low != offset as u64 {
            out[patches_at] += 1;
            out.push(i as u8);
            push_zigzag(out, offset >> width);
        }
    }
    pack(&low[..remainders.len()], width, out);
}

/// Reads a column of `count` integers and hands it on block by block.
pub(super) fn decode(cursor: &mut Cursor<'_>, count: usize, mut sink: impl FnMut(&[i64])) -> Result<(), ChunkError> {
    let mut history = History::default();
    let mut block = [0; BLOCK];
    let mut left = count;
    while left > 0 {
        let block = &mut block[..left.min(BLOCK)];
        decode_block(cursor, history, block)?;
        sink(block);
        history = history.after(block);
        left -= block.len();
    }
    Ok(())
}

fn decode_block(cursor: &mut Cursor<'_>, history: History, block: &mut [i64]) -> Result<(), ChunkError> {
    let first = cursor.byte()?;
    let prediction = PREDICTIONS[usize::from(first >> 6)];
    let width = match first & 0x3f {
        WIDTH_CODE_64 => 64,
        code => u32::from(code),
    };
    let reference = cursor.zigzag()?;
    let slope = if prediction == Prediction::Line { cursor.zigzag()? } else { 0 };
    let patches = cursor.byte()?;
    let mut patch_cursor = cursor.clone();
    for _ in 0..patches {
        cursor.byte()?;
        cursor.varint()?;
    }
    let mut offsets = [0; BLOCK];
    let packed_from = cursor.rest();
    cursor.take(packed_bytes(block.len(), width))?;
    unpack(packed_from, block.len(), width, &mut offsets);
    for _ in 0..patches {
        let at = usize::from(patch_cursor.byte()?);
        let high = patch_cursor.zigzag()?;
        if at >= block.len() || width == 64 {
            return Err(patch_cursor.damaged("patch outside its block"));
        }
        offsets[at] |= (high as u64) << width;
    }
    restore(prediction, history, reference, slope, &offsets, block);
    Ok(())
}

/// The inverse of [`remainders`] and the window at once.
fn restore(
    prediction: Prediction,
    history: History,
    reference: i64,
    slope: i64,
    offsets: &[u64; BLOCK],
    out: &mut [i64],
) {
    match prediction {
        Prediction::Level => {
            let base = history.last.wrapping_add(reference);
            for (out, &offset) in out.iter_mut().zip(offsets) {
                *out = base.wrapping_add(offset as i64);
            }
        }
        Prediction::Line => {
            let mut foretold = history.last.wrapping_add(reference);
            for (out, &offset) in out.iter_mut().zip(offsets) {
                foretold = foretold.wrapping_add(slope);
                *out = foretold.wrapping_add(offset as i64);
            }
        }
        Prediction::Delta => {
            let mut last = history.last;
            for (out, &offset) in out.iter_mut().zip(offsets) {
                last = last.wrapping_add(reference.wrapping_add(offset as i64));
                *out = last;
            }
        }
        Prediction::DeltaOfDelta => {
            let History { mut last, mut delta } = history;
            for (out, &offset) in out.iter_mut().zip(offsets) {
                delta = delta.wrapping_add(reference.wrapping_add(offset as i64));
                last = last.wrapping_add(delta);
                *out = last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(integers: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(integers, &mut out);
        out
    }

    fn decoded(bytes: &[u8], count: usize) -> Result<Vec<i64>, ChunkError> {
        let (mut cursor, mut integers) = (Cursor::new(bytes), Vec::new());
        decode(&mut cursor, count, |block| integers.extend_from_slice(block))?;
        cursor.finish().map(|()| integers)
    }

    /// The prediction of the first block, and how long the column is.
    fn shape(integers: &[i64]) -> (Prediction, usize) {
        let bytes = encoded(integers);
        assert_eq!(decoded(&bytes, integers.len()).as_deref(), Ok(integers));
        (PREDICTIONS[usize::from(bytes[0] >> 6)], bytes.len())
    }

    /// Repeatable noise in `0..range`.
    fn noise(i: i64, range: i64) -> i64 {
        ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i64 % range
    }

    #[test]
    fn each_prediction_is_taken_where_it_is_cheapest() {
        let level: Vec<i64> = (0..128).map(|i| 40 + noise(i, 8)).collect();
        assert_eq!(shape(&level), (Prediction::Level, 3 + 128 * 3 / 8));
        let mut total = 0;
        let walk: Vec<i64> = (0..128)
            .map(|i| {
                total += 1000 + noise(i, 16);
                total
            })
            .collect();
        assert_eq!(shape(&walk).0, Prediction::Delta);
        let line: Vec<i64> = (0..128).map(|i| 15_000 * (i + 1) + noise(i, 4)).collect();
        assert_eq!(shape(&line).0, Prediction::Line);
        let parabola: Vec<i64> = (0..128).map(|i| i * i * 50 + noise(i, 2)).collect();
        assert_eq!(shape(&parabola).0, Prediction::DeltaOfDelta);
    }

    #[test]
    fn a_steady_pace_costs_four_bytes_a_block() {
        let steady: Vec<i64> = (1..=256).map(|i| i * 20).collect();
        assert_eq!(shape(&steady), (Prediction::Delta, 2 * 3));
    }

    #[test]
    fn a_reset_costs_a_patch_not_a_wider_block() {
        let mut total = 1_000_000;
        let integers: Vec<i64> = (0..128)
            .map(|i| {
                total = if i == 70 { 0 } else { total + 100 + noise(i, 8) };
                total
            })
            .collect();
        let (_, bytes) = shape(&integers);
        assert!(bytes <= 128 * 3 / 8 + 12, "{bytes} bytes");
    }

    #[test]
    fn patches_beyond_the_block_are_refused() {
        // Level, width 0, reference 0, one patch at 5 with high part 1, for a block of 5 and of 6.
        let bytes = [0, 0, 1, 5, 2];
        assert!(matches!(decoded(&bytes, 5), Err(ChunkError::Damaged { .. })));
        assert_eq!(decoded(&bytes, 6), Ok(vec![0, 0, 0, 0, 0, 1]));
        let mut wide = vec![63, 0, 1, 0, 2];
        wide.extend([0; 8]);
        assert!(matches!(decoded(&wide, 1), Err(ChunkError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn any_integers_come_back(
            integers in prop::collection::vec(prop_oneof![any::<i64>(), -100..100i64, Just(i64::MIN), Just(0)], 0..400),
            shift in 0..64u32,
        ) {
            let integers: Vec<i64> = integers.iter().map(|x| x >> shift).collect();
            prop_assert_eq!(decoded(&encoded(&integers), integers.len()), Ok(integers));
        }
    }
}
