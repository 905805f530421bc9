//! Fewer points that look the same: of each slice of time the lowest and the highest value stay.
//!
//! Not here: drawing.

/// Points a line may have: five a pixel, and a file of less than 200 KiB.
pub const POINTS_MAX: usize = 10_000;
/// A line is interrupted where samples are this many times as far apart as they usually are.
const GAP: i64 = 8;

/// Lines to draw: runs of points without a gap, together at most [`POINTS_MAX`] points.
pub(super) fn lines(values: &[(i64, f64)]) -> Vec<Vec<(i64, f64)>> {
    let mut steps: Vec<i64> = values.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
    let middle = steps.len() / 2;
    let usual = if steps.is_empty() { 0 } else { *steps.select_nth_unstable(middle).1 };
    let length = bucket(values.len());
    let gap = usual.saturating_mul(GAP).saturating_mul(length as i64);
    let mut runs: Vec<Vec<(i64, f64)>> = Vec::new();
    let mut before: Option<i64> = None;
    for (time_ms, value) in thinned(values, length) {
        if !value.is_finite() {
            before = None;
            continue;
        }
        match (before, runs.last_mut()) {
            (Some(before), Some(run)) if time_ms.saturating_sub(before) <= gap.max(1) => run.push((time_ms, value)),
            _ => runs.push(vec![(time_ms, value)]),
        }
        before = Some(time_ms);
    }
    runs
}

/// How many neighbours are drawn as two points; 1 if all can be drawn.
fn bucket(points: usize) -> usize {
    if points <= POINTS_MAX { 1 } else { points.div_ceil(POINTS_MAX / 2) }
}

/// The points themselves if they are few enough; else lowest and highest of equal numbers of neighbours. What is not
/// finite is dropped then.
fn thinned(values: &[(i64, f64)], length: usize) -> Vec<(i64, f64)> {
    if length == 1 {
        return values.to_vec();
    }
    let mut kept = Vec::with_capacity(POINTS_MAX);
    for bucket in values.chunks(length) {
        let finite = || bucket.iter().copied().filter(|(_, value)| value.is_finite());
        let low = finite().min_by(|left, right| left.1.total_cmp(&right.1));
        let high = finite().max_by(|left, right| left.1.total_cmp(&right.1));
        let (Some(low), Some(high)) = (low, high) else { continue };
        kept.push(if low.0 <= high.0 { low } else { high });
        if low.0 != high.0 {
            kept.push(if low.0 <= high.0 { high } else { low });
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_peak_among_a_million_points_stays() {
        let mut values: Vec<(i64, f64)> = (0..1_000_000).map(|i| (i, 1.0)).collect();
        values[654_321].1 = 99.0;
        let lines = lines(&values);
        let points: Vec<&(i64, f64)> = lines.iter().flatten().collect();
        assert!(points.len() <= POINTS_MAX);
        assert!(points.contains(&&(654_321, 99.0)));
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_line_is_interrupted_by_a_gap_and_by_what_is_no_number() {
        let mut values: Vec<(i64, f64)> = (0..10).map(|i| (i * 10, 1.0)).collect();
        values[3].1 = f64::NAN;
        values.push((1000, 2.0));
        let lengths: Vec<usize> = lines(&values).iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 6, 1]);
    }
}
