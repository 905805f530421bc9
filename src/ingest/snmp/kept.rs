//! Devices that were added over HTTP: kept in a file of their own, so that a restart finds them.
//!
//! Not here: what may be said of a device (see `devices`), polling.
//!
//! Invariants: the file is replaced whole or not at all; nobody but its owner may read it, because it holds secrets.

use super::devices::{DeviceSettings, DevicesError, File, Users, WrittenDevice, read_devices};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    devices: Vec<(String, WrittenDevice)>,
}

impl Kept {
    /// Reads the file; one that is not there holds no device.
    ///
    /// # Errors
    /// When it cannot be read or has a mistake.
    pub(super) fn open(
        path: &Path,
        environment: &BTreeMap<String, String>,
        users: &mut Users,
    ) -> io::Result<(Self, Vec<DeviceSettings>)> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let named = |error: DevicesError| io::Error::other(format!("{}: {error}", path.display()));
        let devices = read_devices(&text, environment, users).map_err(named)?;
        let pairs = devices.iter().map(|device| (device.name().to_owned(), device.written.clone()));
        Ok((Self { path: path.to_owned(), devices: pairs.collect() }, devices))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.devices.iter().any(|(known, _)| known == name)
    }

    /// Keeps a device.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing has changed.
    pub(super) fn add(&mut self, name: &str, written: WrittenDevice) -> io::Result<()> {
        self.devices.push((name.to_owned(), written));
        self.save().inspect_err(|_| drop(self.devices.pop()))
    }

    /// Forgets a device.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing has changed.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let Some(at) = self.devices.iter().position(|(known, _)| known == name) else { return Ok(()) };
        let removed = self.devices.remove(at);
        self.save().inspect_err(|_| self.devices.insert(at, removed))
    }

    fn save(&self) -> io::Result<()> {
        let file = File { device: self.devices.iter().map(|(_, written)| written.clone()).collect() };
        let text = toml::to_string(&file).map_err(io::Error::other)?;
        replace_file(&self.path, &text)
    }
}

/// Puts a text in the place of a file's, whole or not at all; nobody but its owner may read it.
///
/// # Errors
/// When it cannot be written; then the file is as it was.
pub(super) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&new, path)?;
    // The new name is safe only when its folder is.
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_added_is_found_again_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snmp/devices.toml");
        let open = || Kept::open(&path, &BTreeMap::new(), &mut Users::default()).unwrap();
        let (mut kept, devices) = open();
        assert!(devices.is_empty());
        let written: WrittenDevice =
            serde_json::from_str(r#"{"address":"192.0.2.1","community":"hunter22","name":"a"}"#).unwrap();
        kept.add("a", written).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (mut kept, devices) = open();
        assert!(kept.has("a") && devices[0].name() == "a");
        assert!(!format!("{kept:?}").contains("hunter22"));
        kept.remove("a").unwrap();
        assert!(open().1.is_empty());
    }
}
