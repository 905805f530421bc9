//! The file of receivers and routes.
//!
//! ```toml
//! [route]                       # what holds where a route below says nothing else
//! receiver = "team"
//! group_by = ["alertname", "metric_name"]
//! group_wait = "30s"
//! group_interval = "5m"
//! repeat_interval = "4h"
//!
//! [[routes]]                    # the first that fits
//! match = '{severity="critical"}'
//! receiver = "oncall"
//! continue = true
//!
//! [[receivers]]
//! name = "oncall"
//! webhook = "http://127.0.0.1:9000/hook"
//! secret_file = "/etc/infrawatch/webhook.key"
//!
//! [[receivers]]
//! name = "team"
//! alertmanager = "http://127.0.0.1:9093"
//! ```
//!
//! Not here: what routes do (see `routing`).

use super::conditions::Conditions;
use super::routing::{INCIDENT_LABEL, Receiver, Route, Routing, Target, Timing, WebhookFormat, default_group_by};
use crate::config::parse_span;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::label_index::Matcher;

/// Reads matchers as PromQL has them.
pub type ReadMatchers<'a> = &'a dyn Fn(&str) -> Result<Vec<Matcher>, String>;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RoutingError(String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    route: RouteEntry,
    #[serde(default)]
    routes: Vec<RouteEntry>,
    #[serde(default)]
    receivers: Vec<ReceiverEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    r#match: Option<String>,
    receiver: Option<String>,
    group_by: Option<Vec<String>>,
    group_wait: Option<String>,
    group_interval: Option<String>,
    repeat_interval: Option<String>,
    #[serde(default)]
    r#continue: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiverEntry {
    name: String,
    webhook: Option<String>,
    alertmanager: Option<String>,
    format: Option<String>,
    secret_file: Option<PathBuf>,
    send_resolved: Option<bool>,
}

/// Reads the file.
///
/// # Errors
/// Names the file and what is wrong with it, by line where the notation is wrong.
pub fn load(path: &Path, matchers: ReadMatchers<'_>) -> Result<Routing, RoutingError> {
    let wrong = |what: String| RoutingError(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    parse(&text, matchers).map_err(wrong)
}

fn parse(text: &str, matchers: ReadMatchers<'_>) -> Result<Routing, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    if file.route.r#match.is_some() || file.route.r#continue {
        return Err("[route] takes every alert, so it has neither match nor continue".to_owned());
    }
    let mut receivers = file.receivers.into_iter().map(receiver).collect::<Result<Vec<_>, _>>()?;
    receivers.push(Receiver { name: Arc::from("log"), target: Target::Log, sends_resolved: true });
    for (number, receiver) in receivers.iter().enumerate() {
        if receivers[..number].iter().any(|other| other.name == receiver.name) {
            return Err(format!("receiver {:?} is listed twice, or called like the log", &*receiver.name));
        }
    }
    let last = route(&file.route, None, &receivers, matchers)?;
    let mut routes = file
        .routes
        .iter()
        .map(|entry| route(entry, Some(&last), &receivers, matchers))
        .collect::<Result<Vec<_>, _>>()?;
    routes.push(last);
    Ok(Routing { receivers, routes })
}

fn receiver(entry: ReceiverEntry) -> Result<Receiver, String> {
    let name = entry.name;
    let secret = entry.secret_file.as_deref().map(|path| {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let secret = text.trim_end().to_owned();
        if secret.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(secret) }
    });
    let format = match entry.format.as_deref() {
        None | Some("infrawatch") => WebhookFormat::InfraWatch,
        Some("seed004") => WebhookFormat::Plain,
        Some(other) => return Err(format!("receiver {name:?}: format {other:?} is none of infrawatch, seed004")),
    };
    let target = match (entry.webhook, entry.alertmanager) {
        (Some(url), None) => Target::Webhook { url: checked(url)?, secret: secret.transpose()?, format },
        (None, Some(url)) if secret.is_none() => {
            Target::Alertmanager { url: checked(url)?.trim_end_matches('/').to_owned() }
        }
        (None, Some(_)) => return Err(format!("receiver {name:?}: an Alertmanager takes no secret_file")),
        _ => return Err(format!("receiver {name:?} needs one of webhook and alertmanager")),
    };
    Ok(Receiver { name: Arc::from(name), target, sends_resolved: entry.send_resolved.unwrap_or(true) })
}

fn checked(url: String) -> Result<String, String> {
    match url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty()) {
        true => Ok(url),
        false => Err(format!("{url:?} is no address that begins with http://")),
    }
}

/// A route; what it does not say is as in `default`.
fn route(
    entry: &RouteEntry,
    default: Option<&Route>,
    receivers: &[Receiver],
    matchers: ReadMatchers<'_>,
) -> Result<Route, String> {
    let conditions = entry.r#match.as_deref().map_or(Ok(Vec::new()), matchers)?;
    let receiver = match (&entry.receiver, default) {
        (Some(name), _) => receivers.iter().position(|receiver| *receiver.name == **name),
        (None, Some(default)) => Some(default.receiver),
        (None, None) => Some(0),
    };
    let receiver =
        receiver.ok_or_else(|| format!("there is no receiver {:?}", entry.receiver.as_deref().unwrap_or("")))?;
    let given = default.map_or_else(Timing::default, |default| default.timing);
    // An Alertmanager groups by itself, and has to hear at once.
    let hears_at_once = matches!(receivers[receiver].target, Target::Alertmanager { .. });
    let span = |name: &str, text: &Option<String>, otherwise: i64| match text {
        Some(text) => match parse_span(text) {
            Ok(span) => Ok(span.as_millis() as i64),
            Err(form) => Err(format!("{name} = {text:?}: {form}")),
        },
        None => Ok(otherwise),
    };
    let timing = Timing {
        group_wait_ms: span("group_wait", &entry.group_wait, if hears_at_once { 0 } else { given.group_wait_ms })?,
        group_interval_ms: span(
            "group_interval",
            &entry.group_interval,
            if hears_at_once { 0 } else { given.group_interval_ms },
        )?,
        repeat_interval_ms: span(
            "repeat_interval",
            &entry.repeat_interval,
            if hears_at_once { 60_000 } else { given.repeat_interval_ms },
        )?,
    };
    let group_by = match (&entry.group_by, default) {
        _ if hears_at_once => Vec::new(),
        (Some(names), _) => names.clone(),
        (None, Some(default)) => default.group_by.clone(),
        (None, None) => default_group_by(),
    };
    let by_incident = match &entry.group_by {
        _ if hears_at_once => false,
        Some(names) => names.iter().any(|name| name == INCIDENT_LABEL),
        None => default.is_none_or(|default| default.by_incident),
    };
    let (conditions, continues) = (Conditions::of(conditions), entry.r#continue);
    Ok(Route { conditions, receiver, group_by, by_incident, timing, continues })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Routing, String> {
        parse(text, &|text| match text {
            r#"{severity="critical"}"# => Ok(vec![Matcher::equal("severity", "critical")]),
            other => Err(format!("{other} is not understood")),
        })
    }

    const TWO: &str = "[[receivers]]\nname = \"a\"\nwebhook = \"http://h/\"\n[[receivers]]\nname = \"b\"\nalertmanager = \"http://am/\"\n";

    #[test]
    fn routes_take_from_the_last_what_they_do_not_say() {
        let text = format!(
            "[route]\nreceiver = \"b\"\n[[routes]]\nmatch = '{{severity=\"critical\"}}'\nreceiver = \"a\"\ngroup_wait = \"10s\"\ncontinue = true\n{TWO}"
        );
        let routing = read(&text).unwrap();
        let [first, last] = &routing.routes[..] else { panic!("two routes") };
        assert_eq!((first.receiver, last.receiver, first.continues), (0, 1, true));
        assert_eq!((first.timing.group_wait_ms, last.timing.group_wait_ms), (10_000, 0));
        assert_eq!(routing.receivers[1].target, Target::Alertmanager { url: "http://am".to_owned() });
        assert_eq!(&*routing.receivers[2].name, "log");
    }

    #[test]
    fn an_empty_file_leaves_the_log() {
        let routing = read("").unwrap();
        assert_eq!((routing.receivers.len(), routing.routes[0].receiver), (1, 0));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("[route]\nreceiver = \"nobody\"".to_owned(), "there is no receiver \"nobody\""),
            ("[route]\nreciever = \"x\"".to_owned(), "line 2"),
            ("[[receivers]]\nname = \"x\"".to_owned(), "needs one of"),
            ("[[receivers]]\nname = \"x\"\nwebhook = \"ftp://x\"".to_owned(), "begins with http://"),
            (format!("{TWO}{TWO}"), "listed twice"),
            ("[[receivers]]\nname = \"log\"\nwebhook = \"http://x\"".to_owned(), "called like the log"),
            (format!("[route]\ngroup_wait = \"soon\"\n{TWO}"), "soon"),
            (format!("[[routes]]\nmatch = \"x\"\n{TWO}"), "not understood"),
            ("[route]\nmatch = \"{}\"".to_owned(), "neither match nor continue"),
            ("[[receivers]]\nname = \"x\"\nwebhook = \"http://x\"\nsecret_file = \"/nowhere\"".to_owned(), "/nowhere"),
        ];
        for (text, words) in cases {
            let error = read(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
