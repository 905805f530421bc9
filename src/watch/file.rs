//! The file of watched expressions.
//!
//! ```toml
//! [[metric]]
//! name = "api_latency_p99"
//! query = 'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))'
//! detector = "ensemble"
//! detectors = [{ type = "zscore", threshold = 3.0 }, { type = "seasonal", period = "hour_of_week" }]
//! ```
//!
//! Not here: judging (see `runner`); the same in YAML (see `config import`).

use crate::analysis::detectors::{Options, PeriodType, find};
use crate::listed_file::{self, FileError, Mistake};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// Expressions of one file.
const METRICS_MAX: usize = 1000;
/// The word for several detectors that vote.
pub(super) const ENSEMBLE: &str = "ensemble";
/// Who votes unless the file says so.
const VOTERS: [&str; 3] = ["zscore", "ema", "seasonal"];

/// One detector and its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedDetector {
    /// Its name.
    pub name: &'static str,
    /// What is set about it.
    pub options: Options,
}

/// One expression and who judges it.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedMetric {
    /// What it is called.
    pub name: String,
    /// The expression.
    pub query: String,
    /// One detector's name, or `ensemble`.
    pub detector: String,
    /// The one, or all that vote.
    pub detectors: Vec<WatchedDetector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    metric: Vec<Spanned<WrittenMetric>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMetric {
    name: String,
    query: String,
    detector: Option<String>,
    threshold: Option<f64>,
    period: Option<Period>,
    #[serde(default)]
    detectors: Vec<WrittenDetector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDetector {
    #[serde(rename = "type")]
    name: String,
    threshold: Option<f64>,
    period: Option<Period>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Period {
    Hour,
    DayOfWeek,
    HourOfWeek,
}

impl From<Period> for PeriodType {
    fn from(period: Period) -> Self {
        match period {
            Period::Hour => Self::Hour,
            Period::DayOfWeek => Self::DayOfWeek,
            Period::HourOfWeek => Self::HourOfWeek,
        }
    }
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read or has a mistake, with its line.
pub fn read(path: &Path) -> Result<Vec<WatchedMetric>, FileError> {
    listed_file::read("watched expressions", path, parse)
}

/// The error says where in the text.
pub(super) fn parse(text: &str) -> Result<Vec<WatchedMetric>, Mistake> {
    let written: Written = listed_file::shape(text)?;
    let mut metrics: Vec<WatchedMetric> = Vec::new();
    for one in written.metric {
        let at = one.span().start;
        let metric = metric(one.into_inner()).map_err(|what| (at, what))?;
        if metrics.iter().any(|known| known.name == metric.name) {
            return Err((at, format!("{:?} stands twice", metric.name)));
        }
        if metrics.len() >= METRICS_MAX {
            return Err((at, format!("more than {METRICS_MAX} expressions")));
        }
        metrics.push(metric);
    }
    Ok(metrics)
}

fn metric(written: WrittenMetric) -> Result<WatchedMetric, String> {
    let WrittenMetric { name, query, detector, threshold, period, detectors } = written;
    if name.is_empty() || query.trim().is_empty() {
        return Err("a watched expression has a name and a query".to_owned());
    }
    let named = |what: String| format!("{name:?}: {what}");
    let detector = detector.unwrap_or_else(|| ENSEMBLE.to_owned());
    let is_ensemble = detector == ENSEMBLE;
    if !is_ensemble && !detectors.is_empty() {
        return Err(named(format!("detectors vote in an ensemble, not in {detector}")));
    }
    let one = |word: &str, threshold: Option<f64>, period: Option<Period>| {
        let mut options = Options { threshold, ..Options::default() };
        options.period = period.map_or_else(PeriodType::default, PeriodType::from);
        let entry = find(word).map_err(|error| error.to_string())?;
        entry.causal(&options).map_err(|error| error.to_string())?;
        Ok(WatchedDetector { name: entry.name, options })
    };
    let of = |voter: &WrittenDetector| one(&voter.name, voter.threshold.or(threshold), voter.period.or(period));
    let detectors: Result<Vec<_>, String> = match (is_ensemble, detectors.is_empty()) {
        (false, _) => one(&detector, threshold, period).map(|one| vec![one]),
        (true, true) => VOTERS.iter().map(|name| one(name, threshold, period)).collect(),
        (true, false) => detectors.iter().map(of).collect(),
    };
    let detectors = detectors.map_err(named)?;
    Ok(WatchedMetric {
        detector: if is_ensemble { detector } else { detectors[0].name.to_owned() },
        name,
        query,
        detectors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_voter_has_its_own_limit_and_period() {
        let text = "[[metric]]\nname = \"a\"\nquery = \"up\"\n[[metric]]\nname = \"b\"\nquery = \"up\"\nthreshold = 2.5\n\
                    detectors = [{ type = \"z_score\", threshold = 3.0 }, { type = \"seasonal\", period = \"hour_of_week\" }]\n\
                    [[metric]]\nname = \"c\"\nquery = \"up\"\ndetector = \"ema\"\nthreshold = 4\n";
        let metrics = parse(text).unwrap();
        let of =
            |at: usize| metrics[at].detectors.iter().map(|one| (one.name, one.options.threshold)).collect::<Vec<_>>();
        assert_eq!(of(0), [("zscore", None), ("ema", None), ("seasonal", None)]);
        assert_eq!(of(1), [("zscore", Some(3.0)), ("seasonal", Some(2.5))]);
        assert_eq!(metrics[1].detectors[1].options.period, PeriodType::HourOfWeek);
        assert_eq!((of(2), metrics[2].detector.as_str()), (vec![("ema", Some(4.0))], "ema"));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let error = |text: &str| parse(text).unwrap_err();
        let of = |fields: &str| error(&format!("[[metric]]\nname = \"a\"\nquery = \"up\"\n{fields}")).1;
        assert!(of("detector = \"emma\"").contains("did you mean ema"));
        assert!(of("detector = \"gesd\"").contains("cannot judge them as they come"));
        assert!(of("detector = \"ema\"\ndetectors = [{ type = \"ema\" }]").contains("vote in an ensemble"));
        assert!(of("colour = 1").contains("unknown field"));
        let twice = "[[metric]]\nname = \"a\"\nquery = \"up\"\n".repeat(2);
        assert_eq!(error(&twice), (35, "\"a\" stands twice".to_owned()));
    }
}
