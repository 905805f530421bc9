//! The highest rate at which nothing is lost, found by itself, beside what brubeck reached.
//!
//! The rate is doubled until something is lost or the sender cannot follow, then the step is halved between the two. The
//! rate found is sent again for longer, and lowered until nothing is lost in that either: a window ends in it.
//!
//! Not here: what is sent (see `datagrams`).
//!
//! Invariant: a rate counts by what was sent in the time it took, not by what was asked for.

use anyhow::{Context, Result};
use serde::Serialize;

use super::datagrams::Datagrams;
use super::{Counted, settled};
use crate::cli::StatsdArgs;
use crate::http::Client;
use crate::meter::Stopwatch;
use crate::process_stats::{cpu_s, machine};
use crate::report::{figures, grouped, print_json};
use crate::server_process::Server;

/// Rate tried first, in metrics a second, for each metric of a datagram.
const FROM_PER_PACKET: f64 = 50_000.0;
/// Seconds of a try.
const SECONDS: f64 = 2.0;
/// How often the step is halved once a rate was too high.
const HALVINGS: usize = 6;
/// Seconds for which the rate found has to hold, and the share it is lowered to while it does not.
const CONFIRM_SECONDS: f64 = 12.0;
const LOWER: f64 = 0.93;
const CONFIRMATIONS: usize = 8;
/// A sender that reaches less than this share of the rate is the slower side.
const FOLLOWS: f64 = 0.9;

/// Figures published earlier for brubeck on two cores shared with the sender; Debian has no package to run beside ours.
struct Published {
    per_packet: usize,
    series: usize,
    cpu_s_per_million: &'static str,
    metrics_per_s: Option<f64>,
}

const BRUBECK: [Published; 3] = [
    Published { per_packet: 20, series: 1_000, cpu_s_per_million: "0.09", metrics_per_s: None },
    Published { per_packet: 20, series: 100_000, cpu_s_per_million: "0.19", metrics_per_s: Some(4.7e6) },
    Published { per_packet: 1, series: 1_000, cpu_s_per_million: "1.0-1.2", metrics_per_s: None },
];

/// One rate that was tried.
#[derive(Debug, Clone, Serialize)]
struct Tried {
    asked_per_s: f64,
    sent_per_s: f64,
    lost: i64,
    cpu_s_per_million: f64,
}

/// What the search came to.
#[derive(Debug, Serialize)]
struct Found {
    machine: String,
    series: usize,
    per_packet: usize,
    senders: usize,
    /// Metrics a second without a loss.
    metrics_per_s: f64,
    cpu_s_per_million: f64,
    /// Whether the sender could send no faster, so that the server's limit lies higher.
    is_senders_limit: bool,
}

/// Runs the search; whether there is a rate without a loss.
///
/// # Errors
/// When the server cannot be reached.
pub(super) fn run(args: &StatsdArgs, datagrams: &Datagrams, server: &Server) -> Result<bool> {
    let try_at = |rate: f64, seconds: f64| -> Result<Tried> {
        let tried = attempt(args, datagrams, server, rate, seconds)?;
        if !args.json {
            let (asked, sent) = (grouped(rate as i64), grouped(tried.sent_per_s as i64));
            let (lost, cpu_s) = (grouped(tried.lost), figures(tried.cpu_s_per_million));
            println!("{asked:>12}/s for {seconds} s: {sent:>12}/s sent, {lost:>9} lost, {cpu_s} CPU-s per million");
        }
        Ok(tried)
    };
    let from = FROM_PER_PACKET * args.per_packet as f64;
    let Some((mut rate, is_senders_limit)) = search(from, |rate| try_at(rate, SECONDS))? else {
        println!("every rate lost something");
        return Ok(false);
    };
    for _ in 0..CONFIRMATIONS {
        let tried = try_at(rate, CONFIRM_SECONDS)?;
        if tried.lost == 0 {
            tell(args, &tried, is_senders_limit)?;
            return Ok(true);
        }
        rate *= LOWER;
    }
    println!("no rate held for {CONFIRM_SECONDS} s");
    Ok(false)
}

/// The highest rate without a loss, and whether the sender was the slower side.
fn search(from: f64, mut try_at: impl FnMut(f64) -> Result<Tried>) -> Result<Option<(f64, bool)>> {
    let (mut good, mut bad, mut rate, mut halvings) = (None::<f64>, None::<f64>, from, 0);
    while halvings < HALVINGS {
        let tried = try_at(rate)?;
        if tried.lost == 0 {
            if tried.sent_per_s < FOLLOWS * rate {
                return Ok(Some((tried.sent_per_s, true)));
            }
            good = Some(rate);
        } else {
            bad = Some(tried.sent_per_s.min(rate));
        }
        halvings += usize::from(bad.is_some());
        rate = match (good, bad) {
            (good, Some(bad)) => (good.unwrap_or(0.0) + bad) / 2.0,
            (_, None) => 2.0 * rate,
        };
    }
    Ok(good.map(|good| (good, false)))
}

fn attempt(args: &StatsdArgs, datagrams: &Datagrams, server: &Server, rate: f64, seconds: f64) -> Result<Tried> {
    let mut client = Client::new(server.address());
    let before = settled(&mut client, server.address(), Counted::default(), |_| false)?;
    let packets = (rate * seconds) as usize / args.per_packet;
    let sent = (packets * args.per_packet) as i64;
    let cpu_before_s = cpu_s(server.pid())?;
    let watch = Stopwatch::start();
    let address = server.statsd().context("the server hears no StatsD")?;
    datagrams.send(packets, Some(rate), args.senders, address)?;
    let elapsed_s = watch.elapsed_s();
    let counted = settled(&mut client, server.address(), before, |now| now.accounts.received == sent)?;
    let cpu_s = cpu_s(server.pid())? - cpu_before_s;
    Ok(Tried {
        asked_per_s: rate,
        sent_per_s: sent as f64 / elapsed_s,
        lost: sent - counted.accounts.received,
        cpu_s_per_million: cpu_s / (counted.accounts.received.max(1) as f64 / 1e6),
    })
}

fn tell(args: &StatsdArgs, tried: &Tried, is_senders_limit: bool) -> Result<()> {
    let (metrics_per_s, cpu_s_per_million) = (tried.sent_per_s, tried.cpu_s_per_million);
    let StatsdArgs { series, per_packet, senders, .. } = *args;
    if args.json {
        return print_json(&Found {
            machine: machine(),
            series,
            per_packet,
            senders,
            metrics_per_s,
            cpu_s_per_million,
            is_senders_limit,
        });
    }
    println!("{}", machine());
    let whose = if is_senders_limit { ", as fast as was sent" } else { "" };
    let (rate, cpu_s) = (grouped(metrics_per_s as i64), figures(cpu_s_per_million));
    println!("infrawatch: {rate} metrics/s without a loss{whose}, {cpu_s} CPU-s per million");
    if let Some(peer) = BRUBECK.iter().find(|peer| (peer.per_packet, peer.series) == (per_packet, series)) {
        let rate = peer.metrics_per_s.map_or("-".to_owned(), |rate| grouped(rate as i64));
        println!("brubeck, as published: {rate} metrics/s, {} CPU-s per million", peer.cpu_s_per_million);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the search makes of a server that loses above `limit` and a sender that reaches no more than `reach`.
    fn found(limit: f64, reach: f64) -> Option<(f64, bool)> {
        let try_at = |rate: f64| {
            let sent_per_s = rate.min(reach);
            Ok(Tried { asked_per_s: rate, sent_per_s, lost: i64::from(sent_per_s > limit), cpu_s_per_million: 0.0 })
        };
        search(1e6, try_at).unwrap()
    }

    #[test]
    fn the_limit_is_found_from_below_or_above_within_a_few_hundredths() {
        for limit in [0.3e6, 0.9e6, 1.7e6, 5.3e6, 30e6] {
            let (rate, is_senders) = found(limit, f64::INFINITY).unwrap();
            assert!(rate <= limit && rate > 0.9 * limit && !is_senders, "{limit}: {rate}");
        }
    }

    #[test]
    fn a_sender_that_cannot_follow_ends_the_search() {
        assert_eq!(found(9e6, 3e6), Some((3e6, true)));
        assert_eq!(found(0.0, 3e6), None);
    }
}
