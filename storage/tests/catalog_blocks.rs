//! Catalog blocks give back exactly what was put in, notice every damage, and are small.

use proptest::prelude::*;
use storage::catalog_blocks::{BLOCK_BYTES_MIN, CatalogError, decode_block, encode_blocks};
use storage::series::{self, KeyBuilder, KeyError};

type Entry = (u32, Vec<u8>);

fn key(labels: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = KeyBuilder::default();
    labels.iter().for_each(|(name, value)| builder.push(name, value));
    builder.finish().expect("label names differ and one is the metric's").to_vec()
}

fn encoded(entries: &[Entry], limit: usize) -> Vec<(u32, u32, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut entries = entries.to_vec();
    let encoded =
        encode_blocks(&mut entries, limit, &mut |first, last, block| blocks.push((first, last, block.to_vec())));
    encoded.expect("keys are canonical and short");
    blocks
}

fn decoded(block: &[u8]) -> Result<Vec<Entry>, CatalogError> {
    let mut entries = Vec::new();
    decode_block(block, |id, key| entries.push((id, key.to_vec())))?;
    Ok(entries)
}

fn some_entries() -> impl Strategy<Value = Vec<Entry>> {
    let name = prop_oneof!["[a-e]", "[a-z_]{1,20}", "[äöü]{1,3}"];
    let value = prop_oneof![4 => "[a-c]{1,3}", 2 => "pod-[0-9a-f]{8}", 1 => "\\PC{1,300}"];
    let labels = proptest::collection::btree_map(name, value, 0..12);
    let id = prop_oneof![8 => 0..3000u32, 1 => any::<u32>()];
    proptest::collection::btree_map(id, (labels, "[a-z]{1,8}"), 0..200).prop_map(|entries| {
        let with_key = |(id, (labels, metric)): (u32, (std::collections::BTreeMap<String, String>, String))| {
            let mut all: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            all.push(("__name__", &metric));
            (id, key(&all))
        };
        entries.into_iter().map(with_key).filter(|(_, key)| key.len() <= 4096).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(50) })]

    #[test]
    fn what_was_put_in_comes_out(entries in some_entries(), more in 0..4096usize) {
        let limit = BLOCK_BYTES_MIN + more;
        let mut back = Vec::new();
        for (first, last, block) in encoded(&entries, limit) {
            prop_assert!(block.len() <= limit);
            let part = decoded(&block).unwrap();
            prop_assert_eq!((part[0].0, part[part.len() - 1].0), (first, last));
            prop_assert!(part.iter().all(|(_, key)| series::validate(key).is_ok()));
            back.extend(part);
        }
        prop_assert_eq!(back, entries);
    }

    #[test]
    fn the_order_of_entries_does_not_change_the_blocks(entries in some_entries()) {
        let reversed: Vec<_> = entries.iter().rev().cloned().collect();
        prop_assert_eq!(encoded(&entries, 7168), encoded(&reversed, 7168));
    }

    /// The checksum is set right again, so that the decoder itself meets what no encoder writes.
    #[test]
    fn no_bytes_make_the_decoder_panic(
        entries in some_entries(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        for (_, _, mut block) in encoded(&entries, 7168) {
            for (at, byte) in &changes {
                let at = at.index(block.len() - 4);
                block[at] = *byte;
            }
            block.truncate(block.len() - 4 - cut.index(3));
            let checksum = crc32fast::hash(&block).to_le_bytes();
            block.extend(checksum);
            if let Ok(found) = decoded(&block) {
                let canonical = |key: &[u8]| matches!(series::validate(key), Ok(()) | Err(KeyError::NoName));
                prop_assert!(found.iter().all(|(_, key)| canonical(key)));
                prop_assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decoded(&bytes).is_err());
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let up = |i: u32| key(&[("__name__", "up"), ("instance", &format!("10.0.0.{i}:9100")), ("job", "node")]);
    let entries: Vec<_> = (0..20).map(|i| (i * i, up(i))).collect();
    let block = encoded(&entries, 7168).remove(0).2;
    for bit in 0..block.len() * 8 {
        let mut damaged = block.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decoded(&damaged).is_err(), "bit {bit}");
    }
    for bytes in 0..block.len() {
        assert!(decoded(&block[..bytes]).is_err(), "cut to {bytes} bytes");
    }
}

/// Series as node_exporter names them, in the order of its page, one page after the other, 991 a host.
fn node_exporter_keys(hosts: u32) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for host in 0..hosts {
        let instance = format!("web-{host:03}.example.com:9100");
        let mut add = |metric: &str, labels: &[(&str, &str)]| {
            let own = [("__name__", metric), ("instance", instance.as_str()), ("job", "node")];
            keys.push(key(&[&own[..], labels].concat()));
        };
        for cpu in 0..32 {
            for mode in ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"] {
                add("node_cpu_seconds_total", &[("cpu", &cpu.to_string()), ("mode", mode)]);
            }
        }
        for what in ["reads_completed", "reads_merged", "read_bytes", "read_time_seconds", "writes_completed", "io_now"]
        {
            for device in ["nvme0n1", "nvme1n1", "sda", "sdb", "dm-0", "dm-1"] {
                add(&format!("node_disk_{what}_total"), &[("device", device)]);
            }
        }
        for what in ["size_bytes", "avail_bytes", "free_bytes", "files", "files_free", "readonly", "device_error"] {
            for (device, mount, kind) in [
                ("/dev/nvme0n1p2", "/", "ext4"),
                ("/dev/nvme0n1p1", "/boot/efi", "vfat"),
                ("/dev/mapper/data", "/srv", "xfs"),
                ("tmpfs", "/run", "tmpfs"),
            ] {
                let labels = [("device", device), ("mountpoint", mount), ("fstype", kind)];
                add(&format!("node_filesystem_{what}"), &labels);
            }
        }
        for direction in ["receive", "transmit"] {
            for what in ["bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast"] {
                for device in ["eth0", "eth1", "lo", "bond0", "docker0", "veth1a2b3c4"] {
                    add(&format!("node_network_{direction}_{what}_total"), &[("device", device)]);
                }
            }
        }
        for what in 0..575 {
            let (area, detail) = (["memory", "netstat", "vmstat", "sockstat", "nf"][what % 5], what * 7919 % 1000);
            add(&format!("node_{area}_Example{detail}_bytes"), &[]);
        }
    }
    keys
}

#[test]
fn keys_of_node_exporter_take_few_bytes() {
    let mut partitions = vec![Vec::new(); series::PARTITIONS];
    for key in node_exporter_keys(10) {
        let partition = &mut partitions[usize::from(series::partition_of(series::hash(&key)))];
        partition.push((partition.len() as u32, key));
    }
    let count: usize = partitions.iter().map(Vec::len).sum();
    let raw: usize = partitions.iter().flatten().map(|(_, key)| key.len()).sum();
    let blocks: Vec<_> = partitions.iter().flat_map(|entries| encoded(entries, 7168)).collect();
    let bytes: usize = blocks.iter().map(|(_, _, block)| block.len()).sum();
    let (each, raw_each) = (bytes as f64 / count as f64, raw as f64 / count as f64);
    println!("{count} keys of {raw_each:.1} bytes in {} blocks, {each:.2} bytes a key", blocks.len());
    assert!(each < 14.5, "{each:.2} bytes a key");
}
