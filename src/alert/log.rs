//! The file that keeps alerts, `alerts/records.log`.
//!
//! Kinds of frames: 1 an alert as it became, 2 an alert that was forgotten, 3 a silence, 4 a silence that was taken away,
//! 5 a maintenance window, 6 a window that was taken away, 7 what of the notification budget is used up, 8 an incident, 9 an
//! incident that was forgotten, 10 the topology that was set over HTTP. The newest
//! frame of an id counts. `storage/FORMAT.md` draws the file.
//!
//! Not here: frames and damage (see `frame_log`), what becomes of alerts (see `ledger`).

use super::budget::Budget;
use super::incident::{Incident, IncidentId, Topology};
use super::ledger::Ledger;
use super::maintenance::Window;
use super::record::{Alert, Fingerprint};
use super::silence::Silence;
use crate::frame_log::{Format, FrameLog, FrameLogError, frame, read};
use std::collections::BTreeMap;
use std::path::Path;

const FORMAT: Format = Format { magic: *b"IWALERTS", version: 1 };

/// What was in a file.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) alerts: BTreeMap<Fingerprint, Alert>,
    pub(super) silences: BTreeMap<Fingerprint, Silence>,
    pub(super) windows: BTreeMap<Fingerprint, Window>,
    pub(super) budget: Option<Budget>,
    pub(super) incidents: BTreeMap<IncidentId, Incident>,
    pub(super) topology: Option<Topology>,
    /// What was damaged, in words.
    pub(super) findings: Vec<String>,
}

/// Opens the log of a folder, which is made if it is missing.
pub(super) fn open(folder: &Path) -> Result<(FrameLog, Loaded), FrameLogError> {
    let (log, mut found) = FrameLog::open(folder, "records", FORMAT)?;
    let mut loaded = Loaded::default();
    for (kind, payload) in std::mem::take(&mut found.frames) {
        if let Err(what) = loaded.take(kind, &payload) {
            found.find(format!("the alerts' log has a frame that is {what}"));
        }
    }
    loaded.findings = found.findings;
    Ok((log, loaded))
}

impl Loaded {
    fn take(&mut self, kind: u8, payload: &[u8]) -> Result<(), String> {
        match kind {
            1 => {
                let alert: Alert = read(payload)?;
                self.alerts.insert(alert.fingerprint, alert);
            }
            2 => drop(self.alerts.remove(&read(payload)?)),
            3 => {
                let silence: Silence = read(payload)?;
                self.silences.insert(silence.id, silence);
            }
            4 => drop(self.silences.remove(&read(payload)?)),
            5 => {
                let window: Window = read(payload)?;
                self.windows.insert(window.id, window);
            }
            6 => drop(self.windows.remove(&read(payload)?)),
            7 => self.budget = Some(read(payload)?),
            8 => {
                let incident: Incident = read(payload)?;
                self.incidents.insert(incident.id, incident);
            }
            9 => drop(self.incidents.remove(&read(payload)?)),
            10 => self.topology = Some(read(payload)?),
            other => return Err(format!("of the unknown kind {other}")),
        }
        Ok(())
    }
}

/// An alert as it became, or that it was forgotten.
pub(super) fn alert(print: Fingerprint, alert: Option<&Alert>) -> Vec<u8> {
    alert.map_or_else(|| frame(2, &print), |alert| frame(1, alert))
}

/// A silence, or that it was taken away.
pub(super) fn silence(id: Fingerprint, silence: Option<&Silence>) -> Vec<u8> {
    silence.map_or_else(|| frame(4, &id), |silence| frame(3, silence))
}

/// A window, or that it was taken away.
pub(super) fn window(id: Fingerprint, window: Option<&Window>) -> Vec<u8> {
    window.map_or_else(|| frame(6, &id), |window| frame(5, window))
}

/// What of the budget is used up.
pub(super) fn budget(budget: &Budget) -> Vec<u8> {
    frame(7, budget)
}

/// An incident as it became, or that it was forgotten.
pub(super) fn incident(id: IncidentId, incident: Option<&Incident>) -> Vec<u8> {
    incident.map_or_else(|| frame(9, &id), |incident| frame(8, incident))
}

/// The topology that was set over HTTP.
pub(super) fn topology(topology: &Topology) -> Vec<u8> {
    frame(10, topology)
}

/// Everything that is to be kept.
pub(super) fn whole(ledger: &Ledger) -> impl Iterator<Item = Vec<u8>> {
    let alerts = ledger.alerts.values().map(|known| alert(known.fingerprint, Some(known)));
    let silences = ledger.silences.values().map(|known| silence(known.id, Some(known)));
    let windows = ledger.windows.values().map(|known| window(known.id, Some(known)));
    let incidents = ledger.incidents.all.values().map(|known| incident(known.id, Some(known)));
    let set = ledger.topology_set.iter().map(topology);
    alerts.chain(silences).chain(windows).chain(incidents).chain(set).chain([budget(&ledger.budget)])
}
