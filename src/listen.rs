//! Receives and frames: sockets, batches, connections, deadlines. Knows no DNS policy; what a packet
//! means is the desk's business ([`crate::serve`]).

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

mod inbox;
pub mod tcp;
pub mod udp;

pub use inbox::{Inbox, Job};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Opens a UDP socket that shares its address with the other shards' sockets. `buffer` is its
/// receive buffer in bytes, as far as the system allows.
///
/// # Errors
/// What socket(2), setsockopt(2) and bind(2) say.
pub fn bind_udp(addr: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Without CAP_NET_ADMIN the kernel caps this at net.core.rmem_max.
    socket.set_recv_buffer_size(buffer)?;
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
