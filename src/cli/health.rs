//! `infrawatch health`: asks a server how it is; made for the health checks of containers and service managers.
//!
//! Not here: what healthy means (see `api`): any answer 200 to `/health` is.

use super::output::write_text;
use super::settings::load;
use super::{CliError, Global};
use crate::config::Listen;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longer than a busy server takes, shorter than the patience of whoever runs health checks.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Health {
    /// Server to ask, such as http://127.0.0.1:8080 [default: the configured http.listen]
    #[arg(long, alias = "url", value_name = "URL")]
    server: Option<String>,
}

impl Health {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let server = match &self.server {
            Some(server) => with_scheme(server),
            None => server_at(load(global, Vec::new())?.config.http.listen)?,
        };
        let url = format!("{}/health", server.trim_end_matches('/'));
        let said = ask(&url).map_err(|what| CliError::Failed(format!("no healthy answer from {url}: {what}")))?;
        if global.quiet { Ok(()) } else { write_text(global, &format!("{}\n", said.trim_end())) }
    }
}

fn with_scheme(server: &str) -> String {
    if server.contains("://") { server.to_owned() } else { format!("http://{server}") }
}

/// The address at which a server with this setting is reached from its own machine.
fn server_at(listen: Listen) -> Result<String, CliError> {
    let addr = listen.addr().filter(|addr| addr.port() != 0);
    let addr = addr.ok_or_else(|| CliError::Failed("http.listen names no port: say --server URL".to_owned()))?;
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, addr.port())))
}

/// The body of the answer, or why there is no good one.
fn ask(url: &str) -> Result<String, String> {
    // A proxy of the environment would be asked for a loopback address of its own.
    let settings = ureq::Agent::config_builder().proxy(None).timeout_global(Some(TIMEOUT)).http_status_as_error(false);
    let agent = settings.build().new_agent();
    let mut answer = agent.get(url).call().map_err(reason)?;
    let body = answer.body_mut().read_to_string().unwrap_or_default();
    let status = answer.status().as_u16();
    if status == 200 { Ok(body) } else { Err(format!("status {status} {}", body.trim_end())) }
}

/// Why there was no answer; the system's own words where it was the system that refused.
fn reason(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_loopback() {
        let of = |text: &str| server_at(Listen::At(text.parse().unwrap())).unwrap();
        assert_eq!(of("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(of("[::]:80"), "http://[::1]:80");
        assert_eq!(of("10.0.0.1:80"), "http://10.0.0.1:80");
    }

    #[test]
    fn without_a_port_the_server_has_to_be_named() {
        for listen in [Listen::Off, Listen::At("127.0.0.1:0".parse().unwrap())] {
            assert!(server_at(listen).unwrap_err().to_string().contains("--server"));
        }
    }

    #[test]
    fn a_server_may_be_named_without_its_scheme() {
        assert_eq!(with_scheme("host:80"), "http://host:80");
        assert_eq!(with_scheme("http://host"), "http://host");
    }
}
