//! One series: its windows, what is usual for them, and the word on each.
//!
//! A window's score is how far its newest values are, as a root mean square in standard deviations, from what the windows
//! before had; or it is what the user's own model says. The deviation is never less than a thousandth of what the series' family spans, so that the last digits
//! of a constant are no news.
//!
//! Not here: the limit of scores (see `limit`), where samples come from (see `runner`).
//!
//! Invariants: time is that of the samples alone, so that old samples give the same words as new ones did; a window is
//! compared with those before it.

use super::limit::ScoreLimit;
use super::model::{WindowModel, WindowModelError};
use super::runner::{Judge, Settings};
use crate::analysis::Severity;
use crate::analysis::drift::Drift;
use crate::analysis::prepare::{FeatureNormalizer, WindowAggregator, WindowStats};
use crate::anomaly::run::{AnomalyKind, AnomalyRun, Peak, Side, VoteRecord};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// Windows from which a series' own past tells what is usual.
const WINDOWS_MIN: usize = 12;
/// The least deviation, as a share of what the family spans, or of the magnitude where families are not told apart.
const DEVIATION_SHARE_MIN: f64 = 1e-3;
/// Normal windows in a row after which a run is over.
const CALM_WINDOWS: u32 = 3;
/// Windows between two looks at drift.
const DRIFT_EVERY: usize = 50;
/// The detectors' names in votes.
const BASELINE: &str = "window_baseline";
const MODEL: &str = "window_model";

/// By what values are made comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// What the series of the same name span.
    PerMetricFamily,
    /// Nothing but their own magnitude.
    Off,
}

/// What became of the newest samples.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Runs that began, grew or ended.
    pub(super) runs: Vec<AnomalyRun>,
    pub(super) windows: u64,
    pub(super) anomalous: u64,
    pub(super) drifts: u64,
    pub(super) model_errors: u64,
}

/// The word on one window.
#[derive(Debug, Clone, Copy)]
struct Word {
    score: f64,
    limit: f64,
    expected: f64,
    deviation: f64,
    by_model: bool,
}

/// What is remembered of one series.
#[derive(Debug)]
pub(super) struct WindowedSeries {
    key: Arc<[u8]>,
    family: String,
    windows: WindowAggregator,
    /// The newest values, as many as the model takes.
    newest: VecDeque<f64>,
    /// Mean and variance of the windows before.
    past: VecDeque<(f64, f64)>,
    /// Means of the windows that the later ones are compared with.
    reference: Vec<f64>,
    since_look: usize,
    limit: ScoreLimit,
    run: Option<AnomalyRun>,
    calm: u32,
    /// Time of the newest sample it saw.
    pub(super) last_ms: i64,
}

impl WindowedSeries {
    pub(super) fn new(key: Arc<[u8]>, family: String, settings: &Settings) -> Self {
        Self {
            key,
            family,
            windows: WindowAggregator::new(settings.window),
            newest: VecDeque::new(),
            past: VecDeque::new(),
            reference: Vec::new(),
            since_look: 0,
            limit: ScoreLimit::new(settings.calibration_window, settings.std_multiplier),
            run: None,
            calm: 0,
            last_ms: i64::MIN,
        }
    }

    /// Samples that came too late for their window.
    pub(super) fn late(&self) -> u64 {
        self.windows.late()
    }

    /// Its run, if it has one, as over.
    pub(super) fn end(self) -> Option<AnomalyRun> {
        self.run.map(|run| AnomalyRun { is_open: false, ..run })
    }

    /// The limit in force.
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit.limit()
    }

    /// Takes a sample in; without `raises` it only learns, as from what was before the start.
    pub(super) fn observe(
        &mut self,
        (time_ms, value): (i64, f64),
        scales: &mut FeatureNormalizer,
        (settings, judge): (&Settings, &Judge),
        raises: bool,
        told: &mut Told,
    ) {
        self.last_ms = self.last_ms.max(time_ms);
        scales.observe(&self.family, value);
        for window in self.windows.observe(time_ms, value) {
            told.windows += 1;
            let word = self.judge(&window, scales, settings).and_then(|usual| match self.error(scales, judge) {
                None => Some(usual),
                Some(Ok(score)) => score.map(|score| Word { score, by_model: true, ..usual }),
                Some(Err(_)) => {
                    told.model_errors += 1;
                    judge.falls_back.then_some(usual)
                }
            });
            let is_anomalous = word.is_some_and(|word| word.score > word.limit);
            told.anomalous += u64::from(is_anomalous && raises);
            if raises {
                self.follow(&window, word.filter(|_| is_anomalous), settings, &mut told.runs);
            }
            self.learn(&window, word.map(|word| word.score), is_anomalous, settings);
            told.drifts += u64::from(self.has_drifted(settings));
        }
        // A window ends before the value that closes it.
        if let Some(length) = judge.model.as_ref().and_then(WindowModel::length) {
            if self.newest.len() >= length {
                self.newest.pop_front();
            }
            self.newest.push_back(value);
        }
    }

    fn judge(&self, window: &WindowStats, scales: &FeatureNormalizer, settings: &Settings) -> Option<Word> {
        if self.past.len() < WINDOWS_MIN {
            return None;
        }
        let count = self.past.len() as f64;
        let expected = self.past.iter().map(|(mean, _)| mean).sum::<f64>() / count;
        let between = self.past.iter().map(|(mean, _)| (mean - expected).powi(2)).sum::<f64>() / count;
        let within = self.past.iter().map(|(_, variance)| variance).sum::<f64>() / count;
        let span = match settings.normalization {
            Normalization::PerMetricFamily => scales.span(&self.family).unwrap_or(0.0),
            Normalization::Off => expected.abs(),
        };
        let deviation = (between + within).sqrt().max(DEVIATION_SHARE_MIN * span).max(f64::MIN_POSITIVE);
        let squares = window.raw_sequence.iter().map(|value| ((value - expected) / deviation).powi(2));
        let score = (squares.sum::<f64>() / window.raw_sequence.len().max(1) as f64).sqrt();
        // Without enough scores there is no limit, and nothing is beyond it.
        let limit = self.limit.limit().unwrap_or(f64::INFINITY);
        Some(Word { score, limit, expected, deviation, by_model: false })
    }

    /// What the model says of the newest values: nothing if there is no model, and no score while they are too few.
    fn error(&self, scales: &FeatureNormalizer, judge: &Judge) -> Option<Result<Option<f64>, WindowModelError>> {
        let model = judge.model.as_ref()?;
        let length = model.length().unwrap_or(0);
        let Some(skip) = self.newest.len().checked_sub(length) else { return Some(Ok(None)) };
        let newest: Vec<f64> = self.newest.iter().skip(skip).copied().collect();
        Some(model.error(scales.tensor(&self.family, &newest)).map(Some))
    }

    fn learn(&mut self, window: &WindowStats, score: Option<f64>, is_anomalous: bool, settings: &Settings) {
        if let Some(score) = score {
            self.limit.learn(score);
        }
        // What is anomalous must not teach that it is usual; that it lasts is for drift to find.
        if !is_anomalous {
            if self.past.len() >= settings.calibration_window {
                self.past.pop_front();
            }
            self.past.push_back((window.mean, window.std_dev * window.std_dev));
        }
        if self.reference.len() < 2 * settings.calibration_window {
            self.reference.push(window.mean);
        } else {
            self.reference.rotate_left(1);
            if let Some(last) = self.reference.last_mut() {
                *last = window.mean;
            }
        }
    }

    /// Whether the newer half of the last windows is of another population than the older; what was learned is then
    /// forgotten but for the newer half.
    fn has_drifted(&mut self, settings: &Settings) -> bool {
        self.since_look += 1;
        let half = settings.calibration_window;
        if self.since_look < DRIFT_EVERY || self.reference.len() < 2 * half {
            return false;
        }
        self.since_look = 0;
        let (before, after) = self.reference.split_at(half);
        if !Drift::between(before, after).is_some_and(|drift| settings.drift.is_passed(drift)) {
            return false;
        }
        let within = self.past.iter().map(|(_, variance)| variance).sum::<f64>() / self.past.len().max(1) as f64;
        self.past = after.iter().map(|mean| (*mean, within)).collect();
        self.reference = after.to_vec();
        self.limit = ScoreLimit::new(settings.calibration_window, settings.std_multiplier);
        true
    }

    /// Goes on with the run, begins one or ends it.
    fn follow(&mut self, window: &WindowStats, word: Option<Word>, settings: &Settings, runs: &mut Vec<AnomalyRun>) {
        let Some(word) = word else {
            self.calm += 1;
            if self.calm >= CALM_WINDOWS
                && let Some(run) = self.run.take()
            {
                runs.push(AnomalyRun { is_open: false, ..run });
            }
            return;
        };
        self.calm = 0;
        let peak = self.peak(window, word, settings);
        match &mut self.run {
            Some(run) => {
                (run.last_ms, run.samples) = (window.timestamp, run.samples.saturating_add(1));
                if peak.score > run.peak.score {
                    run.peak = peak;
                }
                runs.push(run.clone());
            }
            None => {
                let (start_ms, key) = (window.timestamp, self.key.clone());
                let run = AnomalyRun { key, start_ms, last_ms: start_ms, is_open: true, samples: 1, peak };
                runs.push(run.clone());
                self.run = Some(run);
            }
        }
    }

    fn peak(&self, window: &WindowStats, word: Word, settings: &Settings) -> Peak {
        let score = grade(word.score / word.limit, settings.warning_ratio, settings.critical_ratio);
        // The limit of a model is none of values; what is usual beside it is so many deviations.
        let reach = word.deviation * if word.by_model { settings.std_multiplier } else { word.limit };
        let direction = if window.mean < word.expected { Side::Below } else { Side::Above };
        let seconds = settings.window.window_size_ms as f64 / 1000.0;
        Peak {
            time_ms: window.timestamp,
            value: window.mean,
            expected: word.expected,
            lower: word.expected - reach,
            upper: word.expected + reach,
            score,
            severity: Severity::of(score),
            direction,
            kind: AnomalyKind::Collective,
            votes: vec![VoteRecord {
                detector: Cow::Borrowed(if word.by_model { MODEL } else { BASELINE }),
                score,
                anomalous: true,
                abstained: false,
                contribution: score,
            }],
            summary: match word.by_model {
                true => format!(
                    "{}: the model is off by {:.4} at the end of {seconds} s with a mean of {:.4}; its limit is {:.4}",
                    self.family, word.score, window.mean, word.limit
                ),
                false => format!(
                    "{} has a mean of {:.4} over {seconds} s where {:.4} is usual: {:.2} standard deviations, {:.2} of \
                     which are the limit",
                    self.family, window.mean, word.expected, word.score, word.limit
                ),
            },
        }
    }
}

/// From multiples of the limit to a score: 0.6 at the limit, 0.7 at the ratio of warnings, 0.9 at that of critical ones.
fn grade(ratio: f64, warning: f64, critical: f64) -> f64 {
    let between = |low: f64, high: f64| ((ratio - low) / (high - low).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    match () {
        () if ratio < warning => 0.6 + 0.0999 * between(1.0, warning),
        () if ratio < critical => 0.7 + 0.1999 * between(warning, critical),
        () => 0.9 + 0.1 * (1.0 - critical / ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drift::DriftLimit;
    use crate::analysis::prepare::WindowConfig;

    fn settings() -> Settings {
        Settings {
            window: WindowConfig { window_size_ms: 60_000, step_ms: 10_000, ..WindowConfig::default() },
            ..Settings::default()
        }
    }

    /// What is told of a value every second.
    fn told(settings: &Settings, values: impl Iterator<Item = f64>) -> Told {
        told_by(settings, &Judge { model: None, falls_back: true }, values)
    }

    fn told_by(settings: &Settings, judge: &Judge, values: impl Iterator<Item = f64>) -> Told {
        let mut series = WindowedSeries::new(Arc::from(&b"k"[..]), "cpu".to_owned(), settings);
        let (mut scales, mut told) = (FeatureNormalizer::default(), Told::default());
        for (at, value) in values.enumerate() {
            series.observe((at as i64 * 1000, value), &mut scales, (settings, judge), true, &mut told);
        }
        told
    }

    fn usual(at: i64) -> f64 {
        50.0 + (at * 7919 % 101) as f64 / 50.0
    }

    #[test]
    fn a_minute_far_from_all_others_is_one_run() {
        let values = (0..3000).map(|at| if (2000..2060).contains(&at) { 90.0 } else { usual(at) });
        let told = told(&settings(), values);
        assert_eq!(told.windows, 294);
        let starts: std::collections::BTreeSet<i64> = told.runs.iter().map(|run| run.start_ms).collect();
        assert_eq!(starts.len(), 1, "{:?}", told.runs);
        let last = told.runs.last().unwrap();
        assert!(!last.is_open && last.peak.severity == Severity::Critical && last.peak.direction == Side::Above);
        assert!((2_000_000..=2_020_000).contains(&last.start_ms));
    }

    #[test]
    fn normal_values_and_the_last_digits_of_a_constant_are_no_news() {
        let quiet = told(&settings(), (0..20_000).map(usual));
        assert!(quiet.anomalous as f64 / (quiet.windows as f64) < 0.01, "{} of {}", quiet.anomalous, quiet.windows);
        let digits = (0..5000).map(|at| if at == 0 { 0.0 } else { 100.0 + if at % 500 == 499 { 1e-6 } else { 0.0 } });
        assert_eq!(told(&settings(), digits).anomalous, 0);
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn a_model_judges_by_its_error_and_what_it_cannot_judge_is_counted() {
        let strict = Settings { std_multiplier: 0.1, ..settings() };
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/onnx/samples/lstm.onnx");
        let model = WindowModel::load(path.as_ref(), "input", "reconstruction_error").unwrap();
        let told = told_by(&strict, &Judge { model: Some(model), falls_back: false }, (0..3000).map(usual));
        assert!(told.windows > 250 && told.model_errors == 0);
        let votes = || told.runs.iter().flat_map(|run| &run.peak.votes);
        assert!(votes().count() > 0 && votes().all(|vote| vote.detector == MODEL));
        assert!(told.runs[0].peak.summary.contains("the model is off by"), "{}", told.runs[0].peak.summary);
        // One that is not loaded: nobody judges, or the statistics do.
        for falls_back in [false, true] {
            let judge = Judge { model: Some(WindowModel::default()), falls_back };
            let values = (0..3000).map(|at| if (2000..2060).contains(&at) { 90.0 } else { usual(at) });
            let told = told_by(&settings(), &judge, values);
            assert!(told.model_errors > 200);
            assert_eq!(told.runs.is_empty(), !falls_back);
            assert!(told.runs.iter().all(|run| run.peak.votes[0].detector == BASELINE));
        }
    }

    #[test]
    fn too_few_samples_make_no_window() {
        let fifteen = settings();
        let sparse = Settings { window: WindowConfig { min_samples: 100, ..fifteen.window }, ..fifteen };
        assert_eq!(told(&sparse, (0..1000).map(usual)).windows, 0);
    }

    #[test]
    fn the_ratio_to_the_limit_makes_the_severity() {
        let severity = |ratio| Severity::of(grade(ratio, 1.5, 2.5));
        assert_eq!(
            [1.01, 1.49, 1.5, 2.49, 2.5, 100.0].map(severity).map(|s| s.as_str()),
            ["low", "low", "medium", "high", "critical", "critical"]
        );
        assert!(grade(f64::MAX, 1.5, 2.5) <= 1.0);
        // With ratios of 1 and 2: critical beyond twice the limit, else a warning.
        let alert = |ratio| Severity::of(grade(ratio, 1.0, 2.0)) == Severity::Critical;
        assert_eq!([1.01, 1.99, 2.01].map(alert), [false, false, true]);
        assert!(Severity::of(grade(1.01, 1.0, 2.0)) >= Severity::Medium, "a warning of alerts");
    }

    #[test]
    fn a_lasting_change_is_drift_and_then_usual() {
        let short = Settings { calibration_window: 100, ..settings() };
        let told = told(&short, (0..12_000).map(|at| usual(at) + if at < 6000 { 0.0 } else { 30.0 }));
        assert!(told.drifts >= 1);
        assert!(!told.runs.last().unwrap().is_open, "the new level is usual in the end");
        let never = Settings { drift: DriftLimit::Off, ..short };
        let values = (0..12_000).map(|at| usual(at) + if at < 6000 { 0.0 } else { 30.0 });
        assert_eq!(super::tests::told(&never, values).drifts, 0);
    }
}
