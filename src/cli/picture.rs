//! What `detect` and `demo` draw: values, the range that would have been normal, and what is unusual.
//!
//! Not here: drawing (see `plot`).

use super::CliError;
use crate::analysis::{Anomaly, Band, Severity};
use crate::plot::{BandPoint, Chart, Mark, MarkSeverity};
use std::path::Path;

/// Collects what is drawn of one series, sample by sample.
#[derive(Debug, Default)]
pub(super) struct Picture {
    values: Vec<(i64, f64)>,
    band: Vec<BandPoint>,
}

impl Picture {
    /// The next sample and the range that would have been normal, in the unit of the value.
    pub(super) fn add(&mut self, time_ms: i64, value: f64, band: Option<Band>) {
        self.values.push((time_ms, value));
        let Some(Band { lower, upper, .. }) = band else { return };
        self.band.push(BandPoint { time_ms, lower, upper });
    }

    /// Writes the picture, with these anomalies marked; their `index` counts the samples added.
    pub(super) fn write(self, path: &Path, name: &str, anomalies: &[Anomaly]) -> Result<(), CliError> {
        let mark = |anomaly: &Anomaly| {
            let (time_ms, value) = *self.values.get(anomaly.index)?;
            Some(Mark { time_ms, value, severity: mark_severity(anomaly.severity)?, text: anomaly.summary.clone() })
        };
        let chart = Chart {
            title: name.to_owned(),
            description: "Values, the range in which they are normal, and what is unusual.".to_owned(),
            marks: anomalies.iter().filter_map(mark).collect(),
            values: self.values,
            band: self.band,
            ..Chart::default()
        };
        std::fs::write(path, chart.to_svg()).map_err(|source| CliError::Output { path: path.to_owned(), source })
    }
}

/// The shape of a severity in pictures.
fn mark_severity(severity: Severity) -> Option<MarkSeverity> {
    Some(match severity {
        Severity::None => return None,
        Severity::Low => MarkSeverity::Low,
        Severity::Medium => MarkSeverity::Medium,
        Severity::High => MarkSeverity::High,
        Severity::Critical => MarkSeverity::Critical,
    })
}
