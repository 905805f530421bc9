//! Memory stays bounded whatever is asked at once, readers that stop reading are given up, and a query whose client has
//! left ends: of the real program, by what the system says of it.

use crate::support::eventually;
use crate::support::http::{get, post};
use crate::support::server::Server;
use protocols::remote_write::WriteRequestBuilder;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;

const SERIES: usize = 1000;
const STEPS: usize = 1500;
const START_S: i64 = 1_700_000_000;
/// Two of the queries below fit at a time, a third does not.
const MEMORY_MAX_MIB: u64 = 32;
/// What the allocator, buffers, threads and connections may take beside what is accounted for. Without a limit the
/// twenty queries that run at once would hold 240 MiB.
const BESIDE_MIB: u64 = 96;
const PARALLEL: usize = 200;

/// A server with many series, each with a value every second.
fn start() -> Server {
    let memory_max = format!("{MEMORY_MAX_MIB}MiB");
    let server = Server::start_with_settings(&[
        ("INFRAWATCH_QUERY_MEMORY_MAX", &memory_max),
        ("INFRAWATCH_QUERY_TIMEOUT", "20s"),
        ("INFRAWATCH_MODELS_ENABLED", "false"),
    ]);
    let (mut request, mut body) = (WriteRequestBuilder::default(), Vec::new());
    let numbers: Vec<String> = (0..SERIES).map(|n| n.to_string()).collect();
    for first in (0..STEPS).step_by(100) {
        request.clear();
        for (n, number) in numbers.iter().enumerate() {
            let sample = |step: usize| ((START_S + step as i64) * 1000, (step * (n % 7 + 1)) as f64 / 8.0);
            let samples: Vec<_> = (first..first + 100).map(sample).collect();
            request.series(&[("__name__", "wide"), ("n", number)], &samples);
        }
        request.compress(&mut body);
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
        let answer = post(&server.url("/api/v1/write"), &headers, &body).unwrap();
        assert!((200..300).contains(&answer.status), "{}", answer.body);
    }
    server
}

/// The request of a query over everything.
fn over_all(server: &Server, expression: &str) -> String {
    let end = START_S + STEPS as i64 - 1;
    let path = format!("/api/v1/query_range?query={expression}&start={START_S}&end={end}&step=1");
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address())
}

fn send(server: &Server, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn is_idle(server: &Server) -> Option<()> {
    let idle = ["infrawatch_queries_in_flight", "infrawatch_query_memory_bytes"].map(|name| server.figure(name));
    (idle == [0.0, 0.0]).then_some(())
}

fn assert_bounded(server: &Server, before_mib: u64, what: &str) {
    let peak_mib = server.peak_memory_mib();
    println!("{what}: peak {peak_mib} MiB, {before_mib} MiB before");
    assert!(peak_mib <= before_mib + MEMORY_MAX_MIB + BESIDE_MIB, "{what}: {before_mib} MiB grew to {peak_mib} MiB");
}

#[test]
fn many_queries_over_everything_share_a_bounded_memory() {
    let server = start();
    let before_mib = server.peak_memory_mib();
    let url = server.url("/api/v1/query_range");
    let (start, end) = (START_S.to_string(), (START_S + STEPS as i64 - 1).to_string());
    let parameters = [("query", "sum(wide * 2)"), ("start", &start), ("end", &end), ("step", "1")];
    // Two readers that stop hold the room that their answers take, whatever number is evaluated at a time.
    let mut holding: Vec<TcpStream> = (0..2).map(|_| send(&server, &over_all(&server, "wide"))).collect();
    holding.iter_mut().for_each(|stream| stream.read_exact(&mut [0]).unwrap());
    let crowded_out = || server.figure("infrawatch_queries_crowded_out_total");
    assert_eq!(crowded_out(), 0.0);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(|| get(&url, &parameters).unwrap())).collect();
        eventually("one finds no room", 15, || (crowded_out() > 0.0).then_some(()));
        drop(holding);
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (whole, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    println!("{} answered, {} refused", whole.len(), refused.len());
    // More than fit at once: the others have waited for their turn, as long as they may.
    assert!(whole.len() > 2, "{}", refused[0].body);
    assert!(whole.iter().all(|answer| answer.body == whole[0].body));
    for answer in &refused {
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.status, 503, "{body}");
        // Those that never got a thread have waited for that and not for memory.
        if body["errorType"] != "timeout" {
            assert_eq!(body["errorType"], "unavailable", "{body}");
            assert!(body["error"].as_str().unwrap().contains("query.memory_max"), "{body}");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    eventually("every share is given back", 30, || is_idle(&server));
    assert_bounded(&server, before_mib, "queries at once");

    // One that is too large by itself is told so, however idle the server is.
    let large = [
        ("query", "wide + on (n) group_left () (wide + on (n) (wide * 2))"),
        parameters[1],
        parameters[2],
        parameters[3],
    ];
    let answer = get(&url, &large).unwrap();
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("query.memory_max"), "{}", answer.body);
    eventually("its share is given back", 30, || is_idle(&server));
}

#[test]
fn readers_that_stop_and_clients_that_leave_hold_nothing_for_long() {
    let server = start();
    let before_mib = server.peak_memory_mib();
    let request = over_all(&server, "wide");
    let mut stalled: Vec<TcpStream> = (0..40).map(|_| send(&server, &request)).collect();
    for stream in &mut stalled {
        stream.read_exact(&mut [0]).unwrap();
    }
    // They read no more and do not close, so the server has to give them up.
    eventually("stalled readers are given up", 60, || is_idle(&server));
    assert_bounded(&server, before_mib, "stalled readers");
    // What was cut off must not look whole: the end of a chunked body is missing.
    let cut = stalled.iter_mut().filter_map(|stream| {
        let mut text = Vec::new();
        let ended = stream.read_to_end(&mut text);
        (text.len() > 100_000).then(|| ended.is_err() || !text.ends_with(b"0\r\n\r\n"))
    });
    let cut: Vec<bool> = cut.collect();
    assert!(!cut.is_empty() && cut.iter().all(|&is_cut| is_cut), "{cut:?}");
    let answer = get(&server.url("/api/v1/query"), &[("query", "count(wide)"), ("time", &START_S.to_string())]);
    assert_eq!(answer.unwrap().status, 200, "others are served again");

    // Minutes of work, unless somebody says that nobody waits for it.
    let endless = "sum_over_time(sum_over_time(vector(1)[3d:1s])[3d:1s])";
    let asking = send(&server, &over_all(&server, endless));
    eventually("the query has begun", 30, || (server.figure("infrawatch_queries_in_flight") > 0.0).then_some(()));
    drop(asking);
    eventually("the query ends with its client", 30, || is_idle(&server));
}
