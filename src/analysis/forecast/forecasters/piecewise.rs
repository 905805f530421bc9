//! A trend that bends here and there with smooth seasons on it, in the manner of Prophet (Taylor and Letham 2018): up to
//! 25 bends in the first four fifths, few of them used because each costs (a Laplace prior of scale 0.05), and seasons as
//! sums of sines, four waves a day and three a week.
//!
//! Where Prophet finds the posterior mode by a general optimiser, repeated ridge regressions find it here, with the spread
//! of what is left found in turn.
//!
//! Not here: holidays, yearly seasons, saturating growth.

use super::super::season::Profile;
use super::smooth::Gains;
use super::solve::Normal;
use super::{Family, Fit, Forecaster, Need, Past, Smooth};
use std::f64::consts::TAU;

/// A piecewise trend and smooth seasons.
pub(super) struct Piecewise;

const BENDS_MAX: usize = 25;
/// The share of the past that may bend.
const BENDING: f64 = 0.8;
/// Scale of the Laplace prior of a bend, and of the normal ones of level and slope, and of seasons.
const BEND_PRIOR: f64 = 0.05;
const TREND_PRIOR: f64 = 5.0;
const SEASON_PRIOR: f64 = 10.0;
/// Waves of the shortest season and of longer ones.
const WAVES: [usize; 2] = [4, 3];
/// Regressions at most, and the change of every weight below which the last is good enough.
const ROUNDS: usize = 40;
const CONVERGED: f64 = 1e-4;
/// A bend of less is none.
const BEND_MIN: f64 = 1e-5;
const NOISE_MIN: f64 = 1e-12;

impl Forecaster for Piecewise {
    fn name(&self) -> &'static str {
        "piecewise"
    }

    fn family(&self) -> Family {
        Family::Piecewise
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let cells = past.values.len();
        let scale = past.values.iter().filter(|value| !value.is_nan()).map(|v| v.abs()).fold(0.0, f64::max);
        if cells < 8 || scale <= 0.0 {
            return None;
        }
        let columns = Columns::new(past);
        let mut normal = Normal::new(columns.count());
        let mut row = vec![0.0; columns.count()];
        for (i, value) in past.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            columns.row(i, &mut row);
            normal.add(&row, value / scale, 1.0);
        }
        let weights = mode(&normal, &columns);
        let trend = |i: f64| scale * columns.trend(i, &weights);
        let last = (cells - 1) as f64;
        let slope = trend(last + 1.0) - trend(last);
        let profiles = columns.profiles(&weights, scale);
        let cycles = past.periods.first().map_or(0.0, |period| cells as f64 / *period as f64);
        let gains = Gains {
            level: 4.0 / cells as f64,
            slope: 6.0 / (cells * cells) as f64,
            season: if cycles > 0.0 { 1.0 / cycles.max(2.0) } else { 0.0 },
            ..Gains::FIXED
        };
        Some(Fit::Smooth(Smooth::new(cells, trend(last), slope, &profiles, gains)))
    }
}

/// What the value is a sum of: one, time, a hinge at each bend, waves.
struct Columns<'a> {
    cells: f64,
    bends: Vec<f64>,
    periods: &'a [usize],
    waves: Vec<usize>,
}

impl<'a> Columns<'a> {
    fn new(past: &Past<'a>) -> Self {
        let cells = past.values.len() as f64;
        let count = BENDS_MAX.min(past.values.len() / 4);
        let bends = (1..=count).map(|i| BENDING * i as f64 / count as f64).collect();
        let waves = |(number, period): (usize, &usize)| WAVES[number.min(1)].min((period - 1) / 2);
        Self { cells, bends, periods: past.periods, waves: past.periods.iter().enumerate().map(waves).collect() }
    }

    fn count(&self) -> usize {
        2 + self.bends.len() + 2 * self.waves.iter().sum::<usize>()
    }

    fn row(&self, at: usize, row: &mut [f64]) {
        let time = at as f64 / self.cells;
        (row[0], row[1]) = (1.0, time);
        let (bends, waves) = row[2..].split_at_mut(self.bends.len());
        bends.iter_mut().zip(&self.bends).for_each(|(cell, bend)| *cell = (time - bend).max(0.0));
        let angles = self.periods.iter().zip(&self.waves).flat_map(|(period, waves)| {
            (1..=*waves).map(move |wave| TAU * (at % period) as f64 * wave as f64 / *period as f64)
        });
        waves.chunks_exact_mut(2).zip(angles).for_each(|(pair, angle)| (pair[1], pair[0]) = angle.sin_cos());
    }

    /// The trend in cell `at`.
    fn trend(&self, at: f64, weights: &[f64]) -> f64 {
        let time = at / self.cells;
        let bends = self.bends.iter().zip(&weights[2..]).map(|(bend, weight)| weight * (time - bend).max(0.0));
        weights[0] + weights[1] * time + bends.sum::<f64>()
    }

    fn profiles(&self, weights: &[f64], scale: f64) -> Vec<Profile> {
        let mut from = 2 + self.bends.len();
        let profile = |(period, waves): (&usize, &usize)| {
            let own = &weights[from..from + 2 * waves];
            from += 2 * waves;
            let value = |slot: usize| {
                let wave = |(number, pair): (usize, &[f64])| {
                    let angle = TAU * slot as f64 * (number + 1) as f64 / *period as f64;
                    pair[0] * angle.cos() + pair[1] * angle.sin()
                };
                scale * own.chunks_exact(2).enumerate().map(wave).sum::<f64>()
            };
            Profile { values: (0..*period).map(value).collect() }
        };
        self.periods.iter().zip(&self.waves).map(profile).collect()
    }
}

/// The most likely weights: a normal prior whose width is each bend's own size is as good as the Laplace prior at its mode,
/// so ridge regressions with ever better widths lead to it (Hunter and Li 2005).
fn mode(normal: &Normal, columns: &Columns<'_>) -> Vec<f64> {
    let n = normal.columns;
    let prior = |i: usize| if i < 2 { TREND_PRIOR } else { SEASON_PRIOR }.powi(-2);
    let mut penalties: Vec<f64> = (0..n).map(prior).collect();
    let bends = 2..2 + columns.bends.len();
    penalties[bends.clone()].fill(1.0 / (BEND_PRIOR * BEND_PRIOR));
    let rows = normal.rows.max(1) as f64;
    let mut noise = (normal.square / rows).max(NOISE_MIN);
    let mut weights = vec![0.0; n];
    for _ in 0..ROUNDS {
        let scaled: Vec<f64> = penalties.iter().map(|penalty| penalty * noise + 1e-12).collect();
        let Some(found) = normal.ridge(&scaled) else { break };
        let change = found.iter().zip(&weights).map(|(new, old)| (new - old).abs()).fold(0.0, f64::max);
        weights = found;
        noise = (normal.left(&weights) / rows).max(NOISE_MIN);
        for i in bends.clone() {
            penalties[i] = 1.0 / (BEND_PRIOR * (weights[i].abs() + BEND_MIN));
        }
        if change < CONVERGED {
            break;
        }
    }
    weights
}
