//! HTTP pages, one file a resource, each with its own `router()`.
//!
//! Not here: routes that take data in (see `ingest`), connections (see `http_server`).

pub mod admin;
mod alert_metrics;
mod anomaly_metrics;
pub mod compress;
pub mod conventions;
mod forecast_metrics;
mod foundation_metrics;
pub mod guard;
pub mod health;
pub mod metrics_page;
pub mod openapi;
mod pieces;
mod process;
pub mod prometheus;
pub mod rest;
mod service_metrics;
