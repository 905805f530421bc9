//! The documents' `metrics.yaml` becomes a file of watched expressions.

use super::{Imported, quoted};
use crate::yaml::{Node, Value};

/// Converts the list and what stands beside it.
pub(super) fn import(fields: &[(String, Node)], out: &mut Imported) -> Result<(), String> {
    out.say("# Watched expressions: name this file by watch.file.");
    for (name, node) in fields {
        match name.as_str() {
            "metrics" => node.items().iter().try_for_each(|metric| one(metric, out))?,
            "check_interval" => {
                out.note(node.line, "check_interval is watch.interval in the settings, or CHECK_INTERVAL")
            }
            "prometheus_url" => {
                out.note(node.line, "prometheus_url is pull.prometheus_url in the settings, or PROMETHEUS_URL")
            }
            other => out.note(node.line, format!("{other} has no meaning in a file of watched expressions")),
        }
    }
    Ok(())
}

fn one(metric: &Node, out: &mut Imported) -> Result<(), String> {
    let line = metric.line;
    let Value::Map(fields) = &metric.value else { return Err(format!("line {line}: a metric is no text")) };
    let text = |name: &str| metric.get(name).and_then(Node::text);
    let (Some(name), Some(query)) = (text("name"), text("query")) else {
        return Err(format!("line {line}: a metric has a name and a query"));
    };
    out.say(format!("\n[[metric]]\nname = {}\nquery = {}", quoted(name), quoted(query.trim())));
    let kind = text("detector_type").unwrap_or("ensemble");
    if metric.get("detectors").is_none() || kind != "ensemble" {
        out.say(format!("detector = {}", quoted(kind)));
    }
    for (field, node) in fields {
        match field.as_str() {
            "name" | "query" | "detector_type" => {}
            "threshold" => out.say(format!("threshold = {}", number(node)?)),
            "period" => out.say(format!("period = {}", quoted(node.text().unwrap_or("")))),
            "detectors" => {
                let voters: Result<Vec<String>, String> =
                    node.items().iter().map(|voter| detector(voter, out)).collect();
                out.say(format!("detectors = [{}]", voters?.join(", ")));
            }
            other => out.note(node.line, format!("{name}: {other} is not carried over")),
        }
    }
    Ok(())
}

fn detector(voter: &Node, out: &mut Imported) -> Result<String, String> {
    if let Some(name) = voter.text() {
        return Ok(format!("{{ type = {} }}", quoted(name)));
    }
    let Value::Map(fields) = &voter.value else { return Err(format!("line {}: expected a detector", voter.line)) };
    let mut parts = Vec::new();
    for (field, node) in fields {
        match field.as_str() {
            "type" => parts.push(format!("type = {}", quoted(node.text().unwrap_or("")))),
            "threshold" => parts.push(format!("threshold = {}", number(node)?)),
            "period" => parts.push(format!("period = {}", quoted(node.text().unwrap_or("")))),
            other => out.note(node.line, format!("a detector's {other} is not carried over")),
        }
    }
    Ok(format!("{{ {} }}", parts.join(", ")))
}

fn number(node: &Node) -> Result<String, String> {
    let number = node.text().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
    let number = number.ok_or_else(|| format!("line {}: expected a number", node.line))?;
    Ok(format!("{number:?}"))
}

#[cfg(test)]
mod tests {
    use crate::watch;

    #[test]
    fn the_documents_file_is_carried_over_with_each_limit() {
        let text = "metrics:\n  - name: api_latency_p99\n    query: |\n      histogram_quantile(0.99, sum(rate(x_bucket[5m])) by (le))\n    \
                    detector_type: ensemble\n    detectors:\n      - type: zscore\n        threshold: 3.0\n      - type: ema\n        threshold: 2.5\n  \
                    - name: request_volume\n    query: sum(rate(x[5m]))\n    detector_type: seasonal\n    period: hour_of_week\n    threshold: 3\n    unit: rps\n";
        let imported = super::super::import(text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watched.toml");
        std::fs::write(&path, &imported.toml).unwrap();
        let metrics = watch::read(&path).unwrap_or_else(|error| panic!("{error}\n{}", imported.toml));
        let of =
            |at: usize| metrics[at].detectors.iter().map(|one| (one.name, one.options.threshold)).collect::<Vec<_>>();
        assert_eq!(of(0), [("zscore", Some(3.0)), ("ema", Some(2.5))]);
        assert_eq!((of(1), metrics[1].detector.as_str()), (vec![("seasonal", Some(3.0))], "seasonal"));
        assert_eq!(metrics[0].query, "histogram_quantile(0.99, sum(rate(x_bucket[5m])) by (le))");
        assert_eq!(imported.notes, ["line 16: request_volume: unit is not carried over"]);
    }
}
