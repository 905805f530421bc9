//! What must be read and computed for an expression: leaves that the store fills, and nodes above them.
//!
//! A plan knows, before anything is read, every selector with the grid on which it is evaluated. Range functions whose
//! parameters are constant belong to their leaf, so raw samples are gone as soon as a series has been read; a fold over
//! a leaf (`sum by (x) (rate(y[5m]))`) belongs to it too, so that not even its columns are ever all in memory.
//!
//! Not here: how a syntax tree becomes a plan (see `planner`), reading (see `select`), computing (see `evaluate`).

use super::aggregate::FoldOp;
use super::functions::labels::{Join, Replace};
use super::grid::Grid;
use super::instant::Lookback;
use super::labels::{LabelChoice, Labels};
use super::matching::{Matching, SetOperator};
use super::operator::Operation;
use super::window::{Parameters, RangeFunction, Span};
use storage::label_index::Matcher;

/// An expression ready to be read for and evaluated.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Root,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) grid: Grid,
    /// Whether a part is evaluated on a grid of its own.
    pub(crate) has_subquery: bool,
}

/// What the whole expression is.
#[derive(Debug)]
pub(crate) enum Root {
    Text(String),
    Scalar(Node),
    Vector(Node),
    Matrix(Source),
}

/// One selector and what happens to each of its series as soon as it is read.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) grid: Grid,
    pub(crate) work: LeafWork,
    pub(crate) fold: Option<(FoldOp, LabelChoice)>,
}

/// What a leaf makes of the samples of a series.
#[derive(Debug)]
pub(crate) enum LeafWork {
    /// The newest sample at each instant, or its time.
    Instant { lookback: Lookback, wants_time: bool },
    /// A range function at each instant.
    Range { function: RangeFunction, span: Span, parameters: Parameters },
    /// The samples themselves, for what cannot be computed series by series without other values.
    Raw { span: Span },
}

impl Leaf {
    /// The times between which samples matter, both included.
    pub(crate) fn times(&self) -> (i64, i64) {
        let (shift, back_ms) = match &self.work {
            LeafWork::Instant { lookback, .. } => (lookback.shift, lookback.lookback_ms),
            LeafWork::Range { span, .. } | LeafWork::Raw { span } => (span.shift, span.range_ms),
        };
        (shift.look(self.grid.start_ms).saturating_sub(back_ms), shift.look(self.grid.end_ms()))
    }

    /// Whether the metric's name goes.
    pub(crate) fn drops_name(&self) -> bool {
        match &self.work {
            LeafWork::Instant { wants_time, .. } => *wants_time,
            LeafWork::Range { function, .. } => !function.keeps_name,
            LeafWork::Raw { .. } => false,
        }
    }
}

/// Where a range vector comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The raw samples of a leaf.
    Leaf { leaf: usize, span: Span },
    /// A subquery: an expression on a grid of its own; without a grid no instant falls into it.
    Subquery { inner: Box<Node>, grid: Option<Grid>, span: Span },
}

/// A part of an expression that has a value at every instant.
#[derive(Debug)]
pub(crate) enum Node {
    Number(f64),
    /// The instant itself, in seconds.
    Time,
    Leaf(usize),
    /// A range function over what a leaf cannot do by itself.
    Range {
        function: RangeFunction,
        source: Source,
        parameters: Vec<Node>,
    },
    Negate(Box<Node>),
    Operate {
        operation: Operation,
        matching: Matching,
        left: Box<Node>,
        right: Box<Node>,
    },
    Combine {
        operator: SetOperator,
        choice: LabelChoice,
        left: Box<Node>,
        right: Box<Node>,
    },
    Fold {
        op: FoldOp,
        choice: LabelChoice,
        inner: Box<Node>,
    },
    Rank {
        op: RankOp,
        choice: LabelChoice,
        inner: Box<Node>,
    },
    Call {
        function: Call,
        arguments: Vec<Node>,
    },
}

/// An aggregation that sees a group as a whole.
#[derive(Debug)]
pub(crate) enum RankOp {
    Top { k: Box<Node>, bottom: bool },
    Quantile(Box<Node>),
    CountValues(String),
}

/// A function of instant vectors and scalars.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// A number at a time; drops the metric's name.
    Map(fn(f64) -> f64),
    /// The instant of each value, in seconds.
    Timestamp,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
    Scalar,
    Vector,
    Absent(Labels),
    HistogramQuantile,
    Replace(Replace),
    Join(Join),
    Sort {
        descending: bool,
    },
    SortByLabel {
        names: Vec<String>,
        descending: bool,
    },
}
