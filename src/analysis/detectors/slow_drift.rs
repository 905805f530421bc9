//! Slow drift: days whose means go up or down, each by about as much as the one before: a leak, a disk that fills, a creep
//! that no limit sees.
//!
//! Not here: shifts within hours (see `cusum`); when a limit will be reached (see `forecast`).
//!
//! Invariants: whole days are compared, so that no daily rhythm is a drift; a drift is told once, and again only after it
//! has ended; a day without samples starts anew.

use super::{Floor, Judgement, Online, Options, SHARE_MAX};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// Slope of a line through the days' means, in standard errors. Means that walk by chance exceed it in some hundredth of
/// months, although every other of their lines is significant by the usual tables.
const THRESHOLD: f64 = 25.0;
/// Days of a line.
const DAYS: (usize, usize) = (5, 7);
/// What no line through days is nearer than, as a share of the magnitude: the rounding of sums.
const ROUNDING: f64 = 1e-9;

/// How clear a line the means of the last days are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SlowDrift {
    threshold: f64,
    floor: Floor,
    day: Option<i64>,
    /// Whether the day was seen from its first hour on.
    is_whole: bool,
    sum: f64,
    count: f64,
    means: VecDeque<f64>,
    is_told: bool,
}

impl SlowDrift {
    /// With the threshold of the options, or 25.
    pub fn new(options: &Options) -> Self {
        Self {
            threshold: options.threshold.unwrap_or(THRESHOLD),
            floor: Floor::new(options),
            day: None,
            is_whole: false,
            sum: 0.0,
            count: 0.0,
            means: VecDeque::new(),
            is_told: false,
        }
    }

    /// Ends a day; what is said of the days so far.
    fn close(&mut self, deviation_min: f64) -> Judgement {
        if self.is_whole {
            if self.means.len() == DAYS.1 {
                self.means.pop_front();
            }
            self.means.push_back(self.sum / self.count);
        }
        let clearest = (DAYS.0..=self.means.len()).map(|days| self.line(days, deviation_min)).fold(0.0, f64::max);
        let judgement = Judgement::of_limit(clearest, self.threshold);
        let was_told = std::mem::replace(&mut self.is_told, judgement.is_anomaly);
        if was_told && judgement.is_anomaly {
            return Judgement { is_anomaly: false, share: 1.0 - f64::EPSILON, ..judgement };
        }
        judgement
    }

    /// Slope of the line through the last days in its standard errors; 0 if a day goes against it, or if it does not matter.
    fn line(&self, days: usize, deviation_min: f64) -> f64 {
        let means: Vec<f64> = self.means.iter().skip(self.means.len() - days).copied().collect();
        let (count, middle) = (days as f64, (days - 1) as f64 / 2.0);
        let mean = means.iter().sum::<f64>() / count;
        let spread: f64 = (0..days).map(|x| (x as f64 - middle).powi(2)).sum();
        let slope = (0..).zip(&means).map(|(x, y)| (f64::from(x) - middle) * (y - mean)).sum::<f64>() / spread;
        let goes_on = means.windows(2).all(|pair| (pair[1] - pair[0]) * slope > 0.0);
        if !goes_on || slope.abs() * (count - 1.0) < deviation_min {
            return 0.0;
        }
        let rest = |(x, y): (i32, &f64)| (y - mean - slope * (f64::from(x) - middle)).powi(2);
        let error = ((0..).zip(&means).map(rest).sum::<f64>() / (count - 2.0) / spread).sqrt();
        let magnitude = means.iter().fold(0.0f64, |greatest, mean| greatest.max(mean.abs()));
        (slope.abs() / error.max(ROUNDING * magnitude)).min(SHARE_MAX)
    }
}

impl Online for SlowDrift {
    const METHOD: &'static str = "drift";

    fn judge(&mut self, time_ms: i64, value: f64) -> Judgement {
        let deviation_min = self.floor.next(value);
        let day = time_ms.div_euclid(DAY_MS);
        let judgement = match self.day.filter(|known| *known != day) {
            Some(_) => self.close(deviation_min),
            None => Judgement { is_judged: self.means.len() >= DAYS.0, ..Judgement::ABSTAINS },
        };
        if self.day != Some(day) {
            let is_next = self.day.is_some_and(|known| known + 1 == day);
            if !is_next {
                self.means.clear();
                self.is_told = false;
            }
            self.is_whole = is_next || time_ms.rem_euclid(DAY_MS) < HOUR_MS;
            (self.day, self.sum, self.count) = (Some(day), 0.0, 0.0);
        }
        self.sum += value;
        self.count += 1.0;
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden_tests::gauss;
    use super::*;

    /// Days at whose end a drift is told, of five-minute samples.
    fn told(days: i64, value: impl Fn(f64, i64) -> f64) -> Vec<i64> {
        let mut detector = SlowDrift::new(&Options::default());
        let is_told = |i: &i64| detector.judge(i * 300_000, value(*i as f64 / 288.0, *i)).is_anomaly;
        (0..days * 288).filter(is_told).map(|i| i / 288).collect()
    }

    fn rhythm(day: f64) -> f64 {
        10.0 * (std::f64::consts::TAU * day).sin()
    }

    /// PROD-014: 60 to 75 within a week is told before its seventh day ends.
    #[test]
    fn a_creep_from_sixty_to_seventy_five_is_told_within_the_week() {
        let found = told(10, |day, i| 60.0 + 15.0 / 7.0 * day + 2.0 * gauss(i) + rhythm(day));
        assert!(found.len() == 1 && found[0] < 7, "{found:?}");
    }

    /// PROD-026: memory that grows by a hundredth a day is told early, and once.
    #[test]
    fn a_hundredth_a_day_is_told_early_and_once() {
        let found = told(30, |day, i| 50.0 * 1.01f64.powf(day) + gauss(i));
        assert!(found.len() == 1 && found[0] <= 8, "{found:?}");
    }

    #[test]
    fn noise_rhythms_and_single_shifts_are_no_drift() {
        assert_eq!(told(60, |day, i| 50.0 + 5.0 * gauss(i) + rhythm(day)), [0; 0]);
        assert_eq!(told(30, |day, i| if day < 12.0 { 50.0 } else { 90.0 } + gauss(i)), [0; 0]);
        assert_eq!(told(30, |_, _| 42.0), [0; 0]);
    }
}
