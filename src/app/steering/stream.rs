//! Questions to ourselves over TCP, on a connection to each address that is kept open: it shows that the
//! thread of TCP clients goes round. One address a beat, in turn.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::question::{Fault, Thread, judge, question};

/// How long a try may take, connecting included; each but the first has a connection of its own.
const TRY: Duration = Duration::from_millis(if cfg!(test) { 400 } else { 50 });
const TRIES: u32 = 3;

/// Who did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{addr}/tcp: {fault}")]
pub(super) struct Missed {
    addr: SocketAddr,
    fault: Fault,
    /// It serves, but all its connections are taken.
    pub busy: bool,
}

/// Why a try failed.
enum Failed {
    /// A new connection was closed at once: [listen.tcp] allows no more.
    Full,
    /// Anything else.
    Fault(Fault),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failed::Fault(Fault::Silent),
            _ => Failed::Fault(error.into()),
        }
    }
}

/// The connections.
pub(super) struct Streams {
    lines: Vec<(SocketAddr, Option<TcpStream>)>,
}

impl Streams {
    pub fn new(addresses: &[SocketAddr]) -> Streams {
        Streams { lines: addresses.iter().map(|addr| (*addr, None)).collect() }
    }

    /// Asks at one of the addresses.
    pub fn ask(&mut self, beat: usize) -> Result<(), Missed> {
        let count = self.lines.len().max(1);
        let Some((addr, kept)) = self.lines.get_mut(beat % count) else { return Ok(()) };
        let mut failed = Failed::Fault(Fault::Silent);
        for _ in 0..TRIES {
            let until = Instant::now() + TRY;
            match ask(*addr, kept.take(), until) {
                Ok(stream) => {
                    *kept = Some(stream);
                    return Ok(());
                }
                Err(error) => failed = error,
            }
        }
        let (fault, busy) = match failed {
            Failed::Full => (Fault::Io(io::ErrorKind::UnexpectedEof.into()), true),
            Failed::Fault(fault) => (fault, false),
        };
        Err(Missed { addr: *addr, fault, busy })
    }
}

/// Asks on `kept`, or on a new connection, and gives that back once it is answered.
fn ask(addr: SocketAddr, kept: Option<TcpStream>, until: Instant) -> Result<TcpStream, Failed> {
    let is_new = kept.is_none();
    let stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect_timeout(&addr, left(until))?,
    };
    match exchange(&stream, until) {
        Ok(()) => Ok(stream),
        Err(failed) => {
            // Nobody waits for what this connection may still have to say.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let is_closed = matches!(&failed, Failed::Fault(Fault::Io(error)) if is_closed(error));
            Err(if is_closed && is_new { Failed::Full } else { failed })
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

fn exchange(mut stream: &TcpStream, until: Instant) -> Result<(), Failed> {
    let (id, query) = question();
    let length = (query.len() as u16).to_be_bytes();
    stream.set_write_timeout(Some(left(until)))?;
    stream.write_all(&[&length, &query[..]].concat())?;
    stream.set_read_timeout(Some(left(until)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.set_read_timeout(Some(left(until)))?;
    stream.read_exact(&mut answer)?;
    match judge(&answer, id) {
        Some(Ok(Thread::Tcp)) => Ok(()),
        Some(Err(fault)) => Err(Failed::Fault(fault)),
        Some(Ok(Thread::Shard(_))) | None => Err(Failed::Fault(Fault::Foreign)),
    }
}

/// What is left of the time; a timeout of zero would be none.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// Answers `count` questions on each connection it takes, and is then gone; says how many it took.
    fn server(counts: &'static [usize]) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for &count in counts {
                let (mut stream, _) = listener.accept().unwrap();
                for _ in 0..count {
                    let mut length = [0; 2];
                    stream.read_exact(&mut length).unwrap();
                    let mut query = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut query).unwrap();
                    let record = b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x04\x03tcp";
                    query[2] |= 0x80;
                    query[7] = 1;
                    query.extend_from_slice(record);
                    stream.write_all(&(query.len() as u16).to_be_bytes()).unwrap();
                    stream.write_all(&query).unwrap();
                }
            }
        });
        (addr, thread)
    }

    #[test]
    fn a_connection_is_kept_and_replaced_when_it_was_closed() {
        let (addr, server) = server(&[3, 2]);
        let mut streams = Streams::new(&[addr]);
        (0..5).for_each(|beat| streams.ask(beat).unwrap());
        server.join().unwrap();
    }

    #[test]
    fn who_accepts_and_closes_is_busy_and_who_does_neither_is_missed() {
        let (addr, server) = server(&[0, 0, 0]);
        let mut streams = Streams::new(&[addr]);
        assert!(streams.ask(0).unwrap_err().busy);
        server.join().unwrap();
        let refused = streams.ask(1).unwrap_err();
        assert!(!refused.busy && matches!(refused.fault, Fault::Io(_)), "{refused}");

        // The kernel completes connections that nobody accepts.
        let stuck = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut streams = Streams::new(&[stuck.local_addr().unwrap()]);
        let began = Instant::now();
        let silent = streams.ask(0).unwrap_err();
        assert!(!silent.busy && matches!(silent.fault, Fault::Silent), "{silent}");
        assert!(began.elapsed() < TRY * 10, "{:?}", began.elapsed());
    }
}
