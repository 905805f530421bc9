//! The document of the API is true: its examples work, and whatever is asked, answers have the status, type and shape
//! that stand in it.
//!
//! The second is a property-based test of our own, seeded, beside that of schemathesis (below), which it outruns.

use super::ask;
use super::support::eventually;
use super::support::http::{Answer, get, get_json, post, request};
use super::support::server::Server;
use serde_json::{Value, json};
use std::fmt::Write;

/// Requests of each operation.
const ROUNDS: usize = 40;
/// Bodies that are no JSON, and an answer that does not end: their own tests send them.
const OTHER: [&str; 3] = ["/api/v1/write", "/api/v1/push", "/api/v1/stream"];

/// Ids of what a server holds, by the part of a path that they stand behind.
type Ids = Vec<(&'static str, String)>;

/// A server with a report, some metrics, an anomaly and its alert, a silence, a maintenance window, and a model.
fn filled() -> (Server, Ids) {
    let server = Server::start();
    let state = server.data_dir().join("reports/capacity_state.json");
    eventually("the schedule is kept", 30, || state.exists().then_some(()));
    let stopped = server.stop();
    stopped.miss_reports();
    let server = stopped.restart();
    let made = || server.figure("infrawatch_capacity_reports_made_total") > 0.0;
    eventually("the report that was missed is made", 30, || made().then_some(()));
    let now_ms = super::now_ms(&server);
    let sample = |i: i64| {
        let value = 40 + i * 7919 % 13 + if i == 550 { 400 } else { 0 };
        json!({"name": "cpu_percent", "labels": {"host": "a"}, "timestamp": now_ms - (600 - i) * 60_000, "value": value})
    };
    let samples = Value::from((0..600).map(sample).collect::<Vec<_>>());
    assert_eq!(ask(&server, "/api/v1/metrics", &samples).status, 200);
    let anomaly = super::body_of(&ask(&server, "/api/v1/anomalies", &json!({"metric_name": "cpu_percent"})), 201);
    let train = json!({"promql": "cpu_percent", "model_name": "cpu"});
    super::body_of(&ask(&server, "/api/v1/train", &train), 200);
    let alert = eventually("the anomaly has an alert", 30, || {
        let list = get_json(&server.url("/api/v1/alerts"), &[("state", "suppressed,resolved")]);
        Some(list["items"][0]["fingerprint"].as_str()?.to_owned())
    });
    for metric in ["queue_length", "latency_p99"] {
        let labels = json!({"host": "web1", "service": "shop"});
        let open = json!({"metric_name": metric, "labels": labels, "severity": "high", "state": "open"});
        super::body_of(&ask(&server, "/api/v1/anomalies", &open), 201);
    }
    let incident = eventually("two anomalies of a service are an incident", 30, || {
        let list = get_json(&server.url("/api/v1/incidents"), &[("state", "all")]);
        Some(list["items"][0]["id"].as_str()?.to_owned())
    });
    let quiet = json!({"metric": "none", "duration": "1h"});
    let made = |path| super::body_of(&ask(&server, path, &quiet), 201)["id"].as_str().unwrap().to_owned();
    let (silence, window) = (made("/api/v1/silence"), made("/api/v1/maintenance"));
    let anomaly = anomaly["id"].as_str().unwrap().to_owned();
    let ids = [
        ("/anomalies/", anomaly),
        ("/alerts/", alert),
        ("/incidents/", incident),
        ("/silences/", silence),
        ("/maintenance/", window),
    ];
    (server, ids.into())
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte))
        } else {
            write!(out, "%{byte:02X}").unwrap()
        }
        out
    })
}

/// What stands for a parameter of a path.
fn in_path(path: &str, ids: &Ids) -> String {
    if let Some((_, id)) = ids.iter().find(|(part, _)| path.contains(part)) {
        return id.clone();
    }
    match path {
        _ if path.contains("/reports/") => "latest".to_owned(),
        _ if path.contains("/models/") => "cpu".to_owned(),
        _ if path.contains("/devices/") => "core-1".to_owned(),
        _ if path.contains("/label/") => "host".to_owned(),
        _ => "cpu_percent".to_owned(),
    }
}

fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, all)| all.as_object().unwrap().iter().map(move |(m, one)| (path, m, one))).collect()
}

fn send(server: &Server, method: &str, path: &str, query: &[(String, String)], body: &[u8]) -> Answer {
    let query: Vec<_> = query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let url = server.url(&format!("{path}?{}", query.join("&")));
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
    request(&method.to_uppercase(), &url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// Fails unless the answer is one of those that stand in the document.
fn hold(document: &Value, one: &Value, answer: &Answer, asked: &str) {
    let responses = &one["responses"];
    let told = &responses[answer.status.to_string()];
    assert!(told.is_object(), "{asked}: status {} stands nowhere: {}", answer.status, answer.body);
    assert!(answer.status != 500, "{asked}: {}", answer.body);
    let Some(content) = told["content"].as_object() else {
        return assert_eq!(answer.body, "", "{asked}: a body where none is told of");
    };
    let kind = answer.header("content-type").unwrap_or_else(|| panic!("{asked}: no content type"));
    let base = |kind: &str| kind.split(';').next().unwrap_or("").to_owned();
    let (_, told) = content.iter().find(|(told, _)| base(told) == base(kind)).unwrap_or_else(|| {
        panic!("{asked}: {kind} where {:?} is told of: {}", content.keys().collect::<Vec<_>>(), answer.body)
    });
    if base(kind) == "application/json" {
        let body =
            serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{asked}: {error}: {}", answer.body));
        if let Err(what) = shaped(document, &told["schema"], &body) {
            panic!("{asked}: {what}: {}", answer.body);
        }
    }
}

/// Whether a value has a shape; only what our documents use of JSON Schema is understood.
fn shaped(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).ok_or(name)?;
        return shaped(document, schema, value).map_err(|what| format!("{}: {what}", name.rsplit('/').next().unwrap()));
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let faults: Vec<_> = any.iter().filter_map(|one| shaped(document, one, value).err()).collect();
        return if faults.len() < any.len() { Ok(()) } else { Err(faults.join(" and ")) };
    }
    let is_right = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        Some(other) => return Err(format!("unknown type {other}")),
    };
    if !is_right {
        return Err(format!("{value} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    if schema["format"] == "date-time" && value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_err()) {
        return Err(format!("{value} is no time"));
    }
    for item in value.as_array().into_iter().flatten() {
        shaped(document, &schema["items"], item)?;
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let told = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        if *told == json!(false) {
            return Err(format!("the field {name} is not told of"));
        }
        shaped(document, told, field).map_err(|what| format!("{name}: {what}"))?;
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match required.into_iter().find(|name| value.get(name).is_none()) {
        Some(missing) => Err(format!("the field {missing} is missing")),
        None => Ok(()),
    }
}

#[test]
fn every_example_works() {
    let (server, ids) = filled();
    let document = get_json(&server.url("/openapi.json"), &[]);
    let snapshot = tempfile::tempdir().unwrap();
    let mut all = operations(&document);
    all.retain(|(path, ..)| !OTHER.contains(&path.as_str()));
    assert!(all.len() > 50, "{}", all.len());
    // What is taken away is asked for before.
    all.sort_by_key(|(path, method, _)| (*method == "delete", path.len(), (*method).clone()));
    for (path, method, one) in all {
        let filled_path = path.split_once('{').map(|(before, rest)| {
            let after = rest.split_once('}').unwrap().1;
            format!("{before}{}{after}", in_path(path, &ids))
        });
        let query: Vec<(String, String)> = one["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| {
                let example = &parameter["example"];
                let example = if example.is_array() { &example[0] } else { example };
                let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                let is_folder = parameter["name"] == "dir";
                let folder = snapshot.path().join(method.as_str()).display().to_string();
                (parameter["name"].as_str().unwrap().to_owned(), if is_folder { folder } else { text })
            })
            .collect();
        let example = &one["requestBody"]["content"]["application/json"]["example"];
        let body = if example.is_null() { String::new() } else { example.to_string() };
        let answer = send(&server, method, filled_path.as_ref().unwrap_or(path), &query, body.as_bytes());
        let asked = format!("{method} {path} {query:?} {body}");
        assert!((200..300).contains(&answer.status), "{asked}: {} {}", answer.status, answer.body);
        hold(&document, one, &answer, &asked);
    }
    server.stop();
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const TEXTS: [&str; 26] = [
    "",
    " ",
    "cpu_percent",
    "cpu",
    "host",
    "a/b",
    "..",
    "\0",
    "é\u{1F600}\u{202E}",
    "{host=\"a\"}",
    "{host=~\"(\"}",
    "{{{{",
    "sum(cpu_percent)",
    "rate(cpu_percent[5m])",
    "1e400",
    "NaN",
    "-1",
    "0",
    "99999999999999999999",
    "1.5",
    "true",
    "null",
    "2026-01-01T00:00:00Z",
    "2026-13-99",
    "5m",
    "open,closed",
];

fn text(chance: &mut Chance) -> String {
    match chance.below(20) {
        0 => "x".repeat(5000),
        1 => format!("{}", chance.next()),
        2 => format!("-{}", chance.next()),
        _ => chance.one_of(&TEXTS).to_owned(),
    }
}

/// A value that mostly has the shape.
fn value(document: &Value, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return value(document, document.pointer(name.trim_start_matches('#')).unwrap(), chance, depth);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let one = chance.below(any.len());
        return value(document, &any[one], chance, depth);
    }
    if chance.below(8) == 0 || depth > 5 {
        let wrong = [
            json!(null),
            json!(text(chance)),
            json!([]),
            json!({}),
            json!(true),
            json!(-1),
            json!(1e308),
            json!([[[]]]),
        ];
        return wrong[chance.below(wrong.len())].clone();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[chance.below(words.len())].clone();
    }
    match schema["type"].as_str() {
        Some("number") => json!([0.0, 0.5, -1.0, 1e300, 95.0, 1_700_000_000.0][chance.below(6)]),
        Some("integer") => json!([0, 1, 24, 100_000_000, -5][chance.below(5)]),
        Some("boolean") => json!(chance.below(2) == 0),
        Some("array") => (0..chance.below(4)).map(|_| value(document, &schema["items"], chance, depth + 1)).collect(),
        Some("object") | None => {
            let mut made = serde_json::Map::new();
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                if chance.below(3) > 0 {
                    made.insert(name.clone(), value(document, field, chance, depth + 1));
                }
            }
            if chance.below(10) == 0 || schema["additionalProperties"].is_object() {
                made.insert(text(chance), json!(text(chance)));
            }
            Value::Object(made)
        }
        _ => json!(text(chance)),
    }
}

#[test]
fn whatever_is_asked_the_answer_is_one_that_the_document_tells_of() {
    let seed = std::env::var("INFRAWATCH_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    println!("seed {seed}: another one by INFRAWATCH_FUZZ_SEED");
    let (server, ids) = filled();
    let document = get_json(&server.url("/openapi.json"), &[]);
    let mut chance = Chance(seed);
    for (path, method, one) in operations(&document) {
        // What takes a while is asked less often; a snapshot goes wherever it is told to.
        let rounds = if path.starts_with("/-/") { 2 } else { ROUNDS };
        if path == "/-/snapshot" || OTHER.contains(&path.as_str()) {
            continue;
        }
        for _ in 0..rounds {
            let mut filled_path = path.clone();
            while let Some((before, rest)) = filled_path.clone().split_once('{') {
                let after = rest.split_once('}').unwrap().1;
                let name = if chance.below(3) == 0 { encoded(&text(&mut chance)) } else { in_path(path, &ids) };
                // An empty part would be another path.
                let name = if name.is_empty() { "x".to_owned() } else { name };
                filled_path = format!("{before}{name}{after}");
            }
            let mut query = Vec::new();
            for parameter in one["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                if parameter["required"] == true || chance.below(3) == 0 {
                    let made = value(&document, &parameter["schema"], &mut chance, 0);
                    let made = if made.is_array() { made[0].clone() } else { made };
                    query.push((name.to_owned(), made.as_str().map_or_else(|| made.to_string(), str::to_owned)));
                }
            }
            let schema = &one["requestBody"]["content"]["application/json"]["schema"];
            let body = match (schema.is_object(), chance.below(10)) {
                (false, _) => String::new(),
                (true, 0) => text(&mut chance),
                (true, _) => value(&document, schema, &mut chance, 0).to_string(),
            };
            let answer = send(&server, method, &filled_path, &query, body.as_bytes());
            hold(&document, one, &answer, &format!("seed {seed}: {method} {filled_path} {query:?} {body}"));
        }
    }
    assert_eq!(get(&server.url("/health"), &[]).unwrap().status, 200);
    server.stop();
}

#[test]
fn the_page_for_people_loads_nothing_from_elsewhere() {
    let server = Server::start();
    for path in ["/docs", "/docs/page.js", "/docs/page.css"] {
        let answer = get(&server.url(path), &[]).unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-security-policy").unwrap().contains("script-src 'self'"));
        assert!(!answer.body.contains("http://") && !answer.body.contains("https://"), "{path}");
    }
    let wrong = post(&server.url("/docs"), &[], b"").unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET,HEAD")));
    server.stop();
}
