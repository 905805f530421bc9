//! MIB modules as far as names need them: which identifier each name stands for (SMIv2, RFC 2578, and version 1's forms).
//!
//! Read are assignments of identifiers (`OBJECT IDENTIFIER`, `OBJECT-TYPE`, `MODULE-IDENTITY` and the like) and where names
//! are imported from; types, texts and macros are passed over.
//!
//! Not here: what becomes of an object (see `profile`); syntax and units of objects.
//!
//! Invariant: a name means one identifier or is refused with the reason; nothing is guessed.

use protocols::snmp::Oid;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The largest module read.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files of a folder read at most.
const FILES_MAX: usize = 5000;
/// Most names between an object and its root.
const DEPTH_MAX: usize = 128;

/// Names that modules take for granted, or import from modules everybody has.
const ROOTS: [(&str, &[u32]); 18] = [
    ("ccitt", &[0]),
    ("iso", &[1]),
    ("joint-iso-ccitt", &[2]),
    ("org", &[1, 3]),
    ("dod", &[1, 3, 6]),
    ("internet", &[1, 3, 6, 1]),
    ("directory", &[1, 3, 6, 1, 1]),
    ("mgmt", &[1, 3, 6, 1, 2]),
    ("mib-2", &[1, 3, 6, 1, 2, 1]),
    ("transmission", &[1, 3, 6, 1, 2, 1, 10]),
    ("experimental", &[1, 3, 6, 1, 3]),
    ("private", &[1, 3, 6, 1, 4]),
    ("enterprises", &[1, 3, 6, 1, 4, 1]),
    ("security", &[1, 3, 6, 1, 5]),
    ("snmpV2", &[1, 3, 6, 1, 6]),
    ("snmpDomains", &[1, 3, 6, 1, 6, 1]),
    ("snmpProxys", &[1, 3, 6, 1, 6, 2]),
    ("snmpModules", &[1, 3, 6, 1, 6, 3]),
];

/// What follows a name that is given an identifier.
const MACROS: [&str; 8] = [
    "OBJECT-TYPE",
    "OBJECT-IDENTITY",
    "MODULE-IDENTITY",
    "NOTIFICATION-TYPE",
    "OBJECT-GROUP",
    "NOTIFICATION-GROUP",
    "MODULE-COMPLIANCE",
    "AGENT-CAPABILITIES",
];

/// Why modules cannot be read, or a name has no identifier.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MibError {
    /// A file or folder cannot be read.
    #[error("{0}")]
    File(String),
    /// A file is no module.
    #[error("{file}, line {line}: {what}")]
    Syntax {
        /// Its path.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A name stands for nothing, or for several things.
    #[error("{0}")]
    Name(String),
}

/// An identifier as a module writes it: a name and numbers behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assigned {
    parent: Option<String>,
    numbers: Vec<u32>,
}

#[derive(Debug, Default)]
struct Module {
    assigned: HashMap<String, Assigned>,
    /// Name, and the module it comes from.
    imports: HashMap<String, String>,
}

/// Modules by their names.
#[derive(Debug, Default)]
pub(super) struct Mibs(BTreeMap<String, Module>);

impl Mibs {
    /// Reads every file of a folder.
    ///
    /// # Errors
    /// With the first file that is no module.
    pub(super) fn read_folder(folder: &Path) -> Result<Self, MibError> {
        let failed = |error: std::io::Error| MibError::File(format!("{} (snmp.mib_dir): {error}", folder.display()));
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if path.is_file() && !hidden {
                paths.push(path);
            }
        }
        if paths.len() > FILES_MAX {
            return Err(MibError::File(format!("{}: more than {FILES_MAX} files", folder.display())));
        }
        paths.sort();
        let mut mibs = Self::default();
        for path in paths {
            let file = path.display().to_string();
            let failed = |error: &dyn std::fmt::Display| MibError::File(format!("{file}: {error}"));
            if std::fs::metadata(&path).map_err(|error| failed(&error))?.len() > FILE_BYTES_MAX {
                return Err(failed(&format!("larger than {FILE_BYTES_MAX} bytes")));
            }
            let bytes = std::fs::read(&path).map_err(|error| failed(&error))?;
            mibs.read(&file, &String::from_utf8_lossy(&bytes))?;
        }
        Ok(mibs)
    }

    /// Reads the modules of one text.
    ///
    /// # Errors
    /// When it is none; `file` is named.
    pub(super) fn read(&mut self, file: &str, text: &str) -> Result<(), MibError> {
        let fault = |(line, what): (usize, String)| MibError::Syntax { file: file.to_owned(), line, what };
        let tokens = tokens(text).map_err(fault)?;
        let mut reader = Reader { tokens: &tokens, at: 0 };
        let mut modules = 0;
        while reader.peek().is_some() {
            let (name, module) = reader.module().map_err(fault)?;
            self.0.insert(name, module);
            modules += 1;
        }
        if modules == 0 { Err(fault((1, "no module: expected NAME DEFINITIONS ::= BEGIN".to_owned()))) } else { Ok(()) }
    }

    /// The identifier of `MODULE::name`, or of a name that only one module has.
    ///
    /// # Errors
    /// When it stands for nothing or for several things.
    pub(super) fn resolve(&self, text: &str) -> Result<Oid, MibError> {
        let unknown = |what: String| MibError::Name(format!("{text}: {what}"));
        let numbers = match text.split_once("::") {
            Some((module, name)) => {
                let known = self.0.get(module).is_some_and(|module| module.assigned.contains_key(name));
                if !known {
                    let why = if self.0.contains_key(module) {
                        "the module has no such name"
                    } else {
                        "no such module was read"
                    };
                    return Err(unknown(format!("{why} (snmp.mib_dir)")));
                }
                self.numbers(module, name, 0).map_err(unknown)?
            }
            None => {
                let having = self.0.iter().filter(|(_, module)| module.assigned.contains_key(text));
                let modules: Vec<&str> = having.map(|(name, _)| name.as_str()).collect();
                match modules[..] {
                    [] => return Err(unknown("no module that was read has this name (snmp.mib_dir)".to_owned())),
                    [module] => self.numbers(module, text, 0).map_err(unknown)?,
                    _ => return Err(unknown(format!("several modules have it: {}", modules.join(", ")))),
                }
            }
        };
        Oid::new(&numbers).map_err(|error| unknown(error.to_string()))
    }

    fn numbers(&self, module: &str, name: &str, depth: usize) -> Result<Vec<u32>, String> {
        if depth > DEPTH_MAX {
            return Err("its parents go round in a circle".to_owned());
        }
        let here = self.0.get(module);
        if let Some(assigned) = here.and_then(|module| module.assigned.get(name)) {
            let mut numbers = match &assigned.parent {
                Some(parent) => self.numbers(module, parent, depth + 1)?,
                None => Vec::new(),
            };
            numbers.extend(&assigned.numbers);
            return Ok(numbers);
        }
        let from = here.and_then(|module| module.imports.get(name));
        if let Some(from) = from.filter(|from| self.0.contains_key(*from)) {
            return self.numbers(from, name, depth + 1);
        }
        if let Some((_, numbers)) = ROOTS.iter().find(|(root, _)| *root == name) {
            return Ok(numbers.to_vec());
        }
        Err(match from {
            Some(from) => format!("{module} imports {name} from {from}, which was not read (snmp.mib_dir)"),
            None => format!("{module} does not say what {name} is"),
        })
    }
}

/// A word, number or sign, and its line.
type Token<'a> = (usize, &'a str);

/// Cuts a text into tokens; strings count as one, comments as none.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, (usize, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("--") {
            // A comment ends with its line, or at the next two hyphens.
            let end = rest.find('\n').unwrap_or(rest.len());
            rest[2..end].find("--").map_or(end, |at| at + 4)
        } else if first.is_whitespace() {
            first.len_utf8()
        } else if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or_else(|| (line, "a text without its end".to_owned()))?;
            found.push((line, &rest[..end + 2]));
            end + 2
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            // Two hyphens begin a comment also where a word stands before them.
            let word = rest[..word].find("--").unwrap_or(word);
            let sign = if rest.starts_with("::=") { 3 } else { first.len_utf8() };
            let len = if word > 0 { word } else { sign };
            found.push((line, &rest[..len]));
            len
        };
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    Ok(found)
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'a str> {
        self.tokens.get(self.at + ahead).map(|(_, token)| *token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(line, _)| *line)
    }

    fn next(&mut self, expected: &str) -> Result<&'a str, (usize, String)> {
        let token = self.peek().ok_or_else(|| (self.line(), format!("the file ends where {expected} was expected")))?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, expected: &str) -> Result<(), (usize, String)> {
        let line = self.line();
        let found = self.next(expected)?;
        if found == expected { Ok(()) } else { Err((line, format!("expected {expected}, found {found}"))) }
    }

    fn skip_past(&mut self, end: &str) -> Result<(), (usize, String)> {
        while self.next(end)? != end {}
        Ok(())
    }

    /// `NAME [{ identifier }] DEFINITIONS ::= BEGIN ... END`
    fn module(&mut self) -> Result<(String, Module), (usize, String)> {
        let name = self.next("the name of a module")?.to_owned();
        if self.peek() == Some("{") {
            self.skip_past("}")?;
        }
        self.expect("DEFINITIONS")?;
        if self.peek() != Some("::=") {
            // IMPLICIT TAGS and the like.
            while self.peek().is_some_and(|token| token != "::=") {
                self.at += 1;
            }
        }
        self.expect("::=")?;
        self.expect("BEGIN")?;
        let mut module = Module::default();
        loop {
            match self.peek() {
                None => return Err((self.line(), format!("the module {name} has no END"))),
                Some("END") => {
                    self.at += 1;
                    return Ok((name, module));
                }
                Some("IMPORTS") => self.imports(&mut module)?,
                Some("EXPORTS") => self.skip_past(";")?,
                Some("{") => self.braces()?,
                Some(_) if self.peek_at(1) == Some("MACRO") => self.skip_past("END")?,
                Some(token) => match self.assignment(token) {
                    true => {
                        let assigned = self.assigned()?;
                        module.assigned.insert(token.to_owned(), assigned);
                    }
                    false => self.at += 1,
                },
            }
        }
    }

    /// Whether a name that is given an identifier stands here.
    fn assignment(&self, token: &str) -> bool {
        let is_name = token.starts_with(|c: char| c.is_ascii_lowercase());
        let by_macro = self.peek_at(1).is_some_and(|next| MACROS.contains(&next));
        is_name && (by_macro || self.peek_at(1) == Some("OBJECT") && self.peek_at(2) == Some("IDENTIFIER"))
    }

    /// Passes over braces and all within.
    fn braces(&mut self) -> Result<(), (usize, String)> {
        let mut depth = 0;
        loop {
            match self.next("}")? {
                "{" => depth += 1,
                "}" if depth == 1 => return Ok(()),
                "}" => depth -= 1,
                _ => {}
            }
        }
    }

    fn imports(&mut self, module: &mut Module) -> Result<(), (usize, String)> {
        self.at += 1;
        let mut names: Vec<&str> = Vec::new();
        loop {
            match self.next(";")? {
                ";" => return Ok(()),
                "FROM" => {
                    let from = self.next("the name of a module")?;
                    module.imports.extend(names.drain(..).map(|name| (name.to_owned(), from.to_owned())));
                }
                "," => {}
                name => names.push(name),
            }
        }
    }

    /// The rest of an assignment: what stands before `::=` is passed over.
    fn assigned(&mut self) -> Result<Assigned, (usize, String)> {
        while self.peek() != Some("::=") {
            match self.peek() {
                Some("{") => self.braces()?,
                Some("END") | None => return Err((self.line(), "expected ::= and an identifier".to_owned())),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        self.expect("{")?;
        let mut assigned = Assigned { parent: None, numbers: Vec::new() };
        let mut is_first = true;
        loop {
            let line = self.line();
            let token = self.next("}")?;
            let number =
                |text: &str| text.parse::<u32>().map_err(|_| (line, format!("{text} is no number of 32 bits")));
            match token {
                "}" => return Ok(assigned),
                digits if digits.starts_with(|c: char| c.is_ascii_digit()) => assigned.numbers.push(number(digits)?),
                _ if self.peek() == Some("(") => {
                    self.at += 1;
                    assigned.numbers.push(number(self.next("a number")?)?);
                    self.expect(")")?;
                }
                name if is_first => assigned.parent = Some(name.to_owned()),
                other => return Err((line, format!("expected a number or }}, found {other}"))),
            }
            is_first = false;
        }
    }
}

#[cfg(test)]
#[path = "mib_tests.rs"]
mod tests;
