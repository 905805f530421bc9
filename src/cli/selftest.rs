//! `infrawatch selftest`: starts a server of its own on free ports with a folder of its own, uses it as a program would,
//! and says what works.
//!
//! Not here: the server (see `server`): it runs as a process of its own, so that it can be killed.
//!
//! Invariants: nothing of the user's is touched: neither settings nor data nor ports; every check waits for its answer
//! for a bounded time; the folder and the process are gone when the command ends.

use super::client::{Answer, Client};
use super::{CliError, Global, output::write_text};
use crate::clock;
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a server may take to be ready, and what was sent to be seen.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
const REQUEST: Duration = Duration::from_secs(10);
const METRIC: &str = "selftest_requests_per_second";
/// Samples of normal traffic, one a second: ten minutes.
const NORMAL: usize = 600;
/// Samples after them that are four times as high: 300 percent more.
const SPIKE: usize = 20;
const SPIKE_FACTOR: f64 = 4.0;

#[derive(Debug, Args)]
pub(super) struct SelfTest {
    /// Send ten minutes of traffic and then 300 percent more, and wait for the anomaly
    #[arg(long)]
    spike: bool,
}

type Check = fn(&mut Session) -> Result<String, String>;

impl SelfTest {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let checks: &[(&str, Check)] = if self.spike {
            &[
                ("no anomaly before calibration", Session::early_spike_is_ignored),
                ("no anomaly in ten minutes of normal traffic", Session::normal_is_quiet),
                ("an anomaly at 300 percent more", Session::spike_is_seen),
            ]
        } else {
            &[
                ("api health", Session::health),
                ("ingest", Session::ingest),
                ("models", Session::models),
                ("anomalies", Session::anomalies),
                ("storage", Session::storage),
            ]
        };
        let mut session = Session::start().map_err(CliError::Failed)?;
        let (mut text, mut passed) = (String::new(), 0);
        for (name, check) in checks {
            let line = match check(&mut session) {
                Ok(detail) => {
                    passed += 1;
                    format!("ok      {name}: {detail}\n")
                }
                Err(what) => format!("FAILED  {name}: {what}\n"),
            };
            text += &line;
        }
        write_text(global, &format!("{text}{passed}/{} tests passed\n", checks.len()))?;
        match passed == checks.len() {
            true => Ok(()),
            false => Err(CliError::Failed(format!("{} of {} checks failed", checks.len() - passed, checks.len()))),
        }
    }
}

/// A running server and what was sent to it.
struct Session {
    folder: Folder,
    server: Server,
    client: Client,
    /// Time of the first sample.
    start_ms: i64,
}

impl Session {
    fn start() -> Result<Self, String> {
        let folder = Folder::new()?;
        let server = Server::start(&folder.0)?;
        // Whole seconds, so that times survive every notation.
        let start_ms = (clock::now_ms() / 1000 - (NORMAL + SPIKE) as i64) * 1000;
        Ok(Self { folder, server, client: Client::new(REQUEST), start_ms })
    }

    /// Time and value of the samples: noise of a few percent, then the spike.
    fn sample(&self, at: usize) -> (i64, f64) {
        let noise = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let normal = 95.0 + (noise % 1000) as f64 / 100.0;
        let value = if at < NORMAL { normal } else { normal * SPIKE_FACTOR };
        (self.start_ms + at as i64 * 1000, value)
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        json_of(&self.client.get(&format!("{}{path}", self.server.url))?)
    }

    /// Pushes samples of the metric; gives the answer.
    fn push(&self, metric: &str, samples: impl Iterator<Item = (i64, f64)>) -> Result<String, String> {
        let items: Vec<Value> =
            samples.map(|(time_ms, value)| json!({"name": metric, "timestamp": time_ms, "value": value})).collect();
        let url = format!("{}/api/v1/metrics", self.server.url);
        let answer = json_of(&self.client.post_json(&url, &Value::from(items.clone()).to_string())?)?;
        match answer["accepted"].as_u64() == Some(items.len() as u64) && answer["rejected"] == 0 {
            true => Ok(format!("{} samples accepted", items.len())),
            false => Err(format!("{} samples were sent, and this was the answer: {answer}", items.len())),
        }
    }

    /// Asks until the answer will do; the last complaint if it never does.
    fn eventually<T>(&self, mut ask: impl FnMut(&Self) -> Result<T, String>) -> Result<T, String> {
        let deadline = clock::monotonic() + PATIENCE;
        loop {
            match ask(self) {
                Err(what) if clock::monotonic() > deadline => return Err(what),
                Err(_) => std::thread::sleep(PAUSE),
                done => return done,
            }
        }
    }

    fn health(&mut self) -> Result<String, String> {
        let report = self.get("/health")?;
        let ready = self.client.get(&format!("{}/-/ready", self.server.url))?;
        match (report["status"] == "healthy", ready.status) {
            (true, 200) => Ok(format!("healthy, version {}", report["version"].as_str().unwrap_or_default())),
            (_, status) => Err(format!("/-/ready says {status}, /health says {report}")),
        }
    }

    fn ingest(&mut self) -> Result<String, String> {
        self.push(METRIC, (0..NORMAL + SPIKE).map(|at| self.sample(at)))
    }

    fn models(&mut self) -> Result<String, String> {
        self.wait_for_model(METRIC, NORMAL + SPIKE)
    }

    /// Waits until a model has learned so many samples.
    fn wait_for_model(&self, metric: &str, samples: usize) -> Result<String, String> {
        self.eventually(|session| {
            let series = session.get(&format!("/api/v1/metrics?search={metric}"))?;
            let item = series["items"].as_array().and_then(|items| items.first()).cloned().unwrap_or_default();
            match item["samples"].as_u64() {
                Some(learned) if learned >= samples as u64 => {
                    Ok(format!("{learned} samples learned, state {}", item["state"].as_str().unwrap_or_default()))
                }
                _ => Err(format!("{samples} samples were not learned: {item}")),
            }
        })
    }

    fn anomalies_of(&self, metric: &str) -> Result<Vec<Value>, String> {
        let page = self.get(&format!("/api/v1/anomalies?metric_name={metric}"))?;
        page["items"].as_array().cloned().ok_or_else(|| format!("no list of anomalies: {page}"))
    }

    fn anomalies(&mut self) -> Result<String, String> {
        let from_ms = self.sample(NORMAL).0;
        self.eventually(|session| match &session.anomalies_of(METRIC)?[..] {
            [] => Err("the spike is on no record".to_owned()),
            [anomaly, ..] => {
                let text = anomaly["timestamp"].as_str().unwrap_or_default();
                let time_ms = crate::series_file::parse_time_ms(text);
                match time_ms.is_some_and(|time_ms| (from_ms..from_ms + SPIKE as i64 * 1000).contains(&time_ms)) {
                    true => Ok(anomaly["summary"].as_str().unwrap_or_default().to_owned()),
                    false => Err(format!("an anomaly at another time than that of the spike: {anomaly}")),
                }
            }
        })
    }

    /// Kills the server without warning, starts another on the same data and reads everything back.
    fn storage(&mut self) -> Result<String, String> {
        self.server.kill();
        self.server = Server::start(&self.folder.0)?;
        let last = NORMAL + SPIKE - 1;
        let (from, to) = (self.sample(0).0 / 1000, self.sample(last).0 / 1000);
        let path = format!("/api/v1/query_range?query={METRIC}&start={from}&end={to}&step=1");
        let answer = self.get(&path)?;
        let values = answer["data"]["result"][0]["values"].as_array().ok_or_else(|| format!("no samples: {answer}"))?;
        let is_same = |(at, pair): (usize, &Value)| {
            let value = pair[1].as_str().and_then(|text| text.parse::<f64>().ok());
            pair[0].as_i64().or(pair[0].as_f64().map(|time| time as i64)) == Some(self.sample(at).0 / 1000)
                && value == Some(self.sample(at).1)
        };
        let same = values.iter().enumerate().filter(|pair| is_same(*pair)).count();
        match same == last + 1 && values.len() == same {
            true => Ok(format!("all {same} samples are there after the server was killed")),
            false => Err(format!("{same} of {} samples are there after the server was killed", last + 1)),
        }
    }

    /// A spike among the first samples of a series says nothing yet.
    fn early_spike_is_ignored(&mut self) -> Result<String, String> {
        const EARLY: &str = "selftest_young";
        let normal = |at: usize| self.sample(at);
        let young = (0..10).map(normal).chain((10..20).map(|at| (normal(at).0, normal(at).1 * SPIKE_FACTOR)));
        self.push(EARLY, young)?;
        self.wait_for_model(EARLY, 20)?;
        self.expect_none(EARLY, "the tenth sample and after, four times as high")
    }

    fn normal_is_quiet(&mut self) -> Result<String, String> {
        self.push(METRIC, (0..NORMAL).map(|at| self.sample(at)))?;
        self.wait_for_model(METRIC, NORMAL)?;
        self.expect_none(METRIC, "ten minutes, a sample a second")
    }

    fn expect_none(&self, metric: &str, what: &str) -> Result<String, String> {
        match &self.anomalies_of(metric)?[..] {
            [] => Ok(what.to_owned()),
            [anomaly, ..] => Err(format!("an anomaly all the same: {anomaly}")),
        }
    }

    fn spike_is_seen(&mut self) -> Result<String, String> {
        self.push(METRIC, (NORMAL..NORMAL + SPIKE).map(|at| self.sample(at)))?;
        self.anomalies()
    }
}

/// The body of a good answer.
fn json_of(answer: &Answer) -> Result<Value, String> {
    let told = || format!("status {}: {}", answer.status, answer.body.trim_end());
    if answer.status != 200 {
        return Err(told());
    }
    serde_json::from_str(&answer.body).map_err(|_| told())
}

/// A folder of our own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let name = format!("infrawatch-selftest-{}-{}", std::process::id(), clock::now_ms());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server process; killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts this very program and waits until it is ready.
    fn start(folder: &Path) -> Result<Self, String> {
        // A file takes the log, so that nobody has to read a pipe while the server runs.
        let log_path = folder.join("log");
        let log = File::create(&log_path).map_err(|error| format!("{}: {error}", log_path.display()))?;
        let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
        let mut command = Command::new(program);
        command.args(["serve", "--http-listen", "127.0.0.1:0", "--statsd-listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(folder.join("data")).current_dir(folder).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("a server cannot be started: {error}"))?;
        let mut server = Self { child, url: String::new() };
        let deadline = clock::monotonic() + PATIENCE;
        while clock::monotonic() < deadline {
            let said = std::fs::read_to_string(&log_path).unwrap_or_default();
            let ready = said.lines().find_map(|line| line.split_once("ready http=")).filter(|_| said.ends_with('\n'));
            if let Some((_, rest)) = ready {
                server.url = format!("http://{}", rest.split(' ').next().unwrap_or_default());
                return Ok(server);
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("the server ended with {status}: {}", said.trim_end()));
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("the server was not ready within {} s", PATIENCE.as_secs()))
    }

    fn kill(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
