//! A real program of others on loopback, as its Debian package installs it.

use super::http::get;
use super::process::Process;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

const START_SECONDS: u64 = 30;

/// A running peer; killed when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Process,
    url: String,
}

impl Peer {
    /// Starts `program` of the Debian package `package` and waits until `http://127.0.0.1:port/ready_path` answers 200.
    ///
    /// Panics when the program is missing: a comparison that is skipped is a comparison that fails.
    pub(crate) fn start(package: &str, program: &str, arguments: &[String], port: u16, ready_path: &str) -> Self {
        let mut process =
            Process::spawn(Command::new(program).args(arguments)).unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => panic!("{program} is missing: apt-get install {package}"),
                _ => panic!("{program}: {error}"),
            });
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("{url}{ready_path}");
        process.eventually(&format!("{program} answers"), START_SECONDS, || {
            get(&ready, &[]).ok().filter(|answer| answer.status == 200)
        });
        Self { process, url }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// A port of loopback that nobody listens on; peers cannot be told to choose one and say which.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
