//! Serves HTTP/1.1 connections, with TLS or without: a bounded number of them, slow ones cut off, and a page for the time
//! before readiness.
//!
//! Not here: routes (see `api`, `ingest`, `query`).
//!
//! Invariants: until [`Ready::set`] every path but liveness answers 503; once stopping, no new connection is taken and
//! requests under way are finished for at most `FINISH`.

mod stall;
mod tls;

pub use tls::{Certificate, Tls, TlsError};

use self::stall::Stalling;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long a connection may stay idle or take to send a request's head: longer than Prometheus lets a remote write
/// connection rest between two sends, so that it is not closed under a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// How long a peer may take nothing of an answer.
const STALL: Duration = Duration::from_secs(30);
/// How long a peer may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and most of its lines.
const HEAD_BYTES_MAX: usize = 128 << 10;
const HEADERS_MAX: usize = 100;
/// How long requests under way may take once the server stops.
const FINISH: Duration = Duration::from_secs(5);
/// Pause after the system refused a connection, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The routes, once there are any.
#[derive(Debug, Clone, Default)]
pub struct Ready(Arc<OnceLock<Router>>);

impl Ready {
    /// Opens the routes; later calls change nothing.
    pub fn set(&self, router: Router) {
        // A second router would be a mistake of assembly; the first stays.
        let _ = self.0.set(router);
    }
}

/// The address a request came from; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Accepts connections until `stop` says so, then finishes those under way.
pub async fn run(
    listener: TcpListener,
    tls: Option<Tls>,
    connections_max: usize,
    ready: Ready,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed, so a permit always comes.
        let Ok(permit) = room.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = greet(stream, tls.clone(), Peer(peer), ready.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FINISH, finished).await.is_err() {
        tracing::warn!("requests under way were cut off");
    }
}

/// Returns when the server stops, also when nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await;
}

/// Agrees on keys where there are any, and serves.
async fn greet(stream: TcpStream, tls: Option<Tls>, peer: Peer, ready: Ready, stop: watch::Receiver<bool>) {
    // Answers are small and senders wait for them.
    let _ = stream.set_nodelay(true);
    let stream = Stalling::new(stream, STALL);
    let Some(tls) = tls else { return serve(stream, peer, ready, stop).await };
    match tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, ready, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, peer = %peer.0, "no TLS"),
        Err(_) => tracing::debug!(peer = %peer.0, "no TLS in time"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    ready: Ready,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| answer(ready.clone(), peer, request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

async fn answer(ready: Ready, peer: Peer, request: Request<Incoming>) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    match ready.0.get() {
        Some(router) => router.clone().oneshot(request).await,
        None => Ok(starting(request.uri().path())),
    }
}

/// Liveness is answered while the store opens; everything else shall be asked again.
fn starting(path: &str) -> Response {
    match path {
        "/-/healthy" => (StatusCode::OK, "alive\n").into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "starting\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_readiness_only_liveness_is_answered() {
        assert_eq!(starting("/-/healthy").status(), StatusCode::OK);
        let other = starting("/-/ready");
        assert_eq!(other.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(other.headers().contains_key(header::RETRY_AFTER));
    }
}
