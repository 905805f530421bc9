//! `infrawatch models`: the models of a running server, and whether a folder or file holds a model that can be used.
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
use std::path::{Path, PathBuf};

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
    /// Read a model and say what it is and how fast; without PATH the foundation model in the program
    Check {
        /// Folder of config.json and model.safetensors, or a file of ONNX
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,
    },
}

impl Models {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        match &self.what {
            What::List { kind, metric } => self.list(global, kind.as_deref(), metric.as_deref()),
            What::Remove { name } => self.server.open(global)?.delete(&format!("/api/v1/models/{}", escaped(name))),
            What::Check { path: Some(path) } if !path.is_dir() => check_file(global, path),
            What::Check { path } => check(global, path.as_deref()),
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

fn check(global: &Global, folder: Option<&Path>) -> Result<(), CliError> {
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

#[cfg(not(feature = "onnx"))]
fn check_file(_: &Global, path: &Path) -> Result<(), CliError> {
    let why = "this program was built without the feature onnx, so it reads no such files";
    Err(CliError::Failed(format!("{}: {why}", path.display())))
}

/// What goes into a file's network and comes out, and how long one run takes.
#[cfg(feature = "onnx")]
fn check_file(global: &Global, path: &Path) -> Result<(), CliError> {
    let failed = |what: &dyn std::fmt::Display| CliError::Failed(format!("{}: {what}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > onnx::FILE_BYTES_MAX as u64 {
        return Err(failed(&format!("it has more than {} bytes", onnx::FILE_BYTES_MAX)));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    let model = onnx::Model::read(&bytes).map_err(|error| failed(&error))?;
    let mut rows = Rows::new(&["of the model", "is"]);
    let mut fact = |what: &str, is: Value| rows.push(vec![what.into(), is]);
    fact("file", path.display().to_string().into());
    fact("producer", model.producer().into());
    fact("version of the operators", model.version().into());
    let operators: Vec<String> = model.operators().iter().map(|(name, count)| format!("{name} {count}")).collect();
    fact("operators", operators.join(", ").into());
    fact("parameters", model.parameters().into());
    for (what, ports) in [("input", model.inputs()), ("output", model.outputs())] {
        ports.iter().for_each(|port| fact(what, port_in_words(port).into()));
    }
    fact("microseconds a run", run_us(&model).map_or_else(Value::from, Value::from));
    rows.write(global)
}

/// Name, type and shape.
#[cfg(feature = "onnx")]
fn port_in_words(port: &onnx::Port) -> String {
    let shape = match &port.shape {
        Some(shape) => shape.iter().map(onnx::Dimension::to_string).collect::<Vec<_>>().join(", "),
        None => "any".to_owned(),
    };
    format!("{} {} [{shape}]", port.name, port.element)
}

/// How long a run on zeros takes, or why there is none; sizes that are left open are one, and ten for a length.
#[cfg(feature = "onnx")]
fn run_us(model: &onnx::Model) -> Result<f64, String> {
    let inputs = model.inputs().iter().map(zeros).collect::<Result<Vec<_>, _>>()?;
    model.run(&inputs).map_err(|error| error.to_string())?;
    let start = monotonic();
    let mut runs = 0;
    while runs < TRIED && start.elapsed().as_secs() < 2 {
        drop(model.run(&inputs));
        runs += 1;
    }
    Ok((start.elapsed().as_secs_f64() * 1e7 / runs as f64).round() / 10.0)
}

/// Zeros for an input.
#[cfg(feature = "onnx")]
fn zeros(port: &onnx::Port) -> Result<(&str, onnx::Tensor), String> {
    let size = |(at, one): (usize, &onnx::Dimension)| match (one, at) {
        (onnx::Dimension::Known(size), _) => *size,
        (onnx::Dimension::Any(_), 1) => 10,
        (onnx::Dimension::Any(_), _) => 1,
    };
    let shape: Vec<usize> = port.shape.iter().flatten().enumerate().map(size).collect();
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size)).filter(|count| *count < 1 << 24);
    let zeros = count.and_then(|count| onnx::Tensor::floats(shape, vec![0.0; count]));
    zeros.map(|zeros| (port.name.as_str(), zeros)).ok_or_else(|| format!("the input {} is too large", port.name))
}
