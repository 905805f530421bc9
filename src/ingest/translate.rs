//! Views of protocols become series keys and samples in a lane: the one seam between `protocols` and `storage`.
//!
//! Not here: parsing (see `protocols`), what the store makes of a sample.
//!
//! Cost: a label set that arrives canonical, as Prometheus sends it, is hashed and copied where it lies; the key of a
//! StatsD line is built from its name and tags.

use super::known_series::Recogniser;
use super::lane::Lane;
use crate::self_metrics::Rejection;
use protocols::remote_write::{SeriesV2, Symbols, TimeSeries};
use protocols::statsd::{LineError, Measure, Observation, Reason, Tags};
use storage::series::{KeyBuilder, KeyError, NAME_LABEL};

/// Longest key of an observation: the keys of a timer's quantiles, which are longer, still fit the catalog's 4096 bytes.
const OBSERVED_KEY_BYTES_MAX: usize = 4000;
/// The label of an event's kind.
const ALERT_LABEL: &str = "alert_type";
/// The label of a container, where it is kept.
const CONTAINER_LABEL: &str = "container_id";

/// What translating a request came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    /// Observations seen, native histograms and exemplars among them.
    pub(super) received: u64,
    /// Observations refused here, by reason.
    pub(super) rejected: Vec<(Rejection, u64)>,
    /// Times at which counters were made, stepped over.
    pub(super) created: u64,
}

impl Translated {
    /// Counts what no place is kept for: a sender must not take it for written.
    #[inline]
    fn refuse_unkept(&mut self, histograms: usize, exemplars: usize) {
        if histograms + exemplars > 0 {
            self.received += (histograms + exemplars) as u64;
            self.reject(Rejection::NativeHistogram, histograms as u64);
            self.reject(Rejection::Exemplar, exemplars as u64);
        }
    }

    fn reject(&mut self, reason: Rejection, count: u64) {
        if count == 0 {
            return;
        }
        match self.rejected.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, total)) => *total += count,
            None => self.rejected.push((reason, count)),
        }
    }
}

/// Puts one remote write series into the lane; counts what cannot be.
#[inline]
pub(super) fn remote_write_series(
    series: &TimeSeries<'_>,
    met: &mut Recogniser<'_>,
    keys: &mut KeyBuilder,
    lane: &mut Lane,
    translated: &mut Translated,
) {
    let samples = series.sample_count() as u64;
    translated.received += samples;
    translated.refuse_unkept(series.histogram_count(), series.exemplar_count());
    if samples == 0 {
        return;
    }
    if let Some(key) = series.canonical_labels() {
        match met.series(key) {
            Some(known) => lane.known_series(known, key),
            None => lane.series(key),
        }
    } else {
        match key_of(series.labels().map(Some), keys) {
            Ok(key) => lane.series(key),
            Err(reason) => return translated.reject(reason, samples),
        }
    }
    if samples == 1 {
        let (time_ms, value) = series.last_sample();
        return lane.sample(time_ms, value);
    }
    for (time_ms, value) in series.samples() {
        lane.sample(time_ms, value);
    }
}

/// The same for a series of version 2.0.
pub(super) fn remote_write_series_v2(
    series: &SeriesV2<'_>,
    symbols: &Symbols<'_>,
    keys: &mut KeyBuilder,
    lane: &mut Lane,
    translated: &mut Translated,
) {
    let samples = series.sample_count() as u64;
    translated.received += samples;
    translated.refuse_unkept(series.histogram_count(), series.exemplar_count());
    translated.created += series.created_count() as u64;
    if samples == 0 {
        return;
    }
    match key_of(series.labels(symbols), keys) {
        Ok(key) => lane.series(key),
        Err(reason) => return translated.reject(reason, samples),
    }
    for (time_ms, value) in series.samples() {
        lane.sample(time_ms, value);
    }
}

/// The key of labels in any order; one that is not there at all makes no series.
fn key_of<'a, 'l>(
    labels: impl Iterator<Item = Option<(&'l [u8], &'l [u8])>>,
    keys: &'a mut KeyBuilder,
) -> Result<&'a [u8], Rejection> {
    keys.clear();
    for label in labels {
        let (name, value) = label.ok_or(Rejection::BadSeries)?;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Rejection::BadSeries);
        keys.push(text(name)?, text(value)?);
    }
    keys.finish().map_err(|error| match error {
        KeyError::DuplicateLabel => Rejection::DuplicateLabel,
        KeyError::NoName => Rejection::NoName,
        KeyError::EmptyLabelName | KeyError::Malformed => Rejection::BadSeries,
    })
}

/// What a malformed line is counted as.
pub(super) fn refusal(error: LineError) -> Rejection {
    match error.reason {
        Reason::UnknownType => Rejection::UnknownType,
        Reason::BadEvent => Rejection::BadEvent,
        Reason::Rate => Rejection::BadRate,
        Reason::Value => Rejection::BadValue,
        Reason::Name => Rejection::BadName,
        Reason::Tags => Rejection::BadTags,
        Reason::Timestamp => Rejection::BadTimestamp,
        _ => Rejection::Malformed,
    }
}

/// The key of a name as sent and tags as labels, met for the first time.
pub(super) fn observed_key<'a>(
    observation: &Observation<'_>,
    keep_container: bool,
    keys: &'a mut KeyBuilder,
    tags_joined: &mut u64,
) -> Result<&'a [u8], Rejection> {
    if push_tags(observation.name, observation.tags, keys) {
        *tags_joined += 1;
        push_joined_tags(observation.name, observation.tags, keys);
    }
    if let Measure::Event(event) = observation.measure
        && observation.tags.iter().all(|(key, _)| key != ALERT_LABEL)
    {
        keys.push(ALERT_LABEL, event.alert);
    }
    let is_tag = || observation.tags.iter().any(|(key, _)| key == CONTAINER_LABEL);
    if keep_container && !observation.container.is_empty() && !is_tag() {
        keys.push(CONTAINER_LABEL, observation.container);
    }
    let key = keys.finish().map_err(|_| Rejection::BadSeries)?;
    if key.len() <= OBSERVED_KEY_BYTES_MAX { Ok(key) } else { Err(Rejection::BadSeries) }
}

/// The value of a tag without one.
const NO_VALUE: &str = "true";

/// Pushes name and tags; says whether a key stands twice.
#[inline]
fn push_tags(name: &str, tags: Tags<'_>, keys: &mut KeyBuilder) -> bool {
    keys.clear();
    keys.push(NAME_LABEL, name);
    if tags.is_empty() {
        return false;
    }
    let mut twice = false;
    for (at, (key, value)) in tags.iter().enumerate() {
        twice |= tags.iter().take(at).any(|(before, _)| before == key);
        keys.push(key, value.unwrap_or(NO_VALUE));
    }
    twice
}

/// The same with the values of one key sorted, each once, and joined by commas.
#[cold]
fn push_joined_tags(name: &str, tags: Tags<'_>, keys: &mut KeyBuilder) {
    let mut all: Vec<_> = tags.iter().map(|(key, value)| (key, value.unwrap_or(NO_VALUE))).collect();
    all.sort_unstable();
    all.dedup();
    keys.clear();
    keys.push(NAME_LABEL, name);
    for same in all.chunk_by(|a, b| a.0 == b.0) {
        let values: Vec<_> = same.iter().map(|(_, value)| *value).collect();
        keys.push(same[0].0, &values.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::statsd::packet;
    use storage::series::labels;

    fn key_of(line: &str) -> Result<Vec<(String, String)>, Rejection> {
        let mut keys = KeyBuilder::default();
        let mut found = None;
        packet(line.as_bytes(), |read| {
            let read = read.expect("a well-formed line");
            let key = observed_key(&read, true, &mut keys, &mut 0);
            found = Some(key.map(|key| labels(key).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()));
        });
        found.expect("one observation")
    }

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, Rejection> {
        Ok(expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn tags_become_sorted_labels() {
        let expected = pairs(&[("__name__", "a.b/c d"), ("env", "prod"), ("host", "a:1"), ("up", "true")]);
        assert_eq!(key_of("a.b/c d:1|c|#host:a:1,up,env:prod"), expected);
        assert_eq!(key_of("a:1|c|c:f00"), pairs(&[("__name__", "a"), ("container_id", "f00")]));
        assert_eq!(key_of("a:1|c|#container_id:x|c:f00"), pairs(&[("__name__", "a"), ("container_id", "x")]));
        let event = [("__name__", "statsd_events"), ("alert_type", "error"), ("k", "v")];
        assert_eq!(key_of("_e{1,1}:a|b|t:error|#k:v"), pairs(&event));
        assert_eq!(key_of("a:1|c|#"), pairs(&[("__name__", "a")]));
        assert_eq!(key_of("a:1|c|#empty:,,"), pairs(&[("__name__", "a")]));
    }

    #[test]
    fn a_tag_key_that_stands_twice_has_its_values_sorted_and_joined() {
        assert_eq!(key_of("a:1|c|#k:z,k:b,k:z"), pairs(&[("__name__", "a"), ("k", "b,z")]));
    }

    #[test]
    fn tags_that_make_no_series_are_refused() {
        assert_eq!(key_of("a:1|c|#__name__:b"), Err(Rejection::BadSeries));
        assert_eq!(key_of("a:1|c|#:b"), Err(Rejection::BadSeries));
        assert_eq!(key_of(&format!("a:1|c|#k:{}", "v".repeat(4000))), Err(Rejection::BadSeries));
    }
}
