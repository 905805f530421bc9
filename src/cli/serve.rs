//! `infrawatch serve`: runs the server until it is told to stop.
//!
//! Not here: the server itself, its start-up line and its signals (see `server`).

use super::settings::{environment, flag, sources, warn};
use super::{CliError, Global};
use crate::{config, logging, server};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Directory that holds everything the server keeps [default: ./infrawatch-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address and port for HTTP, or off [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
    /// UDP address and port for StatsD, or off [default: 127.0.0.1:8125]
    #[arg(long, value_name = "ADDR")]
    statsd_listen: Option<String>,
    /// File that lists the devices polled by SNMP [default: none]
    #[arg(long, value_name = "FILE")]
    snmp_devices: Option<String>,
    /// How long samples are kept, such as 30d; 0 keeps all of them [default: 30d]
    #[arg(long, value_name = "DURATION")]
    retention: Option<String>,
    /// Prometheus asked for the samples of models trained on request, in place of our own store [default: none]
    #[arg(long, value_name = "URL")]
    prometheus_url: Option<String>,
    /// Directory of models trained on request, in place of one in the data directory [default: none]
    #[arg(long, value_name = "DIR")]
    model_dir: Option<String>,
}

impl Serve {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let flags = [
            flag("storage.data_dir", "--data-dir", self.data_dir.as_ref()),
            flag("http.listen", "--http-listen", self.http_listen.as_ref()),
            flag("statsd.listen", "--statsd-listen", self.statsd_listen.as_ref()),
            flag("snmp.devices_file", "--snmp-devices", self.snmp_devices.as_ref()),
            flag("storage.retention", "--retention", self.retention.as_ref()),
            flag("pull.prometheus_url", "--prometheus-url", self.prometheus_url.as_ref()),
            flag("pull.model_dir", "--model-dir", self.model_dir.as_ref()),
        ];
        let sources = sources(global, flags.into_iter().flatten().collect(), environment());
        let loaded = config::load(&sources)?;
        warn(global, &loaded);
        logging::init(&loaded.config.log);
        server::run(loaded, sources).map_err(|error| CliError::Failed(format!("{error:#}")))
    }
}
