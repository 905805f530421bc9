//! Starts the foundation layer, and tells the shards where to offer series.
//!
//! Not here: the layer (see `foundation_layer`).

use crate::analysis::pretrained::model_in_use;
use crate::config::Config;
use crate::foundation_layer::{self, LayerDoor, LayerHandle, LayerSettings, Plans, Trouble};
use crate::self_metrics::SelfMetrics;
use crate::shard::rests::{RestPlans, rest_of};
use anyhow::{Context, Result, anyhow};
use std::sync::Arc;
use storage::Store;

/// The running layer; nothing where it is not wanted, nothing is scored, or no model is built in.
#[derive(Debug, Default)]
pub(super) struct Layer(Option<LayerHandle>);

/// Starts the layer where the settings want it.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(
    config: &Config,
    store: &Store,
    rests: Arc<dyn RestPlans>,
    metrics: &Arc<SelfMetrics>,
) -> Result<(Layer, Option<LayerDoor>)> {
    let foundation = &config.foundation;
    if !foundation.enabled || !config.models.enabled || model_in_use().is_none() {
        return Ok((Layer::default(), None));
    }
    let settings = LayerSettings {
        cpu_share: foundation.cpu_share,
        queue_max: foundation.queue,
        refresh: foundation.refresh,
        series_max: foundation.max_series,
    };
    let spawned = foundation_layer::spawn(settings, store.clone(), plans(rests), metrics.clone());
    let (handle, door) = spawned.context("no thread for the foundation layer")?;
    Ok((Layer(Some(handle)), Some(door)))
}

/// The same plans in the words of the layer.
fn plans(rests: Arc<dyn RestPlans>) -> Plans {
    Box::new(move |key| {
        let mut rest = rest_of(&*rests, key)?;
        let trouble: Trouble = Box::new(move |time_ms| rest.rests(time_ms));
        Some(trouble)
    })
}

impl Layer {
    /// Waits for its thread, which ends when the shards have.
    ///
    /// # Errors
    /// When it panicked.
    pub(super) fn stop(self) -> Result<()> {
        let joined = self.0.map_or(Ok(()), LayerHandle::join);
        joined.map_err(|_| anyhow!("the foundation layer panicked"))
    }
}
