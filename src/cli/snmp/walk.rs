//! `infrawatch snmp walk HOST [OID]`: prints every object and value that a device has below an object.
//!
//! Not here: what the objects mean.

use super::super::output::Rows;
use super::super::{CliError, Global};
use super::exchange::{Exchange, Failure};
use super::target::Target;
use crate::ingest::snmp::{failure, refusal, shown};
use clap::Args;
use protocols::snmp::{ErrorStatus, Oid, Repetitions, Value, Version};
use std::time::Duration;

/// Answers that may come without any progress.
const STALLED_MAX: u32 = 8;

#[derive(Debug, Args)]
pub(super) struct Walk {
    #[command(flatten)]
    target: Target,
    /// Object below which everything is printed, in numbers
    #[arg(value_name = "OID", default_value = "1.3.6.1.2.1")]
    oid: Oid,
    /// Stop after so many
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    limit: usize,
}

fn kind(value: Value<'_>) -> &'static str {
    match value {
        Value::Integer(_) => "INTEGER",
        Value::OctetString(_) => "STRING",
        Value::Null => "NULL",
        Value::Oid(_) => "OID",
        Value::IpAddress(_) => "IpAddress",
        Value::Counter32(_) => "Counter32",
        Value::Gauge32(_) => "Gauge32",
        Value::TimeTicks(_) => "TimeTicks",
        Value::Opaque(_) => "Opaque",
        Value::Counter64(_) => "Counter64",
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => "none",
    }
}

impl Walk {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let (address, credentials) = self.target.find(global)?;
        let failed = |why: Failure| {
            let why = match why {
                Failure::NoRoute(error) | Failure::System(error) => error.to_string(),
                Failure::NobodyListens => "nothing listens at this port".to_owned(),
                Failure::Timeout => "timeout; infrawatch snmp test says more".to_owned(),
                Failure::Refused(report) => refusal(report).to_owned(),
                Failure::Failed(error) => failure(error),
            };
            CliError::Failed(format!("{address}: {why}"))
        };
        let timeout = Duration::from_millis(self.target.timeout);
        let mut exchange = Exchange::new(address, credentials, timeout, self.target.retries).map_err(failed)?;
        let has_bulk = exchange.session().version() != Version::V1;
        let mut walk = protocols::snmp::Walk::default();
        walk.start([&self.oid]);
        let mut repetitions = Repetitions::default();
        let mut rows = Rows::new(&["oid", "type", "value"]);
        let (mut count, mut stalled, mut not_increasing) = (0, 0, 0);
        while !walk.is_done() && count < self.limit && stalled < STALLED_MAX {
            let asked = walk.clone();
            let names = asked.names(&[], repetitions);
            let request = asked.request(&names, 0, repetitions, has_bulk);
            let taken = exchange.ask(&request, |pdu, _| match pdu.error_status() {
                ErrorStatus::None => {
                    let taken = walk.take(pdu, 0, repetitions, |_, index, value| {
                        let index: Vec<u32> = protocols::snmp::index_numbers(index).collect();
                        let name = self.oid.with(&index).map(|oid| oid.to_string()).unwrap_or_default();
                        rows.push(vec![name.into(), kind(value).into(), shown(value).into()]);
                    });
                    not_increasing += taken.not_increasing;
                    Ok(taken.values)
                }
                ErrorStatus::NoSuchName => {
                    walk.stop();
                    Ok(0)
                }
                ErrorStatus::TooBig => Ok(0),
                error => Err(error),
            });
            let values = taken.map_err(failed)?.map_err(|error| failed(Failure::Failed(error)))?;
            count += values;
            if values > 0 {
                stalled = 0;
                repetitions.succeeded();
            } else {
                stalled += 1;
                repetitions.failed();
            }
        }
        if !global.quiet && (not_increasing > 0 || stalled >= STALLED_MAX) {
            eprintln!("warning: the device's answers do not go on: the walk may not be whole");
        }
        rows.write(global)
    }
}
