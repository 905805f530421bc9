//! The history of a stored series as a forecast wants it: samples, or means over steps, from samples or from rollups.
//!
//! Hours and days come from rollups, which reach back further than samples and cost no decoding of them.
//!
//! Not here: what is made of it (see `desk`).
//!
//! Invariants: a mean stands at the time at which its step begins, and a step that has only begun has none; what came while
//! trouble was planned is there as a value that is not a number, so that nobody takes it for a silence.

use crate::shard::rests::Rest;
use storage::sample::Samples;
use storage::{Resolution, Rollup, SelectedSeries, Store, StoreError};

const HOUR_MS: i64 = 3_600_000;
/// From this span on hours are a sensible step for samples that are closer together.
const HOURS_FROM_MS: i64 = 48 * HOUR_MS;
/// The span that is read, up to the newest sample: a quarter's worth, for steps of an hour.
const HISTORY_MS: i64 = 92 * 86_400_000;
/// Means of which one may be missing.
const MEANS_MIN: usize = 24;
/// Steps of history that a forecast is made from.
const HISTORY_STEPS: i64 = 4096;

/// What was planned for a series; none where nothing was.
type Planned = Option<Box<dyn Rest>>;

/// Takes the values away that came while trouble was planned.
fn leave_out(samples: &mut Samples, rest: &mut Planned) {
    let Some(rest) = rest else { return };
    for (time_ms, value) in samples.times.iter().zip(&mut samples.values) {
        if rest.rests(*time_ms) {
            *value = f64::NAN;
        }
    }
}

/// Reads what to learn from into `samples`; the step they are averaged over, if they are.
pub(super) fn read(
    store: &Store,
    one: &SelectedSeries,
    step_ms: Option<i64>,
    rest: &mut Planned,
    samples: &mut Samples,
) -> Result<Option<i64>, StoreError> {
    let averaged_ms = learn_from(store, one, step_ms, rest, samples)?;
    if let (Some(step_ms), Some((newest_ms, _))) = (averaged_ms, store.newest(one.series)?) {
        average(samples, step_ms);
        if samples.len() > MEANS_MIN {
            drop_begun(samples, step_ms, newest_ms);
        }
    }
    Ok(averaged_ms)
}

/// Reads what came after the step that begins at `last_ms`, averaged as the history was.
pub(super) fn read_since(
    store: &Store,
    one: &SelectedSeries,
    (averaged_ms, last_ms): (Option<i64>, i64),
    rest: &mut Planned,
    samples: &mut Samples,
) -> Result<(), StoreError> {
    samples.clear();
    let Some((newest_ms, _)) = store.newest(one.series)? else { return Ok(()) };
    let step_ms = averaged_ms.unwrap_or(1);
    let since_ms = last_ms.saturating_add(step_ms);
    if newest_ms >= since_ms {
        store.read(one.series, since_ms, newest_ms, samples)?;
        leave_out(samples, rest);
    }
    if averaged_ms.is_some() {
        average(samples, step_ms);
        drop_begun(samples, step_ms, newest_ms);
    }
    Ok(())
}

/// Drops the newest mean if its step has only begun: it would be learned for good, and the rest of the step never.
fn drop_begun(means: &mut Samples, step_ms: i64, newest_ms: i64) {
    let is_over = |start_ms: &i64| newest_ms - start_ms >= step_ms / 10 * 9;
    if !means.times.last().is_none_or(is_over) {
        means.times.pop();
        means.values.pop();
    }
}

/// Reads samples, or means from rollups; the step all are to be averaged over, if they are.
fn learn_from(
    store: &Store,
    one: &SelectedSeries,
    step_ms: Option<i64>,
    rest: &mut Planned,
    samples: &mut Samples,
) -> Result<Option<i64>, StoreError> {
    samples.clear();
    let Some((newest_ms, _)) = store.newest(one.series)? else { return Ok(None) };
    if read_rollups(store, one, (step_ms, newest_ms), rest, samples)? {
        // What is there are means already; what comes later is to be averaged alike.
        return Ok(Some(step_ms.unwrap_or(HOUR_MS)));
    }
    let span_ms = step_ms.map_or(HISTORY_MS, |step_ms| step_ms.saturating_mul(HISTORY_STEPS));
    store.read(one.series, newest_ms.saturating_sub(span_ms), newest_ms, samples)?;
    leave_out(samples, rest);
    let distance_ms = usual_distance_ms(&samples.times);
    if let Some(step_ms) = step_ms {
        return Ok(Some(step_ms).filter(|step_ms| *step_ms > distance_ms));
    }
    let covered_ms = newest_ms - samples.times.first().copied().unwrap_or(newest_ms);
    if distance_ms < HOUR_MS && covered_ms >= HOURS_FROM_MS {
        return Ok(Some(HOUR_MS));
    }
    let needless = samples.len().saturating_sub(HISTORY_STEPS as usize);
    samples.times.drain(..needless);
    samples.values.drain(..needless);
    Ok(None)
}

/// Reads means from rollups, where there are as many as steps that such a rollup divides; false where steps or samples are
/// not of that kind.
fn read_rollups(
    store: &Store,
    one: &SelectedSeries,
    (step_ms, newest_ms): (Option<i64>, i64),
    rest: &mut Planned,
    samples: &mut Samples,
) -> Result<bool, StoreError> {
    let wanted_ms = step_ms.unwrap_or(HOUR_MS);
    let resolution = [Resolution::Hour, Resolution::Minutes5].into_iter().find(|r| wanted_ms % r.ms() == 0);
    let Some(resolution) = resolution else { return Ok(false) };
    store.read(one.series, newest_ms.saturating_sub(HOURS_FROM_MS), newest_ms, samples)?;
    let is_dense = samples.len() > 2 && usual_distance_ms(&samples.times) < resolution.ms();
    if !is_dense {
        return Ok(false);
    }
    let since_ms = newest_ms.saturating_sub(wanted_ms.saturating_mul(HISTORY_STEPS));
    let mut buckets = Vec::new();
    store.rollups(one.series, resolution, since_ms, newest_ms, &mut buckets)?;
    let covered_ms = newest_ms - buckets.first().map_or(newest_ms, |bucket| bucket.start_ms);
    if step_ms.is_none() && covered_ms < HOURS_FROM_MS {
        return Ok(false);
    }
    samples.clear();
    for step in buckets.chunk_by(|a, b| a.start_ms.div_euclid(wanted_ms) == b.start_ms.div_euclid(wanted_ms)) {
        // A bucket that lies partly in what was planned has values of both, which nobody can tell apart any more.
        let mut counts = |bucket: &Rollup| {
            let end_ms = bucket.start_ms.saturating_add(resolution.ms());
            let is_planned = rest.as_mut().is_some_and(|rest| rest.rests_between(bucket.start_ms, end_ms));
            bucket.sum.is_finite() && !is_planned
        };
        let (mut sum, mut count) = (0.0, 0);
        for bucket in step.iter().filter(|bucket| counts(bucket)) {
            (sum, count) = (sum + bucket.sum, count + bucket.count);
        }
        samples.push(step[0].start_ms.div_euclid(wanted_ms) * wanted_ms, sum / count as f64);
    }
    Ok(true)
}

/// The median distance of the newest samples, 0 if there are none.
pub(super) fn usual_distance_ms(times: &[i64]) -> i64 {
    let newest = &times[times.len().saturating_sub(1000)..];
    let mut distances: Vec<i64> = newest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = distances.len() / 2;
    if distances.is_empty() { 0 } else { *distances.select_nth_unstable(middle).1 }
}

/// Puts in the place of samples their mean in each step, at the time at which the step begins; of a step without a usable
/// value a mean that is not a number.
fn average(samples: &mut Samples, step_ms: i64) {
    let (mut sum, mut count, mut kept) = (0.0, 0.0, 0);
    for at in 0..samples.len() {
        let (time_ms, value) = (samples.times[at], samples.values[at]);
        let step = time_ms.div_euclid(step_ms);
        if value.is_finite() {
            (sum, count) = (sum + value, count + 1.0);
        }
        let is_last = samples.times.get(at + 1).is_none_or(|next| next.div_euclid(step_ms) != step);
        if is_last {
            (samples.times[kept], samples.values[kept]) = (step * step_ms, sum / count);
            kept += 1;
            (sum, count) = (0.0, 0.0);
        }
    }
    samples.times.truncate(kept);
    samples.values.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_mean_of_its_samples() {
        let values = vec![1.0, 3.0, 7.0, f64::NAN, f64::NAN, 4.0];
        let mut samples = Samples { times: vec![5, 9, 10, 25, 31, 32], values };
        average(&mut samples, 10);
        assert_eq!((&samples.times, &samples.values[..2]), (&vec![0, 10, 20, 30], &[2.0, 7.0][..]));
        assert!(samples.values[2].is_nan() && samples.values[3] == 4.0, "{samples:?}");
    }

    #[test]
    fn the_mean_of_a_step_that_has_only_begun_is_dropped() {
        let means = |newest_ms| {
            let mut means = Samples { times: vec![0, 100], values: vec![1.0, 2.0] };
            drop_begun(&mut means, 100, newest_ms);
            means.times
        };
        assert_eq!((means(150), means(190)), (vec![0], vec![0, 100]));
    }

    #[test]
    fn the_usual_distance_is_the_median() {
        assert_eq!(usual_distance_ms(&[0, 10, 20, 1000, 1010]), 10);
        assert_eq!((usual_distance_ms(&[]), usual_distance_ms(&[1])), (0, 0));
    }
}
