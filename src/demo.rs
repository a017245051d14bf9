//! `horizond demo`: three horizons on loopback, to try the forwarder without root, network or files.
//!
//! It owns three small authoritative servers (a cluster, a tailnet and an internet, see [`zones`]),
//! the configuration that puts the real forwarder in front of them, and the list of questions worth
//! asking it. The servers stand where upstreams stand and share no code with the road of a query.
//!
//! They run on hickory-server, which logs two lines a query under the target `hickory_server`
//! (and `hickory_net`, `hickory_proto` where something fails): filter those.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_server::Server;
use tokio::net::{TcpListener, UdpSocket};

pub mod authority;
mod setup;
mod tries;
pub mod zone;
pub mod zones;

#[cfg(test)]
mod tests;

use authority::Authority;
pub use setup::config;
pub use tries::tries;

/// Where the servers listen: loopback addresses of their own, so that each keeps one port.
pub const CLUSTER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 0, 1));
/// The tailnet's address.
pub const TAILNET: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 0, 2));
/// The internet's address.
pub const INTERNET: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 53, 0, 3));
/// The port that is tried first.
pub const FIRST_PORT: u16 = 5353;

/// Ports that are tried, one after another.
const PORT_TRIES: u16 = 64;
/// SO_RCVBUF of a server's UDP socket (bytes): room for the bursts of a load test.
const RECEIVE_BUFFER: usize = 1 << 20;
/// A TCP connection without a question is closed after this.
const TCP_IDLE: Duration = Duration::from_secs(30);
/// Answers of one TCP connection that may wait for the client to read.
const TCP_ANSWERS: usize = 128;
/// The longest wait for a server's tasks to end.
const STOP: Duration = Duration::from_secs(2);

/// Why the demo's servers did not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The address cannot be had at all.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// What was asked for.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// All the ports that were tried are taken.
    #[error("ports {first} to {last} of {ip} are all taken (is another demo running?)")]
    Taken {
        /// The loopback address.
        ip: IpAddr,
        /// The first port tried.
        first: u16,
        /// The last.
        last: u16,
    },
    /// A server's tasks failed or did not end in time.
    #[error("the server on {addr} did not stop cleanly: {cause}")]
    Stop {
        /// Which one.
        addr: SocketAddr,
        /// What went wrong.
        cause: String,
    },
}

/// One authority being served over UDP and TCP. Dropping it ends it at once.
pub struct Embedded {
    addr: SocketAddr,
    server: Server<Authority>,
}

impl Embedded {
    /// Serves `authority` on `ip`, at `first` or the next port that is free for both UDP and TCP;
    /// 64 ports are tried. With `first` 0 the kernel picks one.
    ///
    /// Must be called within a tokio runtime, which then runs the server.
    pub async fn start(
        authority: Authority,
        ip: IpAddr,
        first: u16,
    ) -> Result<Embedded, DemoError> {
        let last = first.saturating_add(PORT_TRIES - 1);
        for port in first..=last {
            let port = if first == 0 { 0 } else { port };
            let wanted = SocketAddr::new(ip, port);
            match bind(wanted).await {
                Ok((addr, udp, tcp)) => {
                    let mut server = Server::new(authority);
                    server.register_socket(udp);
                    server.register_listener(tcp, TCP_IDLE, TCP_ANSWERS);
                    return Ok(Embedded { addr, server });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(DemoError::Listen { addr: wanted, source }),
            }
        }
        Err(DemoError::Taken { ip, first, last })
    }

    /// Where it answers, over UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops answering; what is in flight is dropped. Waits 2 s at most.
    pub async fn stop(mut self) -> Result<(), DemoError> {
        let cause = match tokio::time::timeout(STOP, self.server.shutdown_gracefully()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("still busy after {} s", STOP.as_secs()),
        };
        Err(DemoError::Stop { addr: self.addr, cause })
    }
}

async fn bind(wanted: SocketAddr) -> io::Result<(SocketAddr, UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind(wanted).await?;
    socket2::SockRef::from(&udp).set_recv_buffer_size(RECEIVE_BUFFER)?;
    let addr = udp.local_addr()?;
    let tcp = TcpListener::bind(addr).await?;
    Ok((addr, udp, tcp))
}

/// The demo's three servers, running.
pub struct Servers {
    /// Where the cluster's DNS answers.
    pub cluster: SocketAddr,
    /// Where the tailnet's answers.
    pub tailnet: SocketAddr,
    /// Where the internet's answers.
    pub internet: SocketAddr,
    running: [Embedded; 3],
}

impl Servers {
    /// Starts the three, each on a loopback address of its own, at port 5353 or the next free one.
    ///
    /// Must be called within a tokio runtime, which then runs them.
    pub async fn start() -> Result<Servers, DemoError> {
        let running = [
            Embedded::start(zones::cluster(), CLUSTER, FIRST_PORT).await?,
            Embedded::start(zones::tailnet(), TAILNET, FIRST_PORT).await?,
            Embedded::start(zones::internet(), INTERNET, FIRST_PORT).await?,
        ];
        let [cluster, tailnet, internet] = running.each_ref().map(Embedded::addr);
        Ok(Servers { cluster, tailnet, internet, running })
    }

    /// Stops all three, and tells of the first that did not stop cleanly. Waits 6 s at most.
    pub async fn stop(self) -> Result<(), DemoError> {
        let mut result = Ok(());
        for server in self.running {
            result = result.and(server.stop().await);
        }
        result
    }
}
