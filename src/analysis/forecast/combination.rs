//! Makes one forecast of several: the weighted median of those that were best in the back-test.
//!
//! Weights are inverse squares of mean absolute errors (Bates and Granger 1969, for errors that are taken to be
//! independent). Of a family only the best two count: forecasters that are much alike are wrong together. The median, step
//! by step, as one that goes astray then moves nothing (Petropoulos and Svetunkov 2020); of two it is their weighted mean.
//!
//! Not here: forecasting the windows (see `back_test`).
//!
//! Invariant: weights are not negative and add up to one.

use super::forecasters::Family;

/// Members at most, members of one family at most, and how much worse than the best a member may be. A median has use for
/// more of them than a mean: one that is bad moves it little, and one that adapts when the others do not is there.
const MEMBERS_MAX: usize = 8;
const RELATIVES_MAX: usize = 2;
const WITHIN: f64 = 1.5;

/// What was chosen.
#[derive(Debug)]
pub(super) struct Combination {
    /// The place of each member among the candidates, and its weight.
    pub(super) members: Vec<(usize, f64)>,
    /// Actual less forecast, by window, NaN where the actual value is unknown.
    pub(super) errors: Vec<Vec<f64>>,
}

/// Combines candidates by what each expected in every window (`paths[candidate][window][ahead]`) and what came, where a
/// window counts for its weight. `families` has one for each candidate; at least one candidate is there.
pub(super) fn combine(
    families: &[Family],
    paths: &[Vec<Vec<f64>>],
    actual: &[&[f64]],
    weights: &[f64],
    is_single: bool,
) -> Combination {
    let mut ranked: Vec<(usize, f64)> = paths.iter().map(|paths| loss(paths, actual, weights)).enumerate().collect();
    ranked.sort_by(|(_, left), (_, right)| left.total_cmp(right));
    // Beyond rounding, so that of two that are exact the simpler is taken.
    let worst = ranked[0].1 * WITHIN + 1e-12;
    let mut chosen: Vec<(usize, f64)> = Vec::with_capacity(MEMBERS_MAX);
    for (at, loss) in ranked {
        let relatives = chosen.iter().filter(|(other, _)| families[*other] == families[at]).count();
        let is_enough = chosen.len() == if is_single { 1 } else { MEMBERS_MAX };
        if (loss <= worst || chosen.is_empty()) && !is_enough && relatives < RELATIVES_MAX {
            chosen.push((at, loss));
        }
    }
    let total: f64 = chosen.iter().map(|(_, loss)| weight(*loss)).sum();
    let members: Vec<(usize, f64)> = chosen.into_iter().map(|(at, loss)| (at, weight(loss) / total)).collect();
    let mut values = Vec::with_capacity(members.len());
    let mut error = |(window, actual): (usize, &&[f64])| {
        let mut expected = |i: usize| {
            values.clear();
            values.extend(members.iter().map(|(at, weight)| (paths[*at][window][i], *weight)));
            weighted_median(&mut values)
        };
        actual.iter().enumerate().map(|(i, actual)| actual - expected(i)).collect()
    };
    let errors = actual.iter().enumerate().map(&mut error).collect();
    Combination { members, errors }
}

/// The weighted median of values with their weights, which are put in order.
pub(super) fn weighted_median(values: &mut [(f64, f64)]) -> f64 {
    values.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    weighted_quantile(values, 0.5)
}

/// A quantile of sorted values with weights: linear between the middles of their shares.
pub(super) fn weighted_quantile(sorted: &[(f64, f64)], q: f64) -> f64 {
    let total: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    let (mut before, mut last) = (0.0, None);
    for (value, weight) in sorted {
        let middle = (before + weight / 2.0) / total;
        if middle >= q {
            return match last {
                Some((from, low)) => low + (value - low) * (q - from) / (middle - from),
                None => *value,
            };
        }
        before += weight;
        last = Some((middle, *value));
    }
    last.map_or(0.0, |(_, value)| value)
}

/// The more, the smaller the error; finite also for none and for an unknown one.
fn weight(loss: f64) -> f64 {
    (loss + 1e-12).powi(-2).max(f64::MIN_POSITIVE)
}

/// The weighted mean absolute error over all windows; endless where nothing came that could be compared.
fn loss(paths: &[Vec<f64>], actual: &[&[f64]], weights: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((path, actual), weight) in paths.iter().zip(actual).zip(weights) {
        let errors = path.iter().zip(*actual).map(|(expected, actual)| (actual - expected).abs());
        for error in errors.filter(|error| !error.is_nan()) {
            sum += weight * error;
            count += weight;
        }
    }
    if count > 0.0 { sum / count } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates that are always wrong by so much, on two windows of two steps.
    fn combined(families: &[Family], off: &[f64], is_single: bool) -> Combination {
        let paths: Vec<Vec<Vec<f64>>> = off.iter().map(|off| vec![vec![*off; 2]; 2]).collect();
        combine(families, &paths, &[&[0.0, 0.0], &[f64::NAN, 0.0]], &[1.0; 2], is_single)
    }

    #[test]
    fn the_better_ones_count_by_the_square_of_their_error() {
        let families = [Family::Line, Family::Smoothing, Family::Regression];
        let Combination { members, errors } = combined(&families, &[1.2, 1.0, 9.0], false);
        let share = 1.44 / 2.44;
        assert_eq!(members.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 0]);
        assert!((members[0].1 - share).abs() < 1e-9 && (members[1].1 - 1.0 + share).abs() < 1e-9, "{members:?}");
        assert!((errors[0][0] + share + 1.2 * (1.0 - share)).abs() < 1e-9);
        assert!(errors[1][0].is_nan());
    }

    #[test]
    fn of_three_the_one_astray_moves_nothing_and_old_windows_count_less() {
        assert_eq!(weighted_median(&mut [(1.0, 1.0), (900.0, 1.0), (2.0, 1.0)]), 2.0);
        assert!((weighted_median(&mut [(3.0, 0.25), (1.0, 0.75)]) - 1.5).abs() < 1e-12);
        assert_eq!(weighted_quantile(&[(4.0, 2.0)], 0.9), 4.0);
        // The first was better long ago, the second is now.
        let paths = [vec![vec![0.0], vec![1.0]], vec![vec![1.5], vec![0.0]]];
        let families = [Family::Line, Family::Smoothing];
        let actual: [&[f64]; 2] = [&[0.0], &[0.0]];
        assert_eq!(combine(&families, &paths, &actual, &[1.0, 1.0], true).members[0].0, 0);
        assert_eq!(combine(&families, &paths, &actual, &[0.2, 1.0], true).members[0].0, 1);
    }

    #[test]
    fn of_a_family_two_count_and_one_alone_when_asked() {
        let members = combined(&[Family::Line; 4], &[1.0; 4], false).members;
        assert_eq!(members, [(0, 0.5), (1, 0.5)]);
        assert_eq!(combined(&[Family::Line; 4], &[1.0; 4], true).members, [(0, 1.0)]);
    }

    #[test]
    fn exact_ones_and_unknown_ones_have_finite_weights() {
        assert_eq!(combined(&[Family::Line], &[0.0], false).members, [(0, 1.0)]);
        let nothing = combine(&[Family::Line], &[vec![vec![1.0]]], &[&[f64::NAN]], &[1.0], false);
        assert_eq!(nothing.members, [(0, 1.0)]);
    }
}
