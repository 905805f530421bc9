//! `${NAME}` and `%{NAME}` in the strings of a settings file stand for environment variables.
//!
//! Doubling the sign, `$${NAME}`, writes the characters themselves. A sign that no brace follows is an ordinary one.
//!
//! Not here: placeholders in variables and flags; there are none, the shell has its own.

use std::collections::BTreeMap;

/// Replaces every placeholder; the error names the variable that is not set or the brace that is not closed.
pub(super) fn fill(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let sign = &from[..1];
        let after = &from[1..];
        if after.starts_with(sign) && after[1..].starts_with('{') {
            filled.push_str(&after[..2]);
            rest = &after[2..];
        } else if let Some(name_and_more) = after.strip_prefix('{') {
            let (name, more) = name_and_more.split_once('}').ok_or_else(|| format!("{sign}{{ is not closed by }}"))?;
            let value = environment.get(name);
            filled.push_str(value.ok_or_else(|| format!("environment variable {name} is not set"))?);
            rest = more;
        } else {
            filled.push_str(sign);
            rest = after;
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        fill(text, &BTreeMap::from([("DIR".to_owned(), "/data".to_owned()), ("N".to_owned(), "${DIR}".to_owned())]))
    }

    #[test]
    fn placeholders_of_both_kinds_are_replaced_once() {
        assert_eq!(filled("${DIR}/a%{DIR}"), Ok("/data/a/data".to_owned()));
        assert_eq!(filled("${N}"), Ok("${DIR}".to_owned()), "a value is not searched for placeholders again");
    }

    #[test]
    fn doubled_and_lone_signs_stay() {
        assert_eq!(filled("$${DIR} 5% $x %%{N} é$"), Ok("${DIR} 5% $x %{N} é$".to_owned()));
    }

    #[test]
    fn a_missing_variable_and_an_open_brace_are_named() {
        assert_eq!(filled("${NOPE}"), Err("environment variable NOPE is not set".to_owned()));
        assert_eq!(filled("a%{DIR"), Err("%{ is not closed by }".to_owned()));
    }
}
