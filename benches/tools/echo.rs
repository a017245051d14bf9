//! The kernel's cost of a hit: receives datagrams in batches, turns each DNS query into an answer
//! by one bit, sends them back in batches. It parses nothing and knows nothing, so whatever a
//! server needs beyond it is the server's own.
//!
//! Usage: `bench-echo ADDR:PORT`. Runs until it is ended; prints its process id when it listens.

use std::net::{SocketAddr, UdpSocket};

use anyhow::Context;
use horizond::sys::{RecvBatch, SendBatch};

/// Datagrams taken and sent at a time, as many as a shard takes.
const BATCH: usize = 32;
/// Longest datagram.
const SIZE: usize = 4096;
/// SO_RCVBUF in bytes, a shard's default.
const RECEIVE_BUFFER: usize = 4 << 20;

fn main() -> anyhow::Result<()> {
    let addr = std::env::args().nth(1).context("usage: bench-echo ADDR:PORT")?;
    let addr: SocketAddr = addr.parse().context("not an address and port")?;
    let socket = UdpSocket::bind(addr).with_context(|| format!("cannot listen on {addr}"))?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
    println!("{}", std::process::id());

    let mut received = RecvBatch::new(BATCH, SIZE);
    let mut answers = SendBatch::new(BATCH, SIZE);
    loop {
        // What an ICMP error or a signal reports concerns one datagram that is gone already.
        let Ok(count) = received.wait(&socket) else { continue };
        for i in 0..count {
            let (bytes, Some(from)) = (received.bytes(i), received.from(i)) else { continue };
            let answer = &mut answers.next_buffer()[..bytes.len()];
            answer.copy_from_slice(bytes);
            // QR (RFC 1035, 4.1.1); the rcode stays NOERROR.
            if let Some(flags) = answer.get_mut(2) {
                *flags |= 0x80;
            }
            answers.queue(bytes.len(), from);
        }
        answers.flush(&socket);
    }
}
