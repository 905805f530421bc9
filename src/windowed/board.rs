//! What judging by windows came to, as figures to be scraped.
//!
//! Not here: the page they stand on (see `api::metrics_page`).

use parking_lot::Mutex;

/// Figures since the start, and as of the last tick.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WindowFigures {
    /// Series that are judged.
    pub series: u64,
    /// Series that were chosen and are not judged, for want of room.
    pub left_out: u64,
    /// Windows that were judged.
    pub windows: u64,
    /// Windows that were anomalous.
    pub anomalous: u64,
    /// Times a series' past was forgotten because its values were others by then.
    pub drifts: u64,
    /// Samples that came too late for their window.
    pub late: u64,
    /// Windows that the model could not judge.
    pub model_errors: u64,
    /// Ticks that failed.
    pub errors: u64,
    /// How long the last tick took, in seconds.
    pub tick_s: f64,
    /// The greatest limit of all series, in standard deviations; 0 while there is none.
    pub limit_max: f64,
}

/// The figures as readers see them.
#[derive(Debug, Default)]
pub struct WindowedBoard(Mutex<WindowFigures>);

impl WindowedBoard {
    /// Changes them.
    pub(super) fn change(&self, change: impl FnOnce(&mut WindowFigures)) {
        change(&mut self.0.lock());
    }

    /// As they stand.
    pub fn figures(&self) -> WindowFigures {
        *self.0.lock()
    }
}
