//! Words with one home: a crate, the clock, threads, and words that have none.
//!
//! Not here: imports between modules of ours (see `imports`).

use super::source::Source;
use super::{hold, source};

/// Words that stand only where the list says.
struct Confined {
    /// Any of these, each word by word.
    phrases: &'static [&'static [&'static str]],
    why: &'static str,
    /// Whether tests are held to it too.
    tests_too: bool,
    /// The files, by the end of their path or by a folder that ends in a slash, and why.
    homes: &'static [(&'static str, &'static str)],
}

const RULES: &[Confined] = &[
    Confined {
        phrases: &[&["sled"]],
        why: "only one file knows the engine, so that it can be replaced",
        tests_too: true,
        homes: &[("storage/src/disk.rs", "the file that knows it")],
    },
    Confined {
        phrases: &[&["rayon"]],
        why: "work is lent to other threads in files named fan_out.rs only",
        tests_too: true,
        homes: &[("/fan_out.rs", "the files that lend")],
    },
    Confined {
        phrases: &[
            &["SystemTime", "::", "now"],
            &["Instant", "::", "now"],
            &["Timestamp", "::", "now"],
            &["Zoned", "::", "now"],
        ],
        why: "time is an argument",
        tests_too: false,
        homes: &[
            ("src/clock.rs", "the file that reads the clock"),
            ("loadtest/src/", "a load generator measures and paces by the clock"),
        ],
    },
    Confined {
        phrases: &[&["thread", "::", "Builder"], &["thread", "::", "spawn"], &["thread", "::", "scope"]],
        why: "every thread has an owner, listed here",
        tests_too: false,
        homes: &[
            ("src/alert/book.rs", "the one owner of alerts"),
            ("src/alert/notify/mod.rs", "a receiver that hangs holds up none but its own thread"),
            ("src/anomaly/book.rs", "the one owner of anomalies"),
            ("src/foundation_layer/worker.rs", "forecasts take long, and a share of a core of their own"),
            ("src/ingest/statsd_listener.rs", "a listener that reads a socket of its own"),
            ("src/ingest/snmp/start.rs", "a poller that reads a socket of its own"),
            ("src/ingest/snmp/traps.rs", "what hears traps reads a socket of its own"),
            ("src/ingest/snmp/watch.rs", "reading a file of devices may take seconds, which would hold up the poller"),
            ("src/shard/worker.rs", "a shard is a thread"),
            ("storage/src/disk.rs", "the engine is opened on a thread whose panics can be caught"),
            ("storage/src/journal/handle.rs", "the committer"),
            ("storage/src/open.rs", "the keeper"),
            (
                "storage/src/recovery.rs",
                "partitions are recovered in parallel, by threads that end before opening does",
            ),
            ("storage/src/watchdog.rs", "what watches for hanging threads must not be one of them"),
            ("loadtest/src/", "a load generator has a thread for every connection"),
        ],
    },
    Confined {
        phrases: &[&["anyhow"]],
        why: "errors are typed where somebody may act on them",
        tests_too: false,
        homes: &[
            ("src/server/", "start-up failures only end the process"),
            ("loadtest/src/", "failures only end the process"),
        ],
    },
    Confined {
        phrases: &[&["todo", "!"], &["unimplemented", "!"], &["dbg", "!"]],
        why: "what is committed is finished",
        tests_too: true,
        homes: &[],
    },
];

impl Confined {
    fn complaints(&self, source: &Source) -> Vec<String> {
        let at_home = self.homes.iter().any(|(home, _)| is_home(home, &source.path));
        if at_home { Vec::new() } else { self.found(source) }
    }

    fn found(&self, source: &Source) -> Vec<String> {
        let of = |phrase: &&[&str]| {
            let lines = source.lines_naming(phrase, self.tests_too);
            let said = format!("{} does not belong here: {}", phrase.concat(), self.why);
            lines.into_iter().map(move |line| format!("{}:{line}: {said}", source.path))
        };
        self.phrases.iter().flat_map(of).collect()
    }

    /// Homes in which none of the words stands.
    fn empty_homes(&self, sources: &[Source]) -> Vec<String> {
        let lives = |home: &str| sources.iter().any(|s| is_home(home, &s.path) && !self.found(s).is_empty());
        let empty =
            self.homes.iter().filter(|(home, _)| home.ends_with(".rs") && !home.starts_with('/') && !lives(home));
        empty.map(|(home, _)| format!("{home} has no need of {}", self.phrases[0].concat())).collect()
    }
}

fn is_home(home: &str, path: &str) -> bool {
    if home.ends_with('/') {
        path.starts_with(home)
    } else {
        path == home || home.starts_with('/') && path.ends_with(home)
    }
}

#[test]
fn confined_words_stand_in_their_homes() {
    let sources = source::all();
    let astray = RULES.iter().flat_map(|rule| sources.iter().flat_map(|source| rule.complaints(source)));
    let empty = RULES.iter().flat_map(|rule| rule.empty_homes(&sources));
    hold(astray.chain(empty).collect());
}

fn complaints_about(path: &str, text: &str) -> usize {
    let source = Source::new(path, text);
    RULES.iter().map(|rule| rule.complaints(&source).len()).sum()
}

#[test]
fn every_word_is_found_outside_its_home() {
    for text in [
        "use sled::Db;",
        "use rayon::prelude::*;",
        "let t = std::time::SystemTime::now();",
        "let t = tokio::time::Instant::now();",
        "let t = jiff::Timestamp::now();",
        "let t = Zoned::now();",
        "std::thread::spawn(f);",
        "thread::Builder::new();",
        "thread::scope(f);",
        "fn f() -> anyhow::Result<()> {}",
        "dbg!(x)",
    ] {
        assert_eq!(complaints_about("src/query/mod.rs", text), 1, "{text}");
    }
    // Put together here, so that who searches for such marks finds none.
    for mark in ["todo", "unimplemented"] {
        assert_eq!(complaints_about("src/query/mod.rs", &format!("{mark}!()")), 1, "{mark}");
    }
}

#[test]
fn a_word_is_fine_at_home_in_comments_and_in_literals() {
    assert_eq!(complaints_about("storage/src/disk.rs", "use sled::Db;"), 0);
    assert_eq!(complaints_about("src/query/fan_out.rs", "use rayon::prelude::*;"), 0);
    assert_eq!(complaints_about("loadtest/src/meter.rs", "Instant::now(); thread::scope(f);"), 0);
    assert_eq!(complaints_about("src/query/mod.rs", "// sled\nconst A: &str = \"rayon\";"), 0);
}

#[test]
fn tests_may_start_threads_but_not_name_the_engine() {
    assert_eq!(complaints_about("src/a.rs", "#[cfg(test)]\nmod tests { fn a() { std::thread::spawn(f); } }"), 0);
    assert_eq!(complaints_about("src/a.rs", "#[cfg(test)]\nmod tests { use sled::Db; }"), 1);
}

#[test]
fn a_home_that_nobody_needs_is_named() {
    let sources = [Source::new("storage/src/disk.rs", "fn nothing() {}")];
    assert_eq!(RULES[0].empty_homes(&sources).len(), 1);
}
