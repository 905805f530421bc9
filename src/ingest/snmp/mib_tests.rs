//! Modules as they are written, and what is wrong with those that are none.

use super::*;

const UPS: &str = r#"
UPS-MIB DEFINITIONS ::= BEGIN
IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, Gauge32 FROM SNMPv2-SMI
    acme, AcmeState                       FROM ACME-MIB;

ups MODULE-IDENTITY
    LAST-UPDATED "202601010000Z"
    ORGANIZATION "nobody -- at all"
    DESCRIPTION  "Text with ::= and { braces } in it,
                  and a second line."
    ::= { acme 7 }

upsObjects OBJECT IDENTIFIER ::= { ups 1 } -- a comment -- upsBehind OBJECT IDENTIFIER ::= { ups 9 }

UpsPower ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "d-1"
    STATUS current
    DESCRIPTION ""
    SYNTAX INTEGER { on(1), off(2) }

UpsEntry ::= SEQUENCE { upsIndex INTEGER, upsLoad Gauge32 }

upsTable OBJECT-TYPE
    SYNTAX SEQUENCE OF UpsEntry
    MAX-ACCESS not-accessible
    STATUS current
    DESCRIPTION "all"
    ::= { upsObjects 2 }

upsEntry OBJECT-TYPE
    SYNTAX UpsEntry
    MAX-ACCESS not-accessible
    STATUS current
    DESCRIPTION "one"
    INDEX { upsIndex }
    ::= { upsTable 1 }

upsLoad OBJECT-TYPE
    SYNTAX Gauge32 (0..100)
    UNITS "percent"
    MAX-ACCESS read-only
    STATUS current
    DESCRIPTION "how much"
    DEFVAL { 'ff'H }
    ::= { upsEntry 2 }

upsAlarm NOTIFICATION-TYPE
    OBJECTS { upsLoad }
    STATUS current
    DESCRIPTION ""
    ::= { ups 0 3 }
END
"#;

const ACME: &str = "ACME-MIB { iso org(3) 99 } DEFINITIONS ::= BEGIN\n\
    IMPORTS enterprises FROM RFC1155-SMI;\n\
    OBJECT-TYPE MACRO ::= BEGIN TYPE NOTATION ::= value(VALUE ObjectName) END\n\
    acme OBJECT IDENTIFIER ::= { enterprises 4711 }\n\
    long OBJECT IDENTIFIER ::= { iso(1) org(3) dod(6) 5 }\n\
    END";

fn mibs(texts: &[&str]) -> Result<Mibs, MibError> {
    let mut mibs = Mibs::default();
    texts.iter().try_for_each(|text| mibs.read("a.mib", text))?;
    Ok(mibs)
}

fn resolved(mibs: &Mibs, name: &str) -> String {
    mibs.resolve(name).map_or_else(|error| error.to_string(), |oid| oid.to_string())
}

#[test]
fn names_have_their_identifiers() {
    let mibs = mibs(&[UPS, ACME]).unwrap();
    for (name, identifier) in [
        ("UPS-MIB::upsLoad", "1.3.6.1.4.1.4711.7.1.2.1.2"),
        ("upsLoad", "1.3.6.1.4.1.4711.7.1.2.1.2"),
        ("UPS-MIB::upsAlarm", "1.3.6.1.4.1.4711.7.0.3"),
        ("ACME-MIB::long", "1.3.6.5"),
        ("upsBehind", "1.3.6.1.4.1.4711.7.9"),
    ] {
        assert_eq!(resolved(&mibs, name), identifier, "{name}");
    }
}

#[test]
fn names_that_stand_for_nothing_say_why() {
    let mibs = mibs(&[UPS]).unwrap();
    for (name, why) in [
        ("UPS-MIB::upsLoad", "UPS-MIB imports acme from ACME-MIB, which was not read"),
        ("UPS-MIB::upsMissing", "the module has no such name"),
        ("NO-MIB::x", "no such module was read"),
        ("nothing", "no module that was read has this name"),
    ] {
        let said = resolved(&mibs, name);
        assert!(said.contains(why), "{said}");
    }
    let two = self::mibs(&["A DEFINITIONS ::= BEGIN x OBJECT IDENTIFIER ::= { iso 1 } END
        B DEFINITIONS ::= BEGIN x OBJECT IDENTIFIER ::= { iso 2 } y OBJECT IDENTIFIER ::= { y 1 } z OBJECT IDENTIFIER ::= { w 1 } END"])
    .unwrap();
    assert!(resolved(&two, "x").contains("several modules have it: A, B"));
    assert!(resolved(&two, "y").contains("in a circle"));
    assert!(resolved(&two, "z").contains("B does not say what w is"));
}

#[test]
fn rejects_with_the_line() {
    for (text, line, why) in [
        ("", 1, "no module"),
        ("hello", 1, "DEFINITIONS"),
        ("A DEFINITIONS ::= BEGIN\nIMPORTS x FROM", 2, "the name of a module"),
        ("A DEFINITIONS ::= BEGIN\nx OBJECT IDENTIFIER ::= { iso 1 }", 2, "has no END"),
        ("A DEFINITIONS ::= BEGIN\n\nx OBJECT IDENTIFIER ::= { iso 99999999999 } END", 3, "no number of 32 bits"),
        ("A DEFINITIONS ::= BEGIN\nx OBJECT IDENTIFIER ::= { iso a b } END", 2, "expected a number or }"),
        ("A DEFINITIONS ::= BEGIN\nx OBJECT-TYPE SYNTAX INTEGER END", 2, "expected ::="),
        ("A DEFINITIONS ::= BEGIN\nx OBJECT-TYPE DESCRIPTION \"never", 2, "a text without its end"),
    ] {
        let Err(MibError::Syntax { line: at, what, file }) = mibs(&[text]) else { panic!("{text:?} is accepted") };
        assert!((at, file.as_str()) == (line, "a.mib") && what.contains(why), "{text:?}: line {at}: {what}");
    }
}

#[test]
fn whatever_a_file_holds_it_is_answered() {
    let text: Vec<char> = UPS.chars().collect();
    for cut in 0..text.len() {
        let (before, after) = text.split_at(cut);
        for damaged in [before.iter().collect::<String>(), after.iter().collect()] {
            // Only that it ends, and without a panic.
            let _ = mibs(&[&damaged]).map(|mibs| resolved(&mibs, "upsLoad"));
        }
    }
}
