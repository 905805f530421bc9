//! A simulated agent: datagrams in, datagrams out, in every version, with its fault.
//!
//! Not here: sockets and threads (see `simulator`), what the objects hold (see `device`).
//!
//! Invariant: what goes wrong is in how and when an answer comes, or in the device itself; no answer tells a counter that
//! the device does not have at that instant.

use protocols::snmp::usm::{AuthProtocol, KeyExtension, LocalizedUser, PrivacyProtocol, User, UserError};
use protocols::snmp::{
    CommunityMessage, ErrorStatus, Oid, Pdu, PduBuilder, PduKind, ScopedPdu, V3Builder, V3Message, Value, VarBind,
    Version, encode_community, version,
};

use super::device::Device;
use super::fault::{Fault, Pace, Random, Schedule};

pub(super) const COMMUNITY: &str = "public";
pub(super) const USER: &str = "operator";
pub(super) const AUTH_PASSWORD: &str = "a password to prove it";
pub(super) const PRIVACY_PASSWORD: &str = "a password to hide it";

/// Answers of more variables are refused by devices with [`Fault::TooBig`].
const VARIABLES_MAX: usize = 20;
/// Seconds that a request's time may be off (RFC 3414).
const WINDOW_S: u32 = 150;
/// usmStats, the counters that Reports carry.
const USM_STATS: &str = "1.3.6.1.6.3.15.1.1";

/// The users of all agents: the password's keys are costly, and localising them is not.
#[derive(Debug)]
pub(super) struct Users {
    private: User,
    signed: User,
}

impl Users {
    /// # Errors
    /// When the passwords are too short, which they are not.
    pub(super) fn new() -> Result<Users, UserError> {
        let auth = (AuthProtocol::Sha256, AUTH_PASSWORD.as_bytes());
        let privacy = (PrivacyProtocol::Aes128, KeyExtension::Blumenthal, PRIVACY_PASSWORD.as_bytes());
        let user = |privacy| User::new(USER.as_bytes(), auth, privacy);
        Ok(Users { private: user(Some(privacy))?, signed: user(None)? })
    }
}

/// The agent's side of version 3.
#[derive(Debug)]
struct Engine {
    id: Vec<u8>,
    private: LocalizedUser,
    signed: LocalizedUser,
    salt: u64,
}

/// A datagram to send.
#[derive(Debug)]
pub(super) struct Reply {
    /// How long to wait before.
    pub(super) after_ms: u64,
    /// Whether it comes from an address that is not the agent's.
    pub(super) by_stranger: bool,
    pub(super) bytes: Vec<u8>,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) device: Device,
    version: Version,
    fault: Fault,
    engine: Option<Engine>,
    schedule: Schedule,
    pace: Pace,
    random: Random,
    away_until_ms: u64,
    silent_resets: usize,
    held: Option<Vec<u8>>,
    last: Vec<u8>,
}

impl Agent {
    /// An agent for a device; `users` when it speaks version 3.
    pub(super) fn new(
        device: Device,
        version: Version,
        fault: Fault,
        pace: Pace,
        users: Option<&Users>,
        seed: u64,
    ) -> Agent {
        let id = [b"\x80\x00\x00\x00\x04", device.name.as_bytes()].concat();
        let engine = users.map(|users| Engine {
            private: users.private.localize(&id),
            signed: users.signed.localize(&id),
            salt: seed,
            id,
        });
        let mut agent = Agent {
            device,
            version,
            fault,
            engine,
            schedule: Schedule::new(pace, seed),
            pace,
            random: Random::new(seed),
            away_until_ms: 0,
            silent_resets: 0,
            held: None,
            last: Vec::new(),
        };
        agent.prepare();
        agent
    }

    /// What is wrong from the beginning.
    fn prepare(&mut self) {
        let soon = 1 + self.pace.event_ms / 10;
        let lines = self.device.lines.len();
        match self.fault {
            Fault::Stuck => self.device.wide_is_stuck = true,
            Fault::WrapUptime => self.device.set_uptime((1 << 32) - self.random.below(2 * soon), 0),
            Fault::Wrap | Fault::WrapWide => {
                let end = if self.fault == Fault::Wrap { u64::from(u32::MAX) } else { u64::MAX };
                for line in 0..lines {
                    let most = self.device.octets_most(line);
                    self.device.set_counters(line, end - most * self.random.below(3 * soon), 0);
                }
            }
            _ => {}
        }
    }

    /// What happens to the device in the course of time.
    fn events(&mut self, now_ms: u64, ticks: u64) {
        if !self.schedule.is_due(now_ms) {
            return;
        }
        let lines = self.device.lines.len();
        let line = self.random.below(lines as u64) as usize;
        match self.fault {
            Fault::Reset => self.device.reset(line, ticks, true),
            // Each line once: a counter that has just begun again may do so a second time without falling.
            Fault::SilentReset if self.silent_resets < lines => {
                self.device.reset(self.silent_resets, ticks, false);
                self.silent_resets += 1;
            }
            Fault::Reboot => self.device.reboot(ticks),
            Fault::Away => self.away_until_ms = now_ms + self.pace.event_ms / 2,
            Fault::Renumber => {
                let mut indexes: Vec<u32> = (1..=2 * lines as u32).collect();
                for at in (1..indexes.len()).rev() {
                    indexes.swap(at, self.random.below(at as u64 + 1) as usize);
                }
                indexes.truncate(lines);
                self.device.renumber(indexes);
            }
            _ => {}
        }
    }

    /// What is sent for a datagram that came at an instant of the run.
    pub(super) fn answer(&mut self, datagram: &[u8], now_ms: u64) -> Vec<Reply> {
        let ticks = now_ms / 10;
        self.events(now_ms, ticks);
        if self.fault == Fault::Dead || now_ms < self.away_until_ms {
            return Vec::new();
        }
        let Some(bytes) = self.honest(datagram, ticks) else { return Vec::new() };
        let reply = |after_ms, bytes| Reply { after_ms, by_stranger: false, bytes };
        match self.fault {
            Fault::Drop if self.random.below(10) == 0 => Vec::new(),
            Fault::Delay => {
                let timeout_ms = self.pace.timeout_ms;
                let after_ms = match self.random.below(40) {
                    0 => timeout_ms * 3 / 2,
                    1..=9 => timeout_ms / 10,
                    _ => 0,
                };
                vec![reply(after_ms, bytes)]
            }
            Fault::Duplicate => vec![reply(0, bytes.clone()), reply(0, bytes)],
            Fault::Reorder => match self.held.take() {
                Some(held) => vec![reply(0, bytes), reply(0, held)],
                None if self.random.below(20) == 0 => {
                    self.held = Some(bytes);
                    Vec::new()
                }
                None => vec![reply(0, bytes)],
            },
            Fault::Spoof => {
                let stranger = Reply { after_ms: 0, by_stranger: true, bytes: self.forged(datagram, ticks) };
                let replayed = std::mem::replace(&mut self.last, bytes.clone());
                let mut hostile = vec![stranger, reply(0, replayed), reply(0, self.forged_id())];
                hostile.extend(self.damaged(&bytes).into_iter().map(|damaged| reply(0, damaged)));
                hostile.push(reply(0, bytes));
                hostile
            }
            _ => vec![reply(0, bytes)],
        }
    }

    /// The right answer; none to what the agent does not understand.
    fn honest(&mut self, datagram: &[u8], ticks: u64) -> Option<Vec<u8>> {
        if version(datagram).ok()? != self.version {
            return None;
        }
        if self.version == Version::V3 {
            return self.answer_v3(datagram, ticks);
        }
        let message = CommunityMessage::read(datagram).ok()?;
        if message.community != COMMUNITY.as_bytes() {
            return None;
        }
        let (version, community) = (self.version, message.community);
        self.respond(&message.pdu, ticks, |pdu| encode_community(version, community, pdu, Vec::new()))
    }

    fn answer_v3(&mut self, datagram: &[u8], ticks: u64) -> Option<Vec<u8>> {
        let message = V3Message::read(datagram).ok()?;
        let engine = self.engine.as_mut()?;
        engine.salt += 1;
        let salt = engine.salt;
        let engine = self.engine.as_ref()?;
        let (boots, time) = (self.device.boots, self.device.engine_time(ticks));
        let encode = |keys, pdu: &PduBuilder<'_>| {
            let builder = V3Builder {
                msg_id: message.msg_id,
                reportable: false,
                engine_id: &engine.id,
                boots,
                time,
                user: message.user,
                context: b"",
                context_engine_id: None,
                pdu: *pdu,
            };
            builder.encode(keys, salt, Vec::new())
        };
        let report = |number: u32, keys| {
            let name = USM_STATS.parse::<Oid>().ok()?.with(&[number, 0]).ok()?;
            let var_binds = [VarBind { name: name.as_ref(), value: Value::Counter32(1) }];
            let pdu = PduBuilder::response(0, ErrorStatus::None, 0, &var_binds);
            Some(encode(keys, &PduBuilder { kind: PduKind::Report, ..pdu }))
        };
        if message.engine_id != engine.id {
            return report(4, None);
        }
        if message.user != USER.as_bytes() {
            return report(3, None);
        }
        let mut scratch = Vec::new();
        if engine.private.open(datagram, &message, &mut scratch).is_err() {
            return report(5, None);
        }
        if message.boots != boots || message.time.abs_diff(time) > WINDOW_S {
            return report(2, Some(&engine.signed));
        }
        let scoped = ScopedPdu::read(&scratch).ok()?;
        self.respond(&scoped.pdu, ticks, |pdu| encode(Some(&engine.private), pdu))
    }

    /// Answers a unit; `encode` puts the message around it.
    fn respond(&self, pdu: &Pdu<'_>, ticks: u64, encode: impl FnOnce(&PduBuilder<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        let layout = self.device.layout();
        let asked: Vec<_> = pdu.var_binds().map(|var_bind| var_bind.name).collect();
        let mut found: Vec<VarBind<'_>> = Vec::new();
        let at_place = |at: usize| VarBind { name: layout.name(at), value: self.device.value(at, ticks) };
        match pdu.kind {
            PduKind::Get => {
                let get = |name| layout.find(name).map_or(VarBind { name, value: Value::NoSuchInstance }, at_place);
                found.extend(asked.iter().map(|name| get(*name)));
            }
            PduKind::GetNext | PduKind::GetBulk => {
                let (leads, rows) = pdu.repetitions().unwrap_or((0, 1));
                let mut places: Vec<usize> = asked.iter().map(|name| layout.after(*name)).collect();
                let next = |place: usize, name| {
                    if place < layout.len() { at_place(place) } else { VarBind { name, value: Value::EndOfMibView } }
                };
                found.extend((0..leads.min(asked.len())).map(|column| next(places[column], asked[column])));
                for _ in 0..rows {
                    for column in leads.min(asked.len())..asked.len() {
                        found.push(next(places[column], asked[column]));
                        places[column] = self.behind(places[column]);
                    }
                }
            }
            _ => return None,
        }
        let absent = found.iter().position(|var_bind| var_bind.value.is_absent());
        if let Some(at) = absent.filter(|_| self.version == Version::V1) {
            let index = i32::try_from(at + 1).ok()?;
            return Some(encode(&PduBuilder::response(pdu.request_id, ErrorStatus::NoSuchName, index, &found[..0])));
        }
        if self.fault == Fault::TooBig && found.len() > VARIABLES_MAX {
            return Some(encode(&PduBuilder::response(pdu.request_id, ErrorStatus::TooBig, 0, &[])));
        }
        if self.fault == Fault::Short && pdu.kind == PduKind::GetBulk {
            // Another length for every request, and at least one variable of the table.
            let kept = 2 + pdu.request_id.unsigned_abs() as usize % found.len().max(1);
            found.truncate(kept);
        }
        Some(encode(&PduBuilder::response(pdu.request_id, ErrorStatus::None, 0, &found)))
    }

    /// The place behind another; a device that does not increase begins its column again.
    fn behind(&self, place: usize) -> usize {
        let layout = self.device.layout();
        let next = (place + 1).min(layout.len());
        let begins_again = self.fault == Fault::NotIncreasing
            && next < layout.len()
            && place > 0
            && layout.same_column(place - 1, place)
            && !layout.same_column(place, next);
        if begins_again { place - 1 } else { next }
    }

    /// What somebody sends who saw the request but has another address: the right id, and wrong counters.
    fn forged(&self, datagram: &[u8], ticks: u64) -> Vec<u8> {
        let Ok(message) = CommunityMessage::read(datagram) else { return datagram.to_vec() };
        let encode = |pdu: &PduBuilder<'_>| encode_community(self.version, message.community, pdu, Vec::new());
        self.respond(&message.pdu, ticks + 1000, encode).unwrap_or_default()
    }

    /// What somebody makes of the right answer who has no key: lengths beyond all bounds, half of it, and in version 3 the
    /// whole of it with another clock, or another unit.
    fn damaged(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let huge = [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], bytes].concat();
        let mut damaged = vec![huge, bytes[..bytes.len() / 2].to_vec()];
        // A Report of a discovery is signed by nobody.
        let is_signed = V3Message::read(bytes).is_ok_and(|message| message.flags.auth);
        if is_signed {
            let boots = self.device.boots.to_be_bytes()[3];
            let clock = bytes.windows(3).position(|window| window == [2, 1, boots]);
            let touched = clock.map(|at| at + 2).into_iter().chain([bytes.len() - 1]);
            damaged.extend(touched.map(|at| {
                let mut other = bytes.to_vec();
                other[at] ^= 0x10;
                other
            }));
        }
        damaged
    }

    /// What somebody sends who did not see the request but takes on the agent's address: an id that was guessed.
    fn forged_id(&mut self) -> Vec<u8> {
        let id = self.random.below(1 << 31) as i32;
        let name = self.device.layout().name(0);
        let var_binds = [VarBind { name, value: Value::Counter64(7) }];
        let pdu = PduBuilder::response(id, ErrorStatus::None, 0, &var_binds);
        if self.version != Version::V3 {
            return encode_community(self.version, COMMUNITY.as_bytes(), &pdu, Vec::new());
        }
        let builder = V3Builder {
            msg_id: id,
            reportable: false,
            engine_id: self.engine.as_ref().map_or(&[], |engine| &engine.id),
            boots: 1 << 30,
            time: 5,
            user: USER.as_bytes(),
            context: b"",
            context_engine_id: None,
            pdu,
        };
        builder.encode(None, 0, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::Layout;
    use super::*;
    use std::sync::Arc;

    fn agent(fault: Fault) -> Agent {
        let layout = Arc::new(Layout::new(&[1, 2, 3], true));
        let device = Device::new(1, layout, true, 3, 1);
        Agent::new(device, Version::V2c, fault, Pace { event_ms: 1000, timeout_ms: 100 }, None, 9)
    }

    /// Names and error of the answer to a GetBulk of ifHCInOctets with 5 rows.
    fn bulk(agent: &mut Agent) -> (Vec<String>, ErrorStatus) {
        let [time, column] = ["1.3.6.1.2.1.1.3", "1.3.6.1.2.1.31.1.1.1.6"].map(|text| text.parse::<Oid>().unwrap());
        let var_binds = [&time, &column].map(|name| VarBind { name: name.as_ref(), value: Value::Null });
        let pdu = PduBuilder::bulk(77, 1, 5, &var_binds);
        let asked = encode_community(Version::V2c, COMMUNITY.as_bytes(), &pdu, Vec::new());
        let answer = agent.answer(&asked, 50).pop().expect("an answer").bytes;
        let message = CommunityMessage::read(&answer).unwrap();
        assert_eq!(message.pdu.request_id, 77);
        (message.pdu.var_binds().map(|var_bind| var_bind.name.to_string()).collect(), message.pdu.error_status())
    }

    #[test]
    fn rows_follow_the_clock_and_a_column_the_next() {
        let (names, _) = bulk(&mut agent(Fault::None));
        let column = |column: u32, row: u32| format!("1.3.6.1.2.1.31.1.1.1.{column}.{row}");
        let expected = [column(6, 1), column(6, 2), column(6, 3), column(7, 1), column(7, 2)];
        assert_eq!(names[0], "1.3.6.1.2.1.1.3.0");
        assert_eq!(names[1..], expected);
        let (names, _) = bulk(&mut agent(Fault::NotIncreasing));
        assert_eq!(names[1..], [column(6, 1), column(6, 2), column(6, 3), column(6, 2), column(6, 3)]);
    }

    #[test]
    fn a_dead_agent_is_silent_and_a_wrong_community_too() {
        assert!(agent(Fault::Dead).answer(b"", 1).is_empty());
        let pdu = PduBuilder::request(PduKind::Get, 1, &[]);
        let asked = encode_community(Version::V2c, b"wrong", &pdu, Vec::new());
        assert!(agent(Fault::None).answer(&asked, 1).is_empty());
    }

    #[test]
    fn a_stranger_answers_before_the_device() {
        let mut agent = agent(Fault::Spoof);
        let pdu = PduBuilder::request(PduKind::Get, 1, &[]);
        let asked = encode_community(Version::V2c, COMMUNITY.as_bytes(), &pdu, Vec::new());
        let replies = agent.answer(&asked, 1);
        assert_eq!(
            replies.iter().map(|reply| reply.by_stranger).collect::<Vec<_>>(),
            [true, false, false, false, false, false]
        );
    }
}
