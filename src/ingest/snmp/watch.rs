//! The thread `snmp-devices`: looks at the file of devices, and gives the poller what stands in it when it has changed.
//!
//! Reading a file may hash megabytes for every new user of version 3; here it holds up no datagram.
//!
//! Not here: what becomes of the devices (see `poller`).
//!
//! Invariant: a file with a mistake changes nothing and is named in the log once.

use super::control::Command;
use super::devices::{DeviceSettings, Users, read_devices};
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

/// How often the file is looked at, in pauses of `PAUSE`, after each of which a stop is noticed.
const PAUSES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// When a file was written, and how long it is.
type Written = Option<(SystemTime, u64)>;

/// Reads the file.
///
/// # Errors
/// When it cannot be read or has a mistake; names it.
pub(super) fn read(
    path: &Path,
    environment: &BTreeMap<String, String>,
    users: &mut Users,
) -> io::Result<Vec<DeviceSettings>> {
    let named =
        |error: &dyn std::fmt::Display| io::Error::other(format!("{} (snmp.devices_file): {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    read_devices(&text, environment, users).map_err(|error| named(&error))
}

fn written(path: &Path) -> Written {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Reads the file and starts the thread; it ends after `stop` is set.
///
/// # Errors
/// When the file cannot be read or has a mistake, or the system gives no thread.
pub(super) fn spawn(
    path: PathBuf,
    environment: BTreeMap<String, String>,
    commands: Sender<Command>,
    stop: Arc<AtomicBool>,
) -> io::Result<(Vec<DeviceSettings>, JoinHandle<()>)> {
    let mut users = Users::default();
    let mut seen = written(&path);
    let devices = read(&path, &environment, &mut users)?;
    let run = move || {
        let mut pauses = 0u32;
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
            pauses = pauses.wrapping_add(1);
            if !pauses.is_multiple_of(PAUSES) {
                continue;
            }
            let now = written(&path);
            if now == seen || now.is_none() {
                continue;
            }
            seen = now;
            match read(&path, &environment, &mut users) {
                Ok(devices) => {
                    if commands.send(Command::Replace(devices)).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::error!(%error, "the devices stay as they were"),
            }
        }
    };
    let thread = thread::Builder::new().name("snmp-devices".to_owned()).spawn(run)?;
    Ok((devices, thread))
}
