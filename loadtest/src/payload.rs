//! A payload is a scenario cut into requests: which series and steps each carries, and its bytes on the wire.
//!
//! Not here: what the series are (see `fleet`), the message (see `remote_write_message`), sending (see `sender`).
//!
//! Invariant: the requests carry every sample exactly once, and a request that continues another's series says so.

use std::ops::Range;

use anyhow::Result;

use crate::fleet::Fleet;
use crate::remote_write_message::Message;
use crate::scenario::{Order, Scenario};

/// Where remote write is taken in.
pub(crate) const WRITE_PATH: &str = "/api/v1/write";

/// What one request carries: every one of `series`, each with its samples `samples`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// Series numbers.
    pub(crate) series: Range<usize>,
    /// Numbers of the samples within each series.
    pub(crate) samples: Range<usize>,
    /// Samples in the requests before this one.
    pub(crate) samples_before: usize,
    /// The request with the previous samples of the same series; it has to be acknowledged first.
    pub(crate) after: Option<usize>,
}

impl Request {
    /// Samples carried.
    pub(crate) fn len(&self) -> usize {
        self.series.len() * self.samples.len()
    }
}

/// A load, ready to be encoded.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    /// The series.
    pub(crate) fleet: Fleet,
    /// The requests, in the order of sending.
    pub(crate) requests: Vec<Request>,
    /// Series in all.
    pub(crate) series: usize,
    /// Samples of each series.
    pub(crate) samples: usize,
    live: usize,
    first_step: usize,
    origin_ms: i64,
    step_ms: i64,
}

impl Payload {
    /// The payload of a scenario whose last samples stand at or up to one step before `end_ms`.
    pub(crate) fn ending_at(scenario: &Scenario, end_ms: i64) -> Payload {
        let last_step = i64::try_from(scenario.total_steps() - 1).expect("steps fit 63 bits");
        let last_ms = end_ms - end_ms.rem_euclid(scenario.step_ms);
        Payload::starting_at(scenario, last_ms - last_step * scenario.step_ms, 0)
    }

    /// The payload of a scenario as a part of a longer load: step 0 of that load stands at `origin_ms` and this part
    /// begins with `first_step`.
    pub(crate) fn starting_at(scenario: &Scenario, origin_ms: i64, first_step: usize) -> Payload {
        Payload {
            fleet: Fleet::new(scenario.seed, scenario.live(), scenario.specials)
                .with_series_per_host(scenario.series_per_host),
            requests: cut(scenario),
            series: scenario.series,
            samples: scenario.samples,
            live: scenario.live(),
            first_step,
            origin_ms,
            step_ms: scenario.step_ms,
        }
    }

    /// Milliseconds between the samples of a series.
    pub(crate) fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// Samples in all.
    pub(crate) fn total_samples(&self) -> usize {
        self.series * self.samples
    }

    /// Time stamp and value of one sample of a series.
    pub(crate) fn sample(&self, series: usize, sample: usize) -> (i64, f64) {
        let step = self.first_step + series / self.live * self.samples + sample;
        let offset_ms = i64::try_from(step).expect("steps fit 63 bits") * self.step_ms;
        (self.origin_ms + offset_ms, self.fleet.value(series, step))
    }

    /// Time stamps of the first and the last sample of all.
    pub(crate) fn span_ms(&self) -> (i64, i64) {
        (self.sample(0, 0).0, self.sample(self.series - 1, self.samples - 1).0)
    }

    /// The whole HTTP request for the request of that number: head and compressed body.
    ///
    /// # Errors
    /// When the message is too long for snappy (4 GiB).
    pub(crate) fn http_request(&self, index: usize, path: &str, scratch: &mut Message) -> Result<Vec<u8>> {
        let request = &self.requests[index];
        scratch.clear();
        for series in request.series.clone() {
            let samples = request.samples.clone().map(|sample| self.sample(series, sample));
            scratch.add_series(&self.fleet.labels(series), samples);
        }
        scratch.http_request(path)
    }
}

/// Cuts a scenario into requests, generation of live series after generation.
fn cut(scenario: &Scenario) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut samples_before = 0;
    let mut push = |series: Range<usize>, samples: Range<usize>, distance: usize| {
        // The previous samples of the same series lie `distance` requests back, unless these are the first.
        let after = (samples.start > 0).then(|| requests.len() - distance);
        let request = Request { series, samples, samples_before, after };
        samples_before += request.len();
        requests.push(request);
    };
    for start in (0..scenario.series).step_by(scenario.live()) {
        let generation = start..(start + scenario.live()).min(scenario.series);
        match scenario.order {
            Order::Time => {
                let blocks = blocks(&generation, scenario);
                for sample in 0..scenario.samples {
                    blocks.iter().for_each(|block| push(block.clone(), sample..sample + 1, blocks.len()));
                }
            }
            Order::Series => {
                let series_at_once = (scenario.per_request / scenario.samples).max(1);
                for block in chunks(&generation, series_at_once) {
                    let samples = chunks(&(0..scenario.samples), scenario.per_request);
                    samples.into_iter().for_each(|samples| push(block.clone(), samples, 1));
                }
            }
        }
    }
    requests
}

/// The series of a generation as they are sent at each step: full requests, but one for each connection at least.
fn blocks(generation: &Range<usize>, scenario: &Scenario) -> Vec<Range<usize>> {
    let share = generation.len().div_ceil(scenario.connections);
    chunks(generation, scenario.per_request.min(share))
}

fn chunks(range: &Range<usize>, len: usize) -> Vec<Range<usize>> {
    range.clone().step_by(len).map(|start| start..(start + len).min(range.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        toml::from_str::<Scenario>(text).unwrap().checked().unwrap()
    }

    fn bytes(seed: u64) -> Vec<Vec<u8>> {
        let payload =
            Payload::ending_at(&scenario(&format!("series = 150\nsamples = 3\nseed = {seed}")), 1_700_000_000_000);
        let mut scratch = Message::default();
        (0..payload.requests.len()).map(|i| payload.http_request(i, WRITE_PATH, &mut scratch).unwrap()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }

    #[test]
    fn every_sample_is_carried_once_and_after_its_predecessor() {
        for text in [
            "series = 25\nsamples = 7\nper_request = 10\nconnections = 2",
            "series = 25\nsamples = 7\nper_request = 10\nlive_series = 8\nconnections = 3",
            "series = 25\nsamples = 7\nper_request = 20\norder = \"series\"",
            "series = 25\nsamples = 7\nper_request = 3\norder = \"series\"\nlive_series = 11",
        ] {
            let scenario = scenario(text);
            let mut carrier = vec![None; scenario.series * scenario.samples];
            let mut samples_before = 0;
            for (index, request) in cut(&scenario).iter().enumerate() {
                assert_eq!(request.samples_before, samples_before, "{text}");
                assert!(request.len() <= scenario.per_request, "{text}");
                samples_before += request.len();
                for (series, sample) in
                    request.series.clone().flat_map(|s| request.samples.clone().map(move |t| (s, t)))
                {
                    let previous = (sample > request.samples.start).then_some(index);
                    let expected = if sample == 0 { None } else { previous.or(request.after) };
                    assert!(sample == 0 || carrier[series * 7 + sample - 1] == expected, "{text}: {request:?}");
                    assert_eq!(carrier[series * 7 + sample].replace(index), None, "{text}: {request:?}");
                }
            }
            assert!(carrier.iter().all(Option::is_some), "{text}");
        }
    }

    #[test]
    fn few_series_still_give_each_connection_a_request() {
        let requests = cut(&scenario("series = 10\nsamples = 1\nconnections = 4"));
        assert_eq!(requests.iter().map(Request::len).collect::<Vec<_>>(), [3, 3, 3, 1]);
    }

    #[test]
    fn a_request_holds_the_next_series_at_one_time_stamp() {
        let requests = cut(&scenario("series = 5000\nsamples = 2\nconnections = 2"));
        let carried: Vec<_> = requests.iter().map(|r| (r.series.clone(), r.samples.clone(), r.after)).collect();
        assert_eq!(carried[0], (0..2000, 0..1, None));
        assert_eq!(carried[2], (4000..5000, 0..1, None));
        assert_eq!(carried[3], (0..2000, 1..2, Some(0)));
        assert_eq!(carried.len(), 6);
    }

    #[test]
    fn time_stamps_end_at_the_last_step_before_the_end() {
        let payload = Payload::ending_at(&scenario("series = 20\nsamples = 4\nlive_series = 10"), 1_000_000_007);
        assert_eq!(payload.span_ms(), (999_990_000 - 7 * 15_000, 999_990_000));
        assert_eq!(payload.sample(9, 3).0 + 15_000, payload.sample(10, 0).0, "generations follow each other");
    }

    #[test]
    fn a_request_is_a_head_and_a_snappy_body_of_the_declared_length() {
        let request = &bytes(1)[0];
        let head_len = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let (head, body) = request.split_at(head_len);
        assert!(String::from_utf8_lossy(head).contains(&format!("Content-Length: {}\r\n", body.len())));
        let message = snap::raw::Decoder::new().decompress_vec(body).unwrap();
        assert_eq!(message[0], 0x0a, "field 1: a time series");
    }
}
