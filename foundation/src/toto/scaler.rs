//! A series as patches, and the statistics each patch is standardised by: those of all points up to its end.

/// The smallest scale.
const FLOOR: f64 = 1e-6;

/// A series cut into patches.
#[derive(Debug, Clone)]
pub(super) struct Scaled {
    /// Gaps filled, padding at the start as 0.
    pub(super) values: Vec<f64>,
    /// Which of them count as seen.
    pub(super) observed: Vec<bool>,
    /// Location and scale of each patch, rounded as the published code keeps them.
    pub(super) patches: Vec<(f32, f32)>,
    /// Whether a patch holds anything that was seen.
    pub(super) seen: Vec<bool>,
    patch: usize,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Scaled {
    /// A history of at least one point; of its last `context` points.
    pub(super) fn new(history: &[f64], context: usize, patch: usize, fallback_below: usize) -> Self {
        let context = context.next_multiple_of(patch);
        let mut filled = Vec::with_capacity(history.len());
        let mut last = 0.0;
        for value in history {
            last = if value.is_finite() { *value } else { last };
            filled.push(last);
        }
        let first = history.len().saturating_sub(context);
        let padding = (patch - (history.len() - first) % patch) % patch;
        let mut values = vec![0.0; padding];
        values.extend_from_slice(&filled[first..]);
        let mut observed = vec![false; padding];
        observed.extend(history[first..].iter().map(|value| value.is_finite()));
        // The published code counts the whole of the last patch as seen.
        let length = observed.len();
        observed[length.saturating_sub(patch)..].fill(true);
        let (patches, seen) = (Vec::new(), Vec::new());
        let mut scaled =
            Self { values: Vec::new(), observed: Vec::new(), patches, seen, patch, count: 0.0, sum: 0.0, squares: 0.0 };
        for (values, observed) in values.chunks(patch).zip(observed.chunks(patch)) {
            scaled.push(values, observed);
        }
        scaled.fall_back(fallback_below);
        scaled
    }

    /// One more patch (Welford, Technometrics 4, 1962).
    fn push(&mut self, values: &[f64], observed: &[bool]) {
        for value in values.iter().zip(observed).filter(|(_, observed)| **observed).map(|(value, _)| *value) {
            let before = self.sum / self.count.max(1.0);
            self.count += 1.0;
            self.sum += value;
            self.squares += (value - before) * (value - self.sum / self.count);
        }
        let location = self.sum / self.count.max(1.0);
        let scale = (self.squares / (self.count - 1.0).max(1.0)).sqrt().max(FLOOR);
        self.patches.push((location as f32, scale as f32));
        self.seen.push(observed.contains(&true));
        self.values.extend_from_slice(values);
        self.observed.extend_from_slice(observed);
    }

    /// Goes on through values that were forecast.
    pub(super) fn go_on(&mut self, values: &[f64]) {
        let observed = vec![true; self.patch];
        for patch in values.chunks(self.patch) {
            self.push(patch, &observed[..patch.len()]);
        }
    }

    /// Patches before `below` points were seen get the statistics of the first `below` points.
    fn fall_back(&mut self, below: usize) {
        let seen = self.values.iter().zip(&self.observed).filter(|(_, observed)| **observed).map(|(value, _)| *value);
        let first: Vec<f64> = seen.take(below).collect();
        if first.is_empty() {
            return;
        }
        let count = first.len() as f64;
        let mean = first.iter().sum::<f64>() / count;
        let squares = first.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let scale = (squares / (count - 1.0).max(1.0)).sqrt().max(FLOOR);
        let mut counted = 0;
        for (index, observed) in self.observed.chunks(self.patch).enumerate() {
            counted += observed.iter().filter(|observed| **observed).count();
            if counted < below {
                self.patches[index] = (mean as f32, scale as f32);
            }
        }
    }

    pub(super) fn location_and_scale(&self) -> (f32, f32) {
        self.patches.last().copied().unwrap_or((0.0, 1.0))
    }

    /// What the network sees of a patch: its values, standardised and squeezed, then 1 for each that was not seen.
    pub(super) fn features(&self, index: usize, into: &mut [f32]) {
        let (location, scale) = self.patches[index];
        let (values, missing) = into.split_at_mut(self.patch);
        for (at, (value, missing)) in values.iter_mut().zip(missing).enumerate() {
            let at = index * self.patch + at;
            let observed = self.observed[at];
            *value = if observed { asinh((self.values[at] as f32 - location) / scale) } else { 0.0 };
            *missing = if observed { 0.0 } else { 1.0 };
        }
    }

    /// Smallest and largest value that was seen.
    pub(super) fn range(&self) -> (f64, f64) {
        let seen = self.values.iter().zip(&self.observed).filter(|(_, observed)| **observed).map(|(value, _)| *value);
        seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
    }
}

fn asinh(x: f32) -> f32 {
    f64::from(x).asinh() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_hold_the_last_value_and_the_last_patch_counts_as_seen() {
        let scaled = Scaled::new(&[f64::NAN, 5.0, f64::NAN, 7.0, f64::NAN], 100, 4, 0);
        assert_eq!(scaled.values, [0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 7.0, 7.0]);
        assert_eq!(scaled.observed, [false, false, false, false, true, true, true, true]);
        assert_eq!(scaled.seen, [false, true]);
        assert_eq!(scaled.location_and_scale(), (6.0, (4.0f32 / 3.0).sqrt()));
    }

    #[test]
    fn a_patch_knows_what_came_before_it_and_nothing_later() {
        let history: Vec<f64> = (0..12).map(f64::from).collect();
        let whole = Scaled::new(&history, 100, 4, 0);
        let begun = Scaled::new(&history[..8], 100, 4, 0);
        assert_eq!(whole.patches[..2], begun.patches[..]);
        let mut gone_on = begun;
        gone_on.go_on(&history[8..]);
        assert_eq!(gone_on.patches, whole.patches);
    }

    #[test]
    fn sparse_beginnings_fall_back_on_the_first_points() {
        let nan = f64::NAN;
        let history = [nan, nan, nan, 2.0, 4.0, 6.0, 8.0, 8.0];
        let scaled = Scaled::new(&history, 100, 4, 3);
        assert_eq!(scaled.patches[0], (4.0, 2.0));
        assert_ne!(scaled.patches[1], (4.0, 2.0));
    }
}
