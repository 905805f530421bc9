//! The time column: evenly spaced times live in the head, others are integers counted from the first.
//!
//! Scrapes and closed windows are spaced to the millisecond, so most chunks store one step and nothing a sample. A
//! missed scrape costs a patch. Jitter that does not add up is what the line prediction of `integers` is for.
//!
//! Invariant: what `decode` accepts strictly ascends from the head's start to its end.

use super::cursor::{ChunkError, Cursor};
use super::integers;

/// The step when every time is equally far behind the one before; `None` for a single time.
///
/// # Panics
/// When the times do not strictly ascend: the caller sorts and removes duplicates before sealing.
pub(super) fn even_step(times: &[i64]) -> Option<u64> {
    let [first, second, ..] = *times else { return None };
    let step = second.wrapping_sub(first);
    let (mut even, mut ascending) = (true, true);
    for pair in times.windows(2) {
        even &= pair[1].wrapping_sub(pair[0]) == step;
        ascending &= pair[1] > pair[0];
    }
    assert!(ascending, "times of a chunk strictly ascend");
    even.then_some(step as u64)
}

/// Appends times that are not evenly spaced.
pub(super) fn encode(times: &[i64], scratch: &mut Vec<i64>, out: &mut Vec<u8>) {
    scratch.clear();
    scratch.extend(times[1..].iter().map(|time| time.wrapping_sub(times[0])));
    integers::encode(scratch, out);
}

/// Appends the `count` times from `start_ms` to `end_ms`; `step_ms` is that of evenly spaced ones.
pub(super) fn decode(
    cursor: &mut Cursor<'_>,
    count: usize,
    (start_ms, end_ms): (i64, i64),
    step_ms: Option<u64>,
    times: &mut Vec<i64>,
) -> Result<(), ChunkError> {
    if let Some(step) = step_ms {
        // The head has proved that `start_ms + step * (count - 1)` is `end_ms`, so nothing wraps.
        times.extend((0..count as u64).map(|i| start_ms.wrapping_add((i * step) as i64)));
        return Ok(());
    }
    let from = times.len();
    times.push(start_ms);
    integers::decode(cursor, count - 1, |block| times.extend(block.iter().map(|x| start_ms.wrapping_add(*x))))?;
    let column = &times[from..];
    if column[count - 1] != end_ms || !column.is_sorted_by(|earlier, later| earlier < later) {
        return Err(cursor.damaged("times do not ascend to the end that the head names"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(times: &[i64]) -> usize {
        let (mut out, mut read) = (Vec::new(), Vec::new());
        let step = even_step(times);
        if step.is_none() {
            encode(times, &mut Vec::new(), &mut out);
        }
        let mut cursor = Cursor::new(&out);
        let ends = (times[0], times[times.len() - 1]);
        decode(&mut cursor, times.len(), ends, step, &mut read).unwrap();
        assert_eq!(cursor.finish(), Ok(()));
        assert_eq!(read, times);
        out.len()
    }

    #[test]
    fn even_times_cost_nothing() {
        assert_eq!(round_trip(&(0..1000).map(|i| 1_700_000_000_000 + i * 15_000).collect::<Vec<_>>()), 0);
        assert_eq!(round_trip(&[-5]), 0);
        assert_eq!(round_trip(&[i64::MIN, -1, i64::MAX - 1]), 0);
    }

    #[test]
    fn a_missed_scrape_costs_a_few_bytes() {
        let times: Vec<i64> = (0..120).filter(|i| *i != 40).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        let bytes = round_trip(&times);
        assert!(bytes <= 10, "{bytes} bytes");
    }

    #[test]
    fn jitter_costs_no_more_than_its_spread() {
        let times: Vec<i64> = (0..129).map(|i| i * 15_000 + i * i % 4).collect();
        let bytes = round_trip(&times);
        assert!(bytes <= 128 * 2 / 8 + 8, "{bytes} bytes");
    }

    #[test]
    fn times_that_do_not_reach_the_end_are_refused() {
        let mut out = Vec::new();
        encode(&[10, 20, 25], &mut Vec::new(), &mut out);
        let refused = |ends| decode(&mut Cursor::new(&out), 3, ends, None, &mut Vec::new()).is_err();
        assert!(!refused((10, 25)));
        assert!(refused((10, 26)));
        out.clear();
        encode(&[10, 30, 25], &mut Vec::new(), &mut out);
        assert!(decode(&mut Cursor::new(&out), 3, (10, 25), None, &mut Vec::new()).is_err());
    }

    #[test]
    #[should_panic(expected = "strictly ascend")]
    fn equal_times_are_the_callers_mistake() {
        even_step(&[1, 2, 2]);
    }
}
