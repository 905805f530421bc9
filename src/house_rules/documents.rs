//! Documents name only files that exist.
//!
//! Looked at: every link to something in the repository, and every word in backquotes that looks like a path in it.
//! Not here: whether what a document says about the file is true.

use super::source::{collect, read};
use super::{hold, root};
use std::path::Path;

/// Documents beside those in `docs/`.
const DOCUMENTS: [&str; 4] = ["README.md", "CONTRIBUTING.md", "storage/FORMAT.md", "sample_data/README.md"];

/// Endings by which a word in backquotes is taken for a file of ours.
const ENDINGS: [&str; 7] = [".rs", ".md", ".toml", ".yml", ".yaml", ".sh", ".svg"];

/// Files that documents name and that live with the user, or come into being when something runs.
const ELSEWHERE: [&str; 5] = ["infrawatch-data", "prometheus.yml", "my.toml", "target", "pipeline.yaml"];

/// Every path that a document names and that is not there. `exists` answers for paths from the root, and for the
/// name of a file anywhere.
fn missing(document: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = Path::new(document).parent().and_then(Path::to_str).unwrap_or("");
    let from_here = |name: &str| joined(folder, name);
    let links = links(text).into_iter().filter(|link| !exists(&from_here(link)));
    let backquoted = backquoted(text).into_iter().filter(|name| looks_like_a_path(name));
    let names = backquoted.filter(|name| !exists(&joined("", name)) && !exists(&from_here(name)));
    links.chain(names).map(|name| format!("{document} names {name}, which is not there")).collect()
}

/// `folder` and a relative path, with `.` and `..` worked out.
fn joined(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let inside = targets.map(|target| target.split('#').next().unwrap_or(target));
    inside.filter(|target| !target.is_empty() && !target.contains(':')).collect()
}

/// What stands between single backquotes, outside of fenced blocks.
fn backquoted(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

fn looks_like_a_path(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let first = name.trim_start_matches("./").split('/').next().unwrap_or(name);
    let in_a_folder = name.contains('/') && root().join(first).exists();
    let has_ending = ENDINGS.iter().any(|ending| name.ends_with(ending) && name.len() > ending.len());
    !name.starts_with('/') && name.chars().all(plain) && !ELSEWHERE.contains(&first) && (in_a_folder || has_ending)
}

#[test]
fn documents_name_files_that_exist() {
    let mut documents: Vec<String> = DOCUMENTS.iter().map(|path| (*path).to_owned()).collect();
    collect(&root().join("docs"), "md", &mut documents);
    documents.retain(|path| root().join(path).exists());
    assert!(documents.iter().any(|path| path == "README.md"), "the README is a document");
    let mut files = Vec::new();
    for folder in ["src", "storage", "protocols", "loadtest", "benches", "tests"].map(|folder| root().join(folder)) {
        if folder.exists() {
            collect(&folder, "rs", &mut files);
        }
    }
    let anywhere = |name: &str| !name.contains('/') && files.iter().any(|path| path.ends_with(&format!("/{name}")));
    let exists = |path: &str| root().join(path).exists() || anywhere(path);
    hold(documents.iter().flat_map(|document| missing(document, &read(document), exists)).collect());
}

#[test]
fn missing_files_are_named_whether_linked_or_in_backquotes() {
    let missing = |text: &str| missing("docs/a.md", text, |path| path == "src/lib.rs" || path == "docs/b.md").len();
    assert_eq!(missing("see [this](nothing.md) and `src/nothing.rs` and `./src/gone/`, `nothing.rs`"), 4);
    assert_eq!(missing("see [b](b.md#part), [lib](../src/lib.rs), `src/lib.rs`, [out](https://a.b/c.md)"), 0);
}

#[test]
fn what_only_looks_like_a_path_is_left_alone() {
    for name in
        ["/api/v1/write", "application/x-protobuf", "infrawatch-data", "./infrawatch-data/journal", "a::b.rs", "rate"]
    {
        assert!(!looks_like_a_path(name), "{name}");
    }
    assert_eq!(backquoted("a `b` c\n```\n`d`\n```\ne `f`"), ["b", "f"]);
}
