//! Forms that the parser reads and Prometheus 2.x refuses: durations as plain numbers and numbers as durations, and
//! quoted names in braces.
//!
//! They are part of Prometheus 3, so with `query.semantics = "3"` nobody asks here.
//!
//! And what the parser takes although no version does, and raw strings, in which it looks for escapes.
//!
//! Not here: everything else about syntax (the parser's).

use super::limits::Semantics;
use std::borrow::Cow;

/// One word of an expression, as far as these forms are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    /// Letters, digits, underscores, colons and points.
    Plain(&'a str),
    Quoted,
    Sign(u8),
}

/// Why Prometheus refuses an expression that was parsed, if it does for one of these forms.
pub(super) fn refusal(text: &str, semantics: Semantics) -> Option<String> {
    always_refused(text).or_else(|| if semantics == Semantics::Closed { refused_by_2(text) } else { None })
}

/// What every version refuses: numbers that no double holds, and signs before texts.
fn always_refused(text: &str) -> Option<String> {
    let mut before = Word::Sign(b' ');
    for word in words(text) {
        match word {
            Word::Plain(plain) if is_too_large(plain) => {
                return Some(format!("error parsing number: {plain:?}: value out of range"));
            }
            Word::Quoted if matches!(before, Word::Sign(b'+' | b'-')) => {
                let what = "unary expression only allowed on expressions of type scalar or instant vector";
                return Some(format!("{what}, got \"string\""));
            }
            _ => {}
        }
        before = word;
    }
    None
}

/// Whether a word is a number that no double holds.
fn is_too_large(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || c == '.') && word.parse::<f64>().is_ok_and(f64::is_infinite)
}

fn refused_by_2(text: &str) -> Option<String> {
    let mut before = Word::Sign(b' ');
    let mut after_offset = false;
    let mut after_grouping = false;
    let (mut brackets, mut braces) = (0, 0);
    for word in words(text) {
        match word {
            Word::Sign(b'+') if after_offset => {
                return Some("unexpected <op:+> in offset, expected duration".to_owned());
            }
            Word::Quoted if after_grouping => {
                return Some("unexpected string in grouping opts, expected label".to_owned());
            }
            Word::Sign(b'[') => brackets += 1,
            Word::Sign(b']') => brackets -= 1,
            Word::Sign(b'{') => braces += 1,
            Word::Sign(b'}') => braces -= 1,
            Word::Quoted if braces > 0 && matches!(before, Word::Sign(b'{' | b',')) => {
                return Some("unexpected string in label matching, expected identifier or \"}\"".to_owned());
            }
            Word::Plain(plain) if plain.starts_with(|c: char| c.is_ascii_digit()) => {
                let wants_duration = brackets > 0 || after_offset;
                if wants_duration && !is_duration(plain) {
                    return Some(format!("bad duration {plain:?}: missing unit"));
                }
                if !wants_duration && braces == 0 && is_duration(plain) {
                    return Some(format!("unexpected duration {plain:?}"));
                }
            }
            _ => {}
        }
        let is_sign = matches!(word, Word::Sign(b'-' | b'+'));
        after_offset = matches!(word, Word::Plain(plain) if plain.eq_ignore_ascii_case("offset") && braces == 0)
            || (after_offset && is_sign);
        after_grouping = match word {
            Word::Plain(plain) => braces == 0 && (is_grouping(plain) || after_grouping),
            Word::Sign(sign) => after_grouping && matches!(sign, b'(' | b','),
            Word::Quoted => after_grouping,
        };
        before = word;
    }
    None
}

/// Whether a list of labels follows.
fn is_grouping(word: &str) -> bool {
    let words = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The same text with raw strings spelled as ordinary ones: the parser reads escapes in either.
pub(super) fn without_raw_strings(text: &str) -> Cow<'_, str> {
    if !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::with_capacity(text.len() + 8), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| at + end),
            b'`' => {
                let end = end_of_quote(bytes, at);
                // One that does not end is left for the parser to complain about.
                if let Some(raw) = text[at..end].strip_prefix('`').and_then(|raw| raw.strip_suffix('`')) {
                    out.push_str(&text[copied..at]);
                    push_quoted(&mut out, raw);
                    copied = end;
                }
                at = end;
            }
            b'"' | b'\'' => at = end_of_quote(bytes, at),
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

fn push_quoted(out: &mut String, raw: &str) {
    out.push('"');
    for sign in raw.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Go drops carriage returns from raw strings.
            '\r' => {}
            _ => out.push(sign),
        }
    }
    out.push('"');
}

/// Whether a word that begins with a digit is a duration: it ends in a unit and is no number.
fn is_duration(word: &str) -> bool {
    word.ends_with(['y', 'w', 'd', 'h', 'm', 's']) && !word.starts_with("0x") && !word.starts_with("0X")
}

fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let &first = bytes.get(at)?;
            match first {
                b'#' => at = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| at + end),
                b'"' | b'\'' | b'`' => {
                    at = end_of_quote(bytes, at);
                    return Some(Word::Quoted);
                }
                _ if first.is_ascii_whitespace() => at += 1,
                _ if is_plain(first) => {
                    let end = bytes[at..].iter().position(|b| !is_plain(*b)).map_or(bytes.len(), |end| at + end);
                    let word = &text[at..end];
                    at = end;
                    return Some(Word::Plain(word));
                }
                _ => {
                    at += 1;
                    return Some(Word::Sign(first));
                }
            }
        }
    })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// The place behind a string that begins at `at`.
fn end_of_quote(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut next = at + 1;
    while let Some(&byte) = bytes.get(next) {
        next += 1;
        if byte == quote {
            break;
        }
        if byte == b'\\' && quote != b'`' {
            next += 1;
        }
    }
    next.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        for text in [
            "up[5m] offset 1h30m",
            "rate(up[5m:30s] offset -5m) @ 1700000000",
            "up{a=\"5m\",b='x'} + 5 * 0x1F - 1e3 + .5 + 5.",
            "up{a=\"\\\"\", b=`\\`} offset 5m # offset 5",
            "sum by (offset, m5) (up{offset=\"3\"})",
            "label_replace(up, \"a\", \"b\", \"c\", \"d\")",
            "sum by (job) (label_join(up, \"a\", \"b\")) * on (a) group_left (b) label_join(up, \"c\", \"\")",
            "up[10m:]",
            "küche{x=\"ü\"}",
        ] {
            assert_eq!(refusal(text, Semantics::Closed), None, "{text}");
        }
    }

    #[test]
    fn rejects() {
        for (text, what) in [
            ("up[5]", "missing unit"),
            ("up[5m:30]", "missing unit"),
            ("up offset 5", "missing unit"),
            ("up offset -5", "missing unit"),
            ("up offset +5m", "in offset"),
            ("sum by (\"job\") (up)", "in grouping"),
            ("up / on (a, \"job\") up", "in grouping"),
            ("5m", "unexpected duration"),
            ("up > 1h", "unexpected duration"),
            ("{\"up\"}", "unexpected string"),
            ("{\"up\", job=\"a\"}", "unexpected string"),
            ("up{job=\"a\", \"b\"=\"c\"}", "unexpected string"),
        ] {
            assert!(refusal(text, Semantics::Closed).is_some_and(|found| found.contains(what)), "{text}");
            assert_eq!(refusal(text, Semantics::LeftOpen), None, "{text}");
        }
        for text in ["1e309", "-1e400 + up", "+\"a\"", "1 + 'a'"] {
            assert!(refusal(text, Semantics::Closed).is_some(), "{text}");
            assert!(refusal(text, Semantics::LeftOpen).is_some(), "{text}");
        }
    }

    #[test]
    fn raw_strings_are_spelled_with_escapes() {
        for (raw, plain) in [
            ("up{a=~`\\w\"+`}", "up{a=~\"\\\\w\\\"+\"}"),
            ("`a\nb`", "\"a\\nb\""),
            ("\"`\" + '`' # `\n + ``", "\"`\" + '`' # `\n + \"\""),
            ("`open", "`open"),
            ("'\\'`'", "'\\'`'"),
        ] {
            assert_eq!(without_raw_strings(raw), plain);
        }
    }
}
