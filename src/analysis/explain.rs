//! A verdict in one plain sentence with its evidence.
//!
//! Not here: any decision.

use super::rhythm::RHYTHM_SLOTS;
use super::season::Season;
use super::{Severity, Verdict};
use std::fmt::Write;

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Value, expected range, slot of the season, agreeing detectors, and the nearest value that would have been normal.
pub(super) fn sentence(verdict: &Verdict, name: &str) -> String {
    let Some((value, band)) = verdict.judged.zip(verdict.band) else {
        return format!("{name}: too little is known yet to judge");
    };
    let mut text = format!("{name} is {}, ", number(value));
    // Writing to a string cannot fail.
    let _ = write!(text, "expected {} ({} to {})", number(band.expected), number(band.lower), number(band.upper));
    if let Some(season) = verdict.season {
        let _ = write!(text, " {}", slot(season, if verdict.is_local { "local time" } else { "UTC" }));
    }
    if verdict.severity == Severity::None {
        return text;
    }
    let agreeing: Vec<_> = verdict.votes.agreeing().map(|vote| vote.detector).collect();
    let judged = verdict.votes.judging();
    let _ = write!(text, "; {} of {judged} detectors agree", agreeing.len());
    if !agreeing.is_empty() {
        let _ = write!(text, " ({})", agreeing.join(", "));
    }
    if verdict.is_prior() {
        text.push_str("; the foundation model's forecast counts, as less than a day of it is known");
    }
    if verdict.is_rare_zero {
        text.push_str("; it is hardly ever zero");
    }
    if 2.0 * verdict.pattern > verdict.score {
        text.push_str("; values have not followed each other in this way before");
    }
    let nearest = value.clamp(band.lower, band.upper);
    if nearest != value {
        let _ = write!(text, "; {} would have been normal", number(nearest));
    }
    text
}

/// What value would have been normal, where this one is not.
pub(super) fn counterfactual(verdict: &Verdict, name: &str) -> Option<String> {
    let (value, band) = verdict.judged.zip(verdict.band)?;
    let nearest = value.clamp(band.lower, band.upper);
    if verdict.severity == Severity::None || nearest == value {
        return None;
    }
    let bound = if value > nearest { "or less" } else { "or more" };
    let share = match value.abs() {
        0.0 => String::new(),
        size => format!(", {} % from what it was", number(100.0 * (value - nearest).abs() / size)),
    };
    Some(format!("{name} would have been normal at {} {bound}{share}", number(nearest)))
}

/// The slot of the season in words, by a clock.
fn slot(season: Season, clock: &str) -> String {
    match season {
        Season::Day(quarter) => format!("for {:02}:{:02} {clock}", quarter / 4, quarter % 4 * 15),
        Season::Week(half) => {
            let day = DAYS[usize::from(half / 48) % DAYS.len()];
            format!("for {day} {:02}:{:02} {clock}", half % 48 / 2, half % 2 * 30)
        }
        Season::Rhythm { slot, period_s } => {
            let minutes = f64::from(period_s) / 60.0;
            let into = minutes * f64::from(slot) / RHYTHM_SLOTS as f64;
            format!("for {} of the {} minutes in which it repeats", number(into), number(minutes))
        }
    }
}

/// Four significant digits, without a row of zeros.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 3 - value.abs().log10().floor() as i32 };
    match digits {
        -12..=0 => format!("{value:.0}"),
        1..=9 => {
            let text = format!("{value:.*}", digits as usize);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ensemble::Votes;
    use super::super::{Band, Severity, Verdict};
    use super::*;

    #[test]
    fn the_sentence_says_what_a_person_asks() {
        let verdict = Verdict {
            pattern: 0.0,
            is_held: false,
            judged: Some(91.4),
            score: 0.85,
            is_anomaly: true,
            severity: Severity::High,
            kind: crate::analysis::AnomalyKind::Point,
            band: Some(Band { expected: 42.0, lower: 30.25, upper: 55.5 }),
            votes: Votes::new([9.0, 0.5, 9.0, f32::NAN, f32::NAN, f32::NAN], None, 4.0),
            is_rare_zero: false,
            season: Some(Season::Week(6)),
            is_local: false,
            time_ms: 0,
            rate_seconds: None,
        };
        assert_eq!(
            verdict.sentence("cpu"),
            "cpu is 91.4, expected 42 (30.25 to 55.5) for Monday 03:00 UTC; 2 of 3 detectors agree (zscore, ema); \
             55.5 would have been normal"
        );
        let other = "cpu would have been normal at 55.5 or less, 39.28 % from what it was";
        assert_eq!(verdict.counterfactual("cpu").as_deref(), Some(other));
        let sum: f64 = verdict.contributions().iter().map(|(_, share)| share).sum();
        assert!((sum - 0.85).abs() < 1e-12);
        let normal = Verdict { severity: Severity::None, ..verdict };
        assert_eq!(normal.counterfactual("cpu"), None);
        let local = Verdict { is_local: true, ..normal };
        assert!(local.sentence("cpu").ends_with("for Monday 03:00 local time"), "{}", local.sentence("cpu"));
        let rhythm = Verdict { season: Some(Season::Rhythm { slot: 24, period_s: 5400 }), ..normal };
        assert!(rhythm.sentence("cpu").ends_with("for 45 of the 90 minutes in which it repeats"));
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 1.5, 1234.567, 123_456.0, 0.001_234_5, 1e-12, 1e300];
        assert_eq!(numbers.map(number), ["0", "1.5", "1235", "123456", "0.001234", "1.000e-12", "1.000e300"]);
    }
}
