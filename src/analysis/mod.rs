//! Pure computation over series: forecasts and what follows from them.
//!
//! Not here: reading, storing, clocks and threads. Time is an argument, samples are slices.

pub mod forecast;
