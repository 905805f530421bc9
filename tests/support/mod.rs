//! What tests of the whole program share: the built server, the real peers it is compared with, and HTTP.
//!
//! Not here: expectations; each test file states its own.

#![allow(dead_code, reason = "every test file is a program of its own and uses its own part of this")]

pub(crate) mod http;
pub(crate) mod peer;
mod process;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod snmpd;

use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);

/// What `attempt` gives as soon as it gives something; panics with `what` when it has given nothing for `seconds`.
///
/// The clock of another process cannot be an argument, so waiting for one is the one place where tests pause.
pub(crate) fn eventually<T>(what: &str, seconds: u64, mut attempt: impl FnMut() -> Option<T>) -> T {
    let attempts = Duration::from_secs(seconds).as_millis() / PAUSE.as_millis();
    for _ in 0..attempts {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("waited {seconds} s in vain: {what}");
}
