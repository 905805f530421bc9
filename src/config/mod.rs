//! Settings: what can be set, where a value came from, and how a mistake is named.
//!
//! ```text
//!  keys.rs: one table ──┬── Config, typed, with defaults ◄── load.rs: flag > environment > file > default
//!                       ├── config/infrawatch.toml          ├── file.rs: TOML with lines, placeholder.rs: ${NAME}
//!                       └── docs/configuration.md           └── kinds.rs: text to value and back
//! ```
//!
//! A new key is one entry in `keys.rs`: its field, default, variable, error messages, printed form and both
//! documents follow from it.
//!
//! Not here: what a setting does; each part of the server reads its own section.
//!
//! Invariant: a `Config` is built once, before any thread starts, and only read afterwards.

mod table;

mod derived;
mod ensemble_kinds;
mod keys;
mod kinds;
mod statsd_kinds;
mod text_kinds;

mod document;
mod error;
mod file;
mod load;
mod placeholder;

pub use document::{reference_markdown, settings_toml};
pub use ensemble_kinds::{DriftTest, Fallback, Scaling, Voting};
pub use error::{ConfigError, ConfigErrors};
pub use keys::{Access, Alerts, Config, Ensemble, Groups, Http, KEYS, Log, Query, Shards, Snmp, StatsD, Storage};
pub use kinds::{Level, Listen, LogFormat, QuerySemantics, parse_span};
pub use load::{CA_VARIABLE, CONFIG_VARIABLE, FlagValue, Loaded, Sources, TOKEN_VARIABLE, load};
pub use statsd_kinds::{Containers, Dialect};
pub use table::{Key, Origin};
