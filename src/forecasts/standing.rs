//! Whether a rule holds for a series: with hysteresis, so that a forecast that wavers around the limit is told once.
//!
//! Not here: forecasting (see `runner`), keeping what is told (see `anomaly::book`).
//!
//! Invariant: what was told begins where it was first so, so that telling it again changes it and begins no other.

use super::rule_file::PredictiveRule;

/// Share of a rule's probability below which it no longer holds.
const CLEAR_SHARE: f64 = 0.5;
/// A probability that changed by so much, or an expected time that moved by this share of what is left, is told again.
const PROBABILITY_CHANGE: f64 = 0.1;
const TIME_CHANGE: f64 = 0.1;

/// What is expected of a series and its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Probability, 0 to 1, that the limit is reached in time.
    pub probability: f64,
    /// Whether the forecast itself reaches it, not only the edge of its band.
    pub is_sure: bool,
    /// When, in milliseconds since 1970; the present where it has been reached already.
    pub at_ms: i64,
    /// What is expected then, and the band's edges.
    pub expected: f64,
    /// The lower one.
    pub lower: f64,
    /// The upper one.
    pub upper: f64,
    /// The newest value.
    pub current: f64,
    /// Its time.
    pub current_ms: i64,
    /// What made the forecast.
    pub method: String,
}

/// What a rule says of a series that it holds for.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// When it began, in milliseconds since 1970.
    pub since_ms: i64,
    /// What was told last; none of one that was told before the last start.
    pub told: Option<Prediction>,
    /// Since when it is no longer so, though not yet over.
    quiet_since_ms: Option<i64>,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// Nothing that is not known.
    Nothing,
    /// It holds, or holds in another way than before.
    Holds,
    /// It is over.
    Over,
}

impl Standing {
    /// Of one that was told before the last start.
    pub(super) fn adopted(since_ms: i64) -> Self {
        Self { since_ms, told: None, quiet_since_ms: None }
    }

    /// What a look at a series changes; `seen` is none where nothing can be said of it at `now_ms`.
    pub(super) fn look(
        standing: &mut Option<Self>,
        rule: &PredictiveRule,
        seen: Option<Prediction>,
        now_ms: i64,
    ) -> Change {
        let probability = seen.as_ref().map_or(0.0, |seen| seen.probability);
        let Some(known) = standing else {
            let Some(seen) = seen.filter(|seen| seen.probability >= rule.probability) else { return Change::Nothing };
            *standing = Some(Self { since_ms: seen.current_ms, told: Some(seen), quiet_since_ms: None });
            return Change::Holds;
        };
        if probability < CLEAR_SHARE * rule.probability {
            let quiet_since_ms = *known.quiet_since_ms.get_or_insert(now_ms);
            return if now_ms.saturating_sub(quiet_since_ms) >= rule.clear_after_ms {
                Change::Over
            } else {
                Change::Nothing
            };
        }
        known.quiet_since_ms = None;
        let Some(seen) = seen else { return Change::Nothing };
        let is_news = known.told.as_ref().is_none_or(|told| is_news(told, &seen, now_ms));
        if is_news {
            known.told = Some(seen);
        }
        if is_news { Change::Holds } else { Change::Nothing }
    }
}

fn is_news(told: &Prediction, seen: &Prediction, now_ms: i64) -> bool {
    let left_ms = told.at_ms.saturating_sub(now_ms).max(0) as f64;
    let moved_ms = seen.at_ms.abs_diff(told.at_ms) as f64;
    let is_reached = seen.at_ms <= seen.current_ms && told.at_ms > told.current_ms;
    is_reached
        || seen.is_sure != told.is_sure
        || (seen.probability - told.probability).abs() >= PROBABILITY_CHANGE
        || moved_ms > TIME_CHANGE * left_ms && left_ms > 0.0
}

#[cfg(test)]
mod tests {
    use super::super::rule_file::tests::rules;
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn seen(probability: f64, now_ms: i64) -> Option<Prediction> {
        Some(Prediction {
            probability,
            is_sure: false,
            at_ms: 600 * MINUTE_MS,
            expected: 90.0,
            lower: 80.0,
            upper: 95.0,
            current: 70.0,
            current_ms: now_ms,
            method: "theta".to_owned(),
        })
    }

    /// What a rule of one half that clears after ten minutes says of probabilities seen minute by minute.
    fn told(probabilities: &[Option<f64>]) -> Vec<Change> {
        let text = "[[rule]]\nname = \"a\"\nmatch = \"disk\"\nthreshold = 90\nclear_after = \"10m\"\n";
        let rule = &rules(text).unwrap()[0];
        let mut standing = None;
        let look = |(minute, probability): (usize, &Option<f64>)| {
            let now_ms = minute as i64 * MINUTE_MS;
            let seen = probability.and_then(|probability| seen(probability, now_ms));
            let change = Standing::look(&mut standing, rule, seen, now_ms);
            if change == Change::Over {
                standing = None;
            }
            change
        };
        probabilities.iter().enumerate().map(look).collect()
    }

    #[test]
    fn one_that_wavers_around_its_limit_is_told_once() {
        let wavering: Vec<Option<f64>> = (0..40).map(|i| Some(if i % 2 == 0 { 0.52 } else { 0.48 })).collect();
        let told = told(&wavering);
        assert_eq!(told[0], Change::Holds);
        assert!(told[1..].iter().all(|change| *change == Change::Nothing), "{told:?}");
    }

    #[test]
    fn it_is_over_only_after_it_was_not_so_for_long_enough() {
        let mut course = vec![Some(0.6), Some(0.1), Some(0.1), Some(0.6)];
        course.extend([Some(0.2); 11]);
        let told = told(&course);
        assert_eq!(told.iter().position(|change| *change == Change::Over), Some(14), "{told:?}");
        assert_eq!(told.iter().filter(|change| **change == Change::Holds).count(), 1);
        let silent = self::told(&[&[Some(0.6)][..], &[None; 12]].concat());
        assert_eq!(silent.iter().position(|change| *change == Change::Over), Some(11), "{silent:?}");
    }

    #[test]
    fn one_that_becomes_surer_is_told_again() {
        assert_eq!(told(&[Some(0.5), Some(0.55), Some(0.7)]), [Change::Holds, Change::Nothing, Change::Holds]);
        assert_eq!(told(&[Some(0.49)]), [Change::Nothing]);
    }
}
