//! The HTTP API as a whole: its documents, its conventions, and the services beside metrics and anomalies.
//!
//! Not here: metrics and anomalies (see `tests/rest_metrics.rs`, `tests/rest_anomalies.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod conventions;
mod documented;
mod events;
mod exporter;
mod live;
mod openapi;
mod pull;
mod reload;
mod rows;
mod schemathesis;

use serde_json::Value;
use support::http::{Answer, post};
use support::server::Server;

/// POST of JSON.
fn ask(server: &Server, path: &str, body: &Value) -> Answer {
    post(&server.url(path), &[], body.to_string().as_bytes()).unwrap()
}

/// The body of an answer with this status.
fn body_of(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// Fails unless the answer is an error of this status about this field.
fn refused(answer: &Answer, status: u16, field: Option<&str>) {
    let body = body_of(answer, status);
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
    assert_eq!(body.get("field").and_then(Value::as_str), field, "{body}");
}

/// The present in milliseconds since 1970, as the server's own answers have it.
fn now_ms(server: &Server) -> i64 {
    let event = ask(server, "/api/v1/events", &serde_json::json!({"kind": "other", "title": "what time is it"}));
    let time: jiff::Timestamp = body_of(&event, 201)["time"].as_str().unwrap().parse().unwrap();
    time.as_millisecond()
}
