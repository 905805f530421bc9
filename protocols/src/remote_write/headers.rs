//! The HTTP headers of remote write: their names, their values, and which schema a content type asks for.
//!
//! Not here: HTTP itself. Names are lowercase, as HTTP libraries want their constants; HTTP compares them without case.

/// Content type of a version 1.0 body.
pub const CONTENT_TYPE_V1: &str = "application/x-protobuf";

/// Content type of a version 2.0 body.
pub const CONTENT_TYPE_V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// The content encoding of the protocol: snappy block format, not framed.
pub const CONTENT_ENCODING: &str = "snappy";

/// The content encoding that VictoriaMetrics' agent prefers: a frame of zstd.
pub const CONTENT_ENCODING_ZSTD: &str = "zstd";

/// The query parameter by which that agent asks whether it may send it; the answer is [`VM_VERSION`].
pub const VM_HANDSHAKE: &str = "get_vm_proto_version";

/// The version of the agent's protocol that is spoken: zstd instead of snappy, else the same.
pub const VM_VERSION: &str = "1";

/// The header in which a sender names the protocol version; the schema is chosen by content type alone.
pub const VERSION: &str = "x-prometheus-remote-write-version";

/// What [`VERSION`] says of a version 1.0 body.
pub const VERSION_V1: &str = "0.1.0";

/// The header of an answer that says how many samples were written.
pub const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// The header of an answer that says how many native histograms were written.
pub const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";

/// The header of an answer that says how many exemplars were written.
pub const EXEMPLARS_WRITTEN: &str = "x-prometheus-remote-write-exemplars-written";

/// The protobuf message in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// The schema that a `Content-Type` asks for; `None` for any type, or any `proto` parameter, that remote write does
/// not have.
///
/// Type and parameter names are compared without case, a parameter's value may stand in quotes, and parameters other
/// than `proto` say nothing.
pub fn schema(content_type: &str) -> Option<Schema> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(CONTENT_TYPE_V1) {
        return None;
    }
    let proto = parts.filter_map(|parameter| parameter.split_once('=')).find(|(name, _)| {
        let name = name.trim_end();
        name.eq_ignore_ascii_case("proto")
    });
    match proto.map(|(_, value)| value.trim_start().trim_matches('"')) {
        None | Some("prometheus.WriteRequest") => Some(Schema::V1),
        Some("io.prometheus.write.v2.Request") => Some(Schema::V2),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_choose_the_schema() {
        for (content_type, expected) in [
            ("application/x-protobuf", Some(Schema::V1)),
            ("Application/X-Protobuf", Some(Schema::V1)),
            (" application/x-protobuf ; charset=utf-8", Some(Schema::V1)),
            ("application/x-protobuf;proto=prometheus.WriteRequest", Some(Schema::V1)),
            ("application/x-protobuf; charset=utf-8; Proto = \"prometheus.WriteRequest\"", Some(Schema::V1)),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", Some(Schema::V2)),
            ("application/x-protobuf;proto=io.prometheus.write.v3.Request", None),
            ("application/x-protobuf;proto=", None),
            ("application/x-protobuffer", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(schema(content_type), expected, "{content_type}");
        }
    }
}
