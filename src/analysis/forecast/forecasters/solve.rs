//! Least squares with a penalty: normal equations gathered row by row, and their solution.
//!
//! Not here: which columns there are.
//!
//! Invariant: with a penalty above zero on every column there is always a solution.

/// Sums of products of columns and of columns with the value.
#[derive(Debug, Clone)]
pub(super) struct Normal {
    pub(super) columns: usize,
    /// Row by row, up to the diagonal.
    pub(super) products: Vec<f64>,
    pub(super) targets: Vec<f64>,
    /// Sum of squares of the value.
    pub(super) square: f64,
    pub(super) rows: usize,
}

impl Normal {
    pub(super) fn new(columns: usize) -> Self {
        let products = vec![0.0; columns * columns];
        Self { columns, products, targets: vec![0.0; columns], square: 0.0, rows: 0 }
    }

    /// Takes in a row with its value, that counts for `weight`.
    pub(super) fn add(&mut self, row: &[f64], value: f64, weight: f64) {
        for (i, left) in row.iter().enumerate() {
            let weighted = weight * left;
            let products = &mut self.products[i * self.columns..=i * self.columns + i];
            products.iter_mut().zip(row).for_each(|(product, right)| *product += weighted * right);
            self.targets[i] += weighted * value;
        }
        self.square += weight * value * value;
        self.rows += 1;
    }

    /// The sum of squares that these coefficients leave.
    pub(super) fn left(&self, weights: &[f64]) -> f64 {
        let mut left = self.square;
        for (i, weight) in weights.iter().enumerate() {
            let row = &self.products[i * self.columns..i * self.columns + i];
            let others: f64 = row.iter().zip(weights).map(|(product, other)| product * other).sum();
            let own = self.products[i * self.columns + i];
            left += weight * (2.0 * others + own * weight - 2.0 * self.targets[i]);
        }
        left
    }

    /// The coefficients with these penalties, by Cholesky's decomposition; none where it breaks down.
    pub(super) fn ridge(&self, penalties: &[f64]) -> Option<Vec<f64>> {
        let n = self.columns;
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let done: f64 = (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum();
                let left = self.products[i * n + j] - done;
                lower[i * n + j] = if i == j {
                    let pivot = left + penalties[i];
                    (pivot > 0.0).then(|| pivot.sqrt())?
                } else {
                    left / lower[j * n + j]
                };
            }
        }
        let mut solution = self.targets.clone();
        for i in 0..n {
            let done: f64 = (0..i).map(|k| lower[i * n + k] * solution[k]).sum();
            solution[i] = (solution[i] - done) / lower[i * n + i];
        }
        for i in (0..n).rev() {
            let done: f64 = (i + 1..n).map(|k| lower[k * n + i] * solution[k]).sum();
            solution[i] = (solution[i] - done) / lower[i * n + i];
        }
        solution.iter().all(|value| value.is_finite()).then_some(solution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_finds_the_plane_and_a_penalty_draws_it_to_zero() {
        let mut normal = Normal::new(2);
        for (x, y) in [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)] {
            normal.add(&[1.0, x], y, 1.0);
        }
        let plain = normal.ridge(&[1e-12, 1e-12]).unwrap();
        assert!((plain[0] - 1.0).abs() < 1e-6 && (plain[1] - 2.0).abs() < 1e-6, "{plain:?}");
        // (3 + 3, 3; 3, 5 + 7) b = (9, 13): b = (69/63, 51/63).
        let drawn = normal.ridge(&[3.0, 7.0]).unwrap();
        assert!((drawn[0] - 69.0 / 63.0).abs() < 1e-12 && (drawn[1] - 51.0 / 63.0).abs() < 1e-12, "{drawn:?}");
        // 1, 3 and 5 less 1 and 2 x each: nothing is left; less 1: 0, 2 and 4.
        assert!(normal.left(&[1.0, 2.0]).abs() < 1e-12 && (normal.left(&[1.0, 0.0]) - 20.0).abs() < 1e-12);
        assert_eq!(Normal::new(1).ridge(&[0.0]), None);
    }
}
