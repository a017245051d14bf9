#![allow(clippy::unwrap_used)]
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::*;
use crate::telemetry::snapshot::Snapshot;

/// Answers with the path, and `/big` with more than socket buffers hold.
struct Echo;

impl Endpoints for Echo {
    async fn get(&self, path: &str, _: &str) -> Reply {
        match path {
            "/big" => text(StatusCode::OK, vec![b'x'; 64 << 20]),
            path => text(StatusCode::OK, path.to_owned()),
        }
    }
}

struct Server {
    addr: std::net::SocketAddr,
    stats: Arc<Stats>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn server(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stats = Arc::new(Stats::new(0));
    let (stop, stopped) = oneshot::channel();
    let stopped = async move {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve(listener, Arc::new(Echo), stats.clone(), limits, stopped));
    Server { addr, stats, stop, task }
}

async fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const GET: &str = "GET /x?query HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn get_is_answered_once_and_other_methods_are_not() {
    let server = server(Limits::default()).await;
    let answer = ask(&server, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n/x"), "{answer}");
    for method in ["POST", "HEAD", "DELETE", "PATCH"] {
        let answer = ask(&server, &GET.replace("GET", method)).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 405 "), "{answer}");
        assert!(answer.contains("\r\nallow: get\r\n"), "{answer}");
    }
    let answer = ask(&server, "nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_body_is_ignored() {
    let server = server(Limits::default()).await;
    let answer = ask(&server, "GET /y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_header_too_long_is_refused() {
    let server = server(Limits::default()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(HEADER_BYTES));
    // The server may close before all is written; what counts is that it ends the connection.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_the_connection() {
    let limits = Limits { header: Duration::from_millis(50), ..Limits::default() };
    let server = server(limits).await;
    let began = Instant::now();
    // The read in `ask` ends when the server closes.
    let answer = ask(&server, "GET / HTT").await;
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(began.elapsed() < limits.connection);
}

/// Connections in memory, whose buffers are small.
struct Pipes(Mutex<mpsc::Receiver<DuplexStream>>);

impl Accept for Pipes {
    type Stream = DuplexStream;
    async fn accept(&self) -> io::Result<DuplexStream> {
        match self.0.lock().await.recv().await {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_holds_up_nobody() {
    let limits = Limits { connection: Duration::from_millis(300), ..Limits::default() };
    let (sender, receiver) = mpsc::channel(2);
    let never = std::future::pending();
    let pipes = Pipes(Mutex::new(receiver));
    let task = tokio::spawn(serve(pipes, Arc::new(Echo), Arc::new(Stats::new(0)), limits, never));
    let connect = async || {
        let (ours, theirs) = tokio::io::duplex(1024);
        sender.send(theirs).await.unwrap();
        ours
    };

    let mut slow = connect().await;
    slow.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // One byte of the answer: the server is in the middle of it, and stays there.
    slow.read_exact(&mut [0]).await.unwrap();
    let mut quick = connect().await;
    quick.write_all(GET.as_bytes()).await.unwrap();
    let mut answer = String::new();
    quick.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    // Writing goes on until the server has dropped its end.
    while slow.write_all(&[b'x'; 1024]).await.is_ok() {}
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() <= 1024, "{} bytes came", rest.len());
    task.abort();
}

#[tokio::test]
async fn connections_beyond_the_ceiling_are_closed_and_counted() {
    let server = server(Limits { connections: 2, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(third.read(&mut [0; 8]).await.unwrap(), 0);
    let shed =
        || Snapshot::of(std::slice::from_ref(&server.stats)).shed(ShedReason::AdminConnections);
    assert_eq!(shed(), 1);
    // The two that were let in are served, and then there is room again.
    for mut stream in held {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(ask(&server, GET).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(shed(), 1);
}

#[tokio::test]
async fn stopping_ends_the_server_and_its_connections() {
    let server = server(Limits::default()).await;
    let mut open = TcpStream::connect(server.addr).await.unwrap();
    assert!(ask(&server, GET).await.starts_with("HTTP/1.1 200 "));
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert_eq!(open.read(&mut [0; 8]).await.unwrap(), 0);
}
