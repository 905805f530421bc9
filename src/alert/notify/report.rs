//! Reports that receivers of alerts are told as they are: a webhook and a program get the document, the log its title.
//!
//! Not here: when there is one and who shall have it (see `reports`), trying again.

use super::super::routing::{Receiver, Target, WebhookFormat};
use super::{Failure, Http, exec, webhook};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long one request may take: shorter than that of alerts, as whoever asks waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A report as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportText {
    /// The same whenever it is told again.
    pub id: String,
    /// One line.
    pub title: String,
    /// The document, JSON.
    pub body: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub made_ms: i64,
}

/// Why a receiver was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Untold {
    /// In words.
    pub what: String,
    /// Whether another try may succeed.
    pub may_pass: bool,
}

/// Whether a receiver has use for a report: an Alertmanager takes alerts alone, and the plain body has no place for one.
pub fn takes_reports(receiver: &Receiver) -> bool {
    !matches!(receiver.target, Target::Alertmanager { .. } | Target::Webhook { format: WebhookFormat::Plain, .. })
}

/// Tells a receiver once; only says so in the log where settings are tried out. Blocks until it has answered, or `stop` ends
/// a program that is run.
///
/// # Errors
/// When it cannot be told, or has no use for it.
pub fn tell_report(to: &Receiver, report: &ReportText, is_dry: bool, stop: &AtomicBool) -> Result<(), Untold> {
    if is_dry {
        tracing::warn!(report = report.id, "would tell {}: {}", to.name, report.title);
        return Ok(());
    }
    let told = match &to.target {
        Target::Log => {
            tracing::info!(report = report.id, "{}", report.title);
            Ok(())
        }
        Target::Webhook { url, secret, format: WebhookFormat::InfraWatch } => {
            let http = Http::within(to.ca_file.as_deref(), TIMEOUT);
            webhook::post(&http, url, secret.as_deref(), (report.id.clone(), report.made_ms), &report.body)
        }
        Target::Exec { program, arguments, is_dry } => {
            exec::run((program, arguments), *is_dry, (&report.title, || report.body.clone()), stop)
        }
        Target::Webhook { format: WebhookFormat::Plain, .. } | Target::Alertmanager { .. } => {
            let what = "it takes alerts and no reports".to_owned();
            Err(Failure { what, may_pass: false })
        }
    };
    told.map_err(|Failure { what, may_pass }| Untold { what, may_pass })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn receiver(target: Target) -> Receiver {
        Receiver { name: Arc::from("a"), target, sends_resolved: true, ca_file: None }
    }

    fn told(target: Target, is_dry: bool) -> Result<(), Untold> {
        let report =
            ReportText { id: "r1".to_owned(), title: "Capacity".to_owned(), body: "{}".to_owned(), made_ms: 0 };
        let to = receiver(target);
        let told = tell_report(&to, &report, is_dry, &AtomicBool::new(false));
        assert!(told.is_ok() || is_dry || !takes_reports(&to) || matches!(to.target, Target::Exec { .. }), "{told:?}");
        told
    }

    #[test]
    fn a_program_reads_the_document_and_one_that_takes_alerts_alone_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let run = |program: &str, arguments: &[&str]| Target::Exec {
            program: PathBuf::from(program),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            is_dry: false,
        };
        assert_eq!(told(run("/bin/sh", &["-c", "cat > \"$0\"", copy.to_str().unwrap()]), false), Ok(()));
        assert_eq!(std::fs::read_to_string(&copy).unwrap(), "{}");
        assert!(!told(run("/bin/false", &[]), false).unwrap_err().may_pass);
        assert_eq!(told(run("/bin/false", &[]), true), Ok(()), "tried out");
        assert_eq!(told(Target::Log, false), Ok(()));
        let url = "http://127.0.0.1:1".to_owned();
        let alertmanager = Target::Alertmanager { url: url.clone() };
        let plain = Target::Webhook { url, secret: None, format: WebhookFormat::Plain };
        for target in [alertmanager, plain] {
            assert!(!takes_reports(&receiver(target.clone())));
            assert!(!told(target, false).unwrap_err().may_pass);
        }
    }
}
