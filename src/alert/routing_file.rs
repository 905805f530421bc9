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
//! escalate = [{ after = "15m", receiver = "team" }]
//!
//! [[inhibit]]                   # in place of those that hold without any
//! source = '{severity="critical"}'
//! target = '{severity="warning"}'
//! equal = ["alertname", "service"]
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
//! A file whose name ends in `.yml` or `.yaml` is an Alertmanager's own (see `alertmanager_file`).
//!
//! Not here: what routes do (see `routing`).

use super::alertmanager_file;
use super::conditions::Conditions;
use super::routing::{
    INCIDENT_LABEL, Inhibition, Receiver, Route, Routing, Target, Timing, WebhookFormat, default_group_by,
    default_inhibitions, log_receiver,
};
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
    inhibit: Option<Vec<InhibitEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InhibitEntry {
    source: String,
    target: String,
    #[serde(default)]
    equal: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepEntry {
    after: String,
    receiver: String,
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
    #[serde(default)]
    escalate: Vec<StepEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiverEntry {
    name: String,
    webhook: Option<String>,
    alertmanager: Option<String>,
    format: Option<String>,
    exec: Option<PathBuf>,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    dry_run: bool,
    ca_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    send_resolved: Option<bool>,
}

/// Reads the file; only programs of `allowed` may be run.
///
/// # Errors
/// Names the file and what is wrong with it, by line where the notation is wrong.
pub fn load(path: &Path, matchers: ReadMatchers<'_>, allowed: &[PathBuf]) -> Result<Routing, RoutingError> {
    let wrong = |what: String| RoutingError(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    match is_yaml {
        true => alertmanager_file::parse(&text, matchers).map_err(wrong),
        false => parse(&text, matchers, allowed).map_err(wrong),
    }
}

fn parse(text: &str, matchers: ReadMatchers<'_>, allowed: &[PathBuf]) -> Result<Routing, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    if file.route.r#match.is_some() || file.route.r#continue {
        return Err("[route] takes every alert, so it has neither match nor continue".to_owned());
    }
    let mut receivers =
        file.receivers.into_iter().map(|entry| receiver(entry, allowed)).collect::<Result<Vec<_>, _>>()?;
    receivers.push(log_receiver());
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
    let entries = file.routes.iter().chain([&file.route]).map(|entry| entry.escalate.clone());
    for (number, steps) in entries.collect::<Vec<_>>().into_iter().enumerate() {
        // A route that names none has the steps of the last.
        let steps = if steps.is_empty() { file.route.escalate.clone() } else { steps };
        ladder(&mut routes, number, &steps, &receivers)?;
    }
    let inhibitions = match file.inhibit {
        Some(entries) => entries.iter().map(|entry| inhibition(entry, matchers)).collect::<Result<_, _>>()?,
        None => default_inhibitions(),
    };
    Ok(Routing { receivers, routes, inhibitions })
}

/// Who is told, one after the other, when nobody takes an alert of a route.
fn ladder(routes: &mut Vec<Route>, number: usize, steps: &[StepEntry], receivers: &[Receiver]) -> Result<(), String> {
    let mut before_ms = 0;
    for StepEntry { after, receiver } in steps {
        let after_ms = parse_span(after).map_err(|form| format!("after = {after:?}: {form}"))?.as_millis() as i64;
        if after_ms <= before_ms {
            return Err(format!("escalate: {after} is not later than the step before"));
        }
        before_ms = after_ms;
        let found = receivers.iter().position(|known| *known.name == **receiver);
        let receiver = found.ok_or_else(|| format!("there is no receiver {receiver:?}"))?;
        let timing = Timing { group_wait_ms: 0, ..routes[number].timing };
        let step = Route { receiver, timing, ladder: Vec::new(), is_step: true, ..routes[number].clone() };
        let at = routes.len();
        routes[number].ladder.push((after_ms, at));
        routes.push(step);
    }
    Ok(())
}

fn inhibition(entry: &InhibitEntry, matchers: ReadMatchers<'_>) -> Result<Inhibition, String> {
    let of = |text: &str| matchers(text).map(Conditions::of);
    Ok(Inhibition { source: of(&entry.source)?, target: of(&entry.target)?, equal: entry.equal.clone() })
}

fn receiver(entry: ReceiverEntry, allowed: &[PathBuf]) -> Result<Receiver, String> {
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
    if let Some(program) = entry.exec {
        if entry.webhook.is_some() || entry.alertmanager.is_some() || secret.is_some() {
            return Err(format!("receiver {name:?} needs one of webhook, alertmanager and exec"));
        }
        if !allowed.contains(&program) {
            let program = program.display();
            return Err(format!("receiver {name:?}: {program} is not in alerts.exec_allow, so it is not run"));
        }
        let target = Target::Exec { program, arguments: entry.arguments, is_dry: entry.dry_run };
        let sends_resolved = entry.send_resolved.unwrap_or(false);
        return Ok(Receiver { name: Arc::from(name), target, sends_resolved, ca_file: None });
    }
    if let Some(path) = &entry.ca_file {
        fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let target = match (entry.webhook, entry.alertmanager) {
        (Some(url), None) => Target::Webhook { url: checked(url)?, secret: secret.transpose()?, format },
        (None, Some(url)) if secret.is_none() => {
            Target::Alertmanager { url: checked(url)?.trim_end_matches('/').to_owned() }
        }
        (None, Some(_)) => return Err(format!("receiver {name:?}: an Alertmanager takes no secret_file")),
        _ => return Err(format!("receiver {name:?} needs one of webhook, alertmanager and exec")),
    };
    let (sends_resolved, ca_file) = (entry.send_resolved.unwrap_or(true), entry.ca_file);
    Ok(Receiver { name: Arc::from(name), target, sends_resolved, ca_file })
}

fn checked(url: String) -> Result<String, String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest.is_some_and(|rest| !rest.is_empty()) {
        true => Ok(url),
        false => Err(format!("{url:?} is no address that begins with http:// or https://")),
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
    let (ladder, is_step) = (Vec::new(), false);
    Ok(Route { conditions, receiver, group_by, by_incident, timing, continues, ladder, is_step, is_fallback: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Routing, String> {
        parse(
            text,
            &|text| match text {
                r#"{severity="critical"}"# => Ok(vec![Matcher::equal("severity", "critical")]),
                other => Err(format!("{other} is not understood")),
            },
            &[PathBuf::from("/bin/true")],
        )
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
    fn ladders_become_steps_and_allowed_programs_receivers() {
        let text = format!(
            "[route]\nreceiver = \"a\"\nescalate = [{{ after = \"5m\", receiver = \"b\" }}, {{ after = \"1h\", receiver = \"fix\" }}]\n{TWO}[[receivers]]\nname = \"fix\"\nexec = \"/bin/true\"\n"
        );
        let routing = read(&text).unwrap();
        let ladder: Vec<_> =
            routing.routes[0].ladder.iter().map(|(after, at)| (*after, routing.routes[*at].receiver)).collect();
        assert_eq!(ladder, [(300_000, 1), (3_600_000, 2)]);
        assert!(matches!(&routing.receivers[2].target, Target::Exec { is_dry: false, .. }));
        assert_eq!(routing.inhibitions.len(), 2);
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
            ("[[receivers]]\nname = \"x\"\nexec = \"/bin/sh\"".to_owned(), "/bin/sh is not in alerts.exec_allow"),
            (
                format!("[route]\nescalate = [{{ after = \"5m\", receiver = \"nobody\" }}]\n{TWO}"),
                "no receiver \"nobody\"",
            ),
            (
                format!(
                    "[route]\nescalate = [{{ after = \"5m\", receiver = \"a\" }}, {{ after = \"5m\", receiver = \"b\" }}]\n{TWO}"
                ),
                "not later",
            ),
            (format!("[[inhibit]]\nsource = \"x\"\ntarget = \"y\"\n{TWO}"), "not understood"),
            ("[[receivers]]\nname = \"x\"\nwebhook = \"http://x\"\nsecret_file = \"/nowhere\"".to_owned(), "/nowhere"),
        ];
        for (text, words) in cases {
            let error = read(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
