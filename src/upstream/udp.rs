//! Connected UDP sockets at random ports.
//!
//! Connected, so that the kernel drops datagrams from other addresses and ports (RFC 5452, 9.1) and
//! reports ICMP errors at once. The kernel chooses the port at random from its ephemeral range
//! (28,232 by default); of the sockets open to an upstream one is drawn at random for each query,
//! and each is replaced after some queries or some time. An attacker who cannot see the traffic must
//! guess the id (16 bits) and which of the open ports it belongs to (14.8 bits for one guess, less
//! log2 of the pool's size for a flood over all ports), inside one round-trip time.
//!
//! A socket on which a query went unanswered is replaced at once: to a Service address a flow is
//! pinned by the kernel's translation to one endpoint, and if that is gone the flow stays dead for as
//! long as it is used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rand::RngExt;

use super::slots::Ticket;
use crate::time::Tick;
use crate::wire::write_u16;

/// A socket is replaced after so many queries, and up to as many more.
const QUERIES: u32 = 1000;
/// A socket is replaced after this long, at its next turn.
const AGE: Duration = Duration::from_secs(60);

/// Who waits for an answer: an exchange and the number of its try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// The exchange.
    pub exchange: Ticket,
    /// Which of its tries.
    pub attempt: u8,
}

/// Queries by id.
pub type PendingById = HashMap<u16, Pending, foldhash::fast::RandomState>;

/// One socket and the queries sent from it that have no answer yet.
pub struct Socket {
    socket: UdpSocket,
    /// By id.
    pub pending: PendingById,
    queries_left: u32,
    opened: Tick,
    /// When an answer last came.
    pub last_answer: Tick,
    /// Replaced: it closes when nothing is pending.
    pub retired: bool,
}

impl Socket {
    /// Opens a socket to `addr`.
    ///
    /// # Errors
    /// What socket(2), bind(2) and connect(2) say.
    pub fn open(addr: SocketAddr, rng: &mut impl rand::Rng, now: Tick) -> io::Result<Socket> {
        let any: SocketAddr = match addr {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(addr)?;
        Ok(Socket {
            socket,
            pending: PendingById::default(),
            queries_left: rng.random_range(QUERIES..2 * QUERIES),
            opened: now,
            last_answer: now,
            retired: false,
        })
    }

    /// Takes one datagram, without blocking.
    ///
    /// # Errors
    /// What recv(2) says, ICMP errors among it.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// Whether it has served long enough.
    pub fn is_worn(&self, now: Tick) -> bool {
        self.queries_left == 0 || now.since(self.opened) > AGE
    }

    /// Sends `query` under a fresh random id, which is written into it and returned. `None` where
    /// all tries to find a free id failed, which takes thousands in flight on one socket.
    ///
    /// # Errors
    /// What send(2) says, pending ICMP errors among it; the query is then not pending.
    pub fn send(
        &mut self,
        query: &mut [u8],
        pending: Pending,
        rng: &mut impl rand::Rng,
    ) -> io::Result<Option<u16>> {
        let Some(id) = insert_at_random(&mut self.pending, pending, rng) else { return Ok(None) };
        write_u16(query, 0, id);
        self.queries_left = self.queries_left.saturating_sub(1);
        match self.socket.send(query) {
            Ok(_) => Ok(Some(id)),
            // A full send buffer loses the datagram as the network might: the timer sees to it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(id)),
            Err(error) => {
                self.pending.remove(&id);
                Err(error)
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Puts `pending` under a random id that is free.
pub fn insert_at_random(
    table: &mut PendingById,
    pending: Pending,
    rng: &mut impl rand::Rng,
) -> Option<u16> {
    (0..16).find_map(|_| {
        let id = rng.random();
        match table.entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(pending);
                Some(id)
            }
        }
    })
}
