//! Bands of expected values for the points of a window, by what came before: three ways, as monitors name them.
//!
//! - `basic`: median and quartiles of the history right before each point. Knows no season, follows within hours.
//! - `agile`: the values one to three seasons before, moved by the median of how far the last points were off. Follows a
//!   change of level within an hour or so, and mistakes one that stays for the new normal.
//! - `robust`: the median of the same slot of all earlier seasons, moved by how far off the season before the window was.
//!   Does not follow within the window.
//!
//! All of them are written from these descriptions, with medians throughout, so that what is unusual in the history widens no
//! band.
//!
//! Not here: what follows from a point outside of its band (see `judge`).
//!
//! Invariants: lower <= expected <= upper; a point has no band where there is too little history, by which it is not judged.

use super::monitor::Algorithm;

/// Points from which a spread is one.
const POINTS_MIN: usize = 20;
/// Bands of one window that `basic` sorts its history for; between, they stay.
const LOOKS: usize = 48;
/// Seasons that `agile` looks back on.
const SEASONS: usize = 3;
/// Points by which `agile` follows the level, at least.
const FOLLOW_MIN: usize = 10;
const HOUR_MS: i64 = 3_600_000;
/// Makes the median absolute deviation of normal values their standard deviation, and the distance of the quartiles.
const MAD_TO_SIGMA: f64 = 1.4826;
const QUARTILES_TO_SIGMA: f64 = 0.7413;
/// The least spread, as a share of the usual magnitude: values are no more exact than that.
const SPREAD_MIN: f64 = 1e-9;

/// What a point is expected to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    pub(super) lower: f64,
    pub(super) upper: f64,
}

/// How values follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    /// Distance of two values.
    pub(super) step_ms: i64,
    /// Points of one season.
    pub(super) season: usize,
}

/// Bands of `values[from..]`, whose first `from` are the history; NaN where there is no value.
pub(super) fn bands(
    algorithm: Algorithm,
    values: &[f64],
    from: usize,
    rhythm: Rhythm,
    bounds: f64,
) -> Vec<Option<Band>> {
    match algorithm {
        Algorithm::Basic => basic(values, from, bounds),
        Algorithm::Agile => agile(values, from, rhythm, bounds),
        Algorithm::Robust => robust(values, from, rhythm.season, bounds),
    }
}

fn basic(values: &[f64], from: usize, bounds: f64) -> Vec<Option<Band>> {
    let every = ((values.len() - from) / LOOKS).max(1);
    let mut found: Vec<Option<Band>> = Vec::with_capacity(values.len() - from);
    for at in from..values.len() {
        if !(at - from).is_multiple_of(every) {
            found.push(found.last().copied().flatten());
            continue;
        }
        let mut past = present(&values[at - from..at]);
        if past.len() < POINTS_MIN {
            found.push(None);
            continue;
        }
        past.sort_unstable_by(f64::total_cmp);
        let (low, middle, high) = (quantile(&past, 0.25), quantile(&past, 0.5), quantile(&past, 0.75));
        found.push(Some(around(middle, (high - low) * QUARTILES_TO_SIGMA, bounds)));
    }
    found
}

fn agile(values: &[f64], from: usize, rhythm: Rhythm, bounds: f64) -> Vec<Option<Band>> {
    let Rhythm { step_ms, season } = rhythm;
    let follow = ((HOUR_MS / step_ms.max(1)) as usize).clamp(FOLLOW_MIN, (season / 4).max(FOLLOW_MIN));
    let before = |at: usize| {
        let mut past: Vec<f64> =
            (1..=SEASONS).filter_map(|back| at.checked_sub(back * season)).map(|at| values[at]).collect();
        past.retain(|value| !value.is_nan());
        median(&mut past)
    };
    let seasonal: Vec<f64> = (0..values.len()).map(before).collect();
    let off: Vec<f64> = values.iter().zip(&seasonal).map(|(value, usual)| value - usual).collect();
    let expected = |at: usize| {
        let mut lately = present(&off[at.saturating_sub(follow)..at]);
        if lately.is_empty() { seasonal[at] } else { seasonal[at] + median(&mut lately) }
    };
    let errors = (season.min(from)..from).map(|at| values[at] - expected(at));
    let Some(sigma) = spread(&errors.collect::<Vec<_>>()) else { return vec![None; values.len() - from] };
    let band = |at: usize| Some(expected(at)).filter(|usual| !usual.is_nan()).map(|usual| around(usual, sigma, bounds));
    (from..values.len()).map(band).collect()
}

fn robust(values: &[f64], from: usize, season: usize, bounds: f64) -> Vec<Option<Band>> {
    let slot = |slot: usize| -> Vec<f64> { values[..from].iter().skip(slot).step_by(season).copied().collect() };
    let usual: Vec<f64> = (0..season).map(|at| median(&mut present(&slot(at)))).collect();
    // How far each value is from the same slot of the other seasons: from a median that it is part of it is too near.
    let mut errors = Vec::with_capacity(from);
    for known in (0..season).map(slot) {
        for (at, value) in known.iter().enumerate() {
            let others: Vec<f64> =
                known.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, v)| *v).collect();
            errors.push(value - median(&mut present(&others)));
        }
    }
    let Some(sigma) = spread(&errors) else { return vec![None; values.len() - from] };
    let late = from.saturating_sub(season)..from;
    let mut lately = present(&late.map(|at| values[at] - usual[at % season]).collect::<Vec<_>>());
    let level = if lately.is_empty() { 0.0 } else { median(&mut lately) };
    let band = |at: usize| {
        let usual = usual[at % season];
        (!usual.is_nan()).then(|| around(usual + level, sigma, bounds))
    };
    (from..values.len()).map(band).collect()
}

fn around(middle: f64, sigma: f64, bounds: f64) -> Band {
    let reach = bounds * sigma.max(SPREAD_MIN * middle.abs());
    Band { lower: middle - reach, upper: middle + reach }
}

/// The robust standard deviation of errors, if there are enough; the mean of their magnitudes where more than half are none.
fn spread(errors: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = present(errors).into_iter().map(f64::abs).collect();
    if sizes.len() < POINTS_MIN {
        return None;
    }
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    let sigma = median(&mut sizes) * MAD_TO_SIGMA;
    Some(if sigma > 0.0 { sigma } else { mean })
}

fn present(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|value| !value.is_nan()).collect()
}

/// The median, which sorts the values; NaN of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    quantile(values, 0.5)
}

/// The quantile of sorted values by linear interpolation; NaN of none.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = p * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm { step_ms: 60_000, season: 60 };

    /// A wave with an hour's season and some noise of one, from the seed of its place.
    fn wave(count: usize) -> Vec<f64> {
        let noise = |at: usize| ((at * 7919 + 13) % 101) as f64 / 101.0 - 0.5;
        (0..count).map(|at| 100.0 + 20.0 * (at as f64 / 60.0 * std::f64::consts::TAU).sin() + 2.0 * noise(at)).collect()
    }

    fn outside(values: &[f64], bands: &[Option<Band>]) -> usize {
        let judged = values[values.len() - bands.len()..].iter().zip(bands);
        judged.filter(|(value, band)| band.is_some_and(|band| **value < band.lower || **value > band.upper)).count()
    }

    #[test]
    fn seasonal_bands_are_narrow_and_hold_what_is_usual() {
        let values = wave(660);
        for algorithm in [Algorithm::Agile, Algorithm::Robust] {
            let found = bands(algorithm, &values, 600, RHYTHM, 3.0);
            assert!(outside(&values, &found) <= 3, "{algorithm:?}");
            let widest = found.iter().flatten().map(|band| band.upper - band.lower).fold(0.0, f64::max);
            assert!(widest < 10.0, "{algorithm:?}: {widest}, where the wave itself goes over 40");
        }
        let plain = bands(Algorithm::Basic, &values, 600, RHYTHM, 3.0);
        assert!(outside(&values, &plain) == 0 && plain[0].is_some_and(|band| band.upper - band.lower > 60.0));
    }

    #[test]
    fn a_change_of_level_is_followed_by_agile_and_not_by_robust() {
        let mut values = wave(780);
        values[600..].iter_mut().for_each(|value| *value += 30.0);
        let late = |algorithm| outside(&values, &bands(algorithm, &values, 600, RHYTHM, 3.0));
        assert!(late(Algorithm::Robust) >= 175, "robust: {}", late(Algorithm::Robust));
        assert!((5..40).contains(&late(Algorithm::Agile)), "agile: {}", late(Algorithm::Agile));
    }

    #[test]
    fn without_history_nothing_is_said_and_a_constant_is_its_own_band() {
        let short = wave(30);
        for algorithm in [Algorithm::Basic, Algorithm::Agile, Algorithm::Robust] {
            assert!(bands(algorithm, &short, 15, RHYTHM, 2.0).iter().all(Option::is_none), "{algorithm:?}");
            let mut still = vec![5.0; 300];
            assert_eq!(outside(&still, &bands(algorithm, &still, 240, RHYTHM, 2.0)), 0, "{algorithm:?}");
            still[299] = 5.1;
            assert_eq!(outside(&still, &bands(algorithm, &still, 240, RHYTHM, 2.0)), 1, "{algorithm:?}");
        }
    }
}
