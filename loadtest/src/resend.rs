//! The command `resend`: writes the same samples twice, as a client does that missed an answer.
//!
//! Not here: sending (see `sender`), waiting for the counters (see `write`).

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::cli::ResendArgs;
use crate::http::Client;
use crate::metrics_page::Accounts;
use crate::payload::{Payload, WRITE_PATH};
use crate::report::{Table, grouped, print_json};
use crate::scenario::Scenario;
use crate::sender::Requests;
use crate::target::Target;
use crate::verify::{Verification, read_back};
use crate::write::{quiet_accounts, send_all, verification_cell};

/// What sending twice gave.
#[derive(Debug, Serialize)]
pub(crate) struct ResendReport {
    target: String,
    samples: usize,
    acknowledged_first: usize,
    /// Samples that were taken the second time.
    pub(crate) acknowledged_second: usize,
    stored_first: i64,
    /// And stored then.
    pub(crate) stored_second: i64,
    duplicates_second: i64,
    first_refusal: Option<String>,
    verification: Verification,
}

impl ResendReport {
    /// Whether the second time was taken and stored nothing.
    pub(crate) fn is_good(&self) -> bool {
        let samples = self.samples as i64;
        (self.acknowledged_first, self.acknowledged_second) == (self.samples, self.samples)
            && (self.stored_first, self.stored_second, self.duplicates_second) == (samples, 0, samples)
            && self.verification.is_clean()
    }
}

/// Runs the command; says whether the second time was taken and stored nothing.
///
/// # Errors
/// When the server cannot be started or reached, or counts nothing.
pub(crate) fn run(args: &ResendArgs) -> Result<bool> {
    ensure!(args.target.peers.is_empty(), "peers do not count what they store: resend has no --peer");
    let scenario = args.payload.scenario()?;
    let payload = args.payload.payload(&scenario);
    let targets = Target::all(&args.target)?;
    let report = resend(targets.first().context("no server to send to")?, &scenario, &payload)?;
    if args.json {
        print_json(&report)?;
    } else {
        let mut table = Table::new(["", "acknowledged", "stored"].map(str::to_owned));
        table.row("first time", [grouped(report.acknowledged_first as i64), grouped(report.stored_first)]);
        table.row("second time", [grouped(report.acknowledged_second as i64), grouped(report.stored_second)]);
        table.row("read back", [verification_cell(&report.verification)]);
        print!("{}{}", table.text(), report.first_refusal.iter().map(|text| format!("  {text}\n")).collect::<String>());
    }
    Ok(report.is_good())
}

/// Writes a payload twice.
///
/// # Errors
/// When the server cannot be started or reached, or counts nothing.
pub(crate) fn resend(target: &Target, scenario: &Scenario, payload: &Payload) -> Result<ResendReport> {
    let requests = Requests::build(payload, &format!("{}{WRITE_PATH}", target.prefix()))?;
    let running = target.start()?;
    let mut client = Client::new(&running.address);
    let before = Accounts::read(&mut client, &running.address)?.context("the server counts nothing in /metrics")?;
    let first = send_all(&running, scenario, payload, &requests)?;
    let between = quiet_accounts(&running, &mut client, Some(before))?.context("the server counts nothing")?;
    let second = send_all(&running, scenario, payload, &requests)?;
    let after = quiet_accounts(&running, &mut client, Some(before))?.context("the server counts nothing")?;
    Ok(ResendReport {
        target: target.name(),
        samples: payload.total_samples(),
        acknowledged_first: first.acknowledged_samples(payload),
        acknowledged_second: second.acknowledged_samples(payload),
        stored_first: between.stored,
        stored_second: after.since(between).stored,
        duplicates_second: after.since(between).duplicate,
        verification: read_back(&running.address, payload, &first.acknowledged_by_sample(payload))?,
        first_refusal: first.first_refusal.or(second.first_refusal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_time_has_to_be_taken_and_to_store_nothing() {
        let report = |acknowledged_second, stored_second, duplicates_second| ResendReport {
            target: String::new(),
            samples: 10,
            acknowledged_first: 10,
            acknowledged_second,
            stored_first: 10,
            stored_second,
            duplicates_second,
            first_refusal: None,
            verification: Verification::default(),
        };
        assert!(report(10, 0, 10).is_good());
        for (acknowledged, stored, duplicates) in [(9, 0, 10), (10, 10, 0), (10, 0, 9)] {
            assert!(!report(acknowledged, stored, duplicates).is_good());
        }
    }
}
