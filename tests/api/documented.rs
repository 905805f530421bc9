//! Every command in `docs/api.md` works as it stands there, one after the other on one server.

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
