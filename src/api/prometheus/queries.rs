//! `query`, `query_range` and `format_query`.
//!
//! Not here: how a query is run beside others (see `run`).

use super::Shared;
use super::envelope::{ApiError, Json, Reply, push_answer, push_text, reply, reply_with};
use super::out::Out;
use super::parameters::Parameters;
use super::run::{Bounds, Step, run};
use crate::query::{self, Answered, Asked, Keeping, Prepared, QueryError, QueryLimits, RangeTimes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// One instant.
pub(super) async fn instant(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let parameters = Parameters::read(request).await?;
    let expression = expression(&parameters)?;
    let time_ms = parameters.time_ms("time")?.unwrap_or_else(shared.api.now_ms);
    let limits = limits(&shared, &parameters)?;
    let reach = query::reach(&shared.api.store, &expression, &limits).map_err(named)?;
    run(&shared, reach, parameters.duration_ms("timeout")?, move |shared, bounds| {
        let prepared = query::instant(&shared.api.store, &expression, time_ms, &limits, bounds).map_err(named)?;
        step(shared, prepared, limits.clone(), bounds, None)
    })
    .await
}

/// A range of instants.
pub(super) async fn range(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let parameters = Parameters::read(request).await?;
    let expression = expression(&parameters)?;
    let times = RangeTimes {
        start_ms: parameters.required_time_ms("start")?,
        end_ms: parameters.required_time_ms("end")?,
        step_ms: parameters.duration_ms("step")?.ok_or_else(|| ApiError::bad_parameter("step", "it is missing"))?,
    };
    if times.end_ms < times.start_ms {
        return Err(ApiError::bad_parameter("end", "end timestamp must not be before start time"));
    }
    if times.step_ms <= 0 {
        let what = "zero or negative query resolution step widths are not accepted, try a positive one";
        return Err(ApiError::bad_parameter("step", what));
    }
    let limits = limits(&shared, &parameters)?;
    let asked = Asked { expression, times, lookback_ms: limits.lookback_ms };
    let timeout_ms = parameters.duration_ms("timeout")?;
    if let Some(text) = shared.api.room.kept().get(&asked, &shared.api.store) {
        return Ok(Json(text).into_response());
    }
    let reach = query::reach(&shared.api.store, &asked.expression, &limits).map_err(named)?;
    run(&shared, reach, timeout_ms, move |shared, bounds| {
        let version = shared.api.store.version();
        let expression = &asked.expression;
        let prepared = query::range(&shared.api.store, expression, times, &limits, bounds).map_err(named)?;
        let keeping = Keeping::new(&shared.api.room, asked.clone(), &prepared, version);
        step(shared, prepared, limits.clone(), bounds, Some(keeping))
    })
    .await
}

/// The expression in the parser's own spelling.
pub(super) async fn format(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let parameters = Parameters::read(request).await?;
    let expression = expression(&parameters)?;
    run(&shared, 0, None, move |shared, _| {
        let text = query::prettify(&expression, &shared.api.query).map_err(named)?;
        Ok(Step::Short(reply(move |out| push_text(out, &text))))
    })
    .await
}

/// A small query is answered at once, any other where it may take its time.
fn step(
    shared: &Shared,
    prepared: Prepared,
    limits: QueryLimits,
    bounds: Bounds<'_>,
    keeping: Option<Keeping>,
) -> Result<Step, QueryError> {
    let is_small = prepared.is_small();
    let answer = move |shared: &Shared, bounds: Bounds<'_>| -> Result<Reply, QueryError> {
        let Answered { answer, notes } = prepared.evaluate(&shared.api.store, &limits, bounds).map_err(named)?;
        let reply = reply_with(notes, |out| push_answer(out, answer));
        Ok(match keeping {
            None => reply,
            Some(keeping) => Box::new(move |out: &mut Out| {
                out.keep(keeping);
                reply(out);
            }),
        })
    };
    match is_small {
        true => Ok(Step::Short(answer(shared, bounds)?)),
        false => Ok(Step::Long(Box::new(answer))),
    }
}

fn expression(parameters: &Parameters) -> Result<String, ApiError> {
    parameters
        .get("query")
        .map(str::to_owned)
        .ok_or_else(|| ApiError::bad_parameter("query", "unknown position: parse error: no expression found in input"))
}

/// The configured limits, with the lookback that the request may name.
fn limits(shared: &Shared, parameters: &Parameters) -> Result<QueryLimits, ApiError> {
    let mut limits = shared.api.query.clone();
    if let Some(lookback_ms) = parameters.duration_ms("lookback_delta")?.filter(|ms| *ms > 0) {
        limits.lookback_ms = lookback_ms;
    }
    Ok(limits)
}

/// Says which parameter it was that cannot be understood.
fn named(error: QueryError) -> QueryError {
    match error {
        QueryError::BadData(what) => QueryError::BadData(format!("invalid parameter \"query\": {what}")),
        other => other,
    }
}
