//! Programs that do something about alerts: run with the notification, or a report, on their standard input, and nothing of
//! our environment but the path.
//!
//! Only programs of `alerts.exec_allow` get here, each by its whole path and without a shell.
//!
//! Not here: which may be run (see `routing_file`).
//!
//! Invariant: a program that does not end is ended.

use super::{Failure, LOOK};
use crate::clock;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Where programs find others, where our own environment does not say.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a program once, with what it shall read.
pub(super) fn run(
    (program, arguments): (&Path, &[String]),
    is_dry: bool,
    (title, body): (&str, impl FnOnce() -> String),
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let failed = |what: String| Failure { what: format!("{}: {what}", program.display()), may_pass: false };
    if is_dry {
        tracing::warn!(program = %program.display(), ?arguments, title, "would be run, were it not for dry_run");
        return Ok(());
    }
    tracing::warn!(program = %program.display(), ?arguments, title, "is run");
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| USUAL_PATH.into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read what it is given may do so.
        let _ = input.write_all(body().as_bytes());
    }
    let deadline = clock::monotonic() + TIMEOUT;
    loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(failed(status.to_string())),
            None if clock::monotonic() > deadline || stop.load(Ordering::Relaxed) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("did not end in time".to_owned()));
            }
            None => thread::sleep(LOOK),
        }
    }
}
