//! The program's command line as a user meets it: exit codes, messages, precedence of settings and their origins.
//!
//! Not here: what a running server does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder of its own to run in, and the variables set there; nothing of our own environment reaches the program.
struct Bench {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn variable(mut self, name: &'static str, text: &str) -> Self {
        self.variables.push((name, text.to_owned()));
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        let output = command.envs(self.variables.iter().cloned()).output().unwrap();
        Ended::new(output)
    }
}

/// How the program ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Checks that it failed with this code and one line that holds all these words.
    #[track_caller]
    fn failed_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        assert!(self.err.starts_with("error: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word} is not in {}", self.err);
        }
        assert_eq!(self.out, "");
    }

    /// Value and origin of a key, as `config print --format csv` shows them.
    fn setting(&self, key: &str) -> (String, String) {
        assert_eq!(self.code, 0, "{}", self.err);
        let line = self.out.lines().find(|line| line.starts_with(&format!("{key},"))).unwrap();
        let cells: Vec<_> = line.split(',').collect();
        (cells[1].to_owned(), cells[2].to_owned())
    }
}

const PRINT_CSV: [&str; 4] = ["config", "print", "--format", "csv"];

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_a_suggestion() {
    let bench = Bench::new().file("a.toml", "# mine\n[http]\nlistn = \"off\"\n");
    let words = ["a.toml:3:", "unknown key http.listn", "did you mean http.listen"];
    bench.run(&["serve", "--config", "a.toml"]).failed_with(1, &words);
    bench.run(&["config", "check", "a.toml"]).failed_with(1, &words);
}

#[test]
fn config_check_lists_every_mistake() {
    let bench = Bench::new().file("a.toml", "[http]\nlisten = 5\n[log]\nlevel = \"loud\"\n");
    let ended = bench.run(&["config", "check", "--config", "a.toml"]);
    assert_eq!(ended.code, 1);
    let lines: Vec<_> = ended.err.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.err);
    assert!(lines[0].starts_with("error: a.toml:2: http.listen = \"5\": expected"), "{}", lines[0]);
    assert!(lines[1].starts_with("error: a.toml:4: log.level = \"loud\": expected one of"), "{}", lines[1]);
    bench.run(&["serve", "--config", "a.toml"]).failed_with(1, &["a.toml:2", "1 more", "config check"]);
}

#[test]
fn config_check_passes_a_right_file_and_no_file() {
    let ended = Bench::new().file("a.toml", "[http]\nlisten = \"off\"\n").run(&["config", "check", "a.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.starts_with("a.toml: ok, 1 of "), "{}", ended.out);
    assert_eq!(Bench::new().run(&["config", "check"]).code, 0);
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let bench = Bench::new().file("a.toml", "[log]\nlevel = \"${LEVEL}\"\n").variable("LEVEL", "warn");
    let plain = [&PRINT_CSV[..], &["--config", "a.toml"]].concat();
    let flagged = [&plain[..], &["--log-level", "trace"]].concat();
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(bench.run(&PRINT_CSV).setting("log.level"), pair("info", "default"));
    assert_eq!(bench.run(&plain).setting("log.level"), pair("warn", "a.toml:2"));
    let bench = bench.variable("INFRAWATCH_LOG_LEVEL", "debug");
    assert_eq!(bench.run(&plain).setting("log.level"), pair("debug", "INFRAWATCH_LOG_LEVEL"));
    assert_eq!(bench.run(&flagged).setting("log.level"), pair("trace", "--log-level"));
}

#[test]
fn a_settings_file_is_found_only_by_flag_or_variable() {
    let bench = Bench::new().file("infrawatch.toml", "[log]\nlevel = \"warn\"\n");
    assert_eq!(bench.run(&PRINT_CSV).setting("log.level").1, "default");
    let bench = bench.variable("INFRAWATCH_CONFIG", "infrawatch.toml");
    assert_eq!(bench.run(&PRINT_CSV).setting("log.level").1, "infrawatch.toml:2");
    assert_eq!(bench.run(&["config", "print", "--defaults", "--format", "csv"]).setting("log.level").1, "default");
}

#[test]
fn every_key_is_printed_in_every_format() {
    let bench = Bench::new();
    let json: serde_json::Value = serde_json::from_str(&bench.run(&["config", "print", "--json"]).out).unwrap();
    let rows = json.as_array().unwrap();
    let max_points = rows.iter().find(|row| row["key"] == "query.max_points").unwrap();
    assert_eq!((&max_points["value"], &max_points["origin"]), (&11_000.into(), &"default".into()));
    for format in ["table", "csv"] {
        let out = bench.run(&["config", "print", "--format", format]).out;
        assert_eq!(out.lines().count(), rows.len() + 1, "{format}");
    }
    let defaults = bench.run(&["config", "print", "--defaults"]).out;
    assert_eq!(bench.run(&["config", "print-defaults"]).out, defaults);
}

#[test]
fn results_go_to_a_file_when_one_is_named() {
    let bench = Bench::new();
    let ended = bench.run(&["config", "print", "--output", "out.txt"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    assert!(std::fs::read_to_string(bench.path("out.txt")).unwrap().contains("http.listen"));
    bench.run(&["config", "print", "--output", "no/out.txt"]).failed_with(1, &["no/out.txt"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    let bench = Bench::new();
    for arguments in [&["fly"][..], &["serve", "--no-such-flag"], &["config"], &[], &["version", "--format", "xml"]] {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments:?}");
    }
    bench.run(&["serve", "--retention", "forever"]).failed_with(2, &["--retention", "forever", "30d"]);
    bench.run(&["serve", "--http-listen", "8080"]).failed_with(2, &["--http-listen", "127.0.0.1:8080"]);
    bench.run(&["config", "print", "--log-level", "loud"]).failed_with(2, &["--log-level", "loud"]);
}

#[test]
fn a_wrong_variable_or_file_ends_with_1() {
    let bench = Bench::new().variable("INFRAWATCH_STORAGE_RETENTION", "forever");
    bench.run(&["serve"]).failed_with(1, &["INFRAWATCH_STORAGE_RETENTION", "storage.retention", "forever"]);
    let bench = Bench::new().file("pipeline.yaml", "pipeline:\n");
    bench.run(&["serve", "--config", "pipeline.yaml"]).failed_with(1, &["pipeline.yaml", "config import"]);
    bench.run(&["serve", "--config", "gone.toml"]).failed_with(1, &["gone.toml"]);
}

/// CLI-013, ML-025: what a file of ONNX takes and gives is printed; what cannot be used is refused with its reason.
#[cfg(feature = "onnx")]
#[test]
fn a_model_of_the_users_own_is_looked_at_or_refused() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/onnx/samples/lstm.onnx");
    let bench = Bench::new().file("text.onnx", "no model").file(
        "a.toml",
        "[pipeline]\nseries = '{__name__=\"a\"}'\nmodel_path = \"text.onnx\"\nfallback_strategy = \"off\"\n",
    );
    let ended = bench.run(&["models", "check", sample]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    for line in ["input float32 [1, 12, 1]", "reconstruction_error float32 [1]", "LSTM 2"] {
        assert!(ended.out.contains(line), "{line} in {}", ended.out);
    }
    bench.run(&["models", "check", "text.onnx"]).failed_with(1, &["text.onnx", "no ONNX file"]);
    bench.run(&["models", "check", "gone.onnx"]).failed_with(1, &["gone.onnx"]);
    let arguments = ["serve", "--config", "a.toml", "--data-dir", "data", "--http-listen", "127.0.0.1:0"];
    let ended = bench.run(&arguments);
    assert_eq!(ended.code, 1, "{}", ended.err);
    let said = "error: pipeline.model_path: text.onnx: it is no ONNX file";
    assert!(ended.err.contains(said) && ended.err.contains("fallback_strategy is off"), "{}", ended.err);
}

#[test]
fn a_mistyped_variable_is_warned_of_unless_quiet() {
    let bench = Bench::new().variable("INFRAWATCH_HTTP_LISTN", "off");
    let ended = bench.run(&["config", "check"]);
    assert_eq!(ended.code, 0);
    assert!(ended.err.contains("INFRAWATCH_HTTP_LISTN, did you mean INFRAWATCH_HTTP_LISTEN"), "{}", ended.err);
    assert_eq!(bench.run(&["config", "check", "--quiet"]).err, "");
}

#[test]
fn version_names_the_licence() {
    let bench = Bench::new();
    let line = bench.run(&["version"]).out;
    assert!(line.starts_with(concat!("infrawatch ", env!("CARGO_PKG_VERSION"))) && line.contains("MIT"), "{line}");
    assert_eq!(bench.run(&["--version"]).out, line);
    assert!(bench.run(&["version", "--features"]).out.contains("jemalloc"));
}

#[test]
fn health_without_a_server_ends_with_1_and_names_the_address() {
    // Nothing listens at port 1, which only root could do.
    let addr = "127.0.0.1:1";
    Bench::new().run(&["health", "--server", addr]).failed_with(1, &[addr]);
    let configured = Bench::new().variable("INFRAWATCH_HTTP_LISTEN", addr);
    configured.run(&["health"]).failed_with(1, &[addr]);
    Bench::new().variable("INFRAWATCH_HTTP_LISTEN", "off").run(&["health"]).failed_with(1, &["--server"]);
}

#[test]
fn health_follows_the_answer() {
    for (status, code) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = std::thread::Builder::new().spawn(move || answer_once(&listener, status)).unwrap();
        let ended = Bench::new().variable("HTTP_PROXY", "http://127.0.0.1:1").run(&["health", "--url", &url]);
        assert_eq!(ended.code, code, "{}", ended.err);
        assert_eq!(answering.join().unwrap(), "GET /health HTTP/1.1\r\n");
        let said = if code == 0 { ended.out } else { ended.err };
        assert!(said.contains("well"), "{said}");
    }
}

/// Answers one request and returns its first line.
fn answer_once(listener: &std::net::TcpListener, status: &str) -> String {
    use std::io::{BufRead, BufReader, Write};
    let (mut connection, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(connection.try_clone().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell").unwrap();
    first
}
