//! `infrawatch models`: the models of a running server, and whether a folder holds a foundation model that can be used.
//!
//! Not here: training (see the API's `/train`), what models are good for.

use super::ask::ServerFlag;
use super::client::escaped;
use super::output::Rows;
use super::{CliError, Global};
use crate::analysis::pretrained::{ModelCard, try_model};
use crate::clock::monotonic;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

/// Forecasts that a check makes to measure their speed; a second or two of most models.
const TRIED: usize = 256;

#[derive(Debug, Args)]
pub(super) struct Models {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlag,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the models of a running server
    List {
        /// Only those of this type: ensemble, isolation_forest, autoencoder, lstm_autoencoder or foundation
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Only those of this metric
        #[arg(long, value_name = "NAME")]
        metric: Option<String>,
    },
    /// Remove a model that was trained on request
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Read a foundation model and say what it is and how fast; without FOLDER the one in the program
    Check {
        /// Folder of config.json and model.safetensors
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

impl Models {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        match &self.what {
            What::List { kind, metric } => self.list(global, kind.as_deref(), metric.as_deref()),
            What::Remove { name } => self.server.open(global)?.delete(&format!("/api/v1/models/{}", escaped(name))),
            What::Check { folder } => check(global, folder.as_deref()),
        }
    }

    fn list(&self, global: &Global, kind: Option<&str>, metric: Option<&str>) -> Result<(), CliError> {
        let given = [("type", kind), ("metric", metric)];
        let parameters: Vec<(&str, String)> =
            given.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_owned()))).collect();
        let mut rows = Rows::new(&[
            "name",
            "type",
            "metric",
            "samples",
            "version",
            "status",
            "forecasts_per_second",
            "share_of_budget",
        ]);
        for model in self.server.open(global)?.items("/api/v1/models", &parameters)? {
            let of = |field: &str| model.get(field).cloned().unwrap_or(Value::Null);
            let live = &model["foundation"]["live"];
            let share = |name: &str| live[name].as_f64();
            let used = share("cpu_share").zip(share("cpu_share_limit")).map(|(used, limit)| used / limit);
            let told = [live["forecasts_per_second"].clone(), used.into()];
            let own = ["name", "type", "metric", "samples", "version", "status"].map(of);
            rows.push(own.into_iter().chain(told).collect());
        }
        rows.write(global)
    }
}

fn check(global: &Global, folder: Option<&std::path::Path>) -> Result<(), CliError> {
    let seconds = |run: &dyn Fn(usize)| {
        let start = monotonic();
        run(TRIED);
        start.elapsed().as_secs_f64()
    };
    let (card, seconds) = try_model(folder, seconds).map_err(|error| CliError::Failed(error.to_string()))?;
    let ModelCard { name, layout, source, licence, parameters, context, steps_per_pass } = card;
    let mut rows = Rows::new(&["of the model", "is"]);
    let facts: [(&str, Value); 8] = [
        ("name", name.into()),
        ("layout", layout.into()),
        ("source", source.into()),
        ("licence", licence.into()),
        ("parameters", parameters.into()),
        ("points of history at most", context.into()),
        ("steps a pass", steps_per_pass.into()),
        ("forecasts a second", (TRIED as f64 / seconds.max(1e-9)).round().into()),
    ];
    for (what, value) in facts {
        rows.push(vec![what.into(), value]);
    }
    rows.write(global)
}
