//! `infrawatch demo`: a week of made CPU load with five anomalies, judged as `detect` judges a file, and what to try next.
//!
//! Not here: what the week looks like (see `synthetic::demo`), judging (see `analysis::DetectionPipeline`).
//!
//! Invariants: nothing is read, and nothing is written but what was asked for; the detector is not told what was
//! injected and has no setting of its own; found and false alarms are counted, the time is measured.

use super::layers::{self, Layers};
use super::output::{Rows, write_text};
use super::picture::Picture;
use super::{CliError, Format, Global};
use crate::analysis::{Anomaly, Detection, DetectionPipeline, Family};
use crate::clock;
use crate::series_file::TimeNotation;
use crate::synthetic::Metric;
use crate::synthetic::demo::{DAYS, Injected, POINTS, Week};
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const DAY_MS: f64 = 86_400_000.0;
/// Most anomalies that are shown one by one.
const SHOWN: usize = 10;
/// An anomaly this many samples from an injected one is that one: the step back from a spike belongs to it.
const NEAR: usize = 1;
/// Characters the week is drawn in.
const WIDTH: usize = 84;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const NOTATION: TimeNotation = TimeNotation::Rfc3339 { offset_s: 0, blank: false };

const NEXT: &str = "\
What next
  infrawatch serve                                          start: 127.0.0.1:8080, StatsD at 127.0.0.1:8125
  printf 'shop_orders:3|c' > /dev/udp/127.0.0.1/8125        send a metric (bash)
  curl -G 127.0.0.1:8080/api/v1/query -d query=shop_orders  look at it, ten seconds later
  infrawatch detect FILE.csv                                judge samples of your own: timestamp,value
  infrawatch demo --plot demo.svg                           see this week as a picture
";

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Seed of all chance in the data
    #[arg(long, value_name = "S", default_value_t = 42)]
    seed: u64,
    /// Draw values, expected range and anomalies as a picture
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the samples as CSV, for detect and forecast
    #[arg(long, value_name = "FILE.csv")]
    save: Option<PathBuf>,
}

impl Demo {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let week = Week::new(self.seed);
        let begun = clock::monotonic();
        let pipeline = DetectionPipeline { has_forecasts: true, ..DetectionPipeline::default() };
        let detection = failed(pipeline.run(&week.times_ms, &week.values, Metric::Cpu.name()))?;
        let layers = Layers::of(&week.times_ms, &week.values);
        let shown = Shown { detection_ms: begun.elapsed().as_secs_f64() * 1000.0, week, detection, layers };
        if let Some(path) = &self.save {
            let written = std::fs::write(path, shown.samples());
            written.map_err(|source| CliError::Output { path: path.clone(), source })?;
        }
        if let Some(path) = &self.plot {
            shown.draw(path)?;
        }
        match global.format() {
            Format::Table => write_text(global, &shown.text()),
            Format::Json => write_text(global, &shown.json()),
            Format::Csv => shown.rows().write(global),
        }
    }
}

fn failed<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, CliError> {
    result.map_err(|error| CliError::Failed(error.to_string()))
}

/// What there is to show.
struct Shown {
    week: Week,
    detection: Detection,
    layers: Layers,
    detection_ms: f64,
}

impl Shown {
    fn is_found(&self, injected: &Injected) -> bool {
        self.detection.anomalies.iter().any(|anomaly| is_same(anomaly, injected))
    }

    fn is_injected(&self, anomaly: &Anomaly) -> bool {
        self.week.anomalies.iter().any(|injected| is_same(anomaly, injected))
    }

    fn found(&self) -> usize {
        self.week.anomalies.iter().filter(|injected| self.is_found(injected)).count()
    }

    fn false_alarms(&self) -> usize {
        self.detection.anomalies.iter().filter(|anomaly| !self.is_injected(anomaly)).count()
    }

    /// Days since the first sample.
    fn day(&self, index: usize) -> f64 {
        (self.week.times_ms[index] - self.week.times_ms[0]) as f64 / DAY_MS
    }

    fn text(&self) -> String {
        let mut text = format!(
            "InfraWatch Demo\n\nGenerated {POINTS} points of synthetic CPU data ({DAYS} days)\nInjected {} anomalies\n\n",
            self.week.anomalies.len()
        );
        text += &self.drawn();
        let anomalies = &self.detection.anomalies;
        let _ = write!(
            text,
            "\n--- Detection Results ---\nTotal points analyzed: {}\nAnomalies detected: {}\n\
             Max severity: {}\nDetection time: {:.1} ms\nInjected anomalies found: {} of {}, false alarms: {}\n\
             Detectors: {}\n",
            self.detection.verdicts.len(),
            anomalies.len(),
            self.detection.max_severity().label(),
            self.detection_ms,
            self.found(),
            self.week.anomalies.len(),
            self.false_alarms(),
            self.detectors(),
        );
        text += "\nTop anomalies:\n";
        for anomaly in self.detection.top(SHOWN) {
            let (day, value, score) = (self.day(anomaly.index), anomaly.value, anomaly.score);
            let severity = anomaly.severity.label();
            let _ = writeln!(text, "Day {day:.1} | Value: {value:.2} | Score: {score:.3} | Severity: {severity}");
            let _ = writeln!(text, "    {}", anomaly.summary);
            let votes = self.layers.votes(&self.detection, anomaly.index);
            let _ = writeln!(text, "    {}", layers::line(&votes));
        }
        if anomalies.is_empty() {
            text += "none\n";
        }
        text.push('\n');
        text + NEXT
    }

    /// The week in a line of blocks, each as high as the value in it that is farthest from the middle, and a line that
    /// points at anomalies.
    fn drawn(&self) -> String {
        let values = &self.week.values;
        let (low, high) =
            values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        let middle = values.iter().sum::<f64>() / values.len() as f64;
        let range = |column: usize| column * values.len() / WIDTH..(column + 1) * values.len() / WIDTH;
        let block = |column: usize| {
            let away = |value: &&f64| (**value - middle).abs();
            let value = values[range(column)].iter().max_by(|left, right| away(left).total_cmp(&away(right)));
            let share = value.map_or(0.0, |value| (value - low) / (high - low).max(f64::MIN_POSITIVE));
            BLOCKS[((share * BLOCKS.len() as f64) as usize).min(BLOCKS.len() - 1)]
        };
        let point = |column: usize| {
            let is_here = |anomaly: &Anomaly| range(column).contains(&anomaly.index);
            if self.detection.anomalies.iter().any(is_here) { '^' } else { ' ' }
        };
        let blocks: String = (0..WIDTH).map(block).collect();
        let points: String = (0..WIDTH).map(point).collect();
        let a_day = WIDTH / DAYS as usize;
        let days: String = (0..DAYS).map(|day| format!("{:<a_day$}", format!("day {day}"))).collect();
        format!("{blocks}  {low:.0} to {high:.0} %\n{}\n{}\n", points.trim_end(), days.trim_end())
    }

    /// Names of the detectors that judged, by what they look at.
    fn detectors(&self) -> String {
        let mut families: Vec<(Family, Vec<&str>)> = Vec::new();
        for vote in self.detection.verdicts.iter().flat_map(|verdict| verdict.votes.all()) {
            if vote.log_tail.is_none() {
                continue;
            }
            match families.iter_mut().find(|(family, _)| *family == vote.family) {
                Some((_, names)) if names.contains(&vote.detector) => {}
                Some((_, names)) => names.push(vote.detector),
                None => families.push((vote.family, vec![vote.detector])),
            }
        }
        let of_family = |(family, names): &(Family, Vec<&str>)| format!("{} ({})", names.join(", "), family.looks_at());
        families.iter().map(of_family).collect::<Vec<_>>().join("; ")
    }

    fn json(&self) -> String {
        let injected = self.week.anomalies.iter().map(|injected| {
            let (index, kind) = (injected.index, injected.kind.name());
            let timestamp = NOTATION.format(self.week.times_ms[index]);
            let found = self.is_found(injected);
            json!({"index": index, "timestamp": timestamp, "kind": kind, "value": self.week.values[index], "found": found})
        });
        let anomalies = self.detection.anomalies.iter().map(|anomaly| {
            json!({
                "index": anomaly.index, "timestamp": NOTATION.format(anomaly.timestamp_ms),
                "end": NOTATION.format(anomaly.end_ms), "day": self.day(anomaly.index), "value": anomaly.value,
                "score": anomaly.score, "severity": anomaly.severity.label(), "summary": anomaly.summary,
                "injected": self.is_injected(anomaly),
                "votes": layers::json(&self.layers.votes(&self.detection, anomaly.index)),
            })
        });
        let object = json!({
            "points": self.detection.verdicts.len(), "days": DAYS, "metric": self.detection.metric_name,
            "injected": injected.collect::<serde_json::Value>(),
            "anomalies": anomalies.collect::<serde_json::Value>(),
            "max_severity": self.detection.max_severity().label(), "found": self.found(),
            "false_alarms": self.false_alarms(), "detection_ms": self.detection_ms,
        });
        format!("{object:#}\n")
    }

    /// One row an anomaly.
    fn rows(&self) -> Rows {
        let mut rows = Rows::new(&["timestamp", "value", "score", "severity", "injected", "summary"]);
        for anomaly in &self.detection.anomalies {
            let (time, severity) = (NOTATION.format(anomaly.timestamp_ms), anomaly.severity.label());
            let row = [time.into(), anomaly.value.into(), anomaly.score.into(), severity.into()];
            let rest = [self.is_injected(anomaly).into(), anomaly.summary.clone().into()];
            rows.push(row.into_iter().chain(rest).collect());
        }
        rows
    }

    fn samples(&self) -> String {
        let samples = self.week.times_ms.iter().zip(&self.week.values);
        samples.fold("timestamp,value\n".to_owned(), |mut text, (time_ms, value)| {
            let _ = writeln!(text, "{},{value}", NOTATION.format(*time_ms));
            text
        })
    }

    fn draw(&self, path: &Path) -> Result<(), CliError> {
        let mut picture = Picture::default();
        for (verdict, value) in self.detection.verdicts.iter().zip(&self.week.values) {
            picture.add(verdict.time_ms, *value, verdict.band_of(*value));
        }
        picture.write(path, Metric::Cpu.name(), &self.detection.anomalies)
    }
}

fn is_same(anomaly: &Anomaly, injected: &Injected) -> bool {
    anomaly.index.abs_diff(injected.index) <= NEAR
}
