//! The property-based tester schemathesis, from its registry, finds nothing wrong with the built program.
//!
//! `./test` installs it. One check is left out: that whatever fits a schema is accepted, since expressions, matchers and
//! names of things that are there are texts of which a schema cannot say more.

use super::ask;
use super::support::http::post;
use super::support::server::Server;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `./test` puts it, unless a variable names another place.
fn program() -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    std::env::var_os("SCHEMATHESIS").map_or_else(usual, PathBuf::from)
}

#[test]
fn schemathesis_finds_nothing_wrong() {
    let program = program();
    assert!(program.exists(), "{} is missing: ./test installs it", program.display());
    let server = Server::start();
    let sample = json!([{"name": "cpu_percent", "value": 41.5, "labels": {"host": "a"}}]);
    assert_eq!(ask(&server, "/api/v1/metrics", &sample).status, 200);
    assert_eq!(post(&server.url("/-/reload"), &[], b"").unwrap().status, 200);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(&program)
        .arg("run")
        .arg(server.url("/openapi.json"))
        .args(["--no-color", "--seed", "1", "--max-examples", "10", "--no-shrink", "--continue-on-failure", "-w", "1"])
        .args(["--phases", "examples,fuzzing", "--exclude-checks", "positive_data_acceptance", "--warnings", "off"])
        // Upkeep, a stream that does not end, and bodies of bytes have tests of their own.
        .args(["--exclude-path-regex", "^/-/|/stream$|/write$|/push$"])
        // With partial=true bad samples are told of, not refused.
        .args(["--exclude-operation-id", "post_metrics"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    server.stop();
}
