//! How series are judged, by the time zone that a label of theirs names.
//!
//! Not here: zones themselves (see `zone`), which label that is (the settings say so).
//!
//! Invariant: a label that names no zone counts as none; zones are as many as there are, so what is kept is bounded.

use super::{LocalClock, Settings, Zone};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The settings of all series.
#[derive(Debug, Default)]
pub struct ZonedSettings {
    usual: Arc<Settings>,
    label: String,
    known: Mutex<HashMap<String, Arc<Settings>>>,
}

impl ZonedSettings {
    /// The usual ones, with the usual zone, and the label that names another one; empty for none.
    pub fn new(usual: Settings, label: &str) -> Self {
        Self { usual: Arc::new(usual), label: label.to_owned(), known: Mutex::default() }
    }

    /// Those of series that say nothing of a zone.
    pub fn usual(&self) -> &Arc<Settings> {
        &self.usual
    }

    /// Those of the series whose labels `value_of` knows.
    pub fn of<'a>(&self, value_of: impl FnOnce(&str) -> Option<&'a str>) -> Arc<Settings> {
        let named = if self.label.is_empty() { None } else { value_of(&self.label) };
        let Some(name) = named else { return self.usual.clone() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = known.get(name) {
            return settings.clone();
        }
        // What names no zone is not remembered, or anybody could fill memory with labels.
        let Ok(zone) = Zone::named(name) else { return self.usual.clone() };
        let settings = Arc::new(Settings { clock: LocalClock::of(&zone), ..Settings::clone(&self.usual) });
        known.insert(name.to_owned(), settings.clone());
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_the_zone_and_nonsense_none() {
        let settings = ZonedSettings::new(Settings::default(), "tz");
        let of =
            |value: Option<&'static str>| settings.of(|label| value.filter(|_| label == "tz")).clock.name().to_owned();
        assert_eq!(of(Some("Asia/Tokyo")), "Asia/Tokyo");
        assert_eq!([of(None), of(Some("Atlantis"))], ["", ""]);
        let again = || settings.of(|_| Some("Asia/Tokyo"));
        assert!(Arc::ptr_eq(&again(), &again()), "all of a zone share one");
        assert_eq!(ZonedSettings::default().of(|_| Some("Asia/Tokyo")).clock.name(), "");
    }
}
