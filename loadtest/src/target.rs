//! What a load is aimed at: a server that already runs at a URL, or programs that are started for it.
//!
//! Not here: how programs are started and stopped (see `server_process`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::cli::TargetArgs;
use crate::http::Address;
use crate::report::print_json;
use crate::server_process::{Program, ScratchDir, Server};

/// One server to load.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Running already; its process cannot be measured.
    Url(Address),
    /// Started for the run, on an empty data directory.
    Program(Program),
}

impl Target {
    /// The targets that the arguments name: a URL, or our server and any peers.
    ///
    /// # Errors
    /// When a program is not found.
    pub(crate) fn all(args: &TargetArgs) -> Result<Vec<Target>> {
        if let Some(url) = &args.url {
            return Ok(vec![Target::Url(Address::parse(url)?)]);
        }
        let mut targets = Vec::new();
        if !args.peers_only {
            targets.push(Target::Program(our_server(args)?));
        }
        for &peer in &args.peers {
            targets.push(Target::Program(Program::peer(peer)?));
        }
        ensure!(!targets.is_empty(), "--peers-only needs at least one --peer");
        Ok(targets)
    }

    /// Its name in reports.
    pub(crate) fn name(&self) -> String {
        match self {
            Target::Url(address) => format!("http://{}{}", address.authority, address.prefix),
            Target::Program(program) => program.name().to_owned(),
        }
    }

    /// Our server's program, if that is it.
    pub(crate) fn our_program(&self) -> Option<&Program> {
        match self {
            Target::Program(program) if program.is_ours() => Some(program),
            _ => None,
        }
    }

    /// What stands before the paths of its URLs.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Target::Url(address) => &address.prefix,
            Target::Program(_) => "",
        }
    }

    /// Starts it, if it has to be started.
    ///
    /// # Errors
    /// When it does not become ready.
    pub(crate) fn start(&self) -> Result<Running> {
        match self {
            Target::Url(address) => Ok(Running { address: address.clone(), server: None }),
            Target::Program(program) => {
                let scratch = ScratchDir::new()?;
                let server = Server::start(program, &scratch.path().join("data"))?;
                Ok(Running { address: server.address().clone(), server: Some(Started { server, _scratch: scratch }) })
            }
        }
    }
}

/// Our server as the arguments name it, else the binary beside this one.
///
/// # Errors
/// When there is no such file.
pub(crate) fn our_server(args: &TargetArgs) -> Result<Program> {
    let binary = match &args.server {
        Some(path) => path.clone(),
        None => beside_this_program()?,
    };
    ensure!(
        binary.is_file(),
        "{} is missing: build the server first (cargo build --release), or name it with --server",
        binary.display()
    );
    Ok(Program::InfraWatch(binary, args.server_args.clone()))
}

/// For commands that start our own server and no other: which one, and how they report.
#[derive(Debug, Args)]
pub(crate) struct OwnServerArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Binary of our server [default: infrawatch beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Further arguments for our server
    #[arg(last = true, value_name = "SERVER_ARGS")]
    server_args: Vec<OsString>,
}

impl OwnServerArgs {
    /// Whether the user gave the server this flag.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.server_args.iter().any(|argument| argument == flag)
    }

    /// Starts the server with the user's arguments and these behind them.
    ///
    /// # Errors
    /// When there is no such file, or the server does not start.
    pub(crate) fn start(&self, more: impl IntoIterator<Item = OsString>, data_dir: &Path) -> Result<Server> {
        let server_args = self.server_args.iter().cloned().chain(more).collect();
        let target = TargetArgs { server: self.server.clone(), server_args, ..TargetArgs::default() };
        Server::start(&our_server(&target)?, data_dir)
    }

    /// Prints a report, as JSON or as text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn print<R: Serialize>(&self, report: &R, text: impl FnOnce(&R) -> String) -> Result<()> {
        if self.json {
            return print_json(report);
        }
        print!("{}", text(report));
        Ok(())
    }
}

fn beside_this_program() -> Result<PathBuf> {
    Ok(std::env::current_exe().context("find this program")?.with_file_name("infrawatch"))
}

/// A target that answers.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where.
    pub(crate) address: Address,
    server: Option<Started>,
}

/// Dropped in this order: the server first, then its directory.
#[derive(Debug)]
struct Started {
    server: Server,
    _scratch: ScratchDir,
}

impl Running {
    /// Its process, when it was started here.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.server.as_ref().map(|started| &started.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_excludes_starting_anything() {
        let args = TargetArgs { url: Some("http://127.0.0.1:9090/p".into()), ..TargetArgs::default() };
        let targets = Target::all(&args).unwrap();
        assert_eq!(
            (targets.len(), targets[0].name(), targets[0].prefix()),
            (1, "http://127.0.0.1:9090/p".into(), "/p")
        );
        assert!(targets[0].start().unwrap().server().is_none());
    }

    #[test]
    fn a_missing_server_is_an_error_that_says_how_to_build_it() {
        let args = TargetArgs { server: Some("/does/not/exist".into()), ..TargetArgs::default() };
        let error = Target::all(&args).unwrap_err().to_string();
        assert!(error.contains("/does/not/exist") && error.contains("cargo build"), "{error}");
    }

    #[test]
    fn only_peers_means_at_least_one() {
        let args = TargetArgs { peers_only: true, ..TargetArgs::default() };
        assert!(Target::all(&args).is_err());
    }
}
