//! From times and values to pixels.
//!
//! Not here: what is drawn there.

use super::Chart;

pub(super) const WIDTH: f64 = 960.0;
pub(super) const HEIGHT: f64 = 440.0;
pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = WIDTH - 24.0;
pub(super) const TOP: f64 = 76.0;
pub(super) const BOTTOM: f64 = HEIGHT - 56.0;
/// Values beyond this are drawn here, so that differences stay finite.
const VALUE_MAX: f64 = 1e300;
/// A limit farther away than this many heights of everything else is left outside of the picture.
const LIMIT_REACH: f64 = 1.5;
/// Room above and below the values, in heights of them.
const MARGIN: f64 = 0.06;

/// What part of time and values the picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Frame {
    /// Room for everything in a chart, also when there is nothing.
    pub(super) fn around(chart: &Chart) -> Self {
        let values = chart.values.iter().map(|(time_ms, value)| (*time_ms, *value, *value));
        let band = chart.band.iter().map(|point| (point.time_ms, point.lower, point.upper));
        let fan = chart.forecast.iter().map(|point| (point.time_ms, point.lower, point.upper));
        let marks = chart.marks.iter().map(|mark| (mark.time_ms, mark.value, mark.value));
        let mut frame = Self { from_ms: i64::MAX, to_ms: i64::MIN, low: f64::INFINITY, high: f64::NEG_INFINITY };
        for (time_ms, low, high) in values.chain(band).chain(fan).chain(marks) {
            frame.from_ms = frame.from_ms.min(time_ms);
            frame.to_ms = frame.to_ms.max(time_ms);
            frame.include(low);
            frame.include(high);
        }
        if frame.from_ms > frame.to_ms {
            (frame.from_ms, frame.to_ms) = (0, 1);
        }
        let shown = frame.from_ms..=frame.to_ms;
        for point in chart.envelope.iter().filter(|point| shown.contains(&point.time_ms)) {
            frame.include(point.floor);
            frame.include(point.peak);
        }
        if frame.low > frame.high {
            (frame.low, frame.high) = (0.0, 1.0);
        }
        let height = frame.high - frame.low;
        if let Some(limit) = chart.limit {
            let near = height == 0.0 || limit > frame.low - LIMIT_REACH * height;
            if near && (height == 0.0 || limit < frame.high + LIMIT_REACH * height) {
                frame.include(limit);
            }
        }
        let height = frame.high - frame.low;
        let margin = if height > 0.0 { MARGIN * height } else { frame.high.abs().max(1e-9) * 0.5 };
        let stays_above = frame.low >= 0.0;
        frame.low -= margin;
        frame.high += margin;
        if stays_above {
            frame.low = frame.low.max(0.0);
        }
        frame
    }

    fn include(&mut self, value: f64) {
        if value.is_finite() {
            self.low = self.low.min(value.max(-VALUE_MAX));
            self.high = self.high.max(value.min(VALUE_MAX));
        }
    }

    /// Pixels from the left.
    pub(super) fn x(&self, time_ms: i64) -> f64 {
        let span = (self.to_ms as f64 - self.from_ms as f64).max(1.0);
        LEFT + (RIGHT - LEFT) * (time_ms as f64 - self.from_ms as f64) / span
    }

    /// Pixels from the top, within the picture.
    pub(super) fn y(&self, value: f64) -> f64 {
        let share = (value.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        BOTTOM - (BOTTOM - TOP) * share
    }

    /// Whether a value has its place in the picture.
    pub(super) fn shows(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(values: &[f64], limit: Option<f64>) -> Frame {
        let values = values.iter().enumerate().map(|(i, value)| (i as i64, *value)).collect();
        Frame::around(&Chart { values, limit, ..Chart::default() })
    }

    #[test]
    fn corners_lie_in_the_corners() {
        let frame = frame(&[10.0, 20.0], None);
        assert_eq!((frame.x(0), frame.x(1)), (LEFT, RIGHT));
        assert_eq!((frame.low, frame.high), (9.4, 20.6));
        assert_eq!((frame.y(9.4), frame.y(20.6)), (BOTTOM, TOP));
    }

    #[test]
    fn a_near_limit_is_shown_and_a_far_one_does_not_flatten_everything() {
        assert!(frame(&[10.0, 20.0], Some(30.0)).shows(30.0));
        assert!(!frame(&[10.0, 20.0], Some(1000.0)).shows(1000.0));
    }

    #[test]
    fn nothing_one_value_and_the_largest_numbers_have_a_frame() {
        for values in [&[][..], &[0.0], &[5.0, 5.0], &[f64::MAX, f64::MIN], &[f64::NAN]] {
            let frame = frame(values, None);
            assert!(frame.y(1.0).is_finite() && frame.x(0).is_finite() && frame.high > frame.low, "{frame:?}");
        }
    }
}
