//! The peer: Debian's prometheus-snmp-exporter asks the same simulated devices, and its processor time is taken.
//!
//! Not here: our own figures (see `run`).
//!
//! Invariants: it is asked for the tables and the time that its own default module for interfaces has, every device once;
//! it does not outlive the measurement.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::http::{Address, Client};
use crate::meter::Stopwatch;
use crate::process_stats::cpu_s;
use crate::server_process::free_port;

const PACKAGE: &str = "prometheus-snmp-exporter";
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Devices that are asked before the time is taken, and by so many at a time.
const WARM_UP: usize = 20;
const AT_ONCE: usize = 4;

/// What it took.
#[derive(Debug, Serialize)]
pub(super) struct ExporterReport {
    pub(super) devices: usize,
    pub(super) cpu_s_per_1000: f64,
    pub(super) devices_per_cpu_s: f64,
    /// Our devices per second of processor time over its own: of the whole server, which also stores and scores.
    pub(super) ours_over_its: f64,
    /// Samples that one scrape gave.
    pub(super) samples_per_scrape: usize,
}

/// Counters and gauges of a device's interface tables: name, column, type.
const IF_TABLE: [(&str, u32, &str); 14] = [
    ("ifType", 3, "gauge"),
    ("ifMtu", 4, "gauge"),
    ("ifSpeed", 5, "gauge"),
    ("ifAdminStatus", 7, "gauge"),
    ("ifOperStatus", 8, "gauge"),
    ("ifLastChange", 9, "gauge"),
    ("ifInOctets", 10, "counter"),
    ("ifInUcastPkts", 11, "counter"),
    ("ifInDiscards", 13, "counter"),
    ("ifInErrors", 14, "counter"),
    ("ifOutOctets", 16, "counter"),
    ("ifOutUcastPkts", 17, "counter"),
    ("ifOutDiscards", 19, "counter"),
    ("ifOutErrors", 20, "counter"),
];
const IF_X_TABLE: [(&str, u32, &str); 14] = [
    ("ifInMulticastPkts", 2, "counter"),
    ("ifInBroadcastPkts", 3, "counter"),
    ("ifOutMulticastPkts", 4, "counter"),
    ("ifOutBroadcastPkts", 5, "counter"),
    ("ifHCInOctets", 6, "counter"),
    ("ifHCInUcastPkts", 7, "counter"),
    ("ifHCInMulticastPkts", 8, "counter"),
    ("ifHCInBroadcastPkts", 9, "counter"),
    ("ifHCOutOctets", 10, "counter"),
    ("ifHCOutUcastPkts", 11, "counter"),
    ("ifHCOutMulticastPkts", 12, "counter"),
    ("ifHCOutBroadcastPkts", 13, "counter"),
    ("ifHighSpeed", 15, "gauge"),
    ("ifCounterDiscontinuityTime", 19, "gauge"),
];
/// Columns whose texts are labels: ifDescr, ifName, ifAlias.
const LABELS: [(&str, &str); 3] =
    [("ifDescr", "1.3.6.1.2.1.2.2.1.2"), ("ifName", "1.3.6.1.2.1.31.1.1.1.1"), ("ifAlias", "1.3.6.1.2.1.31.1.1.1.18")];

fn module() -> String {
    let mut text = String::from(
        "if_mib:\n  version: 2\n  walk: [1.3.6.1.2.1.2, 1.3.6.1.2.1.31.1.1]\n  get: [1.3.6.1.2.1.1.3.0]\n  metrics:\n  \
         - {name: sysUpTime, oid: 1.3.6.1.2.1.1.3, type: gauge}\n",
    );
    let lookups: Vec<String> = LABELS
        .iter()
        .map(|(name, oid)| format!("{{labels: [ifIndex], labelname: {name}, oid: {oid}, type: DisplayString}}"))
        .collect();
    let lookups = lookups.join(", ");
    let tables = [("1.3.6.1.2.1.2.2.1", &IF_TABLE), ("1.3.6.1.2.1.31.1.1.1", &IF_X_TABLE)];
    for (name, oid, kind) in
        tables.iter().flat_map(|(table, columns)| columns.iter().map(move |(n, c, k)| (n, format!("{table}.{c}"), k)))
    {
        text.push_str(&format!(
            "  - {{name: {name}, oid: {oid}, type: {kind}, indexes: [{{labelname: ifIndex, type: gauge}}], \
             lookups: [{lookups}]}}\n"
        ));
    }
    text
}

/// The running exporter.
struct Exporter {
    child: Child,
    address: Address,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Exporter {
    fn start(folder: &Path) -> Result<Exporter> {
        let config = folder.join("snmp.yml");
        fs::write(&config, module()).context("the exporter's module")?;
        let authority = format!("127.0.0.1:{}", free_port()?);
        let child = Command::new(PACKAGE)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={authority}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{PACKAGE} is not installed: apt-get install {PACKAGE}"))?;
        let exporter = Exporter { child, address: Address::parse(&format!("http://{authority}"))? };
        let watch = Stopwatch::start();
        while Client::new(&exporter.address).fetch(&exporter.address.get("/", &[])).is_err() {
            ensure!(watch.elapsed() < READY_TIMEOUT, "{PACKAGE} is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(exporter)
    }

    /// Asks for each device once; the samples of all.
    fn scrape(&self, devices: &[SocketAddr]) -> Result<usize> {
        let next = AtomicUsize::new(0);
        let ask = || -> Result<usize> {
            let mut client = Client::new(&self.address);
            let mut samples = 0;
            while let Some(device) = devices.get(next.fetch_add(1, Ordering::Relaxed)) {
                let target = device.to_string();
                let body = client.fetch(&self.address.get("/snmp", &[("target", &target), ("module", "if_mib")]))?;
                let is_sample = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
                samples += body.split(|byte| *byte == b'\n').filter(is_sample).count();
            }
            Ok(samples)
        };
        scope(|scope| {
            let asking: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask)).collect();
            let mut samples = 0;
            for one in asking {
                match one.join() {
                    Ok(asked) => samples += asked?,
                    Err(_) => bail!("a thread that asked the exporter panicked"),
                }
            }
            Ok(samples)
        })
    }
}

/// Has the exporter ask every device once; `our_cpu_s_per_1000` is what the same costs us.
///
/// # Errors
/// When it is not installed, does not start, or a device cannot be asked.
pub(super) fn measure(devices: &[SocketAddr], folder: &Path, our_cpu_s_per_1000: f64) -> Result<ExporterReport> {
    let exporter = Exporter::start(folder)?;
    exporter.scrape(&devices[..devices.len().min(WARM_UP)])?;
    let before_s = cpu_s(exporter.child.id())?;
    let samples = exporter.scrape(devices)?;
    let cpu_s_per_1000 = (cpu_s(exporter.child.id())? - before_s) / devices.len() as f64 * 1000.0;
    Ok(ExporterReport {
        devices: devices.len(),
        cpu_s_per_1000,
        devices_per_cpu_s: 1000.0 / cpu_s_per_1000,
        ours_over_its: cpu_s_per_1000 / our_cpu_s_per_1000,
        samples_per_scrape: samples / devices.len().max(1),
    })
}
