//! A Prometheus' `prometheus.yml`: what of it concerns us, and what that Prometheus should send.

use super::{Imported, quoted};
use crate::yaml::Node;

/// Converts what has a meaning here.
pub(super) fn import(fields: &[(String, Node)], out: &mut Imported) {
    out.say("# Nothing is scraped here: let that Prometheus go on scraping and send what it has, with");
    out.say("# remote_write:");
    out.say("#   - url: http://127.0.0.1:8080/api/v1/write");
    for (name, node) in fields {
        match name.as_str() {
            "global" => global(node, out),
            "scrape_configs" => node.items().iter().for_each(|job| scrape(job, out)),
            "remote_write" => out.note(node.line, "remote_write stays with that Prometheus: add our address to it"),
            "storage" => storage(node, out),
            "rule_files" => rules(node, out),
            "alerting" => {
                out.note(
                    node.line,
                    "alerting: an Alertmanager is a receiver here; alerts.routing_file names a file with it",
                );
            }
            other => out.note(node.line, format!("{other} is not carried over")),
        }
    }
}

/// The same files are evaluated here; an expression finds only what that Prometheus has sent.
fn rules(node: &Node, out: &mut Imported) {
    let files: Vec<&str> = node.items().iter().filter_map(Node::text).collect();
    out.say("# Rules are evaluated here as well. Paths are as they stood there; let only one of the two tell people.");
    out.say(format!("[rules]\nfiles = {}", quoted(&files.join(","))));
}

fn global(node: &Node, out: &mut Imported) {
    for name in ["scrape_interval", "scrape_timeout", "evaluation_interval", "external_labels"] {
        if let Some(node) = node.get(name) {
            out.note(node.line, format!("global.{name} stays with that Prometheus"));
        }
    }
}

fn scrape(job: &Node, out: &mut Imported) {
    let name = job.get("job_name").and_then(Node::text).unwrap_or("without a name");
    let groups = job.get("static_configs").map(Node::items).unwrap_or_default();
    let targets = groups.iter().filter_map(|group| group.get("targets")).flat_map(Node::items);
    let targets: Vec<&str> = targets.filter_map(Node::text).collect();
    let of = if targets.is_empty() { "targets it discovers".to_owned() } else { targets.join(", ") };
    out.note(job.line, format!("job {name} ({of}) is scraped by that Prometheus, not here"));
}

fn storage(node: &Node, out: &mut Imported) {
    let retention = node.get("tsdb").and_then(|tsdb| tsdb.get("retention"));
    match retention.and_then(|retention| retention.get("time")).and_then(Node::text) {
        Some(time) => out.say(format!("[storage]\nretention = {}", quoted(time))),
        None => out.note(node.line, "storage is not carried over but for tsdb.retention.time"),
    }
}
