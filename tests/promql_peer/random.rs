//! Expressions made up at random from a small grammar: nesting that nobody would think of writing down.
//!
//! Invariant: the same seed gives the same expressions.

/// A source of numbers (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % sides as u64) as usize
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }

    /// An instant vector of at most this depth.
    pub(crate) fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.roll(12) {
            0 => self.selector(),
            1..=3 => {
                let (function, range) = (self.one(&RANGE_FUNCTIONS), self.range(depth - 1));
                format!("{function}({range})")
            }
            4 => {
                let (function, inner) = (self.one(&VECTOR_FUNCTIONS), self.vector(depth - 1));
                format!("{function}({inner})")
            }
            5..=7 => {
                let (op, labels) = (self.one(&FOLDS), self.labels());
                let (word, inner) = (self.one(&["by", "without"]), self.vector(depth - 1));
                format!("{op} {word} ({labels}) ({inner})")
            }
            8 => {
                let (op, k) = (self.one(&["quantile"]), self.one(&["0.5", "1", "0.95", "scalar(vector(0.2))"]));
                let inner = self.vector(depth - 1);
                format!("{op}({k}, {inner})")
            }
            9 => {
                let (left, right) = (self.vector(depth - 1), self.one(&["2", "time()", "(0 / 0)", "-1.5"]));
                let op = self.one(&OPERATORS);
                if self.roll(2) == 0 { format!("({left} {op} {right})") } else { format!("({right} {op} {left})") }
            }
            10 => {
                let (left, right) = (self.vector(depth - 1), self.vector(depth - 1));
                let (op, labels) = (self.one(&["and", "or", "unless"]), self.labels());
                let clause = match self.roll(3) {
                    0 => String::new(),
                    1 => format!("on ({labels}) "),
                    _ => format!("ignoring ({labels}) "),
                };
                format!("({left} {op} {clause}{right})")
            }
            _ => {
                let (left, right) = (self.vector(depth - 1), self.vector(depth - 1));
                let (op, labels) = (self.one(&OPERATORS), self.labels());
                let clause = match self.roll(4) {
                    0 => String::new(),
                    1 => format!("on ({labels}) "),
                    2 => format!("ignoring ({labels}) group_left () "),
                    _ => format!("on ({labels}) group_right () "),
                };
                format!("({left} {op} {clause}sum by ({labels}) ({right}))")
            }
        }
    }

    fn selector(&mut self) -> String {
        format!("{}{}", self.one(&SELECTORS), self.one(&MODIFIERS))
    }

    fn range(&mut self, depth: usize) -> String {
        let modifier = self.one(&MODIFIERS);
        if depth > 0 && self.roll(3) == 0 {
            let (inner, span) = (self.vector(depth - 1), self.one(&["[10m:1m]", "[3m:20s]", "[20m:]"]));
            return format!("({inner}){span}{modifier}");
        }
        let (selector, span) = (self.one(&SELECTORS), self.one(&["[1m]", "[5m]", "[37s]", "[30m]", "[1h]"]));
        format!("{selector}{span}{modifier}")
    }

    fn labels(&mut self) -> &'static str {
        self.one(&["", "job", "instance", "job, instance", "kind", "room", "gap, after", "code, job", "floor"])
    }
}

const SELECTORS: [&str; 16] = [
    "requests_total",
    "errors_total{code=\"500\"}",
    "up",
    "up{job!=\"api\"}",
    "temperature",
    "temperature{floor=\"0\"}",
    "memory_bytes",
    "build_info",
    "weird{kind=~\"zeros|nan_at_times|tiny\"}",
    "intermittent",
    "stale",
    "jittered_total",
    "late_total",
    "small_ints",
    "sawtooth_total",
    "wave",
];

const MODIFIERS: [&str; 10] =
    ["", "", "", "", "", " offset 3m", " offset -90s", " @ 1700004321", " @ end()", " @ start() offset 5m"];

const RANGE_FUNCTIONS: [&str; 17] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "resets",
    "changes",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
];

const VECTOR_FUNCTIONS: [&str; 10] =
    ["abs", "ceil", "floor", "exp", "sqrt", "sgn", "timestamp", "hour", "absent", "round"];

const FOLDS: [&str; 8] = ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"];

const OPERATORS: [&str; 12] = ["+", "-", "*", "/", "%", "==", "!=", ">", "<=", "> bool", "== bool", "<"];
