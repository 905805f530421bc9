//! What a process used and what a directory occupies, as the kernel tells it.
//!
//! Not here: starting processes (see `server_process`).

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Identifies the clock tick frequency in the auxiliary vector (`AT_CLKTCK` of getauxval(3)).
const AT_CLKTCK: u64 = 17;

/// Seconds of processor time, user and system, that a process has used so far; children not included.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_s(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = cpu_ticks(&text).with_context(|| format!("{path}: no processor times in {text:?}"))?;
    Ok(ticks as f64 / ticks_per_second()? as f64)
}

/// Seconds of processor time that the threads of this name have used so far in a process.
///
/// # Errors
/// When there is no such process or thread.
pub(crate) fn thread_cpu_s(pid: u32, name: &str) -> Result<f64> {
    let folder = format!("/proc/{pid}/task");
    let mut ticks = None;
    for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
        // A thread that ends meanwhile is none of those looked for.
        let text = fs::read_to_string(entry.with_context(|| folder.clone())?.path().join("stat")).unwrap_or_default();
        if text.contains(&format!("({name})")) {
            ticks = Some(ticks.unwrap_or(0) + cpu_ticks(&text).unwrap_or(0));
        }
    }
    let ticks = ticks.with_context(|| format!("process {pid} has no thread {name}"))?;
    Ok(ticks as f64 / ticks_per_second()? as f64)
}

/// Fields 14 and 15, counted behind the program's name, which may itself hold blanks and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The unit of the times in `/proc`, from our own auxiliary vector: pairs of machine words.
fn ticks_per_second() -> Result<u64> {
    let vector = fs::read("/proc/self/auxv").context("/proc/self/auxv")?;
    let words: Vec<u64> = vector
        .chunks_exact(size_of::<usize>())
        .map(|word| usize::from_ne_bytes(word.try_into().expect("chunks are of this length")) as u64)
        .collect();
    let pair = words.chunks_exact(2).find(|pair| pair[0] == AT_CLKTCK);
    pair.map(|pair| pair[1]).context("/proc/self/auxv has no clock tick frequency")
}

/// The largest amount of memory, in bytes, that a process had resident so far.
///
/// # Errors
/// When there is no such process.
pub(crate) fn peak_rss_bytes(pid: u32) -> Result<u64> {
    memory_line(pid, "VmHWM:")
}

/// The memory, in bytes, that a process has resident now.
///
/// # Errors
/// When there is no such process.
pub(crate) fn rss_bytes(pid: u32) -> Result<u64> {
    memory_line(pid, "VmRSS:")
}

fn memory_line(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    line_bytes(&text, name).with_context(|| format!("{path}: no line {name}"))
}

fn line_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// What a directory occupies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct DiskUsage {
    /// Blocks given to its files, in bytes: what the disk has less.
    pub(crate) allocated_bytes: u64,
    /// Lengths of its files.
    pub(crate) apparent_bytes: u64,
}

/// Adds up all files below a directory. A file that vanishes meanwhile counts nothing.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn disk_usage(root: &Path) -> Result<DiskUsage> {
    let mut usage = DiskUsage::default();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound && directory != root => continue,
            entries => entries.with_context(|| directory.display().to_string())?,
        };
        for entry in entries {
            let path = entry.with_context(|| directory.display().to_string())?.path();
            match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
                Ok(metadata) if metadata.is_dir() => directories.push(path),
                Ok(metadata) => {
                    usage.allocated_bytes += metadata.blocks() * 512;
                    usage.apparent_bytes += metadata.len();
                }
            }
        }
    }
    Ok(usage)
}

/// One line about this machine, for figures to stand beside.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {}, Linux {}", model.map_or("unknown processor", |(_, name)| name), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_process::ScratchDir;

    #[test]
    fn our_own_process_has_used_time_and_memory() {
        let pid = std::process::id();
        let before = cpu_s(pid).unwrap();
        let watch = crate::meter::Stopwatch::start();
        while watch.elapsed_s() < 0.05 {}
        let used = cpu_s(pid).unwrap() - before;
        assert!((0.01..60.0).contains(&used), "{used} s");
        let (now, peak) = (rss_bytes(pid).unwrap(), peak_rss_bytes(pid).unwrap());
        assert!(1 << 20 < now && now <= peak, "{now} {peak}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(cpu_s(u32::MAX).is_err());
        assert!(peak_rss_bytes(u32::MAX).is_err());
    }

    #[test]
    fn times_are_found_behind_a_name_with_brackets() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 700 30 11 12 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(730));
        assert_eq!(cpu_ticks("42 (a) S 1 2"), None);
    }

    #[test]
    fn memory_is_given_in_bytes() {
        let status = "VmPeak:\t  9 kB\nVmHWM:\t    2 kB\nVmRSS:\t1 kB\n";
        assert_eq!((line_bytes(status, "VmHWM:"), line_bytes(status, "VmRSS:")), (Some(2048), Some(1024)));
        assert_eq!(line_bytes("VmPeak:\t9 kB\n", "VmHWM:"), None);
    }

    #[test]
    fn a_directory_occupies_what_its_files_do_at_any_depth() {
        let scratch = ScratchDir::new().unwrap();
        fs::create_dir(scratch.path().join("deeper")).unwrap();
        fs::write(scratch.path().join("one"), [1; 5000]).unwrap();
        fs::write(scratch.path().join("deeper/two"), [1; 3]).unwrap();
        fs::File::create(scratch.path().join("sparse")).unwrap().set_len(10 << 20).unwrap();
        let usage = disk_usage(scratch.path()).unwrap();
        assert_eq!(usage.apparent_bytes, 5003 + (10 << 20));
        assert!(usage.allocated_bytes < 1 << 20, "a hole occupies nothing: {usage:?}");
        assert!(disk_usage(&scratch.path().join("absent")).is_err());
    }
}
