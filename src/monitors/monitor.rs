//! One monitor: what it looks for, how often, and what it tells.
//!
//! Not here: its notation (see `file`), what it finds (see `judge`).

use super::message::Message;
use std::collections::BTreeMap;

/// How the band of an anomaly monitor is made (see `bands`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Of what came right before, without seasons.
    Basic,
    /// Of the seasons before, following a change of level.
    Agile,
    /// Of the seasons before, without following.
    Robust,
}

impl Algorithm {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Agile => "agile",
            Self::Robust => "robust",
        }
    }
}

/// How members that stand apart are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerMethod {
    /// By density.
    Dbscan,
    /// By the median of all points.
    Mad,
}

/// On which side something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    Below,
    Both,
}

/// What a monitor looks for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MonitorKind {
    /// Points outside of a band.
    Anomaly {
        /// How the band is made.
        algorithm: Algorithm,
        /// Half its width in standard deviations.
        bounds: f64,
        /// What repeats, in milliseconds.
        season_ms: i64,
    },
    /// A member apart from its group.
    Outlier {
        /// How it is found.
        method: PeerMethod,
        /// How far apart, in the method's own measure.
        tolerance: f64,
        /// The labels that tell members from each other; series that have all others in common are a group.
        by: Vec<String>,
    },
    /// A limit that will be reached.
    Forecast {
        /// Whether a straight line is drawn, or seasons are continued.
        is_linear: bool,
        /// Half the width of the forecast's band in standard deviations; 0 for the line itself.
        deviations: f64,
        /// How far ahead is looked, in milliseconds.
        horizon_ms: i64,
    },
}

/// From where on a monitor warns and alerts: a share of points, or a value that is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// From here on it alerts.
    pub critical: f64,
    /// From here on it warns, if it does.
    pub warning: Option<f64>,
    /// The share of anomalous points up to which the recovery window is calm.
    pub recovery: f64,
}

/// One monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    /// Its name, unique among all files.
    pub name: String,
    /// What is evaluated.
    pub query: String,
    /// The file it stands in.
    pub file: String,
    /// Where it stands there, counted from 1.
    pub line: usize,
    /// What it looks for.
    pub kind: MonitorKind,
    /// How often it looks, in milliseconds.
    pub interval_ms: i64,
    /// Distance of the points it looks at, in milliseconds.
    pub rollup_ms: i64,
    /// What is judged, in milliseconds before now.
    pub window_ms: i64,
    /// What it is judged by, in milliseconds before the window.
    pub history_ms: i64,
    /// From where on it warns and alerts.
    pub limits: Limits,
    /// How long it has to be calm before it is well again, in milliseconds.
    pub recovery_window_ms: i64,
    /// Whether a window with gaps is not judged.
    pub require_full_window: bool,
    /// How long there may be no data before that is told, in milliseconds, if it is.
    pub no_data_ms: Option<i64>,
    /// How often what goes on is told again, in milliseconds; by the route where there is none.
    pub renotify_ms: Option<i64>,
    /// Labels of its alerts.
    pub tags: BTreeMap<String, String>,
    /// What is told, as it is written.
    pub text: String,
    pub(super) side: Side,
    pub(super) message: Message,
}

impl Monitor {
    /// The word for its kind.
    pub fn kind_word(&self) -> &'static str {
        match self.kind {
            MonitorKind::Anomaly { .. } => "anomaly",
            MonitorKind::Outlier { .. } => "outlier",
            MonitorKind::Forecast { .. } => "forecast",
        }
    }

    /// The side on which something counts.
    pub fn direction(&self) -> &'static str {
        match self.side {
            Side::Above => "above",
            Side::Below => "below",
            Side::Both => "both",
        }
    }
}
