//! How the server starts, says what stands in its way, and stops.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use support::eventually;
use support::http::{get, get_json, post};
use support::server::Server;

/// Runs `serve`, which is expected to end by itself.
fn serve(data_dir: &Path, listen: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    command.args(["serve", "--statsd-listen", "off", "--http-listen", listen, "--data-dir"]).arg(data_dir);
    command.env_clear().output().expect("the built program starts")
}

fn refused(output: &Output, named: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(named), "{named:?} is not named in: {text}");
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start();
    let home = tempfile::tempdir().expect("a temporary directory");
    refused(&serve(home.path(), server.address()), server.address());
}

#[test]
fn a_directory_in_use_is_named_and_its_owner_goes_on() {
    let server = Server::start();
    refused(&serve(server.data_dir(), "127.0.0.1:0"), &server.data_dir().display().to_string());
    assert_eq!(get(&server.url("/-/ready"), &[]).expect("the owner answers").status, 200);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("a-file");
    std::fs::write(&file, "not a directory").expect("a file");
    let inside = file.join("data");
    refused(&serve(&inside, "127.0.0.1:0"), &inside.display().to_string());
}

#[test]
fn a_store_of_another_version_is_refused_by_name() {
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(home.path().join("STORE"), "IWSTORE9 and something newer").expect("a file");
    refused(&serve(home.path(), "127.0.0.1:0"), "STORE");
}

#[test]
fn health_readiness_and_metrics_have_their_pages() {
    let server = Server::start();
    let health = get_json(&server.url("/health"), &[]);
    assert_eq!(health["status"], "healthy", "{health}");
    assert_eq!(health["components"]["storage"]["status"], "healthy", "{health}");
    assert!(health["version"].is_string() && health["uptime_s"].is_u64() && health["models_loaded"].is_u64());
    for path in ["/ready", "/-/ready", "/-/healthy"] {
        assert_eq!(get(&server.url(path), &[]).expect("it answers").status, 200, "{path}");
    }
    let page = get(&server.url("/metrics"), &[]).expect("it answers").body;
    for name in ["infrawatch_received_total", "infrawatch_series", "process_cpu_seconds_total"] {
        assert!(page.contains(&format!("\n{name}")), "{name} is missing");
    }
    let info = get_json(&server.url("/prometheus/api/v1/status/buildinfo"), &[]);
    assert_eq!(info["status"], "success");
    let built = Command::new(env!("CARGO_BIN_EXE_infrawatch"))
        .args(["health", "--server", &server.url("")])
        .output()
        .expect("the built program starts");
    assert_eq!(built.status.code(), Some(0), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(post(&server.url("/-/compact"), &[], b"").expect("it answers").status, 200);
    server.stop();
}

/// A folder that takes no files is one whose name is taken by a file; root could write anywhere else.
#[test]
fn a_journal_with_a_mirror_goes_on_without_it_says_so_and_takes_it_back() {
    let home = tempfile::tempdir().unwrap();
    let mirror = home.path().join("mirror");
    let server = Server::start_with_settings(&[("INFRAWATCH_STORAGE_JOURNAL_MIRROR_DIR", mirror.to_str().unwrap())]);
    let push = |value: u32| {
        let body = format!("[{{\"name\": \"up\", \"value\": {value}, \"timestamp\": {}}}]", 1_700_000_000 + value);
        let headers = [("content-type", "application/json")];
        post(&server.url("/api/v1/metrics"), &headers, body.as_bytes()).unwrap().status
    };
    let journal = || get_json(&server.url("/health"), &[])["components"]["journal"].clone();
    let folders = || {
        let page = get(&server.url("/metrics"), &[]).unwrap().body;
        let line =
            page.lines().find(|line| line.starts_with("infrawatch_journal_folders_writing ")).unwrap().to_owned();
        line.rsplit_once(' ').unwrap().1.to_owned()
    };
    assert_eq!((push(1), journal()["status"].as_str(), folders().as_str()), (200, Some("healthy"), "2"));
    std::fs::remove_dir_all(&mirror).unwrap();
    std::fs::write(&mirror, b"in the way").unwrap();
    assert_eq!((push(2), push(3)), (200, 200), "writing goes on");
    let said = journal();
    assert_eq!((said["status"].as_str(), folders().as_str()), (Some("degraded"), "1"), "{said}");
    assert!(said["detail"].as_str().unwrap().contains(mirror.to_str().unwrap()), "{said}");
    std::fs::remove_file(&mirror).unwrap();
    support::eventually("the mirror is written again", 60, || (journal()["status"] == "healthy").then_some(()));
    assert_eq!((push(4), folders().as_str()), (200, "2"));
    let restarted = server.kill().restart();
    let query = [("query", "count_over_time(up[1h])"), ("time", "1700000100")];
    let answer = get_json(&restarted.url("/api/v1/query"), &query);
    assert_eq!(answer["data"]["result"][0]["value"][1], "4", "{answer}");
    restarted.stop();
}

/// A thread that waits in a circle would take a second of processor time a second; never asked for by any load.
#[test]
fn a_server_that_nobody_asks_anything_rests() {
    let server = Server::start();
    let uptime_s = || get_json(&server.url("/health"), &[])["uptime_s"].as_u64().expect("a number of seconds");
    let (began_s, before) = (uptime_s(), server.figure("process_cpu_seconds_total"));
    eventually("five seconds pass", 60, || (uptime_s() >= began_s + 5).then_some(()));
    let used = server.figure("process_cpu_seconds_total") - before;
    assert!(used < 1.5, "{used} s of processor time in five seconds");
    server.stop();
}
