//! A client that asks one question at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::message::Message;
use crate::questions::Question;

/// The longest wait for one answer: longer than any deadline of the servers'.
const PATIENCE: Duration = Duration::from_secs(6);

/// What came back.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer(Box<Message>),
    /// Nothing within [`PATIENCE`], or the connection was closed.
    Silence,
    /// Bytes that are no message, or not an answer to this query.
    Garbage(Vec<u8>),
}

impl Reply {
    pub fn show(&self) -> String {
        match self {
            Self::Answer(message) => message.show(),
            Self::Silence => "no answer\n".into(),
            Self::Garbage(bytes) => format!("not an answer: {}\n", bytes.escape_ascii()),
        }
    }
}

/// A server, and the sockets that it is asked through.
pub struct Client {
    server: SocketAddr,
    udp: UdpSocket,
    tcp: Option<TcpStream>,
    id: u16,
    tries: u32,
}

impl Client {
    /// A client that sends a datagram `tries` times within [`PATIENCE`].
    pub fn new(server: SocketAddr, tries: u32) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(server).unwrap();
        Self { server, udp, tcp: None, id: 0, tries }
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, question: &Question) -> Reply {
        self.id = self.id.wrapping_add(1);
        let query = question.encode(self.id);
        let bytes = if question.tcp { self.over_tcp(&query) } else { self.over_udp(&query) };
        let Ok(bytes) = bytes else { return Reply::Silence };
        match Message::read(&bytes) {
            Some(message) if message.id == self.id && message.has(crate::message::QR) => {
                Reply::Answer(Box::new(message))
            }
            _ => Reply::Garbage(bytes),
        }
    }

    fn over_udp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let mut last = Err(io::ErrorKind::TimedOut.into());
        for _ in 0..self.tries {
            last = self.datagram(query, PATIENCE / self.tries);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn datagram(&self, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
        self.udp.send(query)?;
        let mut buffer = vec![0; 65_535];
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.udp.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let len = self.udp.recv(&mut buffer)?;
            // The answer to a question that was given up.
            if len >= 2 && buffer[..2] != query[..2] {
                continue;
            }
            buffer.truncate(len);
            return Ok(buffer);
        }
    }

    fn over_tcp(&mut self, query: &[u8]) -> io::Result<Vec<u8>> {
        // The server may have closed the connection of before.
        if let Some(stream) = self.tcp.take()
            && let Ok(answer) = self.exchange(stream, query)
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        self.exchange(stream, query)
    }

    fn exchange(&mut self, mut stream: TcpStream, query: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer)?;
        self.tcp = Some(stream);
        Ok(answer)
    }
}
