//! A steady load of four kinds of clients at one server's address, that remembers each question: who
//! answered it and when, or that nobody did. Nothing is asked twice.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::netns::Netns;

/// Whoever has no answer by then has none.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// No load goes on longer.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two questions of a kind from new sockets.
const NEW_UDP: Duration = Duration::from_micros(3_333);
const NEW_TCP: Duration = Duration::from_millis(10);
/// Clients that keep their sockets, and the time between two questions of each.
const KEPT_UDP: usize = 16;
const KEPT_TCP: usize = 8;
const KEPT: Duration = Duration::from_millis(80);
/// `who.example` A, IN, with RD.
const QUESTION: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03who\x07example\0\0\x01\0\x01";

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Over UDP, from a new port each time; 300 a second.
    NewUdp,
    /// Over UDP, 16 clients with a port each; 200 a second.
    KeptUdp,
    /// Over TCP, on a new connection each time; 100 a second.
    NewTcp,
    /// Over TCP, 8 clients with a connection each, made anew when it breaks; 100 a second.
    KeptTcp,
}

impl Way {
    pub const ALL: [Way; 4] = [Way::NewUdp, Way::KeptUdp, Way::NewTcp, Way::KeptTcp];

    pub fn name(self) -> &'static str {
        match self {
            Way::NewUdp => "UDP, new port each",
            Way::KeptUdp => "UDP, 16 ports",
            Way::NewTcp => "TCP, new connection each",
            Way::KeptTcp => "TCP, 8 connections",
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Answered, with this address.
    Answered([u8; 4]),
    /// No answer in time.
    Lost,
    /// Told at once that there will be none: refused, reset, closed.
    Broken,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub way: Way,
    pub sent: Instant,
    /// When its fate was known.
    pub done: Instant,
    pub fate: Fate,
}

#[derive(Clone)]
struct Clients {
    server: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

/// A load in its course; ends when dropped.
pub struct Load {
    clients: Clients,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub fn start(netns: &Netns, server: &str) -> Load {
        let server = SocketAddr::new(server.parse().unwrap(), 53);
        let clients = Clients { server, asked: Arc::default(), stop: Arc::default() };
        let (all, netns) = (clients.clone(), netns.clone());
        let thread = std::thread::spawn(move || {
            netns.run(|| {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                runtime.enable_all().build().unwrap().block_on(all.run());
            });
        });
        Load { clients, thread: Some(thread) }
    }

    /// Questions whose fate is known, up to now.
    pub fn asked(&self) -> Vec<Asked> {
        self.clients.asked.lock().unwrap().clone()
    }

    /// Asks no more, waits for what is under way, and gives everything.
    pub fn finish(mut self) -> Vec<Asked> {
        self.clients.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.asked()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.clients.stop.store(true, Ordering::SeqCst);
    }
}

impl Clients {
    async fn run(self) {
        let mut all = JoinSet::new();
        all.spawn(self.clone().ask_anew(Way::NewUdp, NEW_UDP));
        all.spawn(self.clone().ask_anew(Way::NewTcp, NEW_TCP));
        for number in 0..KEPT_UDP.max(KEPT_TCP) {
            if number < KEPT_UDP {
                all.spawn(self.clone().keep_udp());
            }
            if number < KEPT_TCP {
                all.spawn(self.clone().keep_tcp());
            }
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    }

    fn goes_on(&self, since: Instant) -> bool {
        !self.stop.load(Ordering::SeqCst) && since.elapsed() < LIMIT
    }

    /// Whatever becomes of a question, it is one.
    async fn note(&self, way: Way, ask: impl Future<Output = std::io::Result<[u8; 4]>>) -> Fate {
        let sent = Instant::now();
        let fate = match timeout(PATIENCE, ask).await {
            Ok(Ok(address)) => Fate::Answered(address),
            Ok(Err(_)) => Fate::Broken,
            Err(_) => Fate::Lost,
        };
        self.asked.lock().unwrap().push(Asked { way, sent, done: Instant::now(), fate });
        fate
    }

    async fn ask_anew(self, way: Way, pause: Duration) {
        let (mut tick, began) = (interval(pause), Instant::now());
        let mut asking = JoinSet::new();
        while self.goes_on(began) {
            tick.tick().await;
            let one = self.clone();
            asking.spawn(async move {
                match way {
                    Way::NewUdp => one.note(way, ask_udp(None, one.server)).await,
                    _ => one.note(way, ask_tcp(&mut None, one.server)).await,
                }
            });
            while asking.try_join_next().is_some() {}
        }
        while asking.join_next().await.is_some() {}
    }

    async fn keep_udp(self) {
        let socket = connected(self.server).await.unwrap();
        let (mut tick, began) = (interval(KEPT), Instant::now());
        while self.goes_on(began) {
            tick.tick().await;
            self.note(Way::KeptUdp, ask_udp(Some(&socket), self.server)).await;
        }
    }

    async fn keep_tcp(self) {
        let (mut tick, began) = (interval(KEPT), Instant::now());
        let mut stream = None;
        while self.goes_on(began) {
            tick.tick().await;
            let fate = self.note(Way::KeptTcp, ask_tcp(&mut stream, self.server)).await;
            if !matches!(fate, Fate::Answered(_)) {
                stream = None;
            }
        }
    }
}

async fn connected(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(server).await?;
    Ok(socket)
}

async fn ask_udp(kept: Option<&UdpSocket>, server: SocketAddr) -> std::io::Result<[u8; 4]> {
    let new;
    let socket = match kept {
        Some(socket) => socket,
        None => {
            new = connected(server).await?;
            &new
        }
    };
    let mut query = QUESTION.to_vec();
    query[..2].copy_from_slice(&rand::random::<[u8; 2]>());
    socket.send(&query).await?;
    let mut answer = [0; 512];
    loop {
        let len = socket.recv(&mut answer).await?;
        if answer[..2] == query[..2] {
            return address(&answer[..len]);
        }
    }
}

async fn ask_tcp(kept: &mut Option<TcpStream>, server: SocketAddr) -> std::io::Result<[u8; 4]> {
    if kept.is_none() {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        *kept = Some(stream);
    }
    let stream = kept.as_mut().unwrap();
    let length = (QUESTION.len() as u16).to_be_bytes();
    stream.write_all(&[&length, QUESTION].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    address(&answer)
}

/// The data of the last record, an A record.
fn address(answer: &[u8]) -> std::io::Result<[u8; 4]> {
    assert_eq!(answer[3] & 15, 0, "an answer, not a failure: {answer:?}");
    answer.last_chunk().copied().ok_or(std::io::ErrorKind::InvalidData.into())
}
