//! The sender's side: builds a request of either version and compresses it, for load generators and tests.
//!
//! Not here: sorting or checking labels; they are written as given, so that a test can also send what is wrong.
//!
//! Invariant: as Prometheus does, a value or a time of 0 is left out; -0.0 is written, because its bits are not 0.

use super::labels::{LABEL, NAME, VALUE};
use super::metadata::{self, MetricKind};
use super::request::{METADATA, TIME_SERIES};
use super::series::{SAMPLE, SAMPLE_TIME, SAMPLE_VALUE};
use super::v2;
use crate::protobuf::{field_bytes, push_varint, varint_bytes};
use std::collections::HashMap;

/// A request under construction; keeps its memory between requests.
#[derive(Debug, Default)]
pub struct WriteRequestBuilder {
    request: Vec<u8>,
}

impl WriteRequestBuilder {
    /// Starts a new request.
    pub fn clear(&mut self) {
        self.request.clear();
    }

    /// Adds a series: labels as `(name, value)`, samples as `(time_ms, value)`.
    pub fn series(&mut self, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
        let labels_bytes: usize = labels.iter().map(|&label| field_bytes(label_bytes(label))).sum();
        let samples_bytes: usize = samples.iter().map(|&sample| field_bytes(sample_bytes(sample))).sum();
        TIME_SERIES.push_header(&mut self.request, labels_bytes + samples_bytes);
        labels.iter().for_each(|&label| push_label(&mut self.request, label));
        samples.iter().for_each(|&sample| push_sample(&mut self.request, sample));
    }

    /// Adds a metadata record: what a sender knows about a metric family.
    pub fn metadata(&mut self, kind: MetricKind, family: &str, help: &str, unit: &str) {
        let mut record = vec![metadata::KIND.byte(), kind as u8];
        for (tag, text) in [(metadata::FAMILY, family), (metadata::HELP, help), (metadata::UNIT, unit)] {
            tag.push_header(&mut record, text.len());
            record.extend_from_slice(text.as_bytes());
        }
        METADATA.push_header(&mut self.request, record.len());
        self.request.extend_from_slice(&record);
    }

    /// The request so far, uncompressed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.request
    }

    /// Replaces the contents of `body` by the compressed request.
    ///
    /// # Panics
    /// When the request has 4 GiB or more, which snappy cannot express.
    pub fn compress(&self, body: &mut Vec<u8>) {
        compress(&self.request, body);
    }
}

fn compress(request: &[u8], body: &mut Vec<u8>) {
    body.resize(snap::raw::max_compress_len(request.len()), 0);
    let mut encoder = snap::raw::Encoder::new();
    let len = encoder.compress(request, body).expect("a request is smaller than 4 GiB");
    body.truncate(len);
}

/// A request of version 2.0 under construction.
#[derive(Debug, Default)]
pub struct WriteRequestV2Builder {
    symbols: Vec<u8>,
    numbers: HashMap<String, u32>,
    series: Vec<u8>,
    /// What the series to come say of their metric.
    metadata: Vec<u8>,
}

impl WriteRequestV2Builder {
    /// Has the series to come say this of their metric.
    pub fn describe(&mut self, kind: MetricKind, help: &str, unit: &str) {
        self.metadata.clear();
        self.metadata.extend([v2::KIND.byte(), kind as u8]);
        for (tag, text) in [(v2::HELP_REF, help), (v2::UNIT_REF, unit)] {
            let symbol = self.symbol(text);
            self.metadata.push(tag.byte());
            push_varint(&mut self.metadata, u64::from(symbol));
        }
    }

    /// Adds a series: labels as `(name, value)`, samples as `(time_ms, value)`, and so many empty native histograms and
    /// exemplars.
    pub fn series(&mut self, labels: &[(&str, &str)], samples: &[(i64, f64)], histograms: usize, exemplars: usize) {
        let mut refs = Vec::new();
        for text in labels.iter().flat_map(|(name, value)| [name, value]) {
            push_varint(&mut refs, u64::from(self.symbol(text)));
        }
        let mut series = Vec::new();
        v2::REFS.push_header(&mut series, refs.len());
        series.extend_from_slice(&refs);
        samples.iter().for_each(|&sample| push_sample(&mut series, sample));
        (0..histograms).for_each(|_| v2::HISTOGRAM.push_header(&mut series, 0));
        (0..exemplars).for_each(|_| v2::EXEMPLAR.push_header(&mut series, 0));
        if !self.metadata.is_empty() {
            v2::METADATA.push_header(&mut series, self.metadata.len());
            series.extend_from_slice(&self.metadata);
        }
        v2::SERIES.push_header(&mut self.series, series.len());
        self.series.extend_from_slice(&series);
    }

    /// The number of a text; the empty one is 0, as the specification asks.
    fn symbol(&mut self, text: &str) -> u32 {
        for text in ["", text] {
            let next = self.numbers.len() as u32;
            if !self.numbers.contains_key(text) {
                self.numbers.insert(text.to_owned(), next);
                v2::SYMBOL.push_header(&mut self.symbols, text.len());
                self.symbols.extend_from_slice(text.as_bytes());
            }
        }
        self.numbers[text]
    }

    /// The request so far, uncompressed.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.symbols[..], &self.series].concat()
    }

    /// Replaces the contents of `body` by the compressed request.
    ///
    /// # Panics
    /// When the request has 4 GiB or more, which snappy cannot express.
    pub fn compress(&self, body: &mut Vec<u8>) {
        compress(&self.to_bytes(), body);
    }
}

fn push_label(out: &mut Vec<u8>, (name, value): (&str, &str)) {
    LABEL.push_header(out, label_bytes((name, value)));
    NAME.push_header(out, name.len());
    out.extend_from_slice(name.as_bytes());
    VALUE.push_header(out, value.len());
    out.extend_from_slice(value.as_bytes());
}

fn push_sample(out: &mut Vec<u8>, (time_ms, value): (i64, f64)) {
    SAMPLE.push_header(out, sample_bytes((time_ms, value)));
    if value.to_bits() != 0 {
        out.push(SAMPLE_VALUE.byte());
        out.extend_from_slice(&value.to_le_bytes());
    }
    if time_ms != 0 {
        out.push(SAMPLE_TIME.byte());
        push_varint(out, time_ms as u64);
    }
}

fn label_bytes((name, value): (&str, &str)) -> usize {
    field_bytes(name.len()) + field_bytes(value.len())
}

fn sample_bytes((time_ms, value): (i64, f64)) -> usize {
    let value_bytes = if value.to_bits() == 0 { 0 } else { 1 + size_of::<f64>() };
    let time_bytes = if time_ms == 0 { 0 } else { 1 + varint_bytes(time_ms as u64) };
    value_bytes + time_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are drawn by hand from the schema.
    #[test]
    fn a_request_has_the_bytes_of_its_schema() {
        let mut request = WriteRequestBuilder::default();
        request.series(&[("a", "bc")], &[(5, 1.0), (0, 0.0)]);
        request.series(&[], &[(300, -0.0)]);
        let first = b"\x0a\x18\x0a\x07\x0a\x01a\x12\x02bc\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x05\x12\x00";
        let second = b"\x0a\x0e\x12\x0c\x09\x00\x00\x00\x00\x00\x00\x00\x80\x10\xac\x02";
        assert_eq!(request.as_bytes(), [&first[..], second].concat());
        request.clear();
        assert_eq!(request.as_bytes(), b"");
    }

    /// Symbols "", "a", "b", then `a=b` with a sample and `a=a` with a histogram.
    #[test]
    fn a_request_of_version_two_has_the_bytes_of_its_schema() {
        let mut request = WriteRequestV2Builder::default();
        request.series(&[("a", "b")], &[(5, 0.0)], 0, 0);
        request.series(&[("a", "a")], &[], 1, 1);
        let symbols = b"\x22\x00\x22\x01a\x22\x01b";
        let series = b"\x2a\x08\x0a\x02\x01\x02\x12\x02\x10\x05\x2a\x08\x0a\x02\x01\x01\x1a\x00\x22\x00";
        assert_eq!(request.to_bytes(), [&symbols[..], series].concat());
    }

    #[test]
    fn compressing_replaces_what_the_buffer_held() {
        let mut request = WriteRequestBuilder::default();
        request.series(&[("__name__", "up")], &[(1, 1.0)]);
        let mut body = b"anything".to_vec();
        request.compress(&mut body);
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&body).unwrap(), request.as_bytes());
    }
}
