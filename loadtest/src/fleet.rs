//! The made-up machines: which series they have, which labels those carry and which value each has at each step.
//!
//! A host has `SERIES_PER_HOST` series, named and shaped as those of node_exporter, or an even selection of them. Not
//! here: requests, time stamps.
//!
//! Invariant: everything is a pure function of seed, series number and step. What was sent needs no record: whoever
//! verifies asks for the value again. Only whole-number and exactly rounded arithmetic is used, so the bytes are the
//! same on every machine.

use std::borrow::Cow;
use std::sync::LazyLock;

/// Series of one whole host; a fleet of 10 000 series has 100 of them.
pub(crate) const SERIES_PER_HOST: usize = 100;

/// A label name and its value.
pub(crate) type Label = (&'static str, Cow<'static, str>);

/// How the values of a series move.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// One whole number for ever.
    Constant,
    /// A counter of bytes: large uneven steps, or idle.
    Bytes,
    /// A counter of events: from one in a hundred steps to thousands a step.
    Events,
    /// A counter of seconds with two decimals.
    Seconds,
    /// A gauge with two decimals.
    Decimal,
    /// A gauge of bytes in pages of 4 KiB.
    Pages,
    /// A gauge of few small whole numbers.
    Small,
    /// A gauge that uses all 53 bits.
    Full,
}

/// Label names that vary together, and the combinations they take.
struct Dimension {
    names: &'static [&'static str],
    values: &'static [&'static [&'static str]],
}

/// Metric names that share a shape and dimensions.
struct Family {
    shape: Shape,
    names: &'static [&'static str],
    dimensions: &'static [Dimension],
}

const CPU: Dimension = Dimension { names: &["cpu"], values: &[&["0"], &["1"], &["2"], &["3"]] };
const MODE: Dimension = Dimension {
    names: &["mode"],
    values: &[&["idle"], &["iowait"], &["irq"], &["nice"], &["softirq"], &["steal"], &["system"], &["user"]],
};
const INTERFACE: Dimension = Dimension { names: &["device"], values: &[&["eth0"], &["eth1"], &["lo"]] };
const DISK: Dimension = Dimension { names: &["device"], values: &[&["nvme0n1"], &["sda"]] };
const MOUNT: Dimension = Dimension {
    names: &["device", "fstype", "mountpoint"],
    values: &[&["/dev/nvme0n1p2", "ext4", "/"], &["/dev/sda1", "xfs", "/var/lib/data"], &["tmpfs", "tmpfs", "/run"]],
};
const SENSOR: Dimension = Dimension {
    names: &["chip", "sensor"],
    values: &[
        &["platform_coretemp_0", "temp1"],
        &["platform_coretemp_0", "temp2"],
        &["platform_coretemp_0", "temp3"],
        &["nvme_nvme0", "temp1"],
    ],
};
const KERNEL: Dimension =
    Dimension { names: &["machine", "release", "sysname"], values: &[&["x86_64", "6.1.0-28-amd64", "Linux"]] };

/// Every family of a host.
const FAMILIES: &[Family] = &[
    Family { shape: Shape::Seconds, names: &["node_cpu_seconds_total"], dimensions: &[CPU, MODE] },
    Family {
        shape: Shape::Bytes,
        names: &["node_network_receive_bytes_total", "node_network_transmit_bytes_total"],
        dimensions: &[INTERFACE],
    },
    Family {
        shape: Shape::Events,
        names: &["node_network_receive_packets_total", "node_network_transmit_packets_total"],
        dimensions: &[INTERFACE],
    },
    Family {
        shape: Shape::Constant,
        names: &["node_network_receive_errs_total", "node_network_up"],
        dimensions: &[INTERFACE],
    },
    Family {
        shape: Shape::Bytes,
        names: &["node_disk_read_bytes_total", "node_disk_written_bytes_total"],
        dimensions: &[DISK],
    },
    Family { shape: Shape::Events, names: &["node_disk_reads_completed_total"], dimensions: &[DISK] },
    Family { shape: Shape::Seconds, names: &["node_disk_io_time_seconds_total"], dimensions: &[DISK] },
    Family { shape: Shape::Small, names: &["node_disk_io_now"], dimensions: &[DISK] },
    Family {
        shape: Shape::Constant,
        names: &["node_filesystem_size_bytes", "node_filesystem_readonly"],
        dimensions: &[MOUNT],
    },
    Family { shape: Shape::Pages, names: &["node_filesystem_avail_bytes"], dimensions: &[MOUNT] },
    Family {
        shape: Shape::Pages,
        names: &[
            "node_memory_MemFree_bytes",
            "node_memory_MemAvailable_bytes",
            "node_memory_Buffers_bytes",
            "node_memory_Cached_bytes",
            "node_memory_Active_bytes",
            "node_memory_Dirty_bytes",
            "node_memory_Slab_bytes",
        ],
        dimensions: &[],
    },
    Family { shape: Shape::Decimal, names: &["node_load1", "node_load5", "node_load15"], dimensions: &[] },
    Family { shape: Shape::Decimal, names: &["node_hwmon_temp_celsius"], dimensions: &[SENSOR] },
    Family {
        shape: Shape::Small,
        names: &["node_procs_running", "node_procs_blocked", "node_sockstat_TCP_inuse", "node_sockstat_UDP_inuse"],
        dimensions: &[],
    },
    Family {
        shape: Shape::Events,
        names: &["node_context_switches_total", "node_intr_total", "node_forks_total", "node_vmstat_pgfault"],
        dimensions: &[],
    },
    Family {
        shape: Shape::Full,
        names: &["node_timex_offset_seconds", "node_scrape_collector_duration_seconds"],
        dimensions: &[],
    },
    Family {
        shape: Shape::Constant,
        names: &[
            "node_boot_time_seconds",
            "node_filefd_maximum",
            "node_memory_MemTotal_bytes",
            "node_memory_SwapTotal_bytes",
            "node_nf_conntrack_entries_limit",
            "node_timex_sync_status",
        ],
        dimensions: &[],
    },
    Family { shape: Shape::Constant, names: &["node_uname_info"], dimensions: &[KERNEL] },
];

/// One of a host's series: its shape and those labels that are the same on every host, the name among them.
struct HostSeries {
    shape: Shape,
    labels: Vec<(&'static str, &'static str)>,
}

static HOST: LazyLock<Vec<HostSeries>> = LazyLock::new(|| FAMILIES.iter().flat_map(expand).collect());

/// Every name of a family with every combination of its dimensions.
fn expand(family: &Family) -> Vec<HostSeries> {
    let mut label_sets: Vec<Vec<(&str, &str)>> = family.names.iter().map(|&name| vec![("__name__", name)]).collect();
    for dimension in family.dimensions {
        label_sets = label_sets
            .iter()
            .flat_map(|labels| dimension.values.iter().map(|values| with_dimension(labels, dimension.names, values)))
            .collect();
    }
    label_sets.into_iter().map(|labels| HostSeries { shape: family.shape, labels }).collect()
}

fn with_dimension(
    labels: &[(&'static str, &'static str)],
    names: &'static [&'static str],
    values: &'static [&'static str],
) -> Vec<(&'static str, &'static str)> {
    labels.iter().copied().chain(names.iter().copied().zip(values.iter().copied())).collect()
}

/// Values that codecs trip over.
const SPECIALS: [f64; 6] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX];

/// All series of a load, numbered from 0, hosts side by side.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    seed: u64,
    live: usize,
    per_host: usize,
    specials: bool,
}

impl Fleet {
    /// `live` series exist at a time; series `live` and later replace the first ones on the same hosts in new pods.
    /// With `specials`, some values are NaN, infinite, signed zeros or at the edge of the range.
    pub(crate) fn new(seed: u64, live: usize, specials: bool) -> Fleet {
        Fleet { seed, live, per_host: SERIES_PER_HOST, specials }
    }

    /// The same series on more hosts: each has `per_host` of the hundred, evenly chosen; at most all of them.
    pub(crate) fn with_series_per_host(self, per_host: usize) -> Fleet {
        Fleet { per_host: per_host.clamp(1, SERIES_PER_HOST), ..self }
    }

    /// The `instance` label of a series: its host.
    pub(crate) fn instance(&self, series: usize) -> String {
        format!("node-{:05}:9100", self.host(series))
    }

    fn host(&self, series: usize) -> usize {
        series % self.live / self.per_host
    }

    /// Its 6 to 9 labels, `__name__` among them, sorted by name.
    pub(crate) fn labels(&self, series: usize) -> Vec<Label> {
        let host = self.host(series);
        let zone = ["eu-west-1a", "eu-west-1b", "eu-west-1c"][host % 3];
        let pod = mix(self.seed ^ mix((series / self.live * 1_000_003 + host) as u64)) & 0xff_ffff;
        let mut labels = vec![
            ("cluster", Cow::Borrowed("production-1")),
            ("instance", Cow::Owned(self.instance(series))),
            ("job", Cow::Borrowed("node")),
            ("pod", Cow::Owned(format!("node-exporter-{pod:06x}"))),
            ("zone", Cow::Borrowed(zone)),
        ];
        labels.extend(self.host_series(series).labels.iter().map(|&(name, value)| (name, Cow::Borrowed(value))));
        labels.sort_unstable_by_key(|(name, _)| *name);
        labels
    }

    /// The value of a series at a step of the load; steps count from 0 over all generations of series.
    pub(crate) fn value(&self, series: usize, step: usize) -> f64 {
        let key = mix(self.seed ^ mix(series as u64));
        let noise_bits = mix(key ^ mix(step as u64));
        if self.specials && noise_bits.is_multiple_of(17) {
            return SPECIALS[(noise_bits / 17 % 6) as usize];
        }
        let motion = Motion {
            size: unit(mix(key ^ 1)),
            base: unit(mix(key ^ 2)),
            wave: triangle(step, unit(mix(key ^ 3))),
            noise: unit(noise_bits),
            step: step as f64,
        };
        motion.value(self.host_series(series).shape)
    }

    fn host_series(&self, series: usize) -> &'static HostSeries {
        &HOST[series % self.live % self.per_host * SERIES_PER_HOST / self.per_host]
    }
}

/// What drives a value: all but `step` between 0 and 1.
struct Motion {
    /// Of the series: how large or fast it is.
    size: f64,
    /// Of the series: where it starts.
    base: f64,
    /// Of the step: a slow wave.
    wave: f64,
    /// Of the step: unpredictable.
    noise: f64,
    step: f64,
}

impl Motion {
    fn value(&self, shape: Shape) -> f64 {
        match shape {
            Shape::Constant if self.size < 0.4 => (self.base * 2.0).floor(),
            Shape::Constant => (self.base * 1e9).floor() * 4096.0,
            // A quarter of the interfaces and disks are idle; the others move 1 KiB to 100 MB a step.
            Shape::Bytes if self.size < 0.25 => (self.base * 1e9).floor(),
            Shape::Bytes => self.counter(1e12, 1e3 * decades(6.0 * (self.size - 0.25))).floor(),
            Shape::Events => self.counter(1e9, 1e-2 * decades(5.5 * self.size)).floor(),
            // A share of the 15 seconds of a step: most modes of a processor are nearly idle.
            Shape::Seconds => (self.counter(1e8, 1500.0 * self.size.powi(6))).floor() / 100.0,
            Shape::Decimal => ((self.size * 80.0 + self.wave * 8.0 + self.noise) * 100.0).floor() / 100.0,
            Shape::Pages => ((self.size * 4.0 + self.wave * 0.2 + self.noise * 0.01) * 1e6).floor() * 4096.0,
            Shape::Small => (self.size * 4.0 + self.noise * self.noise * 3.0).floor(),
            Shape::Full => (self.size + self.noise) * 1e-3,
        }
    }

    /// Rises by `rate` a step, unevenly, from up to `start`; never falls, since wave and noise together take back
    /// less than a step gives: 20 * 1/60 + 0.5 < 1.
    fn counter(&self, start: f64, rate: f64) -> f64 {
        (self.base * start).floor() + rate * (self.step + 20.0 * self.wave + 0.5 * self.noise)
    }
}

/// Between 1 and 10 to the power of `exponent`, by squaring, so that no library function's last bit matters.
fn decades(exponent: f64) -> f64 {
    let whole = exponent.floor();
    (1.0 + 9.0 * (exponent - whole)) * 10f64.powi(whole as i32)
}

/// A wave between 0 and 1 that rises for 60 steps and falls for 60.
fn triangle(step: usize, phase: f64) -> f64 {
    let turn = (step as f64 / 120.0 + phase).fract();
    1.0 - (2.0 * turn - 1.0).abs()
}

/// 53 bits as a number from 0 to below 1.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Stirs 64 bits so that neighbouring numbers become unrelated ones (the finaliser of SplitMix64).
pub(crate) fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_host_has_as_many_series_as_the_constant_says() {
        assert_eq!(HOST.len(), SERIES_PER_HOST);
    }

    #[test]
    fn every_series_has_its_own_six_to_nine_sorted_labels() {
        let fleet = Fleet::new(1, 1000, false);
        let mut seen = HashSet::new();
        for series in 0..3000 {
            let labels = fleet.labels(series);
            assert!((6..=9).contains(&labels.len()), "{labels:?}");
            assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "{labels:?}");
            assert!(seen.insert(labels), "series {series} is not the first of its labels");
        }
    }

    #[test]
    fn small_hosts_have_an_even_selection_and_no_series_twice() {
        let fleet = Fleet::new(1, 6000, false).with_series_per_host(20);
        assert_eq!((fleet.instance(19), fleet.instance(20)), ("node-00000:9100".into(), "node-00001:9100".into()));
        let seen: HashSet<_> = (0..6000).map(|series| fleet.labels(series)).collect();
        assert_eq!(seen.len(), 6000);
        let names = |fleet: &Fleet| (0..20).map(|series| fleet.labels(series)[0].1.clone()).collect::<HashSet<_>>();
        assert!(names(&fleet).len() > 12, "not the twenty first, which are all of processors: {:?}", names(&fleet));
    }

    #[test]
    fn a_series_that_replaces_another_keeps_its_host_and_changes_its_pod() {
        let fleet = Fleet::new(1, 1000, false);
        let (first, second) = (fleet.labels(5), fleet.labels(1005));
        let changed: Vec<_> = first.iter().zip(&second).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
        assert_eq!(changed, ["pod"]);
    }

    #[test]
    fn counters_never_fall() {
        let fleet = Fleet::new(3, 1000, false);
        for series in 0..1000 {
            if matches!(fleet.host_series(series).shape, Shape::Bytes | Shape::Events | Shape::Seconds) {
                let values: Vec<f64> = (0..500).map(|step| fleet.value(series, step)).collect();
                assert!(values.is_sorted(), "{:?}", fleet.labels(series));
            }
        }
    }

    #[test]
    fn values_have_the_decimals_of_their_shape() {
        let fleet = Fleet::new(3, 1000, false);
        for (series, step) in (0..1000).map(|series| (series, series * 7 % 600)) {
            let value = fleet.value(series, step);
            let grid = match fleet.host_series(series).shape {
                Shape::Seconds | Shape::Decimal => 100.0,
                Shape::Pages => 1.0 / 4096.0,
                Shape::Full => continue,
                _ => 1.0,
            };
            assert_eq!((value * grid).round() / grid, value, "{:?}", fleet.labels(series));
        }
    }

    #[test]
    fn another_seed_gives_other_values_and_the_same_seed_the_same() {
        let values =
            |seed| -> Vec<u64> { (0..100).map(|s| Fleet::new(seed, 100, false).value(s, 9).to_bits()).collect() };
        assert_eq!(values(1), values(1));
        assert_ne!(values(1), values(2));
    }

    #[test]
    fn special_values_appear_only_where_asked_for() {
        let odd = |specials| {
            let fleet = Fleet::new(1, 100, specials);
            (0..100).flat_map(|s| (0..50).map(move |t| (s, t))).filter(|&(s, t)| !fleet.value(s, t).is_finite()).count()
        };
        assert_eq!(odd(false), 0);
        assert!((100..250).contains(&odd(true)), "{}", odd(true));
    }

    #[test]
    fn mixing_follows_the_published_sequence() {
        // First outputs of SplitMix64 from seed 1234567, as its author's C program prints them.
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(mix(1_234_567u64.wrapping_add(0x9e37_79b9_7f4a_7c15)), 3_203_168_211_198_807_973);
    }
}
