//! A child process whose log is always drained, so that it never stalls on a full pipe, and which never outlives us.

use super::eventually;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running child and what it has written to stderr so far.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the command; an error when the system cannot start it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lock().expect("no holder panics").push(line);
            }
        })?;
        Ok(Self { child, log })
    }

    /// What `attempt` gives, as [`eventually`]; panics with the log as soon as the process has ended.
    pub(crate) fn eventually<T>(&mut self, what: &str, seconds: u64, mut attempt: impl FnMut() -> Option<T>) -> T {
        let log = Arc::clone(&self.log);
        eventually(what, seconds, || {
            let ended = self.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "{what}: ended with {ended:?}: {:#?}", log.lock());
            attempt()
        })
    }

    /// The rest of the first line of the log with this in it.
    pub(crate) fn rest_of_line_after(&mut self, start: &str, seconds: u64) -> String {
        let log = Arc::clone(&self.log);
        self.eventually(&format!("a line with {start:?}"), seconds, || {
            let lines = log.lock().expect("no holder panics");
            lines.iter().find_map(|line| line.split_once(start)).map(|(_, rest)| rest.to_owned())
        })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and the exit status that must follow within `seconds`.
    pub(crate) fn terminate(mut self, seconds: u64) -> ExitStatus {
        let pid = self.child.id().to_string();
        // A signal other than SIGKILL needs a C library call; every shell has it built in.
        let kill = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &pid]).status();
        assert!(kill.expect("there is a shell").success(), "SIGTERM to {pid}");
        let log = Arc::clone(&self.log);
        eventually(&format!("exit after SIGTERM: {:#?}", log.lock()), seconds, || {
            self.child.try_wait().expect("our own child")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
