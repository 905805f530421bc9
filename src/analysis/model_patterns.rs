//! The score of a model that also knows in what ways its series moves.
//!
//! What is unusual by its value has the evidence of the ensemble. To it comes how unfamiliar the way to the sample is, a
//! wholly unfamiliar one counting as much as the budget; and what is not flagged counts only as far as it is news. So scores
//! rank samples better, and no flag is moved: the judge sees the ensemble's score alone, and what is flagged keeps all of its
//! evidence.
//!
//! Not here: words (see `pattern`) and what is news (see `news`).
//!
//! Invariants: a flagged sample's score is at least the one it was flagged with; a habit stays below the flag line; a
//! model that looks back on samples it has learned knows no pattern, since nothing is new to it.

use super::{HABIT_SCORE_MAX, SeriesModel};
use crate::analysis::ensemble::{score, share};
use crate::analysis::judge::Word;
use crate::analysis::news::News;
use crate::analysis::pattern::{Beat, Pattern};
use serde::{Deserialize, Serialize};

/// What a model knows of its series' ways.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ways {
    pattern: Pattern,
    news: News,
}

/// One sample as the ensemble has judged it.
pub(super) struct Judged {
    pub(super) value: f64,
    pub(super) score: f64,
    pub(super) word: Word,
    pub(super) per_day: f64,
    pub(super) has_neighbour: bool,
    pub(super) passed_ms: i64,
    pub(super) magnitude: f64,
    pub(super) budget: f64,
    pub(super) teaches: bool,
}

impl SeriesModel {
    /// The score of a sample by its value alone, that by all that is known of it, and what of this is the pattern's;
    /// learns the sample's way.
    #[inline]
    pub(super) fn with_ways(&mut self, judged: &Judged) -> (f64, f64, f64) {
        let plain = if judged.word.is_habit { judged.score.min(HABIT_SCORE_MAX) } else { judged.score };
        if !self.settings.patterns || !judged.teaches || self.judge.looks_back() {
            return (plain, plain, 0.0);
        }
        let (score, pattern) = self.by_ways(plain, judged);
        (plain, score, pattern)
    }

    #[inline(never)]
    fn by_ways(&mut self, plain: f64, judged: &Judged) -> (f64, f64) {
        let Judged { per_day, has_neighbour, .. } = *judged;
        let beat = Beat { per_day, has_neighbour, deviation_min: self.settings.deviation_min(judged.magnitude) };
        let ways = self.beside.get_or_insert_default().ways.get_or_insert_default();
        let unfamiliar = ways.pattern.observe(judged.value, &beat).map_or(0.0, f64::from);
        let evidence = share(plain) + unfamiliar;
        let news = ways.news.observe(evidence, judged.passed_ms as f64, self.steps.step_ms(), judged.budget);
        let told = match judged.word {
            Word { is_anomaly: true, .. } => score(evidence, 1.0).max(plain),
            Word { is_habit: true, .. } => score(news, 1.0).min(HABIT_SCORE_MAX),
            _ => score(news, 1.0),
        };
        (told, if unfamiliar > 0.0 { told * unfamiliar / evidence } else { 0.0 })
    }

    /// Forgets them: what is gone through a second time is familiar.
    pub(super) fn forget_ways(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.ways = None;
        }
        self.beside.take_if(|beside| beside.is_empty());
    }

    /// Bytes of what is known of its series' ways.
    pub(super) fn ways_bytes(&self) -> usize {
        self.beside.as_ref().and_then(|beside| beside.ways.as_ref()).map_or(0, |_| size_of::<Ways>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Settings, Verdict};

    const STEP_MS: i64 = 300_000;

    fn model(patterns: bool) -> SeriesModel {
        SeriesModel::new(None, Settings { patterns, ..Settings::default() })
    }

    /// A saw with noise; for an hour it runs backwards, later it leaps.
    fn value(at: i64) -> f64 {
        let tooth = if (2000..2016).contains(&at) { 15 - at % 16 } else { at % 16 };
        let leap = if (2600..2604).contains(&at) { 400.0 } else { 0.0 };
        (tooth * tooth) as f64 + (at * 7919 % 101) as f64 / 50.0 + leap
    }

    fn verdicts(model: &mut SeriesModel, samples: std::ops::Range<i64>) -> Vec<Verdict> {
        samples.map(|at| model.observe(at * STEP_MS, value(at))).collect()
    }

    #[test]
    fn flags_are_those_of_the_ensemble_and_what_is_flagged_keeps_its_score() {
        let (plain, told) = (verdicts(&mut model(false), 0..3000), verdicts(&mut model(true), 0..3000));
        let flags = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| verdict.is_anomaly).collect::<Vec<_>>();
        assert!(flags(&plain) == flags(&told) && flags(&plain)[2600]);
        let mut both = plain.iter().zip(&told);
        assert!(both.all(|(plain, told)| !told.is_anomaly || told.score >= plain.score));
        assert!(told.iter().all(|told| (0.0..=1.0).contains(&told.score)));
    }

    #[test]
    fn a_reversed_stretch_of_usual_values_ranks_before_all_that_is_usual() {
        let greatest = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| verdict.score).fold(0.0, f64::max);
        let told = verdicts(&mut model(true), 0..2500);
        let (reversed, usual) = (greatest(&told[2000..2020]), greatest(&told[1500..2000]));
        assert!(reversed > usual + 0.1, "{reversed} {usual}");
        let contributions = |verdict: &Verdict| verdict.contributions().iter().map(|(_, share)| share).sum::<f64>();
        assert!(told[500..].iter().all(|told| (contributions(told) - told.score).abs() < 1e-9));
        let told = told[2000..2020].iter().max_by(|left, right| left.score.total_cmp(&right.score)).unwrap();
        assert!(told.contributions().iter().any(|(name, share)| *name == "pattern" && *share > 0.3), "{told:?}");
    }

    #[test]
    fn what_is_known_of_ways_is_written_down_and_costs_memory_only_where_it_is_asked_for() {
        let mut whole = model(true);
        verdicts(&mut whole, 0..1500);
        let (plain, bytes) = (model(false).bytes(), whole.bytes());
        assert!(bytes > size_of::<SeriesModel>() + size_of::<Ways>() && plain == size_of::<SeriesModel>());
        let settings = Settings { patterns: true, ..Settings::default() };
        let written = whole.encode(Vec::new());
        let (mut read, rest) = SeriesModel::decode(&written, settings).unwrap();
        assert!(rest.is_empty());
        assert_eq!(verdicts(&mut read, 1500..2700), verdicts(&mut whole, 1500..2700));
    }
}
