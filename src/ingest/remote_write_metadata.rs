//! What a remote write request says of metrics goes into the book of metric families.
//!
//! Version 1.0 says it of families, in records of their own; 2.0 says it in every series, of which those of one name in
//! a request are taken once.
//!
//! Not here: what is remembered (see `metric_metadata`).

use crate::metric_metadata::{MetricBook, MetricType};
use protocols::ParseError;
use protocols::remote_write::{MetadataV2, MetricKind, SeriesV2, Symbols, metadata};
use storage::series::NAME_LABEL;

/// Takes the records of a request of version 1.0.
///
/// # Errors
/// When one is malformed; those before it are taken.
pub(super) fn tell(request: &[u8], book: &MetricBook) -> Result<(), ParseError> {
    for record in metadata(request) {
        let record = record?;
        book.tell(record.family, type_of(record.kind), record.help, record.unit);
    }
    Ok(())
}

/// Takes what the series of one request of version 2.0 say.
#[derive(Debug)]
pub(super) struct Teller<'a, 's> {
    book: &'a MetricBook,
    symbols: &'a Symbols<'s>,
    /// Whether a name, by its symbol, was taken already; empty until there is something to take.
    taken: Vec<bool>,
}

impl<'a, 's> Teller<'a, 's> {
    pub(super) fn new(book: &'a MetricBook, symbols: &'a Symbols<'s>) -> Self {
        Self { book, symbols, taken: Vec::new() }
    }

    /// Takes what a series says, unless one of its name has said it.
    pub(super) fn tell(&mut self, series: &SeriesV2<'s>) {
        let said = series.metadata();
        if said == MetadataV2::default() {
            return;
        }
        let Some((symbol, name)) = self.name_of(series) else { return };
        self.taken.resize(self.symbols.len(), false);
        if std::mem::replace(&mut self.taken[symbol as usize], true) {
            return;
        }
        let text = |symbol| self.symbols.get(symbol).unwrap_or_default();
        let kind = type_of(said.kind);
        self.book.tell(family_of(name, kind), kind, text(said.help_ref), text(said.unit_ref));
    }

    fn name_of(&self, series: &SeriesV2<'s>) -> Option<(u32, &'s [u8])> {
        let mut refs = series.label_refs();
        loop {
            let (label, value) = (refs.next()?, refs.next()?);
            if self.symbols.get(label)? == NAME_LABEL.as_bytes() {
                return Some((value, self.symbols.get(value)?));
            }
        }
    }
}

/// The family of a series with this name: a histogram's or summary's series have names of their own.
fn family_of(name: &[u8], kind: MetricType) -> &[u8] {
    let parts: &[&[u8]] = match kind {
        MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary => {
            &[b"_bucket", b"_count", b"_sum", b"_gcount", b"_gsum"]
        }
        _ => &[],
    };
    parts.iter().find_map(|part| name.strip_suffix(*part)).unwrap_or(name)
}

fn type_of(kind: MetricKind) -> MetricType {
    match kind {
        MetricKind::Unknown => MetricType::Unknown,
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Histogram => MetricType::Histogram,
        MetricKind::GaugeHistogram => MetricType::GaugeHistogram,
        MetricKind::Summary => MetricType::Summary,
        MetricKind::Info => MetricType::Info,
        MetricKind::StateSet => MetricType::StateSet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocols::remote_write::{WriteRequestV2Builder, symbols, time_series_v2};

    #[test]
    fn series_of_one_name_are_taken_once_and_parts_count_for_their_family() {
        let mut request = WriteRequestV2Builder::default();
        request.describe(MetricKind::Counter, "Reads.", "bytes");
        request.series(&[("__name__", "reads"), ("a", "1")], &[], 0, 0);
        request.describe(MetricKind::Gauge, "Too late.", "");
        request.series(&[("__name__", "reads"), ("a", "2")], &[], 0, 0);
        request.describe(MetricKind::Histogram, "How long.", "");
        request.series(&[("A", "before the name"), ("__name__", "latency_bucket")], &[], 0, 0);
        request.describe(MetricKind::Unknown, "", "");
        request.series(&[("__name__", "silent")], &[], 0, 0);
        let (bytes, book) = (request.to_bytes(), MetricBook::default());
        let symbols = symbols(&bytes).unwrap();
        let mut teller = Teller::new(&book, &symbols);
        time_series_v2(&bytes).for_each(|series| teller.tell(&series.unwrap()));
        let told = book.families(None, 10);
        let told: Vec<_> =
            told.iter().map(|(name, said)| (name.as_str(), said.kind, &*said.help, &*said.unit)).collect();
        let expected =
            [("latency", MetricType::Histogram, "How long.", ""), ("reads", MetricType::Counter, "Reads.", "bytes")];
        assert_eq!(told, expected);
    }
}
