//! Traps and informs of version 3: who sent them, whether they are of now, and how informs are answered.
//!
//! ```text
//!  trap    secured with the sender's engine: its keys, its clock
//!  inform  secured with ours: discovery ─▶ Report with identity, boots and time ─▶ inform ─▶ Response
//! ```
//!
//! Not here: which devices there are, what is kept of an event (see `traps`).
//!
//! Invariants: what is answered to somebody who proves nothing is a Report, smaller than what large requests are; a
//! sender's clock is moved only by a message whose digest was right; keys are made anew when the devices have changed.

use super::devices::DeviceSettings;
use super::own_engine::OwnEngine;
use super::traps::Refused;
use protocols::snmp::usm::{Engine, LocalizedUser, OpenError, Report, User};
use protocols::snmp::{
    Credentials, ErrorStatus, Notification, NotificationKind, Payload, PduBuilder, PduKind, ScopedPdu, V3Builder,
    V3Message, Value, VarBind,
};
use std::collections::HashMap;

/// Engines of senders that are remembered; a device has one, or two when it was replaced.
const ENGINES_MAX: usize = 10_000;

/// A device's name, and an engine's identity.
type At = (String, Vec<u8>);

/// What a datagram of version 3 is.
#[derive(Debug)]
pub(super) enum Secured<'a> {
    /// An event of a device, with the answer that an inform gets.
    Event(Notification<'a>, &'a DeviceSettings, Option<Vec<u8>>),
    /// Somebody asks who we are, or how late it is here; the Report that says it.
    Asked(Vec<u8>),
}

/// Why it is no event, and the Report that tells the sender of an inform.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) why: Refused,
    pub(super) report: Option<Vec<u8>>,
}

/// What is remembered of senders.
#[derive(Debug)]
pub(super) struct SecuredEvents {
    own: OwnEngine,
    /// The clocks of senders' engines.
    clocks: HashMap<At, Engine>,
    keys: HashMap<At, LocalizedUser>,
    /// The number of the list of devices that the keys belong to.
    list: u64,
    reports: [u32; Report::ALL.len()],
    salt: u64,
    scratch: Vec<u8>,
}

impl SecuredEvents {
    /// Nobody has sent anything; `random` starts the salts.
    pub(super) fn new(own: OwnEngine, random: u64) -> Self {
        Self {
            own,
            clocks: HashMap::new(),
            keys: HashMap::new(),
            list: 0,
            reports: [0; Report::ALL.len()],
            salt: random,
            scratch: Vec::new(),
        }
    }

    /// Takes a datagram that came from the address of these devices, which are of the list with this number.
    pub(super) fn take<'a>(
        &'a mut self,
        datagram: &'a [u8],
        (devices, list): (&'a [DeviceSettings], u64),
        now_ms: i64,
    ) -> Result<Secured<'a>, Denied> {
        if self.list != list {
            self.keys.clear();
            self.list = list;
        }
        let silent = |why| Denied { why, report: None };
        let message = V3Message::read(datagram).map_err(|_| silent(Refused::Malformed))?;
        let is_ours = message.engine_id == self.own.id();
        if !is_ours && message.flags.reportable {
            return Ok(Secured::Asked(self.report(&message, Report::UnknownEngineId, None, now_ms)));
        }
        let (mut refused, mut sender) = (Report::UnknownUser, None);
        for device in devices {
            // Devices at one address may have users of one name, each with passwords of its own.
            let Credentials::User(user, _) = device.credentials() else { continue };
            if user.name() != message.user {
                continue;
            }
            let keys = self.keys_of(device.name(), user, message.engine_id);
            match keys.open(datagram, &message, &mut self.scratch) {
                Ok(()) => {
                    sender = Some((device, keys));
                    break;
                }
                Err(OpenError::LessSecured) => refused = Report::UnsupportedSecurityLevel,
                Err(OpenError::WrongDigest) => refused = Report::WrongDigest,
                Err(OpenError::Undecryptable) => refused = Report::DecryptionError,
            }
        }
        match sender {
            Some((device, keys)) if is_ours => self.inform(message, device, &keys, now_ms),
            Some((device, keys)) => self.trap(message, device, &keys, now_ms),
            None => {
                let report = is_ours.then(|| self.report(&message, refused, None, now_ms));
                Err(Denied { why: Refused::Credentials, report })
            }
        }
    }

    fn keys_of(&mut self, device: &str, user: &User, engine_id: &[u8]) -> LocalizedUser {
        let at = (device.to_owned(), engine_id.to_vec());
        if let Some(keys) = self.keys.get(&at) {
            return keys.clone();
        }
        let keys = user.localize(engine_id);
        // Anybody can name engines; what is kept of others is kept once a message was right.
        if engine_id == self.own.id() || self.clocks.contains_key(&at) {
            self.keys.insert(at, keys.clone());
        }
        keys
    }

    /// An event that was opened; a block of what the cipher gave that is no unit was encrypted with another key.
    fn event<'a>(message: &V3Message<'a>, opened: &'a [u8]) -> Option<(ScopedPdu<'a>, Notification<'a>)> {
        let scoped = match message.payload {
            Payload::Plain(scoped) => scoped,
            Payload::Encrypted(_) => ScopedPdu::read(opened).ok()?,
        };
        Some((scoped, Notification::of(&scoped.pdu).ok()?))
    }

    /// Of a trap the sender's engine is the one that counts.
    fn trap<'a>(
        &'a mut self,
        message: V3Message<'a>,
        device: &'a DeviceSettings,
        keys: &LocalizedUser,
        now_ms: i64,
    ) -> Result<Secured<'a>, Denied> {
        let denied = |why| Denied { why, report: None };
        let at = (device.name().to_owned(), message.engine_id.to_vec());
        let (boots, time) = (message.boots, message.time);
        if keys.has_auth() {
            let has_room = self.clocks.len() < ENGINES_MAX;
            let known = self.clocks.remove(&at);
            if known.is_none() && !has_room {
                return Err(denied(Refused::Credentials));
            }
            let first = || Engine::discovered(message.engine_id, boots, time, now_ms);
            let mut engine = known.unwrap_or_else(first);
            let in_time = engine.authenticated(boots, time, now_ms);
            self.clocks.insert(at, engine);
            in_time.map_err(|_| denied(Refused::Credentials))?;
        }
        let (_, event) = Self::event(&message, &self.scratch).ok_or_else(|| denied(Refused::Malformed))?;
        // An inform is secured with the engine of who answers it.
        if event.kind == NotificationKind::Inform {
            return Err(denied(Refused::Malformed));
        }
        Ok(Secured::Event(event, device, None))
    }

    fn inform<'a>(
        &'a mut self,
        message: V3Message<'a>,
        device: &'a DeviceSettings,
        keys: &LocalizedUser,
        now_ms: i64,
    ) -> Result<Secured<'a>, Denied> {
        if keys.has_auth() && !self.own.is_in_time(message.boots, message.time, now_ms) {
            // Signed, so that the sender may believe the time it tells.
            let keys = keys.without_privacy();
            return Ok(Secured::Asked(self.report(&message, Report::NotInTimeWindow, Some(&keys), now_ms)));
        }
        if Self::event(&message, &self.scratch).is_none() {
            let report = self.report(&message, Report::DecryptionError, None, now_ms);
            return Err(Denied { why: Refused::Malformed, report: Some(report) });
        }
        self.salt = self.salt.wrapping_add(1);
        let salt = self.salt;
        let (boots, time) = self.own.clock(now_ms);
        let malformed = Denied { why: Refused::Malformed, report: None };
        let Some((scoped, event)) = Self::event(&message, &self.scratch) else { return Err(malformed) };
        let answer = event.answered_by(|pdu| {
            let answer = V3Builder {
                msg_id: message.msg_id,
                reportable: false,
                engine_id: self.own.id(),
                boots,
                time,
                user: message.user,
                context: scoped.context,
                context_engine_id: Some(scoped.engine_id),
                pdu: *pdu,
            };
            answer.encode(Some(keys), salt, Vec::new())
        });
        Ok(Secured::Event(event, device, answer))
    }

    /// A Report of why; with keys it is signed.
    fn report(&mut self, message: &V3Message<'_>, why: Report, keys: Option<&LocalizedUser>, now_ms: i64) -> Vec<u8> {
        let at = Report::ALL.iter().position(|other| *other == why).unwrap_or(0);
        self.reports[at] = self.reports[at].wrapping_add(1);
        let name = why.name();
        let var_binds = [VarBind { name: name.as_ref(), value: Value::Counter32(self.reports[at]) }];
        let request_id = match message.payload {
            Payload::Plain(scoped) => scoped.pdu.request_id,
            Payload::Encrypted(_) => 0,
        };
        let pdu =
            PduBuilder { kind: PduKind::Report, ..PduBuilder::response(request_id, ErrorStatus::None, 0, &var_binds) };
        let (boots, time) = self.own.clock(now_ms);
        let report = V3Builder {
            msg_id: message.msg_id,
            reportable: false,
            engine_id: self.own.id(),
            boots,
            time,
            user: if keys.is_some() { message.user } else { b"" },
            context: b"",
            context_engine_id: None,
            pdu,
        };
        report.encode(keys, 0, Vec::new())
    }
}

#[cfg(test)]
#[path = "secured_events_tests.rs"]
mod tests;
