//! Requests to one agent and its answers, in any version, without a socket: what to send, and what a datagram means.
//!
//! ```text
//!  request(id, pdu) ──▶ datagram          accept(datagram, id) ──▶ Response   the answer
//!                                                                  Again      the engine was learned: send again
//!                                                                  Refused    the agent says why not
//!                                                                  NotOurs    nothing happened: go on waiting
//! ```
//!
//! Not here: sockets, timeouts, how often to try again; a clock (times are arguments).
//!
//! Invariants: a datagram that does not answer the request with this id changes nothing; only one whose digest was right
//! moves the agent's clock, but for the first guess of a discovery.

use super::community::{CommunityMessage, Version, encode_community};
use super::pdu::{Pdu, PduBuilder, PduKind};
use super::usm::{Engine, LocalizedUser, Report, User};
use super::v3::{Payload, ScopedPdu, V3Builder, V3Message};

/// Who asks.
#[derive(Clone)]
pub enum Credentials {
    /// Whoever knows the community; versions 1 and 2c.
    Community(Version, Vec<u8>),
    /// A user, and the context asked for; version 3.
    User(User, Vec<u8>),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Community(version, _) => write!(f, "Community({version:?}, not shown)"),
            Self::User(user, context) => f.debug_tuple("User").field(user).field(context).finish(),
        }
    }
}

/// What a datagram means for the request with the id that was given.
#[derive(Debug)]
pub enum Answer<'a> {
    /// The answer; its error status is the caller's to look at.
    Response(Pdu<'a>),
    /// The agent's engine or its clock was learned; the request has to be sent again, with a new id.
    Again,
    /// The agent refuses, for a reason that asking again does not change.
    Refused(Report),
    /// Not an answer to this request, or not to be believed.
    NotOurs,
}

/// What is known of one agent.
#[derive(Debug, Clone)]
pub struct Session {
    credentials: Credentials,
    engine: Option<Engine>,
    keys: Option<LocalizedUser>,
    /// Number of the next salt; starts at random, because a salt must not come twice, also after a restart.
    salt: u64,
}

impl Session {
    /// A session with an agent nothing is known of. `random` has to be unpredictable.
    pub fn new(credentials: Credentials, random: u64) -> Self {
        Self { credentials, engine: None, keys: None, salt: random }
    }

    /// The version of its messages.
    pub fn version(&self) -> Version {
        match &self.credentials {
            Credentials::Community(version, _) => *version,
            Credentials::User(..) => Version::V3,
        }
    }

    /// Whether the next request only asks who the agent is.
    pub fn is_discovering(&self) -> bool {
        self.version() == Version::V3 && self.engine.is_none()
    }

    /// What is known of the agent's engine.
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// Forgets the agent's engine: it was replaced, or lost its boots.
    pub fn forget(&mut self) {
        self.engine = None;
        self.keys = None;
    }

    /// The datagram of a request; `id` is repeated in the answer and must not be guessable. While the agent's engine is
    /// not known it asks for that instead.
    pub fn request(&mut self, id: i32, pdu: &PduBuilder<'_>, now_ms: i64, buffer: Vec<u8>) -> Vec<u8> {
        let pdu = PduBuilder { request_id: id, ..*pdu };
        let (user, context) = match &self.credentials {
            Credentials::Community(version, community) => return encode_community(*version, community, &pdu, buffer),
            Credentials::User(user, context) => (user, context),
        };
        let message = V3Builder {
            msg_id: id,
            reportable: true,
            engine_id: &[],
            boots: 0,
            time: 0,
            user: &[],
            context: &[],
            context_engine_id: None,
            pdu,
        };
        let Some(engine) = &self.engine else {
            let pdu = PduBuilder::request(PduKind::Get, id, &[]);
            return V3Builder { pdu, ..message }.encode(None, 0, buffer);
        };
        let (boots, time) = engine.clock(now_ms);
        self.salt = self.salt.wrapping_add(1);
        let message = V3Builder { engine_id: engine.id(), boots, time, user: user.name(), context, ..message };
        message.encode(self.keys.as_ref(), self.salt, buffer)
    }

    /// What a datagram means; `scratch` holds the unit of an encrypted one.
    pub fn accept<'a>(&mut self, datagram: &'a [u8], id: i32, now_ms: i64, scratch: &'a mut Vec<u8>) -> Answer<'a> {
        match &self.credentials {
            Credentials::Community(version, _) => match CommunityMessage::read(datagram) {
                Ok(message) if message.version == *version => response(message.pdu, id),
                _ => Answer::NotOurs,
            },
            Credentials::User(..) => match V3Message::read(datagram) {
                Ok(message) if message.msg_id == id => self.accept_v3(datagram, &message, id, now_ms, scratch),
                _ => Answer::NotOurs,
            },
        }
    }

    fn accept_v3<'a>(
        &mut self,
        datagram: &[u8],
        message: &V3Message<'a>,
        id: i32,
        now_ms: i64,
        scratch: &'a mut Vec<u8>,
    ) -> Answer<'a> {
        if self.engine.is_none() {
            return self.discovered(message, now_ms);
        }
        let (Some(engine), Some(keys)) = (&mut self.engine, &self.keys) else { return Answer::NotOurs };
        if message.engine_id != engine.id() {
            return unauthenticated_report(message);
        }
        // A Report may be less secured than the request: an engine that cannot check a digest cannot make one.
        if keys.verify(datagram, message).is_err() {
            return unauthenticated_report(message);
        }
        // Without a digest anybody could have written the time, and it has no meaning (RFC 3414, section 3.2, step 7).
        let is_in_time = !keys.has_auth() || engine.authenticated(message.boots, message.time, now_ms).is_ok();
        if let Some(report) = report_of(message) {
            return match report {
                Report::NotInTimeWindow if is_in_time => Answer::Again,
                Report::NotInTimeWindow => Answer::NotOurs,
                other => Answer::Refused(other),
            };
        }
        if !is_in_time || keys.open(datagram, message, scratch).is_err() {
            return Answer::NotOurs;
        }
        let scoped = match message.payload {
            Payload::Plain(scoped) => Some(scoped),
            Payload::Encrypted(_) => ScopedPdu::read(scratch).ok(),
        };
        match scoped {
            Some(scoped) if scoped.pdu.kind == PduKind::Report => encrypted_report(&scoped),
            Some(scoped) => response(scoped.pdu, id),
            None => Answer::NotOurs,
        }
    }

    /// The answer to a discovery.
    fn discovered<'a>(&mut self, message: &V3Message<'_>, now_ms: i64) -> Answer<'a> {
        let Credentials::User(user, _) = &self.credentials else { return Answer::NotOurs };
        if report_of(message) != Some(Report::UnknownEngineId) || message.engine_id.is_empty() {
            return Answer::NotOurs;
        }
        self.keys = Some(user.localize(message.engine_id));
        self.engine = Some(Engine::discovered(message.engine_id, message.boots, message.time, now_ms));
        Answer::Again
    }
}

fn response(pdu: Pdu<'_>, id: i32) -> Answer<'_> {
    if pdu.kind == PduKind::Response && pdu.request_id == id { Answer::Response(pdu) } else { Answer::NotOurs }
}

fn report_in(scoped: &ScopedPdu<'_>) -> Option<Report> {
    let is_report = scoped.pdu.kind == PduKind::Report;
    is_report.then(|| scoped.pdu.var_binds().next()).flatten().and_then(|var_bind| Report::of(var_bind.name))
}

/// What a Report in clear says.
fn report_of(message: &V3Message<'_>) -> Option<Report> {
    match &message.payload {
        Payload::Plain(scoped) => report_in(scoped),
        Payload::Encrypted(_) => None,
    }
}

/// Anybody can send these; they stop one request and change nothing that is known.
fn unauthenticated_report<'a>(message: &V3Message<'_>) -> Answer<'a> {
    match report_of(message) {
        None | Some(Report::NotInTimeWindow) => Answer::NotOurs,
        Some(report) => Answer::Refused(report),
    }
}

fn encrypted_report<'a>(scoped: &ScopedPdu<'_>) -> Answer<'a> {
    match report_in(scoped) {
        Some(Report::NotInTimeWindow) => Answer::Again,
        Some(report) => Answer::Refused(report),
        None => Answer::NotOurs,
    }
}
