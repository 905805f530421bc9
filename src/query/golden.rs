//! Cases in the small language in which Prometheus' own engine is tested: `load` series, `eval` an expression, and what
//! must come of it. The cases stand in `golden.txt`, and are ours.
//!
//! ```text
//! clear | semantics 3                   forget everything; whose windows hold from here on
//! load 10s                              what follows, indented, are series with a sample every so often
//!   name{label="x"} 1 2+3x4 _ stale     a value, a value that rises by 3 four times, nothing, a staleness marker
//! eval instant at 5m EXPR               what follows, indented, are series and their values, in any order
//! eval range from 0 to 5m step 1m EXPR
//! eval_ordered .. | eval_fail .. | eval_warn .. | eval_info ..
//! ```
//!
//! Not here: what Debian's prometheus can be asked (see `tests/promql_peer`).

use super::answer::{Answer, RangeTimes};
use super::limits::{QueryLimits, Semantics};
use super::memory::Memory;
use super::value::{ABSENT, is_absent};
use super::{labels::Labels, parse};
use storage::sample::Samples;

/// How far apart a result and what is expected may be, of the larger.
const RELATIVE: f64 = 1e-9;

/// A series of a result: a value for every instant.
type Row = (Labels, Vec<f64>);

/// A line with the indented ones that belong to it.
struct Block<'a> {
    line: usize,
    head: &'a str,
    body: Vec<&'a str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(indented) => blocks.last_mut().expect("a heading stands before").body.push(indented.trim()),
            None => blocks.push(Block { line: at + 1, head: line.trim(), body: Vec::new() }),
        }
    }
    blocks
}

/// Runs all cases; gives how many there were, and what is wrong with some.
fn run(text: &str) -> (usize, Vec<String>) {
    let mut memory = Memory::default();
    let (mut cases, mut wrong) = (0, Vec::new());
    for block in blocks(text) {
        let (command, rest) = block.head.split_once(' ').unwrap_or((block.head, ""));
        match command {
            "clear" => memory.series.clear(),
            "semantics" => {
                memory.limits.semantics = if rest == "3" { Semantics::LeftOpen } else { Semantics::Closed };
            }
            "load" => block.body.iter().for_each(|line| load(&mut memory, duration_ms(rest), line)),
            _ => {
                cases += 1;
                let outcome = evaluate(&memory, command, rest, &block);
                wrong.extend(outcome.err().map(|what| format!("line {}: {}\n    {what}", block.line, block.head)));
            }
        }
    }
    (cases, wrong)
}

fn load(memory: &mut Memory, step_ms: i64, line: &str) {
    let (labels, values) = series(line);
    let mut samples = Samples::default();
    for (at, value) in values.into_iter().enumerate() {
        if let Some(value) = value {
            samples.push(at as i64 * step_ms, value);
        }
    }
    memory.series.push((labels, samples));
}

/// Labels and values of a line such as `name{a="b"} 1 _ 2x3`.
fn series(line: &str) -> (Labels, Vec<Option<f64>>) {
    let end = line.rfind('}').map_or_else(|| line.find(' ').unwrap_or(line.len()), |brace| brace + 1);
    let selector = line[..end].trim();
    let labels = if selector == "{}" {
        Labels::empty()
    } else {
        let limits = QueryLimits { semantics: Semantics::LeftOpen, ..QueryLimits::default() };
        let matchers = parse::matchers(selector, &limits).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut pairs: Vec<_> = matchers.iter().map(|m| (m.name.as_str(), m.value.as_str())).collect();
        pairs.sort_unstable();
        Labels::from_pairs(pairs)
    };
    (labels, line[end..].split_whitespace().flat_map(values).collect())
}

/// `1`, `1x3` (four times), `1+2x3`, `1-2x3`, `_`, `_x3`, `stale`.
fn values(text: &str) -> Vec<Option<f64>> {
    let (text, times) = match text.split_once('x') {
        Some((text, times)) => (text, times.parse::<usize>().unwrap()),
        None => (text, 0),
    };
    match text {
        "_" => vec![None; times.max(1)],
        "stale" => vec![Some(ABSENT)],
        _ => {
            let sign =
                text.char_indices().skip(1).find(|(at, c)| matches!(c, '+' | '-') && !text[..*at].ends_with('e'));
            let (first, change) = sign.map_or((text, 0.0), |(at, _)| (&text[..at], number(&text[at..])));
            (0..=times).map(|i| Some(number(first) + i as f64 * change)).collect()
        }
    }
}

fn number(text: &str) -> f64 {
    text.replace("Inf", "inf").parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn duration_ms(text: &str) -> i64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => panic!("{unit} is no unit"),
    };
    text[..digits].parse::<i64>().unwrap() * unit
}

/// What is wrong with the outcome of a case, if anything.
fn evaluate(memory: &Memory, command: &str, rest: &str, block: &Block<'_>) -> Result<(), String> {
    let word = |at: usize| rest.split(' ').nth(at).unwrap();
    let expression = |words: usize| rest.splitn(words + 1, ' ').nth(words).unwrap();
    let found = match word(0) {
        "instant" => memory.instant(expression(3), duration_ms(word(2))),
        _ => {
            let (start_ms, end_ms) = (duration_ms(word(2)), duration_ms(word(4)));
            memory.range(expression(7), RangeTimes { start_ms, end_ms, step_ms: duration_ms(word(6)) })
        }
    };
    if command == "eval_fail" {
        let error = found.map_or_else(|error| error.to_string(), |_| "no error".to_owned());
        return hold(block.body.iter().all(|part| error.contains(part)), || error.clone());
    }
    let mut found = found.map(shown).map_err(|error| error.to_string())?;
    let notes = memory.notes.borrow();
    hold(notes.warnings.is_empty() != (command == "eval_warn"), || format!("{notes:?}"))?;
    hold(notes.infos.is_empty() != (command == "eval_info"), || format!("{notes:?}"))?;
    let mut expected: Vec<Row> = block.body.iter().map(|line| expectation(line)).collect();
    if command != "eval_ordered" {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let same = |((a, found), (b, expected)): (&Row, &Row)| {
        a == b && found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| alike(*a, *b))
    };
    let all_same = found.len() == expected.len() && found.iter().zip(&expected).all(same);
    hold(all_same, || format!("{found:?}, not {expected:?}"))
}

fn hold(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

/// A scalar by itself, or a series with a value for every instant.
fn expectation(line: &str) -> Row {
    if let Ok(scalar) = line.parse() {
        return (Labels::empty(), vec![scalar]);
    }
    let (labels, values) = series(line);
    (labels, values.into_iter().map(|value| value.unwrap_or(ABSENT)).collect())
}

fn alike(a: f64, b: f64) -> bool {
    a == b
        || (a.is_nan() && b.is_nan() && is_absent(a) == is_absent(b))
        || (a - b).abs() <= RELATIVE * a.abs().max(b.abs())
}

/// Series with a value, or none, for every instant.
fn shown(answer: Answer) -> Vec<Row> {
    match answer {
        Answer::Text(_, text) => panic!("a text: {text}"),
        Answer::Scalar(_, value) => vec![(Labels::empty(), vec![value])],
        Answer::Vector(_, series) => series.into_iter().map(|(labels, value)| (labels, vec![value])).collect(),
        Answer::Columns(columns) => columns.into_series().collect(),
        Answer::Matrix(series) => series.into_iter().map(|one| (one.labels, one.samples.values)).collect(),
    }
}

#[test]
fn cases_come_out_as_written() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/query/golden.txt")).unwrap();
    let (cases, wrong) = run(&text);
    assert!(cases > 70 && wrong.is_empty(), "{} of {cases} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
