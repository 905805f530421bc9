//! Hours in which nobody works, and how much more unusual a sample must be then to be told.
//!
//! What falls at night or on Sundays is mostly that nobody works; what rises then is news more than ever, so that only what
//! lies below what is expected is eased unless it is asked for both.
//!
//! Not here: what is expected of an hour (see `baseline`), how urgently people are told (see `alert`).
//!
//! Invariant: a factor of 1, and no hours, change nothing.

use super::ensemble::score as score_of;

const DAY_MS: i64 = 86_400_000;
/// 1970 began on a Thursday; days are counted from Monday.
const THURSDAY: i64 = 3;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES: i64 = 1440;

/// Hours of a day and whole days, by the clock of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    /// Minutes of the day, from and to; past midnight where it ends before it begins.
    spans: Vec<(i64, i64)>,
    /// A bit for each day, from Monday on.
    days: u8,
    factor: f64,
    eases_rises: bool,
}

/// Why a text names no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither hours such as 22:00-06:00 nor a day such as sat")]
pub struct NoHours(String);

impl Default for QuietHours {
    fn default() -> Self {
        Self { spans: Vec::new(), days: 0, factor: 1.0, eases_rises: false }
    }
}

impl QuietHours {
    /// Of a text such as `22:00-06:00,sat,sun`: in these hours evidence counts for so many times less, of what lies above
    /// what is expected only if `eases_rises`.
    ///
    /// # Errors
    /// When a part of the text is neither hours nor a day.
    pub fn parse(text: &str, factor: f64, eases_rises: bool) -> Result<Self, NoHours> {
        let mut hours = Self { factor: factor.max(1.0), eases_rises, ..Self::default() };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match DAYS.iter().position(|day| part.eq_ignore_ascii_case(day)) {
                Some(day) => hours.days |= 1 << day,
                None => hours.spans.push(span(part).ok_or_else(|| NoHours(part.to_owned()))?),
            }
        }
        Ok(hours)
    }

    /// A score as it counts at a time by the series' own clock.
    #[inline]
    pub(super) fn ease(&self, score: f64, local_ms: i64, is_above: bool) -> f64 {
        let is_off = self.days == 0 && self.spans.is_empty();
        if is_off || is_above && !self.eases_rises { score } else { self.eased(score, local_ms) }
    }

    #[cold]
    fn eased(&self, score: f64, local_ms: i64) -> f64 {
        if !self.contains(local_ms) {
            return score;
        }
        // Back to the share of the budget's evidence that the score stands for.
        let share = if score <= 0.6 { score / 0.6 } else { 1.0 / (1.0 - (score - 0.6) / 0.4).max(f64::MIN_POSITIVE) };
        score_of(share / self.factor, 1.0)
    }

    fn contains(&self, local_ms: i64) -> bool {
        let day = (local_ms.div_euclid(DAY_MS) + THURSDAY).rem_euclid(7);
        let minute = local_ms.rem_euclid(DAY_MS) / 60_000;
        let is_within = |(from, to): &(i64, i64)| match from <= to {
            true => (*from..*to).contains(&minute),
            false => minute >= *from || minute < *to,
        };
        self.days >> day & 1 == 1 || self.spans.iter().any(is_within)
    }
}

/// Minutes of `22:00-06:00`.
fn span(text: &str) -> Option<(i64, i64)> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute) = (hour.parse::<i64>().ok()?, minute.parse::<i64>().ok()?);
        let total = hour * 60 + minute;
        ((0..60).contains(&minute) && (0..=MINUTES).contains(&total)).then_some(total)
    };
    let (from, to) = text.split_once('-')?;
    Some((minute(from)?, minute(to)?)).filter(|(from, to)| from != to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// A Monday, 00:00.
    const MONDAY_MS: i64 = 1_704_067_200_000;

    #[test]
    fn nights_and_days_are_known_and_nonsense_is_refused() {
        let hours = QuietHours::parse("22:00-06:00, Sat,sun", 2.0, false).unwrap();
        let at = |day: i64, hour: i64| hours.contains(MONDAY_MS + day * DAY_MS + hour * HOUR_MS);
        assert_eq!(
            [at(1, 14), at(1, 22), at(1, 5), at(1, 6), at(5, 14), at(6, 14), at(7, 14)],
            [false, true, true, false, true, true, false]
        );
        for wrong in ["25:00-26:00", "22-6", "22:00", "someday", "10:00-10:00", "10:61-11:00"] {
            assert!(QuietHours::parse(wrong, 2.0, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn evidence_is_divided_and_only_of_what_falls_unless_asked() {
        let hours = |rises| QuietHours::parse("sun", 2.0, rises).unwrap();
        let (tuesday_ms, sunday_ms) = (MONDAY_MS + DAY_MS, MONDAY_MS + 6 * DAY_MS);
        for (score, expected) in [(0.3, 0.15), (0.6, 0.3), (0.8, 0.6), (0.9, 0.8), (1.0, 1.0)] {
            assert!((hours(false).ease(score, sunday_ms, false) - expected).abs() < 1e-9, "{score}");
            assert_eq!(hours(false).ease(score, tuesday_ms, false), score);
            assert_eq!(hours(false).ease(score, sunday_ms, true), score);
            assert!((hours(true).ease(score, sunday_ms, true) - expected).abs() < 1e-9);
            assert_eq!(QuietHours::default().ease(score, sunday_ms, false), score);
        }
    }
}
