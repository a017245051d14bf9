//! Who holds a port, and whether it can be had.
//!
//! Asked once at the start, so that `address already in use` comes with a name. Reads /proc and
//! binds short-lived sockets; never signals or waits for the holder. Everything it reads is bounded,
//! and what /proc does not tell is left out, never guessed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use socket2::{Domain, Socket, Type};

/// The most bytes read of one /proc/net table: some 400,000 sockets.
const MAX_TABLE: u64 = 64 << 20;
/// The most file descriptors looked at, of all processes together.
const MAX_DESCRIPTORS: usize = 1 << 20;

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proto {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id, in our pid namespace.
    pub pid: u32,
    /// Its name (/proc/PID/comm, at most 15 bytes), control characters escaped.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// Why an address and port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum PortTaken {
    /// Another socket has it.
    #[error("{addr}/{proto} is taken{}", by(holder.as_ref()))]
    Taken {
        /// What was asked for.
        addr: SocketAddr,
        /// Over which transport.
        proto: Proto,
        /// Who has it, where /proc tells.
        holder: Option<Holder>,
    },
    /// A low port and no capability.
    #[error(
        "{addr}/{proto}: not permitted; ports below {} need CAP_NET_BIND_SERVICE",
        unprivileged_start()
    )]
    Forbidden {
        /// What was asked for.
        addr: SocketAddr,
        /// Over which transport.
        proto: Proto,
    },
    /// The address is not this host's.
    #[error(
        "{addr}/{proto}: no interface has the address {}; name one to be made in [node] interface, \
         or add the address to an interface",
        addr.ip()
    )]
    NoAddress {
        /// What was asked for.
        addr: SocketAddr,
        /// Over which transport.
        proto: Proto,
    },
    /// Anything else that the kernel said.
    #[error("{addr}/{proto} cannot be bound: {source}")]
    Other {
        /// What was asked for.
        addr: SocketAddr,
        /// Over which transport.
        proto: Proto,
        /// The kernel's error.
        source: io::Error,
    },
}

fn by(holder: Option<&Holder>) -> String {
    holder
        .map_or_else(|| " by a process that /proc does not show us".into(), |h| format!(" by {h}"))
}

/// The first port that needs no capability, for an error's text.
fn unprivileged_start() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok().and_then(|t| t.trim().parse().ok()).unwrap_or(1024)
}

/// Tries to bind `addr` over UDP and TCP, and lets go at once.
///
/// SO_REUSEPORT is not set, so another server that would share the port with ours is found too: an
/// own predecessor that hands its sockets over must be known before asking. TCP sets SO_REUSEADDR
/// like every server does: connections in TIME_WAIT are no obstacle, a listener still is. IPv6 is
/// tried without IPv4, as it is listened on.
pub fn probe(addr: SocketAddr) -> Result<(), PortTaken> {
    for proto in [Proto::Udp, Proto::Tcp] {
        bind(proto, addr).map_err(|source| explain(proto, addr, source))?;
    }
    Ok(())
}

fn bind(proto: Proto, addr: SocketAddr) -> io::Result<()> {
    let kind = match proto {
        Proto::Udp => Type::DGRAM,
        Proto::Tcp => Type::STREAM,
    };
    let socket = Socket::new(Domain::for_address(addr), kind, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if proto == Proto::Tcp {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())
}

/// Turns the error of a bind of ours to `addr` into one that a person can act on.
pub fn explain(proto: Proto, addr: SocketAddr, source: io::Error) -> PortTaken {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => PortTaken::Taken { addr, proto, holder: holder_of(proto, addr) },
        Some(libc::EACCES | libc::EPERM) => PortTaken::Forbidden { addr, proto },
        Some(libc::EADDRNOTAVAIL) => PortTaken::NoAddress { addr, proto },
        _ => PortTaken::Other { addr, proto, source },
    }
}

/// Who holds a port of this network namespace: the socket bound to that very address, else one
/// bound to all addresses. `None` if nobody does, or /proc does not show it: other users' processes
/// need CAP_SYS_PTRACE, processes of other pid namespaces are invisible. Blocks while it walks
/// /proc: tens of milliseconds on a busy host.
pub fn holder_of(proto: Proto, addr: SocketAddr) -> Option<Holder> {
    let mut best: Option<Bound> = None;
    for family in ["", "6"] {
        for bound in table(proto, family, addr) {
            if best.as_ref().is_none_or(|b| bound.rank < b.rank) {
                best = Some(bound);
            }
        }
    }
    owner(best?.inode)
}

/// A socket that serves on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where.
    pub addr: SocketAddr,
    /// Over which transport.
    pub proto: Proto,
    /// Whose, where /proc tells.
    pub holder: Option<Holder>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addr, proto, holder } = self;
        write!(f, "{addr}/{proto} is served{}", by(holder.as_ref()))
    }
}

/// Who serves on this very address, on whatever port: a UDP socket without a peer, or a TCP listener, of
/// this network namespace. `None` if nobody does. Blocks as [`holder_of`] does.
pub fn server_on(ip: IpAddr) -> Option<Server> {
    let ip = ip.to_canonical();
    let here = |addr: SocketAddr| addr.ip().to_canonical() == ip;
    [Proto::Udp, Proto::Tcp].into_iter().find_map(|proto| server(proto, here))
}

/// Who serves on this very address and port over UDP; as [`server_on`].
pub fn server_at(addr: SocketAddr) -> Option<Server> {
    let ip = addr.ip().to_canonical();
    server(Proto::Udp, |of| of.port() == addr.port() && of.ip().to_canonical() == ip)
}

fn server(proto: Proto, here: impl Fn(SocketAddr) -> bool) -> Option<Server> {
    let serving =
        |line: String| read_line(&line).filter(|socket| here(socket.local) && socket.serves(proto));
    let socket = ["", "6"].into_iter().find_map(|f| lines(proto, f).find_map(serving))?;
    Some(Server { addr: socket.local, proto, holder: owner(socket.inode) })
}

/// A socket that stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    /// 0 for the very address, 1 for all addresses of its family, 2 for `[::]` in the way of IPv4.
    rank: u8,
    inode: u64,
}

fn table(proto: Proto, family: &str, addr: SocketAddr) -> Vec<Bound> {
    lines(proto, family).filter_map(|line| line_in_the_way(&line, proto, addr)).collect()
}

/// The lines of one table. It is read through `thread-self`, since `self` is the main thread, which may
/// live in another network namespace.
fn lines(proto: Proto, family: &str) -> impl Iterator<Item = String> {
    let read = |of: &str| File::open(format!("/proc/{of}/net/{proto}{family}"));
    let file = read("thread-self").or_else(|_| read("self")).ok();
    file.into_iter()
        .flat_map(|file| BufReader::new(file.take(MAX_TABLE)).lines().map_while(Result::ok))
}

/// A line of /proc/net/{udp,tcp}{,6}: `sl local remote st ... inode ...`.
struct Line {
    local: SocketAddr,
    listens: bool,
    /// Without a peer.
    open: bool,
    inode: u64,
}

impl Line {
    /// Whether it waits for whoever comes.
    fn serves(&self, proto: Proto) -> bool {
        match proto {
            Proto::Udp => self.open,
            Proto::Tcp => self.listens,
        }
    }
}

fn read_line(line: &str) -> Option<Line> {
    /// TCP_LISTEN in include/net/tcp_states.h. A UDP socket that is bound is in nobody's state.
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let local = local_address(fields.nth(1)?)?;
    let peer = local_address(fields.next()?)?;
    let state = fields.next()?;
    let inode: u64 = fields.nth(5)?.parse().ok().filter(|inode| *inode != 0)?;
    Some(Line { local, listens: state == LISTEN, open: peer.port() == 0, inode })
}

fn line_in_the_way(line: &str, proto: Proto, addr: SocketAddr) -> Option<Bound> {
    let Line { local, listens, inode, .. } = read_line(line)?;
    let open = match proto {
        Proto::Udp => true,
        Proto::Tcp => listens,
    };
    if !open || local.port() != addr.port() {
        return None;
    }
    let (theirs, ours) = (local.ip(), addr.ip().to_canonical());
    let rank = if theirs.to_canonical() == ours {
        0
    } else if theirs.is_unspecified() && theirs.is_ipv4() == ours.is_ipv4() {
        1
    } else if (theirs.is_unspecified() && theirs.is_ipv6()) || ours.is_unspecified() {
        2
    } else {
        return None;
    };
    Some(Bound { rank, inode })
}

/// Reads `0100007F:0035`: words of 32 bits in the machine's byte order, then the port.
fn local_address(field: &str) -> Option<SocketAddr> {
    let (address, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = [0u8; 16];
    if !address.is_ascii() || !matches!(address.len(), 8 | 32) {
        return None;
    }
    for (word, digits) in bytes.chunks_exact_mut(4).zip(address.as_bytes().chunks_exact(8)) {
        let digits = std::str::from_utf8(digits).ok()?;
        word.copy_from_slice(&u32::from_str_radix(digits, 16).ok()?.to_ne_bytes());
    }
    let ip = if address.len() == 8 {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    Some(SocketAddr::new(ip, port))
}

/// The process with the lowest id that has the socket open.
fn owner(inode: u64) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut left = MAX_DESCRIPTORS;
    let pid = pids.into_iter().find(|pid| has_open(*pid, &wanted, &mut left))?;
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let comm = comm.trim_end();
    let command = if comm.is_empty() { "?".to_owned() } else { comm.escape_debug().to_string() };
    Some(Holder { pid, command })
}

fn has_open(pid: u32, wanted: &str, left: &mut usize) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    for descriptor in descriptors.map_while(Result::ok) {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        if fs::read_link(descriptor.path()).is_ok_and(|target| target == Path::new(wanted)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
