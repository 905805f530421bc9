//! UTC days, and the names of the directories that hold them: `YYYYMMDD-gN`, first day and rewrite.
//!
//! Not here: time zones, clocks. A day is a number: whole days since 1970-01-01, negative before.

use std::fmt;

/// Milliseconds of a UTC day; leap seconds do not exist in this time scale.
pub const DAY_MS: i64 = 86_400_000;

/// The days that a name of eight digits can spell: 0000-01-01 to 9999-12-31.
const DAYS_NAMED: std::ops::RangeInclusive<i64> = -DAYS_BEFORE_1970..=2_932_896;

/// Days from 0000-01-01 to 1970-01-01 in the Gregorian calendar extended backwards.
const DAYS_BEFORE_1970: i64 = 719_528;

/// The UTC day of a time in milliseconds.
#[inline]
pub fn day_of(time_ms: i64) -> i64 {
    time_ms.div_euclid(DAY_MS)
}

/// What a directory is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirectoryName {
    /// The first UTC day whose chunks it takes.
    pub(super) first_day: i64,
    /// 1 when created by writing, one more each time compaction writes it anew.
    pub(super) rewrite: u32,
}

impl DirectoryName {
    /// Whether a day can be spelt in eight digits.
    pub(super) fn can_name(day: i64) -> bool {
        DAYS_NAMED.contains(&day)
    }

    /// Reads a name back; `None` for anything that `Display` does not write.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, rewrite) = text.split_once("-g")?;
        if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = |part: &str| part.parse::<i64>().ok();
        let (year, month, day) = (number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let first_day = days_before_year(year) + days_before_month(year, month) + day - 1 - DAYS_BEFORE_1970;
        let name = Self { first_day, rewrite: rewrite.parse().ok()? };
        // One spelling only: this also refuses 31 February and leading zeros.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for DirectoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.first_day);
        write!(f, "{year:04}{month:02}{day:02}-g{}", self.rewrite)
    }
}

/// Year, month and day of the month of a day number.
fn date_of(day: i64) -> (i64, i64, i64) {
    let since_year_0 = day + DAYS_BEFORE_1970;
    // No year is longer than 366 days, so this guess is never late, and early by a few years at most up to 9999.
    let mut year = since_year_0.div_euclid(366);
    while days_before_year(year + 1) <= since_year_0 {
        year += 1;
    }
    let day_of_year = since_year_0 - days_before_year(year);
    let month = (1..=12).rev().find(|&m| days_before_month(year, m) <= day_of_year).unwrap_or(1);
    (year, month, day_of_year - days_before_month(year, month) + 1)
}

/// Days from 0000-01-01 to the first of January of a year.
fn days_before_year(year: i64) -> i64 {
    // Leap years before `year`, year 0 among them.
    let leap = (year + 3).div_euclid(4) - (year + 99).div_euclid(100) + (year + 399).div_euclid(400);
    year * 365 + leap
}

fn days_before_month(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    BEFORE[(month - 1) as usize] + i64::from(is_leap && month > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(day: i64) -> String {
        DirectoryName { first_day: day, rewrite: 1 }.to_string()
    }

    /// Day numbers from `date -u -d DATE +%s` divided by 86 400.
    #[test]
    fn days_are_named_as_the_calendar_names_them() {
        assert_eq!(name(0), "19700101-g1");
        assert_eq!(name(-1), "19691231-g1");
        assert_eq!(name(11_016), "20000229-g1");
        assert_eq!(name(20_777), "20261120-g1");
        assert_eq!(name(47_540), "21000228-g1");
        assert_eq!(name(47_541), "21000301-g1");
        assert_eq!(name(2_932_896), "99991231-g1");
        assert_eq!(name(-719_528), "00000101-g1");
        assert!(DirectoryName::can_name(2_932_896) && !DirectoryName::can_name(2_932_897));
    }

    #[test]
    fn every_day_of_four_centuries_reads_back() {
        for first_day in -1000..146_097 {
            let name = DirectoryName { first_day, rewrite: 3 };
            assert_eq!(DirectoryName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn other_names_are_no_directories() {
        for text in ["", "MANIFEST", "20261120", "20261120-g", "20261120-g01", "2026112-g1", "20261320-g1"] {
            assert_eq!(DirectoryName::parse(text), None, "{text}");
        }
        for text in ["20260231-g1", "tmp-20261120-g1", "20261120-g1 ", "+2026112-g1", "2026\u{e9}20-g1"] {
            assert_eq!(DirectoryName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_before_1970_belongs_to_the_day_it_lies_in() {
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(DAY_MS - 1), 0);
        assert_eq!(day_of(DAY_MS), 1);
    }
}
