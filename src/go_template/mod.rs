//! Texts with placeholders in the notation of Go, as people write them in annotations of Prometheus' rules.
//!
//! ```text
//! {{ $labels.instance }} is at {{ $value | humanizePercentage }}{{ if gt $value 0.9 }}, act now{{ end }}
//! ```
//!
//! There are pipelines, variables, `if`, `range` and `with`, and the functions that Prometheus gives to rules.
//!
//! Not here: what the variables hold (see `rules`). Deliberately absent: `define`, `template` and `block`, which are refused
//! by name when a file is read, so that nobody meets them first in an alert.
//!
//! Invariant: rendering ends, and what it writes is bounded, whatever the template says.

mod format;
mod functions;
mod run;
mod syntax;
mod value;

pub(crate) use functions::Ground;
pub(crate) use run::render;
pub(crate) use syntax::Template;
pub(crate) use value::Value;

#[cfg(test)]
mod tests;
