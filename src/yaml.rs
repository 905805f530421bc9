//! YAML as a tree in which everything knows its line.
//!
//! Scalars stay texts, whose meaning is whoever's asks. Not here: aliases and merges, which are refused by their line.

use saphyr_parser::{Event, Parser, Span};

/// Depth of a tree; settings need far less.
const DEPTH_MAX: usize = 64;

/// A value and the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A field, if this has fields.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Value::Map(fields) = &self.value else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        let Value::Scalar(text) = &self.value else { return None };
        Some(text)
    }

    /// The items of a list; one that is no list is its only item.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }
}

type Next<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

/// Reads the first document of a text.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    let mut events = Parser::new_from_str(text);
    loop {
        let (event, span) = next(&mut events)?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Err("line 1: an empty file".to_owned()),
            event => return node(event, &span, &mut events, 0),
        }
    }
}

fn next<'a>(events: &mut Next<'a>) -> Result<(Event<'a>, Span), String> {
    match events.next() {
        Some(Ok(found)) => Ok(found),
        Some(Err(error)) => Err(format!("line {}: {}", error.marker().line(), error.info())),
        None => Err("line 1: the file ends too early".to_owned()),
    }
}

fn node<'a>(event: Event<'a>, span: &Span, events: &mut Next<'a>, depth: usize) -> Result<Node, String> {
    let line = span.start.line();
    if depth > DEPTH_MAX {
        return Err(format!("line {line}: nested too deeply"));
    }
    let value = match event {
        Event::Scalar(text, ..) => Value::Scalar(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(events)? {
                    (Event::SequenceEnd, _) => break Value::List(items),
                    (event, span) => items.push(node(event, &span, events, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut fields: Vec<(String, Node)> = Vec::new();
            loop {
                let (event, span) = next(events)?;
                if event == Event::MappingEnd {
                    break Value::Map(fields);
                }
                let line = span.start.line();
                let Event::Scalar(name, ..) = event else { return Err(format!("line {line}: a key that is no text")) };
                if fields.iter().any(|(known, _)| *known == name) {
                    return Err(format!("line {line}: {name} stands twice"));
                }
                let (event, span) = next(events)?;
                let value = node(event, &span, events, depth + 1)?;
                // The key's line is where people look.
                fields.push((name.into_owned(), Node { line, ..value }));
            }
        }
        Event::Alias(_) => return Err(format!("line {line}: aliases are not understood")),
        other => return Err(format!("line {line}: {other:?} where a value belongs")),
    };
    Ok(Node { line, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_its_lines_and_quoted_texts_are_texts() {
        let root = parse("a: 1\nb:\n  - x\n  - {c: 'y: z'}\nd: |\n  two\n  lines\n").unwrap();
        let b = root.get("b").unwrap();
        assert_eq!((root.get("a").unwrap().text(), b.line, b.items()[0].line), (Some("1"), 2, 3));
        assert_eq!(b.items()[1].get("c").unwrap().text(), Some("y: z"));
        assert_eq!(root.get("d").unwrap().text(), Some("two\nlines\n"));
    }

    #[test]
    fn mistakes_have_lines() {
        for (text, line) in
            [("a: 1\na: 2\n", "line 2"), ("a: &x 1\nb: *x\n", "line 2"), ("a: [1\n", "line "), ("", "line 1")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(line), "{text:?}: {error}");
        }
        assert!(parse(&"[".repeat(1000)).is_err());
    }
}
