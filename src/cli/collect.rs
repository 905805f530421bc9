//! `infrawatch collect FILE…`: takes the samples of CSV and JSON files into a running server, or into a store that no
//! server has open.
//!
//! Not here: reading files (see `series_file`), what becomes of a sample (`ingest::json_push`, over HTTP or in this very
//! process).
//!
//! Invariants: a file's rows are sent in order of time, so none is late because the file is not sorted; every row is
//! counted once: ingested, duplicate or rejected. Rejected rows are told with their lines; the exit code is 1 only when
//! nothing of a file could be taken.

use super::ask::ServerFlag;
use super::client::Client;
use super::output::Rows;
use super::settings::{flag, load};
use super::{CliError, Global};
use crate::config::{Config, Level};
use crate::series_file::{FileRow, TimeNotation, for_each_row};
use crate::server::Local;
use crate::{clock, logging};
use clap::Args;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where samples go, on the server and in this process.
const PATH: &str = "/api/v1/metrics?partial=true";
/// Rows of one request: some 600 KB.
const REQUEST_ROWS: usize = 5000;
/// How long finding out whether a server answers may take, and how long it may take to store one request.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
const PUSH_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that is busy or starting is asked again after a second, so many times.
const ATTEMPTS: usize = 30;
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Rejected rows of a file that are told one by one.
const TOLD_MAX: usize = 10;
/// Work shorter than this shows no progress.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
/// A name for samples whose file has none.
const DEFAULT_NAME: &str = "value";

#[derive(Debug, Args)]
pub(super) struct Collect {
    /// Files to take in: CSV with a header, a JSON array or NDJSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerFlag,
    /// Directory to open when no server answers [default: ./infrawatch-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Name of the metric [default: the column or field __name__ or name, else value]
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
}

impl Collect {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        if self.metric.as_deref() == Some("") {
            return Err(CliError::Usage("--metric must not be empty".to_owned()));
        }
        let flags = flag("storage.data_dir", "--data-dir", self.data_dir.as_ref());
        let config = load(global, flags.into_iter().collect())?.config;
        let files: Result<Vec<_>, _> = self.files.iter().map(|path| read(path, self.metric.as_deref())).collect();
        let files = files.map_err(|error| CliError::Failed(error.to_string()))?;
        let target = self.target(global, &config)?;
        let (mut rows, mut empty_handed) = (Rows::new(&["file", "ingested", "rejected", "duplicate"]), Vec::new());
        for file in files {
            let count = send(&target, &file, global)?;
            let path = file.path.display().to_string();
            if count.ingested + count.duplicate == 0 {
                empty_handed.push(path.clone());
            }
            rows.push(vec![path.into(), count.ingested.into(), count.rejected.into(), count.duplicate.into()]);
        }
        target.close()?;
        rows.write(global)?;
        match empty_handed.is_empty() {
            true => Ok(()),
            false => Err(CliError::Failed(format!("no sample of {} could be taken", empty_handed.join(", ")))),
        }
    }

    /// The server if one answers, else the store itself; says which.
    fn target(&self, global: &Global, config: &Config) -> Result<Target, CliError> {
        let place = self.server.place_of(&config.http).ok();
        let say = |text: String| {
            if !global.quiet {
                eprintln!("{text}");
            }
        };
        let silence = match &place {
            Some(place) => match place.client(PROBE_TIMEOUT)?.get(&format!("{}/-/healthy", place.url)) {
                Ok(_) => {
                    say(format!("sending to {}", place.url));
                    return Ok(Target::Server { url: place.url.clone(), client: place.client(PUSH_TIMEOUT)? });
                }
                Err(what) => format!("no server answers at {} ({what})", place.url),
            },
            None => "no server is configured".to_owned(),
        };
        if place.is_some_and(|place| place.is_named) && self.data_dir.is_none() {
            return Err(CliError::Failed(format!("{silence}; --data-dir would open a store without one")));
        }
        let dir = config.storage.data_dir.display();
        say(format!("{silence}: opening {dir}"));
        let mut log = config.log.clone();
        if global.log_level.is_none() {
            log.level = Level::Warn;
        }
        logging::init(&log);
        let opened = Local::open(config).map_err(|error| CliError::Failed(format!("{error:#}")))?;
        Ok(Target::Store(Box::new(opened)))
    }
}

/// A file's samples, and what of it is none.
struct Collected {
    path: PathBuf,
    /// With the lines they stand on, in order of time.
    samples: Vec<(u64, Sample)>,
    /// Lines of rows that are no samples, and why.
    rejected: Vec<(u64, &'static str)>,
}

/// A sample as the API takes it.
#[derive(Debug, Serialize, PartialEq)]
struct Sample {
    name: Box<str>,
    #[serde(serialize_with = "rfc_3339")]
    timestamp: i64,
    value: f64,
    #[serde(serialize_with = "object")]
    labels: Vec<(Box<str>, Box<str>)>,
}

/// Times go as text, since a number of milliseconds before 1973 would be taken for seconds.
fn rfc_3339<S: Serializer>(time_ms: &i64, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&TimeNotation::Rfc3339 { offset_s: 0, blank: false }.format(*time_ms))
}

fn object<S: Serializer>(labels: &[(Box<str>, Box<str>)], out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

fn read(path: &Path, metric: Option<&str>) -> Result<Collected, crate::series_file::FileError> {
    let mut file = Collected { path: path.to_owned(), samples: Vec::new(), rejected: Vec::new() };
    for_each_row(path, |line, row| match sample(row, metric) {
        Ok(sample) => file.samples.push((line, sample)),
        Err(what) => file.rejected.push((line, what)),
    })?;
    // Stable: of two samples at one time the first of the file stays the first.
    file.samples.sort_by_key(|(_, sample)| sample.timestamp);
    Ok(file)
}

fn sample(row: FileRow, metric: Option<&str>) -> Result<Sample, &'static str> {
    let timestamp = row.time_ms.ok_or("the timestamp is no time")?;
    let value = row.value.ok_or("the value is no finite number")?;
    let mut labels = row.labels.into_vec();
    let named =
        ["__name__", "name"].into_iter().find_map(|wanted| labels.iter().position(|(name, _)| **name == *wanted));
    let in_file = named.map(|at| labels.remove(at).1);
    let name = metric.map(Into::into).or(in_file).unwrap_or_else(|| DEFAULT_NAME.into());
    Ok(Sample { name, timestamp, value, labels })
}

/// Who takes the samples.
enum Target {
    Server { url: String, client: Client },
    Store(Box<Local>),
}

impl Target {
    /// Pushes samples and waits until they are durable; asks again while the receiver is busy.
    fn push(&self, samples: &[&Sample]) -> Result<Answer, CliError> {
        let body = serde_json::to_string(samples).map_err(|error| CliError::Failed(error.to_string()))?;
        let mut said = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(RETRY_PAUSE);
            }
            let (status, text) = match self {
                Self::Server { url, client } => {
                    let answer = client.post_json(&format!("{url}{PATH}"), &body);
                    answer.map(|answer| (answer.status, answer.body)).map_err(|what| format!("{url}: {what}"))
                }
                Self::Store(store) => store.post(PATH, body.clone()).map_err(|error| format!("{error:#}")),
            }
            .map_err(CliError::Failed)?;
            said = format!("status {status}: {}", text.trim_end());
            match status {
                200 => {
                    let answer = serde_json::from_str(&text);
                    return answer.map_err(|_| CliError::Failed(format!("an answer that is not InfraWatch's: {said}")));
                }
                503 => {}
                _ => break,
            }
        }
        Err(CliError::Failed(format!("samples were not taken: {said}")))
    }

    fn close(self) -> Result<(), CliError> {
        match self {
            Self::Server { .. } => Ok(()),
            Self::Store(store) => store.close().map_err(|error| CliError::Failed(format!("{error:#}"))),
        }
    }
}

/// The API's answer to a partial push.
#[derive(Debug, Deserialize)]
struct Answer {
    accepted: u64,
    rejected: u64,
    duplicate: u64,
    errors: Vec<AnswerError>,
}

#[derive(Debug, Deserialize)]
struct AnswerError {
    index: Option<usize>,
    error: String,
}

/// What became of a file's rows.
#[derive(Debug, Default)]
struct Count {
    ingested: u64,
    rejected: u64,
    duplicate: u64,
}

fn send(target: &Target, file: &Collected, global: &Global) -> Result<Count, CliError> {
    let mut count = Count { rejected: file.rejected.len() as u64, ..Count::default() };
    let mut told: Vec<(u64, String)> = file.rejected.iter().map(|(line, what)| (*line, (*what).to_owned())).collect();
    let mut by_reason = BTreeMap::new();
    let mut progress = Progress::new(file, global);
    for (done, chunk) in file.samples.chunks(REQUEST_ROWS).enumerate() {
        let samples: Vec<&Sample> = chunk.iter().map(|(_, sample)| sample).collect();
        let answer = target.push(&samples)?;
        count.ingested += answer.accepted.saturating_sub(answer.duplicate);
        count.rejected += answer.rejected;
        count.duplicate += answer.duplicate;
        for AnswerError { index, error } in answer.errors {
            match index.and_then(|index| chunk.get(index)) {
                Some((line, _)) => told.push((*line, error)),
                None => add_reason(&mut by_reason, &error),
            }
        }
        progress.show(done * REQUEST_ROWS + chunk.len());
    }
    progress.end();
    if !global.quiet {
        tell(&file.path, told, &by_reason);
    }
    Ok(count)
}

/// Adds `3 conflict (..)` to what other requests said.
fn add_reason(by_reason: &mut BTreeMap<String, u64>, error: &str) {
    let (count, reason) = error.split_once(' ').unwrap_or(("1", error));
    *by_reason.entry(reason.to_owned()).or_default() += count.parse::<u64>().unwrap_or(1);
}

fn tell(path: &Path, mut told: Vec<(u64, String)>, by_reason: &BTreeMap<String, u64>) {
    told.sort();
    told.iter().take(TOLD_MAX).for_each(|(line, what)| eprintln!("{}:{line}: rejected: {what}", path.display()));
    if told.len() > TOLD_MAX {
        eprintln!("{}: rejected: {} more rows like these", path.display(), told.len() - TOLD_MAX);
    }
    by_reason.iter().for_each(|(reason, count)| eprintln!("{}: rejected: {count} {reason}", path.display()));
}

/// A line on a terminal for work that takes its time.
struct Progress<'a> {
    file: &'a Collected,
    began: Option<Instant>,
    shown: bool,
}

impl<'a> Progress<'a> {
    fn new(file: &'a Collected, global: &Global) -> Self {
        let wanted = !global.quiet && std::io::stderr().is_terminal();
        Self { file, began: wanted.then(clock::monotonic), shown: false }
    }

    fn show(&mut self, done: usize) {
        let Some(began) = self.began else { return };
        if clock::monotonic().duration_since(began) >= PROGRESS_AFTER {
            let (path, all) = (self.file.path.display(), self.file.samples.len());
            eprint!("\r{path}: {done} of {all} samples, {} %", done * 100 / all.max(1));
            self.shown = true;
        }
    }

    fn end(self) {
        if self.shown {
            eprintln!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(labels: &[(&str, &str)]) -> FileRow {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        FileRow { time_ms: Some(1), value: Some(2.0), timestamp_text: "".into(), value_text: "".into(), labels }
    }

    #[test]
    fn the_name_is_the_flags_then_the_files_then_value() {
        let of = |labels: &[(&str, &str)], metric: Option<&str>| {
            let sample = sample(row(labels), metric).unwrap();
            let labels: Vec<_> = sample.labels.iter().map(|(name, _)| name.to_string()).collect();
            (sample.name.to_string(), labels.join(" "))
        };
        let seen = |name: &str, labels: &str| (name.to_owned(), labels.to_owned());
        assert_eq!(of(&[("host", "a")], None), seen("value", "host"));
        assert_eq!(of(&[("name", "cpu"), ("host", "a")], None), seen("cpu", "host"));
        assert_eq!(of(&[("name", "cpu"), ("__name__", "mem")], None), seen("mem", "name"));
        assert_eq!(of(&[("name", "cpu"), ("host", "a")], Some("load")), seen("load", "host"));
    }

    #[test]
    fn a_time_before_1973_is_not_sent_as_a_number_that_means_seconds() {
        let text = serde_json::to_string(&sample(row(&[("h", "x")]), None).unwrap()).unwrap();
        assert_eq!(text, r#"{"name":"value","timestamp":"1970-01-01T00:00:00.001Z","value":2.0,"labels":{"h":"x"}}"#);
    }

    #[test]
    fn reasons_of_several_requests_are_added_up() {
        let mut by_reason = BTreeMap::new();
        ["2 late (old)", "1 conflict (x)", "3 late (old)"].iter().for_each(|error| add_reason(&mut by_reason, error));
        assert_eq!(by_reason, BTreeMap::from([("conflict (x)".to_owned(), 1), ("late (old)".to_owned(), 5)]));
    }
}
