//! Settings that are read again while the server runs: what is taken over, what is named as waiting, what is refused.

use super::support::eventually;
use super::support::http::{get, get_json, post};
use super::support::server::Server;
use super::support::sink::Sink;
use super::{ask, body_of};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

fn reload(server: &Server) -> String {
    let answer = post(&server.url("/-/reload"), &[], b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn page(server: &Server) -> String {
    get(&server.url("/metrics"), &[]).unwrap().body
}

fn value(server: &Server, line: &str) -> Option<f64> {
    page(server).lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

fn with_settings(path: &Path) -> Server {
    Server::start_with_settings(&[("INFRAWATCH_CONFIG", path.to_str().unwrap())])
}

#[test]
fn what_can_change_is_taken_over_and_what_cannot_is_named_until_the_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("");
    let server = with_settings(&path);
    write("[storage]\nretention = \"60d\"\n[metrics]\nnames_max = 5\n[shards]\ncount = 3\n");
    for _ in 0..2 {
        let said = reload(&server);
        assert!(said.trim_end().ends_with("waiting for a restart: shards.count, metrics.names_max"), "{said}");
        assert_eq!(value(&server, "infrawatch_config_waiting_for_restart"), Some(2.0));
        assert_eq!(value(&server, "infrawatch_config_restart_needed{key=\"shards.count\"}"), Some(1.0));
    }
    write("[storage]\nretentoin = \"60d\"\n");
    let refused = post(&server.url("/-/reload"), &[], b"").unwrap();
    assert!(
        refused.status == 500 && refused.body.contains("a.toml:2: unknown key storage.retentoin"),
        "{}",
        refused.body
    );
    assert_eq!(value(&server, "infrawatch_config_last_reload_successful"), Some(0.0));
    assert_eq!(value(&server, "infrawatch_config_waiting_for_restart"), Some(2.0), "what waited still does");
    write("");
    assert!(reload(&server).contains("changed: storage.retention; waiting for a restart: none"));
    assert_eq!(value(&server, "infrawatch_config_waiting_for_restart"), Some(0.0));
    server.stop();
}

#[test]
fn a_limit_of_requests_is_there_and_gone_again_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "").unwrap();
    let server = with_settings(&path);
    let all_pass = || (0..20).all(|_| get(&server.url("/api/v1/events"), &[]).unwrap().status == 200);
    assert!(all_pass());
    std::fs::write(&path, "[access]\nrequests_per_second = 0.1\n").unwrap();
    assert!(reload(&server).contains("changed: access.requests_per_second;"));
    assert!(!all_pass());
    std::fs::write(&path, "").unwrap();
    // Asking for it is limited as well, so the file is left to be seen.
    eventually("the limit is gone", 60, || all_pass().then_some(()));
    server.stop();
}

#[test]
fn a_turned_link_to_settings_is_followed_by_itself() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [("one", ""), ("two", "[log]\nlevel = \"warn\"\n[shards]\ncount = 7\n")] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("a.toml"), text).unwrap();
    }
    // As Kubernetes lays out a ConfigMap: the file is a link through a folder that is a link itself.
    symlink("one", at("now")).unwrap();
    symlink("now/a.toml", at("a.toml")).unwrap();
    let server = with_settings(&at("a.toml"));
    symlink("two", at("new")).unwrap();
    std::fs::rename(at("new"), at("now")).unwrap();
    eventually("the other folder's settings", 60, || {
        value(&server, "infrawatch_config_restart_needed{key=\"shards.count\"}").filter(|one| *one == 1.0)
    });
    server.stop();
}

/// Tells of an anomaly that has to be told.
fn anomaly(server: &Server, name: &str) {
    // Metrics are groups of their own, which wait for nobody.
    let body = json!({"metric_name": name, "severity": "critical", "state": "open"});
    body_of(&ask(server, "/api/v1/anomalies", &body), 201);
}

#[test]
fn trying_out_tells_nobody_until_it_is_switched_off_and_receivers_may_change() {
    let folder = TempDir::new().unwrap();
    let (path, routing) = (folder.path().join("a.toml"), folder.path().join("routing.toml"));
    let settings = |dry_run: bool| {
        let text = format!("[alerts]\nrouting_file = {:?}\ndry_run = {dry_run}\n", routing.display());
        std::fs::write(&path, text).unwrap();
    };
    let receiver = |sink: &Sink| {
        let text = format!(
            "[route]\nreceiver = \"hook\"\ngroup_wait = \"0s\"\n[[receivers]]\nname = \"hook\"\nwebhook = \"{}\"\n",
            sink.url()
        );
        std::fs::write(&routing, text).unwrap();
    };
    let (first, second) = (Sink::start(&[]), Sink::start(&[]));
    receiver(&first);
    settings(true);
    let server = with_settings(&path);
    anomaly(&server, "a");
    eventually("the alert counts as told", 60, || {
        value(&server, "infrawatch_alerts_would_notify_total").filter(|count| *count >= 1.0)
    });
    let alert = &get_json(&server.url("/api/v1/alerts"), &[])["items"][0];
    assert_eq!(alert["labels"]["metric_name"], "a", "{alert}");
    assert_eq!(first.sent().len(), 0, "nobody is told while this is tried out");
    settings(false);
    assert!(reload(&server).contains("changed: alerts.dry_run;"));
    anomaly(&server, "b");
    eventually("the receiver is told", 60, || (!first.sent().is_empty()).then_some(()));
    receiver(&second);
    assert!(reload(&server).contains("receivers and routes are others now"));
    anomaly(&server, "c");
    let told = eventually("the other receiver is told", 60, || second.sent().pop());
    assert!(told.text.contains("\"c\""), "{}", told.text);
    std::fs::write(&routing, "[route]\nreceiver = \"nobody\"\n").unwrap();
    let refused = post(&server.url("/-/reload"), &[], b"").unwrap();
    assert!(refused.status == 500 && refused.body.contains("there is no receiver"), "{}", refused.body);
    server.stop();
}
