//! Models survive whatever ends the process: what they know afterwards is, byte for byte, what they would have known.
//!
//! Not here: the layout of their files (see `src/shard/models_file.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use support::eventually;
use support::http::{get, get_json, post};
use support::server::{Server, Stopped};

const SERIES: u64 = 30;
const START_S: u64 = 1_700_000_000;

/// A noisy level with a spike that is going on at step 460.
fn value(series: u64, step: u64) -> f64 {
    let noise = (step * 64 + series).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) % 1000;
    let spike = if series.is_multiple_of(3) && (455..462).contains(&step) { 900.0 } else { 0.0 };
    40.0 + series as f64 + noise as f64 / 300.0 + spike
}

/// Pushes some steps of every series, step by step, each answered when it is durable.
fn feed(server: &Server, steps: Range<u64>) {
    for first in steps.clone().step_by(20) {
        let item = |step: u64, series: u64| {
            let labels = json!({ "host": format!("h{series}") });
            json!({"name": "load", "timestamp": START_S + step * 60, "value": value(series, step), "labels": labels})
        };
        let steps = first..(first + 20).min(steps.end);
        let items: Vec<_> = steps.flat_map(|step| (0..SERIES).map(move |series| item(step, series))).collect();
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn metric(server: &Server, name: &str) -> u64 {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64
}

/// Waits until so many samples were scored since the start.
fn scored(server: &Server, samples: u64) {
    eventually("all is scored", 60, || (metric(server, "infrawatch_scored_total") == samples).then_some(()));
}

/// Every file of models a server left.
fn models(data_dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(data_dir.join("models")).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Bands of the foundation layer come when its worker has time for them, which no two servers have at the same samples:
/// what series know by themselves is compared without them.
fn start() -> Server {
    Server::start_with_settings(&[("INFRAWATCH_FOUNDATION_ENABLED", "false")])
}

/// What a server that never stopped knows of the first 600 steps.
fn uninterrupted() -> BTreeMap<String, Vec<u8>> {
    let server = start();
    feed(&server, 0..600);
    scored(&server, 600 * SERIES);
    assert_eq!(get_json(&server.url("/health"), &[])["models_loaded"], SERIES);
    models(server.stop().data_dir())
}

fn assert_same(told: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(told.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let differing: Vec<_> =
        told.iter().filter(|(name, bytes)| expected[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(differing.is_empty() && expected.len() > 10, "{differing:?}");
}

#[test]
fn neither_sigkill_nor_damaged_files_change_what_models_know() {
    let expected = uninterrupted();
    let server = start();
    feed(&server, 0..300);
    let server = server.stop().restart();
    feed(&server, 300..460);
    // Nothing was waited for: some of it is scored, some not, none of it is written down.
    let server = server.kill().restart();
    feed(&server, 460..520);
    let server = server.kill().restart();
    feed(&server, 520..600);
    scored(&server, 300 * SERIES);
    let stopped: Stopped = server.stop();
    assert_same(&models(stopped.data_dir()), &expected);

    let dir = stopped.data_dir().join("models");
    let names: Vec<_> = expected.keys().collect();
    fs::write(dir.join(names[0]), &expected[names[0]][..100]).unwrap();
    fs::write(dir.join(names[1]), [b"IWMD\x63".as_slice(), &expected[names[1]][5..]].concat()).unwrap();
    fs::write(dir.join(names[2]), b"").unwrap();
    fs::remove_file(dir.join(names[3])).unwrap();
    let server = stopped.restart();
    eventually("three files are refused", 60, || {
        (metric(&server, "infrawatch_models_files_refused_total") == 3).then_some(())
    });
    eventually("all models are there", 60, || {
        (get_json(&server.url("/health"), &[])["models_loaded"] == SERIES).then_some(())
    });
    assert_same(&models(server.stop().data_dir()), &expected);
}
