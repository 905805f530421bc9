//! The only assembly point.

use crate::config::Config;

/// Placeholder.
pub fn run(_config: Config) -> anyhow::Result<()> {
    Ok(())
}
