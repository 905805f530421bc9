//! What the published call does around the network, in its order.

use super::TimesFm;
use super::config::{COLUMNS, MEDIAN};
use super::prepare::{Running, filled};
use ndarray::Array2;

/// Steps before and behind the network; all on is what the published code recommends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags {
    /// Standardise the padded history as a whole first.
    pub(super) normalize_inputs: bool,
    /// Take the distance of quantiles from the median from the head made for them.
    pub(super) continuous_quantile_head: bool,
    /// Average with the mirrored forecast of the mirrored history.
    pub(super) flip_invariance: bool,
    /// Keep the forecast of a history without negative values from going below 0.
    pub(super) infer_is_positive: bool,
    /// Put crossed quantiles in order, from the median outwards.
    pub(super) fix_quantile_crossing: bool,
}

impl Flags {
    pub(super) const RECOMMENDED: Self = Self {
        normalize_inputs: true,
        continuous_quantile_head: true,
        flip_invariance: true,
        infer_is_positive: true,
        fix_quantile_crossing: true,
    };
}

/// One row of columns for every step.
pub(super) type Columns = Vec<[f64; COLUMNS]>;

/// Both heads of a run, in the unit of what went in.
struct Run {
    point: Columns,
    quantiles: Columns,
}

impl TimesFm {
    /// The columns of `horizon` steps behind a history with at least one value, padded at its start to `context` points.
    pub(super) fn columns(&self, history: &[f64], context: usize, horizon: usize, flags: Flags) -> Columns {
        let values = filled(history);
        let values = &values[values.len().saturating_sub(context)..];
        let positive = values.iter().all(|value| *value >= 0.0);
        let (mean, deviation) = if flags.normalize_inputs { padded_statistics(values, context) } else { (0.0, 1.0) };
        let divisor = if deviation < 1e-6 { 1.0 } else { deviation };
        let inputs: Vec<f64> = values.iter().map(|value| (value - mean) / divisor).collect();
        let mut run = self.run(&inputs, horizon);
        if flags.flip_invariance {
            let mirrored: Vec<f64> = inputs.iter().map(|value| -value).collect();
            let other = self.run(&mirrored, horizon);
            average_with_mirrored(&mut run.point, &other.point);
            average_with_mirrored(&mut run.quantiles, &other.quantiles);
        }
        if flags.continuous_quantile_head {
            for (step, quantiles) in run.point.iter_mut().zip(&run.quantiles) {
                let median = step[MEDIAN];
                for column in (1..COLUMNS).filter(|column| *column != MEDIAN) {
                    step[column] = quantiles[column] - quantiles[MEDIAN] + median;
                }
            }
        }
        run.point.truncate(horizon);
        for step in &mut run.point {
            if flags.fix_quantile_crossing {
                uncross(step);
            }
            for value in step {
                *value = *value * deviation + mean;
                if flags.infer_is_positive && positive {
                    *value = value.max(0.0);
                }
            }
        }
        run.point
    }

    /// As many passes as the horizon needs, each going on from the medians of the one before.
    fn run(&self, inputs: &[f64], horizon: usize) -> Run {
        let mut values = inputs.to_vec();
        let mut run = self.pass(&values);
        while run.point.len() < horizon {
            let last = &run.point[run.point.len() - self.config.steps..];
            values.extend(last.iter().map(|step| step[MEDIAN]));
            let next = self.pass(&values);
            run.point.extend(next.point);
        }
        run
    }

    fn pass(&self, values: &[f64]) -> Run {
        let (features, last) = self.features(values);
        let output = self.network.run(&features);
        let deviation = last.deviation();
        let in_unit = |rows: Array2<f32>| -> Columns {
            let step =
                |row: usize| std::array::from_fn(|column| f64::from(rows[[row, column]]) * deviation + last.mean);
            (0..rows.nrows()).map(step).collect()
        };
        Run { point: in_unit(output.point), quantiles: in_unit(output.quantiles) }
    }

    /// A row for each patch: its values, standardised by all points to its end, then 1 for each point that is padding.
    /// Also the statistics at the end.
    pub(super) fn features(&self, values: &[f64]) -> (Array2<f32>, Running) {
        let patch = self.config.patch;
        let count = values.len().div_ceil(patch);
        let padding = count * patch - values.len();
        let mut features = Array2::zeros((count, 2 * patch));
        let mut running = Running::default();
        for row in 0..count {
            let first = (row * patch).saturating_sub(padding);
            let own = &values[first..(row + 1) * patch - padding];
            running = running.and(own);
            let deviation = running.deviation();
            let divisor = if deviation < 1e-6 { 1.0 } else { deviation };
            let padded = patch - own.len();
            for column in 0..padded {
                features[[row, patch + column]] = 1.0;
            }
            for (column, value) in own.iter().enumerate() {
                features[[row, padded + column]] = ((value - running.mean) / divisor) as f32;
            }
        }
        (features, running)
    }
}

/// Mean and deviation (by n - 1) of the history with the zeros that pad it.
fn padded_statistics(values: &[f64], context: usize) -> (f64, f64) {
    let count = context as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let squares = squares + (context - values.len()) as f64 * mean * mean;
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

fn average_with_mirrored(run: &mut Columns, mirrored: &Columns) {
    for (step, mirrored) in run.iter_mut().zip(mirrored) {
        step[0] = (step[0] - mirrored[0]) / 2.0;
        for column in 1..COLUMNS {
            step[column] = (step[column] - mirrored[COLUMNS - column]) / 2.0;
        }
    }
}

fn uncross(step: &mut [f64; COLUMNS]) {
    for column in (1..MEDIAN).rev() {
        step[column] = step[column].min(step[column + 1]);
    }
    for column in MEDIAN + 1..COLUMNS {
        step[column] = step[column].max(step[column - 1]);
    }
}
