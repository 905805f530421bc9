//! Tells the service manager when the server is ready, alive and stopping, in the protocol of sd_notify(3): one datagram
//! for each state to the socket that `NOTIFY_SOCKET` names.
//!
//! Not here: starting and stopping (see `server`); whether the parts are well (see `api::health`).
//!
//! Invariant: without `NOTIFY_SOCKET` nothing is sent; what cannot be sent is logged and changes nothing.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager that started this process, if one did and wants to know.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// Half of the time after which silence means that we hang.
    beat: Option<Duration>,
}

impl ServiceManager {
    /// As the environment of this process says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let socket = variable("NOTIFY_SOCKET").and_then(|address| match connect(&address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(?address, %error, "the service manager cannot be told anything");
                None
            }
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let beat = number("WATCHDOG_USEC").filter(|us| is_for_us && *us > 0).map(|us| Duration::from_micros(us) / 2);
        Self { socket, beat }
    }

    /// Everything is open: others may start to depend on us.
    pub fn say_ready(&self) {
        self.say("READY=1");
    }

    /// We stop on purpose.
    pub fn say_stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Says that we live, as often as the service manager wants; never ends. It runs with the connections, so that it
    /// falls silent when they are no longer served.
    pub async fn keep_saying_alive(&self) -> Infallible {
        let Some(beat) = self.beat.filter(|_| self.socket.is_some()) else { return std::future::pending().await };
        let mut beats = tokio::time::interval(beat);
        loop {
            beats.tick().await;
            self.say("WATCHDOG=1");
        }
    }

    fn say(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(state.as_bytes()) {
            tracing::warn!(state, %error, "the service manager could not be told");
        }
    }
}

/// A path, or after `@` a name in the system's own space of socket names.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A service manager that does not listen must not hold us up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> ServiceManager {
        ServiceManager::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn states_arrive_at_a_path_and_at_a_name() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("infrawatch-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(by_path, path.to_str().unwrap().to_owned()), (by_name, format!("@{name}"))] {
            let manager = manager(&[("NOTIFY_SOCKET", &address)]);
            manager.say_ready();
            manager.say_stopping();
            let mut buffer = [0; 64];
            for expected in ["READY=1", "STOPPING=1"] {
                let length = socket.recv(&mut buffer).unwrap();
                assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), expected);
            }
        }
    }

    #[test]
    fn without_a_manager_or_with_one_that_is_gone_nothing_happens() {
        manager(&[]).say_ready();
        let gone = manager(&[("NOTIFY_SOCKET", "/nowhere/notify")]);
        assert!(gone.socket.is_none());
        gone.say_ready();
    }

    #[test]
    fn we_beat_twice_in_the_time_that_silence_may_last() {
        let beat = |variables: &[(&str, &str)]| manager(variables).beat;
        let pid = std::process::id().to_string();
        assert_eq!(beat(&[("WATCHDOG_USEC", "10000000")]), Some(Duration::from_secs(5)));
        assert_eq!(beat(&[("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", &pid)]), Some(Duration::from_secs(5)));
        assert_eq!(beat(&[("WATCHDOG_USEC", "10000000"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!((beat(&[]), beat(&[("WATCHDOG_USEC", "0")])), (None, None));
    }
}
