//! What an operator asks of the running server: `POST /-/compact` and `POST /-/snapshot?dir=DIR`.
//!
//! `POST /-/reload` reads the settings, users and certificates again.
//!
//! Not here: who may ask (see `guard`).

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::io::ErrorKind::AlreadyExists;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{SnapshotReport, Store, StoreError};
use tokio::sync::oneshot;

/// Reads settings again; the text says what is in force now, the error what is wrong.
pub type Reload = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// The routes, at the root; what cannot be read again has no path for it.
pub fn router(store: Store, reload: Option<Reload>) -> Router {
    let of_store = Router::new()
        .route("/-/compact", post(compact).put(compact))
        .route("/-/snapshot", post(snapshot).put(snapshot))
        .with_state(store);
    match reload {
        Some(reload) => of_store.route("/-/reload", post(reread).put(reread).with_state(reload)),
        None => of_store,
    }
}

async fn reread(State(reload): State<Reload>) -> Response {
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(said)) => (StatusCode::OK, format!("{said}\n")).into_response(),
        Ok(Err(what)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("nothing was changed: {what}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Where a snapshot is to go.
#[derive(Debug, Deserialize)]
struct Asked {
    dir: PathBuf,
}

/// Copies the store to a directory of the server's machine.
async fn snapshot(State(store): State<Store>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let dir = match asked {
        Ok(Query(Asked { dir })) if dir.is_absolute() => dir,
        Ok(_) => return (StatusCode::BAD_REQUEST, "dir must be an absolute path\n").into_response(),
        Err(rejection) => return (StatusCode::BAD_REQUEST, format!("{rejection}: say ?dir=DIR\n")).into_response(),
    };
    let (answer, answered) = oneshot::channel();
    let asked = store.snapshot(
        &dir,
        Box::new(move |result| {
            // The peer that asked may have left; the work is done all the same.
            let _ = answer.send(result);
        }),
    );
    let result = match asked {
        Ok(()) => answered.await.unwrap_or(Err(StoreError::Closed)),
        Err(error) => Err(error),
    };
    match result {
        Ok(SnapshotReport { files, bytes }) => {
            tracing::info!(dir = %dir.display(), files, bytes, "snapshot made");
            Json(json!({ "dir": dir, "files": files, "bytes": bytes })).into_response()
        }
        Err(error @ StoreError::Io { .. }) if matches!(&error, StoreError::Io { error, .. } if error.kind() == AlreadyExists) => {
            (StatusCode::CONFLICT, format!("{error}\n")).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "no snapshot could be made");
            (StatusCode::SERVICE_UNAVAILABLE, format!("no snapshot could be made: {error}\n")).into_response()
        }
    }
}

async fn compact(State(store): State<Store>) -> Response {
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
