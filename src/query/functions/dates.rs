//! Parts of a date, in UTC, from seconds since the epoch: `hour`, `day_of_week`, `days_in_month` and their like.
//!
//! The calendar is counted with wrapping arithmetic from a year so early that every number of seconds an `i64` holds
//! has a date; numbers that do not fit an `i64` behave like the least one, which is what Prometheus makes of them.
//!
//! Not here: time zones; PromQL has none.

const DAY_S: u64 = 86_400;
const DAYS_400_YEARS: u64 = 146_097;
/// A year that begins a 400-year cycle, before every date that can occur.
const FIRST_YEAR: i64 = -292_277_022_399;
/// Seconds from the start of [`FIRST_YEAR`] to the epoch: 9 223 371 966 579 724 800 to the year 1 and 62 135 596 800 on.
const EPOCH_S: u64 = 9_223_371_966_579_724_800 + 62_135_596_800;

/// A function from seconds to a part of the date, by its PromQL name.
pub(crate) fn of_seconds(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |s| (absolute(s) % 3600 / 60) as f64,
        "hour" => |s| (absolute(s) % DAY_S / 3600) as f64,
        // The first day of a cycle is a Monday.
        "day_of_week" => |s| ((absolute(s) / DAY_S + 1) % 7) as f64,
        "day_of_month" => |s| date(s).day as f64,
        "day_of_year" => |s| date(s).day_of_year as f64,
        "days_in_month" => |s| days_in_month(&date(s)) as f64,
        "month" => |s| date(s).month as f64,
        "year" => |s| date(s).year as f64,
        _ => return None,
    })
}

struct Date {
    year: i64,
    month: u64,
    day: u64,
    day_of_year: u64,
}

fn absolute(seconds: f64) -> u64 {
    let fits = (i64::MIN as f64..i64::MAX as f64).contains(&seconds);
    let seconds = if fits { seconds as i64 } else { i64::MIN };
    (seconds as u64).wrapping_add(EPOCH_S)
}

fn date(seconds: f64) -> Date {
    let days = absolute(seconds) / DAY_S;
    let (cycles, mut day) = (days / DAYS_400_YEARS, days % DAYS_400_YEARS);
    // The last century of a cycle and the last year of four are one day longer: never count a fifth of them.
    let centuries = (day / 36_524).min(3);
    day -= centuries * 36_524;
    let fours = day / 1_461;
    day -= fours * 1_461;
    let years = (day / 365).min(3);
    day -= years * 365;
    let year = FIRST_YEAR + (cycles * 400 + centuries * 100 + fours * 4 + years) as i64;
    let day_of_year = day + 1;
    let mut month = 1;
    loop {
        let length = month_days(year, month);
        if day < length {
            return Date { year, month, day: day + 1, day_of_year };
        }
        day -= length;
        month += 1;
    }
}

fn days_in_month(date: &Date) -> u64 {
    month_days(date.year, date.month)
}

fn month_days(year: i64, month: u64) -> u64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(seconds: f64) -> Vec<f64> {
        ["year", "month", "day_of_month", "hour", "minute", "day_of_week", "day_of_year", "days_in_month"]
            .iter()
            .map(|name| of_seconds(name).unwrap()(seconds))
            .collect()
    }

    /// Expected dates from `date -u -d @SECONDS`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(parts(0.0), [1970.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0, 31.0]);
        assert_eq!(parts(1_700_000_000.9), [2023.0, 11.0, 14.0, 22.0, 13.0, 2.0, 318.0, 30.0]);
        assert_eq!(parts(951_782_400.0), [2000.0, 2.0, 29.0, 0.0, 0.0, 2.0, 60.0, 29.0]);
        assert_eq!(parts(978_307_199.0), [2000.0, 12.0, 31.0, 23.0, 59.0, 0.0, 366.0, 31.0]);
        assert_eq!(parts(-1.0), [1969.0, 12.0, 31.0, 23.0, 59.0, 3.0, 365.0, 31.0]);
    }

    #[test]
    fn any_number_has_a_date() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9.2e18, -9.2e18, f64::MAX] {
            let parts = parts(value);
            assert!((1.0..=12.0).contains(&parts[1]) && (1.0..=31.0).contains(&parts[2]), "{value}");
        }
    }
}
