//! Who may ask: users with roles and secrets, how a request proves whose it is, and what each path needs.
//!
//! ```text
//!  users file ── users: names, roles, hashes ──┐
//!  request ── credentials: bearer, basic ── guard: known? slow hash? how often failed? ── identity ── rules: needed role
//! ```
//!
//! Not here: HTTP answers (see `api::guard`), TLS (see `http_server`).
//!
//! Invariants: a secret is kept only as a salted, slow hash, in the file and in memory; secrets are compared in a time that
//! does not depend on where they differ; there is no default user, password or token.

mod audit;
mod credentials;
mod guard;
mod limiter;
mod rules;
mod secret;
mod users;

pub use audit::{AuditLog, AuditRecord};
pub use credentials::Credentials;
pub use guard::{AccessCounters, Denied, Guard, Identity};
pub use limiter::{Limiter, place_of};
pub use rules::{Need, is_change, need};
pub use secret::{SecretError, SecretHash, new_secret};
pub use users::{Role, Roles, User, Users};
