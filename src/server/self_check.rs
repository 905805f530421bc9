//! Looks at the server's own parts in the rhythm of the settings.
//!
//! Not here: how a part is (see `api::health`).

use super::reload::InForce;
use crate::api::health::Health;
use tokio::sync::watch;

/// Looks until the server stops.
pub(super) async fn run(health: Health, in_force: InForce, mut stop: watch::Receiver<bool>) {
    loop {
        let looked = health.clone();
        // The store's figures take locks that its own threads hold for a while.
        if tokio::task::spawn_blocking(move || looked.check()).await.is_err() {
            return;
        }
        let every = in_force.borrow().health.check_interval;
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stop.wait_for(|stopping| *stopping) => return,
        }
    }
}
