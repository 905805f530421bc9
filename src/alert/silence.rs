//! Silences: nobody is told of matching alerts until a time, because somebody said so.
//!
//! Not here: maintenance, which recurs and is planned (see `maintenance`).

use super::conditions::Conditions;
use super::record::Fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One silence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Silence {
    /// Its identity.
    pub id: Fingerprint,
    /// Which alerts.
    pub conditions: Conditions,
    /// From when on, milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

impl Silence {
    /// Whether it keeps an alert with these labels quiet.
    pub fn covers(&self, labels: &BTreeMap<String, String>, now_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&now_ms) && self.conditions.hold(labels)
    }
}
