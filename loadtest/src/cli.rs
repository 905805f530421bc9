//! The command line of the load generator.
//!
//! Not here: what the commands do, nor the arguments of `scenario`, `claims`, `readers`, `snmp`, `soak` and `storm`, which stand with what they do.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::claims::ClaimsArgs;
use crate::meter::unix_ms;
use crate::payload::Payload;
use crate::plan::ScenarioArgs;
use crate::readers::ReadersArgs;
use crate::scenario::{Order, Scenario};
use crate::server_process::Peer;
use crate::snmp::SnmpArgs;
use crate::soak::SoakArgs;
use crate::storm::StormArgs;

/// Seeded, prebuilt load over real sockets, and the figures it gives.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write by remote write and say what it cost
    Write(WriteArgs),
    /// Write the same samples twice: the second time has to succeed and store nothing
    Resend(ResendArgs),
    /// Write, then time the usual queries
    Query(QueryArgs),
    /// Kill the server at random moments while writing and look for lost samples
    Crash(CrashArgs),
    /// Run the three reference loads and print a markdown table beside targets and peers
    Table(TableArgs),
    /// Send StatsD counters over UDP and compare the sums stored with those sent
    Statsd(StatsdArgs),
    /// Send more datagrams than the server's socket has room for and say where each went
    Flood(FloodArgs),
    /// Run several kinds of requests at once, each at its rate, and check the accounts of every source
    Scenario(ScenarioArgs),
    /// Measure what is promised of the whole program and print claim, target, figure and outcome
    Claims(ClaimsArgs),
    /// Write day after day of samples and watch memory, disk and health
    Soak(SoakArgs),
    /// Write beside stuck and heavy readers, and time small reads meanwhile
    Readers(ReadersArgs),
    /// Simulate devices that the server polls by SNMP, and compare every rate it stores with the truth
    Snmp(SnmpArgs),
    /// Make thousands of series anomalous at once, with receivers that answer and beside one that hangs
    Storm(StormArgs),
}

/// Which samples.
#[derive(Debug, Args, Default)]
pub(crate) struct PayloadArgs {
    /// Built-in scenario (steady, wide, churn, small) or TOML file; the other flags override it
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: Option<String>,
    /// Series in all [default: 10000]
    #[arg(long)]
    pub(crate) series: Option<usize>,
    /// Samples of each series [default: 600]
    #[arg(long)]
    pub(crate) samples: Option<usize>,
    /// Samples in a request, at most [default: 2000]
    #[arg(long)]
    pub(crate) per_request: Option<usize>,
    /// Connections that send in parallel [default: 4]
    #[arg(long)]
    pub(crate) connections: Option<usize>,
    /// Samples per second over all connections [default: flat out]
    #[arg(long, value_name = "SAMPLES_PER_S")]
    pub(crate) rate: Option<f64>,
    /// Same seed, same values and labels [default: 1]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// A tenth of the series live at a time, then others replace them
    #[arg(long)]
    pub(crate) churn: bool,
    /// In which order samples are sent [default: time]
    #[arg(long)]
    pub(crate) order: Option<Order>,
    /// Time of the last samples, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) end: Option<i64>,
}

impl PayloadArgs {
    /// The scenario with what the flags override.
    ///
    /// # Errors
    /// When there is no such scenario or it cannot be sent.
    pub(crate) fn scenario(&self) -> Result<Scenario> {
        let named = self.scenario.as_deref().map_or_else(|| Ok(Scenario::default()), Scenario::load)?;
        let series = self.series.unwrap_or(named.series);
        let live_series = if self.churn { Some(series.div_ceil(10)) } else { named.live_series };
        let scenario = Scenario {
            series,
            samples: self.samples.unwrap_or(named.samples),
            live_series,
            per_request: self.per_request.unwrap_or(named.per_request),
            connections: self.connections.unwrap_or(named.connections),
            rate: self.rate.or(named.rate),
            seed: self.seed.unwrap_or(named.seed),
            order: self.order.unwrap_or(named.order),
            ..named
        };
        scenario.checked()
    }

    /// The payload of a scenario, ending when asked for.
    pub(crate) fn payload(&self, scenario: &Scenario) -> Payload {
        Payload::ending_at(scenario, self.end.map_or_else(unix_ms, |seconds| seconds * 1000))
    }
}

/// Which server.
#[derive(Debug, Args, Default)]
pub(crate) struct TargetArgs {
    /// A server that already runs, as http://HOST:PORT[/PREFIX]; its process is not measured
    #[arg(long, conflicts_with_all = ["server", "peers", "peers_only"])]
    pub(crate) url: Option<String>,
    /// Binary of our server, started for the run [default: infrawatch beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Also start this peer, one after the other, and give it the same load; may be repeated
    #[arg(long = "peer", value_name = "PEER")]
    pub(crate) peers: Vec<Peer>,
    /// Leave our own server out
    #[arg(long)]
    pub(crate) peers_only: bool,
    /// Further arguments for our server
    #[arg(last = true, value_name = "SERVER_ARGS")]
    pub(crate) server_args: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do around the writing.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Seconds between the last acknowledgement and the final figures: background work counts too
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub(crate) drain_s: f64,
    /// Afterwards compact and measure the disk again (our server only)
    #[arg(long)]
    pub(crate) compact: bool,
    /// Afterwards read every sample back and compare it bit for bit
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResendArgs {
    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The samples are there already, from a run with the same arguments and --end
    #[arg(long, requires = "url", requires = "end")]
    pub(crate) no_write: bool,
    /// How often each query is asked
    #[arg(long, default_value_t = 50)]
    pub(crate) rounds: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CrashArgs {
    /// How often the server is killed
    #[arg(long, default_value_t = 20)]
    pub(crate) rounds: usize,
    /// Decides the values and the moments
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Series written in each round
    #[arg(long, default_value_t = 2000)]
    pub(crate) series: usize,
    /// Samples a series has in each round: more than the server takes before it is killed
    #[arg(long, default_value_t = 1000)]
    pub(crate) samples: usize,
    /// Samples in a request, at most
    #[arg(long, default_value_t = 500)]
    pub(crate) per_request: usize,
    /// Connections that send in parallel
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Binary of our server [default: infrawatch beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Further arguments for our server
    #[arg(last = true, value_name = "SERVER_ARGS")]
    pub(crate) server_args: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Divide the series of each load by this, to try the command out
    #[arg(long, default_value_t = 1)]
    pub(crate) shrink: usize,
}

#[derive(Debug, Args)]
pub(crate) struct StatsdArgs {
    /// Series, each sent in turn
    #[arg(long, default_value_t = 1000)]
    pub(crate) series: usize,
    /// Metrics to send, rounded up to whole datagrams
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) metrics: usize,
    /// Metrics in a datagram
    #[arg(long, default_value_t = 20)]
    pub(crate) per_packet: usize,
    /// Metrics per second [default: flat out]
    #[arg(long, value_name = "METRICS_PER_S")]
    pub(crate) rate: Option<f64>,
    /// Sockets and threads that send in parallel
    #[arg(long, default_value_t = 1)]
    pub(crate) senders: usize,
    /// Find the highest rate without a loss instead, by halving between rates of short runs
    #[arg(long, conflicts_with = "rate")]
    pub(crate) limit: bool,
    /// Same seed, same datagrams
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Binary of our server [default: infrawatch beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Further arguments for our server
    #[arg(last = true, value_name = "SERVER_ARGS")]
    pub(crate) server_args: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct FloodArgs {
    /// How long
    #[arg(long, default_value_t = 60.0)]
    pub(crate) seconds: f64,
    /// Sockets that send in parallel
    #[arg(long, default_value_t = 2)]
    pub(crate) senders: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Binary of our server [default: infrawatch beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Further arguments for our server
    #[arg(last = true, value_name = "SERVER_ARGS")]
    pub(crate) server_args: Vec<OsString>,
}

impl FloodArgs {
    /// Our server, started for the run.
    pub(crate) fn target(&self) -> TargetArgs {
        TargetArgs { server: self.server.clone(), server_args: self.server_args.clone(), ..TargetArgs::default() }
    }
}

impl StatsdArgs {
    /// Our server, started for the run.
    pub(crate) fn target(&self) -> TargetArgs {
        TargetArgs { server: self.server.clone(), server_args: self.server_args.clone(), ..TargetArgs::default() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn scenario(arguments: &str) -> Result<Scenario> {
        let cli = Cli::try_parse_from(["loadtest", "write"].into_iter().chain(arguments.split_whitespace()))?;
        match cli.command {
            Command::Write(args) => args.payload.scenario(),
            other => panic!("not a write: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_override_the_scenario() {
        let scenario = scenario("--scenario wide --samples 7 --rate 5e4 --seed 9 --order series").unwrap();
        let expected = Scenario {
            series: 100_000,
            samples: 7,
            rate: Some(5e4),
            seed: 9,
            order: Order::Series,
            ..Scenario::default()
        };
        assert_eq!(scenario, expected);
    }

    #[test]
    fn churn_keeps_a_tenth_alive() {
        assert_eq!(scenario("--series 95 --churn").unwrap().live_series, Some(10));
        assert_eq!(scenario("--scenario churn").unwrap().live_series, Some(50_000));
        assert_eq!(scenario("").unwrap().live_series, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in ["--series 0", "--order random", "--url http://h:1 --server x", "--peer influxdb", "--rate -1"]
        {
            assert!(scenario(arguments).is_err(), "{arguments}");
        }
    }
}
