//! What holds for every answer: ids of requests, headers, tags, encodings.

use super::support::http::{Answer, get, get_with, post};
use super::support::server::Server;
use super::{ask, body_of};
use serde_json::json;

fn asked(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    get_with(&server.url(path), headers).unwrap()
}

#[test]
fn every_answer_names_its_request_and_guards_its_reader() {
    let server = Server::start();
    for path in ["/api/v1/metrics", "/health", "/metrics", "/nowhere", "/api/v1/labels", "/predict"] {
        let answer = asked(&server, path, &[("x-request-id", "abc-1")]);
        assert_eq!(answer.header("x-request-id"), Some("abc-1"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
    }
    let own = |answer: &Answer| answer.header("x-request-id").unwrap().to_owned();
    assert_ne!(own(&asked(&server, "/health", &[])), own(&asked(&server, "/health", &[])));
    server.stop();
}

#[test]
fn an_unchanged_answer_is_not_sent_again_and_a_changed_one_is() {
    let server = Server::start();
    let first = asked(&server, "/api/v1/events", &[]);
    let tag = first.header("etag").unwrap().to_owned();
    let again = asked(&server, "/api/v1/events", &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    body_of(&ask(&server, "/api/v1/events", &json!({"kind": "other", "title": "x"})), 201);
    let changed = asked(&server, "/api/v1/events", &[("if-none-match", &tag)]);
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    server.stop();
}

#[test]
fn long_answers_come_in_the_encoding_that_is_asked_for() {
    let server = Server::start();
    let series: Vec<_> =
        (0..100).map(|i| json!({"name": "load", "value": i, "labels": {"host": i.to_string()}})).collect();
    assert_eq!(post(&server.url("/api/v1/metrics"), &[], json!(series).to_string().as_bytes()).unwrap().status, 200);
    let plain = get(&server.url("/api/v1/metrics"), &[]).unwrap();
    assert_eq!(plain.header("content-encoding"), None);
    for path in ["/api/v1/metrics", "/metrics", "/api/v1/series?match[]=load"] {
        for encoding in ["gzip", "zstd"] {
            let answer =
                server.curl(&["-sSi", "--raw", "-H", &format!("accept-encoding: {encoding}"), &server.url(path)]);
            assert!(answer.contains(&format!("content-encoding: {encoding}")), "{path} {encoding}");
        }
    }
    server.stop();
}
