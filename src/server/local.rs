//! A store that a command opens itself, asked by the routes of a server that listens nowhere.
//!
//! Not here: what the routes answer (see `api`).

use super::routes::routes;
use super::{Running, StatsdSockets};
use crate::clock;
use crate::config::Config;
use crate::http_server::Peer;
use anyhow::Result;
use axum::Router;
use axum::body::Body;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;

/// The largest answer a command takes from routes of its own.
const LOCAL_ANSWER_BYTES_MAX: usize = 16 << 20;

/// The routes of a server over a store that a command opens itself, without any listener.
#[derive(Debug)]
pub struct Local {
    runtime: tokio::runtime::Runtime,
    routes: Router,
    running: Running,
}

impl Local {
    /// Opens the store of the settings.
    ///
    /// # Errors
    /// When the data directory cannot be opened or is in use.
    pub fn open(config: &Config) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let running = Running::start(config, StatsdSockets::default())?;
        let routes = routes(config, &running, Arc::default(), clock::now_ms(), None);
        Ok(Self { runtime, routes, running })
    }

    /// POST of a body; the status and the body of the answer.
    ///
    /// # Errors
    /// When the path is none, or the answer does not end.
    pub fn post(&self, path: &str, body: String) -> Result<(u16, String)> {
        let peer = Peer(SocketAddr::from(([127, 0, 0, 1], 0)));
        self.ask(axum::http::Request::post(path).extension(peer).body(Body::from(body))?)
    }

    /// GET of a path with its query string; the status and the body of the answer.
    ///
    /// # Errors
    /// When the path is none, or the answer does not end.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let peer = Peer(SocketAddr::from(([127, 0, 0, 1], 0)));
        self.ask(axum::http::Request::get(path).extension(peer).body(Body::empty())?)
    }

    fn ask(&self, request: axum::http::Request<Body>) -> Result<(u16, String)> {
        self.runtime.block_on(async {
            let answer = self.routes.clone().oneshot(request).await?;
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), LOCAL_ANSWER_BYTES_MAX).await?;
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        })
    }

    /// Writes a checkpoint and closes the store.
    ///
    /// # Errors
    /// When the checkpoint cannot be written; what was acknowledged is kept all the same.
    pub fn close(self) -> Result<()> {
        // The routes hold a way to the shards, which end only when nobody can send to them.
        drop(self.routes);
        self.running.stop()
    }
}
