//! JSON: an array of objects, or objects one after the other (NDJSON). A number keeps the text it was written with.
//!
//! `timestamp` and `value` are what they say; the members of `labels` and every other field are labels. A label that is
//! no string is its JSON text, `null` is no label.
//!
//! Not here: numbers and times (see `row`, `time`).

use super::LabelNames;
use super::error::{Fault, Problem};
use super::fields::JsonFields;
use super::row::FileRow;
use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Hands over every object of an array; gives the names of the labels.
pub(super) fn array(text: &str, row: &mut dyn FnMut(u64, FileRow)) -> Result<Vec<String>, Fault> {
    let mut reading = Reading::new(text, row);
    let mut json = serde_json::Deserializer::from_str(text);
    let outcome = json.deserialize_seq(Elements(&mut reading)).and_then(|()| json.end());
    // A fault of an element ends the walk with an error of its own, which says less.
    match (reading.fault.take(), outcome) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(not_json(1, &error)),
        (None, Ok(())) => reading.finish(),
    }
}

/// Hands over objects that stand one after the other; gives the names of the labels.
pub(super) fn objects(text: &str, row: &mut dyn FnMut(u64, FileRow)) -> Result<Vec<String>, Fault> {
    let mut reading = Reading::new(text, row);
    for object in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        reading.take(object.map_err(|error| not_json(1, &error))?)?;
    }
    reading.finish()
}

/// `line` is the one on which the text starts that `error` speaks of.
fn not_json(line: u64, error: &serde_json::Error) -> Fault {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or(&said).to_owned();
    Fault { line: line + (error.line() as u64).saturating_sub(1), problem: Problem::NotJson(what) }
}

/// Where a walk over a file's objects stands.
struct Reading<'a> {
    text: &'a str,
    row: &'a mut dyn FnMut(u64, FileRow),
    names: LabelNames,
    /// Bytes before which line ends are counted.
    counted_bytes: usize,
    line: u64,
    rows: u64,
    saw_timestamp: bool,
    saw_value: bool,
    fault: Option<Fault>,
}

impl<'a> Reading<'a> {
    fn new(text: &'a str, row: &'a mut dyn FnMut(u64, FileRow)) -> Self {
        let (names, counted_bytes, line, rows) = (LabelNames::default(), 0, 1, 0);
        Self { text, row, names, counted_bytes, line, rows, saw_timestamp: false, saw_value: false, fault: None }
    }

    /// Takes an object that stands in the text.
    fn take(&mut self, object: &RawValue) -> Result<(), Fault> {
        let start = (object.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(self.counted_bytes..start).unwrap_or_default();
        self.line += before.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counted_bytes = start;
        if !object.get().starts_with('{') {
            return Err(Fault { line: self.line, problem: Problem::NotAnObject });
        }
        let fields = fields_of(object, self.line)?;
        let find = |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let (timestamp, value) = (find("timestamp"), find("value"));
        self.saw_timestamp |= timestamp.is_some();
        self.saw_value |= value.is_some();
        let mut labels: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in &fields {
            let is_sample = name.eq_ignore_ascii_case("timestamp") || name.eq_ignore_ascii_case("value");
            match name.as_ref() {
                _ if is_sample => {}
                "labels" if value.get().starts_with('{') => {
                    for (name, value) in fields_of(value, self.line)? {
                        add_label(&mut labels, &name, value);
                    }
                }
                name => add_label(&mut labels, name, value),
            }
        }
        labels.iter().for_each(|(name, _)| self.names.add(name));
        let text = |field: Option<&(Cow<'_, str>, &RawValue)>| field.map_or(String::new(), |(_, raw)| plain(raw));
        (self.row)(self.line, FileRow::new(&text(timestamp), &text(value), labels.into()));
        self.rows += 1;
        Ok(())
    }

    fn finish(self) -> Result<Vec<String>, Fault> {
        let problem = match (self.rows, self.saw_timestamp, self.saw_value) {
            (0, ..) => Problem::Empty,
            (_, false, _) => Problem::Missing("timestamp"),
            (_, _, false) => Problem::Missing("value"),
            _ => return Ok(self.names.in_order),
        };
        Err(Fault { line: 1, problem })
    }
}

fn add_label(labels: &mut Vec<(Box<str>, Box<str>)>, name: &str, value: &RawValue) {
    let value = plain(value);
    if !name.is_empty() && !value.is_empty() {
        labels.push((name.into(), value.into()));
    }
}

/// The text of a string, nothing for `null`, else the JSON as written.
fn plain(raw: &RawValue) -> String {
    match raw.get() {
        "null" => String::new(),
        text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
        text => text.to_owned(),
    }
}

fn fields_of(object: &RawValue, line: u64) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Fault> {
    let fields: Result<JsonFields<'_>, _> = serde_json::from_str(object.get());
    fields.map(|fields| fields.0).map_err(|error| not_json(line, &error))
}

/// Hands each element of an array to the reading.
struct Elements<'r, 'a>(&'r mut Reading<'a>);

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array of objects")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut elements: S) -> Result<(), S::Error> {
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            if let Err(fault) = self.0.take(element) {
                self.0.fault = Some(fault);
                return Err(serde::de::Error::custom("an element cannot be read"));
            }
        }
        Ok(())
    }
}
