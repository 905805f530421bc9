//! The interface tables (IF-MIB, RFC 2863): which columns are asked for, in which groups.
//!
//! Not here: what becomes of the answers (see `interfaces`), other tables (see `profile`).
//!
//! Invariant: who an interface is and since when it counts is known from before its counters were read, and asked again
//! after them, so that counters read while indexes change hands or an interface starts anew are not taken for somebody
//! else's. What was asked after the counters of one cycle is what is known before those of the next.

use protocols::snmp::Oid;

/// Counters of an interface, each in the place it has in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    /// The object's name, and the name of the series.
    pub(super) name: &'static str,
    /// Whether it counts octets, which a line bounds best.
    pub(super) octets: bool,
    /// The place of the same with 64 bits, whose rate is taken instead where the device has it.
    pub(super) wide: Option<usize>,
    /// The other way round.
    pub(super) narrow: Option<usize>,
}

const fn counter(name: &'static str, octets: bool, wide: Option<usize>, narrow: Option<usize>) -> Counter {
    Counter { name, octets, wide, narrow }
}

pub(super) const COUNTERS: [Counter; 16] = [
    counter("ifInOctets", true, Some(8), None),
    counter("ifInUcastPkts", false, Some(9), None),
    counter("ifInDiscards", false, None, None),
    counter("ifInErrors", false, None, None),
    counter("ifOutOctets", true, Some(10), None),
    counter("ifOutUcastPkts", false, Some(11), None),
    counter("ifOutDiscards", false, None, None),
    counter("ifOutErrors", false, None, None),
    counter("ifHCInOctets", true, None, Some(0)),
    counter("ifHCInUcastPkts", false, None, Some(1)),
    counter("ifHCOutOctets", true, None, Some(4)),
    counter("ifHCOutUcastPkts", false, None, Some(5)),
    counter("ifInMulticastPkts", false, None, None),
    counter("ifInBroadcastPkts", false, None, None),
    counter("ifOutMulticastPkts", false, None, None),
    counter("ifOutBroadcastPkts", false, None, None),
];

/// What a column of the interface tables holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Description,
    Name,
    Alias,
    Type,
    Speed,
    HighSpeed,
    AdminStatus,
    OperStatus,
    LastChange,
    Discontinuity,
    /// A counter of [`COUNTERS`].
    Counter(usize),
    /// Asked once more behind the counters.
    NameAgain,
    DescriptionAgain,
    DiscontinuityAgain,
}

const IF_ENTRY: &str = "1.3.6.1.2.1.2.2.1";
const IF_X_ENTRY: &str = "1.3.6.1.2.1.31.1.1.1";

/// Places of the groups.
pub(super) const WHO: usize = 0;
pub(super) const WIDE: usize = 1;
pub(super) const FAULTS: usize = 2;
pub(super) const CASTS: usize = 3;
pub(super) const NARROW: usize = 4;
pub(super) const AGAIN: usize = 5;
pub(super) const STILL: usize = 6;
pub(super) const STILL_DESCRIBED: usize = 7;
pub(super) const ROW: usize = 8;

/// Columns walked side by side; a group's row fits well into a datagram.
pub(super) const GROUPS: [&[(Field, &str, u32)]; 9] = [
    // Who they are, when that is read anew.
    &[
        (Field::Description, IF_ENTRY, 2),
        (Field::Type, IF_ENTRY, 3),
        (Field::Speed, IF_ENTRY, 5),
        (Field::AdminStatus, IF_ENTRY, 7),
        (Field::OperStatus, IF_ENTRY, 8),
        (Field::LastChange, IF_ENTRY, 9),
        (Field::Name, IF_X_ENTRY, 1),
        (Field::HighSpeed, IF_X_ENTRY, 15),
        (Field::Alias, IF_X_ENTRY, 18),
        (Field::Discontinuity, IF_X_ENTRY, 19),
    ],
    // Counters of 64 bits.
    &[
        (Field::Counter(8), IF_X_ENTRY, 6),
        (Field::Counter(9), IF_X_ENTRY, 7),
        (Field::Counter(10), IF_X_ENTRY, 10),
        (Field::Counter(11), IF_X_ENTRY, 11),
    ],
    // What went wrong.
    &[
        (Field::Counter(2), IF_ENTRY, 13),
        (Field::Counter(3), IF_ENTRY, 14),
        (Field::Counter(6), IF_ENTRY, 19),
        (Field::Counter(7), IF_ENTRY, 20),
    ],
    &[
        (Field::Counter(12), IF_X_ENTRY, 2),
        (Field::Counter(13), IF_X_ENTRY, 3),
        (Field::Counter(14), IF_X_ENTRY, 4),
        (Field::Counter(15), IF_X_ENTRY, 5),
    ],
    // What has a counter of 64 bits where the device has those: asked where it has none, and where one stands still.
    &[
        (Field::Counter(0), IF_ENTRY, 10),
        (Field::Counter(1), IF_ENTRY, 11),
        (Field::Counter(4), IF_ENTRY, 16),
        (Field::Counter(5), IF_ENTRY, 17),
    ],
    // Behind the counters, where everything was read anew.
    &[
        (Field::DescriptionAgain, IF_ENTRY, 2),
        (Field::NameAgain, IF_X_ENTRY, 1),
        (Field::DiscontinuityAgain, IF_X_ENTRY, 19),
    ],
    // The same where names are known, with what changes beside counters.
    &[
        (Field::NameAgain, IF_X_ENTRY, 1),
        (Field::DiscontinuityAgain, IF_X_ENTRY, 19),
        (Field::HighSpeed, IF_X_ENTRY, 15),
        (Field::AdminStatus, IF_ENTRY, 7),
        (Field::OperStatus, IF_ENTRY, 8),
        (Field::LastChange, IF_ENTRY, 9),
    ],
    // The same where interfaces are known by their descriptions, or lines are too slow for ifHighSpeed.
    &[
        (Field::NameAgain, IF_X_ENTRY, 1),
        (Field::DiscontinuityAgain, IF_X_ENTRY, 19),
        (Field::HighSpeed, IF_X_ENTRY, 15),
        (Field::AdminStatus, IF_ENTRY, 7),
        (Field::OperStatus, IF_ENTRY, 8),
        (Field::LastChange, IF_ENTRY, 9),
        (Field::Speed, IF_ENTRY, 5),
        (Field::DescriptionAgain, IF_ENTRY, 2),
    ],
    // Version 1, which has no counters of 64 bits and gives one row an answer: all counters of it.
    &[
        (Field::Counter(0), IF_ENTRY, 10),
        (Field::Counter(1), IF_ENTRY, 11),
        (Field::Counter(2), IF_ENTRY, 13),
        (Field::Counter(3), IF_ENTRY, 14),
        (Field::Counter(4), IF_ENTRY, 16),
        (Field::Counter(5), IF_ENTRY, 17),
        (Field::Counter(6), IF_ENTRY, 19),
        (Field::Counter(7), IF_ENTRY, 20),
        (Field::Counter(12), IF_X_ENTRY, 2),
        (Field::Counter(13), IF_X_ENTRY, 3),
        (Field::Counter(14), IF_X_ENTRY, 4),
        (Field::Counter(15), IF_X_ENTRY, 5),
    ],
];

/// The groups as identifiers, made once for all devices.
pub(super) fn groups() -> Vec<Vec<Oid>> {
    let oid = |text: &str| text.parse::<Oid>().expect("the tables hold identifiers");
    let column = |table: &str, number: u32| oid(table).with(&[number]).expect("columns are short identifiers");
    let columns =
        |group: &[(Field, &str, u32)]| group.iter().map(|(_, table, number)| column(table, *number)).collect();
    GROUPS.iter().map(|group| columns(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_two_sizes_name_each_other() {
        for (at, counter) in COUNTERS.iter().enumerate() {
            if let Some(wide) = counter.wide {
                assert_eq!(COUNTERS[wide].narrow, Some(at));
                assert_eq!(COUNTERS[wide].name.replace("HC", ""), counter.name);
                assert_eq!(COUNTERS[wide].octets, counter.octets);
            }
        }
    }

    /// The counters of these groups in order.
    fn counters(of: &[usize]) -> Vec<usize> {
        let counter = |(field, ..): &(Field, &str, u32)| match field {
            Field::Counter(at) => Some(*at),
            _ => None,
        };
        let mut seen: Vec<_> = of.iter().flat_map(|group| GROUPS[*group]).filter_map(counter).collect();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn every_counter_is_walked_once() {
        assert_eq!(counters(&[WIDE, FAULTS, CASTS, NARROW]), (0..COUNTERS.len()).collect::<Vec<_>>());
        assert_eq!(counters(&[FAULTS, CASTS, NARROW]), counters(&[ROW]));
        assert_eq!(counters(&[WHO, AGAIN, STILL, STILL_DESCRIBED]), [0; 0]);
        assert!(
            GROUPS[NARROW]
                .iter()
                .all(|(field, ..)| matches!(field, Field::Counter(at) if COUNTERS[*at].wide.is_some()))
        );
        assert_eq!(groups().len(), GROUPS.len());
    }
}
