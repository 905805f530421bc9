//! Tests that hold the house rules: who may import whom, what is named only in its one file, sizes, and documents.
//!
//! Each rule is a function from a source to complaints, so each is also tested on a made-up source that breaks it.
//! An exception stands in the rule's own list, with its reason, and an exception that nothing needs is a complaint.
//!
//! Not here: what the compiler and clippy hold already (see `Cargo.toml` and `.clippy.toml`).

mod confined;
mod documents;
mod imports;
mod shape;
mod source;

use std::path::Path;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with every complaint, one a line.
fn hold(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_sources_are_read_at_all() {
    let sources = source::all();
    for path in ["src/lib.rs", "src/house_rules/mod.rs", "storage/src/lib.rs", "protocols/src/lib.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path}");
    }
}
