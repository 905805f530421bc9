//! The API over an empty store: forms of answers, and what bad parameters are answered with.

use super::{PrometheusApi, router};
use crate::metric_metadata::{MetricBook, MetricType};
use crate::query::{QueryLimits, ReadingThreads, Room};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use storage::{Opened, Settings, Store};
use tower::ServiceExt;

/// An empty store, one for all tests: it is only read.
fn store() -> Store {
    static OPENED: LazyLock<(Opened, tempfile::TempDir)> = LazyLock::new(|| {
        let home = tempfile::tempdir().unwrap();
        (storage::open(Settings::new(home.path())).unwrap(), home)
    });
    OPENED.0.store.clone()
}

fn threads() -> ReadingThreads {
    ReadingThreads::new(4, 1 << 20).unwrap()
}

fn api(query: QueryLimits) -> Router {
    let room = Room::new(query.memory_max_bytes);
    let told = Arc::new(MetricBook::default());
    told.tell(b"reads", MetricType::Counter, b"How \"much\".", b"bytes");
    told.tell(b"up", MetricType::Gauge, b"", b"");
    router(PrometheusApi {
        store: store(),
        told,
        query,
        room,
        threads: threads(),
        version: "1.2.3",
        now_ms: || 1_700_000_000_000,
    })
}

async fn ask(router: Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(uri: &str) -> (StatusCode, Value) {
    ask(api(QueryLimits::default()), Request::get(uri).body(Body::empty()).unwrap()).await
}

async fn post(uri: &str, form: &str) -> (StatusCode, Value) {
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap();
    ask(api(QueryLimits::default()), request).await
}

#[tokio::test]
async fn queries_answer_in_the_envelope() {
    let (status, body) = get("/query?query=1%2B1&time=1700000000.5").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["data"]["resultType"], "scalar");
    assert_eq!(body["data"]["result"], serde_json::json!([1_700_000_000.5, "2"]));
    let (_, body) = get("/query?query=time()").await;
    assert_eq!(body["data"]["result"][1], "1700000000", "without a time the present is meant");
    let (_, body) = get("/query?query=up").await;
    assert_eq!(body["data"], serde_json::json!({"resultType": "vector", "result": []}));
    let (_, body) = post("/query_range", "query=vector(1)&start=0&end=60&step=1m").await;
    assert_eq!(body["data"]["result"][0]["values"], serde_json::json!([[0, "1"], [60, "1"]]));
    let (_, body) = post("/query?query=2", "query=3").await;
    assert_eq!(body["data"]["result"][1], "3", "the form counts before the query string");
}

#[tokio::test]
async fn bad_parameters_are_bad_data() {
    for uri in [
        "/query",
        "/query?query=1%2B",
        "/query?query=up&time=soon",
        "/query?query=up&timeout=long",
        "/query_range?query=up&start=0&end=10",
        "/query_range?query=up&start=0&step=1",
        "/query_range?query=up&start=10&end=0&step=1",
        "/query_range?query=up&start=0&end=10&step=0",
        "/query_range?query=up&start=0&end=10&step=-1",
        "/query_range?query=up&start=0&end=11001&step=1",
        "/query_range?query=up[5m]&start=0&end=10&step=1",
        "/query_range?query=%22text%22&start=0&end=10&step=1",
        "/series",
        "/series?match[]=sum(up)",
        "/series?match[]=up&limit=x",
        "/labels?match[]=%7B%7D",
        "/label/a-b/values",
        "/format_query?query=(",
        "/query_exemplars",
        "/metadata?limit=x",
    ] {
        let (status, body) = get(uri).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{uri}");
        assert_eq!((&body["status"], &body["errorType"]), (&"error".into(), &"bad_data".into()), "{uri}");
        assert!(!body["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_cannot_be_executed_is_422_and_what_takes_too_long_503() {
    let (status, body) = get("/query?query=max_over_time(up[100y:1ms])").await;
    assert_eq!((status, &body["errorType"]), (StatusCode::UNPROCESSABLE_ENTITY, &"execution".into()));
    let hasty = QueryLimits { timeout_ms: 1, ..QueryLimits::default() };
    let slow = "/query?query=sum_over_time(sum_over_time(vector(1)[12h:1s])[12h:1s])";
    let (status, body) = ask(api(hasty), Request::get(slow).body(Body::empty()).unwrap()).await;
    assert_eq!((status, &body["errorType"]), (StatusCode::SERVICE_UNAVAILABLE, &"timeout".into()));
}

#[tokio::test]
async fn a_query_too_large_for_the_memory_of_all_is_422() {
    let narrow = QueryLimits { memory_max_bytes: 4096, ..QueryLimits::default() };
    let large = "/query_range?query=vector(1)%2Bvector(2)&start=0&end=10000&step=1";
    let (status, body) = ask(api(narrow), Request::get(large).body(Body::empty()).unwrap()).await;
    assert_eq!((status, &body["errorType"]), (StatusCode::UNPROCESSABLE_ENTITY, &"execution".into()));
    assert!(body["error"].as_str().unwrap().contains("query.memory_max"), "{body}");
}

#[tokio::test]
async fn answers_say_what_is_odd_about_them() {
    let (_, body) = get("/query?query=quantile(1.5,vector(1))").await;
    assert_eq!(body["warnings"][0], "PromQL warning: quantile value should be between 0 and 1, got 1.5");
    assert_eq!(get("/query?query=quantile(0.5,vector(1))").await.1["warnings"], Value::Null);
}

#[tokio::test]
async fn lists_are_empty_over_an_empty_store() {
    for uri in
        ["/series?match[]=up", "/labels", "/label/job/values", "/labels?start=0&end=1", "/query_exemplars?query=up"]
    {
        let (status, body) = get(uri).await;
        assert_eq!((status, &body["data"]), (StatusCode::OK, &serde_json::json!([])), "{uri}");
    }
    let reads = serde_json::json!([{ "type": "counter", "help": "How \"much\".", "unit": "bytes" }]);
    let up = serde_json::json!([{ "type": "gauge", "help": "", "unit": "" }]);
    assert_eq!(get("/metadata").await.1["data"], serde_json::json!({ "reads": reads, "up": up }));
    assert_eq!(get("/metadata?metric=up").await.1["data"], serde_json::json!({ "up": up }));
    assert_eq!(get("/metadata?limit=1").await.1["data"], serde_json::json!({ "reads": reads }));
    assert_eq!(get("/metadata?metric=none").await.1["data"], serde_json::json!({}));
    assert_eq!(get("/series?match[]=up&start=5&end=4").await.1["data"], serde_json::json!([]));
    let (_, body) = get("/status/buildinfo").await;
    assert_eq!((&body["data"]["version"], &body["data"]["revision"]), (&"2.42.0".into(), &"1.2.3".into()));
    assert_eq!(get("/format_query?query=sum(up)by(job)").await.1["data"], "sum by (job) (up)");
}

/// A range query over a store that is written meanwhile: an answer is given again exactly as long as it holds.
#[tokio::test]
async fn an_answer_that_still_holds_is_given_again() {
    let home = tempfile::tempdir().unwrap();
    let Opened { store, mut shards, threads: _threads, .. } = storage::open(Settings::new(home.path())).unwrap();
    let write = |shard: &mut storage::ShardStore, time_ms: i64, value: f64| {
        let mut key = storage::series::KeyBuilder::default();
        key.push("__name__", "up");
        let key = key.finish().unwrap().to_vec();
        let row = storage::Row { hash: storage::series::hash(&key), key: &key, times: &[time_ms], values: &[value] };
        assert_eq!(shard.append(1_700_000_000_000, std::iter::once(row)).unwrap().stored, 1);
    };
    let room = Room::with_answers(1 << 30, 1 << 20);
    let api = PrometheusApi {
        store,
        told: Arc::new(MetricBook::default()),
        query: QueryLimits::default(),
        room: room.clone(),
        threads: threads(),
        version: "1.2.3",
        now_ms: || 1_700_000_000_000,
    };
    let router = router(api);
    let ask = async |end: i64| {
        let uri = format!("/query_range?query=sum(up)&start=1699990000&end={end}&step=10");
        let (status, body) = ask(router.clone(), Request::get(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        let samples = body["data"]["result"][0]["values"].as_array().map_or(0, Vec::len);
        (samples, room.kept().hits())
    };
    write(&mut shards[0], 1_699_990_000_000, 1.0);
    assert_eq!(ask(1_699_991_000).await, (31, 0), "for five minutes");
    assert_eq!(ask(1_699_991_000).await, (31, 1));
    assert_eq!(ask(1_699_991_001).await, (31, 1), "another query");
    write(&mut shards[0], 1_699_992_000_000, 2.0);
    assert_eq!(ask(1_699_991_000).await, (31, 2), "what came is later than all that was asked for");
    write(&mut shards[0], 1_699_990_600_000, 3.0);
    assert_eq!(ask(1_699_991_000).await, (62, 2), "what came late counts");
    assert_eq!(ask(1_699_991_000).await, (62, 3));
    assert_eq!(room.kept().misses(), 3);
}
