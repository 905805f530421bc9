//! Forecasts of a foundation model for live series, off the path of samples and within a share of a core.
//!
//! ```text
//!  shard (once a second): who wants a band? ═ offers (bounded) ═▶ foundation-0: the most urgent first
//!    ▲                                                              │ history from the store, many forecast at a time
//!    └──────────── bands of its partition (bounded) ◀═══════════════┘
//! ```
//!
//! Not here: the model (see `analysis::pretrained`), how a band judges (see `analysis::foreseen`), who is offered (see
//! `shard::foresee`).
//!
//! Invariants: nobody waits for the layer; every queue and the number of bands are bounded, and who finds no room is
//! counted with the reason; what it holds of a series is a band of fixed size.

mod door;
mod room;
mod waiting;
mod worker;

pub use door::{LayerDoor, Offer, Urgency};
pub use worker::{LayerHandle, LayerSettings, spawn};

/// Whether a sample of a series is one of planned trouble, by its time, which is not before the one asked about last.
pub type Trouble = Box<dyn FnMut(i64) -> bool>;

/// What trouble is planned for a series of this canonical key, if any: no forecast is made of samples in it.
pub type Plans = Box<dyn Fn(&[u8]) -> Option<Trouble> + Send>;
