//! The sets of features a build may have: they exist, the smallest has no runtime for models, and the program names its own.
//!
//! Not here: what the features do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Crates that run models, by the beginning of their names.
const RUNTIMES: [&str; 12] =
    ["candle", "tch", "torch", "ort", "onnx", "tract", "burn", "tensorflow", "linfa", "smartcore", "dfdx", "rten"];

/// Names of the crates in a build with these features, each with its version.
fn tree(features: &str) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--package", "infrawatch", "--prefix", "none"]);
    command.args(["--edges", "normal,build", "--offline", "--locked", "--no-default-features", "--features", features]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{features}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_smallest_build_has_no_runtime_for_models() {
    let tree = tree("core");
    assert!(tree.starts_with("infrawatch v") && tree.contains("\ntokio v"), "{tree}");
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let is_runtime = |runtime: &str| name == runtime || name.starts_with(&format!("{runtime}-"));
        assert!(!RUNTIMES.iter().any(|runtime| is_runtime(runtime)), "{line}");
    }
}

#[test]
fn every_set_of_features_exists() {
    for features in ["core", "ml", "foundation", "onnx", "parquet", "full"] {
        assert!(tree(features).starts_with("infrawatch v"), "{features}");
    }
}

#[test]
fn the_program_names_its_features_and_its_licence() {
    let output = Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(["version", "--features"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(row("features").starts_with("core"), "{text}");
    assert_eq!(row("licence"), "MIT");
}
