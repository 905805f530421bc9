//! A history without gaps, and the statistics its patches are standardised by.

/// What is known of a series up to the end of a patch, updated patch by patch (Chan, Golub and LeVeque, 1979).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Running {
    count: f64,
    pub(super) mean: f64,
    squares: f64,
}

impl Running {
    /// With these values too.
    pub(super) fn and(self, values: &[f64]) -> Self {
        if values.is_empty() {
            return self;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let (total, apart) = (self.count + count, mean - self.mean);
        Self {
            count: total,
            mean: self.mean + apart * count / total,
            squares: self.squares + squares + apart * apart * self.count * count / total,
        }
    }

    /// Population deviation.
    pub(super) fn deviation(self) -> f64 {
        (self.squares / self.count.max(1.0)).sqrt()
    }
}

/// From the first value on; gaps are filled on a straight line, at the end with the last value. Empty when there is no
/// value.
pub(super) fn filled(history: &[f64]) -> Vec<f64> {
    let first = history.iter().position(|value| value.is_finite()).unwrap_or(history.len());
    let mut filled = history[first..].to_vec();
    let known: Vec<usize> = (0..filled.len()).filter(|at| filled[*at].is_finite()).collect();
    for pair in known.windows(2) {
        let (from, to) = (filled[pair[0]], filled[pair[1]]);
        let gap = (pair[1] - pair[0]) as f64;
        for (step, value) in filled[pair[0] + 1..pair[1]].iter_mut().enumerate() {
            *value = from + (step + 1) as f64 / gap * (to - from);
        }
    }
    if let Some(last) = known.last() {
        let value = filled[*last];
        filled[last + 1..].fill(value);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_bridged_and_the_end_is_held() {
        let nan = f64::NAN;
        assert_eq!(filled(&[nan, 1.0, nan, nan, 4.0, nan]), [1.0, 2.0, 3.0, 4.0, 4.0]);
        assert!(filled(&[nan, nan]).is_empty());
    }

    #[test]
    fn statistics_patch_by_patch_are_those_of_the_whole() {
        let values: Vec<f64> = (0..100).map(|at| 1e6 + f64::from(at * at % 37)).collect();
        let running = values.chunks(7).fold(Running::default(), Running::and);
        let mean = values.iter().sum::<f64>() / 100.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 100.0;
        assert!((running.mean - mean).abs() < 1e-9 && (running.deviation() - variance.sqrt()).abs() < 1e-9);
    }
}
