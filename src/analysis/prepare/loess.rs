//! Local regression with tricube weights (Cleveland 1979), as STL uses it: at positions 1 to n, and one before and after.
//!
//! Not here: what is smoothed (see `decompose`).

/// A smoother over so many nearest values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Smoother {
    /// Values in a window.
    pub(super) window: usize,
    /// 0 for a mean, 1 for a line.
    pub(super) degree: usize,
    /// Every so many positions are computed, those between lie on lines.
    pub(super) jump: usize,
}

/// What each value counts for beside its distance.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weights<'a> {
    /// All the same.
    None,
    /// So much.
    Some(&'a [f64]),
}

impl<'a> Weights<'a> {
    pub(super) fn of(weights: Option<&'a [f64]>) -> Self {
        weights.map_or(Self::None, Self::Some)
    }

    fn at(self, place: usize) -> f64 {
        match self {
            Self::None => 1.0,
            Self::Some(weights) => weights[place],
        }
    }
}

impl Smoother {
    /// Smooths at every place of `values`; a place around which nothing counts keeps its value.
    pub(super) fn smooth(&self, values: &[f64], weights: Weights<'_>, out: &mut [f64]) {
        let count = values.len();
        if count < 2 {
            out.copy_from_slice(values);
            return;
        }
        let jump = self.jump.clamp(1, count - 1);
        let mut before = 0;
        for at in (0..count).step_by(jump).chain((!(count - 1).is_multiple_of(jump)).then_some(count - 1)) {
            let from = self.left(at, count);
            let to = (from + self.window).min(count);
            out[at] = self.fit(values, weights, at as f64, from, to).unwrap_or(values[at]);
            let slope = (out[at] - out[before]) / (at - before).max(1) as f64;
            let start = out[before];
            for (k, cell) in out[before..at].iter_mut().enumerate().skip(1) {
                *cell = start + slope * k as f64;
            }
            before = at;
        }
    }

    /// The value one place before the first.
    pub(super) fn before(&self, values: &[f64], weights: Weights<'_>) -> Option<f64> {
        self.fit(values, weights, -1.0, 0, self.window.min(values.len()))
    }

    /// The value one place after the last.
    pub(super) fn after(&self, values: &[f64], weights: Weights<'_>) -> Option<f64> {
        let count = values.len();
        self.fit(values, weights, count as f64, count.saturating_sub(self.window), count)
    }

    /// The first place of the window around a place.
    fn left(&self, at: usize, count: usize) -> usize {
        if self.window >= count {
            return 0;
        }
        let half = self.window.div_ceil(2);
        (at + 1).saturating_sub(half).min(count - self.window)
    }

    /// The regression at `x` over the places `from..to`, numbered from 0; `None` where nothing counts.
    fn fit(&self, values: &[f64], weights: Weights<'_>, x: f64, from: usize, to: usize) -> Option<f64> {
        let count = values.len();
        let mut reach = (x - from as f64).max((to - 1) as f64 - x);
        if self.window > count {
            reach += ((self.window - count) / 2) as f64;
        }
        let (close, far) = (0.001 * reach, 0.999 * reach);
        let weight = |place: usize| {
            let distance = (place as f64 - x).abs();
            let tricube = match distance {
                d if d > far => 0.0,
                d if d <= close => 1.0,
                d => {
                    let ratio = d / reach;
                    let rest = 1.0 - ratio * ratio * ratio;
                    rest * rest * rest
                }
            };
            tricube * weights.at(place)
        };
        let (mut sum, mut first, mut level) = (0.0, 0.0, 0.0);
        let near = &values[from..to];
        for (place, value) in (from..).zip(near) {
            let weight = weight(place);
            sum += weight;
            first += weight * place as f64;
            level += weight * value;
        }
        if sum <= 0.0 {
            return None;
        }
        let (centre, level) = (first / sum, level / sum);
        if self.degree == 0 || reach <= 0.0 {
            return Some(level);
        }
        let (mut spread, mut slope) = (0.0, 0.0);
        for (place, value) in (from..).zip(near) {
            let off = place as f64 - centre;
            let weight = weight(place);
            spread += weight * off * off;
            slope += weight * off * value;
        }
        let spread = spread / sum;
        // Where all weight lies on one place there is no line.
        if spread.sqrt() <= 0.001 * (count - 1) as f64 {
            return Some(level);
        }
        Some(level + (x - centre) * slope / sum / spread)
    }
}
