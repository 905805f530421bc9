//! The envelope of every answer, written by hand: `{"status":"success","data":...}` or an error with its type.
//!
//! A large matrix is mostly numbers, so it goes straight into one buffer instead of through a tree of JSON values.
//! Cost sketch: 25-60 ns a sample, dominated by the shortest digits of its value; whole numbers take a third of that.
//!
//! Not here: how numbers are spelled (see `query::push_sample_value`).

use super::out::Out;
use crate::query::{Answer, AnswerColumns, AnswerSeries, Labels, Notes, QueryError, is_absent};
use crate::query::{push_plain, push_sample_value, push_seconds};
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::fmt::Write;

/// A finished JSON text.
#[derive(Debug)]
pub(super) struct Json(pub(super) Bytes);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// Writes the whole text of an answer, envelope included.
pub(super) type Reply = Box<dyn FnOnce(&mut Out) + Send>;

/// A successful answer around `data`, which writes one JSON value.
pub(super) fn reply(data: impl FnOnce(&mut Out) + Send + 'static) -> Reply {
    reply_with(Notes::default(), data)
}

/// A successful answer with warnings and remarks.
pub(super) fn reply_with(notes: Notes, data: impl FnOnce(&mut Out) + Send + 'static) -> Reply {
    Box::new(move |out| {
        out.push_str("{\"status\":\"success\",\"data\":");
        data(out);
        for (name, texts) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
            if !texts.is_empty() {
                out.push_str(",\"");
                out.push_str(name);
                out.push_str("\":");
                push_list(out, texts, |out, text| push_text(out, text));
            }
        }
        out.push('}');
    })
}

/// A request that cannot be answered.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ApiError {
    /// A parameter that is missing or makes no sense.
    pub(super) fn bad_parameter(name: &str, what: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {what}"))
    }

    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "internal", message: message.into() }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, kind) = match &error {
            QueryError::BadData(_) | QueryError::Store(storage::StoreError::BadMatcher { .. }) => {
                (StatusCode::BAD_REQUEST, "bad_data")
            }
            QueryError::Execution(_) => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            QueryError::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            QueryError::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            QueryError::Canceled | QueryError::Store(storage::StoreError::Stopped) => {
                (StatusCode::SERVICE_UNAVAILABLE, "canceled")
            }
            QueryError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self { status, kind, message: error.to_string() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = format!("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", self.kind);
        push_text(&mut body, &self.message);
        body.push('}');
        let mut response = (self.status, Json(Bytes::from(body))).into_response();
        if self.kind == "unavailable" {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A short successful answer around `data`, which writes one JSON value.
pub(super) fn success(data: impl FnOnce(&mut Out) + Send + 'static) -> Json {
    let mut out = Out::whole();
    reply(data)(&mut out);
    Json(out.into_text())
}

/// Writes the result of a query; its series are gone as soon as they are written.
pub(super) fn push_answer(out: &mut Out, answer: Answer) {
    let open = |out: &mut Out, kind: &str| {
        out.push_str("{\"resultType\":\"");
        out.push_str(kind);
        out.push_str("\",\"result\":");
    };
    match answer {
        Answer::Text(time_ms, text) => {
            open(out, "string");
            push_single(out, time_ms, |out| push_text(out, &text));
        }
        Answer::Scalar(time_ms, value) => {
            open(out, "scalar");
            push_single(out, time_ms, |out| push_quoted(out, value, push_plain));
        }
        Answer::Vector(time_ms, series) => {
            open(out, "vector");
            push_list(out, series, |out, (labels, value)| {
                out.push_str("{\"metric\":");
                push_labels(out, &labels);
                out.push_str(",\"value\":");
                push_point(out, time_ms, |out| push_quoted(out, value, push_sample_value));
                out.push('}');
            });
        }
        Answer::Matrix(series) => {
            open(out, "matrix");
            push_list(out, series, push_series);
        }
        Answer::Columns(columns) => {
            open(out, "matrix");
            push_columns(out, columns);
        }
    }
    out.push('}');
}

fn push_series(out: &mut Out, series: AnswerSeries) {
    out.push_str("{\"metric\":");
    push_labels(out, &series.labels);
    out.push_str(",\"values\":[");
    for (i, (&time_ms, &value)) in series.samples.times.iter().zip(&series.samples.values).enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_point(out, time_ms, |out| push_quoted(out, value, push_sample_value));
        out.breathe();
    }
    out.push_str("]}");
}

/// All series share their instants, so what stands before a value is spelled once.
fn push_columns(out: &mut Out, columns: AnswerColumns) {
    let mut opening = String::new();
    let mut ends = Vec::with_capacity(columns.times_ms.len());
    for &time_ms in &columns.times_ms {
        opening.push_str(",[");
        push_seconds(&mut opening, time_ms);
        opening.push_str(",\"");
        ends.push(opening.len());
    }
    push_list(out, columns.into_series(), |out, (labels, values)| {
        out.push_str("{\"metric\":");
        push_labels(out, &labels);
        out.push_str(",\"values\":[");
        let (mut start, mut is_first) = (0, true);
        for (&end, &value) in ends.iter().zip(&values) {
            if !is_absent(value) {
                out.push_str(&opening[start + usize::from(is_first)..end]);
                push_sample_value(out, value);
                out.push_str("\"]");
                out.breathe();
                is_first = false;
            }
            start = end;
        }
        out.push_str("]}");
    });
}

fn push_point(out: &mut String, time_ms: i64, value: impl FnOnce(&mut String)) {
    out.push('[');
    push_seconds(out, time_ms);
    out.push(',');
    value(out);
    out.push(']');
}

/// As `push_point`, but with the time as a plain number: Prometheus writes scalars and texts in another way than points.
fn push_single(out: &mut String, time_ms: i64, value: impl FnOnce(&mut String)) {
    out.push('[');
    push_plain(out, time_ms as f64 / 1000.0);
    out.push(',');
    value(out);
    out.push(']');
}

fn push_quoted(out: &mut String, value: f64, push: fn(&mut String, f64)) {
    out.push('"');
    push(out, value);
    out.push('"');
}

/// Writes a label set as an object, in order of names.
pub(super) fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_text(out, value);
    }
    out.push('}');
}

/// Writes a list; ends early when nobody listens any more.
pub(super) fn push_list<T>(out: &mut Out, items: impl IntoIterator<Item = T>, push: impl Fn(&mut Out, T)) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
        if !out.breathe() {
            return;
        }
    }
    out.push(']');
}

/// Writes a JSON string.
pub(super) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    // Hardly any text needs an escape, and this loop looks at 16 bytes at a time.
    if !text.bytes().fold(false, |any, byte| any | (byte < 0x20) | (byte == b'"') | (byte == b'\\')) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        out.push_str(&text[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => write!(out, "\\u{byte:04x}").expect("a String takes every write"),
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::sample::Samples;

    fn written(answer: &Answer) -> String {
        let answer = answer.clone();
        let json = success(|out| push_answer(out, answer)).0;
        let json = String::from_utf8(json.to_vec()).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        json
    }

    #[test]
    fn answers_have_the_forms_of_prometheus() {
        assert_eq!(
            written(&Answer::Scalar(1_700_000_000_500, 1e-9)),
            r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.5,"0.000000001"]}}"#
        );
        assert_eq!(
            written(&Answer::Text(1_000, "a\"b".into())),
            r#"{"status":"success","data":{"resultType":"string","result":[1,"a\"b"]}}"#
        );
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "x")]);
        assert_eq!(
            written(&Answer::Vector(0, vec![(labels.clone(), f64::NAN)])),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"x"},"value":[0,"NaN"]}]}}"#
        );
        let samples = Samples { times: vec![0, 1500], values: vec![1.0, 1e-7] };
        assert_eq!(
            written(&Answer::Matrix(vec![AnswerSeries { labels, samples }])),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"x"},"values":[[0,"1"],[1.500,"1e-07"]]}]}}"#
        );
        assert_eq!(
            written(&Answer::Matrix(Vec::new())),
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#
        );
    }

    #[test]
    fn any_label_value_survives_as_json() {
        for text in ["plain", "a\"b\\c", "line\nnext\r\t", "\u{0}\u{1f}", "ünï \u{1F600}", ""] {
            let mut out = String::new();
            push_text(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn warnings_stand_beside_the_data() {
        let mut out = Out::whole();
        let notes = Notes { warnings: ["cut".to_owned()].into(), infos: ["a".to_owned(), "b".to_owned()].into() };
        reply_with(notes, |out| out.push_str("[]"))(&mut out);
        assert_eq!(out.into_text(), r#"{"status":"success","data":[],"warnings":["cut"],"infos":["a","b"]}"#);
    }
}
