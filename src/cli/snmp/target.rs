//! Which device is asked, and by whom: from flags, or as the file of devices has it.
//!
//! Not here: asking (see `exchange`).

use super::super::settings::{environment, load};
use super::super::{CliError, Global};
use crate::ingest::snmp::{DeviceSettings, Users, WrittenDevice, read_devices};
use clap::Args;
use protocols::snmp::Credentials;
use serde_json::{Map, Value};
use std::net::{SocketAddr, ToSocketAddrs};

/// The port agents listen at (RFC 3417).
const PORT: u16 = 161;

/// A device and credentials.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Name or address of the device, with its port unless that is 161; or its name in the file of devices
    #[arg(value_name = "HOST")]
    host: String,
    /// Community of versions 1 and 2c
    #[arg(long, value_name = "TEXT", conflicts_with = "user")]
    community: Option<String>,
    /// Version: 1, 2c or 3 [default: 2c with a community, 3 with a user]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// User of version 3
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Digest of the user: md5, sha1, sha224, sha256, sha384 or sha512
    #[arg(long, value_name = "PROTOCOL", requires = "user")]
    auth: Option<String>,
    /// Its password
    #[arg(long, value_name = "TEXT", env = "INFRAWATCH_SNMP_AUTH_PASSWORD", hide_env_values = true)]
    auth_password: Option<String>,
    /// Cipher of the user: des, aes128, aes192 or aes256
    #[arg(long, value_name = "PROTOCOL", requires = "user")]
    privacy: Option<String>,
    /// Its password
    #[arg(long, value_name = "TEXT", env = "INFRAWATCH_SNMP_PRIVACY_PASSWORD", hide_env_values = true)]
    privacy_password: Option<String>,
    /// How keys become long enough for aes192 and aes256: blumenthal or reeder [default: blumenthal]
    #[arg(long, value_name = "NAME", requires = "user")]
    key_extension: Option<String>,
    /// Context of version 3
    #[arg(long, value_name = "NAME", requires = "user")]
    context: Option<String>,
    /// Milliseconds that an answer may take
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000)]
    pub(super) timeout: u64,
    /// How often a request is sent again
    #[arg(long, value_name = "TIMES", default_value_t = 2)]
    pub(super) retries: u32,
}

impl Target {
    /// Where to ask, and as whom.
    pub(super) fn find(&self, global: &Global) -> Result<(SocketAddr, Credentials), CliError> {
        if self.community.is_none() && self.user.is_none() {
            let device = self.listed(global)?;
            return Ok((device.address(), device.credentials().clone()));
        }
        let address = self.address()?;
        let texts = [
            ("community", &self.community),
            ("version", &self.version),
            ("user", &self.user),
            ("auth", &self.auth),
            ("auth_password", &self.auth_password),
            ("privacy", &self.privacy),
            ("privacy_password", &self.privacy_password),
            ("key_extension", &self.key_extension),
            ("context", &self.context),
        ];
        let mut fields: Map<String, Value> = Map::new();
        fields.insert("address".to_owned(), address.to_string().into());
        // Passwords may come from the environment where only a community is asked with.
        let secured = |name: &str| !name.ends_with("password") || self.user.is_some();
        for (name, text) in texts.into_iter().filter(|(name, _)| secured(name)) {
            fields.extend(text.clone().map(|text| (name.to_owned(), Value::from(text))));
        }
        let written: WrittenDevice =
            serde_json::from_value(Value::Object(fields)).map_err(|error| CliError::Usage(error.to_string()))?;
        let settings = written.settings(&environment(), &mut Users::default()).map_err(CliError::Usage)?;
        Ok((address, settings.credentials().clone()))
    }

    fn listed(&self, global: &Global) -> Result<DeviceSettings, CliError> {
        let config = load(global, Vec::new())?.config;
        let no_credentials = || {
            CliError::Usage(
                "say --community TEXT, or --user NAME with its passwords; or set snmp.devices_file and name a device"
                    .to_owned(),
            )
        };
        let path = config.snmp.devices_file.ok_or_else(no_credentials)?;
        let named = |what: String| CliError::Failed(format!("{} (snmp.devices_file): {what}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
        let devices =
            read_devices(&text, &environment(), &mut Users::default()).map_err(|error| named(error.to_string()))?;
        let is_it = |device: &DeviceSettings| {
            let address = device.address();
            device.name() == self.host || [address.to_string(), address.ip().to_string()].contains(&self.host)
        };
        devices.into_iter().find(is_it).ok_or_else(|| named(format!("there is no device {}", self.host)))
    }

    fn address(&self) -> Result<SocketAddr, CliError> {
        let unknown = |what: String| CliError::Failed(format!("{}: the name has no address: {what}", self.host));
        let found = self.host.to_socket_addrs().or_else(|_| (self.host.as_str(), PORT).to_socket_addrs());
        found.map_err(|error| unknown(error.to_string()))?.next().ok_or_else(|| unknown("none".to_owned()))
    }
}
