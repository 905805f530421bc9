//! Source files as the rules see them: text, code without comments and literals, and the words of that code.
//!
//! Not here: a parser. A rule looks at words and punctuation, which is enough to see what a file names.

use super::root;
use std::path::Path;

/// Where sources live.
const FOLDERS: [&str; 7] =
    ["src", "storage/src", "protocols/src", "foundation/src", "autoencoder/src", "onnx/src", "loadtest/src"];

/// A source file.
pub(super) struct Source {
    /// From the repository's root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// The words and punctuation of the code: no comments, no contents of literals.
    pub(super) words: Vec<Word>,
}

/// A word or a punctuation mark; `::` is one mark.
pub(super) struct Word {
    pub(super) text: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// Whether it stands in an inline module that only tests see, or in a file of tests.
    pub(super) in_tests: bool,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut words = words(&blanked(text));
        mark_tests(&mut words, path.ends_with("tests.rs"));
        Self { path: path.to_owned(), text: text.to_owned(), words }
    }

    /// The lines on which these words stand one after the other.
    pub(super) fn lines_naming(&self, phrase: &[&str], tests_too: bool) -> Vec<usize> {
        let here = |window: &&[Word]| window.iter().zip(phrase).all(|(word, text)| word.text == *text);
        let found = self.words.windows(phrase.len()).filter(here);
        found.filter(|window| tests_too || !window[0].in_tests).map(|window| window[0].line).collect()
    }
}

/// Every source file of the workspace, sorted by path.
pub(super) fn all() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), "rs", &mut paths);
    }
    paths.sort();
    paths.iter().map(|path| Source::new(path, &read(path))).collect()
}

/// Adds the files below `folder` with this extension, as paths from the root.
pub(super) fn collect(folder: &Path, extension: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The code with every comment and literal replaced by blanks; line ends stay where they are.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let after_word = at > 0 && is_word(chars[at - 1]);
        let end = if after_word { at } else { literal_or_comment_end(&chars, at) };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the literal or comment that starts at `at` ends; `at` if none starts there.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let until = |from: usize, what: &[char]| {
        chars[from..].windows(what.len()).position(|window| window == what).map_or(chars.len(), |i| from + i)
    };
    match (chars[at], next) {
        ('/', Some('/')) => until(at, &['\n']),
        ('/', Some('*')) => (until(at, &['*', '/']) + 2).min(chars.len()),
        ('"', _) => quoted_end(chars, at + 1, '"'),
        ('b' | 'c', Some('"')) => quoted_end(chars, at + 2, '"'),
        ('b', Some('\'')) => literal_or_comment_end(chars, at + 1),
        ('\'', Some('\\')) => quoted_end(chars, at + 1, '\''),
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        ('r' | 'b', _) => {
            let hashes_from = at + 1 + usize::from(chars[at] == 'b' && next == Some('r'));
            let hashes = chars[hashes_from.min(chars.len())..].iter().take_while(|c| **c == '#').count();
            let is_raw = chars[at] == 'r' || next == Some('r');
            if !is_raw || chars.get(hashes_from + hashes) != Some(&'"') {
                return at;
            }
            let mut close = vec!['"'];
            close.extend(std::iter::repeat_n('#', hashes));
            (until(hashes_from + hashes + 1, &close) + close.len()).min(chars.len())
        }
        _ => at,
    }
}

fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(code: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for (i, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let bytes = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            words.push(Word { text: rest[..bytes].to_owned(), line: i + 1, in_tests: false });
            rest = rest[bytes..].trim_start();
        }
    }
    words
}

/// Marks the words of `#[cfg(test)] mod name { .. }`, or all of them.
fn mark_tests(words: &mut [Word], all: bool) {
    const START: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut depth = 0;
    for at in 0..words.len() {
        let starts = words[at..].iter().map(|word| word.text.as_str()).take(START.len()).eq(START)
            && words.get(at + START.len() + 1).is_some_and(|word| word.text == "{");
        if starts && depth == 0 {
            // The attribute and the name stand before the brace that opens the module.
            words[at..at + START.len() + 1].iter_mut().for_each(|word| word.in_tests = true);
            depth = usize::MAX;
        }
        match (words[at].text.as_str(), depth) {
            ("{", usize::MAX) => depth = 1,
            ("{", 1..) => depth += 1,
            ("}", 1..) => depth -= 1,
            _ => {}
        }
        words[at].in_tests |= all || (depth > 0 && depth != usize::MAX);
    }
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "a /* b */ \"c \\\" d\" 'e' '\\'' r#\"f \" g\"# b\"h\" b'{' b'\\'' // i\n&'life j br\"k\" m";
    let seen: Vec<_> = words(&blanked(text)).into_iter().map(|word| (word.text, word.line)).collect();
    let right = [("a", 1), ("&", 2), ("'", 2), ("life", 2), ("j", 2), ("m", 2)];
    assert_eq!(seen, right.map(|(text, line)| (text.to_owned(), line)));
}

#[test]
fn words_and_double_colons_are_told_apart() {
    let seen: Vec<_> = words("use a::{b_1};").into_iter().map(|word| word.text).collect();
    assert_eq!(seen, ["use", "a", "::", "{", "b_1", "}", ";"]);
}

#[test]
fn what_only_tests_see_is_known() {
    let source = Source::new("x.rs", "fn a() { b() }\n#[cfg(test)]\nmod tests { fn c() { b() } }\nfn d() { b() }\n");
    assert_eq!(source.lines_naming(&["b", "("], true), [1, 3, 4]);
    assert_eq!(source.lines_naming(&["b", "("], false), [1, 4]);
    assert!(Source::new("x_tests.rs", "b()").lines_naming(&["b"], false).is_empty());
}
