//! The functions of PromQL, one file per kind, and the table that finds them by name.
//!
//! Not here: aggregation operators (see `aggregate`), argument types (the parser checks them).

pub(crate) mod dates;
pub(crate) mod histogram;
pub(crate) mod labels;
mod math;
mod over_time;
mod rates;
mod regression;
pub(crate) mod sort;

use super::window::RangeFunction;

pub(crate) use math::round;
pub(crate) use over_time::quantile;

/// A function of one number that drops the metric's name.
pub(crate) fn of_number(name: &str) -> Option<fn(f64) -> f64> {
    math::TABLE.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}

/// A function over a range.
pub(crate) fn over_range(name: &str) -> Option<RangeFunction> {
    let tables = [rates::TABLE, over_time::TABLE, regression::TABLE];
    tables.into_iter().flatten().find(|function| function.name == name).copied()
}

/// Whether a function exists only for native histograms.
pub(crate) fn wants_native_histograms(name: &str) -> bool {
    ["histogram_avg", "histogram_count", "histogram_fraction", "histogram_stddev", "histogram_stdvar", "histogram_sum"]
        .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once() {
        let mut names: Vec<&str> = math::TABLE.iter().map(|(name, _)| *name).collect();
        names.extend([rates::TABLE, over_time::TABLE, regression::TABLE].into_iter().flatten().map(|f| f.name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| of_number(name).is_some() != over_range(name).is_some()));
    }
}
