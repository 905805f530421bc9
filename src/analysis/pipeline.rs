//! A whole series at once: what programs that use this crate call, and commands that judge files.
//!
//! ```
//! use infrawatch::DetectionPipeline;
//!
//! // Three weeks of hours with a daily rhythm, and one hour that has no place in it.
//! let timestamps: Vec<i64> = (0..504).map(|hour| hour * 3_600_000).collect();
//! let usual = |hour: i64| 40.0 + 20.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin() + (hour * 7 % 5) as f64;
//! let mut values: Vec<f64> = (0..504).map(usual).collect();
//! values[400] = 130.0;
//!
//! let result = DetectionPipeline::default().run(&timestamps, &values, "cpu_usage_percent")?;
//! let told: Vec<String> = result
//!     .anomalies
//!     .iter()
//!     .map(|anomaly| format!("{}: {:.1} (score={:.3})", anomaly.severity.label(), anomaly.value, anomaly.score))
//!     .collect();
//! assert_eq!(told.len(), 1);
//! assert!(told[0].contains(": 130.0 (score=0."), "{told:?}");
//! # Ok::<(), infrawatch::analysis::PipelineError>(())
//! ```
//!
//! Not here: judging one sample (see `model`), samples that arrive one by one ([`SeriesModel::observe`] takes them).
//!
//! Invariant: the verdicts are those of [`SeriesModel`]; nothing is judged differently because it came as a whole.

use super::foresight::{Ahead, REFRESH};
use super::judge::{CALM_SAMPLES, FLAG_LINE};
use super::{Kind, SeriesModel, Settings, Severity, Verdict};

/// Judges whole series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DetectionPipeline {
    /// What may be set about judging; the defaults need no setting.
    pub settings: Settings,
    /// What the values are; `None` infers it from them.
    pub kind: Option<Kind>,
    /// One causal pass, as if the samples arrived now. Otherwise all samples are learned before the first is judged, so
    /// that the beginning is judged by what came later ([`learn`]).
    pub is_streaming: bool,
    /// Whether a foundation model forecasts the series: what it says is shown among the votes, and counts as
    /// [`Settings::foundation`] says. Without such a model built in it changes nothing.
    pub has_forecasts: bool,
}

/// What is said about a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// As it was given.
    pub metric_name: String,
    /// One a sample, in the order they were given.
    pub verdicts: Vec<Verdict>,
    /// Every run of anomalous samples, in order of time.
    pub anomalies: Vec<Anomaly>,
}

/// A run of anomalous samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Time of its first sample, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Time of its last anomalous sample.
    pub end_ms: i64,
    /// Which of the samples is the most unusual, the first of equals.
    pub index: usize,
    /// The value of that sample, as it was given.
    pub value: f64,
    /// Its score, 0.6..=1.
    pub score: f64,
    /// Class of the score.
    pub severity: Severity,
    /// What was expected, why it is unusual and what would have been normal, in one sentence.
    pub summary: String,
}

/// Why a series cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PipelineError {
    /// Every value needs its time.
    #[error("{times} times do not go with {values} values")]
    Lengths {
        /// How many times there are.
        times: usize,
        /// How many values there are.
        values: usize,
    },
}

impl DetectionPipeline {
    /// Judges samples in order of time. Times are milliseconds since 1970 UTC; values that are not finite, and samples
    /// not later than the one before, are passed over with a score of 0.
    ///
    /// # Errors
    ///
    /// When there are not as many times as values.
    pub fn run(&self, timestamps: &[i64], values: &[f64], metric_name: &str) -> Result<Detection, PipelineError> {
        if timestamps.len() != values.len() {
            return Err(PipelineError::Lengths { times: timestamps.len(), values: values.len() });
        }
        let samples = || timestamps.iter().copied().zip(values.iter().copied());
        let mut model = match self.is_streaming {
            true => SeriesModel::new(self.kind, self.settings.clone()),
            false => learn(self.kind, self.settings.clone(), samples()),
        };
        let mut ahead = match self.has_forecasts {
            true => Ahead::of(self.kind, REFRESH, samples()),
            false => Ahead::default(),
        };
        let mut runs = Runs::default();
        let judge = |(time_ms, value)| {
            let verdict = model.observe(time_ms, value);
            ahead.show(&mut model);
            runs.observe(&verdict, value, metric_name);
            verdict
        };
        let verdicts = samples().map(judge).collect();
        Ok(Detection { metric_name: metric_name.to_owned(), verdicts, anomalies: runs.found })
    }
}

impl Detection {
    /// Of the worst anomaly; none if there is none.
    pub fn max_severity(&self) -> Severity {
        self.anomalies.iter().map(|anomaly| anomaly.severity).max().unwrap_or(Severity::None)
    }

    /// The most unusual anomalies, worst first, of equals the earlier.
    pub fn top(&self, count: usize) -> Vec<&Anomaly> {
        let mut top: Vec<&Anomaly> = self.anomalies.iter().collect();
        top.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.index.cmp(&right.index)));
        top.truncate(count);
        top
    }
}

/// Share of samples that learning does without at first: the most unusual ones. A fiftieth is what calibration takes
/// for the tail, so whatever could spoil it is among them as long as anomalies are not the rule.
const SUSPECT_SHARE: f64 = 0.02;

/// Passes after which what is learned has settled: the first knows nothing at its beginning.
const PASSES: usize = 2;

/// Learns all samples of a series, in order of time, for judging the same samples afterwards.
///
/// What is unusual must not teach that it is usual, or anomalies hide themselves and each other. So learning begins
/// with what is certainly usual and takes back what agrees with it, as the forward search does (Hadi 1992, Journal of
/// the Royal Statistical Society B 54): first everything is learned, to find the most unusual fiftieth; then all but
/// those, to find which of them are still flagged; at last all but the flagged ones. Runs like which there are many are
/// part of the series and will not be flagged.
pub fn learn(kind: Option<Kind>, settings: Settings, samples: impl Iterator<Item = (i64, f64)> + Clone) -> SeriesModel {
    // What is learned is gone through again, and nothing is unfamiliar then.
    let model = SeriesModel::new(kind, Settings { patterns: false, ..settings });
    let mut scores: Vec<f64> = samples.clone().map(|_| 0.0).collect();
    let mut residuals = vec![0.0f32; scores.len()];
    let mut without = vec![false; scores.len()];
    let mut learned = settle(model.clone(), samples.clone().zip(&without));
    for least in [0.0, FLAG_LINE] {
        for (at, (time_ms, value)) in samples.clone().enumerate() {
            let expected = learned.expected(time_ms);
            let verdict = learned.observe(time_ms, value);
            scores[at] = verdict.score;
            residuals[at] = expected.zip(verdict.judged).map_or(0.0, |(expected, judged)| (judged - expected) as f32);
        }
        without = most_unusual(&scores, least);
        learned = settle(model.clone(), samples.clone().zip(&without));
    }
    learned.know_events(&peaks(&most_unusual(&scores, 0.0), &residuals), scores.len());
    learned
}

/// The largest residual of each run of marked samples.
fn peaks(marks: &[bool], residuals: &[f32]) -> Vec<f32> {
    let mut peaks: Vec<f32> = Vec::new();
    let mut last = None;
    for at in (0..marks.len()).filter(|at| marks[*at]) {
        let goes_on = last.replace(at).is_some_and(|last| at - last <= CALM_SAMPLES as usize);
        match peaks.last_mut().filter(|peak| goes_on && **peak * residuals[at] >= 0.0) {
            Some(peak) if residuals[at].abs() > peak.abs() => *peak = residuals[at],
            Some(_) => {}
            None => peaks.push(residuals[at]),
        }
    }
    peaks
}

/// Learns the samples without a mark until it has settled, and goes back to the beginning.
fn settle<'a>(mut model: SeriesModel, samples: impl Iterator<Item = ((i64, f64), &'a bool)> + Clone) -> SeriesModel {
    for _ in 0..PASSES {
        for ((time_ms, value), _) in samples.clone().filter(|(_, is_left_out)| !**is_left_out) {
            model.observe(time_ms, value);
        }
        model.rewind();
        model.anchor(samples.clone().map(|(sample, _)| sample));
    }
    model
}

/// Marks the greatest scores, those of more than `least`, at most [`SUSPECT_SHARE`] of all.
fn most_unusual(scores: &[f64], least: f64) -> Vec<bool> {
    let mut above: Vec<usize> = (0..scores.len()).filter(|at| scores[*at] > least).collect();
    let count = ((SUSPECT_SHARE * scores.len() as f64) as usize).min(above.len());
    if count < above.len() {
        above.select_nth_unstable_by(count, |left, right| scores[*right].total_cmp(&scores[*left]));
    }
    let mut marks = vec![false; scores.len()];
    above[..count].iter().for_each(|at| marks[*at] = true);
    marks
}

/// Gathers the anomalies of one series from its verdicts.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    found: Vec<Anomaly>,
    samples: usize,
    /// Samples judged since the last anomalous one.
    calm: u32,
}

impl Runs {
    /// Takes the verdict on the next sample; a few calm ones do not end a run, as the judge has it. `name` is that of
    /// the series, for the sentence.
    pub fn observe(&mut self, verdict: &Verdict, value: f64, name: &str) {
        let index = self.samples;
        self.samples += 1;
        if !verdict.is_anomaly {
            // What could not be judged says nothing, also not that the run is over.
            self.calm = self.calm.saturating_add(u32::from(verdict.judged.is_some()));
            return;
        }
        let sample = || Anomaly {
            timestamp_ms: verdict.time_ms,
            end_ms: verdict.time_ms,
            index,
            value,
            score: verdict.score,
            severity: verdict.severity,
            summary: verdict.sentence(name),
        };
        match self.found.last_mut().filter(|_| self.calm < CALM_SAMPLES) {
            Some(run) if verdict.score > run.score => *run = Anomaly { timestamp_ms: run.timestamp_ms, ..sample() },
            Some(run) => run.end_ms = verdict.time_ms,
            None => self.found.push(sample()),
        }
        self.calm = 0;
    }

    /// The anomalies, in order of time.
    pub fn anomalies(&self) -> &[Anomaly] {
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts a minute apart with these scores; 0.6 and more are anomalous.
    fn of(scores: &[f64]) -> Vec<Verdict> {
        let verdict = |(at, score): (usize, &f64)| Verdict {
            judged: Some(at as f64),
            score: *score,
            is_anomaly: *score >= 0.6,
            severity: Severity::of(*score),
            ..Verdict::silent(at as i64 * 60_000)
        };
        scores.iter().enumerate().map(verdict).collect()
    }

    #[test]
    fn an_anomaly_is_a_run_with_its_most_unusual_sample() {
        let mut scores = [0.1; 20];
        (scores[2], scores[3], scores[7], scores[14]) = (0.65, 0.85, 0.7, 0.95);
        let verdicts = of(&scores);
        let mut runs = Runs::default();
        (0..20).zip(&verdicts).for_each(|(at, verdict)| runs.observe(verdict, f64::from(at), "a"));
        let [first, second] = runs.anomalies() else { panic!("{runs:#?}") };
        assert_eq!((first.timestamp_ms, first.end_ms), (120_000, 420_000));
        assert_eq!((first.index, first.value, first.severity), (3, 3.0, Severity::High));
        assert_eq!((second.timestamp_ms, second.end_ms, second.index), (840_000, 840_000, 14));
        let anomalies = vec![first.clone(), second.clone()];
        let result = Detection { metric_name: "a".to_owned(), verdicts, anomalies };
        assert_eq!(result.max_severity(), Severity::Critical);
        assert_eq!(result.top(1), [second]);
        assert_eq!(result.top(9), [second, first]);
    }

    /// Minutes around 100 with one sample changed.
    fn minutes(at: usize, value: f64) -> (Vec<i64>, Vec<f64>) {
        let noise = |at: u64| (at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / 1e7;
        let mut values: Vec<f64> = (0..3000).map(|at| 100.0 + noise(at)).collect();
        values[at] = value;
        ((0..3000).map(|at| 1_704_067_200_000 + at * 60_000).collect(), values)
    }

    #[test]
    fn the_most_unusual_are_marked_and_no_more_than_a_fiftieth() {
        let scores: Vec<f64> = (0..100).map(|at| f64::from(at * 37 % 100) / 100.0).collect();
        let marked = |least| {
            let marks = most_unusual(&scores, least);
            (0..100).filter(|at| marks[*at]).map(|at| scores[at]).fold(f64::NAN, f64::min)
        };
        assert_eq!(marked(0.5), 0.98);
        assert_eq!(most_unusual(&scores, 0.98).iter().filter(|mark| **mark).count(), 1);
        assert_eq!(most_unusual(&[], 0.0), [false; 0]);
    }

    #[test]
    fn anomalies_do_not_hide_each_other() {
        let mut runs = 0;
        let (times, mut values) = minutes(5, 100.0);
        for at in (400..2800).step_by(200) {
            values[at] = 107.0;
            runs += 1;
        }
        let result = DetectionPipeline::default().run(&times, &values, "a").unwrap();
        assert_eq!(result.anomalies.len(), runs, "{:#?}", result.anomalies);
    }

    #[test]
    fn a_leak_with_collections_is_judged_by_its_own_level_and_its_collections_are_part_of_it() {
        let (times, noise) = minutes(5, 100.0);
        // Rises by a tenth over the file; a collection takes a third now and then, some thirty in all; one real spike.
        let collected = |at: usize| at % 97 == 40;
        let usual = |at: usize| 1.0 + at as f64 / 30_000.0 - if collected(at) { 0.3 } else { 0.0 };
        let mut values: Vec<f64> = noise.iter().enumerate().map(|(at, value)| value * usual(at)).collect();
        values[2000] = 260.0;
        let result = DetectionPipeline::default().run(&times, &values, "memory").unwrap();
        let told: Vec<usize> = result.anomalies.iter().map(|anomaly| anomaly.index).collect();
        assert!((0..3000).filter(|at| collected(*at)).count() > 25);
        assert_eq!(told, [2000]);
    }

    #[test]
    fn two_passes_see_the_beginning_and_one_does_not() {
        let (times, values) = minutes(5, 900.0);
        let pipeline = |is_streaming| DetectionPipeline { is_streaming, ..DetectionPipeline::default() };
        let count = |is_streaming| pipeline(is_streaming).run(&times, &values, "a").unwrap().anomalies.len();
        assert_eq!([count(false), count(true)], [1, 0]);
    }

    #[test]
    fn nothing_gives_nothing_and_lengths_must_agree() {
        let result = DetectionPipeline::default().run(&[], &[], "a").unwrap();
        assert_eq!((result.anomalies.len(), result.max_severity()), (0, Severity::None));
        let error = DetectionPipeline::default().run(&[1], &[], "a").unwrap_err();
        assert_eq!(error.to_string(), "1 times do not go with 0 values");
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        let (times, values) = minutes(1500, f64::NAN);
        let result = DetectionPipeline::default().run(&times, &values, "a").unwrap();
        assert_eq!((result.verdicts[1500].score, result.anomalies.len()), (0.0, 0));
    }
}
