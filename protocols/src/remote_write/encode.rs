//! The sender's side: builds a `prometheus.WriteRequest` and compresses it, for load generators and tests.
//!
//! Not here: sorting or checking labels; they are written as given, so that a test can also send what is wrong.
//!
//! Invariant: as Prometheus does, a value or a time of 0 is left out; -0.0 is written, because its bits are not 0.

use super::labels::{LABEL, NAME, VALUE};
use super::request::TIME_SERIES;
use super::series::{SAMPLE, SAMPLE_TIME, SAMPLE_VALUE};
use crate::protobuf::{field_bytes, push_varint, varint_bytes};

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

    /// The request so far, uncompressed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.request
    }

    /// Replaces the contents of `body` by the compressed request.
    ///
    /// # Panics
    /// When the request has 4 GiB or more, which snappy cannot express.
    pub fn compress(&self, body: &mut Vec<u8>) {
        body.resize(snap::raw::max_compress_len(self.request.len()), 0);
        let mut encoder = snap::raw::Encoder::new();
        let len = encoder.compress(&self.request, body).expect("a request is smaller than 4 GiB");
        body.truncate(len);
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

    #[test]
    fn compressing_replaces_what_the_buffer_held() {
        let mut request = WriteRequestBuilder::default();
        request.series(&[("__name__", "up")], &[(1, 1.0)]);
        let mut body = b"anything".to_vec();
        request.compress(&mut body);
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&body).unwrap(), request.as_bytes());
    }
}
