//! How many anomalies are raised on normal data of many kinds, beside what the budget grants.
//!
//! The promise: pooled over all kinds the rate is at most twice the budget, and at most one series in a hundred exceeds it
//! significantly: by more than a Poisson process of that rate does in one of a thousand cases.
//!
//! Not here: the kinds (see `synthetic::normal`), anomalous data (see `quality`).

use super::super::output::Rows;
use crate::analysis::{Kind, SeriesModel, Settings};
use crate::synthetic::{Normal, NormalKind};

const MONTH_S: i64 = 30 * 86_400;
/// A Wednesday, 00:00 UTC.
const START_S: i64 = 1_704_240_000;
/// Normal samples after which the next flagged one is another anomaly.
const CALM: u32 = 5;
/// The chance at which a series exceeds the budget significantly.
const CHANCE: f64 = 0.001;

/// Steps in seconds, months of each series, and series of each kind: 1008 and 56 series-months.
const PLANS: [(i64, i64, u64); 2] = [(3600, 2, 36), (300, 1, 4)];

/// What series of one kind raised.
#[derive(Debug, Clone, Default)]
struct Raised {
    months: i64,
    /// Of each series.
    anomalies: Vec<u32>,
}

impl Raised {
    fn per_month(&self) -> f64 {
        f64::from(self.anomalies.iter().sum::<u32>()) / self.months.max(1) as f64
    }

    /// Series that exceed `allowed` anomalies a month significantly.
    fn beyond(&self, allowed: f64) -> usize {
        let mean = allowed * self.months as f64 / self.anomalies.len().max(1) as f64;
        self.anomalies.iter().filter(|count| poisson_tail(**count, mean) < CHANCE).count()
    }
}

/// The chance of at least so many events where so many are usual.
fn poisson_tail(count: u32, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    let mut below = 0.0;
    for k in 0..count {
        below += term;
        term *= mean / f64::from(k + 1);
    }
    1.0 - below
}

/// Anomalies in so many months of one series: runs of flagged samples.
fn anomalies(kind: NormalKind, (step_s, months): (i64, i64), seed: u64) -> u32 {
    let mut data = Normal::new(kind, step_s, seed);
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let (mut runs, mut since) = (0, u32::MAX);
    for i in 0..months * MONTH_S / step_s {
        let second = START_S + i * step_s;
        since = since.saturating_add(1);
        if model.observe(second * 1000, data.next(second)).is_anomaly {
            runs += u32::from(since > CALM);
            since = 0;
        }
    }
    runs
}

fn raised(kind: NormalKind, (step_s, months, series): (i64, i64, u64)) -> Raised {
    let anomalies = (0..series).map(|seed| anomalies(kind, (step_s, months), seed)).collect();
    Raised { months: months * series as i64, anomalies }
}

fn pooled(all: &[Raised]) -> Raised {
    let months = all.iter().map(|raised| raised.months).sum();
    Raised { months, anomalies: all.iter().flat_map(|raised| raised.anomalies.iter().copied()).collect() }
}

/// A row for each kind and step, and for all together.
pub(super) fn rows() -> Rows {
    let allowed = Settings::default().anomalies_per_month;
    let mut rows = Rows::new(&[
        "data",
        "step_s",
        "series_months",
        "budget_a_month",
        "anomalies_a_month",
        "series",
        "beyond_budget",
    ]);
    for plan in PLANS {
        let all: Vec<Raised> = NormalKind::ALL.into_iter().map(|kind| raised(kind, plan)).collect();
        let named = NormalKind::ALL.into_iter().map(NormalKind::as_str).zip(&all);
        for (name, raised) in named.chain([("all together", &pooled(&all))]) {
            let rate = (raised.per_month() * 1000.0).round() / 1000.0;
            rows.push(vec![
                name.into(),
                plan.0.into(),
                raised.months.into(),
                allowed.into(),
                rate.into(),
                raised.anomalies.len().into(),
                raised.beyond(allowed).into(),
            ]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The promise of the budget, on 1008 series-months of hourly samples and 56 of five-minute ones.
    #[test]
    fn normal_data_of_all_kinds_keeps_to_twice_the_budget() {
        for plan in PLANS {
            let all: Vec<Raised> = NormalKind::ALL.into_iter().map(|kind| raised(kind, plan)).collect();
            let pooled = pooled(&all);
            let rate = pooled.per_month();
            assert!(rate > 0.02 && rate <= 2.0, "{rate} anomalies a series and month at {} s", plan.0);
            let allowed = 2.0 * Settings::default().anomalies_per_month;
            let beyond = pooled.beyond(allowed);
            assert!(100 * beyond <= 2 * pooled.anomalies.len(), "{beyond} of {}", pooled.anomalies.len());
        }
    }

    #[test]
    fn the_tail_of_a_poisson_process_is_that_of_the_tables() {
        assert!((poisson_tail(1, 1.0) - 0.632_120_6).abs() < 1e-6);
        assert!((poisson_tail(5, 2.0) - 0.052_653).abs() < 1e-6);
        assert_eq!(poisson_tail(0, 3.0), 1.0);
    }
}
