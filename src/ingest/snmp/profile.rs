//! What is asked of devices beside their interfaces: single values and tables, from our own profiles and the user's.
//!
//! ```toml
//! [[profile]]
//! name = "ups"
//! [[profile.scalar]]
//! object = "UPS-MIB::upsEstimatedChargeRemaining"   # or numbers, then with name = "..."
//! [[profile.table]]
//! label = "outlet"                                   # of every series of the table
//! label_object = "ACME-MIB::outletName"              # its text is the label's value, where no two rows share it
//! column = [{ object = "ACME-MIB::outletPower", name = "outlet_watts", factor = 0.1 }]
//! ```
//!
//! Not here: names of MIBs (see `mib`), what becomes of values (see `tables`), interfaces (see `interfaces`).
//!
//! Invariant: one mistake refuses all profiles, so that nothing goes missing silently.

use super::mib::{MibError, Mibs};
use crate::listed_file;
use protocols::snmp::Oid;
use serde::Deserialize;
use std::collections::HashSet;

/// Our own profiles.
const BUILT_IN: &str = include_str!("profiles.toml");

/// Columns of one table, those for the label and the scale included.
const COLUMNS_MAX: usize = 64;

/// Labels that every series of a device has, or the interfaces' have.
const TAKEN_LABELS: [&str; 3] = ["device", "interface", "__name__"];

/// Why profiles are refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProfileError {
    /// It is not TOML of this shape.
    #[error("line {line}: {what}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The parser's words.
        what: String,
    },
    /// A profile makes no sense.
    #[error("profile {profile}: {what}")]
    Profile {
        /// Its name.
        profile: String,
        /// What is wrong.
        what: String,
    },
}

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    /// The series' name.
    pub(super) name: String,
    pub(super) oid: Oid,
    pub(super) factor: f64,
}

/// A column whose values become series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its place among the table's identifiers.
    pub(super) place: usize,
    pub(super) factor: f64,
    /// Places of ENTITY-SENSOR-MIB's scale and precision.
    pub(super) scale: Option<(usize, usize)>,
}

/// A table; all its columns are walked side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// The label that tells its rows apart.
    pub(super) label: String,
    /// The place of the column whose text is the label's value.
    pub(super) label_place: Option<usize>,
    pub(super) columns: Vec<Column>,
    pub(super) oids: Vec<Oid>,
}

/// All that is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Profiles {
    pub(super) scalars: Vec<Scalar>,
    pub(super) tables: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profile: Vec<WrittenProfile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProfile {
    name: String,
    #[serde(default)]
    scalar: Vec<WrittenObject>,
    #[serde(default)]
    table: Vec<WrittenTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTable {
    label: String,
    label_object: Option<String>,
    column: Vec<WrittenObject>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenObject {
    object: String,
    name: Option<String>,
    factor: Option<f64>,
    scale_object: Option<String>,
    precision_object: Option<String>,
}

impl Profiles {
    /// Our own.
    pub(super) fn built_in() -> Self {
        let mut profiles = Self::default();
        profiles.add(BUILT_IN, &Mibs::default()).expect("our own profiles are right, which a test shows");
        profiles
    }

    /// Adds those of a text; an object that is asked for already is not asked twice.
    ///
    /// # Errors
    /// With the first mistake.
    pub(super) fn add(&mut self, text: &str, mibs: &Mibs) -> Result<(), ProfileError> {
        let file: File = listed_file::shape(text)
            .map_err(|(at, what)| ProfileError::Syntax { line: listed_file::line_of(text, at), what })?;
        let mut scalars: HashSet<Oid> = self.scalars.iter().map(|scalar| scalar.oid.clone()).collect();
        for written in file.profile {
            let fault = |what: String| ProfileError::Profile { profile: written.name.clone(), what };
            for object in &written.scalar {
                let scalar = scalar(object, mibs).map_err(fault)?;
                if scalars.insert(scalar.oid.clone()) {
                    self.scalars.push(scalar);
                }
            }
            for written in &written.table {
                let table = table(written, mibs).map_err(fault)?;
                if !self.tables.contains(&table) {
                    self.tables.push(table);
                }
            }
        }
        Ok(())
    }
}

fn scalar(written: &WrittenObject, mibs: &Mibs) -> Result<Scalar, String> {
    if written.scale_object.is_some() || written.precision_object.is_some() {
        return Err(format!("{}: scale_object and precision_object belong to columns", written.object));
    }
    let oid = oid(&written.object, mibs)?;
    // A MIB names the object, and its one instance is 0; who writes numbers writes those of the instance.
    let oid = if is_numbers(&written.object) { oid } else { oid.with(&[0]).map_err(|error| error.to_string())? };
    Ok(Scalar { name: name(written)?, oid, factor: factor(written)? })
}

fn table(written: &WrittenTable, mibs: &Mibs) -> Result<Table, String> {
    label_name(&written.label)?;
    if written.column.is_empty() {
        return Err(format!("the table with label {} has no column", written.label));
    }
    let mut oids: Vec<Oid> = Vec::new();
    let mut place = |object: &str| {
        let oid = oid(object, mibs)?;
        let known = oids.iter().position(|known| *known == oid);
        Ok::<_, String>(known.unwrap_or_else(|| {
            oids.push(oid);
            oids.len() - 1
        }))
    };
    // First, so that a row is known before its values come.
    let label_place = written.label_object.as_deref().map(&mut place).transpose()?;
    let mut columns = Vec::new();
    for column in &written.column {
        let scale = match (&column.scale_object, &column.precision_object) {
            (Some(scale), Some(precision)) => Some((place(scale)?, place(precision)?)),
            (None, None) => None,
            _ => return Err(format!("{}: scale_object and precision_object go together", column.object)),
        };
        columns.push(Column { name: name(column)?, place: place(&column.object)?, factor: factor(column)?, scale });
    }
    if oids.len() > COLUMNS_MAX {
        return Err(format!("the table with label {} has more than {COLUMNS_MAX} columns", written.label));
    }
    Ok(Table { label: written.label.clone(), label_place, columns, oids })
}

fn is_numbers(object: &str) -> bool {
    object.starts_with(|c: char| c.is_ascii_digit() || c == '.')
}

fn oid(object: &str, mibs: &Mibs) -> Result<Oid, String> {
    if is_numbers(object) {
        object.parse().map_err(|error| format!("{object}: {error}"))
    } else {
        mibs.resolve(object).map_err(|error: MibError| error.to_string())
    }
}

/// The series' name: as written, else the object's own.
fn name(written: &WrittenObject) -> Result<String, String> {
    let own = written.object.rsplit("::").next().unwrap_or_default();
    match written.name.as_deref() {
        Some(name) if !name.is_empty() && !name.chars().any(char::is_control) => Ok(name.to_owned()),
        Some(_) => Err(format!("{}: a name is text without control characters", written.object)),
        None if is_numbers(&written.object) => Err(format!("{}: numbers need a name beside them", written.object)),
        None => Ok(own.to_owned()),
    }
}

fn factor(written: &WrittenObject) -> Result<f64, String> {
    match written.factor {
        None => Ok(1.0),
        Some(factor) if factor.is_finite() && factor != 0.0 => Ok(factor),
        Some(_) => Err(format!("{}: factor is a finite number other than 0", written.object)),
    }
}

fn label_name(label: &str) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_label = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && label.chars().all(is_word);
    match is_label && !TAKEN_LABELS.contains(&label) {
        true => Ok(()),
        false => {
            Err(format!("{label:?} cannot be a table's label: letters, digits and _, and none of {TAKEN_LABELS:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: &str = "ACME-MIB DEFINITIONS ::= BEGIN\n\
        acme OBJECT IDENTIFIER ::= { enterprises 5 }\n\
        load OBJECT-TYPE ::= { acme 1 }\n outletName OBJECT-TYPE ::= { acme 2 1 2 }\n\
        outletPower OBJECT-TYPE ::= { acme 2 1 3 }\n END";

    fn profiles(text: &str) -> Result<Profiles, String> {
        let mut mibs = Mibs::default();
        mibs.read("acme", MIB).unwrap();
        let mut profiles = Profiles::default();
        profiles.add(text, &mibs).map(|()| profiles).map_err(|error| error.to_string())
    }

    #[test]
    fn our_own_are_right() {
        let built_in = Profiles::built_in();
        assert!(built_in.scalars.len() > 10 && built_in.tables.len() > 5);
        let names: HashSet<_> = built_in.scalars.iter().map(|scalar| &scalar.name).collect();
        assert_eq!(names.len(), built_in.scalars.len());
    }

    #[test]
    fn objects_are_named_by_numbers_or_by_mib() {
        let text = "[[profile]]\nname = \"acme\"\n\
            [[profile.scalar]]\nobject = \"ACME-MIB::load\"\n\
            [[profile.scalar]]\nobject = \"1.3.6.1.4.1.5.9.0\"\nname = \"nine\"\nfactor = 0.1\n\
            [[profile.table]]\nlabel = \"outlet\"\nlabel_object = \"outletName\"\n\
            column = [{ object = \"outletPower\", name = \"watts\" }]\n";
        let profiles = profiles(text).unwrap();
        let scalars: Vec<_> = profiles.scalars.iter().map(|s| (s.name.as_str(), s.oid.to_string(), s.factor)).collect();
        assert_eq!(
            scalars,
            [("load", "1.3.6.1.4.1.5.1.0".to_owned(), 1.0), ("nine", "1.3.6.1.4.1.5.9.0".to_owned(), 0.1)]
        );
        let table = &profiles.tables[0];
        assert_eq!((table.label_place, table.columns[0].place, table.oids.len()), (Some(0), 1, 2));
    }

    #[test]
    fn rejects_with_the_reason() {
        let scalar = |rest: &str| format!("[[profile]]\nname = \"p\"\n[[profile.scalar]]\n{rest}");
        let table = |rest: &str| format!("[[profile]]\nname = \"p\"\n[[profile.table]]\n{rest}");
        for (text, why) in [
            (scalar("object = \"1.3.6\""), "profile p: 1.3.6: numbers need a name"),
            (scalar("object = \"1.3.x\"\nname = \"a\""), "1.3.x: an object identifier is"),
            (scalar("object = \"ACME-MIB::nothing\""), "the module has no such name"),
            (scalar("object = \"load\"\nfactor = 0.0"), "factor is a finite number other than 0"),
            (scalar("objekt = \"load\""), "line 4: unknown field `objekt`"),
            (scalar("object = \"load\"\nscale_object = \"load\""), "belong to columns"),
            (table("label = \"device\"\ncolumn = [{ object = \"load\" }]"), "cannot be a table's label"),
            (table("label = \"a b\"\ncolumn = [{ object = \"load\" }]"), "cannot be a table's label"),
            (table("label = \"a\"\ncolumn = []"), "has no column"),
            (table("label = \"a\"\ncolumn = [{ object = \"load\", scale_object = \"load\" }]"), "go together"),
        ] {
            let said = profiles(&text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
