//! A spike in what is pushed becomes one anomaly on record, soon, in every place where it is to be seen, and stays there.
//!
//! Not here: what is unusual (see `src/analysis`), anomalies from outside (see `tests/rest_anomalies.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::eventually;
use support::http::{get, get_json, post};
use support::server::Server;

const START_S: i64 = 1_700_000_000;
const STEP_S: i64 = 10;
/// Samples before the spike.
const HISTORY: i64 = 2000;
/// Far above what it takes, so that a loaded machine does not fail the test.
const SOON_SECONDS: u64 = 20;

/// Noise around 50, the same in every run, with one spike.
fn value(i: i64) -> f64 {
    let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    if i == HISTORY { 500.0 } else { 50.0 + (mixed >> 11) as f64 / (1u64 << 53) as f64 }
}

/// Sends samples of the series that will have a spike, and of one that never has.
fn push(server: &Server, range: std::ops::Range<i64>) {
    let item = |host: &str, i: i64| {
        let value = if host == "calm" { value(i + HISTORY + 1) } else { value(i) };
        json!({"name": "load", "labels": {"host": host}, "timestamp": START_S + i * STEP_S, "value": value})
    };
    let items: Vec<Value> = range.flat_map(|i| [item("odd", i), item("calm", i)]).collect();
    let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// The one anomaly of the metric, once it is in this state.
fn anomaly(server: &Server, state: &str) -> Value {
    let url = server.url("/api/v1/anomalies");
    eventually(&format!("the anomaly is {state}"), SOON_SECONDS, || {
        let list = get_json(&url, &[("metric_name", "load"), ("state", state)]);
        let total = list["total"].as_u64().unwrap();
        assert!(total <= 1, "one run, one anomaly: {list}");
        (total == 1).then(|| list["items"][0].clone())
    })
}

/// The lines of a metric on `/metrics`.
fn scraped(server: &Server, name: &str) -> Vec<String> {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).map(str::to_owned).collect()
}

#[test]
fn a_spike_is_one_anomaly_everywhere_and_a_restart_keeps_it() {
    let server = Server::start();
    push(&server, 0..HISTORY);
    push(&server, HISTORY..HISTORY + 1);
    let open = anomaly(&server, "open");
    assert_eq!((&open["labels"], &open["value"], &open["end"]), (&json!({"host": "odd"}), &json!(500.0), &Value::Null));
    assert_eq!((&open["source"], &open["direction"]), (&json!("infrawatch"), &json!("above")));
    assert!(
        open["anomaly_score"].as_f64().unwrap() >= 0.6 && open["upper"].as_f64().is_some_and(|upper| upper < 500.0),
        "{open}"
    );
    assert!(!open["agreeing_detectors"].as_array().unwrap().is_empty(), "{open}");
    let scores = scraped(&server, "anomaly_score");
    let ensemble = scores.iter().find(|line| line.contains("detector_type=\"ensemble\"")).unwrap();
    assert!(ensemble.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() >= 0.59, "{ensemble}");

    assert_eq!(scraped(&server, "anomaly_detection_latency_seconds").len(), 8, "seven detectors and all together");
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    for histogram in ["infrawatch_detection_latency_seconds", "infrawatch_inference_seconds", "infrawatch_score"] {
        assert!(page.contains(&format!("# TYPE {histogram} histogram")), "{histogram}");
    }
    let scored =
        |line: &&str| line.starts_with("infrawatch_score_count ") || line.starts_with("infrawatch_calibration_drift ");
    assert_eq!(page.lines().filter(scored).count(), 2);
    assert!(server.figure("infrawatch_score_count") >= 2.0, "two series had samples");
    // The two series may be of two shards, of which one tells of its anomaly before the other has judged.
    let judged = "infrawatch_inference_seconds_count{model=\"ensemble\"}";
    let is_judged = || (server.figure(judged) >= (2 * HISTORY) as f64).then_some(());
    eventually("every sample was judged", SOON_SECONDS, is_judged);

    push(&server, HISTORY + 1..HISTORY + 60);
    let closed = anomaly(&server, "closed");
    assert_eq!((&closed["id"], &closed["timestamp"]), (&open["id"], &open["timestamp"]));
    let id = closed["id"].as_str().unwrap();
    let one = server.url(&format!("/api/v1/anomalies/{id}"));
    assert_eq!(get_json(&one, &[]), closed);
    let stats = get_json(&server.url("/api/v1/anomalies/stats"), &[]);
    assert_eq!((&stats["total"], &stats["by_metric"]), (&json!(1), &json!([{"metric_name": "load", "count": 1}])));
    let metric = get_json(&server.url("/api/v1/metrics/load"), &[]);
    let anomalies: Vec<_> = metric["series"].as_array().unwrap().iter().map(|one| &one["anomalies"]).collect();
    assert_eq!(anomalies, [&json!([]), &json!([closed])], "host calm has none");
    let listed = get_json(&server.url("/api/v1/metrics"), &[("match", "{host=\"odd\"}")]);
    assert_eq!((&listed["items"][0]["kind"], &listed["items"][0]["samples"]), (&json!("gauge"), &json!(HISTORY + 60)));
    assert_eq!(get_json(&server.url("/health"), &[])["models_loaded"], 2);
    let counts = scraped(&server, "anomaly_detected_total");
    let severity = closed["severity"].as_str().unwrap();
    let ensemble =
        format!("anomaly_detected_total{{metric_name=\"load\",detector_type=\"ensemble\",severity=\"{severity}\"}} 1");
    assert!(counts.contains(&ensemble), "{counts:?}");

    let server = server.stop().restart();
    assert_eq!(
        (anomaly(&server, "closed"), scraped(&server, "anomaly_detected_total")),
        (closed.clone(), counts.clone())
    );
    let server = server.kill().restart();
    assert_eq!((anomaly(&server, "closed"), scraped(&server, "anomaly_detected_total")), (closed, counts));
    server.stop();
}

#[test]
fn an_anomaly_that_goes_on_at_a_crash_goes_on_after_it_and_ends_once() {
    let server = Server::start();
    push(&server, 0..HISTORY);
    push(&server, HISTORY..HISTORY + 1);
    let before = anomaly(&server, "open");
    let server = server.kill().restart();
    assert_eq!(anomaly(&server, "open")["id"], before["id"]);
    push(&server, HISTORY + 1..HISTORY + 60);
    assert_eq!(anomaly(&server, "closed")["id"], before["id"]);
    assert_eq!(get_json(&server.url("/api/v1/anomalies"), &[])["total"], 1);
    server.stop();
}

/// Five-minute samples of a metric from a Monday on, sent a few hundred at a time.
fn push_days(server: &Server, name: &str, values: &[f64]) {
    const MONDAY_S: i64 = 1_699_833_600;
    let item = |(i, value): (i64, &f64)| json!({"name": name, "timestamp": MONDAY_S + i * 300, "value": value});
    let items: Vec<Value> = (0..).zip(values).map(item).collect();
    for items in items.chunks(500) {
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[test]
fn a_creep_a_line_and_a_zero_are_told_by_their_kinds_and_a_value_is_judged_by_its_hour() {
    let server = Server::start();
    let noise = |i: usize| value(i as i64 + HISTORY + 1) - 50.5;
    let day = 288;
    let creep: Vec<f64> = (0..8 * day).map(|i| 60.0 + i as f64 * 15.0 / (7 * day) as f64 + 4.0 * noise(i)).collect();
    let stuck: Vec<f64> =
        (0..8 * day).map(|i| if (1500..1600).contains(&i) { 50.0 } else { 50.0 + noise(i) }).collect();
    let rate: Vec<f64> = (0..8 * day).map(|i| if i == 1700 { 0.0 } else { 100.0 + 60.0 * noise(i) }).collect();
    for (name, values) in [("creep", &creep), ("stuck", &stuck), ("rate", &rate)] {
        push_days(&server, name, values);
    }
    let of = |name: &str, kind: &str| {
        eventually(&format!("{name} is {kind}"), SOON_SECONDS, || {
            let list = get_json(&server.url("/api/v1/anomalies"), &[("metric_name", name), ("limit", "100")]);
            list["items"].as_array().unwrap().iter().find(|one| one["kind"] == kind).cloned()
        })
    };
    let drift = of("creep", "drift");
    assert!(drift["summary"].as_str().unwrap().starts_with("creep has risen for "), "{drift}");
    assert_eq!((&drift["direction"], &drift["agreeing_detectors"]), (&json!("above"), &json!(["drift"])));
    let flat = of("stuck", "flat");
    assert_eq!((&flat["value"], &flat["state"]), (&json!(50.0), &json!("closed")), "{flat}");
    let zero = eventually("the zero is told", SOON_SECONDS, || {
        let list = get_json(&server.url("/api/v1/anomalies"), &[("metric_name", "rate"), ("limit", "100")]);
        list["items"].as_array().unwrap().iter().find(|one| one["value"] == 0.0).cloned()
    });
    assert!(zero["agreeing_detectors"].as_array().unwrap().contains(&json!("drop_to_zero")), "{zero}");
    let shares = zero["votes"].as_object().unwrap().values().map(|vote| vote["contribution"].as_f64().unwrap());
    assert!((shares.sum::<f64>() - zero["anomaly_score"].as_f64().unwrap()).abs() < 1e-9, "{zero}");

    let cells = get_json(&server.url("/api/v1/metrics/rate/baseline"), &[("timezone", "Europe/Berlin")]);
    let cells = &cells["series"][0];
    assert_eq!((cells["cells"].as_array().unwrap().len(), &cells["timezone"]), (168, &json!("Europe/Berlin")));
    let url = server.url("/api/v1/metrics/rate/evaluate");
    let judged = get_json(&url, &[("value", "900"), ("sigma", "2.5")]);
    let judged = judged["series"][0].as_object().unwrap();
    let keys: Vec<&str> = judged.keys().map(String::as_str).collect();
    let wanted = [
        "deviation_pct",
        "expected_value",
        "is_anomaly",
        "labels",
        "lower_threshold",
        "method",
        "timestamp",
        "upper_threshold",
        "value",
    ];
    assert_eq!((keys, &judged["is_anomaly"]), (wanted.to_vec(), &json!(true)));
    for (wrong, field) in [("value=x", "value"), ("value=1&sigma=0", "sigma"), ("value=1&timezone=Mars", "timezone")] {
        let answer = get(&format!("{url}?{wrong}"), &[]).unwrap();
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains(&format!("\"field\":\"{field}\"")), "{}", answer.body);
    }
    server.stop();
}

/// Sends rows of three metrics of these hosts: as chance has it, or by so many of their deviations away, all alike.
fn push_groups(server: &Server, hosts: [&str; 2], range: std::ops::Range<i64>, by: &dyn Fn(&str, i64) -> Option<f64>) {
    let item = |host: &str, at: usize, i: i64| {
        let of_host = if host == hosts[1] { 40_000 } else { 0 };
        // Summed, so that extremes are as rare as in nature.
        let chance =
            || (0..12).map(|k| value(of_host + (i * 3 + at as i64) * 12 + k + HISTORY + 1) - 50.5).sum::<f64>();
        let name = ["cpu", "memory", "latency"][at];
        let value = 50.0 + [3.0, 1.0, 20.0][at] * by(host, i).unwrap_or_else(chance);
        json!({"name": name, "labels": {"host": host}, "timestamp": START_S + i * 60, "value": value})
    };
    let items: Vec<Value> =
        range.flat_map(|i| hosts.map(|host| [0, 1, 2].map(|at| item(host, at, i)))).flatten().collect();
    for items in items.chunks(3000) {
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// A server that judges these metrics of each host together.
fn with_groups() -> Server {
    let settings = [("INFRAWATCH_GROUPS_BY", "host"), ("INFRAWATCH_GROUPS_METRICS", "cpu,memory,latency")];
    Server::start_with_settings(&settings)
}

fn seen_by_groups(server: &Server, rows: i64) {
    eventually("both groups have seen what is stored", 60, || {
        (server.figure("infrawatch_group_rows_total") >= 2.0 * rows as f64).then_some(())
    });
}

/// Anomalies of groups of a host.
fn of_group(server: &Server, host: &str) -> Vec<Value> {
    let matchers = format!("{{host={host:?}}}");
    let asked = [("metric_name", "cpu+memory+latency"), ("limit", "100"), ("match", &matchers)];
    get_json(&server.url("/api/v1/anomalies"), &asked)["items"].as_array().unwrap().clone()
}

/// ENS-012, CTX-005: a group that a setting names is judged together while its samples are stored.
#[test]
fn a_host_whose_metrics_are_odd_together_is_told_as_one_anomaly() {
    let server = with_groups();
    let push = |range| {
        push_groups(&server, ["odd", "calm"], range, &|host, i| (host == "odd" && i == 2900).then_some(14.0));
    };
    push(0..2880);
    seen_by_groups(&server, 2870);
    push(2880..2960);
    let told = eventually("the group is told", 60, || {
        of_group(&server, "odd").into_iter().chain(of_group(&server, "calm")).find(|one| one["state"] == "closed")
    });
    assert_eq!((&told["labels"], &told["kind"]), (&json!({"host": "odd"}), &json!("collective")));
    assert_eq!(told["agreeing_detectors"], json!(["mahalanobis", "isolation_forest"]), "{told}");
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.starts_with("cpu, memory, latency are unusual together: "), "{summary}");
    assert_eq!(server.figure("infrawatch_groups"), 2.0);
    assert!(server.figure("infrawatch_inference_seconds_count{model=\"isolation_forest\"}") >= 5700.0);
    server.stop();
}

/// CTX-003: what the series of a group do in maintenance is judged and becomes no new normal, so that the end of it is no
/// anomaly; another group, for which nothing was planned, takes it for one.
#[test]
fn what_a_group_does_in_maintenance_teaches_it_nothing() {
    let server = with_groups();
    let (from, to) = (2880, 3280);
    let time = |row: i64| jiff::Timestamp::from_second(START_S + row * 60).unwrap().to_string();
    let window = json!({"matchers": "{host=\"planned\"}", "start": time(from), "end": time(to)});
    let answer = post(&server.url("/api/v1/maintenance"), &[], window.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    // Longer than it takes for another level to be the new normal.
    let shifted = |_: &str, i: i64| {
        let wobble = value(i + HISTORY + 1) - 50.5;
        (from..to).contains(&i).then_some(30.0 + wobble)
    };
    push_groups(&server, ["planned", "plain"], 0..from, &shifted);
    seen_by_groups(&server, from - 10);
    push_groups(&server, ["planned", "plain"], from..to + 120, &shifted);
    seen_by_groups(&server, to + 110);
    let began = |host: &str| -> Vec<i64> {
        let told = of_group(&server, host);
        let row = |one: &Value| one["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        told.iter().map(|one| (row(one) - START_S) / 60).collect()
    };
    eventually("both have told the beginning", 60, || {
        ["planned", "plain"].iter().all(|host| began(host).contains(&from)).then_some(())
    });
    eventually("the one that learned tells the end", 60, || {
        began("plain").iter().any(|row| (to..to + 5).contains(row)).then_some(())
    });
    assert!(!began("planned").iter().any(|row| *row > from), "{:?}", began("planned"));
    let all = of_group(&server, "planned");
    assert!(all.iter().all(|one| one["state"] == "closed" && one["suppressed"] == true), "{all:?}");
    server.stop();
}

/// CTX-003, CTX-004: what comes while a window of maintenance goes on is judged, marked and not learned, whether the window
/// is of one time or recurs; when it is over the models go on from where they were.
#[test]
fn what_happens_in_maintenance_is_marked_and_teaches_nothing() {
    let server = Server::start();
    push(&server, 0..HISTORY - 1);
    let windows = server.url("/api/v1/maintenance");
    let rfc3339 = |sample: i64| {
        let time = jiff::Timestamp::from_second(START_S + sample * STEP_S).unwrap();
        time.to_string()
    };
    let plan = |window: Value| {
        let answer = post(&windows, &[], window.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    let (from, to) = (HISTORY, HISTORY + 300);
    plan(json!({"matchers": "{host=\"odd\"}", "start": rfc3339(from), "end": rfc3339(to), "reason": "new disks"}));
    // From 23:00 to 23:30 of each day, of which the samples have one.
    let again = "FREQ=DAILY;UNTIL=20231130T000000Z";
    plan(
        json!({"matchers": "{host=\"daily\"}", "start": "2023-11-13T23:00:00Z", "duration": "30m", "recurrence": again}),
    );

    let send = |host: &str, range: std::ops::Range<i64>, value: &dyn Fn(i64) -> f64| {
        let item = |i: i64| json!({"name": "load", "labels": {"host": host}, "timestamp": START_S + i * STEP_S, "value": value(i)});
        let items: Vec<Value> = range.map(item).collect();
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let usual = |i: i64| value(i + 7 * HISTORY + 1);
    let scored = |samples: f64| {
        eventually("all samples are judged", SOON_SECONDS, || {
            (server.figure("infrawatch_scored_total") >= samples).then_some(())
        });
    };
    // Long enough for another level to be taken for the new normal, if it were learned.
    send("odd", HISTORY - 1..from, &usual);
    send("odd", from..to, &|i| usual(i) + 450.0);
    send("odd", to..to + 30, &usual);
    scored((2 * HISTORY + 329) as f64);
    let closed = anomaly(&server, "closed");
    assert_eq!(
        (&closed["suppressed"], &closed["end"]),
        (&json!(true), &json!(format!("{}.000Z", &rfc3339(to - 1)[..19])))
    );
    assert_eq!(server.figure("infrawatch_training_excluded_total"), 300.0);
    assert_eq!(server.figure("infrawatch_recalibrations_total"), 1.0);
    send("odd", to + 30..to + 31, &|_| 500.0);
    let open = anomaly(&server, "open");
    assert!((open["expected_value"].as_f64().unwrap() - 50.5).abs() < 1.0, "the level of before: {open}");

    let url = server.url("/api/v1/metrics/load");
    let shown =
        get_json(&url, &[("match", "{host=\"odd\"}"), ("start", &rfc3339(from - 5)), ("end", &rfc3339(to + 4))]);
    let marks: Vec<bool> =
        shown["series"][0]["points"].as_array().unwrap().iter().map(|p| p["maintenance"] == true).collect();
    assert_eq!(marks, [vec![false; 5], vec![true; 300], vec![false; 5]].concat());

    send("daily", 0..720, &usual);
    scored((2 * HISTORY + 330 + 720) as f64);
    assert_eq!(server.figure("infrawatch_training_excluded_total"), 480.0);

    let events = |server: &Server| get_json(&server.url("/api/v1/events"), &[("kind", "model")]);
    assert_eq!(events(&server)["total"], 0, "windows that were over when they were planned");
    plan(json!({"matchers": "{host=\"calm\"}", "duration": "1s", "reason": "reboot"}));
    let told = eventually("the end of the window is told", SOON_SECONDS, || {
        let list = events(&server);
        (list["total"] == 1).then(|| list["items"][0].clone())
    });
    assert_eq!(told["title"], "recalibration: maintenance of {host=\"calm\"} (reboot) is over");
    assert_eq!(told["labels"]["host"], "calm");
    let server = server.stop().restart();
    assert_eq!(events(&server)["total"], 1, "none is told twice");
    server.stop();
}

/// CAL-014, CAL-016, CAL-007: three false alarms raise the limit, so that the like is not told again and what is greater is;
/// what people said is a gauge for every model, and summed up in the rhythm of the settings.
#[test]
fn what_people_call_false_alarms_is_told_less_and_counted() {
    let server = Server::start_with_settings(&[("INFRAWATCH_CALIBRATION_EVERY", "1s")]);
    let usual = |i: i64| value(i + HISTORY + 1);
    let send = |range: std::ops::Range<i64>, spike: f64| {
        let item = |i: i64| {
            let value = if i == range.start { usual(i) + spike } else { usual(i) };
            json!({"name": "load", "labels": {"host": "a"}, "timestamp": START_S + i * STEP_S, "value": value})
        };
        let items: Vec<Value> = range.clone().map(item).collect();
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let told = |count: u64| {
        eventually(&format!("{count} anomalies are told"), SOON_SECONDS, || {
            let list = get_json(&server.url("/api/v1/anomalies"), &[("state", "closed"), ("limit", "100")]);
            (list["total"] == count).then_some(list)
        })
    };
    send(0..HISTORY, 0.0);
    for (at, spike) in [100.0, 110.0, 120.0].into_iter().enumerate() {
        let from = HISTORY + 700 * at as i64;
        send(from..from + 700, spike);
        let newest = told(at as u64 + 1)["items"][0]["id"].as_str().unwrap().to_owned();
        let url = server.url(&format!("/api/v1/anomalies/{newest}/feedback"));
        assert_eq!(post(&url, &[], br#"{"verdict": "false_alarm"}"#).unwrap().status, 200);
    }
    let page = eventually("what was said is on the page", SOON_SECONDS, || {
        let page = get(&server.url("/metrics"), &[]).unwrap().body;
        page.contains("infrawatch_feedback_anomalies{metric_name=\"load\",verdict=\"false_alarm\"} 3").then_some(page)
    });
    assert!(page.contains("infrawatch_feedback_precision{metric_name=\"load\"} 0\n"), "{page}");
    assert!(page.contains("infrawatch_model_precision{model=\"ensemble\"} 0\n"), "{page}");
    assert!(page.contains("infrawatch_model_precision{model=\"robust\"} 0\n"), "{page}");
    eventually("it is summed up", SOON_SECONDS, || {
        let list = get_json(&server.url("/api/v1/events"), &[("kind", "model"), ("search", "judged by people, 0 %")]);
        (list["total"].as_u64() > Some(0)).then_some(())
    });
    let tolerated = &get_json(&server.url("/api/v1/metrics/load"), &[])["series"][0]["tolerated"];
    let above = tolerated["above"].as_f64().unwrap();
    assert!((100.0..200.0).contains(&above) && tolerated["below"].is_null(), "{tolerated}");
    send(HISTORY + 2100..HISTORY + 2800, 105.0);
    send(HISTORY + 2800..HISTORY + 3500, 400.0);
    let list = told(4);
    let greatest = list["items"].as_array().unwrap().iter().map(|one| one["value"].as_f64().unwrap());
    assert!(greatest.fold(0.0, f64::max) > 400.0, "the one that goes beyond is the fourth: {list}");
    assert_eq!(server.figure("infrawatch_anomalies_tolerated_total"), 1.0);
    server.stop();
}

/// CTX-002, CAL-015: who moves together is listed, and what other settings would have told is known before they are set.
#[test]
fn pairs_are_listed_and_settings_are_tried_on_what_is_stored() {
    let server = Server::start();
    let series = [("load", "a", 0), ("queue", "a", 0), ("other", "a", 50_000), ("load", "b", 0)];
    for (name, host, from) in series {
        let scale = if name == "queue" { -3.0 } else { 1.0 };
        let item = |i: i64| {
            let at = value(from + i);
            json!({"name": name, "labels": {"host": host}, "timestamp": START_S + i * STEP_S, "value": scale * at})
        };
        let items: Vec<Value> = (0..HISTORY + 100).map(item).collect();
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let found = get_json(&server.url("/api/v1/metrics/load/correlated"), &[("match", "{host=\"a\"}")]);
    let one = &found["series"][0];
    assert_eq!((&one["by"], &one["compared"]), (&json!("host"), &json!(2)), "{found}");
    let names: Vec<_> = one["pairs"].as_array().unwrap().iter().map(|pair| pair["name"].as_str().unwrap()).collect();
    assert_eq!((names, &one["pairs"][0]["lag_s"]), (vec!["queue"], &json!(0.0)));
    assert!(one["pairs"][0]["r"].as_f64().unwrap() < -0.99, "{found}");
    let all = get_json(&server.url("/api/v1/metrics/load/correlated"), &[("min", "0"), ("by", "host")]);
    assert_eq!(all["series"][0]["pairs"].as_array().unwrap().len(), 2);
    assert_eq!(get(&server.url("/api/v1/metrics/load/correlated?min=2"), &[]).unwrap().status, 400);

    // Windows of a minute want fifteen samples.
    let item = |i: i64| json!({"name": "fine", "timestamp": START_S + i, "value": value(i / 2)});
    for from in (0..12_000).step_by(3000) {
        let items: Vec<Value> = (from..from + 3000).map(item).collect();
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let asked = json!({"std_multiplier": [1, 30], "anomalies_per_series_month": [50]});
    let url = server.url("/api/v1/metrics/fine/preview");
    let tried = post(&url, &[], asked.to_string().as_bytes()).unwrap();
    assert_eq!(tried.status, 200, "{}", tried.body);
    let tried: Value = serde_json::from_str(&tried.body).unwrap();
    let alerts = |list: &str| -> Vec<(f64, bool)> {
        let one = |row: &Value| (row["alerts"].as_f64().unwrap(), row["is_current"].as_bool().unwrap());
        tried[list].as_array().unwrap().iter().map(one).collect()
    };
    let (windows, budgets) = (alerts("windows"), alerts("budgets"));
    assert!(windows[0].1 && windows[1].0 >= windows[0].0 && windows[0].0 >= windows[2].0, "{tried}");
    assert!(windows[1].0 > windows[2].0 && budgets[0].1 && budgets[1].0 >= budgets[0].0, "{tried}");
    assert!(budgets[0].0 >= 1.0, "the spike: {tried}");
    let told = || get_json(&server.url("/api/v1/anomalies"), &[("metric_name", "load")])["total"].as_u64();
    eventually("nothing was saved but what live scoring tells", SOON_SECONDS, || (told() == Some(2)).then_some(()));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let arguments = ["calibrate", "--preview", "fine", "--std-multiplier", "1,30", "--json", "--server"];
    let output = command.args(arguments).arg(server.url("")).env_clear().output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), said["windows"].as_array().map(Vec::len)), (Some(0), Some(3)), "{said}");
    let wrong = post(&url, &[], br#"{"std_multiplier": ["x"]}"#).unwrap();
    assert!(wrong.status == 400 && wrong.body.contains("\"field\":\"std_multiplier\""), "{}", wrong.body);
    server.stop();
}
