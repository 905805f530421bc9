//! Holds every request to what its user may do, and writes changes down.
//!
//! Not here: users, secrets and which path needs what (see `access`).
//!
//! Invariant: nothing behind this layer sees a request that is not allowed; its body was not read then.

use super::conventions::RequestId;
use super::rest::ApiError;
use crate::access::{AuditLog, AuditRecord, Credentials, Denied, Guard, Identity, Need, Role, Roles, is_change, need};
use crate::clock;
use crate::http_server::Peer;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// Who may do what, and where changes are written down.
#[derive(Debug, Clone)]
pub struct Access {
    /// The users.
    pub guard: Arc<Guard>,
    /// The audit log.
    pub audit: Arc<AuditLog>,
}

/// The same routes for those who may ask.
pub fn guarded(router: Router, access: Access) -> Router {
    router.layer(middleware::from_fn_with_state(access, check))
}

async fn check(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |Peer(peer)| peer.ip());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let header = request.headers().get(header::AUTHORIZATION);
    let credentials = header.and_then(|value| Credentials::parse(value.as_bytes()));
    let identity = match need(method.as_str(), &path) {
        Need::Nothing => Ok(Identity { name: None, roles: Roles::default() }),
        Need::Role(_) => identify(&access.guard, credentials, peer).await,
    };
    let user = identity.as_ref().ok().and_then(|identity| identity.name.clone());
    let allowed = identity.and_then(|identity| allow(&access.guard, identity, (method.as_str(), &path), peer));
    let id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
    let response = match allowed {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(denied) => {
            access.guard.count(&denied);
            refusal(&denied)
        }
    };
    if is_change(method.as_str(), &path) {
        let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("").to_owned();
        let status = response.status().as_u16();
        write_down(access.audit, Change { id, user, peer, method: method.to_string(), path, status });
    }
    response
}

/// Whose a request is; a secret that was not proven yet is looked at on a thread that may wait.
async fn identify(guard: &Arc<Guard>, credentials: Option<Credentials>, peer: IpAddr) -> Result<Identity, Denied> {
    if let Some(known) = guard.glance(credentials.as_ref()) {
        return known;
    }
    let (guard, credentials) = (guard.clone(), credentials.ok_or(Denied::Missing)?);
    let proven = tokio::task::spawn_blocking(move || guard.prove(&credentials, peer)).await;
    proven.unwrap_or(Err(Denied::Wrong))
}

fn allow(guard: &Guard, identity: Identity, (method, path): (&str, &str), peer: IpAddr) -> Result<Identity, Denied> {
    let Need::Role(role) = need(method, path) else { return Ok(identity) };
    if !identity.roles.allow(role) {
        return Err(Denied::Forbidden(role));
    }
    if role == Role::Admin && identity.name.is_none() && !peer.to_canonical().is_loopback() {
        return Err(Denied::NotLocal);
    }
    guard.admit(&identity, peer)?;
    Ok(identity)
}

fn refusal(denied: &Denied) -> Response {
    let (status, what) = match denied {
        Denied::Missing => {
            (StatusCode::UNAUTHORIZED, "say who asks: a bearer token NAME.SECRET, or a name and a password")
        }
        Denied::Wrong => (StatusCode::UNAUTHORIZED, "no such user, or not the user's secret"),
        Denied::Forbidden(role) => {
            return ApiError::new(StatusCode::FORBIDDEN, format!("this needs the role {role}")).into_response();
        }
        Denied::NotLocal => {
            (StatusCode::FORBIDDEN, "only peers on loopback may ask for this while access.users_file is not set")
        }
        Denied::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "too many requests, or too many wrong secrets"),
    };
    let mut response = ApiError::new(status, what).into_response();
    let headers = response.headers_mut();
    match denied {
        Denied::Missing | Denied::Wrong => {
            let schemes = HeaderValue::from_static("Basic realm=\"infrawatch\", charset=\"UTF-8\", Bearer");
            headers.insert(header::WWW_AUTHENTICATE, schemes);
        }
        Denied::TooOften(wait) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
        }
        Denied::Forbidden(_) | Denied::NotLocal => {}
    }
    response
}

struct Change {
    id: String,
    user: Option<Arc<str>>,
    peer: IpAddr,
    method: String,
    path: String,
    status: u16,
}

/// Writes beside the async threads; who asked does not wait for it.
fn write_down(audit: Arc<AuditLog>, change: Change) {
    let now_ms = clock::now_ms();
    drop(tokio::task::spawn_blocking(move || {
        let time =
            jiff::Timestamp::from_millisecond(now_ms).map_or_else(|_| now_ms.to_string(), |time| format!("{time:.3}"));
        let Change { id, user, peer, method, path, status } = &change;
        let user = user.as_deref();
        tracing::info!(id, user, %peer, method, path, status, "a change was asked for");
        let (request, peer) = (id.as_str(), peer.to_string());
        let record = AuditRecord { time, request, user, peer, method, path, status: *status };
        if let Err(error) = audit.write(&record) {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }));
}
