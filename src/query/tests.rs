//! Whole expressions on series in memory, with results worked out by hand from Prometheus' documentation.

use super::answer::{Answer, RangeTimes};
use super::error::QueryError;
use super::limits::{QueryLimits, Semantics};
use super::memory::Memory;
use super::number::push_plain;
use super::value::{ABSENT, is_absent};
use proptest::prelude::*;

/// Two counters and some gauges, one sample every 10 s from time 0 to 590 s.
fn memory() -> Memory {
    let mut memory = Memory::default();
    let rising = |per_step: f64| (0..60).map(|i| Some(f64::from(i) * per_step)).collect::<Vec<_>>();
    memory.add(&[("__name__", "hits"), ("job", "a"), ("host", "1")], 10_000, &rising(10.0));
    memory.add(&[("__name__", "hits"), ("job", "a"), ("host", "2")], 10_000, &rising(20.0));
    memory.add(&[("__name__", "hits"), ("job", "b"), ("host", "1")], 10_000, &rising(30.0));
    memory.add(&[("__name__", "level"), ("job", "a")], 10_000, &[Some(4.0); 60]);
    memory.add(&[("__name__", "level"), ("job", "b")], 10_000, &[Some(-2.0); 60]);
    let mut ended = vec![Some(1.0); 6];
    ended.push(Some(ABSENT));
    memory.add(&[("__name__", "ended")], 10_000, &ended);
    memory
}

fn shown(answer: &Answer) -> String {
    let mut out = String::new();
    match answer {
        Answer::Text(_, text) => out.push_str(text),
        Answer::Scalar(_, value) => push_plain(&mut out, *value),
        Answer::Vector(_, series) => {
            for (labels, value) in series {
                out.push_str(&format!("{labels} "));
                push_plain(&mut out, *value);
                out.push('\n');
            }
        }
        Answer::Columns(columns) => {
            let times_ms = &columns.times_ms;
            for (labels, values) in columns.clone().into_series() {
                out.push_str(&format!("{labels}"));
                for (time_ms, &value) in times_ms.iter().zip(&values).filter(|(_, value)| !is_absent(**value)) {
                    out.push_str(&format!(" {}:", time_ms / 1000));
                    push_plain(&mut out, value);
                }
                out.push('\n');
            }
        }
        Answer::Matrix(series) => {
            for one in series {
                out.push_str(&format!("{}", one.labels));
                for (time_ms, &value) in one.samples.times.iter().zip(&one.samples.values) {
                    out.push_str(&format!(" {}:", time_ms / 1000));
                    push_plain(&mut out, value);
                }
                out.push('\n');
            }
        }
    }
    out.trim_end().to_owned()
}

/// The answer at 300 s.
fn at(expression: &str) -> String {
    memory().instant(expression, 300_000).map_or_else(|error| format!("error: {error}"), |answer| shown(&answer))
}

fn over(expression: &str, start_s: i64, end_s: i64, step_s: i64) -> String {
    let times = RangeTimes { start_ms: start_s * 1000, end_ms: end_s * 1000, step_ms: step_s * 1000 };
    memory().range(expression, times).map_or_else(|error| format!("error: {error}"), |answer| shown(&answer))
}

#[test]
fn instants() {
    for (expression, expected) in [
        ("hits{job=\"b\"}", "{__name__=\"hits\", host=\"1\", job=\"b\"} 900"),
        ("hits{job=\"b\"} offset 100s", "{__name__=\"hits\", host=\"1\", job=\"b\"} 600"),
        ("hits{job=\"b\"} offset -100s", "{__name__=\"hits\", host=\"1\", job=\"b\"} 1200"),
        ("hits{job=\"b\"} @ 10", "{__name__=\"hits\", host=\"1\", job=\"b\"} 30"),
        ("rate(hits{job=\"b\"}[1m])", "{host=\"1\", job=\"b\"} 3"),
        ("increase(hits{job=\"b\"}[1m])", "{host=\"1\", job=\"b\"} 180"),
        ("count_over_time(level{job=\"a\"}[1m])", "{job=\"a\"} 7"),
        ("last_over_time(level{job=\"a\"}[1m])", "{__name__=\"level\", job=\"a\"} 4"),
        ("sum by (job) (rate(hits[1m]))", "{job=\"a\"} 3\n{job=\"b\"} 3"),
        ("sum without (host) (hits)", "{job=\"a\"} 900\n{job=\"b\"} 900"),
        ("count(hits)", "{} 3"),
        ("avg(hits)", "{} 600"),
        ("-level", "{job=\"a\"} -4\n{job=\"b\"} 2"),
        ("level > 0", "{__name__=\"level\", job=\"a\"} 4"),
        ("level > bool 0", "{job=\"a\"} 1\n{job=\"b\"} 0"),
        ("0 < level", "{__name__=\"level\", job=\"a\"} 4"),
        ("level * 2 + 1", "{job=\"a\"} 9\n{job=\"b\"} -3"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "-4"),
        ("1 + 2 * time()", "601"),
        ("\"text\"", "text"),
        (
            "hits / on (job) group_left level",
            "{host=\"1\", job=\"a\"} 75\n{host=\"2\", job=\"a\"} 150\n{host=\"1\", job=\"b\"} -450",
        ),
        ("level and on (job) hits{job=\"a\"}", "{__name__=\"level\", job=\"a\"} 4"),
        ("level unless on (job) hits{job=\"a\"}", "{__name__=\"level\", job=\"b\"} -2"),
        ("topk(1, hits)", "{__name__=\"hits\", host=\"1\", job=\"b\"} 900"),
        ("quantile(0.5, hits)", "{} 600"),
        ("count_values(\"v\", level)", "{v=\"4\"} 1\n{v=\"-2\"} 1"),
        ("sort(level)", "{__name__=\"level\", job=\"b\"} -2\n{__name__=\"level\", job=\"a\"} 4"),
        ("absent(nothing{x=\"y\"})", "{x=\"y\"} 1"),
        ("absent(level)", ""),
        ("absent_over_time(nothing{x=\"y\"}[5m])", "{x=\"y\"} 1"),
        ("scalar(hits{job=\"b\"}) + 1", "901"),
        ("vector(1)", "{} 1"),
        ("timestamp(ended offset 250s)", "{} 50"),
        (
            "label_replace(level{job=\"a\"}, \"x\", \"$1\", \"job\", \"(.*)\")",
            "{__name__=\"level\", job=\"a\", x=\"a\"} 4",
        ),
        ("hour() + minute()", "{} 5"),
        ("max_over_time(rate(hits{job=\"b\"}[1m])[2m:30s])", "{host=\"1\", job=\"b\"} 3"),
        ("sum_over_time(vector(2)[2m:30s])", "{} 10"),
        ("level{job=\"a\"}[20s]", "{__name__=\"level\", job=\"a\"} 280:4 290:4 300:4"),
        ("ended", ""),
        ("count_over_time(ended[5m])", "{} 6"),
        ("quantile_over_time(scalar(vector(0.5)), hits{job=\"b\"}[20s])", "{host=\"1\", job=\"b\"} 870"),
    ] {
        assert_eq!(at(expression), expected, "{expression}");
    }
}

#[test]
fn ranges() {
    for (expression, expected) in [
        ("1", "{} 0:1 30:1 60:1"),
        ("time()", "{} 0:0 30:30 60:60"),
        ("ended", "{__name__=\"ended\"} 0:1 30:1"),
        ("ended @ start()", "{__name__=\"ended\"} 0:1 30:1 60:1"),
        ("count_over_time(ended[20s])", "{} 0:1 30:3 60:2"),
        (
            "hits{job=\"a\"} > 50",
            "{__name__=\"hits\", host=\"1\", job=\"a\"} 60:60\n{__name__=\"hits\", host=\"2\", job=\"a\"} 30:60 60:120",
        ),
        (
            "topk(1, hits)",
            "{__name__=\"hits\", host=\"1\", job=\"a\"} 0:0\n{__name__=\"hits\", host=\"1\", job=\"b\"} 30:90 60:180",
        ),
        ("absent(ended)", "{} 60:1"),
        ("ended or level{job=\"a\"}", "{__name__=\"ended\"} 0:1 30:1\n{__name__=\"level\", job=\"a\"} 0:4 30:4 60:4"),
        ("sum(hits offset 30s)", "{} 30:0 60:180"),
        ("sum_over_time(time()[1m:30s])", "error: parse error: subquery is only allowed on vector, got scalar instead"),
    ] {
        assert_eq!(over(expression, 0, 60, 30), expected, "{expression}");
    }
}

#[test]
fn conflicts_are_errors() {
    for (expression, part) in [
        ("hits + on (host) hits", "many-to-many matching not allowed"),
        ("hits + on (job) level", "many-to-one matching must be explicit"),
        (
            "hits * on (job) group_left (host) level * on (job) group_left () level",
            "grouping labels must ensure unique",
        ),
        ("label_replace(hits, \"host\", \"x\", \"host\", \".*\")", "same labelset"),
        ("holt_winters(level[1m], 2, 0.5)", "smoothing factor"),
        ("topk(NaN, level)", "Scalar value NaN overflows int64"),
    ] {
        let found = at(expression);
        assert!(found.contains(part) && found.starts_with("error"), "{expression}: {found}");
    }
    let same = "{__name__=~\"twin.\"}";
    let mut memory = Memory::default();
    memory.add(&[("__name__", "twin1")], 10_000, &[Some(1.0), Some(2.0)]);
    memory.add(&[("__name__", "twin2")], 10_000, &[Some(1.0), Some(2.0)]);
    for expression in ["rate(X[1m])", "sum(rate(X[1m]))", "abs(X)", "-X", "X * 2"] {
        let error = memory.instant(&expression.replace('X', same), 10_000).unwrap_err();
        assert!(error.to_string().contains("same labelset"), "{expression}: {error}");
    }
}

#[test]
fn the_requested_resolution_is_bounded() {
    let ask = |end_ms, step_ms| memory().range("1", RangeTimes { start_ms: 0, end_ms, step_ms });
    assert!(ask(11_000, 1).is_ok());
    for (end_ms, step_ms) in [(11_001, 1), (-1, 1), (10, 0), (10, -5), (i64::MAX, 1), (i64::MAX, i64::MAX)] {
        assert!(matches!(ask(end_ms, step_ms), Err(QueryError::BadData(_))), "{end_ms} {step_ms}");
    }
    assert!(over("level[5m]", 0, 60, 30).contains("range vector"));
    assert!(over("\"x\"", 0, 60, 30).contains("string"));
}

#[test]
fn memory_is_bounded() {
    let mut memory = memory();
    memory.limits = QueryLimits { max_samples: 100, ..QueryLimits::default() };
    assert!(memory.instant("sum(hits)", 300_000).is_ok());
    for expression in ["hits[10m]", "count_over_time(vector(1)[10m:1s])", "max_over_time(x[100y:1ms])"] {
        assert!(matches!(memory.instant(expression, 300_000), Err(QueryError::Execution(_))), "{expression}");
    }
    // Three series at one instant: room for one vector and not for two, so operands must be freed on the way.
    memory.limits.max_samples = 3;
    assert!(memory.instant("abs(ceil(-hits))", 300_000).is_ok());
    assert!(memory.instant("hits + hits", 300_000).is_err());
}

/// Test threads have the 2 MiB of stack that blocking threads have.
#[test]
fn deep_expressions_fit_the_stack() {
    for deep in [
        "level + ".repeat(290) + "level",
        "abs(".repeat(290) + "level" + &")".repeat(290),
        "max_over_time(".repeat(90) + "level" + &"[1m:30s])".repeat(90),
        "sum(".repeat(290) + "level" + &")".repeat(290),
        "-".repeat(290) + "level",
    ] {
        let _ = memory().instant(&deep, 300_000);
    }
}

#[test]
fn left_open_windows_leave_their_first_edge_out() {
    let mut memory = memory();
    memory.limits.semantics = Semantics::LeftOpen;
    let count = memory.instant("count_over_time(level{job=\"a\"}[1m])", 300_000).unwrap();
    assert_eq!(shown(&count), "{job=\"a\"} 6");
    let steps = memory.instant("count_over_time(vector(1)[1m:30s])", 300_000).unwrap();
    assert_eq!(shown(&steps), "{} 2");
}

/// Expressions whose pieces the mutations below recombine.
const SEEDS: &[&str] = &[
    "sum by (job) (rate(hits{job=~\"a|b\"}[1m] offset 10s))",
    "hits / on (job) group_left (x) level @ 10",
    "max_over_time(rate(hits[1m])[2m:30s] @ end())",
    "histogram_quantile(0.9, label_replace(hits, \"le\", \"$1\", \"host\", \"(.*)\"))",
    "topk(2, hits) or bottomk(1, level) unless absent(ended)",
    "quantile_over_time(scalar(level), hits[1h]) > bool -1 ^ 2 % 3",
    "predict_linear(hits[5m], 1e300) atan2 clamp(level, -Inf, NaN)",
    "count_values without (job) (\"v\", round(level, 0.1))",
    "holt_winters(hits[10m:], 0.5, 0.1) + year(vector(-9e18))",
    "predict_linear(vector(1)[9e15:9e14] offset -9e15, 1e9) + rate((hits offset 9e15)[9e15:9e15] @ -9e15)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cutting, doubling and joining pieces of expressions never panics, whether the result parses or not.
    #[test]
    fn mutated_expressions_get_an_answer_or_an_error(
        first in 0..SEEDS.len(), second in 0..SEEDS.len(), cut in 0usize..80, from in 0usize..80, noise in "[-+0-9a-z\\[\\](){}@,:\" ]{0,3}"
    ) {
        let (a, b) = (SEEDS[first], SEEDS[second]);
        let text = format!("{}{noise}{}", &a[..cut.min(a.len())], &b[from.min(b.len())..]);
        let _ = memory().instant(&text, 300_000);
        let _ = memory().range(&text, RangeTimes { start_ms: 0, end_ms: 60_000, step_ms: 7_000 });
    }
}
