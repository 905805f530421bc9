//! Makes one forecast of several: the weighted mean of those that were best in the back-test.
//!
//! Weights are inverse squares of mean absolute errors (Bates and Granger 1969, for errors that are taken to be
//! independent). Of a family only the best two count: forecasters that are much alike are wrong together.
//!
//! Not here: forecasting the windows (see `back_test`).
//!
//! Invariant: weights are not negative and add up to one.

use super::forecasters::Family;

/// Members at most, members of one family at most, and how much worse than the best a member may be. Any of 3 to 8
/// members, and of 1.1 to 1.5 times the error, are within a hundredth of each other on the series of `bench`.
const MEMBERS_MAX: usize = 6;
const RELATIVES_MAX: usize = 2;
const WITHIN: f64 = 1.25;

/// What was chosen.
#[derive(Debug)]
pub(super) struct Combination {
    /// The place of each member among the candidates, and its weight.
    pub(super) members: Vec<(usize, f64)>,
    /// Actual less forecast, by window, NaN where the actual value is unknown.
    pub(super) errors: Vec<Vec<f64>>,
}

/// Combines candidates by what each expected in every window (`paths[candidate][window][ahead]`) and what came.
/// `families` has one for each candidate; at least one candidate is there.
pub(super) fn combine(families: &[Family], paths: &[Vec<Vec<f64>>], actual: &[&[f64]], is_single: bool) -> Combination {
    let mut ranked: Vec<(usize, f64)> = paths.iter().map(|paths| loss(paths, actual)).enumerate().collect();
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
    let error = |(window, actual): (usize, &&[f64])| {
        let expected = |i: usize| members.iter().map(|(at, weight)| weight * paths[*at][window][i]).sum::<f64>();
        actual.iter().enumerate().map(|(i, actual)| actual - expected(i)).collect()
    };
    let errors = actual.iter().enumerate().map(error).collect();
    Combination { members, errors }
}

/// The more, the smaller the error; finite also for none and for an unknown one.
fn weight(loss: f64) -> f64 {
    (loss + 1e-12).powi(-2).max(f64::MIN_POSITIVE)
}

/// The mean absolute error over all windows; endless where nothing came that could be compared.
fn loss(paths: &[Vec<f64>], actual: &[&[f64]]) -> f64 {
    let pairs = paths.iter().zip(actual).flat_map(|(path, actual)| path.iter().zip(*actual));
    let errors = pairs.map(|(expected, actual)| (actual - expected).abs()).filter(|error| !error.is_nan());
    let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), error| (sum + error, count + 1.0));
    if count > 0.0 { sum / count } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates that are always wrong by so much, on two windows of two steps.
    fn combined(families: &[Family], off: &[f64], is_single: bool) -> Combination {
        let paths: Vec<Vec<Vec<f64>>> = off.iter().map(|off| vec![vec![*off; 2]; 2]).collect();
        combine(families, &paths, &[&[0.0, 0.0], &[f64::NAN, 0.0]], is_single)
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
    fn of_a_family_two_count_and_one_alone_when_asked() {
        let members = combined(&[Family::Line; 4], &[1.0; 4], false).members;
        assert_eq!(members, [(0, 0.5), (1, 0.5)]);
        assert_eq!(combined(&[Family::Line; 4], &[1.0; 4], true).members, [(0, 1.0)]);
    }

    #[test]
    fn exact_ones_and_unknown_ones_have_finite_weights() {
        assert_eq!(combined(&[Family::Line], &[0.0], false).members, [(0, 1.0)]);
        let nothing = combine(&[Family::Line], &[vec![vec![1.0]]], &[&[f64::NAN]], false);
        assert_eq!(nothing.members, [(0, 1.0)]);
    }
}
