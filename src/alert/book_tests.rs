//! Tests of the book: what it keeps through a crash and a file that cannot be written, and the committed sample.

use super::*;
use crate::alert::{AlertSeverity, AlertState, Conditions, Origin};
use std::path::PathBuf;
use storage::label_index::Matcher;
use tempfile::TempDir;

/// A log of every kind of frame; `INFRAWATCH_WRITE_SAMPLE=1 cargo test -p infrawatch --lib alert::book` wrote it, and would
/// write that of a new version under its own name.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/alerts-v1.log")
}

fn signal(host: &str) -> Signal {
    let now_ms = clock::now_ms();
    Signal {
        fingerprint: Fingerprint::of("anomaly", host.as_bytes()),
        origin: Origin::Anomaly,
        occurrence_ms: 0,
        name: "Anomaly".to_owned(),
        labels: [("host".to_owned(), host.to_owned())].into(),
        annotations: BTreeMap::new(),
        severity: AlertSeverity::Critical,
        start_ms: now_ms,
        last_ms: now_ms,
        is_open: true,
        count: 1,
        value: f64::NAN,
        score: 0.95,
        summary: format!("{host} is high"),
        anomaly_id: None,
        renotify_ms: None,
    }
}

fn silence(name: &str) -> Silence {
    let conditions = Conditions::of(vec![Matcher::regex("host", "quiet.*").unwrap()]);
    let (reason, by) = ("noisy".to_owned(), "ann".to_owned());
    Silence { id: Fingerprint::of(name, b""), conditions, from_ms: 0, until_ms: i64::MAX, reason, by }
}

fn window() -> Window {
    let conditions = Conditions::of(vec![Matcher::equal("host", "planned")]);
    let recurrence = ("0 2 * * *".to_owned(), "Europe/Berlin".to_owned());
    Window::new((0, 3_600_000), conditions, recurrence, "backup".to_owned()).unwrap()
}

/// Wishes something and waits for the answer.
fn wish(book: &AlertBook, wish: Wish) -> Result<Option<Arc<Alert>>, BookError> {
    let (answer, answered) = bounded(1);
    book.wish(wish, Box::new(move |result| drop(answer.send(result)))).unwrap();
    answered.recv().unwrap()
}

fn opened(folder: &Path) -> (AlertBook, Sender<Signal>, AlertBookHandle) {
    open(folder, Settings::default(), Routing::default()).unwrap()
}

/// The folder of a book that was told of two alerts, a silence and a window, and closed.
fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (book, signals, thread) = opened(folder.path());
    ["a", "quiet1"].into_iter().for_each(|host| signals.send(signal(host)).unwrap());
    for one in [Wish::Silence(silence("s")), Wish::Silence(silence("t")), Wish::Plan(Box::new(window()))] {
        assert_eq!(wish(&book, one), Ok(None));
    }
    wish(&book, Wish::Unsilence(silence("t").id)).unwrap();
    // Signals and wishes come by different ways.
    while book.view().alerts.len() < 2 {
        thread::yield_now();
    }
    let said = Said { by: Some("ann".to_owned()), note: None, at_ms: 1 };
    let print = signal("a").fingerprint;
    let taken = wish(&book, Wish::Acknowledge(print, said)).unwrap().unwrap();
    assert_eq!(taken.state(), AlertState::Acknowledged);
    drop((book, signals));
    thread.join().unwrap();
    folder
}

fn assert_filled(view: &View) {
    let state = |host: &str| view.alerts[&signal(host).fingerprint].state();
    assert_eq!((view.alerts.len(), state("a")), (2, AlertState::Acknowledged));
    assert!(view.alerts[&signal("a").fingerprint].value.is_nan());
    assert_eq!(view.silences.keys().copied().collect::<Vec<_>>(), [silence("s").id]);
    assert_eq!(view.windows.values().map(|window| window.reason.as_str()).collect::<Vec<_>>(), ["backup"]);
}

#[test]
fn what_was_kept_is_there_after_a_start() {
    let folder = filled();
    let (book, ..) = opened(folder.path());
    assert_filled(&book.view());
}

#[test]
fn nothing_unknown_is_taken_or_taken_away() {
    let folder = TempDir::new().unwrap();
    let (book, _signals, _thread) = opened(folder.path());
    let said = Said { by: None, note: None, at_ms: 0 };
    let print = signal("a").fingerprint;
    for one in [Wish::Acknowledge(print, said.clone()), Wish::Resolve(print, said)] {
        assert_eq!(wish(&book, one), Err(BookError::Unknown("alert")));
    }
    assert_eq!(wish(&book, Wish::Unsilence(print)), Err(BookError::Unknown("silence")));
    assert_eq!(wish(&book, Wish::Unplan(print)), Err(BookError::Unknown("maintenance window")));
}

#[test]
fn damage_is_told_and_the_rest_is_kept() {
    let folder = filled();
    let path = folder.path().join("records.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 0x55;
    std::fs::write(&path, &bytes).unwrap();
    let (book, ..) = opened(folder.path());
    assert_eq!(book.damage().len(), 1);
    assert_eq!(book.view().windows.len(), 1);
}

#[test]
fn the_committed_sample_of_version_1_loads() {
    if std::env::var_os("INFRAWATCH_WRITE_SAMPLE").is_some() && !sample().exists() {
        std::fs::copy(filled().path().join("records.log"), sample()).unwrap();
    }
    let folder = TempDir::new().unwrap();
    std::fs::copy(sample(), folder.path().join("records.log")).unwrap();
    let settings = Settings { retention_ms: i64::MAX, ..Settings::default() };
    let (book, ..) = open(folder.path(), settings, Routing::default()).unwrap();
    assert_eq!(book.damage().len(), 0);
    assert_filled(&book.view());
}
