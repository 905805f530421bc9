//! `infrawatch evaluate --replay`: what a configuration would have told of stored history, and how two of them differ.
//!
//! Not here: the replaying (see `server`).
//!
//! Invariant: notifications of two configurations are the same if they tell the same people the same of the same alerts, in
//! the same order; when they do may differ, and is shown.

use super::output::Rows;
use super::settings::{environment, flag, load, sources, warn};
use super::{CliError, Global};
use crate::alert::{Telling, Time, ToldAlert};
use crate::config::{self, Config, Level};
use crate::logging;
use crate::query::{self, QueryLimits};
use crate::series_file::parse_time_ms;
use crate::server::{Replayed, Stored};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const WEEK_MS: i64 = 7 * 86_400_000;
/// Alerts of one notification that a table names.
const NAMED: usize = 3;

#[derive(Debug, Args)]
#[command(next_help_heading = "Replay of stored history")]
pub(super) struct Replay {
    /// Say what would have been told of stored history, instead of judging a file
    #[arg(long)]
    replay: bool,
    /// Begin of the span: RFC 3339, seconds or milliseconds since 1970 [default: a week before its end]
    #[arg(long, value_name = "TIME", requires = "replay")]
    from: Option<String>,
    /// End of the span [default: the newest sample]
    #[arg(long, value_name = "TIME", requires = "replay")]
    to: Option<String>,
    /// Only anomalies of series that match, such as '{host="a"}'
    #[arg(long = "match", value_name = "MATCHERS", requires = "replay")]
    matchers: Option<String>,
    /// Another settings file: show how what is told would differ
    #[arg(long, value_name = "FILE", requires = "replay")]
    against: Option<PathBuf>,
    /// Directory of the store, which no server may have open: a snapshot of it will do [default: ./infrawatch-data]
    #[arg(long, value_name = "DIR", requires = "replay")]
    data_dir: Option<String>,
}

impl Replay {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let own = || flag("storage.data_dir", "--data-dir", self.data_dir.as_ref()).into_iter().collect();
        let config = load(global, own())?.config;
        let against = self.against.as_ref().map(|file| self.other(global, file)).transpose()?;
        let mut log = config.log.clone();
        if global.log_level.is_none() {
            log.level = Level::Error;
        }
        logging::init(&log);
        let dir = &config.storage.data_dir;
        if !dir.join("STORE").exists() {
            return Err(CliError::Failed(format!("there is no store in {}", dir.display())));
        }
        let failed = |error| CliError::Failed(format!("{error:#}"));
        let stored = Stored::open(&config).map_err(failed)?;
        let newest_ms =
            stored.newest_ms().ok_or_else(|| CliError::Failed(format!("there are no samples in {}", dir.display())))?;
        let to_ms = time(self.to.as_ref())?.unwrap_or(newest_ms);
        let from_ms = time(self.from.as_ref())?.unwrap_or(to_ms - WEEK_MS);
        let set = self.matchers.as_ref().map(|text| query::matchers(text, &QueryLimits::default()));
        let set = set.transpose().map_err(|error| CliError::Failed(format!("--match: {error}")))?;
        let sets: Vec<_> = set.into_iter().collect();
        let first = stored.replay(&config, &sets, (from_ms, to_ms)).map_err(failed)?;
        said(global, "", &first);
        let Some(against) = against else { return list(&first.tellings).write(global) };
        let second = stored.replay(&against, &sets, (from_ms, to_ms)).map_err(failed)?;
        said(global, "against that ", &second);
        difference(&first.tellings, &second.tellings).write(global)
    }

    /// The other configuration, which looks at the same store.
    fn other(&self, global: &Global, file: &Path) -> Result<Config, CliError> {
        let flags = flag("storage.data_dir", "--data-dir", self.data_dir.as_ref()).into_iter().collect();
        let mut sources = sources(global, flags, environment());
        sources.file = Some(file.to_path_buf());
        let loaded = config::load(&sources)?;
        warn(global, &loaded);
        Ok(loaded.config)
    }
}

fn time(text: Option<&String>) -> Result<Option<i64>, CliError> {
    let read = |text: &String| {
        parse_time_ms(text)
            .ok_or_else(|| CliError::Failed(format!("{text:?} is no time: say RFC 3339 or seconds since 1970")))
    };
    text.map(read).transpose()
}

/// What became of it all, for people.
fn said(global: &Global, which: &str, replayed: &Replayed) {
    if global.quiet {
        return;
    }
    let Replayed { series, samples, signals, tellings, counts } = replayed;
    eprintln!(
        "{which}{} notifications; {series} series, {samples} samples, {signals} signals; raised {}, told {}, deduplicated {}, \
         silenced {}, suppressed {}, inhibited {}",
        tellings.len(),
        counts.raised,
        counts.notified,
        counts.deduplicated,
        counts.silenced,
        counts.suppressed,
        counts.inhibited,
    );
}

const COLUMNS: [&str; 7] = ["time", "receiver", "reason", "status", "alerts", "title", "named"];

fn list(tellings: &[Telling]) -> Rows {
    let mut rows = Rows::new(&COLUMNS);
    tellings.iter().for_each(|told| rows.push(cells(told).into()));
    rows
}

fn cells(told: &Telling) -> [Value; 7] {
    let status = if told.is_firing { "firing" } else { "resolved" };
    [
        json!(Time(told.at_ms)),
        told.receiver.as_str().into(),
        told.reason.into(),
        status.into(),
        told.total.into(),
        told.title.as_str().into(),
        named(&told.alerts).into(),
    ]
}

/// The alerts of a notification in few words.
fn named(alerts: &[ToldAlert]) -> String {
    let one = |alert: &ToldAlert| {
        let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        let state = if alert.is_firing { alert.severity } else { "resolved" };
        format!("{} {state} {}", alert.name, labels.join(","))
    };
    let more = alerts.len().saturating_sub(NAMED);
    let mut words: Vec<_> = alerts.iter().take(NAMED).map(one).collect();
    words.extend((more > 0).then(|| format!("and {more} more")));
    words.join("; ")
}

/// What only the first tells (`-`), only the second (`+`), and both (`=`, with the time of each).
fn difference(first: &[Telling], second: &[Telling]) -> Rows {
    let key = |told: &Telling| (told.receiver.clone(), told.reason, told.is_firing, told.alerts.clone());
    let mut taken = vec![false; second.len()];
    let mut found: Vec<(i64, &'static str, &Telling, Option<i64>)> = Vec::new();
    for told in first {
        let same = (0..second.len()).find(|at| !taken[*at] && key(&second[*at]) == key(told));
        if let Some(at) = same {
            taken[at] = true;
        }
        found.push((told.at_ms, if same.is_some() { "=" } else { "-" }, told, same.map(|at| second[at].at_ms)));
    }
    let left = second.iter().zip(taken).filter(|(_, taken)| !taken);
    found.extend(left.map(|(told, _)| (told.at_ms, "+", told, Some(told.at_ms))));
    found.sort_by_key(|(at_ms, ..)| *at_ms);
    let mut rows =
        Rows::new(&["change", "time", "receiver", "reason", "status", "alerts", "title", "named", "time_against"]);
    for (_, change, told, other_ms) in found {
        let mut row: Vec<Value> = vec![change.into()];
        row.extend(cells(told));
        row.push(other_ms.map_or(Value::Null, |at_ms| json!(Time(at_ms))));
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(at_ms: i64, receiver: &str, name: &str) -> Telling {
        let alert =
            ToldAlert { name: name.to_owned(), labels: Default::default(), severity: "warning", is_firing: true };
        let (reason, title) = ("new", String::new());
        Telling { at_ms, receiver: receiver.to_owned(), reason, is_firing: true, title, total: 1, alerts: vec![alert] }
    }

    #[test]
    fn what_is_told_alike_later_is_the_same_and_the_rest_stands_on_its_side() {
        let first = [told(0, "a", "x"), told(1000, "a", "y")];
        let second = [told(500, "a", "x"), told(2000, "b", "y")];
        let text = difference(&first, &second).render(super::super::Format::Csv);
        let changes: Vec<_> =
            text.lines().skip(1).map(|line| line.split(',').take(3).collect::<Vec<_>>().join(" ")).collect();
        let time = |ms: i64| json!(Time(ms)).as_str().unwrap().to_owned();
        assert_eq!(changes, [format!("= {} a", time(0)), format!("- {} a", time(1000)), format!("+ {} b", time(2000))]);
        assert!(text.lines().nth(1).unwrap().ends_with(&time(500)), "{text}");
    }
}
