//! The language and the API against Debian's prometheus: the same samples are written to both, both are asked the same,
//! and the answers must be the same, errors included; so too of what it scrapes itself and sends on (`scraped`), which is
//! here because its minute of scraping passes while others compute. And what queries may cost, of the running program.
//!
//! `PROMQL_PEER_SEED` and `PROMQL_PEER_RANDOM` choose other expressions, and more of them, than the run in `./test`;
//! `PROMQL_PEER_FILE` names a file of expressions, one a line, to be asked instead.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod clients;
mod command;
mod compare;
mod expressions;
mod fixture;
mod random;
mod refused;
mod scraped;

use compare::{Sides, When};
use random::Dice;
use support::eventually;
use support::http::get_json;
use support::peer::{Peer, free_port};
use support::server::Server;
use tempfile::TempDir;

/// Random expressions of a usual run.
const RANDOM: usize = 400;
const SEED: u64 = 5;

fn start_prometheus(directory: &TempDir) -> Peer {
    let port = free_port();
    let config = directory.path().join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", directory.path().join("data").display()),
        "--storage.tsdb.retention.time=100y".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--web.enable-remote-write-receiver".to_owned(),
        "--log.level=error".to_owned(),
    ];
    Peer::start("prometheus", "prometheus", &arguments, port, "/-/ready")
}

/// The instants and ranges at which every expression is asked.
fn times() -> Vec<When> {
    let at = |step: usize, more_ms: i64| seconds(fixture::time_ms(step) + more_ms);
    let over =
        |from: usize, to: usize, step: &str| When::Over { start: at(from, 0), end: at(to, 1), step: step.into() };
    vec![
        When::At(at(290, 0)),
        When::At(at(211, 1234)),
        When::At(at(599, 290_000)),
        over(180, 330, "61"),
        over(0, 640, "7m"),
        over(287, 299, "5"),
    ]
}

fn seconds(time_ms: i64) -> String {
    format!("{}.{:03}", time_ms / 1000, time_ms % 1000)
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn answers_are_those_of_prometheus() {
    let directory = TempDir::new().unwrap();
    let (prometheus, server) = (start_prometheus(&directory), Server::start());
    let series = fixture::series();
    fixture::send(&series, &prometheus.url("/api/v1/write"));
    fixture::send(&series, &server.url("/api/v1/write"));
    let sides = Sides { theirs: prometheus.url(""), ours: server.url("") };
    everything_has_arrived(&sides);

    let mut dice = Dice::new(setting("PROMQL_PEER_SEED", SEED));
    let made_up = setting("PROMQL_PEER_RANDOM", RANDOM as u64);
    let random = (0..made_up).map(|i| dice.vector(1 + i as usize % 4));
    let own = std::env::var_os("PROMQL_PEER_FILE").map(|file| std::fs::read_to_string(file).unwrap());
    let asked: Vec<String> = match &own {
        Some(text) => expressions::lines(text).collect(),
        None => expressions::all().into_iter().chain(random).collect(),
    };
    let mut differences = Vec::new();
    let (mut expressions, mut answers) = (0, 0);
    for expression in asked {
        expressions += 1;
        for when in times() {
            answers += 1;
            if let Some(difference) = sides.difference(&expression, &when) {
                differences.push(format!("{expression}\n   {when:?}\n   {difference}"));
                break;
            }
        }
    }
    differences.extend(clients::differences(&sides.theirs, &server.url("/prometheus")));
    differences.extend(clients::promtool_differences(&sides.theirs, &server.url("/prometheus")));
    command::shows_every_form(&server);
    println!("{expressions} expressions, {answers} answers");
    assert!(expressions > 2500 || own.is_some());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

fn everything_has_arrived(sides: &Sides) {
    let time = seconds(fixture::time_ms(fixture::STEPS));
    let count = |base: &str| {
        let expression = "count(last_over_time({__name__=~\".+\"}[3h]))";
        get_json(&format!("{base}/api/v1/query"), &[("query", expression), ("time", &time)])["data"]["result"].clone()
    };
    eventually("both sides have the same number of series", 30, || {
        let (theirs, ours) = (count(&sides.theirs), count(&sides.ours));
        (theirs == ours && theirs[0]["value"][1].as_str().is_some_and(|n| n.len() == 3)).then_some(())
    });
}
