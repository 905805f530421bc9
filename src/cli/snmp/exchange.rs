//! One device asked directly: a request, its answer, and why there was none.
//!
//! Not here: what the failure means for people (see `test`).

use crate::clock;
use protocols::snmp::usm::Report;
use protocols::snmp::{Answer, Credentials, ErrorStatus, Pdu, PduBuilder, Session};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Times an engine may be learned before that is given up.
const LEARNED_MAX: u32 = 3;
const DATAGRAM_BYTES: usize = 1 << 16;

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The system knows no way, or the network says that there is none.
    NoRoute(io::Error),
    /// The machine is there, and nothing listens at the port.
    NobodyListens,
    /// Nothing came.
    Timeout,
    /// The agent says why not.
    Refused(Report),
    /// The agent answers with an error.
    Failed(ErrorStatus),
    /// Something else of the system.
    System(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::NobodyListens,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Self::NoRoute(error),
            _ => Self::System(error),
        }
    }
}

/// A connected socket and what is known of the agent.
#[derive(Debug)]
pub(super) struct Exchange {
    socket: UdpSocket,
    session: Session,
    timeout: Duration,
    retries: u32,
    random: RandomState,
    asked: u64,
    datagram: Vec<u8>,
}

impl Exchange {
    /// Nothing is sent yet.
    pub(super) fn new(
        address: SocketAddr,
        credentials: Credentials,
        timeout: Duration,
        retries: u32,
    ) -> Result<Self, Failure> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        // Connected, so that the network's own answers are heard.
        socket.connect(address)?;
        let random = RandomState::new();
        let session = Session::new(credentials, random.hash_one("salt"));
        Ok(Self { socket, session, timeout, retries, random, asked: 0, datagram: vec![0; DATAGRAM_BYTES] })
    }

    /// What is known of the agent.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Sends a request until it is answered; `read` gets the answer, and how long it took.
    pub(super) fn ask<T>(
        &mut self,
        pdu: &PduBuilder<'_>,
        read: impl FnOnce(&Pdu<'_>, Duration) -> T,
    ) -> Result<T, Failure> {
        let (mut tries, mut learned) = (0, 0);
        let mut scratch = Vec::new();
        while tries <= self.retries && learned <= LEARNED_MAX {
            self.asked += 1;
            let id = (self.random.hash_one(self.asked) as i32 & i32::MAX).max(1);
            let request = self.session.request(id, pdu, clock::now_ms(), Vec::new());
            self.socket.send(&request)?;
            let sent = clock::monotonic();
            loop {
                let left = self.timeout.saturating_sub(sent.elapsed());
                if left.is_zero() {
                    tries += 1;
                    break;
                }
                self.socket.set_read_timeout(Some(left))?;
                let len = match self.socket.recv(&mut self.datagram) {
                    Ok(len) => len,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                    Err(error) => return Err(error.into()),
                };
                match self.session.accept(&self.datagram[..len], id, clock::now_ms(), &mut scratch) {
                    Answer::NotOurs => {}
                    Answer::Refused(report) => return Err(Failure::Refused(report)),
                    Answer::Again => {
                        learned += 1;
                        break;
                    }
                    Answer::Response(pdu) => return Ok(read(&pdu, sent.elapsed())),
                }
            }
        }
        Err(if learned > LEARNED_MAX { Failure::Refused(Report::NotInTimeWindow) } else { Failure::Timeout })
    }
}
