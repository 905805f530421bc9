//! Prometheus remote write: a compressed `prometheus.WriteRequest` (1.0) becomes series, samples and metadata records.
//!
//! ```text
//!  body ── body::decompress ── request::time_series ── TimeSeries ── canonical_labels()   the hot path: a series key
//!                                     │                    ├──────── labels()            any other order or form
//!                                     │                    └──────── samples()
//!                                     └─ request::metadata ── Metadata
//! ```
//!
//! A `TimeSeries` in hand has been walked to its end, so its own iterators cannot fail. A malformed request gives an
//! error at the first place that does not hold; a caller that wants all or nothing looks at every series first.
//!
//! Version 2.0 has its own schema (see `v2`) and shares the rest.
//!
//! Not here: translation to series keys the store accepts, UTF-8 checks (the store's, once per key it has not seen), and
//! the values of exemplars and native histograms, which are
//! counted so that an answer can name them.
//!
//! Read in this order: `headers`, `body`, `request`, `series`, `canonical`, `labels`, `metadata`; `v2`; `encode` is
//! the sender's side.

mod body;
mod canonical;
mod encode;
pub mod headers;
mod labels;
mod metadata;
mod request;
mod series;
mod v2;

pub use body::{decompress, decompress_zstd};
pub use encode::{WriteRequestBuilder, WriteRequestV2Builder};
pub use headers::{Schema, schema};
pub use labels::Labels;
pub use metadata::{Metadata, MetricKind};
pub use request::{SeriesWalk, metadata, time_series};
pub use series::{Samples, TimeSeries};
pub use v2::{MetadataV2, SeriesV2, Symbols, symbols, time_series_v2};
