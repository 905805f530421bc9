//! What a foundation model is asked about a series, and when: a history on a grid of the series' own step, and bands of
//! the steps after it.
//!
//! Not here: how a band judges (see `foreseen`), the model (see `pretrained`), who asks in a server (see the foundation
//! layer).
//!
//! Invariant: a band is made of samples up to its time and of nothing later.

use super::foreseen::{ForecastBand, LEVELS};
use super::kind::KindInference;
use super::prepare::{Arrival, StepClock, counter_rate};
use super::{Kind, SeriesModel, pretrained};
use std::collections::VecDeque;

/// Samples from which a series is forecast: fewer than this are no rhythm of anything.
pub const SAMPLES_MIN: usize = 64;

/// Cells of a history at most: more cost more than they tell.
pub const CELLS_MAX: usize = 512;

/// Steps of a band.
pub const STEPS: usize = 64;

/// Least share of cells with a sample: what is mostly gaps has no next step.
const FILLED_MIN: f64 = 0.5;

/// A history that can be forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Oldest first, a step apart; NaN where there is no sample.
    pub cells: Vec<f64>,
    /// Time of the newest cell, milliseconds since 1970 UTC.
    pub last_ms: i64,
    /// Milliseconds between cells.
    pub step_ms: f64,
}

impl History {
    /// Of what was judged of a series, in order of time; `None` where it is too little, or mostly gaps.
    pub fn of(judged: impl DoubleEndedIterator<Item = (i64, f64)>, step_ms: f64) -> Option<Self> {
        let mut backwards = judged.rev().peekable();
        let &(last_ms, _) = backwards.peek()?;
        let mut cells = Vec::with_capacity(CELLS_MAX);
        let mut filled = 0;
        for (time_ms, value) in backwards {
            let back = (last_ms.saturating_sub(time_ms) as f64 / step_ms).round();
            if back >= CELLS_MAX as f64 {
                break;
            }
            // Of two in one cell the newer is kept.
            if back as usize >= cells.len() {
                cells.resize(back as usize, f64::NAN);
                cells.push(value);
                filled += 1;
            }
        }
        cells.reverse();
        let is_enough = filled >= SAMPLES_MIN && filled as f64 >= FILLED_MIN * cells.len() as f64;
        is_enough.then_some(Self { cells, last_ms, step_ms })
    }
}

/// The bands of the steps after each history; `None` where no model is built in or it has nothing to say.
pub fn bands(histories: &[History]) -> Vec<Option<ForecastBand>> {
    let cells: Vec<&[f64]> = histories.iter().map(|history| &history.cells[..]).collect();
    let Some(told) = pretrained::quantiles(&cells, STEPS, LEVELS) else { return vec![None; histories.len()] };
    let of = |(history, steps): (&History, Vec<[f64; 3]>)| {
        ForecastBand::new(history.last_ms, history.step_ms, steps.into_iter())
    };
    histories.iter().zip(told).map(of).collect()
}

/// Follows the samples of one series as far as it takes to know what is judged of them.
#[derive(Debug, Clone)]
pub struct Follower {
    inference: KindInference,
    steps: StepClock,
    judged: VecDeque<(i64, f64)>,
    /// Samples since the kind was last changed.
    samples: usize,
}

impl Follower {
    /// Of a series of this kind, or one to be told from the values.
    pub fn new(kind: Option<Kind>) -> Self {
        Self { inference: KindInference::new(kind), steps: StepClock::default(), judged: VecDeque::new(), samples: 0 }
    }

    /// Takes the next sample; whether it could be judged.
    pub fn observe(&mut self, time_ms: i64, value: f64) -> bool {
        if value.is_nan() || value.abs() > super::model::MAGNITUDE_MAX {
            return false;
        }
        let arrival = self.steps.observe(time_ms);
        if arrival == Arrival::NotLater {
            return false;
        }
        let before = self.inference.kind();
        let (kind, last) = self.inference.observe(value);
        if kind != before {
            (self.samples, self.judged) = (0, VecDeque::new());
        }
        let (Arrival::Next(passed_ms) | Arrival::AfterGap(passed_ms)) = arrival else {
            return self.keep(time_ms, value, kind != Kind::Counter);
        };
        match kind {
            Kind::Counter if kind != before => false,
            Kind::Counter => match counter_rate(last, value, passed_ms) {
                Some(rate) => self.keep(time_ms, rate, rate.is_finite()),
                None => false,
            },
            _ => self.keep(time_ms, value, true),
        }
    }

    fn keep(&mut self, time_ms: i64, judged: f64, is_judged: bool) -> bool {
        if is_judged {
            if self.judged.len() == CELLS_MAX {
                self.judged.pop_front();
            }
            self.judged.push_back((time_ms, judged));
            self.samples += 1;
        }
        is_judged
    }

    /// What was judged so far on a grid of its own step; `None` where it is too little.
    pub fn history(&self) -> Option<History> {
        self.history_by(self.steps.step_ms())
    }

    /// The same on a grid of another step.
    pub fn history_by(&self, step_ms: f64) -> Option<History> {
        History::of(self.judged.iter().copied(), step_ms)
    }

    /// Whether a forecast is due, which it is first after [`SAMPLES_MIN`] samples and then after every `refresh`.
    fn is_due(&self, refresh: usize) -> bool {
        self.samples >= SAMPLES_MIN && (self.samples - SAMPLES_MIN).is_multiple_of(refresh)
    }
}

/// Histories that are forecast together.
const BATCH: usize = 64;

/// Samples after which a band is made anew where nothing says otherwise: a quarter of its steps.
pub const REFRESH: usize = STEPS / 4;

/// The bands of a whole series, each made from what was before it.
#[derive(Debug, Clone, Default)]
pub struct Ahead {
    /// After how many of the samples each holds.
    bands: VecDeque<(usize, ForecastBand)>,
    samples: usize,
}

impl Ahead {
    /// Forecasts along a series after [`SAMPLES_MIN`] samples and then after every `refresh`, many at a time.
    pub fn of(kind: Option<Kind>, refresh: usize, samples: impl Iterator<Item = (i64, f64)>) -> Self {
        let mut follower = Follower::new(kind);
        let (mut waiting, mut found) = (Vec::with_capacity(BATCH), VecDeque::new());
        let mut forecast = |waiting: &mut Vec<(usize, History)>| {
            let (places, histories): (Vec<usize>, Vec<History>) = waiting.drain(..).unzip();
            let told = places.into_iter().zip(bands(&histories));
            found.extend(told.filter_map(|(at, band)| Some((at, band?))));
        };
        for (at, (time_ms, value)) in samples.enumerate() {
            if follower.observe(time_ms, value) && follower.is_due(refresh.max(1)) {
                waiting.extend(follower.history().map(|history| (at + 1, history)));
                if waiting.len() == BATCH {
                    forecast(&mut waiting);
                }
            }
        }
        forecast(&mut waiting);
        Self { bands: found, samples: 0 }
    }

    /// The model has observed the next sample of the series: it is shown the band made of the samples so far, if any was.
    #[inline]
    pub fn show(&mut self, model: &mut SeriesModel) {
        self.samples += 1;
        while let Some((_, band)) = self.bands.pop_front_if(|(after, _)| *after <= self.samples) {
            model.foresee(band);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Settings;

    fn gauge(at: i64) -> (i64, f64) {
        let noise = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) % 1000;
        (at * 10_000, 50.0 + noise as f64 / 500.0)
    }

    #[test]
    fn a_history_lies_on_the_grid_of_its_step_with_gaps() {
        let samples = (0..100).filter(|at| at % 10 != 5).map(|at| (at * 1000 + at % 3 * 50, at as f64));
        let history = History::of(samples.collect::<Vec<_>>().into_iter(), 1000.0).unwrap();
        assert_eq!((history.cells.len(), history.last_ms), (100, 99_000));
        assert!(history.cells[5].is_nan() && history.cells[95].is_nan());
        assert_eq!((history.cells[0], history.cells[99], history.cells[42]), (0.0, 99.0, 42.0));
        let sparse = (0..100).map(|at| (at * 5000, at as f64)).collect::<Vec<_>>();
        assert!(History::of(sparse.clone().into_iter(), 1000.0).is_none(), "mostly gaps");
        assert!(History::of(sparse.into_iter().take(63), 5000.0).is_none(), "too few");
        let long = (0..2000).map(|at| (at * 1000, at as f64)).collect::<Vec<_>>();
        assert_eq!(History::of(long.into_iter(), 1000.0).unwrap().cells.len(), CELLS_MAX);
    }

    #[test]
    fn a_follower_knows_what_the_model_judges() {
        let counter = |at: i64| (at * 10_000, (at * at % 7 + at * 40) as f64 - if at > 300 { 12_000.0 } else { 0.0 });
        let mixed = |at: i64| if at < 60 { counter(at) } else { gauge(at) };
        for (name, value) in [("gauge", &gauge as &dyn Fn(i64) -> (i64, f64)), ("counter", &counter), ("both", &mixed)]
        {
            let (mut follower, mut model) = (Follower::new(None), SeriesModel::new(None, Settings::default()));
            for at in (0..400).filter(|at| at % 50 != 7) {
                let (time_ms, value) = value(at);
                for (time_ms, value) in [(time_ms, value), (time_ms, 1e9), (time_ms + 1, f64::NAN)] {
                    let judged = model.observe(time_ms, value).judged;
                    assert_eq!(follower.observe(time_ms, value), judged.is_some(), "{name} {at}");
                    assert!(judged.is_none() || follower.judged.back().map(|last| last.1) == judged, "{name} {at}");
                }
            }
        }
    }

    #[cfg(feature = "foundation")]
    #[test]
    fn a_young_series_is_judged_by_its_forecast_after_64_samples_and_says_so() {
        let flagged = |has_forecasts: bool, spike: i64| {
            let samples = || (0..200).map(gauge).map(|(at, value)| (at, if at == spike { 80.0 } else { value }));
            let mut ahead = if has_forecasts { Ahead::of(None, REFRESH, samples()) } else { Ahead::default() };
            let mut model = SeriesModel::new(None, Settings::default());
            let judge = |(time_ms, value)| {
                let verdict = model.observe(time_ms, value);
                ahead.show(&mut model);
                verdict
            };
            let verdicts: Vec<_> = samples().map(judge).collect();
            let flags = verdicts.iter().filter(|verdict| verdict.is_anomaly).count();
            (flags, verdicts[(spike / 10_000) as usize])
        };
        let (flags, verdict) = flagged(true, 700_000);
        assert!(flags == 1 && verdict.is_anomaly && verdict.is_prior(), "{flags} {verdict:?}");
        assert!(verdict.sentence("cpu").contains("the foundation model's forecast counts"));
        assert!((verdict.contributions().iter().map(|(_, share)| share).sum::<f64>() - verdict.score).abs() < 1e-9);
        assert!(!flagged(true, 500_000).1.is_prior(), "before 64 samples there is no forecast");
        assert!(!flagged(false, 700_000).1.is_prior());
    }

    #[cfg(feature = "foundation")]
    #[test]
    fn a_band_depends_on_nothing_later() {
        let bands = |samples: i64| Ahead::of(None, 16, (0..samples).map(gauge)).bands;
        let (short, long) = (bands(130), bands(400));
        assert_eq!((short.len(), long.len()), (5, 22));
        for ((after, band), (same_after, same)) in short.iter().zip(&long) {
            assert_eq!((after, format!("{band:?}")), (same_after, format!("{same:?}")));
        }
    }
}
