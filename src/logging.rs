//! The server's own log: one line an event on standard error, as logfmt, JSON or text.
//!
//! Not here: results of commands, which go to standard output (see `cli`); counters (see `self_metrics`). Nothing is
//! logged per sample, so a line may cost an allocation or two.
//!
//! Invariants: an event is one line, whatever its values contain; our own crates follow `log.level`, other crates are
//! heard from warnings upwards.

use crate::clock;
use crate::config::{Level, Log, LogFormat};
use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::{self, Handle};

const OUR_CRATES: [&str; 3] = ["infrawatch", "storage", "protocols"];

/// Sends every event of this process to standard error from now on; to be called once.
///
/// # Panics
/// If it was called before.
pub fn init(settings: &Log) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (subscriber, handle) = subscriber(settings, colour, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).expect("logging is set up once, by the command that serves");
    // It was not set before, or the line above would have failed.
    let _ = FILTER.set(handle);
}

/// Changes the least important message that is still logged, from now on.
pub fn set_level(level: Level) {
    if let Some(handle) = FILTER.get() {
        // It fails only when nothing logs any more.
        let _ = handle.reload(targets(level));
    }
}

/// What is left out by whatever logs for the process.
static FILTER: OnceLock<Handle<Targets, Registry>> = OnceLock::new();

fn targets(level: Level) -> Targets {
    let level = filter_of(level);
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(OUR_CRATES.map(|name| (name, level)))
}

fn subscriber<W>(settings: &Log, colour: bool, writer: W) -> (impl Subscriber + Send + Sync, Handle<Targets, Registry>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (targets, handle) = reload::Layer::new(targets(settings.level));
    let lines = Lines { format: settings.format, colour };
    let layer = tracing_subscriber::fmt::layer().event_format(lines).with_ansi(colour).with_writer(writer);
    (tracing_subscriber::registry().with(targets).with(layer), handle)
}

fn filter_of(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// Writes one event as one line.
struct Lines {
    format: LogFormat,
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let time = time_text(clock::now_ms());
        let level = event.metadata().level().as_str();
        let target = event.metadata().target();
        match self.format {
            LogFormat::Logfmt => logfmt(&mut out, &time, level, target, &said)?,
            LogFormat::Json => json(&mut out, &time, level, target, &said)?,
            LogFormat::Text => text(&mut out, &time, level, self.colour, &said)?,
        }
        out.write_char('\n')
    }
}

/// The message and the other fields of an event.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

enum Value {
    Text(String),
    /// A number or a truth value, written bare in JSON.
    Bare(String),
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bare(text) => text,
        }
    }
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.text().to_owned();
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        self.add(field, if value.is_finite() { Value::Bare(text) } else { Value::Text(text) });
    }
}

fn time_text(now_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(now_ms)
        .map_or_else(|_| now_ms.to_string(), |time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

fn logfmt(out: &mut dyn Write, time: &str, level: &str, target: &str, said: &Said) -> fmt::Result {
    write!(out, "ts={time} level={} target={target} msg={}", level.to_lowercase(), quoted(&said.message))?;
    said.fields.iter().try_for_each(|(name, value)| write!(out, " {name}={}", quoted(value.text())))
}

fn json(out: &mut dyn Write, time: &str, level: &str, target: &str, said: &Said) -> fmt::Result {
    let string = |text: &str| serde_json::Value::from(text);
    let level = level.to_lowercase();
    write!(out, "{{\"ts\":\"{time}\",\"level\":\"{level}\",\"target\":\"{target}\",\"msg\":{}", string(&said.message))?;
    for (name, value) in &said.fields {
        match value {
            Value::Text(text) => write!(out, ",{}:{}", string(name), string(text))?,
            Value::Bare(text) => write!(out, ",{}:{text}", string(name))?,
        }
    }
    out.write_char('}')
}

fn text(out: &mut dyn Write, time: &str, level: &str, colour: bool, said: &Said) -> fmt::Result {
    let (on, off) = match (colour, level) {
        (false, _) => ("", ""),
        (true, "ERROR") => ("\x1b[31m", "\x1b[0m"),
        (true, "WARN") => ("\x1b[33m", "\x1b[0m"),
        (true, _) => ("\x1b[2m", "\x1b[0m"),
    };
    write!(out, "{time} {on}{level:<5}{off} {}", one_line(&said.message))?;
    said.fields.iter().try_for_each(|(name, value)| write!(out, " {name}={}", quoted(value.text())))
}

/// A value as logfmt has it: bare if it is one plain word, else in quotes with JSON's escapes.
fn quoted(text: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=' && c != '\\';
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::{debug, info, warn};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: Level, format: LogFormat, colour: bool, events: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let (subscriber, _) = subscriber(&Log { level, format }, colour, move || writer.clone());
        tracing::subscriber::with_default(subscriber, events);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    fn after_time(line: &str) -> &str {
        line.split_once(' ').unwrap().1
    }

    #[test]
    fn logfmt_quotes_what_would_break_a_line() {
        let line = logged(Level::Info, LogFormat::Logfmt, false, || info!(path = "a b\nc", n = 3, "made a \"thing\""));
        assert!(line.starts_with("ts=2") && line.ends_with('\n'), "{line}");
        assert_eq!(
            after_time(line.trim_end()),
            "level=info target=infrawatch::logging::tests msg=\"made a \\\"thing\\\"\" path=\"a b\\nc\" n=3"
        );
    }

    #[test]
    fn json_is_one_object_a_line_with_numbers_as_numbers() {
        let line = logged(Level::Info, LogFormat::Json, false, || warn!(n = 3, ok = true, x = f64::NAN, "a\nb"));
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "warn");
        assert_eq!(value["msg"], "a\nb");
        assert_eq!((&value["n"], &value["ok"], &value["x"]), (&3.into(), &true.into(), &"NaN".into()));
        assert_eq!(value["ts"].as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
    }

    #[test]
    fn text_is_coloured_only_when_asked() {
        let event = || warn!(n = 1, "careful\nnow");
        assert_eq!(after_time(&logged(Level::Info, LogFormat::Text, false, event)), "WARN  careful now n=1\n");
        assert!(logged(Level::Info, LogFormat::Text, true, event).contains("\x1b[33mWARN"));
    }

    #[test]
    fn less_important_events_and_chatty_crates_are_left_out() {
        assert_eq!(logged(Level::Info, LogFormat::Text, false, || debug!("detail")), "");
        assert_ne!(logged(Level::Debug, LogFormat::Text, false, || debug!("detail")), "");
        assert_eq!(logged(Level::Debug, LogFormat::Text, false, || debug!(target: "hyper", "detail")), "");
        assert_ne!(logged(Level::Debug, LogFormat::Text, false, || warn!(target: "hyper", "detail")), "");
        assert_eq!(logged(Level::Off, LogFormat::Text, false, || warn!(target: "hyper", "detail")), "");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time_text(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
    }
}
