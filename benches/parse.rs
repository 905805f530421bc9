//! What does it cost to turn a remote write body into series keys and samples, and how far is that from the floor?
//!
//! The load is that of a fleet: 2000 series of node_exporter's shape, 6-9 labels each, one sample a series, snappy.
//! `floor` decompresses and steps over whole series; `labels_only` adds the canonical check of the labels without
//! decompression; `full` is what ingest does; `not_canonical` is what senders that do not sort cost.
//!
//! Without `--bench` every case runs once, on the same load.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocols::remote_write::{WriteRequestBuilder, decompress, time_series};
use std::hint::black_box;

const SERIES: usize = 2000;
const LIMIT_BYTES: usize = 32 << 20;

/// Metric, labels of its own, and one more label with how many values it takes.
type Shape = (&'static str, &'static [(&'static str, &'static str)], &'static str, usize);

const METRICS: &[Shape] = &[
    ("node_cpu_seconds_total", &[("cpu", "0")], "mode", 8),
    ("node_cpu_seconds_total", &[("cpu", "13")], "mode", 8),
    ("node_disk_io_time_seconds_total", &[], "device", 6),
    ("node_disk_read_bytes_total", &[], "device", 6),
    ("node_filesystem_avail_bytes", &[("device", "/dev/nvme0n1p2"), ("fstype", "ext4")], "mountpoint", 5),
    ("node_filesystem_files_free", &[("device", "/dev/mapper/vg-root"), ("fstype", "xfs")], "mountpoint", 5),
    ("node_network_receive_bytes_total", &[], "device", 6),
    ("node_network_transmit_packets_total", &[], "device", 6),
    ("node_systemd_unit_state", &[("name", "prometheus-node-exporter.service"), ("state", "active")], "type", 3),
    ("node_hwmon_temp_celsius", &[("chip", "platform_coretemp_0")], "sensor", 4),
];

struct Load {
    request: Vec<u8>,
    body: Vec<u8>,
}

fn load(sorted: bool) -> Load {
    let mut request = WriteRequestBuilder::default();
    let shapes =
        METRICS.iter().flat_map(|(metric, own, last, values)| (0..*values).map(move |i| (*metric, *own, *last, i)));
    let hosts = (0..).flat_map(|host| shapes.clone().map(move |shape| (host, shape)));
    // A linear congruential generator: values that change in their low digits, as counters do.
    let mut state = 42u64;
    for (host, (metric, own, last, i)) in hosts.take(SERIES) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = (state >> 40) as f64 / 100.0;
        let instance = format!("node-{host:04}.fra1.example.net:9100");
        let last_value = format!("{last}-{i}");
        let mut labels = vec![("__name__", metric), ("instance", &instance), ("job", "node"), (last, &last_value)];
        labels.extend([("cluster", "prod-eu-1"), ("env", "production")]);
        labels.extend(own);
        labels.sort_unstable();
        if !sorted {
            labels.reverse();
        }
        request.series(&labels, &[(1_760_000_000_000 + (state >> 54) as i64, value)]);
    }
    let mut body = Vec::new();
    request.compress(&mut body);
    Load { request: request.as_bytes().to_vec(), body }
}

/// Series, bytes of canonical keys and the sum of samples: enough that nothing can be optimised away.
fn read_canonical(request: &[u8]) -> (usize, usize, f64) {
    let (mut series_count, mut key_bytes, mut sum) = (0, 0, 0.0);
    for series in time_series(request) {
        let series = series.expect("the load is well formed");
        series_count += 1;
        key_bytes += series.canonical_labels().map_or(0, <[u8]>::len);
        sum += series.samples().map(|(time_ms, value)| time_ms as f64 + value).sum::<f64>();
    }
    (series_count, key_bytes, sum)
}

/// The same from labels one by one, as any sender's must be read whose labels are not canonical.
fn read_labels(request: &[u8]) -> (usize, f64) {
    let (mut key_bytes, mut sum) = (0, 0.0);
    for series in time_series(request) {
        let series = series.expect("the load is well formed");
        key_bytes += series.labels().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        sum += series.samples().map(|(time_ms, value)| time_ms as f64 + value).sum::<f64>();
    }
    (key_bytes, sum)
}

/// Steps over each series by its length, as the outermost walk must.
fn step_over_series(request: &[u8]) -> usize {
    let (mut at, mut series_count) = (0, 0);
    while at < request.len() {
        let (mut len, mut shift) = (0, 0);
        loop {
            at += 1;
            len |= usize::from(request[at] & 0x7f) << shift;
            shift += 7;
            if request[at] < 0x80 {
                break;
            }
        }
        at += 1 + len;
        series_count += 1;
    }
    series_count
}

fn remote_write(criterion: &mut Criterion) {
    let (canonical, reversed) = (load(true), load(false));
    assert_eq!(step_over_series(&canonical.request), SERIES);
    for series in time_series(&canonical.request) {
        let key = series.expect("the load is well formed").canonical_labels().expect("and canonical");
        assert_eq!(storage::series::validate(key), Ok(()), "canonical labels are the store's series key");
    }
    let mut group = criterion.benchmark_group("parse_remote_write");
    let bytes = canonical.request.len() as u64;
    group.throughput(Throughput::ElementsAndBytes { elements: SERIES as u64, bytes });
    let mut out = Vec::new();
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            decompress(black_box(&canonical.body), LIMIT_BYTES, &mut out).expect("the load is well formed");
            step_over_series(&out)
        });
    });
    group.bench_function("labels_only", |bencher| bencher.iter(|| read_canonical(black_box(&canonical.request))));
    group.bench_function("full", |bencher| {
        bencher.iter(|| {
            decompress(black_box(&canonical.body), LIMIT_BYTES, &mut out).expect("the load is well formed");
            read_canonical(&out)
        });
    });
    group.bench_function("not_canonical", |bencher| {
        bencher.iter(|| {
            decompress(black_box(&reversed.body), LIMIT_BYTES, &mut out).expect("the load is well formed");
            read_labels(&out)
        });
    });
    group.finish();
}

criterion_group!(benches, remote_write);
criterion_main!(benches);
