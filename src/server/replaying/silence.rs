//! Series that fell silent in a span that is replayed: what the running server finds by looking every ten seconds follows
//! here from the times at which any series had a sample.
//!
//! Not here: when a series counts as stopped (see `analysis`).
//!
//! Invariants: a silence begins and ends with the times that it has in the running server, and is told within two looks of
//! then; memory is a bit for each look of the span, and what each pause takes.

use crate::analysis::{SILENCE_PATIENCE_MS, SeriesModel};
use crate::anomaly::notice;
use crate::anomaly::run::AnomalyRun;
use std::sync::Arc;
use storage::series::{NAME_LABEL, label};

/// Between two looks of the running server.
const LOOK_MS: i64 = 10_000;

/// Between which looks of a span any series had a sample.
#[derive(Debug)]
pub(super) struct Activity {
    first_ms: i64,
    /// A bit for each look.
    heard: Vec<u64>,
}

impl Activity {
    /// Nothing was heard yet between these times.
    pub(super) fn new(first_ms: i64, to_ms: i64) -> Self {
        let looks = to_ms.saturating_sub(first_ms) / LOOK_MS + 1;
        Self { first_ms, heard: vec![0; looks as usize / 64 + 1] }
    }

    /// A series had a sample.
    #[inline]
    pub(super) fn hear(&mut self, time_ms: i64) {
        let Ok(at) = usize::try_from((time_ms - self.first_ms).div_euclid(LOOK_MS)) else { return };
        if let Some(bits) = self.heard.get_mut(at / 64) {
            *bits |= 1 << (at % 64);
        }
    }

    /// The first look at which a sample from a time on has come.
    fn look_after(&self, time_ms: i64) -> Option<i64> {
        let from = (time_ms - self.first_ms + LOOK_MS - 1) / LOOK_MS;
        let (first, cut) = ((from / 64) as usize, !0 << (from % 64));
        let words = self.heard.iter().enumerate().skip(first);
        let mut words = words.map(|(at, bits)| (at, if at == first { bits & cut } else { *bits }));
        let (word, bits) = words.find(|(_, bits)| *bits != 0)?;
        let at = word as i64 * 64 + i64::from(bits.trailing_zeros());
        Some(self.first_ms + (at + 1) * LOOK_MS)
    }

    /// When something was heard last before a look, as exactly as is known.
    fn heard_before(&self, look_ms: i64) -> Option<i64> {
        let to = (look_ms - self.first_ms) / LOOK_MS;
        let (last, cut) = ((to / 64) as usize, !(!0 << (to % 64)));
        let words = self.heard.iter().enumerate().take(last + 1).rev();
        let mut words = words.map(|(at, bits)| (at, if at == last { bits & cut } else { *bits }));
        let (word, bits) = words.find(|(_, bits)| *bits != 0)?;
        let at = word as i64 * 64 + 63 - i64::from(bits.leading_zeros());
        Some(self.first_ms + at * LOOK_MS)
    }
}

/// A time without samples that is long enough for its series to have stopped.
#[derive(Debug)]
pub(super) struct Pause {
    key: Arc<[u8]>,
    last_ms: i64,
    step_ms: i64,
    /// Until then it has not stopped.
    goes_on_ms: i64,
    /// The first sample afterwards, and whether it goes on where the series had stopped.
    back: Option<(i64, bool)>,
}

impl Pause {
    /// Before a series' next sample, if it took so long to come.
    pub(super) fn before(key: &Arc<[u8]>, model: &SeriesModel, next_ms: i64) -> Option<Self> {
        let back = Some((next_ms, model.goes_on_at(next_ms)));
        Self::until(key, model, next_ms).map(|pause| Self { back, ..pause })
    }

    /// At the end of the span, if the series was not heard for so long.
    pub(super) fn until(key: &Arc<[u8]>, model: &SeriesModel, to_ms: i64) -> Option<Self> {
        let last_ms = model.last_ms().filter(|_| model.has_stopped_by(to_ms))?;
        let (step_ms, goes_on_ms) = (model.step_ms() as i64, model.goes_on_until_ms());
        Some(Self { key: key.clone(), last_ms, step_ms, goes_on_ms, back: None })
    }

    /// The key of its series.
    pub(super) fn key(&self) -> &Arc<[u8]> {
        &self.key
    }

    /// What is told of it until the end of the span, and when; nothing where no other series went on meanwhile.
    pub(super) fn told(&self, activity: &Activity, to_ms: i64) -> Vec<(i64, AnomalyRun)> {
        let over_ms = self.back.map_or(to_ms, |(back_ms, _)| back_ms);
        let suspected_ms = activity.look_after(self.goes_on_ms.saturating_add(1));
        let told_ms = suspected_ms.map(|look_ms| look_ms + SILENCE_PATIENCE_MS).filter(|told_ms| *told_ms < over_ms);
        let Some((told_ms, event_ms)) = told_ms.and_then(|told_ms| Some((told_ms, activity.heard_before(told_ms)?)))
        else {
            return Vec::new();
        };
        let name = label(&self.key, NAME_LABEL).unwrap_or("");
        let run = notice::silence(&self.key, name, self.last_ms, self.step_ms, event_ms);
        let end = self.back.map(|(back_ms, is_late)| {
            let over = notice::end_of_silence(run.clone(), name, back_ms, is_late);
            (back_ms, over)
        });
        [(told_ms, run)].into_iter().chain(end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::series::KeyBuilder;

    const MINUTE_MS: i64 = 60_000;

    fn pause(back_ms: Option<i64>) -> Pause {
        let mut key = KeyBuilder::default();
        key.push(NAME_LABEL, "load");
        let key = key.finish().unwrap().into();
        let back = back_ms.map(|back_ms| (back_ms, false));
        Pause { key, last_ms: 100 * MINUTE_MS, step_ms: MINUTE_MS, goes_on_ms: 110 * MINUTE_MS, back }
    }

    fn activity(minutes: impl Iterator<Item = i64>) -> Activity {
        let mut activity = Activity::new(0, 300 * MINUTE_MS);
        minutes.for_each(|minute| activity.hear(minute * MINUTE_MS));
        activity
    }

    #[test]
    fn what_was_heard_is_found_on_either_side() {
        let mut activity = Activity::new(0, 1000 * LOOK_MS);
        assert_eq!((activity.look_after(0), activity.heard_before(1000 * LOOK_MS)), (None, None));
        [63, 64, 700].iter().for_each(|look| activity.hear(look * LOOK_MS));
        let after = [0, 63, 64, 65, 700, 701].map(|look| activity.look_after(look * LOOK_MS));
        assert_eq!(
            after,
            [Some(64), Some(64), Some(65), Some(701), Some(701), None].map(|look| look.map(|at: i64| at * LOOK_MS))
        );
        let before = [63, 64, 65, 700, 701, 1000].map(|look| activity.heard_before(look * LOOK_MS));
        assert_eq!(
            before,
            [None, Some(63), Some(64), Some(64), Some(700), Some(700)].map(|look| look.map(|at: i64| at * LOOK_MS))
        );
        activity.hear(-1);
        activity.hear(10_000 * LOOK_MS);
        assert_eq!((activity.look_after(701 * LOOK_MS), activity.heard_before(63 * LOOK_MS)), (None, None));
    }

    #[test]
    fn a_silence_is_told_while_others_go_on_and_ends_with_the_next_sample() {
        let activity = activity(0..=300);
        let told = pause(Some(200 * MINUTE_MS)).told(&activity, 300 * MINUTE_MS);
        let [(began_ms, began), (ended_ms, ended)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((*began_ms, *ended_ms), (112 * MINUTE_MS + LOOK_MS, 200 * MINUTE_MS));
        assert_eq!((began.start_ms, began.is_open), (101 * MINUTE_MS, true));
        assert_eq!((ended.start_ms, ended.last_ms, ended.is_open), (101 * MINUTE_MS, 200 * MINUTE_MS, false));
        let told = pause(None).told(&activity, 300 * MINUTE_MS);
        assert_eq!(told.len(), 1, "it goes on at the end of the span: {told:?}");
    }

    #[test]
    fn what_stops_with_all_others_or_comes_within_a_minute_is_no_silence() {
        let all_stop = activity((0..=100).chain(200..=300));
        assert!(pause(Some(200 * MINUTE_MS)).told(&all_stop, 300 * MINUTE_MS).is_empty());
        let others_go_on = activity(0..=300);
        assert!(pause(Some(112 * MINUTE_MS)).told(&others_go_on, 300 * MINUTE_MS).is_empty());
        assert!(pause(None).told(&others_go_on, 112 * MINUTE_MS).is_empty());
        assert!(pause(None).told(&activity(0..=100), 300 * MINUTE_MS).is_empty());
    }
}
