//! `collect` and `generate` as their users run them: files in, samples in a server or in a store, and what is said.
//!
//! Not here: which files can be read (see `src/series_file/tests.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::http::{get, get_json};
use support::server::Server;
use tempfile::TempDir;

/// How a run of the program ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program in `folder`, with nothing of our own environment.
fn run(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let output = command.args(arguments).current_dir(folder).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// file, ingested, rejected and duplicate of each line of `collect --json`.
fn counts(ended: &Ended) -> Vec<[u64; 3]> {
    let rows: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}{}", ended.out, ended.err));
    let count = |row: &Value| ["ingested", "rejected", "duplicate"].map(|column| row[column].as_u64().unwrap());
    rows.as_array().unwrap().iter().map(count).collect()
}

/// The newest value of a query at a time.
fn value_at(server: &Server, query: &str, time: &str) -> Option<String> {
    let answer = get_json(&server.url("/api/v1/query"), &[("query", query), ("time", time)]);
    answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
}

/// Sums of the counters of JSON pushes: received, and all that it must be equal to.
fn accounting(server: &Server) -> (u64, u64) {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    let sum = |name: &str| -> u64 {
        let lines = page.lines().filter(|line| line.starts_with(&format!("infrawatch_{name}_total{{source=\"json\"")));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    let parts = ["stored", "aggregated", "rejected", "late", "duplicate", "dropped"];
    (sum("received"), parts.into_iter().map(sum).sum())
}

fn sample_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data").join(name)
}

#[test]
fn the_sample_data_go_into_a_server_once() {
    let (server, folder) = (Server::start(), TempDir::new().unwrap());
    let (cpu, memory) = (sample_data("cpu.csv"), sample_data("memory.csv"));
    let arguments =
        ["collect", cpu.to_str().unwrap(), memory.to_str().unwrap(), "--json", "--server", &server.url("/")];
    let first = run(folder.path(), &arguments);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.err.contains(&format!("sending to {}", server.url(""))), "{}", first.err);
    assert_eq!(counts(&first), [[2016, 0, 0], [2016, 0, 0]]);
    assert_eq!(counts(&run(folder.path(), &arguments)), [[0, 0, 2016], [0, 0, 2016]]);
    assert_eq!(accounting(&server), (4 * 2016, 4 * 2016));
    let samples = value_at(&server, "count_over_time(cpu_usage_percent{host=\"host-01\"}[8d])", "2026-01-12T00:00:00Z");
    assert_eq!(samples.as_deref(), Some("2016"));
    assert!(!folder.path().join("infrawatch-data").exists(), "nothing is opened beside the server");
}

#[test]
fn every_form_of_file_is_taken_and_bad_rows_are_told_with_their_lines() {
    let (server, folder) = (Server::start(), TempDir::new().unwrap());
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.data", "\u{feff}value,timestamp,host\r\n1,1700000000,x\r\nn/a,1700000001,x\r\n3,1700000002,x\r\n4,,x\r\n");
    write(
        "b.data",
        r#"[{"timestamp":1700000000,"value":5,"name":"b","labels":{"host":"y"}},{"timestamp":1,"value":"?"}]"#,
    );
    write(
        "c.data",
        "{\"timestamp\":\"2023-11-14 22:13:21\",\"value\":7,\"name\":\"c\"}\n{\"timestamp\":4e9,\"value\":8,\"name\":\"c\"}\n",
    );
    let ended = run(folder.path(), &["collect", "a.data", "b.data", "c.data", "--json", "--server", &server.url("")]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(counts(&ended), [[2, 2, 0], [1, 1, 0], [1, 1, 0]]);
    for told in [
        "a.data:3: rejected: the value",
        "a.data:5: rejected: the timestamp",
        "b.data:1: ",
        "c.data:2: rejected: timestamp: ",
    ] {
        assert!(ended.err.contains(told), "{told} is not in {}", ended.err);
    }
    assert_eq!(value_at(&server, "value{host=\"x\"}", "1700000002").as_deref(), Some("3"));
    assert_eq!(value_at(&server, "b{host=\"y\"}", "1700000002").as_deref(), Some("5"));
    assert_eq!(value_at(&server, "c", "1700000002").as_deref(), Some("7"));
    let (received, accounted) = accounting(&server);
    assert_eq!((received, accounted), (5, 5), "rows that are no samples never reach the server");

    let ended = run(folder.path(), &["collect", "b.data", "--metric", "other", "--quiet", "--server", &server.url("")]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(value_at(&server, "other{host=\"y\"}", "1700000002").as_deref(), Some("5"));
}

#[test]
fn rows_in_any_order_are_taken_and_the_first_of_two_values_stays() {
    let (server, folder) = (Server::start(), TempDir::new().unwrap());
    let rows: Vec<String> = (0..12_000).rev().map(|n| format!("{},{n}", 1_600_000_000 + n * 60)).collect();
    let text = format!("timestamp,value\n1600000000,0\n1600000000,99\n{}\n", rows.join("\n"));
    std::fs::write(folder.path().join("backwards.csv"), text).unwrap();
    let ended = run(folder.path(), &["collect", "backwards.csv", "--json", "--server", &server.url("")]);
    assert_eq!(counts(&ended), [[12_000, 1, 1]], "{}", ended.err);
    assert!(ended.err.contains("1 conflict"), "{}", ended.err);
    assert_eq!(value_at(&server, "value", "1600000000").as_deref(), Some("0"));
}

#[test]
fn without_a_server_the_store_is_opened_and_a_server_finds_the_samples_there() {
    let (folder, server) = (TempDir::new().unwrap(), Server::start());
    let nobody = "127.0.0.1:1";
    let data_dir = server.data_dir().to_str().unwrap().to_owned();
    let cpu = sample_data("cpu.csv");
    let arguments = ["collect", cpu.to_str().unwrap(), "--json", "--server", nobody, "--data-dir", &data_dir];
    let locked = run(folder.path(), &arguments);
    assert_eq!(locked.code, 1, "{}", locked.err);
    assert!(locked.err.contains("is in use by another process"), "{}", locked.err);

    let stopped = server.stop();
    let ended = run(folder.path(), &arguments);
    assert_eq!((ended.code, counts(&ended)), (0, vec![[2016, 0, 0]]), "{}", ended.err);
    assert!(ended.err.contains(&format!("opening {data_dir}")), "{}", ended.err);
    assert_eq!(counts(&run(folder.path(), &arguments)), [[0, 0, 2016]]);
    let server = stopped.restart();
    let samples = value_at(&server, "count_over_time(cpu_usage_percent[8d])", "2026-01-12T00:00:00Z");
    assert_eq!(samples.as_deref(), Some("2016"));
}

#[test]
fn failures_are_told_in_one_line_and_nothing_is_left_behind() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good.csv", "timestamp,value\n1,2\n");
    write("open.csv", "timestamp,value\n1,2\n3,\"4\n");
    write("useless.csv", "timestamp,value\nx,y\n");
    for (arguments, code, said) in [
        (&["collect"][..], 2, "<FILE>"),
        (&["collect", "good.csv", "--metric", ""], 2, "--metric"),
        (&["collect", "good.csv", "missing.csv"], 1, "missing.csv:1: cannot be read"),
        (&["collect", "open.csv"], 1, "open.csv:3: a quoted field"),
        (&["collect", "good.csv", "--server", "127.0.0.1:1"], 1, "http://127.0.0.1:1"),
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(said), "{said} is not in {}", ended.err);
        assert!(!folder.path().join("infrawatch-data").exists(), "{arguments:?}");
    }
    let server = Server::start();
    let ended = run(folder.path(), &["collect", "useless.csv", "--json", "--server", &server.url("")]);
    assert_eq!((ended.code, counts(&ended)), (1, vec![[0, 1, 0]]), "{}", ended.err);
}

#[test]
fn generate_writes_the_same_bytes_for_the_same_arguments() {
    let folder = TempDir::new().unwrap();
    let arguments =
        ["generate", "--hosts", "2", "--days", "2", "--anomalies", "6", "--step", "5m", "--start", "1700000000"];
    let generate = |seed: &str, out: &str| {
        let ended = run(folder.path(), &[&arguments[..], &["--seed", seed, "--out", out]].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        let names = ["cpu", "memory", "bandwidth", "latency", "errors", "truth"];
        names.map(|name| std::fs::read_to_string(folder.path().join(out).join(format!("{name}.csv"))).unwrap())
    };
    let first = generate("7", "first");
    assert!(first == generate("7", "second"));
    assert!(first != generate("8", "third"));
    assert_eq!(first[5].lines().count(), 7, "a header and six anomalies: {}", first[5]);
    assert!(first[0].starts_with("timestamp,value,name,host\n2023-11-14T22:13:20Z,"), "{}", &first[0][..80]);

    for (flag, text) in
        [("--step", "7"), ("--step", "0s"), ("--start", "soon"), ("--hosts", "0"), ("--anomalies", "1000")]
    {
        let ended = run(folder.path(), &["generate", "--out", "none", "--days", "1", flag, text]);
        assert_eq!(ended.code, 2, "{flag} {text}: {}", ended.err);
        assert!(ended.err.contains(flag), "{}", ended.err);
        assert!(!folder.path().join("none").exists(), "{flag} {text}");
    }
}

#[test]
fn a_snapshot_and_an_export_of_a_running_server_bring_everything_elsewhere() {
    let home = TempDir::new().unwrap();
    let server = Server::start();
    let rows: String = (0..600).map(|i| format!("2023-11-14T{:02}:{:02}:00Z,{}.5,a\n", i / 60, i % 60, i)).collect();
    std::fs::write(home.path().join("in.csv"), format!("timestamp,value,host\n{rows}")).unwrap();
    let url = server.url("");
    assert_eq!(run(home.path(), &["collect", "in.csv", "--metric", "cpu", "--server", &url]).code, 0);

    let taken = run(home.path(), &["snapshot", "copy", "--server", &url, "--json"]);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let said: Value = serde_json::from_str(&taken.out).unwrap();
    assert!(said[0]["files"].as_u64().unwrap() > 3 && said[0]["dir"].as_str().unwrap().ends_with("/copy"), "{said}");
    let again = run(home.path(), &["snapshot", "copy", "--server", &url]);
    assert!(again.code == 1 && again.err.contains("something is there already"), "{}", again.err);

    let export = |arguments: &[&str]| {
        let ended =
            run(home.path(), &[&["export", "--match", "{__name__=\"cpu\"}", "--server", &url], arguments].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended.out
    };
    let all = export(&[]);
    assert_eq!(all.lines().next().unwrap(), "timestamp,value,name,host");
    assert_eq!(all.lines().count(), 601);
    assert_eq!(all.lines().nth(1).unwrap(), "2023-11-14T00:00:00.000Z,0.5,cpu,a");
    let some = export(&["--from", "2023-11-14T01:00:00Z", "--to", "2023-11-14T01:09:59Z"]);
    assert_eq!(some.lines().count(), 11);
    export(&["--output", "out.csv"]);
    parquet_says_the_same(home.path(), &url, &all);
    server.stop();

    // Elsewhere: the copy as a store, without a server first, and the file in a store of its own.
    let offline = run(home.path(), &["snapshot", "second", "--data-dir", "copy", "--server", "http://127.0.0.1:9"]);
    assert!(offline.code == 1 && offline.err.contains("no server answers"), "{}", offline.err);
    let environment = "INFRAWATCH_HTTP_LISTEN";
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    command.args(["snapshot", "second", "--data-dir", "copy"]).current_dir(home.path()).env_clear();
    let output = command.env(environment, "off").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second = home.path().join("second");
    let stopped = Server::start().stop();
    std::fs::remove_dir_all(stopped.data_dir()).unwrap();
    std::fs::rename(&second, stopped.data_dir()).unwrap();
    let restored = stopped.restart();
    let count = |server: &Server, query: &str| value_at(server, query, "2023-11-14T12:00:00Z");
    assert_eq!(count(&restored, "count_over_time(cpu[12h])").as_deref(), Some("600"));
    restored.stop();
    let other = Server::start();
    assert_eq!(run(home.path(), &["collect", "out.csv", "--server", &other.url("")]).code, 0);
    assert_eq!(count(&other, "sum(sum_over_time(cpu{host=\"a\"}[12h]))").as_deref(), Some("180000"));
    other.stop();
}

/// What a build without the feature says of Parquet; the file there is none of.
#[cfg(not(feature = "parquet"))]
fn parquet_says_the_same(home: &Path, url: &str, _csv: &str) {
    let arguments = ["export", "--match", "cpu", "--server", url, "--format", "parquet", "--output", "out.parquet"];
    let ended = run(home, &arguments);
    assert!(ended.code == 1 && ended.err.contains("the feature parquet"), "{}", ended.err);
    assert!(!home.join("out.parquet").exists());
}

/// A Parquet file has the rows and columns of the CSV file, values to the bit.
#[cfg(feature = "parquet")]
fn parquet_says_the_same(home: &Path, url: &str, csv: &str) {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, Row};

    let arguments = ["export", "--match", "cpu", "--server", url, "--format", "parquet", "--output", "out.parquet"];
    let ended = run(home, &arguments);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let reader = SerializedFileReader::new(std::fs::File::open(home.join("out.parquet")).unwrap()).unwrap();
    let names: Vec<_> = reader.metadata().file_metadata().schema_descr().columns().iter().map(|c| c.name()).collect();
    assert_eq!(names.join(","), csv.lines().next().unwrap());
    let read = |row: Row| {
        let fields: Vec<Field> = row.into_columns().into_iter().map(|(_, field)| field).collect();
        let [Field::TimestampMillis(time_ms), Field::Double(value), Field::Str(name), Field::Str(host)] = &fields[..]
        else {
            panic!("{fields:?}")
        };
        (*time_ms, value.to_bits(), name.clone(), host.clone())
    };
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| read(row.unwrap())).collect();
    let begin_ms = 1_699_920_000_000;
    let of_line = |(at, line): (usize, &str)| {
        let fields: Vec<&str> = line.split(',').collect();
        let bits = fields[1].parse::<f64>().unwrap().to_bits();
        (begin_ms + at as i64 * 60_000, bits, fields[2].to_owned(), fields[3].to_owned())
    };
    assert_eq!(rows, csv.lines().skip(1).enumerate().map(of_line).collect::<Vec<_>>());
    let printed = run(home, &["version", "--features"]);
    assert!(printed.out.contains("parquet"), "{}", printed.out);
}
