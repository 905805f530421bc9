//! What the process uses, read from `/proc/self`, under the names every Prometheus client library gives it.
//!
//! Not here: anything about other processes or the machine.

use std::fs;

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// Clock ticks a second in `/proc`, fixed by the kernel's interface to user space.
const TICKS_PER_S: f64 = 100.0;

/// Calls `each` with name, kind, help and value of every figure the system gives.
pub(super) fn write(mut each: impl FnMut(&str, Kind, &str, f64)) {
    if let Some(cpu_s) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
        each("process_cpu_seconds_total", Kind::Counter, "User and system time spent, in seconds.", cpu_s);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = status_kib(&status, "VmRSS:") {
        each("process_resident_memory_bytes", Kind::Gauge, "Resident memory in bytes.", kib * 1024.0);
    }
    if let Some(kib) = status_kib(&status, "VmSize:") {
        each("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory in bytes.", kib * 1024.0);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        each("process_open_fds", Kind::Gauge, "Open file descriptors.", entries.count() as f64);
    }
}

/// User and system time from `/proc/PID/stat`; the command in parentheses may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S)
}

fn status_kib(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_command_with_spaces() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(status_kib("VmSize:\t  20 kB\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let mut found = Vec::new();
        write(|name, _, _, value| found.push((name.to_owned(), value)));
        let value = |name: &str| found.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        assert!(value("process_resident_memory_bytes").unwrap() > 0.0);
        assert!(value("process_open_fds").unwrap() > 0.0);
    }
}
