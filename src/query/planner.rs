//! From syntax tree to plan: types checked once more, times resolved, unsupported parts refused by name.
//!
//! Not here: function calls (see `planner_calls`), what the parts of a plan mean (see `plan`).

use super::aggregate::FoldOp;
use super::error::QueryError;
use super::grid::{Grid, Shift};
use super::instant::Lookback;
use super::labels::LabelChoice;
use super::limits::QueryLimits;
use super::matching::{Cardinality, Matching, SetOperator};
use super::operator::{Operation, Operator};
use super::parse;
use super::plan::{Leaf, LeafWork, Node, Plan, RankOp, Root, Source};
use super::window::Span;
use promql_parser::parser::token::*;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinModifier, BinaryExpr, Expr, LabelModifier, MatrixSelector, Offset, SubqueryExpr,
    VectorMatchCardinality, VectorSelector,
};
use std::time::{Duration, SystemTime};

/// Most instants at which a subquery evaluates its expression: a year of minutes is half a million, a column of as many
/// as this takes 40 MB.
const SUBQUERY_INSTANTS_MAX: i64 = 5_000_000;

/// Builds the plan of an expression on a grid. `end_ms` is the end asked for, which no instant need meet.
pub(crate) fn plan(expression: &Expr, grid: Grid, end_ms: i64, limits: &QueryLimits) -> Result<Plan, QueryError> {
    let mut planner = Planner { limits, start_ms: grid.start_ms, end_ms, leaves: Vec::new(), has_subquery: false };
    let root = match expression.value_type() {
        ValueType::String => Root::Text(text(expression)?),
        ValueType::Matrix => Root::Matrix(planner.source(expression, grid)?),
        ValueType::Scalar => Root::Scalar(planner.node(expression, grid)?),
        ValueType::Vector => Root::Vector(planner.node(expression, grid)?),
    };
    Ok(Plan { root, leaves: planner.leaves, grid, has_subquery: planner.has_subquery })
}

/// The value of a string argument.
pub(super) fn text(expression: &Expr) -> Result<String, QueryError> {
    match expression {
        Expr::StringLiteral(literal) => Ok(literal.val.clone()),
        Expr::Paren(paren) => text(&paren.expr),
        _ => Err(QueryError::bad_data("a string is expected here")),
    }
}

/// Removes brackets around an expression.
pub(super) fn unwrapped(mut expression: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expression {
        expression = &paren.expr;
    }
    expression
}

pub(super) struct Planner<'a> {
    pub(super) limits: &'a QueryLimits,
    /// The times of the whole query, which `@ start()` and `@ end()` refer to.
    start_ms: i64,
    end_ms: i64,
    pub(super) leaves: Vec<Leaf>,
    has_subquery: bool,
}

impl Planner<'_> {
    /// Plans an instant vector or a scalar.
    pub(super) fn node(&mut self, expression: &Expr, grid: Grid) -> Result<Node, QueryError> {
        match expression {
            Expr::NumberLiteral(number) => Ok(Node::Number(number.val)),
            Expr::Paren(paren) => self.node(&paren.expr, grid),
            Expr::VectorSelector(selector) => self.instant(selector, grid, false),
            Expr::Unary(unary) => Ok(match self.node(&unary.expr, grid)? {
                Node::Number(number) => Node::Number(-number),
                inner => Node::Negate(Box::new(inner)),
            }),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Call(call) => self.call(call, grid),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => {
                Err(QueryError::bad_data("an instant vector is expected here, got a range vector"))
            }
            Expr::StringLiteral(_) => Err(QueryError::bad_data("an instant vector is expected here, got a string")),
            Expr::Extension(_) => Err(QueryError::bad_data("extensions are not part of PromQL")),
        }
    }

    pub(super) fn instant(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        wants_time: bool,
    ) -> Result<Node, QueryError> {
        let lookback = Lookback {
            lookback_ms: self.limits.lookback_ms,
            shift: self.shift(selector.at.as_ref(), selector.offset.as_ref())?,
            semantics: self.limits.semantics,
        };
        self.leaf(selector, grid, LeafWork::Instant { lookback, wants_time }).map(Node::Leaf)
    }

    pub(super) fn leaf(&mut self, selector: &VectorSelector, grid: Grid, work: LeafWork) -> Result<usize, QueryError> {
        self.leaves.push(Leaf { matchers: parse::selector_matchers(selector)?, grid, work, fold: None });
        Ok(self.leaves.len() - 1)
    }

    pub(super) fn span(&self, selector: &MatrixSelector) -> Result<Span, QueryError> {
        Ok(Span {
            range_ms: millis(selector.range)?,
            shift: self.shift(selector.vs.at.as_ref(), selector.vs.offset.as_ref())?,
            semantics: self.limits.semantics,
        })
    }

    fn shift(&self, at: Option<&AtModifier>, offset: Option<&Offset>) -> Result<Shift, QueryError> {
        let at_ms = match at {
            None => None,
            Some(AtModifier::Start) => Some(self.start_ms),
            Some(AtModifier::End) => Some(self.end_ms),
            Some(AtModifier::At(time)) => Some(epoch_ms(*time)?),
        };
        let offset_ms = match offset {
            None => 0,
            Some(Offset::Pos(duration)) => millis(*duration)?,
            Some(Offset::Neg(duration)) => -millis(*duration)?,
        };
        Ok(Shift { at_ms, offset_ms })
    }

    /// Plans a range vector whose samples are needed as they are.
    pub(super) fn source(&mut self, expression: &Expr, grid: Grid) -> Result<Source, QueryError> {
        match unwrapped(expression) {
            Expr::MatrixSelector(selector) => {
                let span = self.span(selector)?;
                Ok(Source::Leaf { leaf: self.leaf(&selector.vs, grid, LeafWork::Raw { span })?, span })
            }
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Err(QueryError::bad_data("a range vector is expected here")),
        }
    }

    fn subquery(&mut self, subquery: &SubqueryExpr, grid: Grid) -> Result<Source, QueryError> {
        self.has_subquery = true;
        let span = Span {
            range_ms: millis(subquery.range)?,
            shift: self.shift(subquery.at.as_ref(), subquery.offset.as_ref())?,
            semantics: self.limits.semantics,
        };
        let step_ms = subquery.step.map_or(Ok(self.limits.subquery_step_ms), millis)?.max(1);
        let from_ms = span.shift.look(grid.start_ms).saturating_sub(span.range_ms);
        let to_ms = span.shift.look(grid.end_ms());
        if to_ms.saturating_sub(from_ms) / step_ms > SUBQUERY_INSTANTS_MAX {
            return Err(QueryError::Execution(format!(
                "a subquery evaluates its expression at more than {SUBQUERY_INSTANTS_MAX} instants; give it a shorter \
                 range or a larger step"
            )));
        }
        let left_open = self.limits.semantics == super::limits::Semantics::LeftOpen;
        let inner_grid = Grid::aligned(from_ms, to_ms, step_ms, left_open);
        let inner = self.node(&subquery.expr, inner_grid.unwrap_or(Grid::instant(to_ms)))?;
        Ok(Source::Subquery { inner: Box::new(inner), grid: inner_grid, span })
    }

    fn binary(&mut self, binary: &BinaryExpr, grid: Grid) -> Result<Node, QueryError> {
        let left = self.node(&binary.lhs, grid)?;
        let right = self.node(&binary.rhs, grid)?;
        let modifier = binary.modifier.clone().unwrap_or_default();
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return Err(QueryError::bad_data("fill modifiers are not part of PromQL"));
        }
        let matching = matching(&modifier);
        if let Some(operator) = set_operator(binary.op.id()) {
            let choice = matching.choice;
            return Ok(Node::Combine { operator, choice, left: Box::new(left), right: Box::new(right) });
        }
        let operator = operator(binary.op.id())
            .ok_or_else(|| QueryError::BadData(format!("operator {} is not supported", binary.op)))?;
        let operation = Operation { operator, returns_bool: modifier.return_bool };
        if let (Node::Number(a), Node::Number(b)) = (&left, &right) {
            return Ok(Node::Number(operation.pair(*a, *b)));
        }
        Ok(Node::Operate { operation, matching, left: Box::new(left), right: Box::new(right) })
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr, grid: Grid) -> Result<Node, QueryError> {
        let choice = match &aggregate.modifier {
            None => LabelChoice::only(Vec::new()),
            Some(LabelModifier::Include(labels)) => LabelChoice::only(labels.labels.clone()),
            Some(LabelModifier::Exclude(labels)) => LabelChoice::all_but(labels.labels.clone()),
        };
        let missing = || QueryError::BadData(format!("{} needs a parameter", aggregate.op));
        let parameter = aggregate.param.as_deref();
        let mut scalar = || self.node(parameter.ok_or_else(missing)?, grid).map(Box::new);
        let rank = match aggregate.op.id() {
            T_TOPK => RankOp::Top { k: scalar()?, bottom: false },
            T_BOTTOMK => RankOp::Top { k: scalar()?, bottom: true },
            T_QUANTILE => RankOp::Quantile(scalar()?),
            T_COUNT_VALUES => RankOp::CountValues(text(parameter.ok_or_else(missing)?)?),
            other => {
                let op = fold_op(other).ok_or_else(|| {
                    QueryError::BadData(format!("aggregation operator {} is not supported", aggregate.op))
                })?;
                return self.fold(op, choice, &aggregate.expr, grid);
            }
        };
        let inner = Box::new(self.node(&aggregate.expr, grid)?);
        Ok(Node::Rank { op: rank, choice, inner })
    }

    /// A fold over a leaf is done by the leaf, unless names that go could hide that two series became equal.
    fn fold(&mut self, op: FoldOp, choice: LabelChoice, inner: &Expr, grid: Grid) -> Result<Node, QueryError> {
        let node = self.node(inner, grid)?;
        if let Node::Leaf(index) = node {
            let leaf = &mut self.leaves[index];
            let one_name = leaf.matchers.iter().any(|matcher| {
                matcher.name == storage::series::NAME_LABEL
                    && matches!(matcher.op, storage::label_index::MatchOp::Equal)
                    && !matcher.value.is_empty()
            });
            if leaf.fold.is_none() && (one_name || !leaf.drops_name()) {
                leaf.fold = Some((op, choice));
                return Ok(node);
            }
        }
        Ok(Node::Fold { op, choice, inner: Box::new(node) })
    }
}

fn matching(modifier: &BinModifier) -> Matching {
    let (choice, ignores_name) = match &modifier.matching {
        None => (LabelChoice::all_but(Vec::new()), false),
        Some(LabelModifier::Include(labels)) => (LabelChoice::only(labels.labels.clone()), false),
        Some(LabelModifier::Exclude(labels)) => {
            let names = labels.labels.clone();
            let ignores_name = names.iter().any(|name| name == storage::series::NAME_LABEL);
            (LabelChoice::all_but(names), ignores_name)
        }
    };
    let cardinality = match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => Cardinality::ManyToOne(labels.labels.clone()),
        VectorMatchCardinality::OneToMany(labels) => Cardinality::OneToMany(labels.labels.clone()),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => Cardinality::OneToOne,
    };
    Matching { choice, ignores_name, cardinality }
}

fn set_operator(token: TokenId) -> Option<SetOperator> {
    Some(match token {
        T_LAND => SetOperator::And,
        T_LOR => SetOperator::Or,
        T_LUNLESS => SetOperator::Unless,
        _ => return None,
    })
}

fn operator(token: TokenId) -> Option<Operator> {
    Some(match token {
        T_ADD => Operator::Add,
        T_SUB => Operator::Sub,
        T_MUL => Operator::Mul,
        T_DIV => Operator::Div,
        T_MOD => Operator::Mod,
        T_POW => Operator::Pow,
        T_ATAN2 => Operator::Atan2,
        T_EQLC => Operator::Equal,
        T_NEQ => Operator::NotEqual,
        T_GTR => Operator::Greater,
        T_LSS => Operator::Less,
        T_GTE => Operator::GreaterEqual,
        T_LTE => Operator::LessEqual,
        _ => return None,
    })
}

fn fold_op(token: TokenId) -> Option<FoldOp> {
    Some(match token {
        T_SUM => FoldOp::Sum,
        T_AVG => FoldOp::Avg,
        T_COUNT => FoldOp::Count,
        T_GROUP => FoldOp::Group,
        T_MIN => FoldOp::Min,
        T_MAX => FoldOp::Max,
        T_STDDEV => FoldOp::Stddev,
        T_STDVAR => FoldOp::Stdvar,
        _ => return None,
    })
}

/// Whole milliseconds, of which there are no more than of nanoseconds in Go's durations: 292 years.
fn millis(duration: Duration) -> Result<i64, QueryError> {
    match i64::try_from(duration.as_nanos()) {
        Ok(nanos) => Ok(nanos / 1_000_000),
        Err(_) => Err(QueryError::bad_data("parse error: duration out of range")),
    }
}

fn epoch_ms(time: SystemTime) -> Result<i64, QueryError> {
    let (distance, sign) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (after, 1),
        Err(before) => (before.duration(), -1),
    };
    match i64::try_from(distance.as_millis()) {
        // Far beyond any stored time, and far from overflowing when added to one.
        Ok(distance_ms) => Ok(sign * distance_ms.min(i64::MAX / 4)),
        Err(_) => Err(QueryError::bad_data("timestamp out of bounds for @ modifier")),
    }
}
