//! One alert from its beginning to its end, and what keeps it from being told.
//!
//! Not here: incidents, rules, receivers of other kinds (see their own files).

use super::support::eventually;
use super::support::http::{delete, get, get_json, post};
use super::support::peer::{Peer, free_port};
use super::support::server::Server;
use super::support::sink::Sink;
use super::{SECONDS, alerts, anomaly, assert_accounted, infrawatch, now_s, said, server, webhooks};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;

#[test]
fn an_alert_is_told_signed_taken_and_resolved_by_its_fingerprint() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "key\n").unwrap();
    // The first try is refused for the moment and made again with the same key.
    let sink = Sink::start(&[503]);
    let server = server(&folder, &webhooks(&[sink.url()], &format!("secret_file = {secret:?}")));
    let start_s = now_s();
    let posted = anomaly(&server, "a", start_s, "critical", "open");
    let told = eventually("the sink is told twice", SECONDS, || Some(sink.sent()).filter(|sent| sent.len() == 2));
    assert_eq!(told[0].headers["idempotency-key"], told[1].headers["idempotency-key"]);
    let first = &told[1];
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
    mac.update(format!("{}.{}", first.headers["x-infrawatch-timestamp"], first.text).as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(first.headers["x-infrawatch-signature"], format!("sha256={hex}"));
    let [alert] = &alerts(&server, "active", 1)[..] else { panic!("one alert") };
    let of_sink = &first.body["alerts"][0];
    assert_eq!((&first.body["status"], &of_sink["fingerprint"]), (&json!("firing"), &alert["fingerprint"]));
    assert_eq!((&alert["severity"], &alert["anomaly_id"]), (&json!("critical"), &posted["id"]));
    assert_eq!(alert["labels"], json!({"alertname": "Anomaly", "metric_name": "cpu", "host": "a"}));
    let print = alert["fingerprint"].as_str().unwrap();
    let path = format!("/api/v1/alerts/{print}/acknowledge");
    let taken = said(&server, &path, &json!({"by": "ann", "note": "on it"}));
    assert_eq!((&taken["state"], &taken["acknowledged_by"]), (&json!("acknowledged"), &json!("ann")));
    assert_eq!(said(&server, &path, &json!({"by": "bob"}))["acknowledged_by"], "ann", "idempotent");
    let unknown = post(&server.url("/api/v1/alerts/0000000000000000/resolve"), &[], b"").unwrap();
    assert_eq!(unknown.status, 404);
    // A crash forgets none of it.
    let server = server.kill().restart();
    assert_eq!(alerts(&server, "acknowledged", 1)[0]["fingerprint"], print);
    anomaly(&server, "a", start_s, "critical", "closed");
    let [resolved] = &alerts(&server, "resolved", 1)[..] else { panic!("one alert") };
    assert!(resolved["ends_at"].is_string(), "{resolved}");
    let last = eventually("the sink is told that it is over", SECONDS, || {
        sink.sent().into_iter().find(|sent| sent.body["status"] == "resolved")
    });
    assert_eq!(last.body["alerts"][0]["fingerprint"], print);
    assert_accounted(&server);
}

#[test]
fn silences_and_maintenance_keep_quiet_and_say_why() {
    let folder = TempDir::new().unwrap();
    let sink = Sink::start(&[]);
    let server = server(&folder, &webhooks(&[sink.url()], ""));
    let url = server.url("");
    let silence =
        infrawatch(&["alert", "silence", "{host=\"a\"}", "--reason", "noisy", "--by", "ann", "--server", &url]);
    let id = silence[0]["id"].as_str().unwrap().to_owned();
    let began = (now_s().floor() - 60.0).to_string();
    let window =
        infrawatch(&["maintenance", "add", "{host=\"b\"}", "--start", &began, "--duration", "1h", "--server", &url]);
    assert_eq!(window[0]["state"], "active");
    let start_s = now_s();
    for host in ["a", "b"] {
        anomaly(&server, host, start_s, "high", "open");
    }
    let quiet = alerts(&server, "suppressed", 2);
    let why = |host: &str| {
        let alert = quiet.iter().find(|alert| alert["labels"]["host"] == host).unwrap();
        alert["suppressed_by"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(why("a"), format!("silence:{id}"));
    assert!(why("b").starts_with("maintenance:"), "{}", why("b"));
    let anomalies = get_json(&server.url("/api/v1/anomalies"), &[]);
    let suppressed = |item: &Value| (item["labels"]["host"].clone(), item["suppressed"].clone());
    let mut marked: Vec<_> = anomalies["items"].as_array().unwrap().iter().map(suppressed).collect();
    marked.sort_by_key(|(host, _)| host.to_string());
    assert_eq!(marked, [(json!("a"), json!(false)), (json!("b"), json!(true))]);
    anomaly(&server, "c", start_s, "high", "open");
    let told = eventually("c is told", SECONDS, || Some(sink.sent()).filter(|sent| !sent.is_empty()));
    assert_eq!((told.len(), &told[0].body["alerts"][0]["labels"]["host"]), (1, &json!("c")));
    // Without the silence, what still goes on is told.
    let server = server.kill().restart();
    let url = server.url("");
    let kept = infrawatch(&["alert", "silences", "--server", &url]);
    assert_eq!((&kept[0]["reason"], &kept[0]["by"]), (&json!("noisy"), &json!("ann")));
    infrawatch(&["alert", "unsilence", &id, "--server", &url]);
    eventually("a is told", SECONDS, || {
        let told = sink.sent();
        told.iter().any(|sent| sent.text.contains("cpu of a")).then_some(())
    });
    assert!(!sink.sent().iter().any(|sent| sent.text.contains("cpu of b")));
    assert_accounted(&server);
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field() {
    let server = Server::start();
    let hour = json!({"matchers": "{a=\"b\"}", "start": 1000, "end": 4600});
    let cases = [
        ("/api/v1/silence", json!({"duration": "1h"}), "matchers"),
        ("/api/v1/silence", json!({"metric": "x"}), "duration"),
        ("/api/v1/silence", json!({"metric": "x", "until": 1}), "until"),
        ("/api/v1/silence", json!({"matchers": "{a=", "duration": 60}), "matchers"),
        ("/api/v1/maintenance", json!({"matchers": "{a=\"b\"}", "start": 1000, "end": 1000}), "end"),
        ("/api/v1/maintenance", json!({"matchers": "{a=\"b\"}", "start": 1000, "duration": "60d"}), "end"),
    ];
    let refused = |path: &str, body: &Value, field: &str| {
        let answer = post(&server.url(path), &[], body.to_string().as_bytes()).unwrap();
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, told["field"].as_str()), (400, Some(field)), "{body}: {}", answer.body);
    };
    cases.iter().for_each(|(path, body, field)| refused(path, body, field));
    for (field, text) in [("recurrence", "every now and then"), ("recurrence", "FREQ=HOURLY"), ("timezone", "Nowhere")]
    {
        let mut body = hour.clone();
        body[field] = text.into();
        refused("/api/v1/maintenance", &body, field);
    }
    let planned = said(&server, "/api/v1/maintenance", &hour);
    let path = format!("/api/v1/maintenance/{}", planned["id"].as_str().unwrap());
    assert_eq!(planned["state"], "past");
    assert_eq!([204, 404].map(|_| delete(&server.url(&path)).unwrap().status), [204, 404]);
}

#[test]
fn a_receiver_that_never_answers_holds_up_no_other_and_is_seen() {
    let folder = TempDir::new().unwrap();
    let (hanging, working) = (Sink::start(&[0; 64]), Sink::start(&[]));
    let server = server(&folder, &webhooks(&[working.url(), hanging.url()], ""));
    for (number, host) in ["a", "b", "c"].into_iter().enumerate() {
        anomaly(&server, host, now_s(), "critical", "open");
        let told = || working.sent().iter().filter(|sent| sent.body["reason"] == "new").count();
        eventually("the other receiver is told", SECONDS, || (told() > number).then_some(()));
    }
    assert!(!hanging.sent().is_empty());
    eventually("health names the receiver", SECONDS, || {
        let health: Value = serde_json::from_str(&get(&server.url("/health"), &[]).unwrap().body).unwrap();
        let alerts = &health["components"]["alerts"];
        (alerts["status"] == "degraded" && alerts["detail"].as_str().unwrap().contains("hook1")).then_some(())
    });
    assert!(server.figure("infrawatch_notifications_waiting{receiver=\"hook1\"}") > 0.0);
    assert_accounted(&server);
    // A stop does not wait for it.
    server.stop();
}

#[test]
fn a_real_alertmanager_hears_of_it_and_that_it_is_over() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("alertmanager.yml");
    std::fs::write(&config, "route:\n  receiver: none\nreceivers:\n- name: none\n").unwrap();
    let port = free_port();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", folder.path().join("alertmanager").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let package = "prometheus-alertmanager";
    let manager = Peer::start(package, package, &arguments, port, "/-/ready");
    let receiver = format!("[[receivers]]\nname = \"manager\"\nalertmanager = \"http://127.0.0.1:{port}\"\n");
    let server = server(&folder, &format!("[route]\nreceiver = \"manager\"\n{receiver}"));
    let start_s = now_s();
    anomaly(&server, "a", start_s, "critical", "open");
    let of = || get_json(&manager.url("/api/v2/alerts"), &[]).as_array().unwrap().clone();
    let heard = eventually("the Alertmanager hears of it", SECONDS, || of().pop());
    assert_eq!((&heard["labels"]["severity"], &heard["labels"]["host"]), (&json!("critical"), &json!("a")));
    assert_eq!((&heard["annotations"]["summary"], &heard["status"]["state"]), (&json!("cpu of a"), &json!("active")));
    let ends: jiff::Timestamp = heard["endsAt"].as_str().unwrap().parse().unwrap();
    assert!(ends.as_second() as f64 > now_s() + 120.0, "an end far enough ahead to be sent again before it");
    anomaly(&server, "a", start_s, "critical", "closed");
    eventually("the Alertmanager forgets what is over", SECONDS, || of().is_empty().then_some(()));
    assert_accounted(&server);
}

#[test]
fn a_routing_file_that_makes_no_sense_stops_the_start_and_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("routing.toml");
    std::fs::write(&file, "[route]\nreceiver = \"nobody\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    command.args(["serve", "--http-listen", "127.0.0.1:0", "--statsd-listen", "off", "--data-dir"]);
    command.arg(folder.path().join("data")).env("INFRAWATCH_ALERTS_ROUTING_FILE", &file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("routing.toml") && said.contains("there is no receiver \"nobody\""), "{said}");
}

/// A server that evaluates rules, told to a webhook at once.
fn ruled(folder: &TempDir, sink: &Sink, rules: &str) -> Server {
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let routing = write("routing.toml", &webhooks(&[sink.url()], ""));
    let rules = write("rules.yml", rules);
    let text = format!(
        "[alerts]\nrouting_file = {routing:?}\n[rules]\nfiles = {rules:?}\ninterval = \"200ms\"\nexternal_labels = \"region=eu\"\n"
    );
    let config = write("infrawatch.toml", &text);
    Server::start_with(&["--statsd-listen", "off", "--config", config.to_str().unwrap()])
}

fn sample(server: &Server, name: &str, value: f64) {
    let body = json!({"name": name, "labels": {"host": "a"}, "value": value});
    assert_eq!(post(&server.url("/api/v1/metrics"), &[], body.to_string().as_bytes()).unwrap().status, 200);
}

const RULES: &str = "groups:\n- name: g\n  rules:\n  - record: host:load:double\n    expr: load * 2\n  - alert: LoadHigh\n    expr: host:load:double > 1.5\n    for: 400ms\n    labels: {severity: page}\n    annotations: {summary: 'load {{ $value | humanizePercentage }} of {{ $labels.host }}'}\n";

#[test]
fn rules_record_series_and_raise_alerts_that_outlive_a_crash_and_end_with_their_expression() {
    let (folder, sink) = (TempDir::new().unwrap(), Sink::start(&[]));
    let server = ruled(&folder, &sink, RULES);
    sample(&server, "load", 0.9);
    let told = eventually("the sink is told", SECONDS, || sink.sent().into_iter().next());
    let alert = &told.body["alerts"][0];
    assert_eq!((&alert["name"], &alert["severity"]), (&json!("LoadHigh"), &json!("critical")));
    assert_eq!(alert["summary"], "load 180% of a");
    assert_eq!(
        alert["labels"],
        json!({"alertname": "LoadHigh", "host": "a", "severity": "page", "region": "eu"}),
        "rule's own words stay"
    );
    let in_prometheus = |server: &Server| get_json(&server.url("/prometheus/api/v1/rules"), &[])["data"].clone();
    let group = &in_prometheus(&server)["groups"][0];
    let [record, alerting] = &group["rules"].as_array().unwrap()[..] else { panic!("{group}") };
    assert_eq!((&record["type"], &record["health"]), (&json!("recording"), &json!("ok")));
    assert_eq!((&alerting["state"], &alerting["alerts"][0]["state"]), (&json!("firing"), &json!("firing")));
    let active = get_json(&server.url("/prometheus/api/v1/alerts"), &[])["data"]["alerts"].clone();
    assert_eq!(active[0]["labels"]["alertname"], "LoadHigh");
    let query = get_json(&server.url("/api/v1/query"), &[("query", "ALERTS{alertstate=\"firing\"}")]);
    assert_eq!(query["data"]["result"].as_array().unwrap().len(), 1, "{query}");
    let rules = get_json(&server.url("/api/v1/rules"), &[]);
    assert_eq!((&rules["total"], &rules["items"][1]["firing"]), (&json!(2), &json!(1)));
    let print = alert["fingerprint"].as_str().unwrap().to_owned();
    // A crash while it fires: it goes on, and nobody is told again of what is on disk, as it is once a wish is answered.
    eventually("it is known that somebody was told", SECONDS, || {
        alerts(&server, "active", 1)[0]["history"].to_string().contains("told to hook0").then_some(())
    });
    said(&server, "/api/v1/silence", &json!({"metric": "other", "duration": "1h"}));
    let server = server.kill().restart();
    eventually("the rule fires again", SECONDS, || {
        let group = &in_prometheus(&server)["groups"][0];
        (group["rules"][1]["state"] == "firing").then_some(())
    });
    let [known] = &alerts(&server, "active", 1)[..] else { panic!("one alert") };
    assert_eq!((known["fingerprint"].as_str(), &known["starts_at"]), (Some(print.as_str()), &alert["starts_at"]));
    assert_eq!(sink.sent().len(), 1, "nobody is told again");
    // What ended while nobody looked is over.
    let server = server.kill();
    std::fs::write(folder.path().join("rules.yml"), "groups: []\n").unwrap();
    let server = server.restart();
    let resolved = alerts(&server, "resolved", 1);
    assert_eq!(resolved[0]["fingerprint"], print.as_str());
    eventually("the sink is told that it is over", SECONDS, || {
        sink.sent().into_iter().find(|sent| sent.body["status"] == "resolved")
    });
    assert_accounted(&server);
}

#[test]
fn rule_files_are_read_again_and_a_mistake_changes_nothing() {
    let (folder, sink) = (TempDir::new().unwrap(), Sink::start(&[]));
    let server = ruled(&folder, &sink, RULES);
    let names = || {
        let rules = get_json(&server.url("/api/v1/rules"), &[]);
        let items = rules["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned());
        (items.collect::<Vec<_>>(), rules["error"].clone())
    };
    eventually("the rules are in force", SECONDS, || (names().0 == ["host:load:double", "LoadHigh"]).then_some(()));
    let wrong = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n";
    std::fs::write(folder.path().join("rules.yml"), wrong).unwrap();
    let (known, error) =
        eventually("the mistake is told", SECONDS, || Some(names()).filter(|(_, error)| error.is_string()));
    assert_eq!(known.len(), 2);
    assert!(error.as_str().unwrap().contains("rules.yml:5: A: parse error"), "{error}");
    let reload = post(&server.url("/-/reload"), &[], b"").unwrap();
    assert_eq!(reload.status, 500);
    assert!(reload.body.contains("rules.yml:5"), "{}", reload.body);
    let config = folder.path().join("infrawatch.toml");
    let check = Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(["config", "check"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(!check.status.success() && said.contains("rules.yml:5: A: parse error"), "{said}");
    std::fs::write(folder.path().join("rules.yml"), RULES.replace("LoadHigh", "Other")).unwrap();
    eventually("the new file is in force", SECONDS, || names().0.contains(&"Other".to_owned()).then_some(()));
    // One more is kept over HTTP.
    let put =
        |text: &str| super::support::http::request("PUT", &server.url("/api/v1/rules"), &[], text.as_bytes()).unwrap();
    let refused = put("groups:\n- name: x\n  rules:\n  - expr: 1\n");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("rules:4: a rule has one of record and alert"), "{}", refused.body);
    let kept = put(r#"{"groups": [{"name": "own", "rules": [{"record": "one", "expr": "1"}]}]}"#);
    assert_eq!((kept.status, kept.body.as_str()), (200, r#"{"groups":1,"rules":1}"#));
    eventually("it is in force", SECONDS, || names().0.contains(&"one".to_owned()).then_some(()));
    let query = || get_json(&server.url("/api/v1/query"), &[("query", "one")])["data"]["result"].clone();
    eventually("it is evaluated", SECONDS, || (query()[0]["value"][1] == "1").then_some(()));
    assert_eq!(put("").status, 200);
    eventually("it is gone", SECONDS, || (!names().0.contains(&"one".to_owned())).then_some(()));
}

/// Posts an anomaly of a metric of web1 that began so many seconds ago and goes on.
fn of_web1(server: &Server, metric: &str, seconds_ago: f64, service: &str) {
    let body = json!({
        "metric_name": metric, "labels": {"host": "web1", "service": service}, "timestamp": (now_s() - seconds_ago).floor(),
        "end": now_s().floor(), "severity": "high", "value": 97, "state": "open", "summary": format!("{metric} is high"),
    });
    assert_eq!(post(&server.url("/api/v1/anomalies"), &[], body.to_string().as_bytes()).unwrap().status, 201);
}

#[test]
fn a_cascade_is_one_incident_with_memory_as_its_cause() {
    let folder = TempDir::new().unwrap();
    let sink = Sink::start(&[]);
    let routing = webhooks(&[sink.url()], "").replace("group_wait = \"0\"", "group_wait = \"3s\"");
    let server = server(&folder, &routing);
    for (metric, ago) in [("memory_used", 240.0), ("cpu_percent", 150.0), ("latency_p99", 90.0), ("error_rate", 30.0)] {
        of_web1(&server, metric, ago, "shop");
    }
    let told =
        eventually("all are told at once", SECONDS, || sink.sent().into_iter().find(|sent| sent.body["total"] == 4));
    assert_eq!(sink.sent().len(), 1, "one notification");
    assert!(told.body["cause"].as_str().unwrap().starts_with("the cause: memory_used is high"), "{}", told.body);
    let incidents = |server: &Server| get_json(&server.url("/api/v1/incidents"), &[("state", "open")])["items"].clone();
    let open = incidents(&server);
    let [incident] = &open.as_array().unwrap()[..] else { panic!("one incident: {open}") };
    assert_eq!((&incident["alert_count"], &incident["primary_service"]), (&json!(4), &json!("shop")));
    assert_eq!((&incident["cause"]["metric_name"], &incident["cause"]["sure"]), (&json!("memory_used"), &json!(true)));
    assert_eq!(incident["alerts"].as_array().unwrap().len(), 4);
    let id = incident["id"].as_str().unwrap();
    assert!(alerts(&server, "active", 4).iter().all(|alert| alert["incident_id"] == id));
    let shown = infrawatch(&["incident", "show", id, "--server", &server.url("")]);
    assert_eq!(shown.len(), 4);
    assert!(shown[1]["part_why"].as_str().unwrap().contains("both of service shop"), "{shown:?}");
    // The topology is changed while the server runs, holds for what comes, and outlives a crash.
    let put =
        super::support::http::request("PUT", &server.url("/api/v1/topology"), &[], br#"{"web": ["shop"]}"#).unwrap();
    assert_eq!(put.status, 200, "{}", put.body);
    let server = server.kill().restart();
    assert_eq!(get_json(&server.url("/api/v1/topology"), &[]), json!({"web": ["shop"]}));
    assert_eq!(incidents(&server)[0]["id"], id);
    let body = json!({"metric_name": "timeouts", "labels": {"host": "web9", "service": "web"}, "severity": "high", "state": "open"});
    assert_eq!(post(&server.url("/api/v1/anomalies"), &[], body.to_string().as_bytes()).unwrap().status, 201);
    let of = || incidents(&server)[0].clone();
    let grown = eventually("it grows", SECONDS, || Some(of()).filter(|incident| incident["alert_count"] == 5));
    let why = grown["evidence"][4]["why"].as_str().unwrap();
    assert!(why.contains("web depends on shop"), "{grown}");
    assert_accounted(&server);
}

#[test]
fn allowed_programs_are_run_others_refused_and_https_receivers_reached() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (script, got, cert, key) = (path("fix.sh"), path("got.json"), path("cert.pem"), path("key.pem"));
    std::fs::write(&script, "#!/bin/sh\nenv > \"$1.env\"\ncat > \"$1.part\" && mv \"$1.part\" \"$1\"\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1"])
        // One that may sign others is taken for none that speaks for a server.
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let settings = [("INFRAWATCH_HTTP_TLS_CERT_FILE", text(&cert)), ("INFRAWATCH_HTTP_TLS_KEY_FILE", text(&key))];
    let peer = Server::start_with_settings(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    let secure = peer.url("/nowhere").replace("http://", "https://");
    let routing = format!(
        "[route]\nreceiver = \"fix\"\ngroup_wait = \"0\"\n[[routes]]\nreceiver = \"secure\"\ngroup_wait = \"0\"\ncontinue = true\n\
         [[receivers]]\nname = \"fix\"\nexec = {script:?}\narguments = [{got:?}]\n\
         [[receivers]]\nname = \"secure\"\nwebhook = {secure:?}\nca_file = {cert:?}\n"
    );
    let file = path("routing.toml");
    std::fs::write(&file, routing).unwrap();
    let run = |allowed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
        command.args(["serve", "--http-listen", "127.0.0.1:0", "--statsd-listen", "off", "--data-dir"]);
        command
            .arg(path("data"))
            .env("INFRAWATCH_ALERTS_ROUTING_FILE", &file)
            .env("INFRAWATCH_ALERTS_EXEC_ALLOW", allowed);
        command.output().unwrap()
    };
    let refused = run("");
    let said_text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said_text.contains("is not in alerts.exec_allow"), "{said_text}");
    let config = path("infrawatch.toml");
    let lines = format!(
        "[alerts]\nrouting_file = {file:?}\nexec_allow = {script:?}\nexternal_url = \"http://iw.example.org/\"\n"
    );
    std::fs::write(&config, lines).unwrap();
    let server = Server::start_with(&["--statsd-listen", "off", "--config", config.to_str().unwrap()]);
    let posted = anomaly(&server, "a", now_s(), "critical", "open");
    let body = eventually("the program was run", SECONDS, || std::fs::read_to_string(&got).ok());
    let body: Value = serde_json::from_str(&body).unwrap();
    let print = body["alerts"][0]["fingerprint"].as_str().unwrap();
    let url = format!("http://iw.example.org/api/v1/alerts/{print}/acknowledge");
    assert_eq!(body["acknowledge_urls"][print], url.as_str());
    let environment = std::fs::read_to_string(path("got.json.env")).unwrap();
    assert!(!environment.contains("HOME="), "{environment}");
    eventually("the other server answered by https", SECONDS, || {
        let health: Value = serde_json::from_str(&get(&server.url("/health"), &[]).unwrap().body).unwrap();
        health["components"]["alerts"]["detail"].as_str()?.contains("status 404").then_some(())
    });
    // What is said with the acknowledgement is said of the anomaly.
    let taken =
        said(&server, &format!("/api/v1/alerts/{print}/acknowledge"), &json!({"by": "ann", "verdict": "true_alarm"}));
    assert_eq!(taken["state"], "acknowledged");
    let known = get_json(&server.url(&format!("/api/v1/anomalies/{}", posted["id"].as_str().unwrap())), &[]);
    assert_eq!((&known["feedback"]["verdict"], &known["feedback"]["by"]), (&json!("true_alarm"), &json!("ann")));
    assert_accounted(&server);
}
