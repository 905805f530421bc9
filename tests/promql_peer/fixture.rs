//! The data on which both sides are compared: counters that reset, stale series, gaps, jitter, histograms, and every
//! kind of double.
//!
//! Not here: what is asked.

use crate::support::http::post;
use protocols::remote_write::WriteRequestBuilder;

/// Time of the first samples: not a multiple of any step used, so that windows and samples meet by chance only.
pub(crate) const START_MS: i64 = 1_700_000_007_000;
/// Most series have a sample every so often.
pub(crate) const STEP_MS: i64 = 15_000;
/// Samples of most series: two and a half hours.
pub(crate) const STEPS: usize = 600;
/// A request carries so many steps of all series: a receiver takes samples in the order of time only.
const STEPS_A_REQUEST: usize = 60;

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const SNAPPY: (&str, &str) = ("Content-Encoding", "snappy");
const VERSION: (&str, &str) = ("X-Prometheus-Remote-Write-Version", "0.1.0");

/// One series: labels sorted by name, samples ascending in time.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Vec<(String, String)>,
    samples: Vec<(i64, f64)>,
}

/// The time of a step.
pub(crate) fn time_ms(step: usize) -> i64 {
    START_MS + step as i64 * STEP_MS
}

/// Every series of the fixture.
pub(crate) fn series() -> Vec<Series> {
    let mut all = Vec::new();
    counters(&mut all);
    gauges(&mut all);
    broken(&mut all);
    histograms(&mut all);
    // Which of equal values `topk` keeps depends on the order of series, with Prometheus that of their arrival.
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

/// Numbers without a pattern that are the same on every run.
fn noise(seed: u64, step: usize) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (step as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    for shift in [31, 27, 33] {
        x = (x ^ (x >> shift)).wrapping_mul(0x94d0_49bb_1331_11eb);
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

fn add(all: &mut Vec<Series>, labels: &[(&str, &str)], value: impl Fn(usize) -> Option<f64>) {
    add_at(all, labels, |step| value(step).map(|value| (time_ms(step), value)));
}

fn add_at(all: &mut Vec<Series>, labels: &[(&str, &str)], sample: impl Fn(usize) -> Option<(i64, f64)>) {
    let mut labels: Vec<_> = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    labels.sort();
    all.push(Series { labels, samples: (0..STEPS).filter_map(sample).collect() });
}

fn counters(all: &mut Vec<Series>) {
    for (seed, (name, scale)) in [("requests_total", 40.0), ("errors_total", 3.0)].into_iter().enumerate() {
        for (j, job) in ["api", "web", "db"].into_iter().enumerate() {
            for (i, instance) in ["a:9100", "b:9100"].into_iter().enumerate() {
                for (c, code) in ["200", "404", "500"].into_iter().enumerate() {
                    let seed = (seed * 100 + j * 10 + i * 5 + c) as u64;
                    // Some reset, each at steps of its own; whole numbers and fractions both occur.
                    let period = [STEPS * 2, 97, 250][(j + c) % 3];
                    let value = |step: usize| {
                        let since = (step + c * 13) % period;
                        let sum: f64 = (0..since % 50).map(|s| noise(seed, s)).sum::<f64>() + since as f64;
                        if c == 0 { (sum * scale).round() } else { sum * scale }
                    };
                    let labels = [("__name__", name), ("job", job), ("instance", instance), ("code", code)];
                    add(all, &labels, |step| Some(value(step)));
                }
            }
        }
    }
    // Flat, and one that falls back a little all the time.
    add(all, &[("__name__", "flat_total")], |_| Some(7.0));
    add(all, &[("__name__", "sawtooth_total")], |step| Some((step % 4) as f64 + 0.5));
    // A counter that appears late and begins high, and one whose first sample is zero.
    add(all, &[("__name__", "late_total"), ("begins", "high")], |step| (step > 300).then_some(1e6 + step as f64));
    add(all, &[("__name__", "late_total"), ("begins", "zero")], |step| (step > 300).then(|| (step - 301) as f64));
}

fn gauges(all: &mut Vec<Series>) {
    for (r, room) in ["attic", "cellar", "hall", "küche"].into_iter().enumerate() {
        for floor in ["0", "1"] {
            let seed = 1000 + r as u64 * 2 + u64::from(floor == "1");
            let labels = [("__name__", "temperature"), ("room", room), ("floor", floor)];
            add(all, &labels, |step| Some(((noise(seed, step) * 40.0 - 10.0) * 10.0).round() / 10.0));
        }
    }
    for (i, instance) in ["a:9100", "b:9100", "c:9100"].into_iter().enumerate() {
        let bytes = move |step: usize| (noise(77 + i as u64, step / 7) * 1.6e10).round();
        add(all, &[("__name__", "memory_bytes"), ("instance", instance)], |step| Some(bytes(step)));
        let version = ["1.2.0", "1.2.0", "1.3.0"][i];
        let labels = [("__name__", "build_info"), ("instance", instance), ("version", version)];
        add(all, &labels, |_| Some(1.0));
        for job in ["api", "web", "db"] {
            let up = move |step: usize| f64::from(u8::from(noise(500 + i as u64 + job.len() as u64, step / 9) > 0.2));
            add(all, &[("__name__", "up"), ("instance", instance), ("job", job)], |step| Some(up(step)));
        }
    }
    add(all, &[("__name__", "wave")], |step| Some((step as f64 / 20.0).sin()));
    add(all, &[("__name__", "unix_seconds")], |step| Some(time_ms(step) as f64 / 1000.0));
    add(all, &[("__name__", "small_ints"), ("n", "1")], |step| Some((step % 5) as f64 - 2.0));
    add(all, &[("__name__", "small_ints"), ("n", "2")], |step| Some((step % 3) as f64 - 1.0));
    add(all, &[("__name__", "quoted"), ("path", "a \"b\"\\c\n"), ("empty", "x")], |_| Some(0.25));
    add(all, &[("__name__", "quoted"), ("path", "/srv/data"), ("le", "word")], |step| Some(step as f64));
}

fn broken(all: &mut Vec<Series>) {
    let odd =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 2.5e-308, 1.7e308, -1.7e308, 1e-7, 1e21, 0.1, 1e15];
    for (kind, values) in [
        ("nan", &[f64::NAN][..]),
        ("inf", &[f64::INFINITY]),
        ("minus_inf", &[f64::NEG_INFINITY]),
        ("both_inf", &[f64::INFINITY, f64::NEG_INFINITY]),
        ("nan_at_times", &[1.0, f64::NAN, 3.0, 2.0]),
        ("inf_at_times", &[1.0, 2.0, f64::INFINITY, 2.0, 5.0]),
        ("zeros", &[0.0, -0.0]),
        ("huge", &[1.7e308, 1.6e308]),
        ("tiny", &[3e-308, 1e-300, 0.0]),
        ("mixed", &odd),
    ] {
        add(all, &[("__name__", "weird"), ("kind", kind)], |step| Some(values[step % values.len()]));
    }
    // Apart from the others, because logarithms of denormal numbers are wrong in Go's assembly for amd64.
    add(all, &[("__name__", "denormal")], |step| Some([5e-324, 1e-310, -1e-320][step % 3]));
    let gap = |from: usize, to: usize| move |step: usize| (!(from..to).contains(&step)).then_some(step as f64);
    add(all, &[("__name__", "intermittent"), ("gap", "long")], gap(200, 260));
    add(all, &[("__name__", "intermittent"), ("gap", "short")], gap(200, 205));
    add(all, &[("__name__", "intermittent"), ("gap", "regular")], |step| (step % 30 < 20).then_some(step as f64));
    add(all, &[("__name__", "intermittent"), ("gap", "ends")], |step| (step < 300).then_some(step as f64));
    let stale = |step: usize| match step % 50 {
        0..30 => Some(step as f64),
        30 => Some(STALE),
        _ => None,
    };
    add(all, &[("__name__", "stale"), ("after", "thirty")], stale);
    add(all, &[("__name__", "stale"), ("after", "each")], |step| Some(if step % 2 == 0 { 1.5 } else { STALE }));
    add(all, &[("__name__", "stale"), ("after", "once")], |step| Some(if step == 280 { STALE } else { 3.0 }));
    add(all, &[("__name__", "stale"), ("after", "all")], |_| Some(STALE));
    add(all, &[("__name__", "lonely")], |step| (step == 290).then_some(42.0));
    add(all, &[("__name__", "couple")], |step| matches!(step, 285 | 292).then_some(step as f64));
    let jitter = |step: usize| time_ms(step) + (noise(9, step) * 14_000.0) as i64;
    add_at(all, &[("__name__", "jittered_total")], |step| Some((jitter(step), step as f64 * 3.0)));
    add_at(all, &[("__name__", "jittered")], |step| Some((jitter(step), noise(8, step))));
    // Two names that take turns: dropping the name makes them one series without a conflict, mostly.
    add(all, &[("__name__", "turn_a"), ("x", "1")], |step| Some(if step % 100 == 50 { STALE } else { 1.0 }));
    let second = |step: usize| (step % 100 > 50).then_some(if step % 100 == 99 { STALE } else { 2.0 });
    add(all, &[("__name__", "turn_b"), ("x", "1")], second);
}

fn histograms(all: &mut Vec<Series>) {
    let bounds = ["0.005", "0.05", "0.1", "0.5", "1", "5", "+Inf"];
    for (p, path) in ["/", "/login", "/search"].into_iter().enumerate() {
        for (b, le) in bounds.into_iter().enumerate() {
            let share = (b + 1 + p) as f64 / (bounds.len() + p) as f64;
            let labels = [("__name__", "latency_seconds_bucket"), ("path", path), ("le", le)];
            add(all, &labels, |step| Some((step as f64 * 10.0 * share * share).floor()));
        }
        add(all, &[("__name__", "latency_seconds_count"), ("path", path)], |step| Some(step as f64 * 10.0));
        add(all, &[("__name__", "latency_seconds_sum"), ("path", path)], |step| Some(step as f64 * 2.75));
    }
    // Buckets that fall, lack +Inf, have an odd bound, or are empty.
    for (kind, buckets) in [
        ("falls", &[("0.1", 5.0), ("1", 3.0), ("10", 8.0), ("+Inf", 8.0)][..]),
        ("no_inf", &[("0.1", 1.0), ("1", 2.0)]),
        ("odd_bound", &[("0.1", 1.0), ("x", 2.0), ("+Inf", 3.0)]),
        ("empty", &[("0.1", 0.0), ("1", 0.0), ("+Inf", 0.0)]),
        ("negative", &[("-5", 2.0), ("-1", 6.0), ("0", 7.0), ("+Inf", 9.0)]),
        ("one", &[("+Inf", 3.0)]),
        ("twice", &[("1", 1.0), ("1.0", 2.0), ("+Inf", 4.0)]),
    ] {
        for (le, count) in buckets {
            let labels = [("__name__", "odd_bucket"), ("kind", kind), ("le", *le)];
            add(all, &labels, |step| Some(count * (1.0 + (step / 60) as f64)));
        }
    }
}

/// Sends everything to a receiver of remote writes, slice by slice in the order of time.
pub(crate) fn send(series: &[Series], url: &str) {
    let (mut request, mut body) = (WriteRequestBuilder::default(), Vec::new());
    for first in (0..STEPS).step_by(STEPS_A_REQUEST) {
        let (from_ms, to_ms) = (time_ms(first), time_ms(first + STEPS_A_REQUEST));
        request.clear();
        for Series { labels, samples } in series {
            let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let mine: Vec<_> = samples.iter().copied().filter(|(t, _)| (from_ms..to_ms).contains(t)).collect();
            if !mine.is_empty() {
                request.series(&labels, &mine);
            }
        }
        request.compress(&mut body);
        let answer = post(url, &[PROTOBUF, SNAPPY, VERSION], &body).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!((200..300).contains(&answer.status), "{url}: {} {}", answer.status, answer.body);
    }
}
