//! StatsD and DogStatsD by lists of lines that must and must not parse, among them those that other servers were seen
//! to turn into something that was never sent.

use proptest::prelude::*;
use protocols::statsd::{LineError, Lines, Measure, Observation, Reason, packet};

fn read(datagram: &[u8]) -> Vec<Result<Observation<'_>, LineError>> {
    let mut all = Vec::new();
    packet(datagram, |line| all.push(line));
    all
}

/// `name value` of everything in a datagram that holds no malformed line.
fn values(datagram: &str) -> Vec<String> {
    let text = |observation: Observation<'_>| match observation.measure {
        Measure::Count(value) => format!("{} c {}", observation.name, value / observation.rate),
        Measure::Gauge(value) => format!("{} g {value}", observation.name),
        Measure::GaugeChange(value) => format!("{} g {value:+}", observation.name),
        Measure::Timer(value) => format!("{} t {value} x{}", observation.name, 1.0 / observation.rate),
        Measure::Member(member) => format!("{} s {}", observation.name, String::from_utf8_lossy(member)),
        Measure::Event(event) => format!("{} e {}", observation.name, event.title),
    };
    let told = |error: LineError| panic!("{datagram}: {error}");
    read(datagram.as_bytes()).into_iter().map(|line| line.map_or_else(told, text)).collect()
}

#[track_caller]
fn accepts(line: &str, expected: &[&str]) {
    assert_eq!(values(line), expected, "{line}");
}

#[track_caller]
fn rejects(line: &[u8], reason: Reason) {
    let found: Vec<_> = read(line).into_iter().map(|line| line.map_err(|error| error.reason)).collect();
    assert_eq!(found, [Err(reason)], "{}", String::from_utf8_lossy(line));
}

#[test]
fn every_type_is_accepted() {
    accepts("a.b:1|c", &["a.b c 1"]);
    accepts("a:1|m", &["a c 1"]);
    accepts("a:-2.5|c", &["a c -2.5"]);
    accepts("a:5|g", &["a g 5"]);
    accepts("a:5|kv", &["a g 5"]);
    accepts("a:+3|g", &["a g +3"]);
    accepts("a:-1|g", &["a g -1"]);
    accepts("a:320|ms", &["a t 320 x1"]);
    accepts("a:320|h", &["a t 320 x1"]);
    accepts("a:-5|d", &["a t -5 x1"]);
    accepts("a:bob|s", &["a s bob"]);
    accepts("a:1e3|c", &["a c 1000"]);
    accepts("a:100000000000000000000|c", &["a c 100000000000000000000"]);
}

#[test]
fn rates_scale_counts_and_timers_only() {
    accepts("a:1|c|@0.1", &["a c 10"]);
    accepts("a:7|ms|@0.5", &["a t 7 x2"]);
    accepts("a:7|c|@1", &["a c 7"]);
    accepts("a:7|g|@0.1", &["a g 7"]);
    accepts("a:7|s|@x", &["a s 7"]);
}

#[test]
fn several_values_and_several_groups_stand_in_one_line() {
    accepts("a:1:2:3|ms", &["a t 1 x1", "a t 2 x1", "a t 3 x1"]);
    accepts("a:1:2|c|@0.5", &["a c 2", "a c 4"]);
    accepts("a:1|c:2|c", &["a c 1", "a c 2"]);
    accepts("a:1|c|@0.1:2|ms:3|g", &["a c 10", "a t 2 x1", "a g 3"]);
    accepts("a:1|c:2|c|#k:v|c:container", &["a c 1", "a c 2"]);
}

#[test]
fn members_of_sets_are_any_text() {
    accepts("a:x:y:z|s", &["a s x:y:z"]);
    accepts("a:x|y|s", &["a s x|y"]);
    accepts("a:x|y|s|#k:v", &["a s x|y"]);
    accepts("a:0x10|s", &["a s 0x10"]);
}

#[test]
fn names_are_kept_as_sent() {
    accepts("a b/c-d.é:1|c", &["a b/c-d.é c 1"]);
    accepts(&format!("{}:1|c", "n".repeat(255)), &[&format!("{} c 1", "n".repeat(255))]);
}

#[test]
fn tags_times_and_unknown_extensions_are_read() {
    let found = read("a:1|c|@0.5|#env:prod,up,,k:a:b|T1656581400|c:83c0|e:it|card:low|new".as_bytes());
    let observation = found[0].unwrap();
    let tags: Vec<_> = observation.tags.iter().collect();
    assert_eq!(tags, [("env", Some("prod")), ("up", None), ("k", Some("a:b"))]);
    assert_eq!((observation.rate, observation.time_s, observation.ignored), (0.5, Some(1_656_581_400), 3));
    assert_eq!(observation.container, "83c0");
    assert_eq!(read(b"a:1|ms|T5")[0].unwrap().time_s, None, "a timer has no time");
    let both: Vec<_> = read(b"a:1|c:2|g|#k:v|T7|c:x").into_iter().map(Result::unwrap).collect();
    assert!(both.iter().all(|one| one.tags.iter().eq([("k", Some("v"))]) && one.time_s == Some(7)), "{both:?}");
    assert_eq!(both.iter().map(|one| one.container).collect::<Vec<_>>(), ["x", "x"]);
    let both: Vec<_> = read(b"a:1|c:2|g|new").into_iter().map(Result::unwrap).collect();
    assert_eq!((both[0].ignored, both[1].ignored), (1, 0), "told once a line");
}

#[test]
fn a_service_check_is_a_gauge_of_its_status() {
    accepts("_sc|db.up|2|d:1656581400|h:host|m:a|b:c", &["db.up g 2"]);
    let found = read(b"_sc|db.up|0|#k:v|m:#no:tag");
    assert!(found[0].unwrap().tags.iter().eq([("k", Some("v"))]));
    rejects(b"_sc|db.up|4", Reason::Status);
    rejects(b"_sc|db.up", Reason::Incomplete);
    rejects(b"_sc||1", Reason::Name);
}

#[test]
fn an_event_is_read_by_its_lengths() {
    let event = |line: &'static str| {
        let found = read(line.as_bytes());
        let [Ok(Observation { name: "statsd_events", measure: Measure::Event(event), tags, .. })] = found[..] else {
            panic!("{line}: {found:?}");
        };
        (event.title, event.text, event.alert, tags.as_str())
    };
    assert_eq!(event("_e{5,4}:title|text"), ("title", "text", "info", ""));
    assert_eq!(event("_e{5,4}:a|b:c|te|t|t:error|p:low|#k:v,up|h:web"), ("a|b:c", "te|t", "error", "k:v,up"));
    assert_eq!(event("_e{3,0}:\u{e9}n||t:success|d:1656581400|k:key|s:source"), ("\u{e9}n", "", "success", ""));
    assert_eq!(event("_e{4,6}:a\\nb|\\nmore"), ("a\\nb", "\\nmore", "info", ""));
    for line in [
        "_e{5,40}:title|text",
        "_e{5}:title|text",
        "_e{0,4}:|text",
        "_e{5,4}title|text",
        "_e{5,4}:title|textual",
        "_e{18446744073709551615,1}:a|b",
        "_e{5,4}:title|text|t:fatal",
        "_e{a,b}:t|t",
        "_e{",
    ] {
        rejects(line.as_bytes(), Reason::BadEvent);
    }
    rejects(b"_e{1,1}:\xff|b", Reason::BadEvent);
    rejects(b"_e{1,1}:a|b|#\xff", Reason::Tags);
}

#[test]
fn what_is_malformed_is_rejected_by_reason() {
    for line in ["a", "a:1", "_sc|a"] {
        rejects(line.as_bytes(), Reason::Incomplete);
    }
    for line in ["a:|c", "a:abc|c", "a:nan|g", "a:inf|g", "a:0x10|c", "a:|s", "a:1:x:3|ms", "a:1:|ms", "a: 1|c"] {
        rejects(line.as_bytes(), Reason::Value);
    }
    for line in ["a:1|c|@0", "a:1|c|@x", "a:1|c|@-0.1", "a:1|c|@5", "a:1|ms|@", "a:1|c|@nan"] {
        rejects(line.as_bytes(), Reason::Rate);
    }
    for line in ["a:1|x", "a:1|C", "a:1|", "a:1|c2", "a:1|dict"] {
        rejects(line.as_bytes(), Reason::UnknownType);
    }
    for line in ["a:1|c|T", "a:1|c|Tx", "a:1|g|T-5", "a:1|c|T99999999999999999999"] {
        rejects(line.as_bytes(), Reason::Timestamp);
    }
    for line in [&b":1|c"[..], b"a\tb:1|c", b"a\x7f:1|c", b"a\xff:1|c", "a\u{85}:1|c".as_bytes()] {
        rejects(line, Reason::Name);
    }
    rejects(format!("{}:1|c", "n".repeat(256)).as_bytes(), Reason::Name);
    rejects(b"a:1|c|#k:\xff", Reason::Tags);
    rejects(b"a:1|c|#k:\x01", Reason::Tags);
}

#[test]
fn a_line_of_several_groups_is_all_or_nothing() {
    rejects(b"a:1|c:x|c", Reason::Value);
    rejects(b"a:1|c:2|q", Reason::UnknownType);
    rejects(b"a:1|c:2", Reason::Incomplete);
    rejects(b"a:1|c|@0.5:2|c|@9", Reason::Rate);
}

#[test]
fn a_malformed_line_leaves_its_neighbours_alone() {
    let found = read(b"a:1|c\n\nb:x|c\r\nc:2|g\r\n");
    assert_eq!(found.len(), 3);
    assert_eq!(found[1], Err(LineError { reason: Reason::Value, offset: 9 }));
    assert_eq!((found[0].unwrap().name, found[2].unwrap().name), ("a", "c"));
    assert_eq!(read(b""), []);
    assert_eq!(read(b"\n\r\n"), []);
}

/// What the short way makes of the first line, in the words of the long way; nothing where it declines.
fn short(datagram: &[u8]) -> Option<(Observation<'_>, usize)> {
    let mut lines = Lines::of(datagram);
    let plain = lines.plain()?;
    let mut found = None;
    let mut after = lines.clone();
    let first = after.line();
    let _ = protocols::statsd::read(first, |observation| found = Some(observation));
    lines.take(&plain);
    let named = found.filter(|long| {
        let tags = long.tags.as_str().as_bytes();
        (long.name.as_bytes(), tags, long.container.as_bytes()) == (plain.name, plain.tags, plain.container)
    })?;
    Some((Observation { measure: plain.measure, rate: plain.rate, ignored: plain.ignored, ..named }, lines.offset()))
}

#[test]
fn what_agents_send_most_is_plain() {
    for line in [
        "a.b.c:1|c",
        "a.b.c:1|c|@0.25",
        "a.b.c.d.e:12.5|ms",
        "a:5|g",
        "a:-5|g\nb:1|c",
        "a:1|h|@0.5|#env:prod,host:web-1",
        "a:1|d|#env:prod|@0.5|c:83c0|e:it\n",
        "a:1|m",
        "a:1|kv",
    ] {
        let mut lines = Lines::of(line.as_bytes());
        lines.line();
        let (found, end) = short(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((Ok(found), end), (read(line.as_bytes())[0], lines.offset()), "{line}");
    }
    for line in [
        "a",
        "a:1",
        "a:1|",
        "a:1|c|",
        "a:|c",
        ":1|c",
        "a:1|s",
        "a:1|c\r\n",
        "a:1|c|T5",
        "a:1|c|@2",
        "_sc:1|c",
        "a:1|c|@-1",
        "a:1|c|#k|#l",
        "a:1:2|c",
        "a:1|c:2|c",
        "a:1e3|c",
        "a:1|c|#k:v\r\nb:1|c",
        "a:1|q",
        "a:1|c\r",
    ] {
        assert!(Lines::of(line.as_bytes()).plain().is_none(), "{line:?}");
    }
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    let known = ["a", ":", "|", "c", "g", "ms", "s", "@", "#", "T", ",", "\n", "\r", "1", "-0.5", "1e9", "_e{", "_sc|"];
    prop_oneof![
        8 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Lines that are nearly plain: where the short way takes one whose name, tags and container are those the long way
    /// finds, both say the same.
    #[test]
    fn the_short_way_says_what_the_long_way_says(
        name in "[a-c.]{1,12}",
        value in "[+-]?[0-9]{0,9}(\\.[0-9]{0,9})?",
        kind in prop::sample::select(vec!["c", "g", "ms", "h", "d", "m", "kv", "s", "q", "cc"]),
        extensions in prop::collection::vec("(@[0-9.]{1,4}|#[a-c:,]{0,12}|c:[a-c]{0,3}|T[0-9]{1,3}|e:[a-c:]{0,3}|[a-d]{0,2})", 0..4),
        tail in prop::sample::select(vec!["", "\n", "\r\n", "\nb:1|c", "|", ":2|c", "\r"]),
    ) {
        let extensions: String = extensions.iter().map(|text| format!("|{text}")).collect();
        let datagram = format!("{name}:{value}|{kind}{extensions}{tail}");
        if let Some((found, end)) = short(datagram.as_bytes()) {
            let mut lines = Lines::of(datagram.as_bytes());
            let line = lines.line();
            prop_assert_eq!(read(line), [Ok(found)], "{:?}", datagram);
            prop_assert_eq!(end, lines.offset(), "{:?}", datagram);
        } else if let Some(plain) = Lines::of(datagram.as_bytes()).plain() {
            prop_assert!(false, "{:?} gave {:?}", datagram, plain);
        }
    }

    #[test]
    fn statsd_survives_any_tokens(tokens in prop::collection::vec(token(), 0..24)) {
        let datagram = tokens.concat();
        let lines = datagram.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && *line != b"\r");
        let found = read(&datagram);
        // Every line gives something, and nothing gives more than it has separators.
        prop_assert!(found.len() >= lines.count());
        prop_assert!(found.len() <= datagram.len());
        for observation in found.iter().flatten() {
            prop_assert!(!observation.name.is_empty() && !observation.name.chars().any(char::is_control));
            prop_assert!(observation.rate > 0.0 && observation.rate <= 1.0);
            prop_assert!(observation.tags.iter().count() <= datagram.len());
            match observation.measure {
                Measure::Member(member) => prop_assert!(!member.is_empty()),
                Measure::Event(event) => prop_assert!(!event.title.is_empty()),
                Measure::Count(v) | Measure::Gauge(v) | Measure::GaugeChange(v) | Measure::Timer(v) => {
                    prop_assert!(v.is_finite());
                }
            }
        }
        for error in found.iter().filter_map(|line| line.err()) {
            prop_assert!(error.offset <= datagram.len());
        }
    }
}
