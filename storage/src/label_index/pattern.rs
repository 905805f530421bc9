//! Which values a matcher's expression can match, found by reading the expression instead of trying values.
//!
//! Most expressions that dashboards send are alternations of literals (`a|b|c`), a literal and a rest (`foo.*`), or
//! everything (`.*`, `.+`). The first are look-ups, the second ranges of the sorted values; only what is left has to
//! be tried on values, and then on those with a fitting prefix.
//!
//! Not here: postings, the compiled expression (see `matcher`).
//!
//! Invariant: a value that the expression matches is always within the choice; `Exact`, `Prefix` without a test,
//! `NotEmpty` and `All` hold no other value.

use regex_syntax::hir::{Class, Dot, Hir, HirKind, Look};
use regex_syntax::{Error, ParserBuilder};

/// The most literals one expression is expanded to; more than any dashboard sends in one alternation.
const LITERALS_MAX: usize = 4096;

/// The most bytes of them together.
const LITERALS_BYTES_MAX: usize = 256 << 10;

/// The values that an expression can match.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Every value, the empty one included.
    All,
    /// Every value but the empty one.
    NotEmpty,
    /// These, sorted and each once.
    Exact(Vec<Vec<u8>>),
    /// Those that begin with one of these, none of which begins with another; only some of them when `tested`.
    Prefix { prefixes: Vec<Vec<u8>>, tested: bool },
}

/// Reads an expression as Prometheus means it: `.` matches every character.
pub(super) fn parse(expression: &str) -> Result<Hir, Box<Error>> {
    ParserBuilder::new().dot_matches_new_line(true).build().parse(expression).map_err(Box::new)
}

/// Whether the expression matches a limited number of literals and nothing else.
pub(super) fn is_literals(tree: &Hir) -> bool {
    literals(tree).exact
}

/// The choice for an expression that is matched against whole values.
pub(super) fn choose(tree: &Hir) -> Choice {
    let parts = top_level(tree);
    match parts {
        [last] if is_any_repeated(last, 0) => return Choice::All,
        [last] if is_any_repeated(last, 1) => return Choice::NotEmpty,
        _ => {}
    }
    if let [head @ .., last] = parts
        && is_any_repeated(last, 0)
    {
        let found = concatenation(head);
        return Choice::Prefix { prefixes: without_covered(found.texts), tested: !found.exact };
    }
    let Literals { mut texts, exact } = concatenation(parts);
    if exact {
        texts.sort_unstable();
        texts.dedup();
        return Choice::Exact(texts);
    }
    Choice::Prefix { prefixes: without_covered(texts), tested: true }
}

/// The parts of a concatenation, freed from groups around it and from anchors that only repeat our own.
fn top_level(tree: &Hir) -> &[Hir] {
    let mut parts = std::slice::from_ref(tree);
    loop {
        parts = match parts {
            [only] => match only.kind() {
                HirKind::Capture(group) => std::slice::from_ref(&*group.sub),
                HirKind::Concat(inner) => inner,
                _ => return parts,
            },
            [first, rest @ ..] if matches!(first.kind(), HirKind::Look(Look::Start)) => rest,
            [rest @ .., last] if matches!(last.kind(), HirKind::Look(Look::End)) => rest,
            _ => return parts,
        };
    }
}

/// `.*` for `min` 0, `.+` for 1, greedy or not: on whole values both mean the same.
fn is_any_repeated(tree: &Hir, min: u32) -> bool {
    matches!(tree.kind(), HirKind::Repetition(r) if r.min == min && r.max.is_none() && *r.sub == Hir::dot(Dot::AnyChar))
}

/// Sorts, and drops every text that begins with another: its range lies within the other's.
fn without_covered(mut texts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    texts.sort_unstable();
    texts.dedup_by(|later, kept| later.starts_with(kept));
    texts
}

/// What a match of a tree can begin with; the whole of it when `exact`.
struct Literals {
    texts: Vec<Vec<u8>>,
    exact: bool,
}

impl Literals {
    /// The one text known of anything at all.
    fn anything() -> Self {
        Self { texts: vec![Vec::new()], exact: false }
    }

    fn exactly(text: &[u8]) -> Self {
        Self { texts: vec![text.to_vec()], exact: true }
    }

    fn is_too_large(&self) -> bool {
        self.texts.len() > LITERALS_MAX || self.texts.iter().map(Vec::len).sum::<usize>() > LITERALS_BYTES_MAX
    }
}

/// Recursion is as deep as groups nest, which the parser limits to 250.
fn literals(tree: &Hir) -> Literals {
    match tree.kind() {
        HirKind::Empty => Literals::exactly(b""),
        HirKind::Literal(literal) => Literals::exactly(&literal.0),
        HirKind::Class(class) => class_literals(class),
        HirKind::Capture(group) => literals(&group.sub),
        HirKind::Concat(parts) => concatenation(parts),
        HirKind::Alternation(branches) => alternation(branches),
        HirKind::Repetition(repetition) => match (repetition.min, repetition.max) {
            (0, Some(1)) => {
                let mut found = literals(&repetition.sub);
                found.texts.push(Vec::new());
                found
            }
            (0, _) => Literals::anything(),
            _ => Literals { exact: false, ..literals(&repetition.sub) },
        },
        HirKind::Look(_) => Literals::anything(),
    }
}

/// A class of at most 64 characters is an alternation of them; `(?i)` makes many small ones.
fn class_literals(class: &Class) -> Literals {
    let Class::Unicode(class) = class else { return Literals::anything() };
    if class.ranges().iter().map(|range| range.len()).sum::<usize>() > 64 {
        return Literals::anything();
    }
    let characters = class.ranges().iter().flat_map(|range| range.start()..=range.end());
    Literals { texts: characters.map(|c| c.to_string().into_bytes()).collect(), exact: true }
}

fn alternation(branches: &[Hir]) -> Literals {
    let mut all = Literals { texts: Vec::new(), exact: true };
    for branch in branches {
        let found = literals(branch);
        all.texts.extend(found.texts);
        all.exact &= found.exact;
        if all.is_too_large() {
            return Literals::anything();
        }
    }
    all
}

/// Every text so far followed by every text of the next part, as long as texts are exact and few.
fn concatenation(parts: &[Hir]) -> Literals {
    let mut all = Literals::exactly(b"");
    for part in parts {
        let next = literals(part);
        let bytes = |l: &Literals| l.texts.iter().map(Vec::len).sum::<usize>();
        let product_bytes = bytes(&all) * next.texts.len() + bytes(&next) * all.texts.len();
        if all.texts.len() * next.texts.len() > LITERALS_MAX || product_bytes > LITERALS_BYTES_MAX {
            return Literals { exact: false, ..all };
        }
        all.texts =
            all.texts.iter().flat_map(|head| next.texts.iter().map(|tail| [&head[..], tail].concat())).collect();
        all.exact = next.exact;
        if !all.exact {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(expression: &str) -> Choice {
        choose(&parse(expression).unwrap())
    }

    fn texts(list: &[&str]) -> Vec<Vec<u8>> {
        list.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn literals_and_alternations_are_look_ups() {
        let exact = |expression: &str, list: &[&str]| assert_eq!(chosen(expression), Choice::Exact(texts(list)));
        exact("foo", &["foo"]);
        exact("", &[""]);
        exact("b|a|c|a", &["a", "b", "c"]);
        exact("host-1|host-2|db", &["db", "host-1", "host-2"]);
        exact("(x|y)-(1|2)", &["x-1", "x-2", "y-1", "y-2"]);
        exact("web[1-3]", &["web1", "web2", "web3"]);
        exact("x|", &["", "x"]);
        exact("https?", &["http", "https"]);
        exact("(?i)Up", &["UP", "Up", "uP", "up"]);
        exact(r"10\.0\.0\.1:9100", &["10.0.0.1:9100"]);
        exact("^foo$", &["foo"]);
        exact("(^(foo)$)", &["foo"]);
        exact("ä|ö", &["ä", "ö"]);
    }

    #[test]
    fn a_literal_and_a_rest_are_ranges() {
        let ranges = |expression: &str, list: &[&str], tested: bool| {
            assert_eq!(chosen(expression), Choice::Prefix { prefixes: texts(list), tested }, "{expression}");
        };
        ranges("foo.*", &["foo"], false);
        ranges("(foo|bar).*", &["bar", "foo"], false);
        ranges("(foo|foobar).*?", &["foo"], false);
        ranges("foo.+", &["foo"], true);
        ranges("foo[0-9]+", &["foo0", "foo1", "foo2", "foo3", "foo4", "foo5", "foo6", "foo7", "foo8", "foo9"], true);
        ranges("foo.*|bar", &["bar", "foo"], true);
        ranges("foo.*bar.*", &["foo"], true);
        ranges(".*foo", &[""], true);
        ranges(r"a\b", &["a"], true);
        ranges("(ab)+c", &["ab"], true);
    }

    #[test]
    fn everything_is_recognised() {
        assert_eq!(chosen(".*"), Choice::All);
        assert_eq!(chosen("(.*)"), Choice::All);
        assert_eq!(chosen("^.*$"), Choice::All);
        assert_eq!(chosen(".+"), Choice::NotEmpty);
        assert_ne!(chosen("(?-s:.*)"), Choice::All);
    }

    #[test]
    fn expansion_is_bounded() {
        let Choice::Prefix { prefixes, tested: true } = chosen("[a-z]{8}[a-z][a-z]") else { panic!() };
        assert!(prefixes.len() <= LITERALS_MAX);
        let Choice::Prefix { prefixes, tested: true } = chosen("(?i)abcdefghijklmnopqrstuvwxyz") else { panic!() };
        assert!(!prefixes.is_empty() && prefixes.len() <= LITERALS_MAX);
        assert!(!is_literals(&parse("([a-z]|[0-9]){1,9}").unwrap()));
    }
}
