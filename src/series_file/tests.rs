//! Which files are read, what their rows are, and what is said of the others.

use super::*;
use proptest::prelude::*;

fn read_text(text: &str) -> Result<SeriesFile, Fault> {
    let mut rows = Vec::new();
    let label_names = rows_of(text.as_bytes(), &mut |_, row| rows.push(row))?;
    Ok(SeriesFile { rows, label_names })
}

fn lines(text: &str) -> Vec<u64> {
    let mut lines = Vec::new();
    rows_of(text.as_bytes(), &mut |line, _| lines.push(line)).unwrap();
    lines
}

fn labels(row: &FileRow) -> Vec<(&str, &str)> {
    row.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect()
}

/// Time, value and labels of every row must be those of two samples of host a.
fn accepts(text: &str) {
    let file = read_text(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
    let seen: Vec<_> = file.rows.iter().map(|row| (row.time_ms, row.value, labels(row))).collect();
    let right = |time_ms, value| (Some(time_ms), Some(value), vec![("host", "a")]);
    assert_eq!(seen, [right(1000, 1.5), right(2000, -2.0)], "{text:?}");
    assert_eq!(file.label_names, ["host"], "{text:?}");
}

/// The fault's line and what is said of it.
fn rejects(bytes: &[u8], line: u64, said: &str) {
    let fault = rows_of(bytes, &mut |_, _| {}).unwrap_err();
    assert_eq!(fault.line, line, "{}: {fault:?}", String::from_utf8_lossy(bytes));
    assert!(fault.problem.to_string().contains(said), "{}: {}", String::from_utf8_lossy(bytes), fault.problem);
}

#[test]
fn every_form_of_the_same_samples_gives_the_same_rows() {
    accepts("timestamp,value,host\n1,1.5,a\n2,-2,a\n");
    accepts("host,value,timestamp\r\na,1.5,1\r\na,-2,2");
    accepts("\u{feff}Timestamp, Value ,host\n1,1.5,a\n\n2,-2e0,a\n\n");
    accepts("\"timestamp\",\"value\",\"host\"\r\n\"1\",\"1.5\",\"a\"\r\n2,-2,\"a\"\r\n");
    accepts(r#"[{"timestamp":1,"value":1.5,"host":"a"},{"value":-2,"timestamp":"2","labels":{"host":"a"}}]"#);
    accepts(
        "\u{feff} {\"timestamp\":1,\"value\":1.5,\"host\":\"a\"}\n{\"timestamp\":2,\"value\":-2.0,\"host\":\"a\"}\n",
    );
    accepts(
        "{\"timestamp\":\"1970-01-01T00:00:01Z\",\n \"value\":\"1.5\",\n \"host\":\"a\"} {\"timestamp\":2e0,\"value\":-2,\"host\":\"a\"}",
    );
}

#[test]
fn quotes_may_hide_commas_quotes_and_line_ends() {
    let text = "timestamp,value,note\n1,2,\"a, \"\"b\"\"\nc\"\n3,4,\n";
    let file = read_text(text).unwrap();
    assert_eq!(labels(&file.rows[0]), [("note", "a, \"b\"\nc")]);
    assert_eq!(labels(&file.rows[1]), [], "an empty label is none");
    assert_eq!(lines(text), [2, 4]);
}

#[test]
fn what_cannot_be_read_keeps_its_text_and_its_row() {
    let file = read_text("timestamp,value\nyesterday,1\n2,n/a\n3\n4,NaN\n5,6,7\n").unwrap();
    let seen: Vec<_> = file.rows.iter().map(|r| (r.time_ms, r.value, &*r.timestamp_text, &*r.value_text)).collect();
    let right = [
        (None, Some(1.0), "yesterday", "1"),
        (Some(2000), None, "2", "n/a"),
        (Some(3000), None, "3", ""),
        (Some(4000), None, "4", "NaN"),
        (Some(5000), None, "5", "6"),
    ];
    assert_eq!(seen, right);
    let file = read_text("[{\"timestamp\":1.50,\"value\":null},{\"timestamp\":[],\"value\":1e400}]").unwrap();
    let seen: Vec<_> = file.rows.iter().map(|r| (r.time_ms, r.value, &*r.timestamp_text, &*r.value_text)).collect();
    assert_eq!(seen, [(Some(1500), None, "1.50", ""), (None, None, "[]", "1e400")]);
}

#[test]
fn labels_of_objects_are_named_in_the_order_of_their_first_appearance() {
    let text = r#"{"timestamp":1,"value":2,"name":"cpu","labels":{"b":"x","a":3},"c":null}
                  {"timestamp":1,"value":2,"d":true,"a":"y"}"#;
    let file = read_text(text).unwrap();
    assert_eq!(file.label_names, ["name", "b", "a", "d"]);
    assert_eq!(labels(&file.rows[0]), [("name", "cpu"), ("b", "x"), ("a", "3")]);
    assert_eq!(labels(&file.rows[1]), [("d", "true"), ("a", "y")]);
    assert_eq!(lines("[\n{\"timestamp\":1,\"value\":2},\n\n{\"timestamp\":\n1,\"value\":2}]"), [2, 4]);
}

#[test]
fn a_file_without_a_known_shape_is_refused_with_its_line() {
    rejects(b"", 1, "empty");
    rejects(b"\n \n", 1, "empty");
    rejects(b"[]", 1, "empty");
    rejects(b"timestamp,value\n1,\xff\n", 2, "UTF-8");
    rejects(b"1700000000,3\n1700000060,4\n", 1, "no header");
    rejects(b"\ntime,value\n1,2\n", 2, "no timestamp");
    rejects(b"timestamp,values\n1,2\n", 1, "no value");
    rejects(b"timestamp,value,host,Host\n", 1, "\"Host\" stands twice");
    rejects(b"timestamp,value\n1,2\n3,\"4\n5,6\n", 3, "never closes");
    rejects(b"timestamp,value\n1,2\n3,\"4\"5\n", 3, "after the closing quote");
    rejects(b"[{\"timestamp\":1,\"value\":2},\n3]", 2, "expected an object");
    rejects(b"[{\"timestamp\":1,\"value\":2},\n{\"timestamp\":1", 2, "not JSON");
    rejects(b"[{\"timestamp\":1,\"value\":2}]\n\nx", 3, "not JSON");
    rejects(b"{\"timestamp\":1,\"value\":2}\n{\"timestamp\":}", 2, "not JSON");
    rejects(b"{\"timestamp\":1,\"value\":2}\n7", 2, "expected an object");
    rejects(b"{\"time\":1,\"value\":2}", 1, "no timestamp");
    rejects(b"[{\"timestamp\":1}]", 1, "no value");
}

#[test]
fn an_error_names_the_file() {
    let error = read(Path::new("/nowhere/cpu.csv")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/cpu.csv:1: cannot be read: "), "{error}");
}

proptest! {
    #[test]
    fn hostile_text_never_panics(text in "[\\PC\n\r\",\\[{}:0-9]{0,200}") {
        let _ = read_text(&text);
        let _ = read_text(&format!("timestamp,value,x\n{text}"));
        let _ = read_text(&format!("[{{\"timestamp\":{text}"));
        let _ = read_text(&format!("{{\"timestamp\":{text}"));
    }

    #[test]
    fn a_written_field_is_read_back(field in "[\\PC\n\r\",]{1,40}") {
        let text = format!("x,timestamp,value\n\"{}\",1,2\n", field.replace('"', "\"\""));
        let file = read_text(&text).unwrap();
        prop_assert_eq!(labels(&file.rows[0]), [("x", field.as_str())]);
    }
}
