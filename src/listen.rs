//! Receives and frames: sockets, batches, connections, deadlines. Knows no DNS policy; what a packet
//! means is the desk's business ([`crate::serve`]).

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;

mod inbox;
pub mod tcp;
pub mod udp;

pub use inbox::{Inbox, Job};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Opens a UDP socket that shares its address with the other shards' sockets. `buffer` is its
/// receive buffer in bytes, as far as the system allows ([`sys::set_receive_buffer`]).
///
/// # Errors
/// What socket(2), setsockopt(2) and bind(2) say.
pub fn bind_udp(addr: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A burst must find room while the thread is busy: the system's default loses datagrams with a
    // few hundred clients waiting.
    sys::set_receive_buffer(&socket, buffer)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Opens a listening TCP socket.
///
/// # Errors
/// What socket(2), setsockopt(2), bind(2) and listen(2) say.
pub fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shards_share_an_address_and_have_large_buffers() {
        let first = bind_udp("127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap();
        let addr = first.local_addr().unwrap();
        let second = bind_udp(addr, 1 << 20).unwrap();
        let default = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let default = default.recv_buffer_size().unwrap();
        for socket in [&first, &second] {
            let size = socket2::SockRef::from(socket).recv_buffer_size().unwrap();
            assert!(size >= default, "{size} {default}");
        }
        assert_eq!(bind_tcp(addr).unwrap().local_addr().unwrap(), addr);
    }
}
