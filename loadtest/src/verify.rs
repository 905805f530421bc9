//! Reads back what was sent, through the query API, and compares it sample by sample, bit for bit.
//!
//! One query for each host asks for all its samples with a range selector. Not here: sending (see `sender`).
//!
//! Invariant: an acknowledged sample that is absent is missing; one with another value, at any time, is wrong; one that
//! was never sent is unexpected. A sample that was sent and not acknowledged may be there or not.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::http::{Address, Client};
use crate::payload::Payload;

/// Findings described in words; the others are only counted.
const EXAMPLES_MAX: usize = 5;

/// What reading back found, in samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Verification {
    /// Samples read and equal to what was sent.
    pub(crate) equal: usize,
    /// Samples acknowledged and not found.
    pub(crate) missing: usize,
    /// Samples found with another value than was sent.
    pub(crate) wrong: usize,
    /// Samples found that nobody sent.
    pub(crate) unexpected: usize,
    /// The first findings, in words.
    pub(crate) examples: Vec<String>,
}

impl Verification {
    /// Whether there was nothing to find.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing + self.wrong + self.unexpected == 0
    }

    /// Adds what another reading found.
    pub(crate) fn absorb(&mut self, other: Verification) {
        self.equal += other.equal;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.unexpected += other.unexpected;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }
}

/// Reads a payload back. `acknowledged` says for each sample, at `series * samples + sample`, whether it has to be
/// there.
///
/// # Errors
/// When the server does not answer, or not with a matrix.
pub(crate) fn read_back(address: &Address, payload: &Payload, acknowledged: &[bool]) -> Result<Verification> {
    let mut client = Client::new(address);
    let mut verification = Verification::default();
    for (instance, series) in hosts(payload) {
        let body = client.fetch(&range_query(address, payload, &instance))?;
        let answer: Answer = serde_json::from_slice(body).with_context(|| format!("answer about {instance}"))?;
        ensure!(answer.status == "success", "query about {instance}: status {}", answer.status);
        verification.absorb(compare(payload, &series, acknowledged, answer.data.result)?);
    }
    Ok(verification)
}

/// The series of each host, in the order of their numbers.
fn hosts(payload: &Payload) -> BTreeMap<String, Vec<usize>> {
    let mut hosts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for series in 0..payload.series {
        hosts.entry(payload.fleet.instance(series)).or_default().push(series);
    }
    hosts
}

/// Asks for all samples of a host over the whole span, in one instant query.
fn range_query(address: &Address, payload: &Payload, instance: &str) -> Vec<u8> {
    let (first_ms, last_ms) = payload.span_ms();
    // Whole seconds on either side: ranges may or may not include their older edge.
    let end_s = last_ms.div_euclid(1000) + 1;
    let range_s = end_s - first_ms.div_euclid(1000) + 1;
    let query = format!("{{job=\"node\",instance=\"{instance}\"}}[{range_s}s]");
    address.get("/api/v1/query", &[("query", &query), ("time", &end_s.to_string())])
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    status: &'a str,
    data: AnswerData<'a>,
}

#[derive(Deserialize)]
struct AnswerData<'a> {
    #[serde(borrow)]
    result: Vec<AnswerSeries<'a>>,
}

/// Labels, and pairs of seconds and value as text.
#[derive(Deserialize)]
struct AnswerSeries<'a> {
    metric: BTreeMap<String, String>,
    #[serde(borrow)]
    values: Vec<(f64, &'a str)>,
}

fn compare(
    payload: &Payload,
    series: &[usize],
    acknowledged: &[bool],
    result: Vec<AnswerSeries>,
) -> Result<Verification> {
    let mut verification = Verification::default();
    let (first_ms, last_ms) = payload.span_ms();
    let mut answers: HashMap<BTreeMap<String, String>, Vec<(i64, &str)>> = HashMap::new();
    for answer in result {
        let samples = answer.values.into_iter().map(|(time_s, value)| ((time_s * 1e3).round() as i64, value));
        let within = samples.filter(|(time_ms, _)| (first_ms..=last_ms).contains(time_ms));
        answers.entry(answer.metric).or_default().extend(within);
    }
    for &series in series {
        let labels = payload.fleet.labels(series);
        let labels: BTreeMap<_, _> =
            labels.into_iter().map(|(name, value)| (name.into(), value.into_owned())).collect();
        let found = answers.remove(&labels).unwrap_or_default();
        let flags = &acknowledged[series * payload.samples..][..payload.samples];
        compare_series(payload, series, flags, &found, &mut verification)?;
    }
    for (labels, found) in answers.into_iter().filter(|(_, found)| !found.is_empty()) {
        verification.unexpected += found.len();
        verification.note(|| {
            let labels: Vec<_> = labels.iter().collect();
            format!("{}: {} samples of a series that was not sent", named(&labels), found.len())
        });
    }
    Ok(verification)
}

fn compare_series(
    payload: &Payload,
    series: usize,
    acknowledged: &[bool],
    found: &[(i64, &str)],
    verification: &mut Verification,
) -> Result<()> {
    let mut found = found.iter().copied().peekable();
    let place = |time_ms: i64| format!("{} at {time_ms} ms", named(&payload.fleet.labels(series)));
    for (sample, &acknowledged) in acknowledged.iter().enumerate() {
        let (time_ms, sent) = payload.sample(series, sample);
        while let Some((extra_ms, text)) = found.next_if(|(found_ms, _)| *found_ms < time_ms) {
            verification.unexpected += 1;
            verification.note(|| format!("{}: {text}, which was not sent", place(extra_ms)));
        }
        match found.next_if(|(found_ms, _)| *found_ms == time_ms) {
            Some((_, text)) if is_same(sent, text)? => verification.equal += 1,
            Some((_, text)) => {
                verification.wrong += 1;
                verification.note(|| format!("{}: {text} instead of {sent}", place(time_ms)));
            }
            None if acknowledged => {
                verification.missing += 1;
                verification.note(|| format!("{}: {sent} is missing", place(time_ms)));
            }
            None => {}
        }
    }
    for (extra_ms, text) in found {
        verification.unexpected += 1;
        verification.note(|| format!("{}: {text}, which was not sent", place(extra_ms)));
    }
    Ok(())
}

/// A series as a selector that finds it.
fn named(labels: &[(impl Display, impl Display)]) -> String {
    let matchers: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{{{}}}", matchers.join(","))
}

/// Texts are the shortest that read back as the same number, so equal bits mean nothing was lost. The bits of a NaN
/// have no text: any NaN equals any other.
fn is_same(sent: f64, text: &str) -> Result<bool> {
    let found: f64 = text.parse().with_context(|| format!("{text:?} is not a number"))?;
    Ok(found.to_bits() == sent.to_bits() || found.is_nan() && sent.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn payload() -> Payload {
        let scenario = Scenario { series: 2, samples: 3, specials: true, ..Scenario::default() };
        Payload::ending_at(&scenario, 1_700_000_000_000)
    }

    /// What a faultless server answers about the samples that `keep` keeps, as JSON.
    fn answer(payload: &Payload, keep: impl Fn(usize, usize) -> bool) -> String {
        let result: Vec<_> = (0..2)
            .map(|series| {
                let metric: BTreeMap<_, _> = payload.fleet.labels(series).into_iter().collect();
                let kept = (0..3).filter(|&sample| keep(series, sample)).map(|sample| payload.sample(series, sample));
                let values: Vec<_> = kept.map(|(ms, value)| (ms as f64 / 1e3, value.to_string())).collect();
                serde_json::json!({"metric": metric, "values": values})
            })
            .collect();
        serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string()
    }

    fn compared(payload: &Payload, json: &str, acknowledged: &[bool; 6]) -> Verification {
        let answer: Answer = serde_json::from_str(json).unwrap();
        compare(payload, &[0, 1], acknowledged, answer.data.result).unwrap()
    }

    #[test]
    fn what_was_sent_and_found_is_equal() {
        let payload = payload();
        let found = compared(&payload, &answer(&payload, |_, _| true), &[true; 6]);
        assert_eq!(found, Verification { equal: 6, ..Verification::default() });
        assert!(found.is_clean());
    }

    #[test]
    fn an_acknowledged_sample_that_is_absent_is_missing() {
        let payload = payload();
        let json = answer(&payload, |series, sample| (series, sample) != (1, 0));
        let found = compared(&payload, &json, &[true; 6]);
        assert_eq!((found.equal, found.missing, found.examples.len()), (5, 1, 1));
        let not_acknowledged = [true, true, true, false, true, true];
        assert!(compared(&payload, &json, &not_acknowledged).is_clean());
    }

    #[test]
    fn another_value_is_wrong_even_when_not_acknowledged() {
        let payload = payload();
        let (_, value) = payload.sample(0, 1);
        let json = answer(&payload, |_, _| true).replacen(&format!("\"{value}\""), "\"0.123456789\"", 1);
        let found = compared(&payload, &json, &[false; 6]);
        assert_eq!((found.equal, found.wrong, found.is_clean()), (5, 1, false));
    }

    #[test]
    fn samples_and_series_that_were_not_sent_are_unexpected() {
        let payload = payload();
        let (time_ms, _) = payload.sample(0, 1);
        let moved =
            answer(&payload, |_, _| true).replace(&format!("{}.0,", time_ms / 1000), &format!("{}.5,", time_ms / 1000));
        let found = compared(&payload, &moved, &[true; 6]);
        assert_eq!((found.unexpected, found.missing), (2, 2));
        let renamed = answer(&payload, |_, _| true).replacen("\"idle\"", "\"idler\"", 1);
        let found = compared(&payload, &renamed, &[true; 6]);
        assert_eq!((found.unexpected, found.missing), (3, 3));
    }

    #[test]
    fn numbers_are_compared_by_their_bits() {
        assert!(
            is_same(0.1, "0.1").unwrap() && is_same(f64::INFINITY, "+Inf").unwrap() && is_same(-0.0, "-0").unwrap()
        );
        assert!(is_same(f64::from_bits(0x7ff8_0000_0000_00ff), "NaN").unwrap());
        assert!(!is_same(0.1, "0.10000000000000002").unwrap() && !is_same(0.0, "-0").unwrap());
        assert!(is_same(1.0, "one").is_err());
    }

    #[test]
    fn the_query_covers_the_whole_span() {
        let payload = payload();
        let (address, scenario_end) = (Address::parse("http://h:1").unwrap(), 1_699_999_995);
        let text = String::from_utf8(range_query(&address, &payload, "i")).unwrap();
        // Two steps of 15 s, and a second more on either side.
        assert!(text.contains("%5B32s%5D") && text.contains(&format!("time={}", scenario_end + 1)), "{text}");
    }
}
