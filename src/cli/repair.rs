//! `infrawatch repair`: looks at a store that no server has open, says what is damaged, and saves what is whole.
//!
//! Not here: the looking and the saving (see `storage::repair`).
//!
//! Invariant: with `--dry-run` no byte changes; without it nothing is removed, only renamed.

use super::output::Rows;
use super::settings::{flag, load};
use super::{CliError, Global};
use clap::Args;
use serde_json::json;
use storage::RepairReport;

#[derive(Debug, Args)]
pub(super) struct Repair {
    /// Directory of the store [default: ./infrawatch-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Only look and say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Repair {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let flags = [flag("storage.data_dir", "--data-dir", self.data_dir.as_ref())];
        let storage = load(global, flags.into_iter().flatten().collect())?.config.storage;
        let mirror = storage.journal_mirror_dir.as_deref();
        let report = storage::repair(&storage.data_dir, &storage.journal_path(), mirror, self.dry_run)
            .map_err(|error| CliError::Failed(error.to_string()))?;
        self.rows(&report).write(global)?;
        if !global.quiet {
            eprintln!("{}", self.summary(&report));
        }
        Ok(())
    }

    fn rows(&self, report: &RepairReport) -> Rows {
        let mut rows = Rows::new(&["part", "state", "found", "remedy"]);
        for finding in &report.findings {
            let state = if finding.is_damaged { "damaged" } else { "whole" };
            rows.push(vec![json!(finding.part), json!(state), json!(finding.found), json!(finding.remedy)]);
        }
        rows
    }

    fn summary(&self, report: &RepairReport) -> String {
        let damaged = report.damaged();
        match (damaged, self.dry_run) {
            (0, _) => "nothing is damaged".to_owned(),
            (_, true) => format!("{damaged} parts are damaged; nothing was changed (--dry-run)"),
            (_, false) => format!(
                "{damaged} parts were damaged; {} blocks with {} chunks were saved",
                report.blocks_saved, report.chunks_saved
            ),
        }
    }
}
