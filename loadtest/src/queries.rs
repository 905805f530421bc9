//! The command `query`: the queries that dashboards and scripts ask, timed one after the other on one connection.
//!
//! Every line works against any server with the Prometheus API. Not here: whether answers are right (see `verify`);
//! their sizes are shown, so that servers which answer differently are not compared by mistake.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::cli::QueryArgs;
use crate::http::{Address, Client};
use crate::meter::{Latencies, Stopwatch};
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::machine;
use crate::report::{Table, figures, print_json};
use crate::sender::Requests;
use crate::target::Target;
use crate::write::send_all;

/// Asked before the clock starts, so that first-use costs are not measured.
const WARM_UP_ROUNDS: usize = 3;
/// A peer shows the newest samples only a moment after it acknowledged them.
const VISIBLE_AFTER: Duration = Duration::from_secs(2);
/// No target is below this: the cost of the exchange itself.
const TARGET_MS_MIN: f64 = 0.2;

/// One line of the table.
struct Question {
    name: &'static str,
    /// What VictoriaMetrics 1.79 and Prometheus 2.42 took on a 2-core machine, ms.
    peers_ms: (f64, f64),
    path: &'static str,
    parameters: Vec<(&'static str, String)>,
}

impl Question {
    fn target_ms(&self) -> f64 {
        self.peers_ms.0.min(self.peers_ms.1).max(TARGET_MS_MIN)
    }

    fn request(&self, address: &Address) -> Vec<u8> {
        let parameters: Vec<_> = self.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        address.get(self.path, &parameters)
    }
}

/// The questions about a payload.
fn questions(payload: &Payload) -> Vec<Question> {
    let (first_ms, last_ms) = payload.span_ms();
    let seconds = |ms: i64| format!("{}", ms as f64 / 1e3);
    let range = |query: &str, every_steps: i64| {
        let step = seconds(every_steps * payload.step_ms());
        let times = [("start", seconds(first_ms)), ("end", seconds(last_ms)), ("step", step)];
        [("query", query.to_owned())].into_iter().chain(times).collect::<Vec<_>>()
    };
    let series = |matcher: String| vec![("match[]", matcher), ("start", seconds(first_ms)), ("end", seconds(last_ms))];
    let host = payload.fleet.instance(0);
    let question = |name, peers_ms, path, parameters| Question { name, peers_ms, path, parameters };
    let (query_range, by_instance) = ("/api/v1/query_range", "sum by (instance) ({job=\"node\"})");
    let cpu_rate = "sum by (instance) (rate(node_cpu_seconds_total[5m]))";
    let one = format!("node_load1{{instance=\"{host}\"}}");
    let instant = vec![("query", "sum({job=\"node\"})".to_owned()), ("time", seconds(last_ms))];
    vec![
        question("one series, every step", (0.24, 0.25), query_range, range(&one, 1)),
        question("sum by (instance) of all, every 4th step", (77.0, 318.0), query_range, range(by_instance, 4)),
        question("sum by (instance) of all, every step", (101.0, 536.0), query_range, range(by_instance, 1)),
        question("rate of CPU by instance, every 4th step", (15.0, 92.0), query_range, range(cpu_rate, 4)),
        question("instant sum of all", (34.0, 57.0), "/api/v1/query", instant),
        question("label values", (0.07, 0.06), "/api/v1/label/instance/values", vec![]),
        question("series of one host", (0.35, 0.80), "/api/v1/series", series(format!("{{instance=\"{host}\"}}"))),
        question("all series", (13.0, 53.0), "/api/v1/series", series("{job=\"node\"}".to_owned())),
    ]
}

/// What one question took.
#[derive(Debug, Serialize)]
struct QuestionReport {
    name: &'static str,
    p50_ms: f64,
    p99_ms: f64,
    /// Elements of the answer: series or values.
    results: usize,
    answer_bytes: usize,
    target_ms: f64,
}

/// What all questions took on one server.
#[derive(Debug, Serialize)]
struct QueryReport {
    target: String,
    machine: String,
    series: usize,
    samples: usize,
    rounds: usize,
    questions: Vec<QuestionReport>,
}

/// Runs the command.
///
/// # Errors
/// When a server cannot be started or reached, or refuses a write or a query.
pub(crate) fn run(args: &QueryArgs) -> Result<bool> {
    let scenario = args.payload.scenario()?;
    let mut reports = Vec::new();
    for target in Target::all(&args.target)? {
        let payload = args.payload.payload(&scenario);
        let running = target.start()?;
        if !args.no_write {
            let requests = Requests::build(&payload, &format!("{}{WRITE_PATH}", target.prefix()))?;
            let outcome = send_all(&running, &scenario, &payload, &requests)?;
            if let Some(refusal) = outcome.first_refusal {
                bail!("{}: a write was refused: {refusal}", target.name());
            }
            std::thread::sleep(VISIBLE_AFTER);
        }
        let mut client = Client::new(&running.address);
        let ask = |question: &Question| ask(question, &mut client, &running.address, args.rounds);
        let asked: Result<_> = questions(&payload).iter().map(ask).collect();
        reports.push(QueryReport {
            target: target.name(),
            machine: machine(),
            series: payload.series,
            samples: payload.samples,
            rounds: args.rounds,
            questions: asked.with_context(|| target.name())?,
        });
    }
    if args.json {
        print_json(&reports)?;
    } else {
        print!("{}", text(&reports));
    }
    Ok(true)
}

/// Asks one question many times.
fn ask(question: &Question, client: &mut Client, address: &Address, rounds: usize) -> Result<QuestionReport> {
    let request = question.request(address);
    let mut latencies = Latencies::default();
    for _ in 0..WARM_UP_ROUNDS {
        client.fetch(&request)?;
    }
    for _ in 0..rounds {
        let watch = Stopwatch::start();
        client.fetch(&request)?;
        latencies.record(watch.elapsed());
    }
    let body = client.fetch(&request)?;
    let percentiles = latencies.percentiles();
    Ok(QuestionReport {
        name: question.name,
        p50_ms: percentiles.p50_ms,
        p99_ms: percentiles.p99_ms,
        results: results_in(body).with_context(|| format!("answer to: {}", question.name))?,
        answer_bytes: body.len(),
        target_ms: question.target_ms(),
    })
}

/// How many elements an answer in Prometheus' envelope has.
fn results_in(body: &[u8]) -> Result<usize> {
    let answer: Value = serde_json::from_slice(body)?;
    let data = &answer["data"];
    let list = data.as_array().or_else(|| data["result"].as_array());
    Ok(list.context("no list of results")?.len())
}

/// The servers side by side.
fn text(reports: &[QueryReport]) -> String {
    let Some(first) = reports.first() else { return String::new() };
    let heads = reports.iter().flat_map(|report| [report.target.clone(), "results".to_owned()]);
    let mut table = Table::new(["p50, ms".to_owned(), "target".to_owned()].into_iter().chain(heads));
    for (index, question) in first.questions.iter().enumerate() {
        let asked = reports.iter().map(|report| &report.questions[index]);
        let cells = asked.flat_map(|asked| [figures(asked.p50_ms), asked.results.to_string()]);
        table.row(question.name, std::iter::once(figures(question.target_ms)).chain(cells));
    }
    format!("{}\n{} series x {}, p50 of {}\n{}", machine(), first.series, first.samples, first.rounds, table.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn a_target_is_the_better_peer_but_not_below_the_exchange() {
        let payload = Payload::ending_at(&Scenario::default(), 1_700_000_000_000);
        let targets: Vec<f64> = questions(&payload).iter().map(Question::target_ms).collect();
        assert_eq!(targets, [0.24, 77.0, 101.0, 15.0, 34.0, 0.2, 0.35, 13.0]);
    }

    #[test]
    fn ranges_have_as_many_steps_as_their_name_says() {
        let payload = Payload::ending_at(&Scenario::default(), 1_700_000_000_000);
        let address = Address::parse("http://h:1").unwrap();
        let request = |index: usize| String::from_utf8(questions(&payload)[index].request(&address)).unwrap();
        // 600 samples, 15 s apart: the last stands 8985 s after the first.
        assert!(request(0).contains("&start=1699991010&end=1699999995&step=15 HTTP"), "{}", request(0));
        assert!(request(1).contains("&step=60 HTTP"), "{}", request(1));
        assert!(request(6).contains("match%5B%5D=%7Binstance%3D%22node-00000%3A9100%22%7D"), "{}", request(6));
    }

    #[test]
    fn results_are_counted_in_either_shape() {
        assert_eq!(results_in(br#"{"status":"success","data":["a","b"]}"#).unwrap(), 2);
        assert_eq!(results_in(br#"{"status":"success","data":{"resultType":"vector","result":[{}]}}"#).unwrap(), 1);
        assert!(results_in(br#"{"status":"error"}"#).is_err());
    }
}
