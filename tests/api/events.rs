//! Change events: told, listed, and there again after a restart.

use super::support::http::get_json;
use super::support::server::Server;
use super::{ask, body_of, refused};
use serde_json::json;

#[test]
fn events_are_listed_newest_first_and_survive_a_restart() {
    let server = Server::start();
    let deploy = json!({"time": 1_700_000_000, "kind": "deploy", "title": "api 1.2", "labels": {"service": "api"}});
    let told = body_of(&ask(&server, "/api/v1/events", &deploy), 201);
    assert_eq!((told["time"].as_str(), told["kind"].as_str()), (Some("2023-11-14T22:13:20.000Z"), Some("deploy")));
    assert_eq!(body_of(&ask(&server, "/api/v1/events", &deploy), 201), told, "telling it again doubles nothing");
    let scale = json!({"time": 1_700_000_100, "kind": "scale", "title": "db from 2 to 3", "labels": {"service": "db"}});
    body_of(&ask(&server, "/api/v1/events", &scale), 201);
    let server = server.kill().restart();
    let list = |parameters: &[(&str, &str)]| {
        let list = get_json(&server.url("/api/v1/events"), parameters);
        let titles: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect();
        (list["total"].as_u64().unwrap(), titles)
    };
    assert_eq!(list(&[]), (2, vec![json!("db from 2 to 3"), json!("api 1.2")]));
    assert_eq!(list(&[("limit", "1"), ("skip", "1")]), (2, vec![json!("api 1.2")]));
    for filter in [("kind", "deploy"), ("match", "{service=\"api\"}"), ("search", "API"), ("end_time", "1700000050")] {
        assert_eq!(list(&[filter]), (1, vec![json!("api 1.2")]), "{filter:?}");
    }
    server.stop();
}

#[test]
fn an_event_that_makes_no_sense_is_refused_by_field() {
    let server = Server::start();
    let refuse = |body, field| refused(&ask(&server, "/api/v1/events", &body), 400, Some(field));
    refuse(json!({"title": "x"}), "kind");
    refuse(json!({"kind": "deploy"}), "title");
    refuse(json!({"kind": "party", "title": "x"}), "kind");
    refuse(json!({"kind": "deploy", "title": "x", "time": "soon"}), "time");
    refuse(json!({"kind": "deploy", "title": "x", "labels": {"a": 1}}), "labels");
    refuse(json!({"kind": "deploy", "title": "x", "colour": "red"}), "colour");
    refuse(json!({"kind": "deploy", "title": "x".repeat(2000)}), "title");
    server.stop();
}
