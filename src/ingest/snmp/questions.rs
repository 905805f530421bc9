//! What all devices are asked, as identifiers.
//!
//! Not here: which of it a device is asked in a cycle (see `device`).

use super::interface_table;
use super::profile::Profiles;
use protocols::snmp::Oid;

/// sysUpTime without its instance, asked beside every piece of a table, and with it.
const UPTIME_COLUMN: &str = "1.3.6.1.2.1.1.3";
const UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const ENGINE_TIME: &str = "1.3.6.1.6.3.10.2.1.3.0";
const HOST_UPTIME: &str = "1.3.6.1.2.1.25.1.1.0";
pub(super) const IDENTITY: [(Ask, &str); 3] = [
    (Ask::Description, "1.3.6.1.2.1.1.1.0"),
    (Ask::ObjectId, "1.3.6.1.2.1.1.2.0"),
    (Ask::SystemName, "1.3.6.1.2.1.1.5.0"),
];

/// A single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    EngineTime,
    /// hrSystemUptime: the machine's, which an agent that is started anew does not begin again.
    HostUptime,
    Description,
    ObjectId,
    SystemName,
    /// Of the profiles' scalars.
    Profile(usize),
}

/// What all devices are asked, as identifiers; made once.
#[derive(Debug)]
pub(super) struct Questions {
    pub(super) uptime_column: [Oid; 1],
    pub(super) uptime: Oid,
    engine_time: Oid,
    host_uptime: Oid,
    identity: [Oid; 3],
    pub(super) groups: Vec<Vec<Oid>>,
    pub(super) profiles: Profiles,
}

impl Questions {
    pub(super) fn new(profiles: Profiles) -> Self {
        let oid = |text: &str| text.parse::<Oid>().expect("the tables hold identifiers");
        Self {
            uptime_column: [oid(UPTIME_COLUMN)],
            uptime: oid(UPTIME),
            engine_time: oid(ENGINE_TIME),
            host_uptime: oid(HOST_UPTIME),
            identity: IDENTITY.map(|(_, text)| oid(text)),
            groups: interface_table::groups(),
            profiles,
        }
    }

    pub(super) fn of(&self, ask: Ask) -> &Oid {
        match ask {
            Ask::EngineTime => &self.engine_time,
            Ask::HostUptime => &self.host_uptime,
            Ask::Profile(place) => &self.profiles.scalars[place].oid,
            _ => {
                let place = IDENTITY.iter().position(|(known, _)| *known == ask).unwrap_or(0);
                &self.identity[place]
            }
        }
    }
}
