//! What a store removes by itself: days that retention has passed, days beyond the limit on bytes, and their series.

mod support;

use storage::Settings;
use support::{Point, Running, Seeded};

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 19_700 * DAY_MS;
const SERIES: usize = 100;
const DAYS: i64 = 16;

/// Fills a day with doubles that do not compress; every day has series of its own beside those of all days.
fn fill(running: &Running, day: i64) {
    let mut seeded = Seeded(day as u64);
    let mut points: Vec<Point> = Vec::new();
    for step in 0..200 {
        let time_ms = START_MS + day * DAY_MS + step * 60_000;
        points.extend((0..SERIES).map(|series| (series, time_ms, f64::from_bits(seeded.next() >> 2))));
        points.push((1000 + day as usize, time_ms, 1.0));
    }
    assert_eq!(running.append(START_MS + day * DAY_MS + DAY_MS, &points).stored, points.len() as u64);
    running.compact();
}

/// Waits until the keeper, which looks every five seconds, has removed directories and keeps so many bytes and series.
fn wait_for_removal(running: &Running, bytes_max: u64, series_max: u64) {
    let removed = (0..1200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let figures = running.store.figures();
        let is_small = figures.block_bytes <= bytes_max && figures.series <= series_max;
        figures.keeper.directories_removed > 0 && is_small
    });
    assert!(removed, "nothing was removed: {:?}", running.store.figures());
}

fn has(running: &Running, series: usize, day: i64) -> bool {
    let from_ms = START_MS + day * DAY_MS;
    !running.read(series, from_ms, from_ms + DAY_MS - 1).is_empty()
}

#[test]
fn at_the_limit_on_bytes_the_oldest_days_go_and_the_newest_stays() {
    let home = tempfile::tempdir().unwrap();
    let max_bytes = 2 << 20;
    let settings = Settings { retention_ms: 0, max_bytes, ..Settings::new(home.path()) };
    let running = Running::open(settings);
    (0..DAYS).for_each(|day| fill(&running, day));
    // Each day that is gone takes a series of its own with it.
    wait_for_removal(&running, max_bytes, SERIES as u64 + DAYS as u64 - 1);
    assert!(!has(&running, 0, 0) && has(&running, 0, DAYS - 1));
    assert!(!has(&running, 1000, 0), "a series of the first day only has left");
    running.close();
}

#[test]
fn what_retention_has_passed_goes_with_its_directory() {
    let home = tempfile::tempdir().unwrap();
    let running = Running::open(Settings { retention_ms: 2 * DAY_MS, ..Settings::new(home.path()) });
    (0..3).for_each(|day| fill(&running, day));
    // A directory takes days up to a month after its first.
    fill(&running, 40);
    wait_for_removal(&running, u64::MAX, SERIES as u64 + 1);
    assert!(!has(&running, 0, 0) && has(&running, 0, 40));
    // A sender that still knows the series by what it was then makes it anew.
    let back = [(1000, START_MS + 41 * DAY_MS, 1.5), (0, START_MS + 41 * DAY_MS, 2.5)];
    assert_eq!(running.append(START_MS + 42 * DAY_MS, &back).stored, 2);
    assert_eq!(running.store.figures().series, SERIES as u64 + 2);
    assert!([1000, 0].into_iter().all(|series| has(&running, series, 41)));
    running.close();
}
