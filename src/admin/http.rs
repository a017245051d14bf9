//! `/metrics`, `/healthz`, `/readyz`: what anyone who can reach the port may see.
//!
//! `/healthz` says that the admin thread runs, and no more: a kubelet that restarts the daemon
//! because an upstream is down would make things worse. `/readyz` asks the core.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::server::{self, Endpoints, Limits, Reply, reply, text};
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};
use crate::telemetry::stats::Stats;

/// The longest a readiness check may take; beyond it the answer is "not ready". Below the kubelet's
/// usual patience for a probe, so that the reason is still heard.
pub const CHECK: Duration = Duration::from_millis(900);

/// Whether clients can be served.
pub trait Ready: Send + Sync + 'static {
    /// The reasons why not, a sentence each, or `Ok`. Other nodes may read them. Dropped when it
    /// takes longer than [`CHECK`].
    fn check(&self) -> impl Future<Output = Result<(), Vec<String>>> + Send;
}

/// Serves the endpoints until `stop` is over. `stats` is the admin thread's own.
pub async fn serve<R: Ready>(
    listener: TcpListener,
    metrics: Metrics,
    ready: Arc<R>,
    stats: Arc<Stats>,
    stop: impl Future<Output = ()>,
) {
    let endpoints = Arc::new(Http { metrics, ready });
    server::serve(listener, endpoints, stats, Limits::default(), stop).await;
}

struct Http<R> {
    metrics: Metrics,
    ready: Arc<R>,
}

impl<R: Ready> Endpoints for Http<R> {
    async fn get(&self, path: &str, _query: &str) -> Reply {
        match path {
            "/metrics" => self.metrics(),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready().await,
            _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
        }
    }
}

impl<R: Ready> Http<R> {
    fn metrics(&self) -> Reply {
        match self.metrics.text() {
            Ok(metrics) => reply(StatusCode::OK, CONTENT_TYPE, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    async fn ready(&self) -> Reply {
        let reasons = match timeout(CHECK, self.ready.check()).await {
            Ok(Ok(())) => return text(StatusCode::OK, "ok\n"),
            Ok(Err(reasons)) => reasons,
            Err(_) => vec![format!("the check took longer than {CHECK:?}")],
        };
        let mut body = String::new();
        for reason in reasons {
            body.push_str(&reason.replace(['\n', '\r'], " "));
            body.push('\n');
        }
        text(StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

#[cfg(test)]
mod tests;
