//! Under construction.

pub mod cli;
pub mod clock;
pub mod config;
#[cfg(test)]
mod house_rules;
pub mod logging;
pub mod server;
