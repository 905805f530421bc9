//! Webhooks: POST of JSON with an id that stays the same when it is sent again, signed when a secret is set.
//!
//! ```text
//! Idempotency-Key: 0123456789abcdef
//! X-InfraWatch-Timestamp: 1700000000
//! X-InfraWatch-Signature: sha256=<HMAC-SHA-256 of "timestamp.body" by the secret, in hexadecimal>
//! ```
//!
//! Not here: trying again (see `notify`).

use super::super::incident::IncidentId;
use super::super::notification::Notification;
use super::super::routing::WebhookFormat;
use super::super::shape::{AlertShape, Time};
use super::{Failure, Http};
use hmac::{Hmac, Mac};
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;

/// The score from which a sample is anomalous.
const FLAG_LINE: f64 = 0.6;

#[derive(Debug, Serialize)]
struct Body<'a> {
    id: String,
    receiver: &'a str,
    status: &'static str,
    reason: &'static str,
    title: String,
    group_labels: &'a BTreeMap<String, String>,
    total: usize,
    firing: usize,
    /// Where to POST that somebody takes an alert, by its fingerprint.
    acknowledge_urls: BTreeMap<String, String>,
    incident_id: Option<IncidentId>,
    cause: Option<&'a str>,
    timestamp: Time,
    alerts: Vec<AlertShape<'a>>,
}

/// Sends a notification once.
pub(super) fn send(
    http: &Http,
    url: &str,
    secret: Option<&str>,
    format: WebhookFormat,
    notification: &Notification,
) -> Result<(), Failure> {
    let bodies = match format {
        WebhookFormat::InfraWatch => vec![body(notification)],
        WebhookFormat::Plain => plain_bodies(notification),
    };
    for (number, body) in bodies.iter().enumerate() {
        let key = if number == 0 { notification.id.to_string() } else { format!("{}-{number}", notification.id) };
        post(http, url, secret, (key, notification.at_ms), body)?;
    }
    Ok(())
}

/// Posts a body once, under a key that stays the same when it is sent again, signed where there is a secret.
pub(super) fn post(
    http: &Http,
    url: &str,
    secret: Option<&str>,
    (key, at_ms): (String, i64),
    body: &str,
) -> Result<(), Failure> {
    let body = body.as_bytes();
    let mut headers = vec![("idempotency-key", key)];
    if let Some(secret) = secret {
        let timestamp = (at_ms / 1000).to_string();
        headers.push(("x-infrawatch-signature", signature(secret, &timestamp, body)));
        headers.push(("x-infrawatch-timestamp", timestamp));
    }
    http.post(url, &headers, body)
}

pub(super) fn body(notification: &Notification) -> String {
    let body = Body {
        id: notification.id.to_string(),
        receiver: &notification.to.name,
        status: if notification.firing > 0 { "firing" } else { "resolved" },
        reason: notification.reason.as_str(),
        title: notification.title(),
        group_labels: &notification.group_labels,
        total: notification.total,
        firing: notification.firing,
        acknowledge_urls: acknowledge_urls(notification),
        incident_id: notification.incident.as_ref().map(|(id, _)| *id),
        cause: notification.incident.as_ref().map(|(_, cause)| cause.as_str()),
        timestamp: Time(notification.at_ms),
        alerts: notification.alerts.iter().map(|alert| AlertShape::of(alert)).collect(),
    };
    serde_json::to_string(&body).expect("maps have keys of text, and nothing else can fail")
}

/// Where people find the server, if that was set, and the alerts that go on.
fn acknowledge_urls(notification: &Notification) -> BTreeMap<String, String> {
    let url = notification.external_url.as_str();
    let firing = notification.alerts.iter().filter(|alert| alert.is_firing() && !url.is_empty());
    let of = |print: String| (print.clone(), format!("{url}/api/v1/alerts/{print}/acknowledge"));
    firing.map(|alert| of(alert.fingerprint.to_string())).collect()
}

/// A body for every alert that goes on: metric, score and threshold with four decimals, severity and timestamp.
fn plain_bodies(notification: &Notification) -> Vec<String> {
    let plain = |alert: &std::sync::Arc<super::super::record::Alert>| {
        let metric = alert.labels.get(super::super::record::METRIC_LABEL).map_or(alert.name.as_str(), String::as_str);
        json!({
            "metric": metric,
            "score": format!("{:.4}", alert.score),
            "threshold": format!("{FLAG_LINE:.4}"),
            "severity": alert.severity.as_str(),
            "timestamp": Time(alert.updated_at_ms),
        })
        .to_string()
    };
    notification.alerts.iter().filter(|alert| alert.is_firing()).map(plain).collect()
}

fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is taken");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_other_implementations() {
        // python3 -c 'import hmac; print(hmac.new(b"key", b"1700000000.{}", "sha256").hexdigest())'
        let expected = "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature("key", "1700000000", b"{}"), expected);
    }
}
