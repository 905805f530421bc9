//! Alertmanager's API of version 2: a list of alerts, sent again while they go on, each with an end far enough ahead
//! that one lost request does not end it.
//!
//! Not here: grouping, repeating and silencing as people see them, which the Alertmanager does by itself.

use super::super::notification::Notification;
use super::super::record::Alert;
use super::super::shape::Time;
use super::{Failure, Http};
use serde::Serialize;
use std::collections::BTreeMap;

/// How far ahead the end of an alert is that goes on; it is sent again every minute.
const ENDS_AFTER_MS: i64 = 4 * 60_000;
/// Alerts a request.
const ALERTS_A_REQUEST: usize = 500;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PushedAlert<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: Time,
    ends_at: Time,
}

/// Sends the alerts of a notification once.
pub(super) fn send(http: &Http, url: &str, notification: &Notification, now_ms: i64) -> Result<(), Failure> {
    let url = format!("{url}/api/v2/alerts");
    for alerts in notification.alerts.chunks(ALERTS_A_REQUEST) {
        let pushed: Vec<_> = alerts.iter().map(|alert| pushed(alert, now_ms)).collect();
        let body = serde_json::to_vec(&pushed).expect("maps have keys of text, and nothing else can fail");
        http.post(&url, &[], &body)?;
    }
    Ok(())
}

fn pushed(alert: &Alert, now_ms: i64) -> PushedAlert<'_> {
    let mut labels: BTreeMap<_, _> = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    labels.entry("severity").or_insert(alert.severity.as_str());
    let mut annotations: BTreeMap<_, _> =
        alert.annotations.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    annotations.entry("summary").or_insert(&alert.summary);
    let ends_at_ms = alert.ends_at_ms.unwrap_or(now_ms + ENDS_AFTER_MS);
    // Alertmanager refuses an end before the beginning, which late samples may lead to.
    let starts_at_ms = alert.starts_at_ms.min(ends_at_ms);
    PushedAlert { labels, annotations, starts_at: Time(starts_at_ms), ends_at: Time(ends_at_ms) }
}
