//! Quantiles of a forecast, level by level and step by step.

/// What a model says of the steps to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    levels: Vec<f64>,
    steps: usize,
    /// Level by level; within a level step by step.
    values: Vec<f64>,
}

impl Quantiles {
    /// Quantiles from values that stand level by level. Invariant: `values` holds `steps` values of every level.
    pub(crate) fn new(levels: Vec<f64>, steps: usize, values: Vec<f64>) -> Self {
        debug_assert_eq!(values.len(), levels.len() * steps);
        Self { levels, steps, values }
    }

    /// The levels, ascending, each between 0 and 1.
    pub fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// Number of steps forecast.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The values of one of the levels, a step each, in the unit of the history.
    ///
    /// # Panics
    /// If there is no such level.
    pub fn of_level(&self, index: usize) -> &[f64] {
        &self.values[index * self.steps..(index + 1) * self.steps]
    }

    /// The value of any level at a step: linear between the levels of the model, the outermost beyond them.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn at(&self, level: f64, step: usize) -> f64 {
        let value = |index: usize| self.values[index * self.steps + step];
        let above = self.levels.partition_point(|known| *known < level);
        match above {
            0 => value(0),
            _ if above == self.levels.len() => value(above - 1),
            _ => {
                let (low, high) = (self.levels[above - 1], self.levels[above]);
                let share = (level - low) / (high - low);
                value(above - 1) + share * (value(above) - value(above - 1))
            }
        }
    }

    /// Whether every value is a number.
    pub fn are_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    /// The same with the levels in ascending order at every step: the heads of these models know no order, and crossed
    /// quantiles are put right by sorting (Chernozhukov, Fernández-Val and Galichon, Econometrica 78, 2010).
    pub(crate) fn sorted(mut self) -> Self {
        let mut column = vec![0.0; self.levels.len()];
        for step in 0..self.steps {
            for (level, value) in column.iter_mut().enumerate() {
                *value = self.values[level * self.steps + step];
            }
            column.sort_by(f64::total_cmp);
            for (level, value) in column.iter().enumerate() {
                self.values[level * self.steps + step] = *value;
            }
        }
        self
    }

    /// The first `steps` of them.
    pub(crate) fn first(self, steps: usize) -> Self {
        if steps >= self.steps {
            return self;
        }
        let values = self.values.chunks_exact(self.steps).flat_map(|level| level[..steps].iter().copied()).collect();
        Self { levels: self.levels, steps, values }
    }
}

/// The quantile of sorted values at a level: linear between the values next to position `level * (n - 1)`, which is
/// definition 7 of Hyndman and Fan (The American Statistician 50, 1996).
pub(crate) fn of_sorted(sorted: &[f64], level: f64) -> f64 {
    let position = level * (sorted.len() - 1) as f64;
    let below = position.floor();
    let (low, high) = (sorted[below as usize], sorted[position.ceil() as usize]);
    low + (position - below) * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiles() -> Quantiles {
        Quantiles::new(vec![0.1, 0.5, 0.9], 2, vec![1.0, 9.0, 2.0, 5.0, 3.0, 7.0])
    }

    #[test]
    fn levels_between_those_of_the_model_are_linear_and_beyond_them_the_outermost() {
        let quantiles = quantiles();
        let found = [0.01, 0.1, 0.3, 0.5, 0.8, 0.99].map(|level| quantiles.at(level, 0));
        for (found, wanted) in found.into_iter().zip([1.0, 1.0, 1.5, 2.0, 2.75, 3.0]) {
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        }
    }

    #[test]
    fn crossed_quantiles_are_put_in_order_step_by_step() {
        let sorted = quantiles().sorted();
        let found: Vec<&[f64]> = (0..3).map(|level| sorted.of_level(level)).collect();
        assert_eq!(found, [&[1.0, 5.0], &[2.0, 7.0], &[3.0, 9.0]]);
    }

    #[test]
    fn a_shorter_horizon_keeps_the_first_steps_of_every_level() {
        let first = quantiles().first(1);
        assert_eq!((first.steps(), first.of_level(2)), (1, &[3.0][..]));
        assert_eq!(quantiles().first(5), quantiles());
    }

    #[test]
    fn a_quantile_of_sorted_values_is_linear_between_them() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0.0, 0.5, 1.0].map(|level| of_sorted(&sorted, level)), [1.0, 3.0, 8.0]);
    }
}
