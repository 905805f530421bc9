//! Tests of recurrence: worked examples, zones whose clocks change, and texts that are refused.

use super::*;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// The next five starts of a text from a first start on.
fn starts(text: &str, zone: &str, first: &str) -> Vec<String> {
    let recurrence = Recurrence::parse(text, zone, ms(first)).unwrap();
    let next = |after: &i64| recurrence.next_start(*after);
    let first = next(&(ms(first) - 1));
    let found = std::iter::successors(first, next).take(5);
    found.map(|start| Timestamp::from_millisecond(start).unwrap().to_string()).collect()
}

#[test]
fn cron_lines() {
    let of = |text| starts(text, "UTC", "2026-11-21T00:00:00Z");
    assert_eq!(of("30 2 * * 2")[..2], ["2026-11-24T02:30:00Z", "2026-12-01T02:30:00Z"]);
    assert_eq!(of("0 */12 * * *")[..3], ["2026-11-21T00:00:00Z", "2026-11-21T12:00:00Z", "2026-11-22T00:00:00Z"]);
    assert_eq!(of("0 0 1 jan *")[..2], ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]);
    // Two restricted day fields: either is enough.
    assert_eq!(of("0 0 25 * sun")[..3], ["2026-11-22T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z"]);
    assert_eq!(of("0 0 29 2 *")[..1], ["2028-02-29T00:00:00Z"]);
    assert_eq!(of("0 3 * * 7")[0], "2026-11-22T03:00:00Z");
}

#[test]
fn rules() {
    let of = |text| starts(text, "UTC", "2026-11-24T02:00:00Z");
    assert_eq!(of("FREQ=WEEKLY;INTERVAL=2")[..2], ["2026-11-24T02:00:00Z", "2026-12-08T02:00:00Z"]);
    assert_eq!(
        of("RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=3"),
        ["2026-11-24T02:00:00Z", "2026-11-26T02:00:00Z", "2026-12-01T02:00:00Z"]
    );
    assert_eq!(
        of("FREQ=MONTHLY;BYDAY=-1FR")[..3],
        ["2026-11-24T02:00:00Z", "2026-11-27T02:00:00Z", "2026-12-25T02:00:00Z"]
    );
    assert_eq!(
        of("FREQ=MONTHLY;BYMONTHDAY=-1;UNTIL=20270115"),
        ["2026-11-24T02:00:00Z", "2026-11-30T02:00:00Z", "2026-12-31T02:00:00Z"]
    );
    assert_eq!(
        of("FREQ=DAILY;BYHOUR=2,14;BYMINUTE=30")[..3],
        ["2026-11-24T02:00:00Z", "2026-11-24T02:30:00Z", "2026-11-24T14:30:00Z"]
    );
    assert_eq!(of("FREQ=YEARLY")[..2], ["2026-11-24T02:00:00Z", "2027-11-24T02:00:00Z"]);
}

#[test]
fn local_times_follow_the_clocks_of_their_zone() {
    let daily = starts("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z");
    assert_eq!(daily[..3], ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
    let autumn = starts("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
    assert_eq!(autumn[..2], ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn the_last_start_is_found_within_its_bounds() {
    let nightly = Recurrence::parse("0 2 * * *", "UTC", ms("2026-11-21T00:00:00Z")).unwrap();
    let at = ms("2026-11-23T03:00:00Z");
    assert_eq!(nightly.last_start(at - 2 * 3_600_000, at), Some(ms("2026-11-23T02:00:00Z")));
    assert_eq!(nightly.last_start(at - 3_600_000, at), None);
    assert_eq!(nightly.last_start(0, ms("2026-11-21T01:00:00Z")), None);
}

#[test]
fn what_is_not_understood_is_refused_in_words() {
    let refused = |text: &str, zone: &str| Recurrence::parse(text, zone, 0).unwrap_err().to_string();
    let cases = [
        ("0 0 * *", "five fields"),
        ("60 0 * * *", "minute from 0 to 59"),
        ("0 5-3 * * *", "ends before it begins"),
        ("FREQ=HOURLY", "none of DAILY"),
        ("BYDAY=MO", "FREQ is missing"),
        ("FREQ=WEEKLY;BYDAY=2MO", "MONTHLY or YEARLY"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS is not supported"),
        ("FREQ=DAILY;UNTIL=tomorrow", "no UNTIL"),
        ("FREQ=DAILY;BYDAY=é", "no day"),
        ("FREQ=DAILY;INTERVAL=0", "no INTERVAL"),
    ];
    for (text, words) in cases {
        assert!(refused(text, "UTC").contains(words), "{text}: {}", refused(text, "UTC"));
    }
    assert!(refused("0 0 * * *", "Mars/Olympus").contains("no time zone"));
}
