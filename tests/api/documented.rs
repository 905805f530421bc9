//! Every command in `docs/api.md` and `docs/curl.md` works as it stands there, one after the other on one server.

use super::support::server::Server;
use std::path::Path;
use std::process::Command;

const ADDRESS: &str = "localhost:8080";

#[test]
fn every_example_of_the_api_works() {
    let server = Server::start();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let document = std::fs::read_to_string(document).expect("the document is ours");
    let examples: Vec<&str> =
        document.split("```sh\n").skip(1).map(|rest| rest.split_once("```").expect("the document is ours").0).collect();
    assert!(examples.len() >= 7, "{}", examples.len());
    for example in examples {
        assert!(example.contains(ADDRESS), "{example}");
        let script = format!("set -eu\n{}", example.replace(ADDRESS, server.address()));
        let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        assert!(output.status.success(), "{example}\n{said}");
    }
    server.stop();
}

/// What stands between a line of three backticks with this word and the next of them, and what follows.
fn fenced<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(&format!("```{word}\n"))?.split_once("```\n")
}

/// The page is one script, so that what a block remembers is known below it. What a block prints is compared where that is
/// shown.
#[test]
fn every_call_with_curl_prints_what_stands_below_it() {
    let server = Server::start();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/curl.md");
    let page = std::fs::read_to_string(page).expect("the document is ours");
    let (mut blocks, mut rest) = (Vec::new(), &*page);
    while let Some(at) = rest.find("```sh\n") {
        let (block, after) = fenced(&rest[at..], "sh").expect("the block ends");
        blocks.push((block, fenced(after.trim_start(), "text").map(|(expected, _)| expected)));
        rest = after;
    }
    const MARK: &str = "\n=== a block ends\n";
    let script: String = blocks.iter().map(|(block, _)| format!("{block}printf {MARK:?}\n")).collect();
    let script = format!("set -eu\n{}", script.replace(ADDRESS, server.address()));
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let said: Vec<&str> = out.split(MARK).collect();
    assert!(output.status.success(), "{}\n{err}", blocks[said.len() - 1].0);
    for ((block, expected), said) in blocks.iter().zip(said) {
        if let Some(expected) = expected {
            assert_eq!(said.trim_end(), expected.trim_end(), "{block}");
        }
    }
    let compared = blocks.iter().filter(|(_, expected)| expected.is_some()).count();
    assert!(blocks.len() >= 20 && compared >= 12, "{} blocks, {compared} compared", blocks.len());
    server.stop();
}
