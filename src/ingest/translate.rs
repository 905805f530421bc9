//! Views of protocols become series keys and samples in a lane: the one seam between `protocols` and `storage`.
//!
//! Not here: parsing (see `protocols`), what the store makes of a sample.
//!
//! Cost: a label set that arrives canonical, as Prometheus sends it, is hashed and copied where it lies.

use super::lane::Lane;
use crate::self_metrics::Rejection;
use protocols::remote_write::TimeSeries;
use storage::series::{KeyBuilder, KeyError};

/// What translating a request came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    /// Observations seen, native histograms among them.
    pub(super) received: u64,
    /// Observations refused here, by reason.
    pub(super) rejected: Vec<(Rejection, u64)>,
    /// Exemplars stepped over.
    pub(super) exemplars: u64,
}

impl Translated {
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
    keys: &mut KeyBuilder,
    lane: &mut Lane,
    translated: &mut Translated,
) {
    let (samples, histograms) = (series.sample_count() as u64, series.histogram_count() as u64);
    translated.received += samples + histograms;
    translated.exemplars += series.exemplar_count() as u64;
    translated.reject(Rejection::NativeHistogram, histograms);
    if samples == 0 {
        return;
    }
    if let Some(key) = series.canonical_labels() {
        lane.series(key);
    } else {
        match canonical_key(series, keys) {
            Ok(key) => lane.series(key),
            Err(reason) => return translated.reject(reason, samples),
        }
    }
    for (time_ms, value) in series.samples() {
        lane.sample(time_ms, value);
    }
}

/// The key of labels that come unsorted, with empty values, or otherwise not as a key has them.
#[cold]
fn canonical_key<'a>(series: &TimeSeries<'_>, keys: &'a mut KeyBuilder) -> Result<&'a [u8], Rejection> {
    keys.clear();
    for (name, value) in series.labels() {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Rejection::BadSeries);
        keys.push(text(name)?, text(value)?);
    }
    keys.finish().map_err(|error| match error {
        KeyError::DuplicateLabel => Rejection::DuplicateLabel,
        KeyError::NoName => Rejection::NoName,
        KeyError::EmptyLabelName | KeyError::Malformed => Rejection::BadSeries,
    })
}
