//! Binary operators on numbers, and on a column or a vector with a scalar.
//!
//! A comparison filters: it keeps the left value where it holds. With `bool` it becomes 1 or 0 instead.
//!
//! Not here: vectors on both sides (see `matching`).

use super::error::QueryError;
use super::value::{ABSENT, Series, drop_names, is_absent};

/// An arithmetic or comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
}

impl Operator {
    /// Whether the operator compares rather than computes.
    pub(crate) fn compares(self) -> bool {
        use Operator::*;
        matches!(self, Equal | NotEqual | Greater | Less | GreaterEqual | LessEqual)
    }

    /// The value of `a op b`; of a comparison that does not hold there is none.
    #[inline]
    fn apply(self, a: f64, b: f64) -> f64 {
        let kept = |holds: bool| if holds { a } else { ABSENT };
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Mod => a % b,
            Self::Pow => a.powf(b),
            Self::Atan2 => a.atan2(b),
            Self::Equal => kept(a == b),
            Self::NotEqual => kept(a != b),
            Self::Greater => kept(a > b),
            Self::Less => kept(a < b),
            Self::GreaterEqual => kept(a >= b),
            Self::LessEqual => kept(a <= b),
        }
    }
}

/// An operator with its `bool` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) operator: Operator,
    pub(crate) returns_bool: bool,
}

impl Operation {
    /// Whether the result is another quantity than its operands, so that their name no longer fits. That `atan2`
    /// keeps the name is an oversight of Prometheus that 2.42 has and we follow.
    pub(crate) fn drops_name(self) -> bool {
        self.returns_bool || !(self.operator.compares() || self.operator == Operator::Atan2)
    }

    /// Whether the result is an operand or nothing.
    fn filters(self) -> bool {
        self.operator.compares() && !self.returns_bool
    }

    /// The value for one pair of present numbers.
    #[inline]
    pub(crate) fn pair(self, a: f64, b: f64) -> f64 {
        let value = self.operator.apply(a, b);
        if self.returns_bool { f64::from(u8::from(!is_absent(value))) } else { value }
    }

    /// The column of two columns, absent where either is.
    pub(crate) fn columns(self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let pair = |(&a, &b): (&f64, &f64)| if is_absent(a) || is_absent(b) { ABSENT } else { self.pair(a, b) };
        a.iter().zip(b).map(pair).collect()
    }

    /// Scalars on both sides; comparisons of scalars always have `bool`.
    pub(crate) fn scalars(self, a: &[f64], b: &[f64]) -> Vec<f64> {
        a.iter().zip(b).map(|(&a, &b)| self.pair(a, b)).collect()
    }

    /// A vector with a scalar at its right, or at its left when `swapped`; a filter keeps the vector's value.
    pub(crate) fn with_scalar(
        self,
        mut vector: Vec<Series>,
        scalar: &[f64],
        swapped: bool,
    ) -> Result<Vec<Series>, QueryError> {
        for series in &mut vector {
            for (value, &scalar) in series.values.iter_mut().zip(scalar).filter(|(value, _)| !is_absent(**value)) {
                let held = *value;
                let computed = if swapped { self.pair(scalar, held) } else { self.pair(held, scalar) };
                *value = if swapped && self.filters() && !is_absent(computed) { held } else { computed };
            }
        }
        if self.drops_name() { drop_names(vector, true) } else { Ok(vector) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::labels::Labels;

    fn operation(operator: Operator, returns_bool: bool) -> Operation {
        Operation { operator, returns_bool }
    }

    #[test]
    fn arithmetic_follows_the_floating_point_standard() {
        let value = |operator, a, b| operation(operator, false).pair(a, b);
        assert_eq!(value(Operator::Mod, -7.0, 3.0), -1.0);
        assert_eq!(value(Operator::Pow, 2.0, 10.0), 1024.0);
        assert_eq!(value(Operator::Div, 1.0, 0.0), f64::INFINITY);
        assert!(value(Operator::Mod, 1.0, 0.0).is_nan());
        assert_eq!(value(Operator::Atan2, 0.0, -1.0), std::f64::consts::PI);
    }

    #[test]
    fn comparisons_filter_or_answer() {
        assert!(is_absent(operation(Operator::Greater, false).pair(1.0, 2.0)));
        assert_eq!(operation(Operator::Less, false).pair(1.0, 2.0), 1.0);
        assert_eq!(operation(Operator::Greater, true).pair(1.0, 2.0), 0.0);
        assert_eq!(operation(Operator::NotEqual, true).pair(f64::NAN, f64::NAN), 1.0);
    }

    #[test]
    fn a_filter_keeps_the_value_and_the_name_of_the_vector() {
        let vector =
            || vec![Series { labels: Labels::from_pairs([("__name__", "m")]), values: vec![5.0, 1.0, ABSENT] }];
        let kept = operation(Operator::Less, false).with_scalar(vector(), &[3.0; 3], true).unwrap();
        assert_eq!(kept[0].values[0], 5.0);
        assert!(is_absent(kept[0].values[1]) && is_absent(kept[0].values[2]));
        assert_eq!(kept[0].labels.get("__name__"), "m");
        let answered = operation(Operator::Less, true).with_scalar(vector(), &[3.0; 3], true).unwrap();
        assert_eq!(answered[0].values[..2], [1.0, 0.0]);
        assert_eq!(answered[0].labels, Labels::empty());
        let computed = operation(Operator::Sub, false).with_scalar(vector(), &[3.0; 3], true).unwrap();
        assert_eq!(computed[0].values[..2], [-2.0, 2.0]);
    }
}
