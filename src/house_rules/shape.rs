//! The shape of a file: it opens with its story and is short enough to be read.

use super::source::Source;
use super::{hold, source};

const LINES_MAX: usize = 500;

/// Files that may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

fn complaints(source: &Source, longer: &[(&str, &str)]) -> Vec<String> {
    let lines = source.text.lines().count();
    let excused = longer.iter().any(|(path, _)| *path == source.path);
    let mut complaints = Vec::new();
    if lines > LINES_MAX && !excused {
        complaints.push(format!("{}: {lines} lines are more than {LINES_MAX}", source.path));
    }
    if lines <= LINES_MAX && excused {
        complaints.push(format!("{}: is short enough to need no exception", source.path));
    }
    if !source.text.starts_with("//! ") {
        complaints.push(format!("{}: does not open with //! and its story", source.path));
    }
    complaints
}

#[test]
fn files_open_with_their_story_and_are_short() {
    hold(source::all().iter().flat_map(|source| complaints(source, LONGER)).collect());
}

#[test]
fn a_long_file_is_named_unless_it_is_listed_and_listed_only_if_it_is_long() {
    let long = Source::new("src/a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX)));
    let short = Source::new("src/a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX - 1)));
    let listed = [("src/a.rs", "a table")];
    let counts = [(&long, &[][..]), (&short, &[]), (&long, &listed), (&short, &listed)];
    assert_eq!(counts.map(|(source, longer)| complaints(source, longer).len()), [1, 0, 0, 1]);
}

#[test]
fn a_file_without_a_story_is_named() {
    assert_eq!(complaints(&Source::new("src/a.rs", "use b;\n//! A.\n"), &[]).len(), 1);
}
