//! `/api/v1/snmp/devices`: the devices polled by SNMP, how they are, and adding or removing one; and the newest traps.
//!
//! Not here: polling (see `ingest::snmp`). Community and passwords are taken in and never given out.

use super::Shared;
use super::answer::{ApiError, Text};
use super::body;
use super::parameters::Parameters;
use super::run::run;
use super::shapes::{List, Time};
use crate::ingest::snmp::{ControlError, DeviceState, Origin, SnmpControl, Standing, TrapRecord, WrittenDevice};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: usize = 100;

/// A device as it is shown.
#[derive(Debug, Serialize)]
struct Device {
    name: String,
    address: String,
    version: &'static str,
    source: Origin,
    state: Standing,
    last_poll: Option<Time>,
    last_success: Option<Time>,
    next_poll: Time,
    poll_took_ms: Option<i64>,
    round_trip_ms: Option<f64>,
    round_trip_ms_max: Option<f64>,
    polls: u64,
    failures: u64,
    requests: u64,
    timeouts: u64,
    interfaces: usize,
    samples: u64,
    walk_faults: u64,
    error: Option<String>,
    system_name: String,
    description: String,
    object_id: String,
}

impl From<DeviceState> for Device {
    fn from(state: DeviceState) -> Self {
        Self {
            name: state.name,
            address: state.address,
            version: state.version,
            source: state.origin,
            state: state.standing,
            last_poll: state.last_poll_ms.map(Time),
            last_success: state.last_success_ms.map(Time),
            next_poll: Time(state.next_poll_ms),
            poll_took_ms: state.poll_took_ms,
            round_trip_ms: state.round_trip_ms,
            round_trip_ms_max: state.round_trip_ms_max,
            polls: state.polls,
            failures: state.failures,
            requests: state.requests,
            timeouts: state.timeouts,
            interfaces: state.interfaces,
            samples: state.samples,
            walk_faults: state.walk_faults,
            error: state.error,
            system_name: state.system_name,
            description: state.description,
            object_id: state.object_id,
        }
    }
}

/// An event as it is shown.
#[derive(Debug, Serialize)]
struct Trap {
    time: Time,
    device: String,
    address: String,
    version: &'static str,
    kind: &'static str,
    trap: String,
    name: Option<&'static str>,
    uptime_s: f64,
    variables: BTreeMap<String, String>,
}

impl From<&TrapRecord> for Trap {
    fn from(record: &TrapRecord) -> Self {
        Self {
            time: Time(record.time_ms),
            device: record.device.clone(),
            address: record.address.clone(),
            version: record.version,
            kind: record.kind,
            trap: record.trap.clone(),
            name: record.name,
            uptime_s: f64::from(record.uptime_ticks) / 100.0,
            variables: record.variables.iter().cloned().collect(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match &error {
            ControlError::Wrong(_) => Self::bad(error.to_string()),
            ControlError::Unknown(_) => Self::unknown(error.to_string()),
            ControlError::Exists(_) | ControlError::InFile(_) => Self::conflict(error.to_string()),
            ControlError::NotKept(_) | ControlError::Gone => Self::unavailable(error.to_string()),
        }
    }
}

fn control(shared: &Shared) -> Result<&SnmpControl, ApiError> {
    shared.api.snmp.as_ref().ok_or_else(|| ApiError::unavailable("nothing is polled by SNMP here"))
}

/// Lists devices by their names.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let standing = parameters.word("state", &Standing::WORDS)?;
    let search = parameters.text("search").map(str::to_lowercase);
    run(shared, move |shared, _| {
        let mut devices = control(shared)?.list()?;
        let matches = |text: &str, search: &str| text.to_lowercase().contains(search);
        devices.retain(|device| {
            let texts = [&device.name, &device.address, &device.system_name, &device.description];
            let found = search.as_deref().is_none_or(|search| texts.iter().any(|text| matches(text, search)));
            found && standing.is_none_or(|standing| device.standing == standing)
        });
        let total = devices.len();
        let items: Vec<Device> = devices.into_iter().skip(page.skip).take(page.limit).map(Device::from).collect();
        Text::of(&List { total, items })
    })
    .await
}

fn name_of(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    path.map(|Path(name)| name).map_err(|error| ApiError::bad(error.to_string()))
}

/// One device.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    run(shared, move |shared, _| Text::of(&Device::from(control(shared)?.one(&name)?))).await
}

/// Polls one more device, written as in the file of devices.
pub(super) async fn add(State(shared): State<Arc<Shared>>, body: Body) -> Result<(StatusCode, Text), ApiError> {
    let bytes = body::bytes(body).await?;
    // The parser's own message names the field, and never a value of ours.
    let written: WrittenDevice =
        serde_json::from_slice(&bytes).map_err(|error| ApiError::bad(format!("malformed body: {error}")))?;
    let text = run(shared, move |shared, _| Text::of(&Device::from(control(shared)?.add(written)?))).await?;
    Ok((StatusCode::CREATED, text))
}

/// Polls a device no longer; what is stored of it stays.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let name = name_of(path)?;
    run(shared, move |shared, _| Ok(control(shared)?.remove(&name)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the newest traps and informs, the newest first.
pub(super) async fn traps(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let device = parameters.text("device");
    let mut records = control(&shared)?.traps();
    records.retain(|record| device.is_none_or(|device| record.device == device));
    let total = records.len();
    let items: Vec<Trap> =
        records.iter().skip(page.skip).take(page.limit).map(|record| Trap::from(&**record)).collect();
    Text::of(&List { total, items })
}
