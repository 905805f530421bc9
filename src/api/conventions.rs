//! What every answer has: a request's id, headers that keep browsers from guessing, a line in the log when it failed; and
//! for answers that may be asked again, a tag by which an unchanged one is not sent twice.
//!
//! Cost: a microsecond a request, and 0.1 ns a byte for the tag.
//!
//! Not here: who may ask (see `access`), compression (see `compress`).

use crate::clock;
use crate::self_metrics::SelfMetrics;
use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that a client may choose.
const ID_CHARS_MAX: usize = 64;
/// Larger answers are not held back to be tagged.
const TAGGED_BYTES_MAX: u64 = 16 << 20;

/// The id of a request; an extension of every request.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

/// The same routes with what every answer has; each is counted.
pub fn common(router: Router, metrics: Arc<SelfMetrics>) -> Router {
    router.layer(middleware::from_fn_with_state(metrics, identify))
}

/// The same routes, whose whole answers to GET carry a tag and are not sent to who has them.
pub fn conditional<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(middleware::from_fn(tag))
}

async fn identify(State(metrics): State<Arc<SelfMetrics>>, mut request: Request, next: Next) -> Response {
    let id = chosen(request.headers()).unwrap_or_else(fresh);
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = clock::monotonic();
    let mut response = next.run(request).await;
    let status = response.status();
    metrics.http.count(status.as_u16(), began.elapsed());
    if status.is_server_error() {
        let took_ms = began.elapsed().as_millis() as u64;
        let id = id.to_str().unwrap_or("");
        tracing::warn!(id, %method, path, status = status.as_u16(), took_ms, "a request failed");
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    for (name, value) in SECURITY {
        // Pages that need more say so themselves.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// No page of another site may frame, guess the type of, or learn the address of what is answered.
const SECURITY: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// The id that the client has chosen, if it is a short plain word.
fn chosen(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    let is_good = (1..=ID_CHARS_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain);
    is_good.then(|| id.clone())
}

/// An id that no other request of this process has, and hardly one of another.
fn fresh() -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static STARTED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let started = STARTED.get_or_init(|| {
        let seed = (clock::now_ms(), std::process::id());
        xxh3_64(format!("{seed:?}").as_bytes())
    });
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:016x}", xxh3_64_with_seed(&number.to_le_bytes(), *started));
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
}

async fn tag(request: Request, next: Next) -> Response {
    let is_asked_for = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    let is_whole = response.body().size_hint().exact().is_some_and(|bytes| bytes <= TAGGED_BYTES_MAX);
    if !is_asked_for || response.status() != StatusCode::OK || !is_whole {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, TAGGED_BYTES_MAX as usize).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Weak: the same text may be sent compressed in several ways.
    let tag = format!("W/\"{:016x}\"", xxh3_64(&bytes));
    let is_known = known.iter().filter_map(|list| list.to_str().ok()).any(|list| names(list, &tag));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        head.headers.insert(header::ETAG, tag);
    }
    // It may be kept, but must be asked for again.
    head.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    if is_known {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

/// Whether a list of tags has this one, strong or weak, or stands for any.
fn names(list: &str, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|one| one.trim() == "*" || plain(one) == plain(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tower::ServiceExt;

    async fn ask(headers: &[(HeaderName, &str)]) -> Response {
        let failing = get(|| async { StatusCode::SERVICE_UNAVAILABLE });
        let router = conditional(Router::new().route("/", get(|| async { "text" })).route("/bad", failing));
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        common(router, Arc::default()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_has_an_id_and_guards() {
        let (one, other) = (ask(&[]).await, ask(&[]).await);
        let id = |response: &Response| response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        assert_ne!(id(&one), id(&other));
        assert_eq!(id(&one).len(), 16);
        assert_eq!(one.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!one.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[tokio::test]
    async fn a_plain_id_of_the_client_is_kept_and_any_other_is_not() {
        let kept = |id: &'static str| async move { ask(&[(REQUEST_ID, id)]).await.headers()[REQUEST_ID] == id };
        assert!(kept("a-b_c.1:2").await);
        assert!(!kept("a b").await && !kept("").await);
        assert!(!kept("x".repeat(65).leak()).await);
    }

    #[tokio::test]
    async fn an_answer_that_the_client_has_is_not_sent_again() {
        let first = ask(&[]).await;
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\""));
        for known in [tag.clone(), tag.trim_start_matches("W/").to_owned(), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = ask(&[(header::IF_NONE_MATCH, &known)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(again.headers()[header::ETAG], tag.as_str());
            assert!(to_bytes(again.into_body(), 10).await.unwrap().is_empty());
        }
        let other = ask(&[(header::IF_NONE_MATCH, "\"x\"")]).await;
        assert_eq!(to_bytes(other.into_body(), 10).await.unwrap(), "text");
    }
}
