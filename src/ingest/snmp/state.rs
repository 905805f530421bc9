//! What is known of every device, for people: answered by the poller, shown over HTTP and on the command line.
//!
//! Not here: asking (see `poller`), the page (see `api`).

use super::device::Outcome;
use protocols::snmp::ErrorStatus;
use protocols::snmp::usm::Report;
use serde::Serialize;

/// Where a device was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// In the file of devices.
    File,
    /// Over HTTP.
    Api,
}

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Not polled yet.
    New,
    /// The last cycle was answered whole.
    Up,
    /// It was not.
    Down,
}

impl Standing {
    /// All, with their words.
    pub const WORDS: [(&'static str, Self); 3] = [("new", Self::New), ("up", Self::Up), ("down", Self::Down)];
}

/// What is known of one device; times are milliseconds since 1970 UTC.
#[derive(Debug, Clone)]
pub struct DeviceState {
    /// Value of the label `device`.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// `1`, `2c` or `3`.
    pub version: &'static str,
    /// Where it was named.
    pub origin: Origin,
    /// How it is.
    pub standing: Standing,
    /// The end of the last cycle.
    pub last_poll_ms: Option<i64>,
    /// The end of the last cycle that was answered whole.
    pub last_success_ms: Option<i64>,
    /// The next cycle.
    pub next_poll_ms: i64,
    /// What the last cycle took.
    pub poll_took_ms: Option<i64>,
    /// Of the last request, from sending it to its answer.
    pub round_trip_ms: Option<f64>,
    /// The longest since the device is known.
    pub round_trip_ms_max: Option<f64>,
    /// Requests sent.
    pub requests: u64,
    /// Requests that were not answered in time.
    pub timeouts: u64,
    /// Cycles that were answered whole, and others.
    pub polls: u64,
    /// Cycles that were not.
    pub failures: u64,
    /// Samples of the last cycle.
    pub samples: u64,
    /// Interfaces it has.
    pub interfaces: usize,
    /// Names that did not increase, tables that gave nothing, and tables that were cut, since the device is known.
    pub walk_faults: u64,
    /// Why the last cycle failed.
    pub error: Option<String>,
    /// sysName, sysDescr and sysObjectID.
    pub system_name: String,
    /// sysDescr.
    pub description: String,
    /// sysObjectID.
    pub object_id: String,
}

/// Why a cycle failed, in words for people; none when it did not.
pub(super) fn words(outcome: Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Polled => return None,
        Outcome::Silent => {
            "no answer: the device or the way to it is down, it does not know the community, or cannot decrypt; \
             infrawatch snmp test says which"
                .to_owned()
        }
        Outcome::Refused(report) => refusal(report).to_owned(),
        Outcome::Failed(error) => failure(error),
    })
}

/// What an agent means by a Report.
pub fn refusal(report: Report) -> &'static str {
    match report {
        Report::UnsupportedSecurityLevel => "the agent does not let this user ask at this security level",
        Report::NotInTimeWindow => {
            "the agent's clock and ours are not brought together: its boots or time go back and forth"
        }
        Report::UnknownUser => "the agent does not know the user",
        Report::UnknownEngineId => "the agent changes its engine identity",
        Report::WrongDigest => "wrong digest: the authentication password or protocol is not the agent's",
        Report::DecryptionError => "the agent cannot decrypt: the privacy password or protocol is not the agent's",
    }
}

/// What an agent means by an error.
pub fn failure(error: ErrorStatus) -> String {
    match error {
        ErrorStatus::None => "no error".to_owned(),
        ErrorStatus::TooBig => "the agent cannot answer even one variable".to_owned(),
        ErrorStatus::NoSuchName => "the agent does not know sysUpTime".to_owned(),
        ErrorStatus::General => "the agent failed (genErr)".to_owned(),
        ErrorStatus::NoAccess => "the agent denies access to what is asked".to_owned(),
        ErrorStatus::Authorization => "the agent refuses the credentials (authorizationError)".to_owned(),
        ErrorStatus::Other(code) => format!("the agent answers with error {code}"),
    }
}
