//! Fake upstreams: UDP and TCP on a loopback address of their own. They record what they receive and
//! answer only what a script says, when it says so.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use crate::BOUND;
use crate::message::{self, Message};

/// Messages that only the tests send: one asks for a sign that all before it has been seen, the
/// other ends the thread that reads it.
const MARK: &[u8] = b"mark";
const STOP: &[u8] = b"stop";

/// A question that arrived.
pub struct Question {
    pub message: Message,
    /// Number of its connection, from 1; 0 for a datagram.
    pub connection: usize,
    pub peer: SocketAddr,
    stream: Option<TcpStream>,
}

enum Event {
    Question(Box<Question>),
    Broken(String),
    Mark,
}

/// What the threads share.
struct Shared {
    events: Sender<Event>,
    frozen: Mutex<bool>,
    thawed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
    count: AtomicUsize,
    closing: AtomicBool,
}

impl Shared {
    /// Hands a message over; false if it was the last.
    fn take(&self, bytes: &[u8], peer: SocketAddr, from: Option<(usize, &TcpStream)>) -> bool {
        if bytes == STOP {
            return false;
        }
        let mut frozen = self.frozen.lock().expect("lock");
        while *frozen {
            frozen = self.thawed.wait(frozen).expect("lock");
        }
        drop(frozen);
        let event = match (bytes == MARK, message::read(bytes)) {
            (true, _) => Event::Mark,
            (_, Err(error)) => Event::Broken(error),
            (_, Ok(message)) => {
                let connection = from.map_or(0, |(number, _)| number);
                let stream = from.and_then(|(_, stream)| stream.try_clone().ok());
                Event::Question(Box::new(Question { message, connection, peer, stream }))
            }
        };
        self.events.send(event).is_ok()
    }

    fn read_datagrams(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; 65_536];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            if !self.take(&buffer[..len], peer, None) {
                return;
            }
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, peer)) = listener.accept() {
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            if let Ok(copy) = stream.try_clone() {
                self.connections.lock().expect("lock").push(copy);
            }
            let shared = Arc::clone(self);
            thread::spawn(move || shared.read_stream(stream, peer));
        }
    }

    /// Ends when the connection does. Marks are not connections that a test should count.
    fn read_stream(&self, mut stream: TcpStream, peer: SocketAddr) {
        let mut number = 0;
        let mut len = [0; 2];
        while stream.read_exact(&mut len).is_ok() {
            let mut bytes = vec![0; u16::from_be_bytes(len).into()];
            if stream.read_exact(&mut bytes).is_err() {
                return;
            }
            if number == 0 && bytes != MARK {
                number = self.count.fetch_add(1, Ordering::AcqRel) + 1;
            }
            if !self.take(&bytes, peer, Some((number, &stream))) {
                return;
            }
        }
    }
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Itself,
    AnotherPort,
    AnotherAddress,
}

/// One fake upstream.
pub struct FakeUpstream {
    pub addr: SocketAddr,
    events: Receiver<Event>,
    shared: Arc<Shared>,
    udp: Option<(UdpSocket, JoinHandle<()>)>,
    tcp: Option<JoinHandle<()>>,
    /// All questions so far.
    pub received: Vec<Question>,
    /// How many of them the script has spoken of.
    pub spoken_of: usize,
}

impl FakeUpstream {
    pub fn start(addr: SocketAddr) -> Result<FakeUpstream, String> {
        let (sender, events) = channel();
        let shared = Arc::new(Shared {
            events: sender,
            frozen: Mutex::new(false),
            thawed: Condvar::new(),
            connections: Mutex::default(),
            count: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let (udp, tcp) = (None, None);
        let mut upstream =
            FakeUpstream { addr, events, shared, udp, tcp, received: Vec::new(), spoken_of: 0 };
        upstream.up()?;
        Ok(upstream)
    }

    /// Opens its ports.
    pub fn up(&mut self) -> Result<(), String> {
        let failed = |error| format!("cannot listen on {}: {error}", self.addr);
        if self.udp.is_none() {
            let socket = UdpSocket::bind(self.addr).map_err(failed)?;
            let (shared, copy) = (Arc::clone(&self.shared), socket.try_clone().map_err(failed)?);
            self.udp = Some((socket, thread::spawn(move || shared.read_datagrams(&copy))));
        }
        if self.tcp.is_none() {
            let listener = TcpListener::bind(self.addr).map_err(failed)?;
            self.shared.closing.store(false, Ordering::Release);
            let shared = Arc::clone(&self.shared);
            self.tcp = Some(thread::spawn(move || shared.accept(&listener)));
        }
        Ok(())
    }

    /// Closes its ports and connections: what is sent there is refused.
    pub fn down(&mut self) {
        self.freeze(false);
        if let Some((socket, thread)) = self.udp.take() {
            let _ = socket.send_to(STOP, self.addr);
            drop(socket);
            let _ = thread.join();
        }
        self.refuse_tcp();
    }

    /// Closes its TCP port and connections.
    pub fn refuse_tcp(&mut self) {
        if let Some(thread) = self.tcp.take() {
            self.shared.closing.store(true, Ordering::Release);
            let _ = TcpStream::connect(self.addr);
            let _ = thread.join();
        }
        self.close();
    }

    /// Closes its connections, not the port.
    pub fn close(&self) {
        for stream in self.shared.connections.lock().expect("lock").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes nothing off its sockets (as after SIGSTOP), or goes on.
    pub fn freeze(&self, frozen: bool) {
        *self.shared.frozen.lock().expect("lock") = frozen;
        self.shared.thawed.notify_all();
    }

    /// Waits for the next question that the script has not spoken of.
    pub fn next(&mut self) -> Result<&Question, String> {
        while self.spoken_of >= self.received.len() {
            match self.events.recv_timeout(BOUND) {
                Ok(Event::Question(question)) => self.received.push(*question),
                Ok(Event::Broken(error)) => return Err(format!("it received no message: {error}")),
                Ok(Event::Mark) => {}
                Err(_) => return Err(format!("it received nothing within {BOUND:?}")),
            }
        }
        self.spoken_of += 1;
        Ok(&self.received[self.spoken_of - 1])
    }

    /// Takes in all that has arrived until now.
    pub fn settle(&mut self) -> Result<(), String> {
        let mut marks = 0;
        if let Some((socket, _)) = &self.udp {
            marks += usize::from(socket.send_to(MARK, self.addr).is_ok());
        }
        let probe = self.tcp.as_ref().and_then(|_| TcpStream::connect(self.addr).ok());
        if let Some(mut probe) = probe {
            let _ = probe.write_all(&[&[0, MARK.len() as u8], MARK].concat());
            marks += 1;
        }
        while marks > 0 {
            match self.events.recv_timeout(BOUND) {
                Ok(Event::Question(question)) => self.received.push(*question),
                Ok(Event::Broken(error)) => return Err(format!("it received no message: {error}")),
                Ok(Event::Mark) => marks -= 1,
                Err(_) => return Err("it does not answer the test".into()),
            }
        }
        Ok(())
    }

    /// Sends bytes in answer to question `index`.
    pub fn send(&self, index: usize, bytes: &[u8], from: From) -> Result<(), String> {
        let question = self.received.get(index).ok_or("it has received no such question")?;
        let failed = |error| format!("cannot answer: {error}");
        if let Some(stream) = &question.stream {
            let framed = [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
            return (&*stream).write_all(&framed).map_err(failed);
        }
        let other = match (from, self.addr) {
            (From::AnotherPort, addr) => Some((addr.ip(), 0)),
            // Below all addresses of the tests, and each its own.
            (From::AnotherAddress, SocketAddr::V4(addr)) => Some((
                IpAddr::from(Ipv4Addr::from_bits(addr.ip().to_bits() & !0x80_0000)),
                addr.port(),
            )),
            _ => None,
        };
        if let Some(other) = other {
            let socket = UdpSocket::bind(other).map_err(failed)?;
            return socket.send_to(bytes, question.peer).map(drop).map_err(failed);
        }
        let (socket, _) = self.udp.as_ref().ok_or("it is down")?;
        socket.send_to(bytes, question.peer).map(drop).map_err(failed)
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.down();
    }
}
