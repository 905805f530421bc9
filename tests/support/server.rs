//! The built program as users run it: `infrawatch serve` on a directory of its own and a port the system chooses.

use super::process::Process;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Recovery included; far above what a start takes, so that a loaded machine does not fail the test.
const START_SECONDS: u64 = 60;
/// What the documents promise for a stop.
const STOP_SECONDS: u64 = 10;

/// What a server was started with, and is started with again.
#[derive(Debug)]
struct Given {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Given {
    fn new(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { arguments, variables }
    }
}

/// A running server and its data directory; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    data_dir: TempDir,
    given: Given,
    address: String,
    statsd: String,
    statsd_tcp: Option<String>,
}

impl Server {
    /// Starts on an empty directory and waits until it is ready.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--statsd-listen", "off"])
    }

    /// The same with these arguments, which say where StatsD is heard.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_with_both(arguments, &[])
    }

    /// The same as [`Self::start`] with settings from the environment.
    pub(crate) fn start_with_settings(variables: &[(&str, &str)]) -> Self {
        Self::start_with_both(&["--statsd-listen", "off"], variables)
    }

    /// The same with arguments and settings from the environment.
    pub(crate) fn start_with_both(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().expect("a temporary directory"), Given::new(arguments, variables))
    }

    fn start_in(data_dir: TempDir, given: Given) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
        command.args(["serve", "--http-listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir.path());
        // Settings of whoever runs the tests must not reach the server under test.
        command.args(&given.arguments).env_clear().envs(given.variables.iter().cloned());
        let mut process = Process::spawn(&mut command).expect("the built program starts");
        let rest = process.rest_of_line_after("ready http=", START_SECONDS);
        let (address, statsd) = rest.split_once(" statsd=").expect("the ready line names both addresses");
        let statsd_tcp = statsd.split_once(" statsd_tcp=").map(|(_, tcp)| tcp.trim().to_owned());
        let statsd = statsd.split_whitespace().next().expect("the ready line names the StatsD address");
        let (address, statsd) = (address.to_owned(), statsd.to_owned());
        Self { process, data_dir, given, address, statsd, statsd_tcp }
    }

    /// Where StatsD is heard.
    pub(crate) fn statsd(&self) -> &str {
        &self.statsd
    }

    /// Where StatsD is heard over TCP.
    pub(crate) fn statsd_tcp(&self) -> &str {
        self.statsd_tcp.as_deref().expect("the ready line names the TCP address")
    }

    /// The URL of a path, such as `/api/v1/write`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What curl prints, whatever bytes it got.
    pub(crate) fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl").args(arguments).output().expect("curl is installed; ./test installs it");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything the server keeps.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Sets a resource limit of the running server, as `prlimit` names it; `None` lifts it.
    pub(crate) fn limit(&self, resource: &str, at: Option<usize>) {
        let limit = at.map_or("unlimited".to_owned(), |at| at.to_string());
        let (pid, limit) = (self.process.pid().to_string(), format!("--{resource}={limit}:"));
        let set = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(set.expect("prlimit comes with util-linux").success(), "{limit}");
    }

    /// The most memory the server has had so far, in MiB.
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()));
        let status = status.expect("our own child has a status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux keeps the peak");
        peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") / 1024
    }

    /// A figure of the page of metrics, without labels.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        let page = super::http::get(&self.url("/metrics"), &[]).expect("the server answers").body;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}:\n{page}")).parse().expect("a number")
    }

    /// How many files and sockets the server has open.
    pub(crate) fn open_files(&self) -> usize {
        let listed = std::fs::read_dir(format!("/proc/{}/fd", self.process.pid()));
        listed.expect("our own child is listed").count()
    }

    /// Stops as a service manager does and holds the server to its promise: exit 0 within 10 s.
    pub(crate) fn stop(self) -> Stopped {
        let status = self.process.terminate(STOP_SECONDS);
        assert_eq!(status.code(), Some(0), "exit status after SIGTERM");
        Stopped { data_dir: self.data_dir, given: self.given }
    }

    /// SIGKILL: no chance to finish anything.
    pub(crate) fn kill(self) -> Stopped {
        drop(self.process);
        Stopped { data_dir: self.data_dir, given: self.given }
    }
}

/// The directory of a server that no longer runs.
#[derive(Debug)]
pub(crate) struct Stopped {
    data_dir: TempDir,
    given: Given,
}

impl Stopped {
    /// Everything the server kept.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// As if the server had been away for more than the last year, for its schedule of reports: the next start makes one.
    pub(crate) fn miss_reports(&self) {
        let file = self.data_dir().join("reports/capacity_state.json");
        let text = std::fs::read_to_string(&file).expect("the server keeps since when its schedule holds");
        let mut state: serde_json::Value = serde_json::from_str(&text).expect("JSON of one object");
        let since_ms = state["since_ms"].as_i64().expect("milliseconds");
        state["since_ms"] = (since_ms - 400 * 86_400_000).into();
        std::fs::write(&file, state.to_string()).expect("the folder can be written");
    }

    /// Starts again on the same directory with what it was given, at another port, and waits until it is ready.
    pub(crate) fn restart(self) -> Server {
        Server::start_in(self.data_dir, self.given)
    }
}
