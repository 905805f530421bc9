//! `infrawatch version`: what this program is and how it was built.

use super::output::{Rows, write_text};
use super::{CliError, Format, Global};
use clap::Args;

/// Version and licence, as `--version` prints them after the program's name.
pub(super) const LINE: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("CARGO_PKG_LICENSE"), " licence, ", env!("CARGO_PKG_AUTHORS"), ")");

#[derive(Debug, Args)]
pub(super) struct Version {
    /// Show how the program was built as well
    #[arg(long)]
    features: bool,
}

impl Version {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        if !self.features && global.format() == Format::Table {
            return write_text(global, &format!("infrawatch {LINE}\n"));
        }
        let mut rows = Rows::new(&["item", "value"]);
        rows.push(vec!["version".into(), env!("CARGO_PKG_VERSION").into()]);
        rows.push(vec!["licence".into(), env!("CARGO_PKG_LICENSE").into()]);
        if self.features {
            rows.push(vec!["system".into(), format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS).into()]);
            let profile = if cfg!(debug_assertions) { "development" } else { "release" };
            rows.push(vec!["build".into(), profile.into()]);
            rows.push(vec!["allocator".into(), "jemalloc".into()]);
            rows.push(vec!["features".into(), features().into()]);
            rows.push(vec!["protocols".into(), "prometheus remote write 1.0 and 2.0, statsd, json".into()]);
        }
        rows.write(global)
    }
}

/// The names of the features that are built in; those of statistics cannot be left out.
fn features() -> String {
    let built = [
        ("core", true),
        ("ml", cfg!(feature = "ml")),
        ("foundation", cfg!(feature = "foundation")),
        ("onnx", cfg!(feature = "onnx")),
        ("parquet", cfg!(feature = "parquet")),
    ];
    let names: Vec<_> = built.into_iter().filter(|(_, is_built)| *is_built).map(|(name, _)| name).collect();
    names.join(", ")
}
