//! Detectors by name on the rows of a file: which were asked for, what each says of every row, and the word of all.
//!
//! Not here: the detectors (see `analysis::detectors`), reading files and writing results (see `detect`, `evaluate`).
//!
//! Invariant: every row has a word; rows without a usable value, and those of which nobody can say anything, score 0.

use super::CliError;
use crate::analysis::detectors::{
    self, AnomalyResult, Combined, Entry, Judgement, Options, PeriodType, Samples, combine,
};
use crate::analysis::{self, EnsembleConfig, Kind, LocalClock, SeriesModel, Settings, Verdict, VotingMode, Zone};
use crate::series_file::{FileRow, SeriesFile};
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::sync::Arc;

/// The ensemble that judges where nobody is asked for by name.
const ENSEMBLE: &str = "ensemble";

/// Who judges a series of a group where nobody is named.
const GROUP_MEMBERS: [&str; 4] = ["zscore", "ema", "seasonal", FOREST];
const FOREST: &str = "isolation_forest";

/// Which detectors judge, and what is set about them.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ByName {
    /// Detectors by name instead of the ensemble, with commas between; `list` shows them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) detectors: Vec<String>,
    /// How several become one word: majority, unanimous, weighted, any or seed003
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    vote: Vote,
    /// Limit of the named detectors' own measure, instead of each one's default
    #[arg(long, value_name = "X")]
    threshold: Option<f64>,
    /// Greatest value that the detector `static` allows
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    above: Option<f64>,
    /// Least value that the detector `static` allows
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    below: Option<f64>,
    /// Slots of the detector `seasonal`: hour, day_of_week or hour_of_week
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    period: Period,
    /// Zone of days and hours, as Europe/Berlin: of the ensemble, `seasonal`, `dynamic_threshold` and `isolation_forest`
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// Series of the file with the same value of this label are each other's features for `isolation_forest`; names nobody:
    /// zscore, ema, seasonal and isolation_forest
    #[arg(long, value_name = "LABEL")]
    group_by: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Vote {
    #[default]
    Majority,
    Unanimous,
    Weighted,
    Any,
    Seed003,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Period {
    #[default]
    Hour,
    #[value(name = "day_of_week")]
    DayOfWeek,
    #[value(name = "hour_of_week")]
    HourOfWeek,
}

/// One that was asked for.
#[derive(Debug, Clone, Copy)]
enum Member {
    Ensemble,
    Named(&'static Entry),
}

impl Member {
    fn name(self) -> &'static str {
        match self {
            Self::Ensemble => ENSEMBLE,
            Self::Named(entry) => entry.name,
        }
    }
}

/// What is said of a row.
#[derive(Debug, Clone)]
pub(super) struct RowWord {
    /// The word of all.
    pub(super) combined: Combined,
    /// What each said, in the order in which they were asked for; nothing of a row without a usable value.
    pub(super) said: Vec<AnomalyResult>,
}

impl RowWord {
    /// Expected value and band: of the first that flags the row and has one, else of the first that has one.
    pub(super) fn band(&self) -> Option<[f64; 3]> {
        let band = |judgement: &Judgement| Some([judgement.expected?, judgement.lower?, judgement.upper?]);
        let flagging = self.said.iter().filter(|result| result.is_anomaly == self.combined.is_anomaly);
        flagging.chain(&self.said).find_map(|result| band(&result.judgement))
    }
}

/// Every row of a file judged.
#[derive(Debug)]
pub(super) struct JudgedRows {
    /// Names of the detectors, as asked for.
    pub(super) names: Vec<&'static str>,
    /// One a row.
    pub(super) rows: Vec<RowWord>,
}

/// The series of a file's rows.
#[derive(Debug)]
pub(super) struct SeriesOfRows {
    /// Which series a row belongs to.
    pub(super) of_row: Vec<u32>,
    /// Their names with labels, in the order of their first rows.
    pub(super) names: Vec<String>,
}

impl SeriesOfRows {
    /// Rows with the same labels are one series.
    pub(super) fn new(file: &SeriesFile, metric: &str) -> Self {
        let mut known = HashMap::new();
        let mut names = Vec::new();
        let of_row = |row: &FileRow| {
            let mut labels: Vec<_> = row.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            labels.sort_unstable();
            let next = known.len() as u32;
            *known.entry(labels).or_insert_with_key(|labels| {
                names.push(name_of(metric, labels));
                next
            })
        };
        let of_row = file.rows.iter().map(of_row).collect();
        Self { of_row, names }
    }

    /// Numbers of the rows of each series that have a time and a value.
    fn usable(&self, file: &SeriesFile) -> Vec<Vec<usize>> {
        let mut of_series = vec![Vec::new(); self.names.len()];
        for (at, (row, series)) in file.rows.iter().zip(&self.of_row).enumerate() {
            if row.time_ms.is_some() && row.value.is_some() {
                of_series[*series as usize].push(at);
            }
        }
        of_series
    }
}

/// The metric's name with the labels in braces, but those that only say the name again.
fn name_of(metric: &str, labels: &[(Box<str>, Box<str>)]) -> String {
    let says_more =
        |(name, value): &&(Box<str>, Box<str>)| !(["name", "__name__"].contains(&&**name) && **value == *metric);
    let labels: Vec<_> = labels.iter().filter(says_more).map(|(name, value)| format!("{name}={value:?}")).collect();
    if labels.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", labels.join(",")) }
}

impl ByName {
    /// Whether anybody but the ensemble was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.detectors.iter().any(|name| name != ENSEMBLE) || self.group_by.is_some()
    }

    /// Whether the list of names was asked for.
    pub(super) fn asks_for_list(&self) -> bool {
        self.detectors == ["list"]
    }

    /// The list of names.
    pub(super) fn list() -> String {
        let how = |entry: &Entry| match (entry.is_of_group(), entry.is_causal()) {
            (true, _) => "group ",
            (_, true) => "causal",
            _ => "whole ",
        };
        let line = |entry: &Entry| format!("{:<18} {}  {}\n", entry.name, how(entry), entry.says);
        let named: String = detectors::ALL.iter().map(line).collect();
        format!(
            "{named}{ENSEMBLE:<18} causal  all detectors of the server, calibrated: what judges if nobody is named\n"
        )
    }

    fn zone(&self) -> Result<Zone, CliError> {
        // Nothing is set where a command has no such flag.
        let name = if self.timezone.is_empty() { "UTC" } else { &self.timezone };
        Zone::named(name).map_err(|error| CliError::Usage(error.to_string()))
    }

    /// How the ensemble judges.
    pub(super) fn settings(&self) -> Result<Arc<Settings>, CliError> {
        let clock = LocalClock::of(&self.zone()?);
        Ok(Arc::new(Settings { clock, patterns: true, ..Settings::default() }))
    }

    fn options(&self) -> Result<Options, CliError> {
        let zone = self.zone()?;
        let period = match self.period {
            Period::Hour => PeriodType::Hour,
            Period::DayOfWeek => PeriodType::DayOfWeek,
            Period::HourOfWeek => PeriodType::HourOfWeek,
        };
        let (threshold, above, below) = (self.threshold, self.above, self.below);
        if threshold.is_some_and(|threshold| !(threshold > 0.0 && threshold.is_finite())) {
            return Err(CliError::Usage("--threshold must be more than 0".to_owned()));
        }
        Ok(Options { threshold, above, below, zone, period, ..Options::default() })
    }

    fn members(&self) -> Result<Vec<Member>, CliError> {
        let member = |name: &String| match name.as_str() {
            ENSEMBLE => Ok(Member::Ensemble),
            name => detectors::find(name).map(Member::Named).map_err(|error| CliError::Failed(error.to_string())),
        };
        let mut members: Vec<Member> = self.detectors.iter().map(member).collect::<Result<_, _>>()?;
        if members.is_empty() && self.group_by.is_some() {
            let named = |name: &&str| detectors::find(name).map(Member::Named);
            let named: Result<_, _> = GROUP_MEMBERS.iter().map(named).collect();
            members = named.map_err(|error| CliError::Failed(error.to_string()))?;
        }
        if members.is_empty() {
            members.push(Member::Ensemble);
        }
        Ok(members)
    }

    /// Judges every row of a file.
    pub(super) fn judge(
        &self,
        file: &SeriesFile,
        series: &SeriesOfRows,
        is_streaming: bool,
        kind: Option<Kind>,
    ) -> Result<JudgedRows, CliError> {
        let (members, options) = (self.members()?, self.options()?);
        let mut said: Vec<Vec<AnomalyResult>> = vec![Vec::new(); file.rows.len()];
        let usable = series.usable(file);
        let columns: Vec<(Vec<i64>, Vec<f64>)> = usable.iter().map(|rows| columns(file, rows)).collect();
        let others = self.group_by.as_ref().map(|label| others_of_group(file, &usable, label)).transpose()?;
        for member in &members {
            let results = match (&others, member) {
                (_, Member::Ensemble) => {
                    let settings = self.settings()?;
                    let judge = |(times, values): &(Vec<i64>, Vec<f64>)| {
                        by_ensemble(Samples::new(times, values), is_streaming, kind, &settings)
                    };
                    columns.iter().map(judge).collect()
                }
                (Some(others), Member::Named(entry)) if entry.name == FOREST && !is_streaming => {
                    let samples = |at: &usize| Samples::new(&columns[*at].0, &columns[*at].1);
                    let features = |others: &Vec<usize>| others.iter().map(samples).collect::<Vec<_>>();
                    let judge =
                        |at: usize| detectors::judge_with_features(samples(&at), &features(&others[at]), &options);
                    (0..columns.len()).map(judge).collect()
                }
                (_, Member::Named(entry)) => judge_all(entry, &columns, &options, is_streaming)?,
            };
            for (rows, results) in usable.iter().zip(results) {
                rows.iter().zip(results).for_each(|(row, result)| said[*row].push(result));
            }
        }
        let mode = match self.vote {
            Vote::Majority => VotingMode::Majority,
            Vote::Unanimous => VotingMode::Unanimous,
            Vote::Weighted => VotingMode::Weighted,
            Vote::Any => VotingMode::Any,
            Vote::Seed003 => VotingMode::Seed003,
        };
        let config = EnsembleConfig { mode, ..EnsembleConfig::default() };
        let names: Vec<&'static str> = members.iter().map(|member| member.name()).collect();
        let word = |said: Vec<AnomalyResult>| {
            let named: Vec<(&str, AnomalyResult)> = names.iter().copied().zip(said.iter().copied()).collect();
            RowWord { combined: combine(&config, &named), said }
        };
        Ok(JudgedRows { rows: said.into_iter().map(word).collect(), names })
    }
}

/// The other series with the same value of a label, for each series by the numbers of its rows.
fn others_of_group(file: &SeriesFile, usable: &[Vec<usize>], label: &str) -> Result<Vec<Vec<usize>>, CliError> {
    if !file.label_names.iter().any(|name| **name == *label) {
        return Err(CliError::Failed(format!("--group-by: the file has no column {label:?}")));
    }
    let value = |rows: &Vec<usize>| {
        let labels = &file.rows[*rows.first()?].labels;
        labels.iter().find(|(name, _)| **name == *label).map(|(_, value)| value.clone())
    };
    let values: Vec<_> = usable.iter().map(value).collect();
    let is_beside = |at: usize, other: usize| other != at && values[at].is_some() && values[other] == values[at];
    let others = |at: usize| (0..values.len()).filter(|other| is_beside(at, *other)).collect();
    Ok((0..values.len()).map(others).collect())
}

fn columns(file: &SeriesFile, rows: &[usize]) -> (Vec<i64>, Vec<f64>) {
    rows.iter().filter_map(|at| file.rows[*at].time_ms.zip(file.rows[*at].value)).unzip()
}

/// What one detector says of every sample of every series.
fn judge_all(
    entry: &Entry,
    columns: &[(Vec<i64>, Vec<f64>)],
    options: &Options,
    is_streaming: bool,
) -> Result<Vec<Vec<AnomalyResult>>, CliError> {
    let samples: Vec<Samples<'_>> = columns.iter().map(|(times, values)| Samples::new(times, values)).collect();
    if let Some(mut group) = entry.of_group(options) {
        if samples.len() < detectors::GROUP_MIN || samples.len() > detectors::GROUP_MAX {
            let (least, most) = (detectors::GROUP_MIN, detectors::GROUP_MAX);
            let message = format!("{} compares {least} to {most} series, the file has {}", entry.name, samples.len());
            return Err(CliError::Failed(message));
        }
        return Ok(detectors::judge_group(group.as_mut(), &samples));
    }
    let judge = |samples: &Samples<'_>| {
        let made = if is_streaming { entry.causal(options) } else { entry.of_whole_series(options) };
        let mut detector = made.map_err(|error| CliError::Failed(format!("{error}; leave out --streaming")))?;
        Ok(detectors::judge(detector.as_mut(), *samples))
    };
    samples.iter().map(judge).collect()
}

fn by_ensemble(
    samples: Samples<'_>,
    is_streaming: bool,
    kind: Option<Kind>,
    settings: &Arc<Settings>,
) -> Vec<AnomalyResult> {
    let mut model = match is_streaming {
        true => SeriesModel::new(kind, settings.clone()),
        false => analysis::learn(kind, Settings::clone(settings), samples.iter()),
    };
    samples.iter().map(|(time_ms, value)| result_of(&model.observe(time_ms, value), value)).collect()
}

/// A verdict of the ensemble as the word of a detector.
fn result_of(verdict: &Verdict, value: f64) -> AnomalyResult {
    // The inverse of the scale of scores.
    let share = match verdict.score {
        score if score < 0.6 => score / 0.6,
        score => 1.0 / (1.0 - (score - 0.6) / 0.4).max(1e-6),
    };
    let band = verdict.band_of(value);
    let judgement = Judgement {
        score: verdict.score,
        share: if verdict.is_anomaly { share.max(1.0) } else { share.min(1.0 - f64::EPSILON) },
        is_anomaly: verdict.is_anomaly,
        is_judged: verdict.votes.all().any(|vote| vote.log_tail.is_some()),
        expected: band.map(|band| band.expected),
        lower: band.map(|band| band.lower),
        upper: band.map(|band| band.upper),
    };
    AnomalyResult::of(verdict.time_ms, value, ENSEMBLE, judgement)
}
