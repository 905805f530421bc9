//! What others may ask of a running poller: which devices there are, and to add or remove one.
//!
//! Not here: the answers' shapes over HTTP (see `api::rest`).
//!
//! Invariants: the poller's thread alone owns the devices and answers between two datagrams; a device is polled once it is
//! kept, and is no longer kept once it is not polled.

use super::devices::{DeviceSettings, Users, WrittenDevice};
use super::kept::Kept;
use super::state::{DeviceState, Origin};
use super::traps::{TrapLog, TrapRecord};
use crossbeam_channel::{Sender, bounded};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the poller's thread may take to answer; it does so between two datagrams.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the poller is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Says what is known of all devices.
    List(Sender<Vec<DeviceState>>),
    /// These are the devices of the file now.
    Replace(Vec<DeviceSettings>),
    /// One more, over HTTP; answers whether its name was free.
    Add(Box<DeviceSettings>, Sender<bool>),
    /// One less, over HTTP.
    Remove(String),
}

/// Why a wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The device makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// There is no device of this name.
    #[error("there is no device {0}")]
    Unknown(String),
    /// There is one already.
    #[error("there is a device {0} already")]
    Exists(String),
    /// It stands in the file of devices.
    #[error("the device {0} stands in the file of devices (snmp.devices_file): change it there")]
    InFile(String),
    /// It cannot be kept.
    #[error("the device cannot be kept: {0}")]
    NotKept(std::io::Error),
    /// The poller does not answer, because the server stops.
    #[error("the poller does not answer")]
    Gone,
}

/// A way to the poller.
#[derive(Debug, Clone)]
pub struct SnmpControl(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    commands: Sender<Command>,
    /// Held over a change from its check to the poller's answer, so that changes happen one after the other.
    kept: Mutex<Kept>,
    users: Mutex<Users>,
    environment: BTreeMap<String, String>,
    traps: TrapLog,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left a whole value behind: each change is one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SnmpControl {
    pub(super) fn new(
        commands: Sender<Command>,
        kept: Kept,
        users: Users,
        environment: BTreeMap<String, String>,
        traps: TrapLog,
    ) -> Self {
        let (kept, users) = (Mutex::new(kept), Mutex::new(users));
        Self(Arc::new(Inner { commands, kept, users, environment, traps }))
    }

    /// All devices by their names.
    ///
    /// # Errors
    /// When the poller does not answer.
    pub fn list(&self) -> Result<Vec<DeviceState>, ControlError> {
        let (answer, answered) = bounded(1);
        self.tell(Command::List(answer))?;
        let mut devices = answered.recv_timeout(PATIENCE).map_err(|_| ControlError::Gone)?;
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(devices)
    }

    /// One device.
    ///
    /// # Errors
    /// When there is none of this name, or the poller does not answer.
    pub fn one(&self, name: &str) -> Result<DeviceState, ControlError> {
        let found = self.list()?.into_iter().find(|device| device.name == name);
        found.ok_or_else(|| ControlError::Unknown(name.to_owned()))
    }

    /// Polls one more device from now on, also after a restart. Hashes megabytes for a new user of version 3.
    ///
    /// # Errors
    /// When it makes no sense, its name is taken, or it cannot be kept.
    pub fn add(&self, written: WrittenDevice) -> Result<DeviceState, ControlError> {
        let settings = written.clone().settings(&self.0.environment, &mut locked(&self.0.users));
        let settings = settings.map_err(ControlError::Wrong)?;
        let name = settings.name().to_owned();
        let mut kept = locked(&self.0.kept);
        let (answer, answered) = bounded(1);
        self.tell(Command::Add(Box::new(settings), answer))?;
        if !answered.recv_timeout(PATIENCE).map_err(|_| ControlError::Gone)? {
            return Err(ControlError::Exists(name));
        }
        if let Err(error) = kept.add(&name, written) {
            self.tell(Command::Remove(name))?;
            return Err(ControlError::NotKept(error));
        }
        self.one(&name)
    }

    /// Polls a device no longer.
    ///
    /// # Errors
    /// When there is none of this name, it stands in the file, or the change cannot be kept.
    pub fn remove(&self, name: &str) -> Result<(), ControlError> {
        let mut kept = locked(&self.0.kept);
        let device = self.one(name)?;
        if device.origin == Origin::File || !kept.has(name) {
            return Err(ControlError::InFile(name.to_owned()));
        }
        kept.remove(name).map_err(ControlError::NotKept)?;
        self.tell(Command::Remove(name.to_owned()))
    }

    /// The newest traps and informs, the newest first.
    pub fn traps(&self) -> Vec<Arc<TrapRecord>> {
        self.0.traps.newest()
    }

    fn tell(&self, command: Command) -> Result<(), ControlError> {
        self.0.commands.send_timeout(command, PATIENCE).map_err(|_| ControlError::Gone)
    }
}
