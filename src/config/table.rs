//! The macro that turns the table of keys into typed sections, and what is known of every key.
//!
//! Not here: the keys themselves (see `keys`), how text becomes a value (see `kinds`).
//!
//! Invariant: everything that names a setting is derived from its entry, so no list can lag behind another.

use super::Config;
use super::kinds::Kind;
use std::fmt;
use std::path::PathBuf;

/// What is known of one setting.
#[derive(Debug)]
pub struct Key {
    /// `section.field`, as errors and documents name it.
    pub name: &'static str,
    /// The section of the file it stands in.
    pub section: &'static str,
    /// Its name within the section.
    pub field: &'static str,
    /// The lines of its description.
    pub doc: &'static [&'static str],
    /// What its section is about.
    pub section_doc: &'static str,
    /// The default, as one would write it.
    pub default: &'static str,
    /// The smallest and largest value allowed, where there are such.
    pub range: Option<(&'static str, &'static str)>,
    /// The command-line flag that sets it, with its dashes.
    pub flag: Option<&'static str>,
    /// A customary variable that sets it when its own one does not.
    pub other_variable: Option<&'static str>,
    /// Whether a file writes it as a bare number.
    pub numeric: bool,
    /// What may be written, in a word or two.
    pub noun: fn() -> String,
    /// Reads a value from text into the settings; the error says what was expected.
    pub set: fn(&mut Config, &str) -> Result<(), String>,
    /// The value in force, as one would write it.
    pub text: fn(&Config) -> String,
}

impl Key {
    /// The environment variable that sets it: `INFRAWATCH_HTTP_LISTEN` for `http.listen`.
    pub fn variable(&self) -> String {
        format!("INFRAWATCH_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// The settings file.
    File {
        /// The file as it was named to us.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Environment(name) => out.write_str(name),
            Self::Flag(flag) => out.write_str(flag),
        }
    }
}

/// The one item of a list that holds at most one; how the macro spells an optional part.
pub(super) const fn at_most_one<T: Copy>(list: &[T]) -> Option<T> {
    match list {
        [item] => Some(*item),
        _ => None,
    }
}

/// Reads a value and holds it to its range.
pub(super) fn read<K: Kind>(text: &str, range: Option<(&str, &str)>) -> Result<K::Value, String> {
    let value = K::parse(text)?;
    if let Some((low, high)) = range {
        let bound = |text| K::parse(text).expect("the bounds in the table of keys are values of its kind");
        if value < bound(low) || bound(high) < value {
            return Err(format!("expected {} from {low} to {high}", K::form()));
        }
    }
    Ok(value)
}

/// Declares sections and keys; see `keys` for the notation.
macro_rules! settings {
    ($(
        #[doc = $section_doc:literal]
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty as $kind:ty = $default:literal
                    $(in $low:literal to $high:literal)? $(flag $flag:literal)? $(or $variable:literal)?,
            )+
        }
    )+) => {
        /// Every setting, section by section, and where its value came from.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $(
                #[doc = $section_doc]
                pub $section: $Section,
            )+
            pub(super) origins: Vec<Origin>,
        }

        $(
            #[doc = $section_doc]
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Section {
                $(
                    $(#[doc = $doc])+
                    pub $field: $type,
                )+
            }
        )+

        /// Every key there is, in the order of the documents.
        pub const KEYS: &[Key] = &[$($(
            Key {
                name: concat!(stringify!($section), ".", stringify!($field)),
                section: stringify!($section),
                field: stringify!($field),
                doc: &[$($doc),+],
                section_doc: $section_doc,
                default: $default,
                range: at_most_one(&[$(($low, $high))?]),
                flag: at_most_one(&[$($flag)?]),
                other_variable: at_most_one(&[$($variable)?]),
                numeric: <$kind as Kind>::NUMERIC,
                noun: <$kind as Kind>::noun,
                set: |config, text| {
                    config.$section.$field = read::<$kind>(text, at_most_one(&[$(($low, $high))?]))?;
                    Ok(())
                },
                text: |config| <$kind as Kind>::text(&config.$section.$field),
            },
        )+)+];

        impl Default for Config {
            fn default() -> Self {
                const VALID: &str = "the defaults in the table of keys are values of their kind";
                Self {
                    $($section: $Section { $($field: <$kind as Kind>::parse($default).expect(VALID),)+ },)+
                    origins: vec![Origin::Default; KEYS.len()],
                }
            }
        }
    };
}
pub(super) use settings;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn every_default_and_bound_is_accepted_and_printed_as_written() {
        let mut config = Config::default();
        for key in KEYS {
            for text in [Some(key.default), key.range.map(|r| r.0), key.range.map(|r| r.1)].into_iter().flatten() {
                (key.set)(&mut config, text).unwrap_or_else(|error| panic!("{} = {text}: {error}", key.name));
                assert_eq!((key.text)(&config), text, "{} is not printed as written", key.name);
            }
        }
    }

    #[test]
    fn a_value_beyond_its_range_is_refused_with_the_range() {
        let key = KEYS.iter().find(|key| key.name == "storage.journal_group").unwrap();
        let error = (key.set)(&mut Config::default(), "6ms").unwrap_err();
        assert!(error.ends_with("from 0 to 5ms"), "{error}");
    }

    #[test]
    fn a_key_sets_its_own_field_and_no_other() {
        for key in KEYS {
            let mut config = Config::default();
            let text = match (key.range, key.default) {
                (Some((low, high)), default) => if low == default { high } else { low }.to_owned(),
                (None, "0") => "1".to_owned(),
                (None, "off" | "127.0.0.1:8080" | "127.0.0.1:8125") => "127.0.0.1:1".to_owned(),
                (None, "true") => "false".to_owned(),
                (None, "false") => "true".to_owned(),
                (None, "info") => "trace".to_owned(),
                (None, "2") => "3".to_owned(),
                (None, "02:00") => "off".to_owned(),
                (None, "logfmt") => "json".to_owned(),
                (None, "majority") => "any".to_owned(),
                (None, "psi") => "ks".to_owned(),
                (None, "per_metric_family" | "statistical_baseline") => "off".to_owned(),
                (None, "etsy") => "dogstatsd".to_owned(),
                (None, "dogstatsd") => "etsy".to_owned(),
                (None, "ignore") => "label".to_owned(),
                (None, "0.5,0.9,0.95,0.99") => "0.5".to_owned(),
                (None, "") | (None, "./infrawatch-data") => "elsewhere".to_owned(),
                (None, _) => "1d".to_owned(),
            };
            (key.set)(&mut config, &text).unwrap_or_else(|error| panic!("{} = {text}: {error}", key.name));
            let changed: Vec<_> = KEYS.iter().filter(|k| (k.text)(&config) != k.default).map(|k| k.name).collect();
            assert_eq!(changed, [key.name]);
        }
    }
}
