//! A remote write message, encoded by hand and apart from the server's own reader, so that one does not confirm the
//! other's mistakes.
//!
//! Not here: which series and samples it carries (see `payload`).

use anyhow::{Context, Result};

/// A message under construction, with buffers that are used again.
pub(crate) struct Message {
    label: Vec<u8>,
    series: Vec<u8>,
    message: Vec<u8>,
    snappy: snap::raw::Encoder,
}

impl Default for Message {
    fn default() -> Message {
        Message { label: vec![], series: vec![], message: vec![], snappy: snap::raw::Encoder::new() }
    }
}

impl Message {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.message.clear();
    }

    /// Adds a series, its labels sorted by name, with samples as time stamps in milliseconds and values.
    pub(crate) fn add_series(
        &mut self,
        labels: &[(impl AsRef<str>, impl AsRef<str>)],
        samples: impl IntoIterator<Item = (i64, f64)>,
    ) {
        self.series.clear();
        for (name, value) in labels {
            self.label.clear();
            put_bytes(&mut self.label, 1, name.as_ref().as_bytes());
            put_bytes(&mut self.label, 2, value.as_ref().as_bytes());
            put_bytes(&mut self.series, 1, &self.label);
        }
        for (time_ms, value) in samples {
            self.label.clear();
            put_double(&mut self.label, 1, value);
            put_varint_field(&mut self.label, 2, time_ms.cast_unsigned());
            put_bytes(&mut self.series, 2, &self.label);
        }
        put_bytes(&mut self.message, 1, &self.series);
    }

    /// The whole HTTP request: head and compressed body.
    ///
    /// # Errors
    /// When the message is too long for snappy (4 GiB).
    pub(crate) fn http_request(&mut self, path: &str) -> Result<Vec<u8>> {
        let body = self.snappy.compress_vec(&self.message).context("compress a remote write message")?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: loadtest\r\nContent-Type: application/x-protobuf\r\n\
             Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(&body);
        Ok(request)
    }
}

/// Protobuf: a field of bytes, text or an embedded message.
fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Protobuf: a field of type double.
fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Protobuf: a field of type int64, given as its two's complement.
fn put_varint_field(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    put_varint(out, value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_encoded_as_the_protobuf_specification_says() {
        let (mut out, text) = (Vec::new(), [7u8; 300]);
        put_bytes(&mut out, 2, &text);
        assert_eq!(out[..3], [0x12, 0xac, 0x02], "field 2, length-delimited, 300 as two groups of 7 bits");
        out.clear();
        put_double(&mut out, 1, 1.0);
        assert_eq!(out, [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        out.clear();
        put_varint_field(&mut out, 2, (-1i64).cast_unsigned());
        assert_eq!(out, [0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }
}
