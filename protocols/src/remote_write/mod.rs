//! Prometheus remote write 1.0: a compressed `prometheus.WriteRequest` becomes series, samples and metadata records.
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
//! Not here: version 2.0 (recognised by its content type only), translation to series keys the store accepts, UTF-8
//! checks (the store's, once per key it has not seen), and the values of exemplars and native histograms, which are
//! counted so that an answer can name them.
//!
//! Read in this order: `headers`, `body`, `request`, `series`, `canonical`, `labels`, `metadata`; `encode` is the sender's side.

mod body;
mod canonical;
mod encode;
pub mod headers;
mod labels;
mod metadata;
mod request;
mod series;

pub use body::decompress;
pub use encode::WriteRequestBuilder;
pub use headers::{Schema, schema};
pub use labels::Labels;
pub use metadata::{Metadata, MetricKind};
pub use request::{metadata, time_series};
pub use series::{Samples, TimeSeries};
