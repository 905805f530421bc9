//! What series there are: `series`, `labels`, `label/{name}/values`; and the small fixed answers around them.
//!
//! Without `match[]`, and with a range that reaches the present, labels come straight from the published index, which
//! is what Prometheus does with the labels of its head; otherwise they are those of series with a sample in the range.
//!
//! Not here: exemplars; nothing stores them, so that answer is empty.

use super::Shared;
use super::envelope::{ApiError, Json, push_labels, push_list, push_text, reply_with, success};
use super::out::Out;
use super::parameters::Parameters;
use super::run::{Bounds, Step, run};
use crate::query::{Computes, Labels, Notes, QueryError, Semantics, Share, may_name_label};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::series::{self, NAME_LABEL};
use storage::{SelectedSeries, Store};

/// A range that ends less than this before the present reaches it.
const PRESENT_MS: i64 = 3_600_000;

const TRUNCATED: &str = "results truncated due to limit";

/// Which series a request is about.
struct Scope {
    matchers: Vec<Vec<Matcher>>,
    times_ms: (i64, i64),
    /// Whether the request leaves the choice to the index.
    is_open: bool,
    limit: usize,
}

impl Scope {
    fn read(parameters: &Parameters, shared: &Shared) -> Result<Self, ApiError> {
        let matchers = parameters.matchers(&shared.api.query)?;
        let (start_ms, end_ms) = (parameters.time_ms("start")?, parameters.time_ms("end")?);
        let reaches_present = end_ms.is_none_or(|end_ms| end_ms >= (shared.api.now_ms)().saturating_sub(PRESENT_MS));
        let is_open = if matchers.is_empty() { reaches_present } else { start_ms.is_none() && end_ms.is_none() };
        let times_ms = (start_ms.unwrap_or(i64::MIN), end_ms.unwrap_or(i64::MAX));
        Ok(Self { matchers, times_ms, is_open, limit: parameters.limit()? })
    }

    /// A number that these series do not exceed.
    fn reach(&self, store: &Store) -> u64 {
        match self.matchers.is_empty() {
            // The index has the names and values of all series together.
            true if self.is_open => 0,
            true => store.at_most(&[]),
            false => self.matchers.iter().map(|matchers| store.at_most(matchers)).sum(),
        }
    }

    /// What computes the series of a selector, if they are not stored.
    fn computes<'a>(share: &'a Share, selector: &[Matcher]) -> Option<&'a dyn Computes> {
        share.computes().filter(|computes| computes.claims(selector))
    }

    /// Whether the choice is left to the index, and the index knows all that is chosen.
    fn is_of_index(&self, share: &Share) -> bool {
        self.is_open && self.matchers.iter().all(|selector| Self::computes(share, selector).is_none())
    }

    /// Keys of series that satisfy any of the selectors and have a sample in the range, each once; what is computed on
    /// demand has samples at any time that somebody asks for.
    fn series(&self, store: &Store, (cancel, share): Bounds<'_>) -> Result<Vec<Arc<[u8]>>, QueryError> {
        let all = [vec![Matcher::not_equal(NAME_LABEL, "")]];
        let selectors = if self.matchers.is_empty() { &all[..] } else { &self.matchers };
        let (mut found, mut computed) = (Vec::new(), BTreeSet::new());
        for selector in selectors {
            if cancel.is_cancelled() {
                return Err(QueryError::Canceled);
            }
            if let Some(computes) = Self::computes(share, selector) {
                let keys = computes.list(selector, &|| cancel.is_cancelled())?;
                share.take(keys.iter().map(|key| (key.len() + size_of::<Arc<[u8]>>()) as u64).sum())?;
                computed.extend(keys);
                continue;
            }
            let before = found.len();
            found.extend(store.find(selector, self.times_ms.0, self.times_ms.1, &|| cancel.is_cancelled())?);
            share.take(((found.len() - before) * size_of::<SelectedSeries>()) as u64)?;
        }
        if selectors.len() > 1 {
            found.sort_unstable_by_key(|one| one.series);
            found.dedup_by_key(|one| one.series);
        }
        Ok(found.into_iter().map(|one: SelectedSeries| one.key).chain(computed).collect())
    }
}

/// Label sets of series.
pub(super) async fn series(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let parameters = Parameters::read(request).await?;
    let scope = Scope::read(&parameters, &shared)?;
    if scope.matchers.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    run(&shared, scope.reach(&shared.api.store), None, move |shared, bounds| {
        let found = scope.series(&shared.api.store, bounds)?;
        Ok(limited(found, scope.limit, |out, one| push_labels(out, &Labels::from_key(one))))
    })
    .await
}

/// Names of labels.
pub(super) async fn labels(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let parameters = Parameters::read(request).await?;
    let scope = Scope::read(&parameters, &shared)?;
    run(&shared, scope.reach(&shared.api.store), None, move |shared, bounds| {
        let names = if scope.is_of_index(bounds.1) {
            shared.api.store.label_names_until(&scope.matchers, &|| bounds.0.is_cancelled())?
        } else {
            let found = scope.series(&shared.api.store, bounds)?;
            let names: BTreeSet<&str> = found.iter().flat_map(|one| series::labels(one)).map(|(n, _)| n).collect();
            names.into_iter().map(str::to_owned).collect()
        };
        Ok(limited(names, scope.limit, |out, name| push_text(out, &name)))
    })
    .await
}

/// Values of one label.
pub(super) async fn values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let parameters = Parameters::read(request).await?;
    if !may_name_label(&name, shared.api.query.semantics) {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let scope = Scope::read(&parameters, &shared)?;
    run(&shared, scope.reach(&shared.api.store), None, move |shared, bounds| {
        let values = if scope.is_of_index(bounds.1) {
            shared.api.store.label_values_until(&name, &scope.matchers, &|| bounds.0.is_cancelled())?
        } else {
            let found = scope.series(&shared.api.store, bounds)?;
            let values: BTreeSet<&str> = found.iter().filter_map(|one| series::label(one, &name)).collect();
            values.into_iter().map(str::to_owned).collect()
        };
        bounds.1.take(values.iter().map(|value: &String| (value.len() + size_of::<String>()) as u64).sum())?;
        Ok(limited(values, scope.limit, |out, value| push_text(out, &value)))
    })
    .await
}

/// Lists of so many items are written at once.
const SHORT_LIST: usize = 256;

fn limited<T: Send + 'static>(mut items: Vec<T>, limit: usize, push: impl Fn(&mut Out, T) + Send + 'static) -> Step {
    let mut notes = Notes::default();
    if limit < items.len() {
        notes.warnings.insert(TRUNCATED.to_owned());
    }
    items.truncate(limit);
    let is_short = items.len() <= SHORT_LIST;
    let reply = reply_with(notes, move |out| push_list(out, items, push));
    if is_short { Step::Short(reply) } else { Step::Long(Box::new(move |_, _| Ok(reply))) }
}

/// Types, help texts and units of metric families, as senders told them; of one that was told in several ways the last.
pub(super) async fn metadata(State(shared): State<Arc<Shared>>, request: Request) -> Result<Json, ApiError> {
    let parameters = Parameters::read(request).await?;
    let told = shared.api.told.families(parameters.get("metric"), parameters.limit()?);
    Ok(success(move |out| {
        out.push('{');
        for (at, (family, said)) in told.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { "," });
            push_text(out, family);
            out.push_str(":[{\"type\":");
            push_text(out, said.kind.word());
            out.push_str(",\"help\":");
            push_text(out, &said.help);
            out.push_str(",\"unit\":");
            push_text(out, &said.unit);
            out.push_str("}]");
        }
        out.push('}');
    }))
}

/// Exemplars: none, but the selectors must make sense.
pub(super) async fn exemplars(State(shared): State<Arc<Shared>>, request: Request) -> Result<Json, ApiError> {
    let parameters = Parameters::read(request).await?;
    crate::query::prettify(parameters.get("query").unwrap_or(""), &shared.api.query)?;
    Ok(success(|out| out.push_str("[]")))
}

/// Clients look here for the version of Prometheus whose language and pages they may expect; ours is the revision.
pub(super) async fn buildinfo(State(shared): State<Arc<Shared>>) -> Json {
    let version = match shared.api.query.semantics {
        Semantics::Closed => "2.42.0",
        Semantics::LeftOpen => "3.0.0",
    };
    success(move |out| {
        out.push_str("{\"application\":\"InfraWatch\",\"version\":");
        push_text(out, version);
        out.push_str(",\"revision\":");
        push_text(out, shared.api.version);
        out.push_str(",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}");
    })
}
