//! Pictures of series as SVG: values, the band around them, a forecast with its fan, a limit, and marked anomalies.
//!
//! Not here: writing files, choosing what to draw.
//!
//! Invariants: a picture stands alone (no script, no font, nothing fetched) and follows the reader's choice of light or
//! dark; what colour says is said by shape and in words too; times are UTC; any finite input gives a well-formed file;
//! the value line has at most [`POINTS_MAX`] points, and no peak of the values is lost among them.

mod decimate;
mod draw;
mod frame;
mod ticks;

pub use decimate::POINTS_MAX;

/// What to draw. Every list is in order of time; values that are not finite interrupt a line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// The headline.
    pub title: String,
    /// What the picture shows, in words, for those who cannot see it; what is marked is added by itself.
    pub description: String,
    /// Times in milliseconds since 1970 and values.
    pub values: Vec<(i64, f64)>,
    /// Where values were expected.
    pub band: Vec<BandPoint>,
    /// What is expected next.
    pub forecast: Vec<FanPoint>,
    /// Between which lines it rises and is set back.
    pub envelope: Vec<EnvelopePoint>,
    /// A line to stay on one side of.
    pub limit: Option<f64>,
    /// What is unusual.
    pub marks: Vec<Mark>,
}

/// The edges of what is expected at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandPoint {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Lower edge.
    pub lower: f64,
    /// Upper edge.
    pub upper: f64,
}

/// A step of a forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FanPoint {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// What is expected.
    pub value: f64,
    /// Lower edge of its band.
    pub lower: f64,
    /// Upper edge of its band.
    pub upper: f64,
}

/// Where a series that rises and is set back lies at a time; straight lines join them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnvelopePoint {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// The level it is set back to.
    pub floor: f64,
    /// The level it reaches before.
    pub peak: f64,
}

/// Something unusual.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Where it is drawn.
    pub value: f64,
    /// Decides its shape and colour.
    pub severity: MarkSeverity,
    /// What it is, shown when pointed at.
    pub text: String,
}

/// How unusual a mark is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkSeverity {
    /// A circle.
    Low,
    /// A square.
    Medium,
    /// A triangle.
    High,
    /// A diamond.
    Critical,
}

impl MarkSeverity {
    /// All, least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its name in words and as a class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Chart {
    /// The picture as the text of an SVG file.
    pub fn to_svg(&self) -> String {
        draw::svg(self)
    }
}

#[cfg(test)]
mod tests;
