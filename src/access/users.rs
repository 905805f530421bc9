//! The file of users: who there is, what each may do, and the hash of each one's secret.
//!
//! ```toml
//! [[user]]
//! name = "grafana"
//! roles = ["read"]
//! secret = "pbkdf2-sha256$600000$..."
//! ```
//!
//! Not here: checking a secret (see `guard`).

use super::secret::SecretHash;
use crate::listed_file::{self, FileError, Mistake};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Users of one file; each costs memory and nothing else.
const USERS_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 64;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Ask.
    Read,
    /// Take samples, anomalies and events in.
    Write,
    /// Everything, the server's own upkeep included.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// All that somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    read: bool,
    write: bool,
    admin: bool,
}

impl Roles {
    /// Of a list; whoever is an admin may do everything.
    pub fn of(roles: &[Role]) -> Self {
        let has = |role| roles.contains(&role) || roles.contains(&Role::Admin);
        Self { read: has(Role::Read), write: has(Role::Write), admin: has(Role::Admin) }
    }

    /// Whether this is among them.
    pub fn allow(self, role: Role) -> bool {
        match role {
            Role::Read => self.read,
            Role::Write => self.write,
            Role::Admin => self.admin,
        }
    }
}

/// One user.
#[derive(Debug, Clone)]
pub struct User {
    /// What the user may do.
    pub roles: Roles,
    /// What is kept of the secret.
    pub secret: SecretHash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    user: Vec<toml::Spanned<WrittenUser>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: String,
    roles: Vec<Role>,
    secret: String,
}

/// All users by their names.
#[derive(Debug, Default)]
pub struct Users(BTreeMap<String, User>);

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or has a mistake, with its line.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        listed_file::read("users", path, Self::parse)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Where in the text, in bytes, and what is wrong there; never a secret.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let written: Written = listed_file::shape(text)?;
        let mut users = BTreeMap::new();
        for user in written.user {
            let at = user.span().start;
            let WrittenUser { name, roles, secret } = user.into_inner();
            let wrong = |what: &str| (at, format!("user {name:?}: {what}"));
            if !is_name(&name) {
                return Err(wrong("a name has 1 to 64 letters, digits, _ and -"));
            }
            if roles.is_empty() {
                return Err(wrong("expected at least one of the roles read, write, admin"));
            }
            let secret = secret.parse().map_err(|error: super::SecretError| wrong(&error.to_string()))?;
            if users.len() >= USERS_MAX {
                return Err(wrong("too many users"));
            }
            if users.insert(name.clone(), User { roles: Roles::of(&roles), secret }).is_some() {
                return Err(wrong("stands twice"));
            }
        }
        if users.is_empty() {
            return Err((0, "no user: write one with infrawatch config user".to_owned()));
        }
        Ok(Self(users))
    }

    /// A user by name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether a user may be called so; no name has the dot that ends it in a token.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, roles: &str) -> String {
        let secret = format!("pbkdf2-sha256$10000${}${}", "00".repeat(16), "11".repeat(32));
        format!("[[user]]\nname = \"{name}\"\nroles = [{roles}]\nsecret = \"{secret}\"\n")
    }

    #[test]
    fn roles_are_those_listed_and_an_admin_has_all() {
        let text = user("a", "\"read\"") + &user("b", "\"read\", \"write\"") + &user("c", "\"admin\"");
        let users = Users::parse(&text).unwrap();
        let may = |name: &str| {
            let roles = users.get(name).unwrap().roles;
            [Role::Read, Role::Write, Role::Admin].map(|role| roles.allow(role))
        };
        assert_eq!([may("a"), may("b"), may("c")], [[true, false, false], [true, true, false], [true; 3]]);
        assert!(users.get("d").is_none());
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_without_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Users::read(&path).unwrap_err().to_string().rsplit('/').next().unwrap().to_owned()
        };
        let good = user("a", "\"read\"");
        assert!(error(&format!("{good}{good}")).starts_with("users.toml:5: user \"a\": stands twice"));
        assert!(error(&user("a", "\"root\"")).starts_with("users.toml:3: unknown variant"));
        assert!(error(&user("a", "")).contains("at least one of the roles"));
        assert!(error(&user("a.b", "\"read\"")).contains("a name has"));
        assert!(error(&format!("{good}colour = 1\n")).starts_with("users.toml:5: unknown field"));
        assert!(error("").contains("no user"));
        let plain = error("[[user]]\nname = \"a\"\nroles = [\"read\"]\nsecret = \"hunter2\"\n");
        assert!(plain.contains("pbkdf2-sha256$ROUNDS") && !plain.contains("hunter2"), "{plain}");
    }
}
