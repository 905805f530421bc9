//! Sends a payload over several connections, one thread each, and notes what was acknowledged and how soon.
//!
//! Threads: `connection-0..n` send; `builder` encodes ahead of them when the requests would not fit in memory.
//! Not here: what the requests hold (see `payload`), reading back (see `verify`).
//!
//! Invariant: a request is sent only after the one with the previous samples of its series was answered, so the
//! samples of a series arrive in order whichever connections carry them.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex};
use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::http::{Address, Client, Response};
use crate::meter::{Latencies, Stopwatch};
use crate::payload::{Payload, Request};
use crate::remote_write_message::Message;

/// Requests that take more than this together are built while sending.
const PREBUILT_BYTES_MAX: usize = 1 << 30;
/// Requests built ahead in that case.
const RING_REQUESTS: usize = 256;
/// How often a request is sent before the run is given up.
const ATTEMPTS_MAX: usize = 20;
/// Pause before the next attempt when the server does not name one.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The requests of a payload.
pub(crate) enum Requests {
    /// All of them, built before the clock starts.
    Prebuilt(Vec<Vec<u8>>),
    /// Too many for memory: built a little ahead of the sending, for this path.
    Ahead(String),
}

impl Requests {
    /// Builds the requests of a payload for a path, as far as memory allows.
    ///
    /// # Errors
    /// When a request cannot be encoded.
    pub(crate) fn build(payload: &Payload, path: &str) -> Result<Requests> {
        let mut scratch = Message::default();
        let first = payload.http_request(0, path, &mut scratch)?;
        if first.len().saturating_mul(payload.requests.len()) > PREBUILT_BYTES_MAX {
            return Ok(Requests::Ahead(path.to_owned()));
        }
        let all = (0..payload.requests.len()).map(|index| payload.http_request(index, path, &mut scratch));
        Ok(Requests::Prebuilt(all.collect::<Result<_>>()?))
    }
}

/// What to do when the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum OnBreak {
    /// Connect and send again; resending does no harm.
    Retry,
    /// End the run: the server was killed on purpose.
    Stop,
}

/// One run of sending.
pub(crate) struct Load<'a> {
    pub(crate) address: &'a Address,
    pub(crate) payload: &'a Payload,
    pub(crate) requests: &'a Requests,
    pub(crate) connections: usize,
    /// Samples per second; `None` is flat out. With a rate, latency counts from when a request was due.
    pub(crate) rate: Option<f64>,
    pub(crate) on_break: OnBreak,
}

/// What came of a run.
pub(crate) struct Outcome {
    /// For each request, whether it was answered 2xx.
    pub(crate) acknowledged: Vec<bool>,
    /// Requests that were answered with a status that forbids another attempt.
    pub(crate) refused_requests: usize,
    /// The first such answer.
    pub(crate) first_refusal: Option<String>,
    /// Attempts beyond the first.
    pub(crate) retries: usize,
    pub(crate) latencies: Latencies,
    /// From the first request sent to the last answer.
    pub(crate) elapsed_s: f64,
}

impl Outcome {
    /// Samples in acknowledged requests.
    pub(crate) fn acknowledged_samples(&self, payload: &Payload) -> usize {
        self.requests_with_fate(payload)
            .filter(|(_, acknowledged)| *acknowledged)
            .map(|(request, _)| request.len())
            .sum()
    }

    /// For each sample, at `series * samples + sample`, whether it was acknowledged.
    pub(crate) fn acknowledged_by_sample(&self, payload: &Payload) -> Vec<bool> {
        let mut flags = vec![false; payload.total_samples()];
        for (request, _) in self.requests_with_fate(payload).filter(|(_, acknowledged)| *acknowledged) {
            for series in request.series.clone() {
                let start = series * payload.samples;
                flags[start + request.samples.start..start + request.samples.end].fill(true);
            }
        }
        flags
    }

    fn requests_with_fate<'a>(&'a self, payload: &'a Payload) -> impl Iterator<Item = (&'a Request, bool)> {
        payload.requests.iter().zip(self.acknowledged.iter().copied())
    }
}

/// Sends everything and waits for the last answer.
///
/// # Errors
/// When a request finds no server after all attempts.
pub(crate) fn send(load: &Load) -> Result<Outcome> {
    let (built, builder_output) = sync_channel(RING_REQUESTS);
    let feed = match load.requests {
        Requests::Prebuilt(list) => Feed::Prebuilt { list, next: AtomicUsize::new(0) },
        Requests::Ahead(_) => Feed::Ahead(Mutex::new(builder_output)),
    };
    let gate = Gate::new(load.payload.requests.len());
    let watch = Stopwatch::start();
    let tallies = thread::scope(|scope| -> Result<Vec<Result<Tally>>> {
        if let Requests::Ahead(path) = load.requests {
            let (gate, payload) = (&gate, load.payload);
            let build = move || build_ahead(payload, path, gate, &built);
            Builder::new().name("builder".into()).spawn_scoped(scope, build).context("start the builder")?;
        }
        let spawn = |number: usize| {
            let run = || run_connection(load, &feed, &gate, &watch);
            Builder::new().name(format!("connection-{number}")).spawn_scoped(scope, run)
        };
        let threads: Vec<_> =
            (0..load.connections).map(spawn).collect::<io::Result<_>>().context("start a connection")?;
        Ok(threads.into_iter().map(|thread| thread.join().expect("a connection's thread does not panic")).collect())
    })?;
    let mut total = Tally::default();
    for tally in tallies {
        total.absorb(tally?);
    }
    Ok(Outcome {
        acknowledged: gate.into_acknowledged(),
        refused_requests: total.refused_requests,
        first_refusal: total.first_refusal,
        retries: total.retries,
        latencies: total.latencies,
        elapsed_s: total.last_answer_s,
    })
}

/// Hands each request to one connection, in order.
enum Feed<'a> {
    Prebuilt { list: &'a [Vec<u8>], next: AtomicUsize },
    Ahead(Mutex<Receiver<(usize, Vec<u8>)>>),
}

impl Feed<'_> {
    fn next(&self) -> Option<(usize, Cow<'_, [u8]>)> {
        match self {
            Feed::Prebuilt { list, next } => {
                let index = next.fetch_add(1, Ordering::Relaxed);
                list.get(index).map(|request| (index, Cow::Borrowed(request.as_slice())))
            }
            Feed::Ahead(receiver) => {
                let receiver = receiver.lock().expect("receiving does not panic");
                receiver.recv().ok().map(|(index, request)| (index, Cow::Owned(request)))
            }
        }
    }
}

fn build_ahead(payload: &Payload, path: &str, gate: &Gate, built: &SyncSender<(usize, Vec<u8>)>) {
    let mut scratch = Message::default();
    for index in 0..payload.requests.len() {
        let request = payload.http_request(index, path, &mut scratch).expect("the first request could be encoded");
        if gate.is_stopped() || built.send((index, request)).is_err() {
            return;
        }
    }
}

/// Keeps each request waiting for the one before it in the same series.
struct Gate {
    fates: Mutex<Vec<Fate>>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Acknowledged,
    Refused,
}

impl Gate {
    fn new(requests: usize) -> Gate {
        Gate { fates: Mutex::new(vec![Fate::Open; requests]), changed: Condvar::new(), stopped: AtomicBool::new(false) }
    }

    /// Waits until that request was answered, or everything is stopped.
    fn wait_for(&self, request: Option<usize>) {
        let Some(request) = request else { return };
        let fates = self.fates.lock().expect("holders of this lock do not panic");
        let waiting = |fates: &mut Vec<Fate>| fates[request] == Fate::Open && !self.is_stopped();
        drop(self.changed.wait_while(fates, waiting).expect("holders of this lock do not panic"));
    }

    fn answer(&self, request: usize, fate: Fate) {
        self.fates.lock().expect("holders of this lock do not panic")[request] = fate;
        self.changed.notify_all();
    }

    fn stop(&self) {
        let _fates = self.fates.lock().expect("holders of this lock do not panic");
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn into_acknowledged(self) -> Vec<bool> {
        let fates = self.fates.into_inner().expect("holders of this lock do not panic");
        fates.into_iter().map(|fate| fate == Fate::Acknowledged).collect()
    }
}

/// What one connection saw.
#[derive(Default)]
struct Tally {
    refused_requests: usize,
    first_refusal: Option<String>,
    retries: usize,
    latencies: Latencies,
    last_answer_s: f64,
}

impl Tally {
    fn absorb(&mut self, other: Tally) {
        self.refused_requests += other.refused_requests;
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
        self.retries += other.retries;
        self.latencies.absorb(other.latencies);
        self.last_answer_s = self.last_answer_s.max(other.last_answer_s);
    }
}

fn run_connection(load: &Load, feed: &Feed, gate: &Gate, watch: &Stopwatch) -> Result<Tally> {
    let mut client = Client::new(load.address);
    let mut tally = Tally::default();
    while let Some((index, bytes)) = feed.next() {
        let request = &load.payload.requests[index];
        gate.wait_for(request.after);
        if gate.is_stopped() {
            continue; // Takes the rest from the feed, so that its builder ends.
        }
        let mut sent = watch.elapsed();
        if let Some(rate) = load.rate {
            sent = Duration::from_secs_f64(request.samples_before as f64 / rate);
            watch.sleep_until(sent);
        }
        match exchange(&mut client, &bytes, load.on_break, &mut tally) {
            Ok(Some(fate)) => {
                let answered = watch.elapsed();
                tally.latencies.record(answered.saturating_sub(sent));
                tally.last_answer_s = answered.as_secs_f64();
                gate.answer(index, fate);
            }
            Ok(None) => gate.stop(),
            Err(error) => {
                gate.stop();
                return Err(error);
            }
        }
    }
    Ok(tally)
}

/// Sends a request until it has its final answer; `None` when the connection broke and that ends the run.
fn exchange(client: &mut Client, bytes: &[u8], on_break: OnBreak, tally: &mut Tally) -> Result<Option<Fate>> {
    let mut last = String::new();
    for attempt in 0..ATTEMPTS_MAX {
        tally.retries += usize::from(attempt > 0);
        let pause = match client.exchange(bytes) {
            Ok(response) if response.is_success() => return Ok(Some(Fate::Acknowledged)),
            Ok(response) if may_be_sent_again(&response) => {
                last = response.summary();
                response.retry_after_s.map_or(RETRY_PAUSE, |seconds| Duration::from_secs(seconds.min(5)))
            }
            Ok(response) => {
                tally.refused_requests += 1;
                tally.first_refusal.get_or_insert_with(|| response.summary());
                return Ok(Some(Fate::Refused));
            }
            Err(_) if on_break == OnBreak::Stop => return Ok(None),
            Err(error) => {
                last = error.to_string();
                RETRY_PAUSE
            }
        };
        thread::sleep(pause);
    }
    bail!("a request was not taken in {ATTEMPTS_MAX} attempts: {last}")
}

fn may_be_sent_again(response: &Response) -> bool {
    response.status == 429 || response.status >= 500
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::payload::WRITE_PATH;
    use crate::scenario::Scenario;

    const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

    /// A server whose n-th request of all gets `answer(n)`; `None` closes that connection instead.
    fn serve(answer: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::new((AtomicUsize::new(0), answer));
        let accept = move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                let handle = move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    while read_request(&mut stream) {
                        let Some(text) = (shared.1)(shared.0.fetch_add(1, Ordering::SeqCst)) else { return };
                        stream.get_mut().write_all(text.as_bytes()).unwrap();
                    }
                };
                Builder::new().spawn(handle).unwrap();
            }
        };
        Builder::new().spawn(accept).unwrap();
        address
    }

    fn read_request(stream: &mut impl BufRead) -> bool {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).unwrap() {
                0 => return false,
                2 => break,
                _ => {}
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        std::io::copy(&mut stream.take(length), &mut std::io::sink()).unwrap() == length
    }

    fn send_to(address: &Address, connections: usize, on_break: OnBreak) -> (Payload, Result<Outcome>) {
        let scenario = Scenario { series: 100, samples: 10, per_request: 50, connections, ..Scenario::default() };
        let payload = Payload::ending_at(&scenario, 1_700_000_000_000);
        let requests = Requests::build(&payload, WRITE_PATH).unwrap();
        let load = Load { address, payload: &payload, requests: &requests, connections, rate: None, on_break };
        let outcome = send(&load);
        (payload, outcome)
    }

    #[test]
    fn every_request_is_sent_once_and_timed() {
        let (payload, outcome) = send_to(&serve(|_| Some(OK)), 2, OnBreak::Retry);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.acknowledged_samples(&payload), 1000);
        assert!(outcome.acknowledged_by_sample(&payload).iter().all(|acknowledged| *acknowledged));
        assert_eq!((outcome.retries, outcome.refused_requests), (0, 0));
        assert_eq!(outcome.latencies.percentiles().count, 20);
    }

    #[test]
    fn a_busy_server_is_asked_again() {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
        let address = serve(move |number| Some(if number % 2 == 0 { busy } else { OK }));
        let (payload, outcome) = send_to(&address, 1, OnBreak::Retry);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.acknowledged_samples(&payload), outcome.retries), (1000, 20));
    }

    #[test]
    fn a_refused_request_is_not_sent_again_and_not_acknowledged() {
        let bad = "HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nlate";
        let (payload, outcome) =
            send_to(&serve(move |number| Some(if number == 3 { bad } else { OK })), 1, OnBreak::Retry);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.acknowledged_samples(&payload), 950);
        assert_eq!((outcome.refused_requests, outcome.first_refusal.as_deref()), (1, Some("400 late")));
        // The fourth request holds the series 50..100 of the second step.
        let flags = outcome.acknowledged_by_sample(&payload);
        assert_eq!((flags[49 * 10 + 1], flags[50 * 10 + 1], flags[50 * 10 + 2]), (true, false, true));
    }

    #[test]
    fn a_broken_connection_is_replaced_or_ends_the_run() {
        let breaks_once = || serve(|number| (number != 5).then_some(OK));
        let (payload, outcome) = send_to(&breaks_once(), 1, OnBreak::Retry);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.acknowledged_samples(&payload), outcome.retries), (1000, 1));
        let (payload, outcome) = send_to(&breaks_once(), 1, OnBreak::Stop);
        assert_eq!(outcome.unwrap().acknowledged_samples(&payload), 250);
    }

    #[test]
    fn requests_built_ahead_arrive_like_prebuilt_ones() {
        let scenario = Scenario { series: 100, samples: 10, per_request: 50, connections: 2, ..Scenario::default() };
        let payload = Payload::ending_at(&scenario, 1_700_000_000_000);
        for on_break in [OnBreak::Retry, OnBreak::Stop] {
            let address = serve(move |number| (on_break == OnBreak::Retry || number < 5).then_some(OK));
            let requests = Requests::Ahead(WRITE_PATH.to_owned());
            let load = Load {
                address: &address,
                payload: &payload,
                requests: &requests,
                connections: 2,
                rate: None,
                on_break,
            };
            let acknowledged = send(&load).unwrap().acknowledged_samples(&payload);
            assert_eq!(acknowledged, if on_break == OnBreak::Retry { 1000 } else { 250 });
        }
    }

    #[test]
    fn a_rate_spreads_the_requests_over_time() {
        let scenario = Scenario { series: 10, samples: 5, connections: 1, ..Scenario::default() };
        let payload = Payload::ending_at(&scenario, 1_700_000_000_000);
        let requests = Requests::build(&payload, WRITE_PATH).unwrap();
        let address = serve(|_| Some(OK));
        let rate = Some(1000.0);
        let load = Load {
            address: &address,
            payload: &payload,
            requests: &requests,
            connections: 1,
            rate,
            on_break: OnBreak::Retry,
        };
        // Five requests of 10 samples at 1000 a second: the last one is due after 40 ms.
        assert!(send(&load).unwrap().elapsed_s >= 0.040);
    }

    #[test]
    fn a_later_request_of_a_series_waits_for_the_earlier_one() {
        let gate = Gate::new(2);
        let (passed, passing) = sync_channel(1);
        thread::scope(|scope| {
            let second = || {
                gate.wait_for(Some(0));
                passed.send(()).unwrap();
            };
            Builder::new().spawn_scoped(scope, second).unwrap();
            assert!(passing.recv_timeout(Duration::from_millis(50)).is_err(), "nothing was answered yet");
            gate.answer(0, Fate::Refused);
            passing.recv().unwrap();
        });
    }
}
