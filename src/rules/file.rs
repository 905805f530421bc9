//! One rule file: YAML to groups of rules, every mistake with its line.
//!
//! ```yaml
//! groups:
//!   - name: latency
//!     interval: 1m
//!     rules:
//!       - record: job:latency:avg_1h
//!         expr: avg_over_time(latency[1h])
//!       - alert: LatencyHigh
//!         expr: job:latency:avg_1h > 2
//!         for: 5m
//!         labels: {severity: warning}
//!         annotations: {summary: "{{ $labels.job }} takes {{ $value | humanizeDuration }}"}
//! ```
//!
//! Not here: which files there are (see `files`).
//!
//! Invariant: of a group that was read every expression and every template was understood.

use crate::config::parse_span;
use crate::go_template::Template;
use crate::query::{QueryLimits, check_rule};
use crate::yaml::{self, Node, Value};
use std::collections::BTreeMap;

/// Rules of one file.
const RULES_MAX: usize = 10_000;

/// Rules that are evaluated one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name, unique within the file.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// How often it is evaluated, in milliseconds; the settings' interval where the file names none.
    pub interval_ms: i64,
    /// How far behind the clock it is evaluated, in milliseconds.
    pub offset_ms: i64,
    /// Most series that a rule may give; 0 for any number.
    pub limit: usize,
    /// In their order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The recorded series, or the alert.
    pub name: String,
    /// What is evaluated.
    pub expression: String,
    /// Where it stands in its file, counted from 1.
    pub line: usize,
    /// What is done with the result.
    pub kind: RuleKind,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// It writes a series, with these labels beside those of the result.
    Recording(BTreeMap<String, String>),
    /// It tells of an alert.
    Alerting(AlertingRule),
}

/// What an alerting rule says beside its expression.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertingRule {
    /// How long the expression has to hold before the alert fires, in milliseconds.
    pub for_ms: i64,
    /// How long it fires on after the expression held last, in milliseconds.
    pub keep_firing_for_ms: i64,
    /// Labels as they are written.
    pub labels: BTreeMap<String, String>,
    /// Annotations as they are written.
    pub annotations: BTreeMap<String, String>,
    pub(super) label_templates: Vec<(String, Template)>,
    pub(super) annotation_templates: Vec<(String, Template)>,
}

/// A mistake and its line.
pub(super) type Mistake = (usize, String);

/// Reads a file's text.
///
/// # Errors
/// Every mistake with its line, counted from 1.
pub(super) fn parse(
    text: &str,
    file: &str,
    interval_ms: i64,
    limits: &QueryLimits,
) -> Result<Vec<Group>, Vec<Mistake>> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let root = yaml::parse(text).map_err(|what| vec![placed(&what)])?;
    let mut reader = Reader { file, interval_ms, limits, mistakes: Vec::new(), rules: 0 };
    let groups = reader.groups(&root);
    if reader.mistakes.is_empty() { Ok(groups) } else { Err(reader.mistakes) }
}

/// `line 3: what` as its parts.
fn placed(text: &str) -> Mistake {
    let parts = text.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    parts.and_then(|(line, what)| Some((line.parse().ok()?, what.to_owned()))).unwrap_or((1, text.to_owned()))
}

struct Reader<'a> {
    file: &'a str,
    interval_ms: i64,
    limits: &'a QueryLimits,
    mistakes: Vec<Mistake>,
    rules: usize,
}

impl Reader<'_> {
    fn wrong(&mut self, line: usize, what: impl Into<String>) {
        self.mistakes.push((line, what.into()));
    }

    /// The fields of a node of which only these may be there.
    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> &'n [(String, Node)] {
        let Value::Map(fields) = &node.value else {
            self.wrong(node.line, format!("expected {what} with {}", known.join(", ")));
            return &[];
        };
        for (name, field) in fields.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            self.wrong(field.line, format!("{what} has no {name}"));
        }
        fields
    }

    /// The items of a field that is a list, or nothing.
    fn list<'n>(&mut self, node: &'n Node, name: &str) -> &'n [Node] {
        match node.get(name).map(|field| (field, &field.value)) {
            Some((field, Value::List(_))) => field.items(),
            Some((field, value)) if *value != Value::Scalar(String::new()) => {
                self.wrong(field.line, format!("{name}: expected a list"));
                &[]
            }
            _ => &[],
        }
    }

    fn groups(&mut self, root: &Node) -> Vec<Group> {
        self.fields(root, "a rule file", &["groups"]);
        let listed = self.list(root, "groups");
        let mut groups: Vec<Group> = Vec::new();
        for node in listed {
            let Some(group) = self.group(node) else { continue };
            match groups.iter().any(|known| known.name == group.name) {
                true => self.wrong(node.line, format!("group {:?} stands twice", group.name)),
                false => groups.push(group),
            }
        }
        groups
    }

    fn group(&mut self, node: &Node) -> Option<Group> {
        const KNOWN: [&str; 6] = ["name", "interval", "limit", "query_offset", "labels", "rules"];
        self.fields(node, "a group", &KNOWN);
        let text = |name: &str| node.get(name).and_then(Node::text);
        let name = text("name").unwrap_or_default().to_owned();
        if name.is_empty() {
            self.wrong(node.line, "a group has a name");
        }
        let interval_ms =
            self.span(node, "interval").filter(|interval_ms| *interval_ms > 0).unwrap_or(self.interval_ms);
        let offset_ms = self.span(node, "query_offset").unwrap_or(0);
        let limit = match node.get("limit").map(|node| (node.line, node.text().and_then(|text| text.parse().ok()))) {
            Some((line, None)) => {
                self.wrong(line, "limit: expected a whole number");
                0
            }
            Some((_, Some(limit))) => limit,
            None => 0,
        };
        let of_group = self.texts(node, "labels");
        let rules: Vec<Rule> = self.list(node, "rules").iter().filter_map(|node| self.rule(node, &of_group)).collect();
        Some(Group { name, file: self.file.to_owned(), interval_ms, offset_ms, limit, rules })
    }

    fn rule(&mut self, node: &Node, of_group: &BTreeMap<String, String>) -> Option<Rule> {
        const KNOWN: [&str; 7] = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];
        self.fields(node, "a rule", &KNOWN);
        self.rules += 1;
        if self.rules == RULES_MAX + 1 {
            self.wrong(node.line, format!("more than {RULES_MAX} rules in one file"));
        }
        let text = |name: &str| node.get(name).and_then(Node::text).filter(|text| !text.trim().is_empty());
        let (record, alert) = (text("record"), text("alert"));
        let Some(name) = record.xor(alert) else {
            self.wrong(node.line, "a rule has one of record and alert");
            return None;
        };
        let expression = text("expr").map(|text| text.trim().to_owned());
        let Some(expression) = expression else {
            self.wrong(node.line, format!("{name}: a rule has an expr"));
            return None;
        };
        let at = node.get("expr").map_or(node.line, |node| node.line);
        if let Err(error) = check_rule(&expression, self.limits) {
            self.wrong(at, format!("{name}: {error}"));
        }
        let mut labels = of_group.clone();
        labels.extend(self.texts(node, "labels"));
        let kind = match record {
            Some(record) => {
                if !is_metric_name(record) {
                    self.wrong(node.line, format!("{record:?} is no name of a metric"));
                }
                for field in ["for", "keep_firing_for", "annotations"] {
                    if let Some(node) = node.get(field) {
                        self.wrong(node.line, format!("{name}: a recording rule has no {field}"));
                    }
                }
                RuleKind::Recording(labels)
            }
            None => RuleKind::Alerting(self.alerting(node, labels)),
        };
        Some(Rule { name: name.to_owned(), expression, line: node.line, kind })
    }

    fn alerting(&mut self, node: &Node, labels: BTreeMap<String, String>) -> AlertingRule {
        let annotations = self.texts(node, "annotations");
        let label_templates = self.templates(node, "labels", &labels);
        let annotation_templates = self.templates(node, "annotations", &annotations);
        let for_ms = self.span(node, "for").unwrap_or(0);
        let keep_firing_for_ms = self.span(node, "keep_firing_for").unwrap_or(0);
        AlertingRule { for_ms, keep_firing_for_ms, labels, annotations, label_templates, annotation_templates }
    }

    fn templates(&mut self, node: &Node, field: &str, texts: &BTreeMap<String, String>) -> Vec<(String, Template)> {
        let mut found = Vec::new();
        for (name, text) in texts {
            match Template::parse(text) {
                Ok(template) => found.push((name.clone(), template)),
                Err(what) => {
                    let at = node.get(field).and_then(|node| node.get(name)).unwrap_or(node);
                    self.wrong(at.line, format!("{field}.{name}: {what}"));
                }
            }
        }
        found
    }

    /// A duration in milliseconds.
    fn span(&mut self, node: &Node, name: &str) -> Option<i64> {
        let field = node.get(name)?;
        let text = field.text().unwrap_or_default();
        match parse_span(text) {
            Ok(span) => Some(span.as_millis() as i64),
            Err(form) => {
                self.wrong(field.line, format!("{name} = {text:?}: {form}"));
                None
            }
        }
    }

    /// Names and texts of a field; none are labels of their own.
    fn texts(&mut self, node: &Node, name: &str) -> BTreeMap<String, String> {
        let Some(field) = node.get(name) else { return BTreeMap::new() };
        let Value::Map(pairs) = &field.value else {
            if field.text().is_none_or(|text| !text.is_empty()) {
                self.wrong(field.line, format!("{name}: expected names with texts"));
            }
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (label, node) in pairs {
            let Some(text) = node.text() else {
                self.wrong(node.line, format!("{name}.{label}: expected a text"));
                continue;
            };
            if !is_label_name(label) || name == "labels" && label == "__name__" {
                self.wrong(node.line, format!("{name}: {label:?} is no name of a label"));
            }
            texts.insert(label.clone(), text.to_owned());
        }
        texts
    }
}

fn is_label_name(name: &str) -> bool {
    !name.starts_with(|sign: char| sign.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_metric_name(name: &str) -> bool {
    is_label_name(&name.replace(':', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Group>, Vec<Mistake>> {
        parse(text, "a.yml", 60_000, &QueryLimits::default())
    }

    #[test]
    fn a_file_becomes_groups_with_their_rhythm() {
        let text = "groups:\n- name: a\n  interval: 30s\n  limit: 5\n  rules:\n  - record: job:x:sum\n    expr: sum by (job) (x)\n    labels: {team: a}\n  - alert: High\n    expr: job:x:sum > 1\n    for: 5m\n    keep_firing_for: 10m\n    labels:\n      severity: critical\n    annotations:\n      summary: 'at {{ $value }}'\n- name: b\n  rules: []\n";
        let groups = read(text).unwrap();
        let [a, b] = &groups[..] else { panic!("two groups") };
        assert_eq!((a.interval_ms, a.limit, b.interval_ms, a.rules[1].line), (30_000, 5, 60_000, 9));
        let RuleKind::Alerting(high) = &a.rules[1].kind else { panic!("an alert") };
        assert_eq!((high.for_ms, high.keep_firing_for_ms, &*high.labels["severity"]), (300_000, 600_000, "critical"));
        assert_eq!(read("# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn every_mistake_has_its_line() {
        let rule = |rule: &str| format!("groups:\n- name: a\n  rules:\n  - {rule}\n");
        let cases = [
            ("rules: []\n".to_owned(), 1, "has no rules"),
            ("groups:\n- name: a\n- name: a\n".to_owned(), 3, "stands twice"),
            ("groups:\n- interval: soon\n  name: x\n".to_owned(), 2, "soon"),
            (rule("record: a"), 4, "has an expr"),
            (rule("expr: a"), 4, "one of record and alert"),
            (rule("{record: a, alert: b, expr: c}"), 4, "one of record and alert"),
            (rule("alert: a\n    expr: sum(\n"), 5, "parse error"),
            (rule("alert: a\n    expr: x[5m]\n"), 5, "range vector"),
            (rule("alert: a\n    expr: x\n    annotations:\n      b: '{{ nope }}'\n"), 7, "\"nope\""),
            (rule("{record: 'a b', expr: c}"), 4, "no name of a metric"),
            (rule("{record: a, expr: c, for: 5m}"), 4, "has no for"),
            (rule("{alert: a, expr: c, labels: {1x: b}}"), 4, "no name of a label"),
            (rule("{alert: a, expr: c, labels: {x: [1]}}"), 4, "expected a text"),
            (rule("{alert: a, exp: c}"), 4, "has no exp"),
            ("groups: [\n".to_owned(), 2, ""),
        ];
        for (text, line, words) in cases {
            let mistakes = read(&text).unwrap_err();
            let found = mistakes.iter().any(|(at, what)| *at == line && what.contains(words));
            assert!(found, "{text}: {mistakes:?}");
        }
    }
}
