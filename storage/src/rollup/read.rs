//! Reading rollups: from disk where they are up to date, and from the samples everywhere else.
//!
//! Not here: reading samples (see `scan`).
//!
//! Invariant: as long as samples are kept, the answer is the one that they give.

use super::bucket::{DayRoller, Resolution, Rollup};
use super::codec;
use crate::StoreError;
use crate::blocks::{DAY_MS, day_of};
use crate::sample::Samples;
use crate::series::SeriesRef;
use crate::shared::Shared;
use crate::store::Store;
use std::collections::BTreeMap;

impl Store {
    /// Appends to `out` the buckets of a series that begin in `from_ms..=to_ms`, ascending in time. They reach back
    /// beyond the samples, as long as rollups are kept.
    ///
    /// # Errors
    /// When blocks cannot be read; damage is left out and reported.
    pub fn rollups(
        &self,
        series: SeriesRef,
        resolution: Resolution,
        from_ms: i64,
        to_ms: i64,
        out: &mut Vec<Rollup>,
    ) -> Result<(), StoreError> {
        let shared = self.shared();
        let mut found = on_disk(shared, series, resolution, (from_ms, to_ms))?;
        let days = days_up_to_date(shared, series, resolution);
        found.retain(|start_ms, _| days.contains_key(&day_of(*start_ms)));
        let mut samples = Samples::default();
        let mut next_ms = from_ms;
        for day in days.keys().copied().filter(|day| (*day + 1) * DAY_MS > from_ms && day * DAY_MS <= to_ms) {
            self.roll_up(series, resolution, (next_ms, (day * DAY_MS).saturating_sub(1)), &mut samples, &mut found)?;
            next_ms = (day + 1) * DAY_MS;
        }
        self.roll_up(series, resolution, (next_ms, to_ms), &mut samples, &mut found)?;
        out.extend(found.into_values());
        Ok(())
    }

    /// Rolls samples up, day by day; the buckets that begin in the range, which ends with a day or with the request.
    fn roll_up(
        &self,
        series: SeriesRef,
        resolution: Resolution,
        (from_ms, to_ms): (i64, i64),
        samples: &mut Samples,
        found: &mut BTreeMap<i64, Rollup>,
    ) -> Result<(), StoreError> {
        if from_ms > to_ms {
            return Ok(());
        }
        // Whole days: whether a series is a counter is known of a day as a whole.
        let begin_ms = day_of(from_ms).saturating_mul(DAY_MS);
        let end_ms = day_of(to_ms).saturating_add(1).saturating_mul(DAY_MS).saturating_sub(1);
        self.read(series, begin_ms, end_ms, samples)?;
        let mut buckets = Vec::new();
        let (mut times, mut values) = (samples.times.as_slice(), samples.values.as_slice());
        while let Some(first_ms) = times.first() {
            let midnight_ms = (day_of(*first_ms) + 1) * DAY_MS;
            let len = times.partition_point(|time_ms| *time_ms < midnight_ms);
            DayRoller::roll(resolution, &times[..len], &values[..len], &mut buckets);
            (times, values) = (&times[len..], &values[len..]);
        }
        let asked = buckets.into_iter().filter(|bucket| (from_ms..=to_ms).contains(&bucket.start_ms));
        found.extend(asked.map(|bucket| (bucket.start_ms, bucket)));
        Ok(())
    }
}

/// The buckets on disk; of several for one time the one written last, which was made from the most samples.
fn on_disk(
    shared: &Shared,
    series: SeriesRef,
    resolution: Resolution,
    (from_ms, to_ms): (i64, i64),
) -> Result<BTreeMap<i64, Rollup>, StoreError> {
    let mut found = BTreeMap::new();
    let mut buckets = Vec::new();
    let ids = [series.id()];
    shared.rollups.of(resolution).entries_of_many(series.partition(), &ids, from_ms, to_ms, &mut |entry| {
        buckets.clear();
        if let Err(error) = codec::decode(entry.chunk, resolution, day_of(entry.start_ms) * DAY_MS, &mut buckets) {
            tracing::error!(%error, "damaged rollups passed over");
        }
        let asked = buckets.iter().filter(|bucket| (from_ms..=to_ms).contains(&bucket.start_ms));
        found.extend(asked.map(|bucket| (bucket.start_ms, *bucket)));
    })?;
    Ok(found)
}

/// The days of which a series' rollups say everything: none of its samples is newer than they are.
fn days_up_to_date(shared: &Shared, series: SeriesRef, resolution: Resolution) -> BTreeMap<i64, u32> {
    let mut made = shared.rollups.made(series.partition(), resolution);
    let sampled = shared.blocks.generations_of(series.partition());
    let views = shared.views[series.partition() as usize].read();
    let view = views.get(series.id() as usize);
    made.retain(|day, generation| {
        let is_newer = sampled.get(day).is_some_and(|sampled| sampled > generation);
        let (from_ms, to_ms) = (day * DAY_MS, (day + 1) * DAY_MS - 1);
        !is_newer && !view.is_some_and(|view| view.has_unwritten(from_ms, to_ms))
    });
    made
}
