//! HTTP/1.1 over any listener, with ceilings.
//!
//! One request a connection: Prometheus, the kubelet and curl do not mind, and a connection that
//! lives for one request can be given one deadline for all it does. Each runs in a task of its own,
//! so a slow client holds up nobody; there are at most [`Limits::connections`] of them.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::telemetry::labels::ShedReason;
use crate::telemetry::logs::Every;
use crate::telemetry::stats::Stats;

/// A whole response in memory.
pub type Reply = Response<Full<Bytes>>;

/// What a server answers.
pub trait Endpoints: Send + Sync + 'static {
    /// The answer to `GET path?query`. May be dropped at any await when the client's time is over.
    fn get(&self, path: &str, query: &str) -> impl Future<Output = Reply> + Send;

    /// The answer to `POST path?query`, whose body is ignored; `None` where nothing is to be posted.
    /// May be dropped as the other.
    fn post(&self, _path: &str, _query: &str) -> impl Future<Output = Option<Reply>> + Send {
        std::future::ready(None)
    }
}

/// Where connections come from.
pub trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Waits for the next one; cancel safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = tokio::net::TcpStream;
    async fn accept(&self) -> io::Result<Self::Stream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Accept for UnixListener {
    type Stream = tokio::net::UnixStream;
    async fn accept(&self) -> io::Result<Self::Stream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Ceilings of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. One more is closed at once, and counted as
    /// `horizond_shed_total{reason="admin_connections"}`.
    pub connections: usize,
    /// The request's header must have come within this.
    pub header: Duration,
    /// Everything must be over within this, the client's reading of the response included.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            header: Duration::from_secs(5),
            connection: Duration::from_secs(30),
        }
    }
}

/// The longest request header; a scrape's has some 300 bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// Pause after a failed accept: without one, a process out of descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is over; connections still open then are cut. `stats` is the admin thread's
/// own.
pub async fn serve<A: Accept, E: Endpoints>(
    listener: A,
    endpoints: Arc<E>,
    stats: Arc<Stats>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let mut connections = JoinSet::new();
    let mut complaints = Every::new(Duration::from_secs(60));
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        // Those that are over but not yet heard of do not count.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(_) if connections.len() >= limits.connections => {
                stats.shed(ShedReason::AdminConnections);
            }
            Ok(stream) => {
                connections.spawn(connection(stream, endpoints.clone(), limits));
            }
            Err(error) => {
                if let Some(before) = complaints.allow(Instant::now()) {
                    tracing::warn!(%error, before, "an admin connection could not be accepted");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<S, E>(stream: S, endpoints: Arc<E>, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Endpoints,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let endpoints = endpoints.clone();
        async move { Ok::<_, Infallible>(respond(endpoints.as_ref(), &request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.connection, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
        Err(_) => tracing::debug!("admin connection took too long"),
    }
}

async fn respond<E: Endpoints>(endpoints: &E, request: &Request<Incoming>) -> Reply {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if request.method() == Method::GET {
        return endpoints.get(path, query).await;
    }
    if request.method() == Method::POST
        && let Some(reply) = endpoints.post(path, query).await
    {
        return reply;
    }
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed\n");
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    reply
}

/// A plain text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

/// A response of a type.
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

#[cfg(test)]
mod tests;
