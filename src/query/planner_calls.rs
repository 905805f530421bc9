//! Function calls: which of the kinds of computation a function is, and what its arguments become.
//!
//! Not here: the functions themselves (see `functions`).

use super::error::QueryError;
use super::functions::labels::{Join, Replace};
use super::functions::{self, dates};
use super::grid::Grid;
use super::labels::{LabelChoice, Labels};
use super::limits::Semantics;
use super::parse;
use super::plan::{Call, LeafWork, Node};
use super::planner::{Planner, text, unwrapped};
use super::window::{Parameters, RangeFunction};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr, VectorSelector};
use storage::label_index::MatchOp;
use storage::series::NAME_LABEL;

impl Planner<'_> {
    pub(super) fn call(&mut self, call: &parser::Call, grid: Grid) -> Result<Node, QueryError> {
        let name = call.func.name;
        let arguments: Vec<&Expr> = call.args.args.iter().map(|argument| &**argument).collect();
        check_types(call, &arguments)?;
        if let Some(function) = functions::over_range(name) {
            return self.over_range(function, &arguments, grid);
        }
        if let Some(function) = functions::of_number(name) {
            return self.plain(Call::Map(function), &arguments, grid);
        }
        if let Some(function) = dates::of_seconds(name) {
            let now = Node::Call { function: Call::Vector, arguments: vec![Node::Time] };
            let seconds = arguments.first().map_or(Ok(now), |argument| self.node(argument, grid))?;
            return Ok(Node::Call { function: Call::Map(function), arguments: vec![seconds] });
        }
        let function = match name {
            "time" => return Ok(Node::Time),
            "pi" => return Ok(Node::Number(std::f64::consts::PI)),
            "vector" => Call::Vector,
            "scalar" => Call::Scalar,
            "round" => Call::Round,
            "clamp" => Call::Clamp,
            "clamp_min" => Call::ClampMin,
            "clamp_max" => Call::ClampMax,
            "histogram_quantile" => Call::HistogramQuantile,
            "sort" => Call::Sort { descending: false },
            "sort_desc" => Call::Sort { descending: true },
            "timestamp" => {
                if let Expr::VectorSelector(selector) = unwrapped(arguments[0]) {
                    return self.instant(selector, grid, true);
                }
                Call::Timestamp
            }
            "absent" => Call::Absent(absent_labels(arguments[0])?),
            "absent_over_time" => return self.absent_over_time(arguments[0], grid),
            "label_replace" | "label_join" | "sort_by_label" | "sort_by_label_desc" => {
                let function = label_function(name, &arguments, self.limits.semantics)?;
                return self.plain(function, &arguments[..1], grid);
            }
            _ if functions::wants_native_histograms(name) => {
                return Err(QueryError::Execution(format!("{name} needs native histograms, which are not supported")));
            }
            _ => return Err(QueryError::BadData(format!("function {name} is not supported"))),
        };
        self.plain(function, &arguments, grid)
    }

    fn plain(&mut self, function: Call, arguments: &[&Expr], grid: Grid) -> Result<Node, QueryError> {
        let arguments = arguments.iter().map(|argument| self.node(argument, grid)).collect::<Result<_, _>>()?;
        Ok(Node::Call { function, arguments })
    }

    /// A function over a range: the leaf's own work when all else is constant.
    fn over_range(&mut self, function: RangeFunction, arguments: &[&Expr], grid: Grid) -> Result<Node, QueryError> {
        let place = arguments
            .iter()
            .position(|argument| argument.value_type() == ValueType::Matrix)
            .ok_or_else(|| QueryError::BadData(format!("{} needs a range vector", function.name)))?;
        let scalars = arguments.iter().enumerate().filter(|(i, _)| *i != place);
        let parameters = scalars.map(|(_, argument)| self.node(argument, grid)).collect::<Result<Vec<_>, _>>()?;
        let number = |i: usize| match parameters.get(i) {
            None => Some(0.0),
            Some(Node::Number(number)) => Some(*number),
            Some(_) => None,
        };
        if let (Expr::MatrixSelector(selector), Some(a), Some(b)) = (unwrapped(arguments[place]), number(0), number(1))
        {
            let span = self.span(selector)?;
            let work = LeafWork::Range { function, span, parameters: Parameters::Fixed([a, b]) };
            return self.leaf(&selector.vs, grid, work).map(Node::Leaf);
        }
        let source = self.source(arguments[place], grid)?;
        Ok(Node::Range { function, source, parameters })
    }

    /// `absent` of whatever has a sample in the range, named by the selector's own matchers.
    fn absent_over_time(&mut self, argument: &Expr, grid: Grid) -> Result<Node, QueryError> {
        let labels = match unwrapped(argument) {
            Expr::MatrixSelector(selector) => matcher_labels(&selector.vs)?,
            _ => Labels::empty(),
        };
        let present = functions::over_range("last_over_time").expect("last_over_time is in the table");
        let present = self.over_range(present, &[argument], grid)?;
        Ok(Node::Call { function: Call::Absent(labels), arguments: vec![present] })
    }
}

/// The parser lets a few calls pass whose arguments have the wrong type, `exp(NaN)` among them.
fn check_types(call: &parser::Call, arguments: &[&Expr]) -> Result<(), QueryError> {
    let types = &call.func.arg_types;
    for (index, argument) in arguments.iter().enumerate() {
        let Some(&expected) = types.get(index).or(types.last()) else { continue };
        let found = argument.value_type();
        if found != expected {
            let name = call.func.name;
            return Err(QueryError::BadData(format!(
                "parse error: expected type {expected} in call to function {name:?}, got {found}"
            )));
        }
    }
    Ok(())
}

fn label_function(name: &str, arguments: &[&Expr], semantics: Semantics) -> Result<Call, QueryError> {
    let texts = arguments[1..].iter().map(|argument| text(argument)).collect::<Result<Vec<_>, _>>()?;
    Ok(match name {
        "label_replace" => Call::Replace(Replace::new([&texts[0], &texts[1], &texts[2], &texts[3]], semantics)?),
        "label_join" => Call::Join(Join::new(&texts[0], &texts[1], texts[2..].to_vec(), semantics)?),
        "sort_by_label" => Call::SortByLabel { names: texts, descending: false },
        _ => Call::SortByLabel { names: texts, descending: true },
    })
}

fn absent_labels(argument: &Expr) -> Result<Labels, QueryError> {
    match unwrapped(argument) {
        Expr::VectorSelector(selector) => matcher_labels(selector),
        _ => Ok(Labels::empty()),
    }
}

/// The labels a missing series would have had: those that exactly one matcher fixes by equality.
///
/// A later matcher on the same label removes it, even an equal one; Prometheus does the same.
fn matcher_labels(selector: &VectorSelector) -> Result<Labels, QueryError> {
    let matchers = parse::selector_matchers(selector)?;
    let mut labels = Labels::empty();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != NAME_LABEL) {
        let name = matcher.name.as_str();
        if matches!(matcher.op, MatchOp::Equal) && !seen.contains(&name) {
            labels = labels.with(name, &matcher.value);
            seen.push(name);
        } else {
            labels = labels.with(name, "");
        }
    }
    Ok(LabelChoice::all_but(Vec::new()).of(&labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::error::QueryError;
    use crate::query::limits::QueryLimits;
    use crate::query::plan::{Plan, Root};

    fn plan(text: &str) -> Result<Plan, QueryError> {
        let limits = QueryLimits::default();
        super::super::planner::plan(
            &parse::expression(text, &limits)?,
            Grid::range(0, 600_000, 60_000),
            600_000,
            &limits,
        )
    }

    #[test]
    fn constant_range_functions_and_folds_belong_to_their_leaf() {
        let plan = plan("sum by (x) (quantile_over_time(0.9, m[5m] offset 1m))").unwrap();
        assert!(matches!(plan.root, Root::Vector(Node::Leaf(0))));
        assert!(plan.leaves[0].fold.is_some());
        assert_eq!(plan.leaves[0].times(), (-360_000, 540_000));
    }

    #[test]
    fn names_that_could_hide_equal_series_are_not_folded_away() {
        let plan = plan("sum(rate({__name__=~\"a|b\"}[5m]))").unwrap();
        assert!(matches!(plan.root, Root::Vector(Node::Fold { .. })));
    }

    #[test]
    fn a_changing_parameter_needs_the_samples() {
        let plan = plan("predict_linear(m[5m], scalar(n))").unwrap();
        assert!(matches!(plan.root, Root::Vector(Node::Range { .. })));
        assert_eq!(plan.leaves.len(), 2);
    }

    #[test]
    fn times_are_resolved_against_the_whole_query() {
        let plan = plan("max_over_time(rate(m[1m] @ end())[10m:1m])").unwrap();
        assert_eq!(plan.leaves[0].times(), (540_000, 600_000));
        assert_eq!(plan.leaves[0].grid, Grid::range(-600_000, 600_000, 60_000));
    }

    #[test]
    fn what_is_left_out_is_refused_by_name() {
        for text in ["histogram_count(m)", "info(m)", "limitk(1, m)", "m + fill(1) m", "start()", "exp(NaN)"] {
            let error = plan(text).map(|_| ()).unwrap_err().to_string();
            assert!(["not supported", "not part", "expected type"].iter().any(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn a_missing_series_is_named_by_its_equal_matchers() {
        let labels = |text: &str| match plan(text).unwrap().root {
            Root::Vector(Node::Call { function: Call::Absent(labels), .. }) => labels.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(labels("absent(m{a=\"1\",b=~\"2\",c=\"3\",c=\"3\"})"), "{a=\"1\"}");
        assert_eq!(labels("absent_over_time((m{a=\"1\"}[5m]))"), "{a=\"1\"}");
        assert_eq!(labels("absent(sum(m{a=\"1\"}))"), "{}");
    }
}
