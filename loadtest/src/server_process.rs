//! A server that the load generator starts, watches and kills: ours, or one of the peers we are compared with.
//!
//! Each runs alone on loopback with a data directory of its own. Not here: what it used (see `process_stats`).
//!
//! Invariant: no server outlives the value that stands for it, however the run ends.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::http::{Address, Client};
use crate::meter::Stopwatch;

/// A server that is not ready by then is given up.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// Lines of its log kept for the message when it fails.
const LOG_LINES_KEPT: usize = 20;

/// Servers we are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Debian's package `prometheus`.
    Prometheus,
    /// Debian's package `victoria-metrics`.
    VictoriaMetrics,
}

impl Peer {
    /// The name of the package and of the program in it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Prometheus => "prometheus",
            Peer::VictoriaMetrics => "victoria-metrics",
        }
    }
}

/// A program to start.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// Our server: its binary and further arguments.
    InfraWatch(PathBuf, Vec<OsString>),
    /// A peer: its binary.
    Peer(Peer, PathBuf),
}

impl Program {
    /// Finds a peer on the search path.
    ///
    /// # Errors
    /// When it is not installed; names the package.
    pub(crate) fn peer(peer: Peer) -> Result<Program> {
        let name = peer.name();
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&search_path).map(|folder| folder.join(name)).find(|file| file.is_file());
        let binary = found.with_context(|| format!("{name} is not installed: apt-get install {name}"))?;
        Ok(Program::Peer(peer, binary))
    }

    /// The same with further arguments, which only our server takes.
    pub(crate) fn with(&self, arguments: &[&str]) -> Program {
        match self {
            Program::InfraWatch(binary, before) => {
                let all = before.iter().cloned().chain(arguments.iter().map(OsString::from));
                Program::InfraWatch(binary.clone(), all.collect())
            }
            Program::Peer(..) => self.clone(),
        }
    }

    /// Its name in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Program::InfraWatch(..) => "infrawatch",
            Program::Peer(peer, _) => peer.name(),
        }
    }

    /// Whether it is our own server.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Program::InfraWatch(..))
    }

    /// The command that starts it on `port`, or on one of its choice where it can say which.
    fn command(&self, data_dir: &Path, port: u16) -> Result<Command> {
        let listen = format!("127.0.0.1:{port}");
        let path = data_dir.display();
        Ok(match self {
            Program::InfraWatch(binary, extra) => {
                let mut command = Command::new(binary);
                command.arg("serve").arg("--data-dir").arg(data_dir);
                command.args(["--http-listen", "127.0.0.1:0"]).args(extra);
                if !extra.iter().any(|argument| argument == "--statsd-listen") {
                    command.args(["--statsd-listen", "off"]);
                }
                command
            }
            Program::Peer(Peer::Prometheus, binary) => {
                // The configuration stands beside the data, so that it is not counted as data.
                let config = data_dir.with_extension("yml");
                fs::write(&config, "global: {}\n").with_context(|| config.display().to_string())?;
                let mut command = Command::new(binary);
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={path}")).arg(format!("--web.listen-address={listen}"));
                command.arg("--web.enable-remote-write-receiver");
                command
            }
            Program::Peer(Peer::VictoriaMetrics, binary) => {
                let mut command = Command::new(binary);
                command.arg(format!("-storageDataPath={path}")).arg(format!("-httpListenAddr={listen}"));
                // Without these it would answer queries from a cache and hide the newest 30 s of data.
                command.args(["-search.disableCache", "-search.latencyOffset=0s", "-retentionPeriod=12"]);
                command
            }
        })
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: Address,
    statsd: Option<String>,
    data_dir: PathBuf,
    log: Arc<Mutex<VecDeque<String>>>,
    log_reader: Option<JoinHandle<()>>,
    is_ours: bool,
    /// From its start until it was ready, in seconds.
    pub(crate) ready_s: f64,
}

impl Server {
    /// Starts a program on a data directory and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, exits, or is not ready in two minutes; with the last lines of its log.
    pub(crate) fn start(program: &Program, data_dir: &Path) -> Result<Server> {
        let port = if program.is_ours() { 0 } else { free_port()? };
        let watch = Stopwatch::start();
        let mut child = program
            .command(data_dir, port)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.name()))?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let (ready_sender, ready) = sync_channel(1);
        let log_copy = Arc::clone(&log);
        let log_reader = Builder::new()
            .name("server-log".into())
            .spawn(move || keep_log(stderr, &log_copy, &ready_sender))
            .context("start the thread that reads the server's log")?;
        let mut server = Server {
            child,
            address: Address { authority: format!("127.0.0.1:{port}"), prefix: String::new() },
            statsd: None,
            data_dir: data_dir.to_owned(),
            log,
            log_reader: Some(log_reader),
            is_ours: program.is_ours(),
            ready_s: 0.0,
        };
        let outcome = if server.is_ours { server.wait_for_line(&ready) } else { server.poll_until_ready(&watch) };
        if let Err(error) = outcome {
            server.kill();
            return Err(error.context(format!("{}: {}", program.name(), server.log_text())));
        }
        server.ready_s = watch.elapsed_s();
        Ok(server)
    }

    /// Ours says where it listens.
    fn wait_for_line(&mut self, ready: &Receiver<String>) -> Result<()> {
        match ready.recv_timeout(READY_TIMEOUT) {
            Ok(line) => {
                self.address.authority = address_after(&line, "http=").unwrap_or_default().to_owned();
                self.statsd = address_after(&line, "statsd=").filter(|word| *word != "off").map(str::to_owned);
            }
            Err(RecvTimeoutError::Timeout) => bail!("not ready after {READY_TIMEOUT:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("ended before it was ready"),
        }
        Ok(())
    }

    /// Peers answer on their ready path once they are.
    fn poll_until_ready(&mut self, watch: &Stopwatch) -> Result<()> {
        let mut client = Client::new(&self.address);
        // VictoriaMetrics answers this path too.
        let request = self.address.get("/-/ready", &[]);
        while client.fetch(&request).is_err() {
            if self.has_ended() {
                bail!("ended before it was ready");
            }
            if watch.elapsed() > READY_TIMEOUT {
                bail!("not ready after {READY_TIMEOUT:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Where it hears StatsD, if it does.
    pub(crate) fn statsd(&self) -> Option<&str> {
        self.statsd.as_deref()
    }

    /// Whether it is our own server.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Where its data lie.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Whether it is no longer running.
    pub(crate) fn has_ended(&mut self) -> bool {
        // An error means that there is no such child any more.
        self.child.try_wait().map_or(true, |status| status.is_some())
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it has already ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.log_reader.take() {
            let _ = reader.join();
        }
    }

    /// The last lines that it logged.
    pub(crate) fn log_text(&self) -> String {
        let lines = self.log.lock().expect("the log reader does not panic");
        lines.iter().map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads the log to its end: a full pipe would stop the server. Passes on the ready line.
fn keep_log(stderr: ChildStderr, log: &Mutex<VecDeque<String>>, ready: &SyncSender<String>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if address_after(&line, "http=").is_some() {
            // A second such line finds the channel full or closed; the first one counts.
            let _ = ready.try_send(line.clone());
        }
        let mut lines = log.lock().expect("readers of the log do not panic");
        if lines.len() == LOG_LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// An address in a line `ready http=ADDR statsd=ADDR`.
fn address_after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix("ready ")?.split(' ').find_map(|word| word.strip_prefix(key))
}

/// A port that was free a moment ago, for servers that cannot say which one they chose.
/// A port of loopback that nobody listens at.
///
/// # Errors
/// When the system has none.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

/// A directory that goes away with its value.
#[derive(Debug)]
pub(crate) struct ScratchDir {
    path: PathBuf,
}

impl ScratchDir {
    /// A new directory where temporary files belong (`TMPDIR` decides; keep it off memory file systems when
    /// measuring, they sync for free).
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn new() -> Result<ScratchDir> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("infrawatch-loadtest-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(ScratchDir { path })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is, for someone to look at.
    pub(crate) fn keep(self) -> PathBuf {
        let path = self.path.clone();
        std::mem::forget(self);
        path
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_addresses() {
        let line = "ready http=127.0.0.1:8080 statsd=127.0.0.1:8125";
        assert_eq!(address_after(line, "http="), Some("127.0.0.1:8080"));
        assert_eq!(address_after(line, "statsd="), Some("127.0.0.1:8125"));
        assert_eq!(address_after("INFO ready http=127.0.0.1:8080", "http="), None);
        assert_eq!(address_after("ready statsd=off", "http="), None);
    }

    #[test]
    fn a_server_that_ends_early_is_an_error_with_its_log() {
        let scratch = ScratchDir::new().unwrap();
        let program = Program::InfraWatch("/bin/ls".into(), vec![]);
        let error = Server::start(&program, scratch.path()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("ended before it was ready") && text.contains("ls:"), "{text}");
    }

    #[test]
    fn a_scratch_directory_goes_away_unless_kept() {
        let scratch = ScratchDir::new().unwrap();
        let path = scratch.path().to_owned();
        assert!(path.is_dir());
        drop(scratch);
        assert!(!path.exists());
        let kept = ScratchDir::new().unwrap().keep();
        assert!(kept.is_dir());
        fs::remove_dir(kept).unwrap();
    }
}
