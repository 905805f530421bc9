//! The file of devices: who is polled, and with which credentials.
//!
//! ```toml
//! [[device]]
//! name = "core-1"                  # label `device`; the address unless given
//! address = "192.0.2.1"            # an IP address; port 161 unless given
//! community = "${SNMP_COMMUNITY}"  # version 2c; version = "1" for old devices
//!
//! [[device]]
//! address = "192.0.2.2:161"
//! user = "operator"                # version 3
//! auth = "sha256"                  # md5 sha1 sha224 sha256 sha384 sha512
//! auth_password = "${AUTH}"
//! privacy = "aes128"               # des aes128 aes192 aes256
//! privacy_password = "${PRIVACY}"
//! key_extension = "blumenthal"     # or reeder, for aes192 and aes256 of some vendors
//! context = ""
//! ```
//!
//! Not here: watching it (see `watch`), devices added over HTTP (see `kept`), which are written the same way.
//!
//! Invariants: a secret is never part of an error or a log line; one mistake refuses the whole file, so that no device
//! goes missing silently.

use crate::listed_file;
use protocols::snmp::usm::{AuthProtocol, KeyExtension, PrivacyProtocol, User, UserError};
use protocols::snmp::{Credentials, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// The port agents listen at (RFC 3417).
const PORT: u16 = 161;

/// Why a file of devices is refused.
#[derive(Debug, thiserror::Error)]
pub enum DevicesError {
    /// It is not TOML of this shape.
    #[error("{0}")]
    Syntax(String),
    /// A device is not one.
    #[error("device {number} ({name}): {what}")]
    Device {
        /// Which, from 1.
        number: usize,
        /// Its name or address.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// Users whose keys have been made: that hashes a megabyte for each password (RFC 3414), and many devices have the same.
#[derive(Default)]
pub struct Users(HashMap<[Option<String>; 6], User>);

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({}, not shown)", self.0.len())
    }
}

/// A device as it is polled.
#[derive(Debug, Clone)]
pub struct DeviceSettings {
    /// Value of the label `device`.
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) credentials: Credentials,
    /// What the file said, to see whether a device has changed; holds secrets.
    pub(super) written: WrittenDevice,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) device: Vec<WrittenDevice>,
}

/// A device as it is written in a file or posted; holds secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenDevice {
    name: Option<String>,
    address: String,
    version: Option<String>,
    community: Option<String>,
    user: Option<String>,
    auth: Option<String>,
    auth_password: Option<String>,
    privacy: Option<String>,
    privacy_password: Option<String>,
    key_extension: Option<String>,
    context: Option<String>,
}

impl std::fmt::Debug for WrittenDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WrittenDevice({:?}, secrets not shown)", self.address)
    }
}

impl DeviceSettings {
    /// Value of the label `device`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who asks.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// Reads a file's text; `${NAME}` in a value stands for an environment variable.
///
/// # Errors
/// With the first mistake.
pub fn read_devices(
    text: &str,
    environment: &BTreeMap<String, String>,
    users: &mut Users,
) -> Result<Vec<DeviceSettings>, DevicesError> {
    let file: File = listed_file::shape(text)
        .map_err(|(at, what)| DevicesError::Syntax(format!("line {}: {what}", listed_file::line_of(text, at))))?;
    let mut names = HashSet::new();
    let mut devices = Vec::with_capacity(file.device.len());
    for (at, written) in file.device.into_iter().enumerate() {
        let shown = written.name.clone().unwrap_or_else(|| written.address.clone());
        let fault = |what: String| DevicesError::Device { number: at + 1, name: shown.clone(), what };
        let device = written.settings(environment, users).map_err(fault)?;
        if !names.insert(device.name.clone()) {
            return Err(fault("another device has this name".to_owned()));
        }
        devices.push(device);
    }
    Ok(devices)
}

impl WrittenDevice {
    fn fill(&mut self, environment: &BTreeMap<String, String>) -> Result<(), String> {
        let secrets = [&mut self.community, &mut self.auth_password, &mut self.privacy_password];
        for text in secrets.into_iter().chain([&mut self.user, &mut self.name]).flatten() {
            *text = filled(text, environment)?;
        }
        Ok(())
    }

    /// The device as it is polled.
    ///
    /// # Errors
    /// With what is wrong with it, without any secret.
    pub fn settings(
        mut self,
        environment: &BTreeMap<String, String>,
        users: &mut Users,
    ) -> Result<DeviceSettings, String> {
        self.fill(environment)?;
        let address = address(&self.address)?;
        let name = self.name.clone().unwrap_or_else(|| address.ip().to_string());
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err("a name is text without control characters".to_owned());
        }
        let credentials = match (&self.user, &self.community) {
            (Some(_), Some(_)) => return Err("it has both a community and a user".to_owned()),
            (None, None) => return Err("it needs a community or a user".to_owned()),
            (Some(user), None) => {
                let context = self.context.clone().unwrap_or_default().into_bytes();
                Credentials::User(self.user_of(user, users)?, context)
            }
            (None, Some(community)) => {
                let version = match self.version.as_deref() {
                    None | Some("2c") => Version::V2c,
                    Some("1") => Version::V1,
                    Some(_) => return Err("with a community, version is \"1\" or \"2c\"".to_owned()),
                };
                Credentials::Community(version, community.clone().into_bytes())
            }
        };
        Ok(DeviceSettings { name, address, credentials, written: self })
    }

    fn user_of(&self, name: &str, users: &mut Users) -> Result<User, String> {
        let key = [
            Some(name.to_owned()),
            self.auth.clone(),
            self.auth_password.clone(),
            self.privacy.clone(),
            self.privacy_password.clone(),
            self.key_extension.clone(),
        ];
        if let Some(user) = users.0.get(&key) {
            return Ok(user.clone());
        }
        let user = self.user(name)?;
        users.0.insert(key, user.clone());
        Ok(user)
    }

    fn user(&self, name: &str) -> Result<User, String> {
        if self.version.as_deref().is_some_and(|version| version != "3") {
            return Err("with a user, version is \"3\"".to_owned());
        }
        let Some(auth_password) = &self.auth_password else {
            let secured = self.auth.is_some() || self.privacy.is_some() || self.privacy_password.is_some();
            return if secured {
                Err("it needs auth_password".to_owned())
            } else {
                Ok(User::unauthenticated(name.as_bytes()))
            };
        };
        let auth = match self.auth.as_deref() {
            Some("md5") => AuthProtocol::Md5,
            Some("sha1" | "sha") => AuthProtocol::Sha1,
            Some("sha224") => AuthProtocol::Sha224,
            Some("sha256") => AuthProtocol::Sha256,
            Some("sha384") => AuthProtocol::Sha384,
            Some("sha512") => AuthProtocol::Sha512,
            _ => return Err("auth is md5, sha1, sha224, sha256, sha384 or sha512".to_owned()),
        };
        let privacy = match (&self.privacy, &self.privacy_password) {
            (None, None) => None,
            (_, None) => return Err("it needs privacy_password".to_owned()),
            (protocol, Some(password)) => {
                let protocol = match protocol.as_deref() {
                    Some("des") => PrivacyProtocol::Des,
                    Some("aes128" | "aes") => PrivacyProtocol::Aes128,
                    Some("aes192") => PrivacyProtocol::Aes192,
                    Some("aes256") => PrivacyProtocol::Aes256,
                    _ => return Err("privacy is des, aes128, aes192 or aes256".to_owned()),
                };
                let extension = match self.key_extension.as_deref() {
                    None | Some("blumenthal") => KeyExtension::Blumenthal,
                    Some("reeder") => KeyExtension::Reeder,
                    Some(_) => return Err("key_extension is blumenthal or reeder".to_owned()),
                };
                Some((protocol, extension, password.as_bytes()))
            }
        };
        User::new(name.as_bytes(), (auth, auth_password.as_bytes()), privacy)
            .map_err(|error: UserError| error.to_string())
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    with_port.or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT))).map_err(|_| {
        "address is an IP address, with a port such as 192.0.2.1:161 or [2001:db8::1]:161 unless it is 161".to_owned()
    })
}

/// `${NAME}` replaced by the variable's value.
fn filled(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("a ${ without its }")?;
        let value = environment.get(name).ok_or_else(|| format!("there is no environment variable {name}"))?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<DeviceSettings>, String> {
        let environment = BTreeMap::from([("SECRET".to_owned(), "hunter22".to_owned())]);
        read_devices(text, &environment, &mut Users::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn accepts_devices_of_every_version() {
        let devices = read(
            r#"
            [[device]]
            address = "192.0.2.1"
            community = "${SECRET}"
            [[device]]
            name = "old"
            address = "192.0.2.2:1161"
            version = "1"
            community = "public"
            [[device]]
            name = "secure"
            address = "2001:db8::1"
            user = "operator"
            auth = "sha256"
            auth_password = "${SECRET}"
            privacy = "aes256"
            privacy_password = "another one"
            [[device]]
            name = "open"
            address = "[2001:db8::1]:162"
            user = "guest"
            "#,
        )
        .unwrap();
        let names: Vec<_> = devices.iter().map(|device| (device.name.as_str(), device.address.port())).collect();
        assert_eq!(names, [("192.0.2.1", 161), ("old", 1161), ("secure", 161), ("open", 162)]);
        assert!(
            matches!(&devices[0].credentials, Credentials::Community(Version::V2c, secret) if secret == b"hunter22")
        );
        assert!(matches!(&devices[1].credentials, Credentials::Community(Version::V1, _)));
        assert!(!format!("{devices:?}").contains("hunter22"));
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn rejects_with_the_reason_and_without_secrets() {
        let device = |rest: &str| format!("[[device]]\naddress = \"192.0.2.1\"\n{rest}");
        for (text, reason) in [
            (device(""), "device 1 (192.0.2.1): it needs a community or a user"),
            (device("community = \"a\"\nuser = \"b\""), "device 1 (192.0.2.1): it has both a community and a user"),
            (device("community = \"${NONE}\""), "device 1 (192.0.2.1): there is no environment variable NONE"),
            (device("user = \"u\"\nauth = \"md5\"\nauth_password = \"short\""), "at least 8 characters"),
            (device("user = \"u\"\nauth = \"rot13\"\nauth_password = \"hunter22\""), "auth is md5, sha1"),
            (device("user = \"u\"\nauth = \"sha1\""), "it needs auth_password"),
            (device("comunity = \"hunter22\""), "line 3: unknown field `comunity`"),
            (device("community = hunter22"), "line 3"),
            ("[[device]]\naddress = \"router.example\"\ncommunity = \"a\"".to_owned(), "address is an IP address"),
            (format!("{0}\n{0}", device("community = \"a\"")), "device 2 (192.0.2.1): another device has this name"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }
}
