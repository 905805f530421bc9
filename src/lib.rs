//! InfraWatch: one binary that ingests infrastructure metrics, keeps them, and answers queries about them.
//!
//! # The map
//!
//! ```text
//!  threads   http (tokio)                                shard-0..N           committer        keeper
//!            ───────────                                 ──────────           ─────────        ──────
//!  in        http_server ─ ingest::remote_write
//!              │            parse (protocols) ─ translate ─ lane ═ door  ═▶ shard::worker
//!              │                                                      storage: append ═▶ journal: write, fdatasync
//!              │                                                         │                       │
//!              │            answer ◀───────────────────────────────────── │ ◀──────── committed ──┘
//!              │                                                         │
//!  out       api::prometheus ─ query ─ storage::Store ◀── views, index ──┤
//!            api::rest ─ analysis (replay, forecasts)                    └── asked by ── checkpoints, blocks, retention
//!              │
//!              └── anomaly::book ─ records, log        api::health, metrics_page, admin: figures of all of these
//! ```
//!
//! StatsD comes in by threads of its own, one a socket (`ingest::statsd_listener`): each adds up its lines in a table of
//! its own (`ingest::statsd_table`). Once a window the sums take the same queues into `shard::window`, where those of
//! several sockets meet and become samples.
//!
//! Devices are polled by the thread `snmp-0` (`ingest::snmp`), which asks each in its own rhythm over one socket; beside
//! it, `snmp-devices` watches the file that lists them and `snmp-traps` hears what they send by themselves.
//!
//! Scoring never holds up storing: at each tick a shard lends the models of touched partitions, with the samples stored
//! since, to the threads `analysis-N` (`shard::scoring`, `analysis::fan_out`) and goes on appending; runs of anomalous
//! samples go from there to the thread `anomaly-book`, summaries to a board that readers see (`shard::questions`).
//!
//! Beside that, `foundation-0` makes forecasts of series that shards offer it, within a share of a core
//! (`foundation_layer`); they come back to the models as bands, and nobody waits for them.
//!
//! A batch that finds its shard idle is appended by the thread that brings it, else it crosses one queue (`shard::door`);
//! of a timer's samples, those that another shard owns cross one more. Nothing is acknowledged before it is synced.
//! Readers never ask a shard: they see published views of heads, chunks and blocks.
//!
//! # Layers, downstream first
//!
//! - `storage` (a crate): series identity, partitions, journal, checkpoints, blocks. Has never heard of a protocol.
//! - `protocols` (a crate): bytes in, borrowed views out. Has never heard of a disk.
//! - [`config`], [`clock`], [`self_metrics`], [`logging`]: what everyone may use.
//! - [`access`]: users, their roles and secrets, and what each path needs.
//! - [`metric_metadata`]: what senders say of metric families. [`snmp_counters`]: what the poller counts. [`service_counters`]: what
//!   the HTTP service counts. [`scoring_counters`]: what scoring counts.
//! - `frame_log`: files of small records that survive tears and damage.
//! - `listed_file`: files that list things as TOML, and where a mistake in one is.
//! - `nearest`: which name a mistyped name was probably meant to be.
//! - [`series_file`]: files of samples (CSV, JSON) as rows.
//! - [`analysis`]: what is usual for a series, one sample at a time, and what it will do next; pure computation.
//! - [`plot`]: pictures of series as SVG.
//! - [`http_client`]: HTTPS as a client, for whoever asks other servers.
//! - [`synthetic`]: seeded metrics with known anomalies.
//! - [`anomaly`]: runs of anomalous samples as records, kept by the thread `anomaly-book`.
//! - [`groups`]: series of one host or service that are judged together.
//! - [`foundation_layer`]: bands of a foundation model for live series, made by the thread `foundation-0`; [`foundation_counters`]
//!   what it counts.
//! - [`change_events`]: what people and programs tell of deployments and other changes.
//! - [`shard`]: the threads that own series, the batches they take, and the models they lend to be scored.
//! - [`ingest`]: one file a source; `translate` is the one seam between the two crates.
//! - `yaml`: files of others as trees whose parts know their lines. `go_template`: texts with placeholders as rules have them.
//! - [`query`]: PromQL over `storage::Store`, long queries on threads that give way to writers.
//! - [`alert`]: what people are told, and when they are not. [`rules`]: Prometheus' rule files, evaluated here.
//! - [`monitors`]: conditions on what expressions did over a while: shares of anomalous points, outliers, forecasts.
//! - [`forecasts`]: what stored series will do next, kept up to date, and the rules that watch it.
//! - [`reports`]: what the server reports by itself on a schedule: which series run full, and when.
//! - [`pull`]: models trained on request on the answer of an expression.
//! - [`watch`]: expressions that are evaluated again and again and judged by named detectors.
//! - [`windowed`]: chosen series judged window by window.
//! - [`api`]: HTTP pages, one file a resource; [`http_server`] the connections under them.
//! - [`service_manager`]: what systemd is told. [`server`]: the only assembly point. [`cli`]: the commands.
//!
//! A module imports what lies downstream of it in the flow, never upstream; `house_rules` reads the sources and fails
//! where one does.

pub mod access;
pub mod alert;
pub mod analysis;
pub mod anomaly;
pub mod api;
pub mod change_events;
pub mod cli;
pub mod clock;
pub mod config;
pub mod forecasts;
pub mod foundation_counters;
pub mod foundation_layer;
mod frame_log;
mod go_template;
pub mod groups;
pub mod http_client;
pub mod http_server;
pub mod ingest;
mod listed_file;
pub mod logging;
pub mod metric_metadata;
pub mod monitors;
mod nearest;
pub mod plot;
pub mod pull;
pub mod query;
pub mod reports;
pub mod rules;
pub mod scoring_counters;
pub mod self_metrics;
pub mod series_file;
pub mod server;
pub mod service_counters;
pub mod service_manager;
pub mod shard;
pub mod snmp_counters;
pub mod synthetic;
pub mod watch;
pub mod windowed;
mod yaml;

pub use analysis::forecast::ForecastEngine;
pub use analysis::{DetectionPipeline, EnsembleConfig, EnsembleDetector};

#[cfg(test)]
mod house_rules;
