//! What the tests of the load generator share: where the server's binary is.
//!
//! Not here: starting it, which the load generator does.

use std::path::PathBuf;

/// The server's binary: `INFRAWATCH_BIN`, else the one that the same build puts beside the test programs.
pub(crate) fn server() -> PathBuf {
    let beside = || {
        let deps = std::env::current_exe().expect("this test has a path");
        deps.ancestors().nth(2).expect("tests lie in a folder of the target directory").join("infrawatch")
    };
    let binary = std::env::var_os("INFRAWATCH_BIN").map_or_else(beside, PathBuf::from);
    assert!(binary.is_file(), "{} is missing: build the server first: cargo build", binary.display());
    binary
}
