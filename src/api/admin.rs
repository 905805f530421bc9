//! What an operator asks of the running server: `POST /-/compact`.
//!
//! Not here: roles; until access is configured only peers on loopback may ask.

use crate::http_server::Peer;
use axum::Router;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use storage::{Store, StoreError};
use tokio::sync::oneshot;

/// The routes, at the root.
pub fn router(store: Store) -> Router {
    Router::new().route("/-/compact", post(compact).put(compact)).with_state(store)
}

async fn compact(State(store): State<Store>, Extension(Peer(peer)): Extension<Peer>) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "only peers on loopback may compact\n").into_response();
    }
    let (answer, answered) = oneshot::channel();
    let asked = store.compact(Box::new(move |result| {
        // The peer that asked may have left; the work is done all the same.
        let _ = answer.send(result);
    }));
    let result = match asked {
        Ok(()) => answered.await.unwrap_or(Err(StoreError::Closed)),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => (StatusCode::OK, "compacted\n").into_response(),
        Err(error) => {
            tracing::error!(%error, "compaction failed");
            (StatusCode::SERVICE_UNAVAILABLE, format!("compaction failed: {error}\n")).into_response()
        }
    }
}
