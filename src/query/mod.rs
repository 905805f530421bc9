//! PromQL over the store.
//!
//! ```text
//!  text ── parse ── planner ──▶ plan ── select (the store, series in parallel) ── evaluate ──▶ Answer
//!                                 │        │                                        │
//!                                 leaves   window, instant, aggregate               operator, matching, rank, calls
//!                                          each series as soon as it is read        whole columns, node by node
//! ```
//!
//! Evaluation is columnar: an expression node is evaluated once, to one column per series with one number per instant,
//! never instant by instant. Semantics are those of Prometheus 2.42: closed ranges, staleness markers, a lookback of
//! five minutes, extrapolated rates; [`Semantics::LeftOpen`] gives the window edges of Prometheus 3.
//!
//! Not here: HTTP (see `api::prometheus`), a clock (times are arguments), threads (only `fan_out` shares work out).
//! Deliberately absent: native histograms and the experimental functions of Prometheus 3, refused by name.

mod computed;
mod error;
mod grid;
mod labels;
mod limits;
mod notes;
mod number;
mod room;
mod value;

mod dialect;
mod go_regex;
mod parse;
mod plan;
mod planner;
mod planner_calls;

mod fan_out;
mod reading_threads;
mod select;

mod digest;
mod instant;
mod window;

mod aggregate;
mod calls;
mod functions;
mod matching;
mod operator;
mod rank;

mod answer;
mod evaluate;
mod kept;

#[cfg(test)]
mod golden;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;

pub use answer::{
    Answer, AnswerColumns, AnswerSeries, Answered, Prepared, RangeTimes, check_rule, instant, is_absent, range, reach,
};
pub use computed::{ComputedSeries, Computes};
pub use error::QueryError;
pub use kept::{Asked, Keeping, KeptAnswers};
pub use labels::Labels;
pub(crate) use labels::may_name_label;
pub use limits::{Cancel, QueryLimits, Semantics};
pub use notes::Notes;
pub use number::{push_plain, push_sample_value, push_seconds};
pub use parse::{matchers, prettify};
pub use reading_threads::ReadingThreads;
pub use room::{Room, Share};
