//! The kernel's cost of a hit: receives datagrams in batches, turns each DNS query into an answer
//! by one bit, sends them back in batches. It parses nothing and knows nothing, so whatever a
//! server needs beyond it is the server's own.
//!
//! Usage: `bench-echo ADDR:PORT [epoll] [SIZE]`. Runs until it is ended; prints its process id when
//! it listens. With `epoll` it waits as a server must that has more than one socket, which shows what
//! that alone costs. With SIZE its answers are at least so many bytes long, filled up with zeros,
//! which shows what answers of that size cost.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, ensure};
use horizond::sys::{Epoll, Events, Interest, RecvBatch, SendBatch};

/// Datagrams taken and sent at a time, as many as a shard takes.
const BATCH: usize = 32;
/// Longest datagram.
const SIZE: usize = 4096;
/// SO_RCVBUF in bytes, a shard's default.
const RECEIVE_BUFFER: usize = 4 << 20;

fn main() -> anyhow::Result<()> {
    let usage = "usage: bench-echo ADDR:PORT [epoll] [SIZE]";
    let mut args = std::env::args().skip(1);
    let addr: SocketAddr = args.next().context(usage)?.parse().context(usage)?;
    let (mut by_epoll, mut least) = (false, 0);
    for arg in args {
        match arg.as_str() {
            "epoll" => by_epoll = true,
            size => least = size.parse().context(usage)?,
        }
    }
    ensure!(least <= SIZE, "answers have at most {SIZE} bytes");
    let socket = UdpSocket::bind(addr).with_context(|| format!("cannot listen on {addr}"))?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
    let epoll = Epoll::new()?;
    if by_epoll {
        epoll.add(&socket, 0, Interest::Read)?;
    }
    let mut events = Events::new(1);
    println!("{}", std::process::id());

    let mut received = RecvBatch::new(BATCH, SIZE);
    let mut answers = SendBatch::new(BATCH, SIZE);
    loop {
        let result = if by_epoll {
            epoll.wait(&mut events, None)?;
            received.receive(&socket)
        } else {
            received.wait(&socket)
        };
        // What an ICMP error or a signal reports concerns one datagram that is gone already.
        let Ok(count) = result else { continue };
        for i in 0..count {
            let (bytes, Some(from)) = (received.bytes(i), received.from(i)) else { continue };
            let len = bytes.len().max(least);
            let answer = &mut answers.next_buffer()[..len];
            answer[..bytes.len()].copy_from_slice(bytes);
            answer[bytes.len()..].fill(0);
            // QR (RFC 1035, 4.1.1); the rcode stays NOERROR.
            if let Some(flags) = answer.get_mut(2) {
                *flags |= 0x80;
            }
            answers.queue(len, from);
        }
        answers.flush(&socket);
    }
}
