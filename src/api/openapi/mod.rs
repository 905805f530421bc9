//! `/openapi.json`, the description of the API for programs, and `/docs`, the same for people; both from one table.
//!
//! The document is made from [`operations`] and [`schemas`] at the first request. Tests hold it to the server: every route
//! has an operation and every operation a route (below), every example is executed and every answer has the shape that
//! stands here (`tests/api/fuzz.rs`).
//!
//! Not here: what the paths answer. Deliberately absent: a generator from types: what it would save in writing, it costs
//! every build, and whether an answer has its shape it does not test.

mod document;
mod operations;
mod schemas;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::LazyLock;

const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");
/// The page loads its own two files and the document, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document::document().to_string());

/// The routes, at the root.
pub fn router() -> Router {
    let page = |kind: &'static str, text: &'static str| {
        let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY)];
        get(move || async move { (headers, text).into_response() })
    };
    Router::new()
        .route("/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()) }))
        .route("/docs", page("text/html; charset=utf-8", PAGE))
        .route("/docs/page.js", page("text/javascript; charset=utf-8", SCRIPT))
        .route("/docs/page.css", page("text/css; charset=utf-8", STYLE))
}

#[cfg(test)]
mod tests {
    use super::operations::OPERATIONS;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Files of routes, and where their routes are mounted.
    const FILES: [(&str, &str); 11] = [
        ("src/api/rest/mod.rs", "/api/v1"),
        ("src/api/rest/alerts/mod.rs", "/api/v1"),
        ("src/api/prometheus/mod.rs", "/api/v1"),
        ("src/ingest/remote_write.rs", "/api/v1"),
        ("src/ingest/json_push.rs", "/api/v1"),
        ("src/api/prometheus/nothing.rs", "/prometheus/api/v1"),
        ("src/api/prometheus/rules.rs", "/prometheus/api/v1"),
        ("src/api/health.rs", ""),
        ("src/api/metrics_page.rs", ""),
        ("src/api/admin.rs", ""),
        ("src/api/openapi/mod.rs", ""),
    ];
    /// Routes of `rest` that stand at the root as well.
    const AT_ROOT: [&str; 2] = ["/train", "/predict"];

    /// Methods and paths that a file registers.
    fn registered(file: &str, prefix: &str) -> BTreeSet<(String, String)> {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let mut found = BTreeSet::new();
        for rest in text.split(".route(\"").skip(1) {
            let (path, methods) = rest.split_once('"').unwrap();
            // What is registered ends where the next registration or the next statement begins.
            let methods = methods.split([';']).next().unwrap().split(".route(").next().unwrap();
            for method in ["get", "post", "put", "delete"] {
                let is_named = methods.contains(&format!("{method}(")) || methods.contains(&format!(".{method}("));
                let is_page = method == "get" && methods.contains("page(");
                let is_write = method == "post" && methods.contains("write()");
                if is_named || is_page || is_write {
                    found.insert((method.to_owned(), format!("{prefix}{path}")));
                }
            }
        }
        assert!(!found.is_empty(), "{file} registers nothing that this test understands");
        found
    }

    #[test]
    fn every_route_has_an_operation_and_every_operation_a_route() {
        let mut routes: BTreeSet<_> = FILES.into_iter().flat_map(|(file, prefix)| registered(file, prefix)).collect();
        // Those at the root are found under the prefix of their file too.
        routes.extend(AT_ROOT.map(|path| (if path == "/train" { "post" } else { "get" }.to_owned(), path.to_owned())));
        let told: BTreeSet<_> = OPERATIONS.iter().map(|one| (one.method.to_owned(), one.path.to_owned())).collect();
        let missing: Vec<_> = routes.difference(&told).collect();
        let nowhere: Vec<_> = told.difference(&routes).collect();
        assert!(
            missing.is_empty() && nowhere.is_empty(),
            "without an operation: {missing:?}; without a route: {nowhere:?}"
        );
        assert_eq!(told.len(), OPERATIONS.len(), "an operation stands twice");
    }
}
