//! The files that containers and service managers start the program with name only what there is: paths, variables,
//! commands, flags, ports.
//!
//! Not here: building an image, which needs a registry (docs/operations.md says how to).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use infrawatch::config::{Config, KEYS};
use serde_json::Value;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::http::get;
use support::server::Server;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Lines with `\` continuations joined, without comments.
fn logical_lines(text: &str) -> Vec<String> {
    let uncommented = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    uncommented.replace("\\\n", " ").lines().map(|line| line.trim().to_owned()).collect()
}

/// The arguments of an instruction in the form of a JSON array.
fn array(line: &str) -> Vec<String> {
    let start = line.find('[').unwrap_or_else(|| panic!("{line}: no array"));
    serde_json::from_str(&line[start..]).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Holds a command line against the built program: every subcommand and flag in it has to be known.
fn is_understood(arguments: &[&str]) -> bool {
    let built = Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(arguments).arg("--help").output().unwrap();
    built.status.success()
}

#[test]
fn the_image_starts_commands_that_exist() {
    let lines = logical_lines(&read("Dockerfile"));
    let line = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
    assert_eq!(array(line("ENTRYPOINT")), ["infrawatch"]);
    let command = array(line("CMD"));
    assert!(is_understood(&command.iter().map(String::as_str).collect::<Vec<_>>()), "{command:?}");
    let compose = read("compose.yaml");
    let check = compose.lines().find(|line| line.trim_start().starts_with("test:")).unwrap();
    let (of_image, of_compose) = (array(line("HEALTHCHECK")), array(check));
    assert_eq!(of_compose[1..], of_image[..], "compose.yaml asks as the image does");
    assert_eq!((of_compose[0].as_str(), of_image[0].as_str()), ("CMD", "infrawatch"));
    assert!(is_understood(&of_image[1..].iter().map(String::as_str).collect::<Vec<_>>()), "{of_image:?}");
    assert!(!is_understood(&["serve", "--no-such-flag"]), "this test can fail");
}

#[test]
fn the_build_has_the_files_it_needs_and_its_binary_is_the_one_that_is_copied() {
    let lines = logical_lines(&read("Dockerfile"));
    let kept: Vec<String> =
        read(".dockerignore").lines().filter_map(|line| Some(line.strip_prefix('!')?.into())).collect();
    for path in &kept {
        assert!(root().join(path).exists(), ".dockerignore keeps {path}, which is not there");
    }
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter().filter_map(toml::Value::as_str);
    for needed in members.filter(|member| *member != ".").chain(["Cargo.toml", "Cargo.lock", "src", "benches"]) {
        assert!(kept.iter().any(|path| path == needed), "the build needs {needed}, which .dockerignore leaves out");
    }
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(lines.iter().any(|line| line.contains(&format!("rust:{rust}-"))), "the image of Rust {rust}");
    let copied = lines.iter().find_map(|line| line.strip_prefix("COPY --from=build ")).unwrap();
    let from = copied.split(' ').next().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("RUN") && line.ends_with(from)), "nothing makes {from}");
    assert!(lines.iter().any(|line| line.starts_with("USER ") && !line.contains("root") && line != "USER 0"));
}

#[test]
fn every_variable_is_a_setting_and_has_a_value_it_can_take() {
    let mut seen = 0;
    for file in ["Dockerfile", "compose.yaml", "config/systemd/infrawatch.service"] {
        let text = logical_lines(&read(file)).join(" ");
        for word in text.split([' ', '"', '\'']).filter(|word| word.starts_with("INFRAWATCH_")) {
            let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("{file}: {word} has no value"));
            let key = KEYS.iter().find(|key| key.variable() == name).unwrap_or_else(|| panic!("{file}: no {name}"));
            (key.set)(&mut Config::default(), value).unwrap_or_else(|error| panic!("{file}: {word}: {error}"));
            seen += 1;
        }
    }
    assert!(seen >= 3, "the image sets both addresses and the data directory");
}

#[test]
fn the_ports_are_those_that_are_listened_at() {
    let lines = logical_lines(&read("Dockerfile"));
    let exposed: Vec<&str> = lines.iter().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap().split(' ').collect();
    let defaults = Config::default();
    let port = |listen: &infrawatch::config::Listen| listen.addr().unwrap().port();
    let (http, statsd) = (port(&defaults.http.listen), port(&defaults.statsd.listen));
    assert_eq!(exposed, [format!("{http}/tcp"), format!("{statsd}/udp")]);
    let compose = read("compose.yaml");
    let ours = compose.split("\n  prometheus:").next().unwrap();
    for port in exposed {
        let (number, _) = port.split_once('/').unwrap();
        assert!(ours.contains(&format!("\"127.0.0.1:{number}:{port}\"")), "compose.yaml publishes {port} on loopback");
    }
    let unit = "config/prometheus/compose.yml and the data source name our service and port";
    for file in ["config/prometheus/compose.yml", "config/grafana/provisioning/datasources/infrawatch.yml"] {
        assert!(read(file).contains(&format!("infrawatch:{http}")), "{unit}");
    }
}

#[test]
fn what_compose_mounts_is_there() {
    let compose = read("compose.yaml");
    let entries = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let mounted: Vec<PathBuf> = entries.map(|entry| entry.split(':').next().unwrap().into()).collect();
    assert!(mounted.len() >= 3, "{mounted:?}");
    for path in mounted {
        assert!(root().join(&path).exists(), "compose.yaml mounts {}, which is not there", path.display());
    }
}

#[test]
fn the_dashboard_asks_what_the_server_understands() {
    let dashboard: Value = serde_json::from_str(&read("config/grafana/dashboards/infrawatch.json")).unwrap();
    let server = Server::start();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 6);
    for panel in panels {
        let expression = panel["targets"][0]["expr"].as_str().unwrap();
        let answer = get(&server.url("/prometheus/api/v1/query"), &[("query", expression)]).unwrap();
        assert_eq!(answer.status, 200, "{expression}: {}", answer.body);
        assert_eq!(panel["datasource"]["uid"], "infrawatch");
    }
    server.stop();
}

#[test]
fn the_unit_is_valid_and_starts_a_command_that_exists() {
    let unit = read("config/systemd/infrawatch.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let (binary, arguments) = start.split_once(' ').unwrap();
    assert!(is_understood(&arguments.split(' ').collect::<Vec<_>>()), "{start}");
    // The binary is not installed here, the one that was built takes its place.
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("infrawatch.service");
    std::fs::write(&file, unit.replace(binary, env!("CARGO_BIN_EXE_infrawatch"))).unwrap();
    let verify = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
    let verify = verify.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("systemd-analyze is missing: apt-get install systemd"),
        _ => panic!("systemd-analyze: {error}"),
    });
    let said = format!("{}{}", String::from_utf8_lossy(&verify.stdout), String::from_utf8_lossy(&verify.stderr));
    assert!(verify.status.success() && said.trim().is_empty(), "{}: {said}", verify.status);
}

#[test]
fn a_service_manager_hears_that_the_server_is_ready_alive_and_stopping() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let address = path.to_str().unwrap();
    let server = Server::start_with_settings(&[("NOTIFY_SOCKET", address), ("WATCHDOG_USEC", "100000")]);
    let hear = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!((hear(), hear()), ("WATCHDOG=1".into(), "WATCHDOG=1".into()));
    server.stop();
    let rest = std::iter::repeat_with(hear).find(|state| state != "WATCHDOG=1");
    assert_eq!(rest.as_deref(), Some("STOPPING=1"));
}
