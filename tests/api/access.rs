//! Who may do what: users and roles, changes written down, TLS, and settings that are read again while the server runs.

use super::support::eventually;
use super::support::http::{Answer, get_with, post, request};
use super::support::server::Server;
use super::{body_of, refused};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn infrawatch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(arguments).env_clear().output().unwrap()
}

/// Adds a user to the file; the token.
fn add_user(path: &Path, name: &str, roles: &str) -> String {
    let output = infrawatch(&["config", "user", name, "--role", roles]);
    assert!(output.status.success(), "{output:?}");
    let before = std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(path, before + &String::from_utf8(output.stdout).unwrap()).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let token = said.split_once("bearer token is ").unwrap().1.split_once(',').unwrap().0;
    assert!(token.starts_with(&format!("{name}.")), "{said}");
    token.to_owned()
}

/// A server with a reader, a writer and an admin, and their tokens.
fn guarded() -> (Server, TempDir, [String; 3]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("users.toml");
    let tokens =
        [("grafana", "read"), ("agent", "write"), ("root", "admin")].map(|(name, role)| add_user(&path, name, role));
    let server = Server::start_with_settings(&[("INFRAWATCH_ACCESS_USERS_FILE", path.to_str().unwrap())]);
    (server, folder, tokens)
}

fn as_user(server: &Server, method: &str, path: &str, token: &str) -> Answer {
    let value = format!("Bearer {token}");
    let headers = [("authorization", value.as_str())];
    request(method, &server.url(path), if token.is_empty() { &[] } else { &headers }, b"").unwrap()
}

#[test]
fn each_role_may_do_what_it_should_and_nothing_else() {
    let (server, _folder, [read, write, admin]) = guarded();
    let status = |method: &str, path: &str, token: &str| as_user(&server, method, path, token).status;
    for path in ["/health", "/ready", "/-/healthy"] {
        assert_eq!(status("GET", path, ""), 200, "{path}");
    }
    let missing = as_user(&server, "GET", "/api/v1/metrics", "");
    refused(&missing, 401, None);
    assert!(
        missing
            .header("www-authenticate")
            .is_some_and(|schemes| schemes.contains("Basic") && schemes.contains("Bearer"))
    );
    assert_eq!(status("GET", "/api/v1/metrics", "grafana.wrong"), 401);
    assert_eq!(status("GET", "/api/v1/metrics", &read.replace("grafana", "agent")), 401);
    // By reader, writer, admin.
    for (method, path, expected) in [
        ("GET", "/api/v1/metrics", [200, 403, 200]),
        ("GET", "/metrics", [200, 403, 200]),
        ("POST", "/api/v1/metrics", [403, 400, 400]),
        ("POST", "/api/v1/write", [403, 415, 415]),
        ("POST", "/api/v1/query", [400, 403, 400]),
        ("POST", "/-/compact", [403, 403, 200]),
        ("DELETE", "/api/v1/models/x", [403, 403, 404]),
    ] {
        assert_eq!([&read, &write, &admin].map(|token| status(method, path, token)), expected, "{method} {path}");
    }
    server.stop();
}

#[test]
fn a_name_and_a_password_are_as_good_as_a_token_and_commands_take_the_token() {
    let (server, _folder, [read, ..]) = guarded();
    let curl = server.curl(&["-sS", "-u", &read.replacen('.', ":", 1), &server.url("/api/v1/metrics")]);
    assert!(curl.starts_with("{\"total\""), "{curl}");
    let query = |token: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
        command.args(["query", "1+1", "--server", &server.url("")]).env_clear().env("INFRAWATCH_TOKEN", token);
        command.output().unwrap().status.success()
    };
    assert!(query(&read) && !query("grafana.wrong"));
    server.stop();
}

#[test]
fn changes_are_written_down_with_their_user_and_questions_are_not() {
    let (server, _folder, [read, write, _]) = guarded();
    as_user(&server, "GET", "/api/v1/metrics", &read);
    let token = format!("Bearer {write}");
    let headers = [("authorization", token.as_str()), ("x-request-id", "change-1")];
    let told =
        request("POST", &server.url("/api/v1/events"), &headers, b"{\"kind\":\"deploy\",\"title\":\"x\"}").unwrap();
    body_of(&told, 201);
    as_user(&server, "POST", "/-/compact", &read);
    let path = server.data_dir().join("audit.log");
    let lines: Vec<serde_json::Value> = eventually("two lines in the audit log", 20, || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>();
        (lines.len() == 2).then_some(lines)
    });
    let find = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    let event = find("/api/v1/events");
    assert_eq!((event["user"].as_str(), event["status"].as_u64()), (Some("agent"), Some(201)));
    assert_eq!((event["request"].as_str(), event["peer"].as_str()), (Some("change-1"), Some("127.0.0.1")));
    assert_eq!(
        (find("/-/compact")["user"].as_str(), find("/-/compact")["status"].as_u64()),
        (Some("grafana"), Some(403))
    );
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&write[6..]), "no secret is written down");
    server.stop();
}

#[test]
fn users_are_read_again_and_a_mistake_in_them_changes_nothing() {
    let (server, folder, [read, _, admin]) = guarded();
    let path = folder.path().join("users.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, "[[user]]\nname = 1\n").unwrap();
    let refused = as_user(&server, "POST", "/-/reload", &admin);
    assert!(refused.status == 500 && refused.body.contains("users.toml:2"), "{}", refused.body);
    assert_eq!(as_user(&server, "GET", "/api/v1/metrics", &read).status, 200);
    let page = as_user(&server, "GET", "/metrics", &read).body;
    assert!(page.contains("infrawatch_config_last_reload_successful 0\n"), "{page}");
    // The reader is taken out; nobody has to ask for it.
    let without_reader = good.split_once("[[user]]").unwrap().1.split_once("[[user]]").unwrap().1;
    std::fs::write(&path, format!("[[user]]{without_reader}")).unwrap();
    eventually("the reader is out", 30, || {
        (as_user(&server, "GET", "/api/v1/metrics", &read).status == 401).then_some(())
    });
    assert_eq!(as_user(&server, "GET", "/api/v1/metrics", &admin).status, 200);
    let page = as_user(&server, "GET", "/metrics", &admin).body;
    assert!(page.contains("infrawatch_config_last_reload_successful 1\n"), "{page}");
    server.stop();
}

#[test]
fn a_limit_of_requests_is_kept_and_says_when_to_come_back() {
    let server = Server::start_with_settings(&[("INFRAWATCH_ACCESS_REQUESTS_PER_SECOND", "0.01")]);
    let ask = || get_with(&server.url("/api/v1/metrics"), &[]).unwrap();
    assert_eq!(ask().status, 200);
    let limited = ask();
    refused(&limited, 429, None);
    assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() > 1);
    assert_eq!(get_with(&server.url("/health"), &[]).unwrap().status, 200);
    server.stop();
}

#[test]
fn an_address_that_others_can_reach_is_refused_without_access() {
    let folder = TempDir::new().unwrap();
    let output = infrawatch(&["serve", "--http-listen", "0.0.0.0:0", "--data-dir", folder.path().to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("access.users_file"), "{said}");
}

/// A certificate for localhost and its key.
fn certificate(folder: &Path, name: &str) -> [PathBuf; 2] {
    let [cert, key] = ["cert", "key"].map(|part| folder.join(format!("{name}-{part}.pem")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is installed; ./test installs it");
    assert!(made.status.success(), "{made:?}");
    [cert, key]
}

#[test]
fn https_is_spoken_and_a_new_certificate_is_taken_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let [cert, key] = certificate(folder.path(), "first");
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (cert_text, key_text) = (text(&cert), text(&key));
    let settings = [("INFRAWATCH_HTTP_TLS_CERT_FILE", &*cert_text), ("INFRAWATCH_HTTP_TLS_KEY_FILE", &*key_text)];
    let server = Server::start_with_settings(&settings);
    let url = server.url("/health").replace("http://", "https://");
    let first = std::fs::read(&cert).unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, first).unwrap();
    let trusts = |file: &Path| server.curl(&["-sS", "--cacert", file.to_str().unwrap(), &url]).contains("\"status\"");
    assert!(trusts(&trusted));
    assert!(get_with(&server.url("/health"), &[]).is_err(), "no HTTP where HTTPS is spoken");
    // A certificate that does not fit the key is refused; the first stays in force.
    let [other_cert, other_key] = certificate(folder.path(), "second");
    std::fs::copy(&other_cert, &cert).unwrap();
    let reload = || server.curl(&["-sSk", "-X", "POST", &url.replace("/health", "/-/reload")]);
    assert!(reload().starts_with("nothing was changed"));
    assert!(trusts(&trusted));
    std::fs::copy(&other_key, &key).unwrap();
    assert!(reload().starts_with("changed: "));
    assert!(trusts(&other_cert) && !trusts(&trusted));
    server.stop();
}

/// A command for a server that speaks HTTPS; what it says, or its complaint.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let output = command.args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_command_asks_over_https_with_a_token_and_trusts_whom_it_should() {
    let folder = TempDir::new().unwrap();
    let [cert, key] = certificate(folder.path(), "server");
    let [other, _] = certificate(folder.path(), "other");
    let users = folder.path().join("users.toml");
    let token = add_user(&users, "root", "admin");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (cert, key, other, users) = (text(&cert), text(&key), text(&other), text(&users));
    let server = Server::start_with_settings(&[
        ("INFRAWATCH_HTTP_TLS_CERT_FILE", &cert),
        ("INFRAWATCH_HTTP_TLS_KEY_FILE", &key),
        ("INFRAWATCH_ACCESS_USERS_FILE", &users),
    ]);
    let url = server.url("").replace("http://127.0.0.1", "https://localhost");
    let (csv, snapshot) = (folder.path().join("a.csv"), text(&folder.path().join("copy")));
    let rows: String = (0..50).map(|at| format!("{},{}\n", 1_700_000_000 + at * 60, at)).collect();
    std::fs::write(&csv, format!("timestamp,value\n{rows}")).unwrap();
    let csv = text(&csv);
    let commands: [&[&str]; 12] = [
        &["health"],
        &["collect", &csv, "--metric", "cpu"],
        &["query", "cpu", "--time", "1700000000"],
        &["export", "--match", "cpu"],
        &["profile", "cpu"],
        &["alert", "list"],
        &["maintenance", "list"],
        &["snmp", "devices"],
        &["models", "list"],
        &["incident", "list"],
        &["report", "capacity"],
        &["snapshot", &snapshot],
    ];
    let trusted = [("INFRAWATCH_TOKEN", &*token), ("INFRAWATCH_CA_FILE", &*cert)];
    for arguments in commands {
        let asked = |more: &[&str], variables: &[(&str, &str)]| {
            command(&[arguments, &["--server", &url], more].concat(), variables)
        };
        let said = asked(&[], &trusted);
        assert!(said.is_ok(), "{arguments:?}: {said:?}");
        let stranger = asked(&["--ca-file", &other], &trusted);
        assert!(stranger.is_err(), "{arguments:?}: a certificate of nobody's is trusted");
        if arguments[0] != "health" {
            let nobody = asked(&["--ca-file", &cert], &[]);
            assert!(nobody.is_err(), "{arguments:?}: no token is needed");
        }
    }
    server.stop();
}

#[test]
fn without_users_only_this_machine_does_the_upkeep() {
    let server = Server::start();
    let answer = post(&server.url("/-/reload"), &[], b"").unwrap();
    assert!(answer.status == 200 && answer.body.starts_with("changed: none"), "{}", answer.body);
    server.stop();
}
