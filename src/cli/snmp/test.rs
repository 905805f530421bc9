//! `infrawatch snmp test HOST`: asks a device who it is; if it does not answer, says what is wrong in plain words.
//!
//! Not here: sockets (see `exchange`).

use super::super::output::Rows;
use super::super::{CliError, Global};
use super::exchange::{Exchange, Failure};
use super::target::Target;
use crate::ingest::snmp::{failure, refusal, shown};
use clap::Args;
use protocols::snmp::usm::User;
use protocols::snmp::{Credentials, ErrorStatus, Oid, PduBuilder, PduKind, Value, VarBind};
use std::net::SocketAddr;
use std::time::Duration;

const ASKED: [(&str, &str); 4] = [
    ("sysUpTime", "1.3.6.1.2.1.1.3.0"),
    ("sysName", "1.3.6.1.2.1.1.5.0"),
    ("sysDescr", "1.3.6.1.2.1.1.1.0"),
    ("sysObjectID", "1.3.6.1.2.1.1.2.0"),
];

#[derive(Debug, Args)]
pub(super) struct Test {
    #[command(flatten)]
    target: Target,
}

impl Test {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let (address, credentials) = self.target.find(global)?;
        let timeout = Duration::from_millis(self.target.timeout);
        let failed = |why: Failure, learned: bool| {
            let why = self.words(address, &credentials, why, learned);
            CliError::Failed(format!("{address}: {why}"))
        };
        let mut exchange = Exchange::new(address, credentials.clone(), timeout, self.target.retries)
            .map_err(|why| failed(why, false))?;
        let oids = ASKED.map(|(_, oid)| oid.parse::<Oid>().expect("an identifier"));
        let names = oids.each_ref().map(|oid| VarBind { name: oid.as_ref(), value: Value::Null });
        let pdu = PduBuilder::request(PduKind::Get, 0, &names);
        let mut rows = Rows::new(&["what", "answer"]);
        let answered = exchange.ask(&pdu, |pdu, took| match pdu.error_status() {
            ErrorStatus::None => {
                let took = format!("answered in {:.1} ms", took.as_secs_f64() * 1000.0);
                rows.push(vec![address.to_string().into(), took.into()]);
                for ((name, _), bound) in ASKED.iter().zip(pdu.var_binds()) {
                    let text = match bound.value {
                        Value::TimeTicks(ticks) => uptime(ticks),
                        value => shown(value),
                    };
                    rows.push(vec![(*name).into(), text.into()]);
                }
                Ok(())
            }
            error => Err(error),
        });
        let learned = exchange.session().engine().is_some();
        answered.map_err(|why| failed(why, learned))?.map_err(|error| failed(Failure::Failed(error), learned))?;
        if let Some(engine) = exchange.session().engine() {
            let id: String = engine.id().iter().map(|byte| format!("{byte:02x}")).collect();
            let (boots, time) = engine.clock(crate::clock::now_ms());
            rows.push(vec!["engine".into(), format!("{id}, started {boots} times, up for {time} s").into()]);
        }
        rows.write(global)
    }

    /// What a failure means, and what to do about it.
    fn words(&self, address: SocketAddr, credentials: &Credentials, why: Failure, learned: bool) -> String {
        let waited_s = self.target.timeout.saturating_mul(u64::from(self.target.retries) + 1) as f64 / 1000.0;
        match why {
            Failure::NoRoute(error) => format!("no route: {error}; check the address and the way to it"),
            Failure::NobodyListens => {
                "the machine is there, but nothing listens at this port: is the agent running, and at this port?"
                    .to_owned()
            }
            Failure::Refused(report) => refusal(report).to_owned(),
            Failure::Failed(error) => failure(error),
            Failure::System(error) => error.to_string(),
            Failure::Timeout if learned && self.answers_in_clear(address, credentials) => {
                "wrong privacy: the agent answers this user without privacy, and nothing with it: \
                 the privacy password or protocol is not the agent's"
                    .to_owned()
            }
            Failure::Timeout if learned => format!(
                "timeout: the agent answered who it is, and nothing for {waited_s} s after that: \
                 the user may not be known at this security level, or answers are lost"
            ),
            Failure::Timeout => match credentials {
                Credentials::Community(..) if self.agent_is_there(address) => {
                    "wrong community: an agent is there and answers version 3, but not this community; \
                     or it does not let this address ask"
                        .to_owned()
                }
                Credentials::Community(..) => format!(
                    "timeout: no answer for {waited_s} s: a firewall, no agent, an address that may not ask, \
                     or a wrong community, to which agents do not answer"
                ),
                Credentials::User(..) => {
                    format!("timeout: no answer for {waited_s} s: a firewall, no agent, or one without version 3")
                }
            },
        }
    }

    /// Whether the agent answers a user with privacy when that is left out, be it that it refuses: many an agent is silent
    /// when it cannot decrypt.
    fn answers_in_clear(&self, address: SocketAddr, credentials: &Credentials) -> bool {
        let Credentials::User(user, context) = credentials else { return false };
        let Some(user) = user.without_privacy() else { return false };
        let timeout = Duration::from_millis(self.target.timeout);
        let credentials = Credentials::User(user, context.clone());
        let Ok(mut exchange) = Exchange::new(address, credentials, timeout, self.target.retries) else { return false };
        let uptime = ASKED[0].1.parse::<Oid>().expect("an identifier");
        let names = [VarBind { name: uptime.as_ref(), value: Value::Null }];
        exchange.ask(&PduBuilder::request(PduKind::Get, 0, &names), |_, _| ()).is_ok()
    }

    /// Whether something answers a discovery, which needs no credentials.
    fn agent_is_there(&self, address: SocketAddr) -> bool {
        let nobody = Credentials::User(User::unauthenticated(b""), Vec::new());
        let timeout = Duration::from_millis(self.target.timeout);
        let Ok(mut exchange) = Exchange::new(address, nobody, timeout, 0) else { return false };
        let asked = exchange.ask(&PduBuilder::request(PduKind::Get, 0, &[]), |_, _| ());
        asked.is_ok() || matches!(asked, Err(Failure::Refused(_))) || exchange.session().engine().is_some()
    }
}

/// Hundredths of a second as people say them.
fn uptime(ticks: u32) -> String {
    let seconds = ticks / 100;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days} days {hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_said_in_days() {
        assert_eq!(uptime(0), "0 days 00:00:00");
        assert_eq!(uptime(u32::MAX), "497 days 02:27:52");
    }
}
