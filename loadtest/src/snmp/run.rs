//! A run of the command: starts agents and server, lets them go on for some intervals, and reports.
//!
//! Not here: what agents do (see `agent`), what is right (see `truth`).
//!
//! Invariant: processor time is taken from the end of the warm-up, when every series exists, to the end of the last
//! interval, before anything is read back.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use protocols::snmp::Version;
use serde::Serialize;

use super::exporter::{self, ExporterReport};
use super::fault::{Fault, Pace};
use super::simulator::{Part, Simulator};
use super::truth::{Found, compare};
use crate::http::{Address, Client};
use crate::meter::Stopwatch;
use crate::metrics_page::{Accounts, sum_of};
use crate::process_stats::{cpu_s, machine, peak_rss_bytes, thread_cpu_s};
use crate::report::figures;
use crate::server_process::{ScratchDir, Server};
use crate::target::OwnServerArgs;

/// The server's thread that polls.
const POLLER: &str = "snmp-0";
/// Agents have threads of their own, so that more than this should be asked of several machines.
const DEVICES_MAX: usize = 10_000;
/// A device that starts again twice within a few seconds cannot be told from one with a slow clock.
const EVENT_MS_MIN: u64 = 14_000;
/// What is stored is complete by then.
const SETTLE: Duration = Duration::from_secs(2);

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AgentVersion {
    /// SNMPv1: a row at a time, 32-bit counters.
    V1,
    /// SNMPv2c.
    V2c,
    /// SNMPv3 with SHA-256 and AES-128.
    V3,
}

/// What is simulated, for how long, and how it is asked.
#[derive(Debug, Args)]
pub(crate) struct SnmpArgs {
    /// Devices in all
    #[arg(long, default_value_t = 1000)]
    devices: usize,
    /// Interfaces of a device
    #[arg(long, default_value_t = 48)]
    lines: u32,
    /// Seconds between two polls of a device
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    interval: f64,
    /// Intervals that are measured
    #[arg(long, default_value_t = 6)]
    intervals: u32,
    /// Intervals before that
    #[arg(long, default_value_t = 2)]
    warmup: u32,
    /// Milliseconds that the server waits for an answer
    #[arg(long, default_value_t = 2000, value_name = "MILLISECONDS")]
    timeout: u64,
    /// What is wrong with devices, in turn
    #[arg(long, value_enum, value_delimiter = ',', default_value = "none")]
    faults: Vec<Fault>,
    /// Every fault there is, in turn
    #[arg(long, conflicts_with = "faults")]
    all_faults: bool,
    /// Their versions, in turn
    #[arg(long, value_enum, value_delimiter = ',', default_value = "v2c")]
    versions: Vec<AgentVersion>,
    /// Decides what goes wrong and all counters
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Have Debian's prometheus-snmp-exporter ask the same devices afterwards (v2c only)
    #[arg(long)]
    beside_exporter: bool,
    #[command(flatten)]
    own: OwnServerArgs,
}

#[derive(Debug, Serialize)]
struct SnmpReport {
    machine: String,
    devices: usize,
    lines: u32,
    interval_s: f64,
    seed: u64,
    polled: i64,
    failed: i64,
    polled_per_interval: f64,
    datagrams_answered: u64,
    requests: i64,
    timeouts: i64,
    /// Of the thread that polls, per 1000 polls of a device.
    poller_cpu_s_per_1000: f64,
    devices_per_s_a_core: f64,
    /// Of the whole server: stored and scored.
    cpu_s_per_1000: f64,
    samples_per_poll: f64,
    /// The latest that a cycle began after it was due, over the whole run.
    late_ms_max: i64,
    peak_rss_bytes: u64,
    accounts: Accounts,
    accounting_law_holds: bool,
    rates_withheld: BTreeMap<String, i64>,
    equal: u64,
    wrong: u64,
    by_fault: BTreeMap<String, Found>,
    exporter: Option<ExporterReport>,
}

impl SnmpReport {
    fn is_good(&self) -> bool {
        self.wrong == 0 && self.equal > 0 && self.accounting_law_holds
    }
}

/// Runs the command; says whether no stored rate was wrong and the accounts are right.
///
/// # Errors
/// When the server or an agent cannot be started, or the server does not answer.
pub(crate) fn run(args: &SnmpArgs) -> Result<bool> {
    ensure!((1..=DEVICES_MAX).contains(&args.devices), "devices must be 1 to {DEVICES_MAX}");
    ensure!((1..=1000).contains(&args.lines), "lines must be 1 to 1000");
    let is_v2c = args.versions.iter().all(|version| *version == AgentVersion::V2c);
    ensure!(is_v2c || !args.beside_exporter, "the exporter is set up for v2c only");
    ensure!(args.interval >= 1.0 && args.intervals > 0, "interval and intervals must be at least 1");
    let interval_ms = (args.interval * 1000.0) as u64;
    let pace = Pace { event_ms: (6 * interval_ms).max(EVENT_MS_MIN), timeout_ms: args.timeout };
    let simulator = Simulator::start(&parts(args), args.lines, pace, args.seed)?;
    let scratch = ScratchDir::new()?;
    let (devices, settings) = (scratch.path().join("devices.toml"), scratch.path().join("settings.toml"));
    fs::write(&devices, simulator.devices_file()).context("the file of devices")?;
    let text = format!(
        "[snmp]\ndevices_file = {devices:?}\ninterval = \"{interval_ms}ms\"\ntimeout = \"{}ms\"\nretries = 1\n",
        args.timeout
    );
    fs::write(&settings, text).context("the settings")?;
    let server = args.own.start(["--config".into(), settings.into_os_string()], &scratch.path().join("data"))?;
    let mut report = measure(args, &simulator, &server)?;
    drop(server);
    if args.beside_exporter {
        let ours = report.cpu_s_per_1000;
        report.exporter = Some(exporter::measure(&simulator.addresses(), scratch.path(), ours)?);
    }
    args.own.print(&report, text_of)?;
    Ok(report.is_good())
}

fn parts(args: &SnmpArgs) -> Vec<Part> {
    let faults = if args.all_faults { Fault::value_variants().to_vec() } else { args.faults.clone() };
    let version = |number: usize| match args.versions[(number / faults.len()) % args.versions.len()] {
        AgentVersion::V1 => Version::V1,
        AgentVersion::V2c => Version::V2c,
        AgentVersion::V3 => Version::V3,
    };
    (0..args.devices).map(|number| Part { version: version(number), fault: faults[number % faults.len()] }).collect()
}

/// What the server has counted, and the time it has taken.
#[derive(Debug)]
struct Counted {
    page: String,
    poller_s: f64,
    all_s: f64,
}

impl Counted {
    fn now(address: &Address, pid: u32) -> Result<Counted> {
        let (poller_s, all_s) = (thread_cpu_s(pid, POLLER)?, cpu_s(pid)?);
        // The last connection may have been closed: much time goes by in between.
        let mut client = Client::new(address);
        let page = String::from_utf8_lossy(client.fetch(&address.get("/metrics", &[]))?).into_owned();
        Ok(Counted { page, poller_s, all_s })
    }

    fn of(&self, name: &str, label: &str) -> i64 {
        let wanted = format!("{name}{{{label}}}");
        let line = self.page.lines().find_map(|line| line.strip_prefix(&wanted));
        line.and_then(|value| value.trim().parse::<f64>().ok()).map_or(0, |value| value as i64)
    }

    fn cycles(&self, result: &str) -> i64 {
        self.of("infrawatch_snmp_cycles_total", &format!("result=\"{result}\""))
    }

    fn sum(&self, name: &str) -> i64 {
        sum_of(&self.page, name).unwrap_or(0)
    }

    /// How late a cycle began at worst, in milliseconds.
    fn latest_start_ms(&self) -> i64 {
        let mut lines = self.page.lines();
        let seconds = lines.find_map(|line| line.strip_prefix("infrawatch_snmp_late_seconds_max "));
        seconds
            .and_then(|value| value.trim().parse::<f64>().ok())
            .map_or(0, |seconds| (seconds * 1000.0).round() as i64)
    }
}

fn measure(args: &SnmpArgs, simulator: &Simulator, server: &Server) -> Result<SnmpReport> {
    let address = server.address();
    let watch = Stopwatch::start();
    let interval = Duration::from_secs_f64(args.interval);
    watch.sleep_until(interval * args.warmup);
    let before = Counted::now(address, server.pid())?;
    watch.sleep_until(interval * (args.warmup + args.intervals));
    let after = Counted::now(address, server.pid())?;
    std::thread::sleep(SETTLE);
    let settled = Counted::now(address, server.pid())?;
    let (mut client, mut by_fault) = (Client::new(address), BTreeMap::new());
    for known in &simulator.known {
        compare(&mut client, address, known, args.interval, &mut by_fault)?;
    }
    let accounts = Accounts::by_source(&settled.page).remove("snmp").context("the server polls nothing")?;
    let accounted = accounts_when_settled(&mut client, address)?;
    let polled = after.cycles("polled") - before.cycles("polled");
    let thousands = (polled.max(1)) as f64 / 1000.0;
    let poller_cpu_s_per_1000 = (after.poller_s - before.poller_s) / thousands;
    let rise = |name: &str| after.sum(name) - before.sum(name);
    let reasons = ["reset", "ambiguous", "implausible"];
    let withheld = |reason: &str| after.of("infrawatch_snmp_rates_withheld_total", &format!("reason=\"{reason}\""));
    let total = |count: fn(&Found) -> u64| by_fault.values().map(count).sum();
    Ok(SnmpReport {
        machine: machine(),
        devices: args.devices,
        lines: args.lines,
        interval_s: args.interval,
        seed: args.seed,
        polled,
        failed: after.cycles("failed") - before.cycles("failed"),
        polled_per_interval: polled as f64 / f64::from(args.intervals),
        datagrams_answered: simulator.answered.load(Ordering::Relaxed),
        requests: rise("infrawatch_snmp_requests_total"),
        timeouts: rise("infrawatch_snmp_timeouts_total"),
        poller_cpu_s_per_1000,
        devices_per_s_a_core: 1000.0 / poller_cpu_s_per_1000,
        cpu_s_per_1000: (after.all_s - before.all_s) / thousands,
        samples_per_poll: (accounts.received as f64) / (settled.cycles("polled").max(1)) as f64,
        late_ms_max: after.latest_start_ms(),
        peak_rss_bytes: peak_rss_bytes(server.pid())?,
        accounting_law_holds: accounted.law_holds(),
        accounts: accounted,
        rates_withheld: reasons.map(|reason| (reason.to_owned(), withheld(reason))).into(),
        equal: total(|found| found.equal),
        wrong: total(|found| found.wrong),
        by_fault,
        exporter: None,
    })
}

/// The accounts at an instant at which nothing is on its way.
fn accounts_when_settled(client: &mut Client, address: &Address) -> Result<Accounts> {
    let mut accounts = Accounts::default();
    for _ in 0..100 {
        let page = String::from_utf8_lossy(client.fetch(&address.get("/metrics", &[]))?).into_owned();
        accounts = Accounts::by_source(&page).remove("snmp").unwrap_or_default();
        if accounts.law_holds() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(accounts)
}

fn text_of(report: &SnmpReport) -> String {
    let mut out = format!(
        "{}\n{} devices of {} interfaces every {} s: {} polls, {} failed, {} a interval\n\
         poller: {} CPU-s per 1000 polls, {} devices/s on one core\n\
         stored and scored: {} CPU-s per 1000 polls, {} samples a poll\n\
         latest begin of a cycle: {} ms after it was due\n\
         rates stored: {} equal to the truth, {} wrong; withheld: {:?}\n",
        report.machine,
        report.devices,
        report.lines,
        report.interval_s,
        report.polled,
        report.failed,
        figures(report.polled_per_interval),
        figures(report.poller_cpu_s_per_1000),
        figures(report.devices_per_s_a_core),
        figures(report.cpu_s_per_1000),
        figures(report.samples_per_poll),
        report.late_ms_max,
        report.equal,
        report.wrong,
        report.rates_withheld,
    );
    if let Some(exporter) = &report.exporter {
        out.push_str(&format!(
            "prometheus-snmp-exporter: {} CPU-s per 1000 scrapes of {} samples, {} devices per CPU-s; \
             ours, stored and scored, is {} times that\n",
            figures(exporter.cpu_s_per_1000),
            exporter.samples_per_scrape,
            figures(exporter.devices_per_cpu_s),
            figures(exporter.ours_over_its),
        ));
    }
    for (fault, found) in &report.by_fault {
        out.push_str(&format!(
            "  {fault}: {} devices, {} equal, {} wrong, longest gap {} intervals\n",
            found.devices,
            found.equal,
            found.wrong,
            figures(found.longest_gap)
        ));
        found.examples.iter().for_each(|example| out.push_str(&format!("    {example}\n")));
    }
    out
}
