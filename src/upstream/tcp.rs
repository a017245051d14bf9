//! TCP connections to upstreams: kept open, pipelined, answered in any order (RFC 7766, 6.2).
//!
//! Queries of one turn of the shard's loop leave in one write, and answers that came together are
//! read together, so that under load a query over TCP costs no more system calls than over UDP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};

use super::udp::{Pending, PendingById, insert_at_random};
use crate::time::Tick;
use crate::wire::{read_u16, write_u16};

/// Queries in flight on one connection; beyond it another connection is opened.
pub const PIPELINE: usize = 512;
/// Messages that nobody waits for, on one connection; beyond it the server is talking to itself. Late
/// answers are such messages: as many as may be in flight, several times over.
pub const STRAYS: usize = 8 * PIPELINE;
/// Connections to one upstream from one shard.
pub const CONNECTIONS: usize = 4;
/// An idle connection is closed after this; most servers close it sooner.
pub const IDLE: Duration = Duration::from_secs(60);
/// Bytes that may wait to be written.
const OUT_LIMIT: usize = 256 * 1024;
/// Bytes taken at once.
pub const CHUNK: usize = 128 * 1024;

/// One connection.
pub struct Connection {
    stream: TcpStream,
    /// Id of the upstream that it leads to.
    pub upstream: u32,
    /// Queries without an answer, by id.
    pub pending: PendingById,
    connected: bool,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// When bytes last came, or when it was opened.
    pub last_read: Tick,
    /// When a query was last put on it.
    pub last_used: Tick,
    /// How many answers came over it.
    pub answered: u64,
    /// How many messages came that nobody waited for.
    pub strays: usize,
    /// Whether it waits for room to write.
    pub watching_writes: bool,
    /// Whether it stands in the list of those to be flushed.
    pub dirty: bool,
}

/// What became of the bytes that could be read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// There will be more.
    Open,
    /// The other side closed, or the connection failed.
    Closed,
}

impl Connection {
    /// Begins to connect; never waits.
    ///
    /// # Errors
    /// What socket(2) and connect(2) say.
    pub fn open(addr: SocketAddr, upstream: u32, now: Tick) -> io::Result<Connection> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = socket2::Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Connection {
            stream: socket.into(),
            upstream,
            pending: PendingById::default(),
            connected: false,
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            last_read: now,
            last_used: now,
            answered: 0,
            strays: 0,
            watching_writes: true,
            dirty: false,
        })
    }

    /// Whether another query fits.
    pub fn has_room(&self) -> bool {
        self.pending.len() < PIPELINE && self.out.len() < OUT_LIMIT
    }

    /// Puts a query, with its length in front, in line for the next flush, under a fresh id.
    pub fn queue(
        &mut self,
        query: &mut [u8],
        pending: Pending,
        rng: &mut impl rand::Rng,
        now: Tick,
    ) -> Option<u16> {
        let id = insert_at_random(&mut self.pending, pending, rng)?;
        write_u16(query, 0, id);
        self.out.extend((query.len() as u16).to_be_bytes());
        self.out.extend_from_slice(query);
        self.last_used = now;
        Some(id)
    }

    /// Writes what waits, as far as the socket takes it. Returns whether all is written.
    ///
    /// # Errors
    /// The connection is over.
    pub fn flush(&mut self) -> io::Result<bool> {
        if !self.connected {
            return Ok(false);
        }
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    /// The socket became writable: the connection stands, or has failed.
    ///
    /// # Errors
    /// Why it could not be made.
    pub fn on_writable(&mut self) -> io::Result<()> {
        if !self.connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            self.connected = true;
        }
        Ok(())
    }

    /// Takes what can be read, through `chunk`, and no more than that at a time: a server that sends
    /// faster than it is read must not keep the shard from its other work, nor fill its memory. What
    /// is left is reported again.
    pub fn fill(&mut self, chunk: &mut [u8], now: Tick) -> ReadEnd {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => return ReadEnd::Closed,
                Ok(count) => {
                    self.last_read = now;
                    self.input.extend_from_slice(&chunk[..count]);
                    return ReadEnd::Open;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return ReadEnd::Open,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return ReadEnd::Closed,
            }
        }
    }

    /// Takes the bytes read so far; what is not a whole message is to be given back.
    pub fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Gives back the bytes behind the first `used` of those taken.
    pub fn give_back(&mut self, mut bytes: Vec<u8>, used: usize) {
        bytes.drain(..used);
        if bytes.is_empty() && bytes.capacity() > CHUNK {
            return;
        }
        self.input = bytes;
    }
}

/// The first whole message in `bytes` and where it ends.
pub fn first_message(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = 2 + usize::from(read_u16(bytes, 0)?);
    Some((bytes.get(2..end)?, end))
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_flood_is_taken_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let mut connection = Connection::open(addr, 0, Tick(0)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        connection.stream.set_nonblocking(false).unwrap();
        let flood = std::thread::spawn(move || server.write_all(&[0; 8 * CHUNK]));
        let mut chunk = vec![0; CHUNK];
        let mut taken = 0;
        while taken < 8 * CHUNK {
            assert_eq!(connection.fill(&mut chunk, Tick(1)), ReadEnd::Open);
            let input = connection.take_input();
            assert!((1..=CHUNK).contains(&input.len()));
            taken += input.len();
            let used = input.len();
            connection.give_back(input, used);
        }
        flood.join().unwrap().unwrap();
        assert_eq!(connection.fill(&mut chunk, Tick(2)), ReadEnd::Closed);
    }
}
