//! What each path needs, and which requests change something.
//!
//! Not here: who has which role (see `users`).
//!
//! Invariant: what is not listed needs a role by its method: to ask is to read, anything else is to write.

use super::users::Role;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: what probes ask, and documents.
    Nothing,
    /// A user with this role.
    Role(Role),
}

const OPEN: [&str; 6] = ["/health", "/ready", "/-/healthy", "/-/ready", "/docs", "/openapi.json"];

/// Paths, under `/api/v1`, whose POST asks and changes nothing; with a slash at the end whatever is below them.
const ASKING: [&str; 8] =
    ["query", "query_range", "query_exemplars", "format_query", "series", "labels", "detect/", "forecast/"];

/// Paths, under `/api/v1`, by which samples come in: too many to be written down one by one.
const SAMPLES: [&str; 4] = ["write", "metrics", "otlp/v1/metrics", "import"];

/// Paths, under `/api/v1`, whose change is a matter of the server's upkeep.
const UPKEEP: [&str; 4] = ["snmp/devices", "rules", "topology", "models"];

/// What a request needs.
pub fn need(method: &str, path: &str) -> Need {
    let asks = matches!(method, "GET" | "HEAD" | "OPTIONS");
    let role = match under(path) {
        _ if OPEN.contains(&path) || path.starts_with("/docs/") => return Need::Nothing,
        _ if path.starts_with("/-/") => Role::Admin,
        _ if asks => Role::Read,
        Some(rest) if is_among(&ASKING, rest) => Role::Read,
        Some(rest) if UPKEEP.iter().any(|one| is_at_or_below(one, rest)) => Role::Admin,
        _ => Role::Write,
    };
    Need::Role(role)
}

/// Whether a request changes something that people may want to know of later.
pub fn is_change(method: &str, path: &str) -> bool {
    let asks = matches!(method, "GET" | "HEAD" | "OPTIONS");
    let is_usual = under(path).is_some_and(|rest| is_among(&ASKING, rest) || SAMPLES.contains(&rest));
    !asks && !is_usual && path != "/v1/metrics"
}

fn under(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/prometheus/api/v1/"))
}

fn is_among(list: &[&str], rest: &str) -> bool {
    list.iter().any(|one| *one == rest || one.ends_with('/') && rest.starts_with(one))
}

fn is_at_or_below(one: &str, rest: &str) -> bool {
    rest.strip_prefix(one).is_some_and(|more| more.is_empty() || more.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_needs_what_it_should() {
        let role = Need::Role;
        for (method, path, needed) in [
            ("GET", "/health", Need::Nothing),
            ("GET", "/docs", Need::Nothing),
            ("GET", "/docs/page.js", Need::Nothing),
            ("GET", "/metrics", role(Role::Read)),
            ("GET", "/api/v1/anomalies", role(Role::Read)),
            ("POST", "/api/v1/query", role(Role::Read)),
            ("POST", "/prometheus/api/v1/query_range", role(Role::Read)),
            ("POST", "/api/v1/detect/cpu", role(Role::Read)),
            ("POST", "/api/v1/write", role(Role::Write)),
            ("POST", "/api/v1/metrics", role(Role::Write)),
            ("POST", "/v1/metrics", role(Role::Write)),
            ("POST", "/api/v1/anomalies", role(Role::Write)),
            ("DELETE", "/api/v1/anomalies/x/feedback", role(Role::Write)),
            ("POST", "/train", role(Role::Write)),
            ("GET", "/predict", role(Role::Read)),
            ("POST", "/-/compact", role(Role::Admin)),
            ("GET", "/-/anything", role(Role::Admin)),
            ("POST", "/api/v1/snmp/devices", role(Role::Admin)),
            ("DELETE", "/api/v1/models/x", role(Role::Admin)),
            ("GET", "/api/v1/models", role(Role::Read)),
            ("GET", "/nowhere", role(Role::Read)),
            ("POST", "/api/v1/modelsx", role(Role::Write)),
        ] {
            assert_eq!(need(method, path), needed, "{method} {path}");
        }
    }

    #[test]
    fn changes_are_told_from_questions_and_samples() {
        let changes =
            [("POST", "/-/compact"), ("POST", "/api/v1/events"), ("DELETE", "/api/v1/models/x"), ("POST", "/train")];
        assert!(changes.iter().all(|(method, path)| is_change(method, path)));
        let others =
            [("GET", "/health"), ("POST", "/api/v1/write"), ("POST", "/api/v1/query"), ("POST", "/v1/metrics")];
        assert!(!others.iter().any(|(method, path)| is_change(method, path)));
    }
}
