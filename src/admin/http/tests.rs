#![allow(clippy::unwrap_used)]
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::telemetry::metrics::{CacheFacts, Facts, RepairFacts, UpstreamFacts};

struct Idle;

impl Facts for Idle {
    fn routes(&self) -> Vec<String> {
        vec!["internet".into()]
    }
    fn cache(&self) -> CacheFacts {
        CacheFacts::default()
    }
    fn upstreams(&self) -> Vec<UpstreamFacts> {
        Vec::new()
    }
    fn in_flight(&self) -> u64 {
        0
    }
    fn waiting(&self) -> u64 {
        0
    }
    fn tcp_connections(&self) -> u64 {
        0
    }
    fn pods(&self) -> u64 {
        0
    }
    fn namespaces(&self) -> Vec<String> {
        Vec::new()
    }
    fn config_hash(&self) -> u64 {
        0
    }
    fn repairs(&self) -> RepairFacts {
        RepairFacts { link: [("up", 0); 3], rules: 0, failures: [("link", 0); 2] }
    }
}

enum Core {
    Ready,
    Unready,
    Stuck,
}

impl Ready for Core {
    async fn check(&self) -> Result<(), Vec<String>> {
        match self {
            Core::Ready => Ok(()),
            Core::Unready => Err(vec!["no\nshard answers".into(), "not bound".into()]),
            Core::Stuck => std::future::pending().await,
        }
    }
}

fn metrics() -> Metrics {
    Metrics::new(vec![Arc::new(Stats::new(1))], Arc::new(Idle)).unwrap()
}

async fn get(core: Core, path: &str) -> (StatusCode, String, String) {
    let (head, body) =
        Http { metrics: metrics(), ready: Arc::new(core) }.get(path, "").await.into_parts();
    let content_type = head.headers["content-type"].to_str().unwrap().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, content_type, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn metrics_health_and_nothing_else() {
    let (status, content_type, body) = get(Core::Ready, "/metrics").await;
    assert_eq!((status, content_type.as_str()), (StatusCode::OK, "text/plain; version=0.0.4"));
    assert!(body.contains("\nhorizond_in_flight 0\n"), "{body}");
    let (status, _, body) = get(Core::Unready, "/healthz").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n"));
    for path in ["/", "/status", "/metrics/", "/healthz/x"] {
        assert_eq!(get(Core::Ready, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn readiness_gives_a_reason_a_line() {
    let (status, _, body) = get(Core::Ready, "/readyz").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n"));
    let (status, _, body) = get(Core::Unready, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, "no shard answers\nnot bound\n");
    let (status, _, body) = get(Core::Stuck, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("900ms"), "{body}");
}

#[tokio::test]
async fn over_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stats = Arc::new(Stats::new(0));
    let never = std::future::pending();
    let task = tokio::spawn(serve(listener, metrics(), Arc::new(Core::Ready), stats, never));
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("horizond_build_info{version="), "{answer}");
    task.abort();
}
