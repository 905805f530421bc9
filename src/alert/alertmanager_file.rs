//! An Alertmanager's own file as our routing: its tree of routes, its webhooks and its inhibition.
//!
//! ```yaml
//! route:
//!   receiver: default
//!   group_by: [alertname, service]
//!   routes:
//!     - match: {severity: critical}
//!       receiver: oncall
//!       group_wait: 10s
//! receivers:
//!   - name: oncall
//!     webhook_configs: [{url: "http://127.0.0.1:9000/hook"}]
//! inhibit_rules:
//!   - source_match: {severity: critical}
//!     target_match: {severity: warning}
//!     equal: [alertname, service]
//! ```
//!
//! Receivers by ways that are not here (Slack, PagerDuty, mail) tell the log, which is said when the file is read.
//!
//! Not here: our own notation (see `routing_file`).
//!
//! Invariant: a route below another has the other's conditions, and whatever it does not say itself.

use super::conditions::Conditions;
use super::routing::{
    INCIDENT_LABEL, Inhibition, Receiver, Route, Routing, Target, Timing, WebhookFormat, default_group_by, log_receiver,
};
use super::routing_file::ReadMatchers;
use crate::config::parse_span;
use crate::yaml::{self, Node, Value};
use std::sync::Arc;
use storage::label_index::Matcher;

/// Routes within each other.
const DEPTH_MAX: usize = 16;

/// Reads the text of a file.
pub(super) fn parse(text: &str, matchers: ReadMatchers<'_>) -> Result<Routing, String> {
    let root = yaml::parse(text)?;
    let listed = root.get("receivers").map(Node::items).unwrap_or_default();
    let mut receivers = listed.iter().map(receiver).collect::<Result<Vec<_>, _>>()?;
    if !receivers.iter().any(|receiver| &*receiver.name == "log") {
        receivers.push(log_receiver());
    }
    let top = root.get("route").ok_or("line 1: there is no route")?;
    let mut reader = Reader { receivers: &receivers, matchers, routes: Vec::new() };
    let start = Route {
        conditions: Conditions::default(),
        receiver: receivers.len() - 1,
        group_by: default_group_by(),
        by_incident: true,
        timing: Timing::default(),
        continues: false,
        ladder: Vec::new(),
        is_step: false,
        is_fallback: true,
    };
    reader.route(top, (&start, &[]), 0)?;
    let routes = reader.routes;
    let inhibit = root.get("inhibit_rules").or(root.get("inhibition_rules"));
    let rules = inhibit.map(Node::items).unwrap_or_default();
    let inhibitions = rules.iter().map(|node| inhibition(node, matchers)).collect::<Result<_, _>>()?;
    Ok(Routing { receivers, routes, inhibitions })
}

fn receiver(node: &Node) -> Result<Receiver, String> {
    let line = node.line;
    let name = node.get("name").and_then(Node::text).ok_or_else(|| format!("line {line}: a receiver has a name"))?;
    let hooks = node.get("webhook_configs").map(Node::items).unwrap_or_default();
    let Value::Map(fields) = &node.value else { return Err(format!("line {line}: expected a receiver")) };
    for (field, node) in fields.iter().filter(|(field, _)| !["name", "webhook_configs"].contains(&field.as_str())) {
        tracing::warn!(receiver = name, line = node.line, "{field} is not there: the log is told in its place");
    }
    if hooks.len() > 1 {
        tracing::warn!(receiver = name, line, "of several webhooks the first is told");
    }
    let target = match hooks.first() {
        None => Target::Log,
        Some(hook) => {
            let url = hook.get("url").and_then(Node::text).unwrap_or_default().to_owned();
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(format!("line {}: {url:?} is no address that begins with http:// or https://", hook.line));
            }
            Target::Webhook { url, secret: None, format: WebhookFormat::InfraWatch }
        }
    };
    let said = hooks.first().and_then(|hook| hook.get("send_resolved")).and_then(Node::text);
    Ok(Receiver { name: Arc::from(name), target, sends_resolved: said != Some("false"), ca_file: None })
}

struct Reader<'a> {
    receivers: &'a [Receiver],
    matchers: ReadMatchers<'a>,
    routes: Vec<Route>,
}

impl Reader<'_> {
    /// A route with those below it, which are looked at first.
    fn route(&mut self, node: &Node, above: (&Route, &[Matcher]), depth: usize) -> Result<(), String> {
        let ((default, conditions), line) = (above, node.line);
        if depth > DEPTH_MAX {
            return Err(format!("line {line}: more than {DEPTH_MAX} routes within each other"));
        }
        let mut all = conditions.to_vec();
        all.extend(conditions_of(node, ["match", "match_re", "matchers"], self.matchers)?);
        let mut route = Route { conditions: Conditions::of(all.clone()), ..default.clone() };
        if let Some(name) = node.get("receiver").and_then(Node::text) {
            let found = self.receivers.iter().position(|known| *known.name == *name);
            route.receiver = found.ok_or_else(|| format!("line {line}: there is no receiver {name:?}"))?;
        }
        if let Some(names) = node.get("group_by") {
            route.group_by = names.items().iter().filter_map(Node::text).map(str::to_owned).collect();
            route.by_incident = route.group_by.iter().any(|name| name == INCIDENT_LABEL);
        }
        let timing = &mut route.timing;
        let spans = [
            ("group_wait", &mut timing.group_wait_ms),
            ("group_interval", &mut timing.group_interval_ms),
            ("repeat_interval", &mut timing.repeat_interval_ms),
        ];
        for (name, ms) in spans {
            if let Some(node) = node.get(name) {
                let text = node.text().unwrap_or_default();
                let span = parse_span(text).map_err(|form| format!("line {}: {name} = {text:?}: {form}", node.line))?;
                *ms = span.as_millis() as i64;
            }
        }
        let below = node.get("routes").map(Node::items).unwrap_or_default();
        below.iter().try_for_each(|child| self.route(child, (&route, &all), depth + 1))?;
        route.continues = node.get("continue").and_then(Node::text) == Some("true");
        route.is_fallback = !below.is_empty() || depth == 0;
        self.routes.push(route);
        Ok(())
    }
}

/// The conditions of a node: equal values, regular expressions, and matchers as texts.
fn conditions_of(node: &Node, names: [&str; 3], matchers: ReadMatchers<'_>) -> Result<Vec<Matcher>, String> {
    let mut parts = Vec::new();
    for (name, op) in [(names[0], "="), (names[1], "=~")] {
        if let Some(Value::Map(fields)) = node.get(name).map(|node| &node.value) {
            let pairs = fields.iter().map(|(label, node)| format!("{label}{op}{:?}", node.text().unwrap_or_default()));
            parts.extend(pairs);
        }
    }
    let listed = node.get(names[2]).map(Node::items).unwrap_or_default();
    for text in listed.iter().filter_map(Node::text) {
        // An Alertmanager takes values without quotes too.
        let at = text.find(['=', '!']).ok_or_else(|| format!("line {}: {text:?} is no matcher", node.line))?;
        let (label, rest) = text.split_at(at);
        let op = ["=~", "!~", "!=", "="].into_iter().find(|op| rest.starts_with(op)).unwrap_or("=");
        let value = rest[op.len().min(rest.len())..].trim();
        let quoted = if value.starts_with('"') { value.to_owned() } else { format!("{value:?}") };
        parts.push(format!("{}{op}{quoted}", label.trim()));
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    matchers(&format!("{{{}}}", parts.join(","))).map_err(|what| format!("line {}: {what}", node.line))
}

fn inhibition(node: &Node, matchers: ReadMatchers<'_>) -> Result<Inhibition, String> {
    let of = |side: &str| {
        let names = ["match", "match_re", "matchers"].map(|name| format!("{side}_{name}"));
        conditions_of(node, names.each_ref().map(String::as_str), matchers).map(Conditions::of)
    };
    let equal = node.get("equal").map(Node::items).unwrap_or_default();
    let equal = equal.iter().filter_map(Node::text).map(str::to_owned).collect();
    Ok(Inhibition { source: of("source")?, target: of("target")?, equal })
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Settings;
    use super::super::record::{Alert, AlertSeverity};
    use super::super::replay::{AlertReplay, Planned};
    use super::super::signal::{Signal, tests::signal_of};
    use super::*;

    /// Matchers as far as these tests have them.
    fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
        let inside = text.trim_start_matches('{').trim_end_matches('}');
        let one = |part: &str| match part.split_once("=~") {
            Some((name, value)) => Matcher::regex(name, value.trim_matches('"')).map_err(|error| error.to_string()),
            None => {
                let (name, value) = part.split_once('=').ok_or("no matcher")?;
                Ok(Matcher::equal(name, value.trim_matches('"')))
            }
        };
        inside.split(',').map(one).collect()
    }

    fn read(text: &str) -> Result<Routing, String> {
        parse(text, &matchers)
    }

    const TREE: &str = "global: {resolve_timeout: 5m}\nroute:\n  receiver: default\n  group_by: [alertname, service, detector_type]\n  group_wait: 30s\n  group_interval: 5m\n  repeat_interval: 4h\n  routes:\n  - match: {severity: critical, anomaly_confidence: high}\n    receiver: oncall-pagerduty\n    group_wait: 10s\n    repeat_interval: 1h\n    continue: true\n  - match: {severity: warning}\n    receiver: slack-alerts\n    group_wait: 1m\n  - matchers: ['anomaly_confidence = low']\n    receiver: daily-digest\n    group_wait: 1h\n    group_interval: 6h\nreceivers:\n- name: default\n  webhook_configs:\n  - url: http://127.0.0.1:1/hook\n    send_resolved: true\n- name: oncall-pagerduty\n  pagerduty_configs: [{service_key: x}]\n- name: slack-alerts\n  slack_configs: [{channel: '#alerts'}]\n- name: daily-digest\n  webhook_configs: [{url: 'https://127.0.0.1:1/digest', send_resolved: false}]\ninhibit_rules:\n- source_match: {severity: critical}\n  target_match: {severity: warning}\n  equal: [alertname, service]\n- source_match: {alertname: MaintenanceWindow}\n  target_match_re: {alertname: Anomaly.*}\n  equal: [service]\n";

    /// Who is told of an alert with these labels, and after how many seconds.
    fn told(routing: &Routing, labels: &[(&str, &str)]) -> Vec<(String, i64)> {
        let alert = Alert::new(signal_of(labels));
        let of = |route: usize| {
            let route = &routing.routes[route];
            (routing.receivers[route.receiver].name.to_string(), route.timing.group_wait_ms / 1000)
        };
        routing.groups_of(&alert).into_iter().map(|key| of(key.route)).collect()
    }

    #[test]
    fn a_tree_leads_each_alert_where_it_would_lead_there() {
        let routing = read(TREE).unwrap();
        let one = |name: &str, wait: i64| vec![(name.to_owned(), wait)];
        let high = [("severity", "critical"), ("anomaly_confidence", "high")];
        assert_eq!(told(&routing, &high), one("oncall-pagerduty", 10), "the top is for what none below takes");
        assert_eq!(told(&routing, &[("severity", "warning")]), one("slack-alerts", 60));
        assert_eq!(
            told(&routing, &[("severity", "critical"), ("anomaly_confidence", "low")]),
            one("daily-digest", 3600)
        );
        assert_eq!(told(&routing, &[("severity", "critical")]), one("default", 30));
        assert_eq!((routing.inhibitions.len(), routing.receivers[3].sends_resolved), (2, false));
        assert_eq!(routing.routes[2].timing.group_interval_ms, 6 * 3_600_000);
    }

    #[test]
    fn each_route_tells_in_its_own_rhythm() {
        const MINUTE: i64 = 60_000;
        let mut replay = AlertReplay::new(Settings::default(), read(TREE).unwrap(), &Planned::default(), 0);
        for (name, severity, confidence) in [
            ("High", "critical", "high"),
            ("Medium", "warning", "medium"),
            ("Low", "critical", "low"),
            ("Plain", "critical", ""),
        ] {
            let signal = signal_of(&[("alertname", name), ("severity", severity), ("anomaly_confidence", confidence)]);
            let signal = Signal { severity: AlertSeverity::of_label(severity), ..signal };
            replay.take(signal, 0);
        }
        // Another host joins the default group a minute after it was told, and another low one the digest.
        replay.until(90_000);
        let more = |name: &str, confidence: &str, at_ms: i64| {
            let labels =
                [("alertname", name), ("severity", "critical"), ("anomaly_confidence", confidence), ("host", "b")];
            Signal { severity: AlertSeverity::Critical, last_ms: at_ms, ..signal_of(&labels) }
        };
        replay.take(more("Plain", "", 90_000), 90_000);
        replay.until(61 * MINUTE);
        replay.take(more("Low", "low", 61 * MINUTE), 61 * MINUTE);
        replay.until(9 * 60 * MINUTE);
        let (told, _) = replay.finish();
        let of = |receiver: &str| -> Vec<(i64, &str)> {
            told.iter().filter(|told| told.receiver == receiver).map(|told| (told.at_ms / 1000, told.reason)).collect()
        };
        // group_wait 10 s, repeat_interval 1 h.
        assert_eq!(of("oncall-pagerduty")[..3], [(10, "new"), (3610, "repeat"), (7210, "repeat")]);
        assert_eq!(of("slack-alerts")[0], (60, "new"), "group_wait 1 m");
        // group_wait 30 s, group_interval 5 m, then repeat_interval 4 h.
        assert_eq!(of("default")[..3], [(30, "new"), (330, "new"), (330 + 4 * 3600, "repeat")]);
        // One message after an hour, the next no sooner than six hours later.
        assert_eq!(of("daily-digest")[..2], [(3600, "new"), (7 * 3600, "new")]);
        assert_eq!(
            told.iter()
                .filter(|told| told.alerts.iter().any(|one| one.labels["alertname"] == "Low"))
                .map(|told| &*told.receiver)
                .collect::<std::collections::BTreeSet<_>>(),
            ["daily-digest"].into()
        );
    }

    #[test]
    fn mistakes_have_lines() {
        let cases = [
            ("receivers: []\n", "there is no route"),
            ("route:\n  receiver: nobody\n", "line 1: there is no receiver \"nobody\""),
            ("route: {receiver: log, group_wait: soon}\n", "soon"),
            ("route: {receiver: log}\nreceivers:\n- name: a\n  webhook_configs: [{url: ftp://x}]\n", "no address"),
            ("route:\n  receiver: log\n  routes:\n  - matchers: ['nothing']\n", "no matcher"),
        ];
        for (text, words) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
