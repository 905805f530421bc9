//! How commands speak to a server: its address, one agent for all requests, and why there was no answer.
//!
//! Not here: what is asked (see the commands).

use super::CliError;
use crate::config::{Http, TOKEN_VARIABLE};
use crate::http_client::tls_for;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};

/// A status and a body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Asks and sends within a time limit, with the token of the environment if there is one.
#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    authorization: Option<String>,
}

/// Text as a part of a path, or a parameter.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl Client {
    /// A client of plain HTTP whose every request may take so long.
    pub(super) fn new(timeout: Duration) -> Self {
        Self::over(timeout, TlsConfig::builder().root_certs(RootCerts::Specific(Arc::default())).build())
    }

    /// A client for the server of a URL, over HTTPS where that says so, trusting the certificates of a file or the system's.
    pub(super) fn of(url: &str, timeout: Duration, trusted: Option<&Path>) -> Result<Self, CliError> {
        let tls = tls_for(url, trusted).map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(Self::over(timeout, tls))
    }

    fn over(timeout: Duration, tls: TlsConfig) -> Self {
        // A proxy of the environment would be asked for a loopback address of its own.
        let settings = ureq::Agent::config_builder().proxy(None).timeout_global(Some(timeout)).tls_config(tls);
        let agent = settings.http_status_as_error(false).build().new_agent();
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        Self { agent, authorization: token.map(|token| format!("Bearer {token}")) }
    }

    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    }

    /// GET; the error says why there was no answer.
    pub(super) fn get(&self, url: &str) -> Result<Answer, String> {
        self.signed(self.agent.get(url)).call().map_err(reason).map(read)
    }

    /// GET with parameters, which are percent-encoded, of an answer of any length.
    pub(super) fn get_with(&self, url: &str, parameters: &[(&str, String)]) -> Result<Answer, String> {
        let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let mut answer = self.signed(self.agent.get(url)).query_pairs(pairs).call().map_err(reason)?;
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string().map_err(reason)?;
        Ok(Answer { status: answer.status().as_u16(), body })
    }

    /// GET with parameters of an answer that goes on to `out` as it comes; any other status than 200 is an error.
    pub(super) fn download(&self, url: &str, parameters: &[(&str, String)], out: &mut dyn Write) -> Result<(), String> {
        let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let answer = self.signed(self.agent.get(url)).query_pairs(pairs).call().map_err(reason)?;
        if answer.status().as_u16() != 200 {
            let Answer { status, body } = read(answer);
            return Err(format!("status {status}: {}", body.trim_end()));
        }
        let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        io::copy(&mut body, out).map(drop).map_err(|error| error.to_string())
    }

    /// DELETE; the error says why there was no answer.
    pub(super) fn delete(&self, url: &str) -> Result<Answer, String> {
        self.signed(self.agent.delete(url)).call().map_err(reason).map(read)
    }

    /// POST of JSON; the error says why there was no answer.
    pub(super) fn post_json(&self, url: &str, body: &str) -> Result<Answer, String> {
        self.signed(self.agent.post(url))
            .header("content-type", "application/json")
            .send(body)
            .map_err(reason)
            .map(read)
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Answer {
    let body = answer.body_mut().read_to_string().unwrap_or_default();
    Answer { status: answer.status().as_u16(), body }
}

/// Why there was no answer; the system's own words where it was the system that refused.
fn reason(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// A server's URL without a slash at its end; the scheme may be left out.
pub(super) fn url_of(server: &str) -> String {
    let url = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    url.trim_end_matches('/').to_owned()
}

/// The address at which a server with these settings is reached from its own machine.
pub(super) fn server_at(http: &Http) -> Result<String, CliError> {
    let addr = http.listen.addr().filter(|addr| addr.port() != 0);
    let addr = addr.ok_or_else(|| CliError::Failed("http.listen names no port: say --server URL".to_owned()))?;
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if http.tls_cert_file.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}", SocketAddr::new(ip, addr.port())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Listen};

    fn at(listen: Listen) -> Http {
        Http { listen, ..Config::default().http }
    }

    #[test]
    fn a_server_with_a_certificate_is_asked_by_https() {
        let http = Http { tls_cert_file: Some("a.pem".into()), ..at(Listen::At("0.0.0.0:80".parse().unwrap())) };
        assert_eq!(server_at(&http).unwrap(), "https://127.0.0.1:80");
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_loopback() {
        let of = |text: &str| server_at(&at(Listen::At(text.parse().unwrap()))).unwrap();
        assert_eq!(of("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(of("[::]:80"), "http://[::1]:80");
        assert_eq!(of("10.0.0.1:80"), "http://10.0.0.1:80");
    }

    #[test]
    fn without_a_port_the_server_has_to_be_named() {
        for listen in [Listen::Off, Listen::At("127.0.0.1:0".parse().unwrap())] {
            assert!(server_at(&at(listen)).unwrap_err().to_string().contains("--server"));
        }
    }

    #[test]
    fn a_server_may_be_named_without_its_scheme() {
        assert_eq!(url_of("host:80"), "http://host:80");
        assert_eq!(url_of("http://host/"), "http://host");
    }
}
