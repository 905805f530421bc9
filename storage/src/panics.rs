//! What is said when a thread of the store panics: whatever it owned does not go on, though the process may.
//!
//! Not here: panics of the engine, which are caught (see `disk`), and hangs (see `watchdog`).

use crate::shared::Shared;
use std::sync::Arc;

/// Held by a thread for as long as it works; says so when it goes by a panic.
#[derive(Debug)]
pub(crate) struct PanicNote {
    shared: Arc<Shared>,
    name: String,
}

impl PanicNote {
    /// For the thread of this name.
    pub(crate) fn of(shared: &Arc<Shared>, name: impl Into<String>) -> Self {
        Self { shared: shared.clone(), name: name.into() }
    }
}

impl Drop for PanicNote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("{} panicked; what it did is not done any more until the server is restarted", self.name);
            self.shared.panicked.lock().push(std::mem::take(&mut self.name));
        }
    }
}
