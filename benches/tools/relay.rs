//! The least that a miss can cost: takes a query, gives it an id of its own, sends it to one
//! upstream from one connected socket, gives the answer its old id back and sends it to whoever
//! asked. No cache, no timers, no random ids or ports, no look at what comes back.
//!
//! Usage: `bench-relay ADDR:PORT UPSTREAM:PORT`. Runs until it is ended; prints its process id when
//! it listens.

use std::net::{SocketAddr, UdpSocket};

use anyhow::Context;
use horizond::sys::{Epoll, Events, Interest, RecvBatch, SendBatch};

/// Datagrams taken and sent at a time, as many as a shard takes.
const BATCH: usize = 32;
/// Longest datagram.
const SIZE: usize = 4096;
/// SO_RCVBUF in bytes, a shard's default.
const RECEIVE_BUFFER: usize = 4 << 20;

const CLIENTS: u64 = 0;
const UPSTREAM: u64 = 1;

/// A socket with its batches.
struct Side {
    socket: UdpSocket,
    received: RecvBatch,
    sends: SendBatch,
}

impl Side {
    fn new(socket: UdpSocket) -> anyhow::Result<Side> {
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        let (received, sends) = (RecvBatch::new(BATCH, SIZE), SendBatch::new(BATCH, SIZE));
        Ok(Side { socket, received, sends })
    }
}

/// Who asked, by the id that the upstream sees; an entry is used again after 65,536 queries, long
/// after its answer.
struct Ids {
    asked: Vec<Option<(u16, SocketAddr)>>,
    next: u16,
}

impl Ids {
    /// A new id for the query `id` of `from`.
    fn take(&mut self, id: u16, from: SocketAddr) -> u16 {
        let new = self.next;
        self.next = self.next.wrapping_add(1);
        self.asked[usize::from(new)] = Some((id, from));
        new
    }

    /// Who asked, and under which id.
    fn give_back(&mut self, id: u16) -> Option<(u16, SocketAddr)> {
        self.asked[usize::from(id)].take()
    }
}

/// Passes one batch from one side to the other; `rule` says under which id and to whom.
fn pass(
    from: &mut Side,
    to: &mut Side,
    mut rule: impl FnMut(u16, SocketAddr) -> Option<(u16, SocketAddr)>,
) {
    // An ICMP error concerns one datagram that is gone already.
    let Ok(count) = from.received.receive(&from.socket) else { return };
    for i in 0..count {
        let (bytes, Some(sender)) = (from.received.bytes(i), from.received.from(i)) else {
            continue;
        };
        let [high, low, rest @ ..] = bytes else { continue };
        let Some((id, addr)) = rule(u16::from_be_bytes([*high, *low]), sender) else { continue };
        let out = to.sends.next_buffer();
        out[..2].copy_from_slice(&id.to_be_bytes());
        out[2..bytes.len()].copy_from_slice(rest);
        to.sends.queue(bytes.len(), addr);
    }
    to.sends.flush(&to.socket);
}

fn main() -> anyhow::Result<()> {
    let usage = "usage: bench-relay ADDR:PORT UPSTREAM:PORT";
    let mut args = std::env::args().skip(1);
    let listen: SocketAddr = args.next().context(usage)?.parse().context(usage)?;
    let upstream: SocketAddr = args.next().context(usage)?.parse().context(usage)?;

    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let mut clients = Side::new(socket)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(upstream)?;
    let mut servers = Side::new(socket)?;
    let epoll = Epoll::new()?;
    epoll.add(&clients.socket, CLIENTS, Interest::Read)?;
    epoll.add(&servers.socket, UPSTREAM, Interest::Read)?;
    println!("{}", std::process::id());

    let mut ids = Ids { asked: vec![None; 1 << 16], next: 0 };
    let mut events = Events::new(2);
    loop {
        epoll.wait(&mut events, None)?;
        for event in events.iter() {
            if event.token == CLIENTS {
                pass(&mut clients, &mut servers, |id, from| Some((ids.take(id, from), upstream)));
            } else {
                pass(&mut servers, &mut clients, |id, _| ids.give_back(id));
            }
        }
    }
}
