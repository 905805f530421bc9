//! Files that were cut off, damaged or made up: an error, never a panic and never a forecast of what is no number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

const LAYOUTS: [&str; 3] = ["tiny-random-b", "timesfm-random", "toto-random"];

struct Source {
    config: Vec<u8>,
    tensors: Vec<u8>,
}

impl Source {
    fn new(layout: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(layout);
        let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
        Self { config: read("config.json"), tensors: read("model.safetensors") }
    }

    /// Loads these bytes and, if they are taken, forecasts with them; says whether they were taken.
    fn taken(&self, folder: &Path, config: &[u8], tensors: &[u8]) -> bool {
        std::fs::write(folder.join("config.json"), config).unwrap();
        std::fs::write(folder.join("model.safetensors"), tensors).unwrap();
        match foundation::load(folder) {
            Ok(model) => {
                let history: Vec<f64> = (0..70).map(|at| f64::from(at % 9)).collect();
                let forecast = model.forecast(&[&history], 5).unwrap();
                assert_eq!(forecast[0].steps(), 5);
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    }
}

/// Numbers in an order that is the same in every run (Marsaglia, xorshift, 2003).
fn numbers(mut state: u64) -> impl FnMut() -> usize {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for layout in LAYOUTS {
        let source = Source::new(layout);
        assert!(source.taken(folder.path(), &source.config, &source.tensors), "{layout}");
        for part in 0..40 {
            let cut = source.tensors.len() * part / 40;
            assert!(!source.taken(folder.path(), &source.config, &source.tensors[..cut]), "{layout} cut at {cut}");
            let cut = source.config.len() * part / 40;
            assert!(!source.taken(folder.path(), &source.config[..cut], &source.tensors), "{layout}, config at {cut}");
        }
    }
}

#[test]
fn damaged_headers_and_configurations_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut next = numbers(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for layout in LAYOUTS {
        let source = Source::new(layout);
        let header = 8 + u64::from_le_bytes(source.tensors[..8].try_into().unwrap()) as usize;
        for _ in 0..60 {
            let mut tensors = source.tensors.clone();
            let mut config = source.config.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % header;
                tensors[at] = next() as u8;
                let at = next() % config.len();
                config[at] = b"0123456789-.e\"{}[],:tfn"[next() % 23];
            }
            refused += usize::from(!source.taken(folder.path(), &config, &source.tensors));
            refused += usize::from(!source.taken(folder.path(), &source.config, &tensors));
        }
    }
    assert!(refused > 100, "{refused} refused: the damage does not reach what is read");
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for layout in LAYOUTS {
        let source = Source::new(layout);
        let mut tensors = source.tensors.clone();
        let end = tensors.len();
        tensors[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(!source.taken(folder.path(), &source.config, &tensors), "{layout}");
    }
}

#[test]
fn a_header_that_promises_more_than_there_is_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::new("toto-random");
    let mut tensors = source.tensors.clone();
    tensors[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(!source.taken(folder.path(), &source.config, &tensors));
    let header = br#"{"shared.weight":{"dtype":"F32","shape":[4294967295,4294967295],"data_offsets":[0,4]}}"#;
    let mut made_up = (header.len() as u64).to_le_bytes().to_vec();
    made_up.extend_from_slice(header);
    made_up.extend_from_slice(&[0; 4]);
    assert!(!source.taken(folder.path(), &source.config, &made_up));
}
