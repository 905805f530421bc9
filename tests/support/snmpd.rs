//! Debian's SNMP agent on a port of loopback, with its configuration in a folder of its own.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Passwords of both users.
pub(crate) const AUTH_PASSWORD: &str = "a password to prove it";
pub(crate) const PRIVACY_PASSWORD: &str = "a password to hide it";

/// Not `snmpd.conf`: the agent writes its own state to a file of that name in the same folder.
const CONFIGURATION: &str = "agent.conf";

/// A running agent; killed when dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

/// A port of loopback that nobody hears.
pub(crate) fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

impl Agent {
    /// Knows the community public, and the users operator (SHA-256, AES-256) and old (SHA, AES-128); `more` is added to
    /// its configuration.
    pub(crate) fn start(more: &str) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let port = free_udp_port();
        let configuration = format!(
            "rocommunity public\n\
             createUser operator SHA-256 \"{AUTH_PASSWORD}\" AES-256 \"{PRIVACY_PASSWORD}\"\n\
             createUser old SHA \"{AUTH_PASSWORD}\" AES \"{PRIVACY_PASSWORD}\"\n\
             rouser operator priv\nrouser old priv\n{more}\n"
        );
        std::fs::write(folder.path().join(CONFIGURATION), configuration).expect("the folder is ours");
        Self { child: Self::spawn(folder.path(), port), port, folder }
    }

    fn spawn(folder: &Path, port: u16) -> Child {
        Command::new("/usr/sbin/snmpd")
            .args(["-f", "-Lf", "/dev/null", "-C", "-c"])
            .arg(folder.join(CONFIGURATION))
            .arg(format!("udp:127.0.0.1:{port}"))
            .env("SNMP_PERSISTENT_DIR", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package snmpd is installed; ./test installs it")
    }

    /// Kills it and starts it again: its clock begins anew, and its boots rise.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = Self::spawn(self.folder.path(), self.port);
    }

    /// Makes it read its configuration again, which raises its boots and not its clock.
    pub(crate) fn reload(&self) {
        let pid = self.child.id().to_string();
        let told = Command::new("sh").args(["-c", "kill -HUP \"$1\"", "sh", &pid]).status();
        assert!(told.expect("there is a shell").success());
    }

    fn stop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}
