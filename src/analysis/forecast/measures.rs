//! How good forecasts were: the measures of the M4 competition and of quantile forecasts.
//!
//! Not here: which series are forecast (see the command `bench`).
//!
//! sMAPE, MASE and OWA are those of Makridakis, Spiliotis and Assimakopoulos (2020); the benchmark of OWA, Naive2, is the
//! last value on top of a multiplicative season where a test finds one. WQL is the loss of the quantiles at 10, 50 and
//! 90 % over the sum of what came (Park et al. 2022).

/// Quantile of a normal for the competition's 90 % test of a season.
const SEASONAL_TEST: f64 = 1.645;

/// What was forecast, and what came.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// What was known.
    pub past: &'a [f64],
    /// What came.
    pub actual: &'a [f64],
    /// What was expected, as long as what came.
    pub expected: &'a [f64],
    /// Lower edge of a band of 80 %.
    pub lower: &'a [f64],
    /// Upper edge of it.
    pub upper: &'a [f64],
}

/// The measures of one forecast, or the means of many.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measures {
    /// Symmetric mean absolute percentage error.
    pub smape: f64,
    /// Mean absolute error over that of repeating the last season within the past.
    pub mase: f64,
    /// sMAPE of Naive2.
    pub naive_smape: f64,
    /// MASE of Naive2.
    pub naive_mase: f64,
    /// Share of what came that lay within the band.
    pub coverage: f64,
    /// Loss of the quantiles, the mean of three.
    pub wql: f64,
}

impl Measures {
    /// The measures of one forecast of a series whose season has `period` values; `None` where they are not defined,
    /// because the past repeats itself exactly or is shorter than a season.
    pub fn of(held: Held<'_>, period: usize) -> Option<Self> {
        let naive = naive2(held.past, held.actual.len(), period);
        let unit = mean(held.past.iter().zip(held.past.get(period..)?).map(|(before, value)| (value - before).abs()));
        let size: f64 = held.actual.iter().map(|value| value.abs()).sum();
        if !(unit > 0.0 && size > 0.0) {
            return None;
        }
        let error = |expected: &[f64]| mean(held.actual.iter().zip(expected).map(|(value, e)| (value - e).abs()));
        let inside = held.actual.iter().zip(held.lower.iter().zip(held.upper));
        let losses = [(0.1, held.lower), (0.5, held.expected), (0.9, held.upper)];
        Some(Self {
            smape: smape(held.actual, held.expected),
            mase: error(held.expected) / unit,
            naive_smape: smape(held.actual, &naive),
            naive_mase: error(&naive) / unit,
            coverage: mean(inside.map(|(value, (low, high))| f64::from(u8::from(low <= value && value <= high)))),
            wql: losses.map(|(q, edge)| 2.0 * pinball(held.actual, edge, q) / size).iter().sum::<f64>() / 3.0,
        })
    }

    /// The means of several.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |part: fn(&Self) -> f64| mean(all.iter().map(part));
        Self {
            smape: mean(|one| one.smape),
            mase: mean(|one| one.mase),
            naive_smape: mean(|one| one.naive_smape),
            naive_mase: mean(|one| one.naive_mase),
            coverage: mean(|one| one.coverage),
            wql: mean(|one| one.wql),
        }
    }

    /// The overall weighted average of sMAPE and MASE relative to Naive2: below 1 is better than it.
    pub fn owa(&self) -> f64 {
        (self.smape / self.naive_smape + self.mase / self.naive_mase) / 2.0
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

fn smape(actual: &[f64], expected: &[f64]) -> f64 {
    let share = |(value, expected): (&f64, &f64)| match value.abs() + expected.abs() {
        0.0 => 0.0,
        sum => 200.0 * (value - expected).abs() / sum,
    };
    mean(actual.iter().zip(expected).map(share))
}

fn pinball(actual: &[f64], edge: &[f64], q: f64) -> f64 {
    actual.iter().zip(edge).map(|(value, edge)| (q * (value - edge)).max((q - 1.0) * (value - edge))).sum()
}

/// The last value on top of the season, where there is one.
fn naive2(past: &[f64], horizon: usize, period: usize) -> Vec<f64> {
    let Some(last) = past.last() else { return vec![0.0; horizon] };
    if !is_seasonal(past, period) {
        return vec![*last; horizon];
    }
    let index = seasonal_index(past, period);
    let level = last / index[(past.len() - 1) % period];
    (past.len()..past.len() + horizon).map(|at| level * index[at % period]).collect()
}

/// Whether the autocorrelation at the period exceeds what chance and the shorter lags make.
fn is_seasonal(past: &[f64], period: usize) -> bool {
    let centre = mean(past.iter().copied());
    let power: f64 = past.iter().map(|value| (value - centre).powi(2)).sum();
    if period < 2 || past.len() < 3 * period || power == 0.0 {
        return false;
    }
    let correlation = |lag: usize| {
        past[lag..].iter().zip(past).map(|(later, value)| (later - centre) * (value - centre)).sum::<f64>() / power
    };
    let shorter: f64 = (1..period).map(|lag| correlation(lag).powi(2)).sum();
    correlation(period).abs() > SEASONAL_TEST * ((1.0 + 2.0 * shorter) / past.len() as f64).sqrt()
}

/// Ratios to a centred moving average of one period, averaged by slot, with a mean of one.
fn seasonal_index(past: &[f64], period: usize) -> Vec<f64> {
    let even = period.is_multiple_of(2);
    let half = period / 2;
    let mut slots = vec![(0.0, 0.0); period];
    for at in half..past.len() - half {
        let window = &past[at - half..=at + half];
        let edges = if even { (window[0] + window[window.len() - 1]) / 2.0 } else { 0.0 };
        let ratio = past[at] * period as f64 / (window.iter().sum::<f64>() - edges);
        if ratio.is_finite() {
            slots[at % period].0 += ratio;
            slots[at % period].1 += 1.0;
        }
    }
    let index: Vec<f64> = slots.iter().map(|(sum, count)| if *count > 0.0 { sum / count } else { 1.0 }).collect();
    let level = mean(index.iter().copied());
    index.into_iter().map(|value| value / level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_worked_by_hand() {
        // The past 1 2 1 3 has differences of 0 and 1 at a distance of 2: a unit of 0.5. Naive2 finds no season in so
        // little and repeats the 3.
        let (past, actual, expected) = ([1.0, 2.0, 1.0, 3.0], [2.0, 4.0], [3.0, 4.0]);
        let held = Held { past: &past, actual: &actual, expected: &expected, lower: &[2.5, 3.0], upper: &[3.5, 5.0] };
        let found = Measures::of(held, 2).unwrap();
        assert_eq!(found.smape, (200.0 / 5.0) / 2.0);
        assert_eq!(found.mase, 0.5 / 0.5);
        assert_eq!((found.naive_smape, found.naive_mase), ((40.0 + 200.0 / 7.0) / 2.0, 1.0 / 0.5));
        assert_eq!(found.coverage, 0.5);
        // 10 %: 0.9 * 0.5 + 0.1 * 1; 50 %: 0.5; 90 %: 0.1 * 1.5 + 0.1 * 1, each twice and over 6.
        assert!((found.wql - 2.0 * (0.55 + 0.5 + 0.25) / 6.0 / 3.0).abs() < 1e-12);
        assert!((found.owa() - (20.0 / found.naive_smape + 0.5) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn naive2_continues_a_multiplicative_season() {
        let past: Vec<f64> = (0..40).map(|i| (10.0 + f64::from(i)) * [0.5, 1.0, 1.5, 1.0][i as usize % 4]).collect();
        let naive = naive2(&past, 4, 4);
        for (value, factor) in naive.iter().zip([0.5, 1.0, 1.5, 1.0]) {
            assert!((value - 49.0 * factor).abs() < 1.0, "{naive:?}");
        }
    }

    #[test]
    fn what_repeats_itself_exactly_has_no_measures() {
        let held = |past: &'static [f64]| Held { past, actual: &[1.0], expected: &[1.0], lower: &[1.0], upper: &[1.0] };
        assert_eq!(Measures::of(held(&[1.0, 2.0, 1.0, 2.0]), 2), None);
        assert_eq!(Measures::of(held(&[1.0]), 2), None);
    }
}
