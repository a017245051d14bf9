//! What a server received, read off its wire.
//!
//! A packet socket in the server's namespace sees every question on its way in, whatever the server
//! is, even while there is none. So a leak is seen where it would arrive, not where it was logged.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::fake_coredns::message::{Query, question, unframe, wire};
use crate::fake_coredns::{FakeCoreDns, Seen};
use crate::lab::{COREDNS, INTERNET, INTERNET_V6, Lab, MAGICDNS};
use crate::netns::Netns;
use crate::process::{PATIENCE, wait_for};

const ETH_P_ALL: u16 = 3;
const UDP: u8 = 17;
const TCP: u8 = 6;
const DNS: u16 = 53;
/// The most questions that one tap keeps.
const MAX_SEEN: usize = 500_000;
/// Bytes that the kernel may hold for a tap that is slow to read.
const BUFFER: usize = 4 << 20;
const MARKER: &str = "end-of-tap-";

/// Taps of the three servers' links.
pub struct Taps {
    pub coredns: Tap,
    pub magicdns: Tap,
    pub internet: Tap,
}

impl Taps {
    /// Begins to listen; to be called before the servers and the daemon start.
    pub fn start(lab: &Lab) -> Self {
        Self {
            coredns: Tap::start(&lab.coredns, &[COREDNS], "10.96.0.254"),
            magicdns: Tap::start(&lab.magicdns, &[MAGICDNS], "10.2.0.254"),
            internet: Tap::start(&lab.internet, &[INTERNET, INTERNET_V6], "198.51.100.1"),
        }
    }

    /// Every name that the node asked a server about lies in that server's horizon.
    pub fn assert_no_leaks(&self) {
        for (server, tap) in [
            (Horizon::Cluster, &self.coredns),
            (Horizon::Tailnet, &self.magicdns),
            (Horizon::Internet, &self.internet),
        ] {
            let of_node = tap.of_node();
            let leaked: Vec<_> =
                of_node.iter().filter(|seen| Horizon::of(&seen.name) != server).collect();
            assert!(leaked.is_empty(), "leaked to the server of {server:?}: {leaked:?}");
        }
    }
}

/// A horizon of the lab's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Horizon {
    Cluster,
    Tailnet,
    Internet,
}

impl Horizon {
    /// Where a name (lower case, no last dot) belongs. Written apart from the daemon's own routing.
    pub fn of(name: &str) -> Self {
        let under = |suffix: &str| name == suffix || name.ends_with(&format!(".{suffix}"));
        let services = || (96..112).any(|octet| under(&format!("{octet}.10.in-addr.arpa")));
        if under("cluster.local") || under("244.10.in-addr.arpa") || services() {
            Self::Cluster
        } else if under("c.binrc.com") {
            Self::Tailnet
        } else {
            Self::Internet
        }
    }
}

/// Listens on one namespace until dropped.
pub struct Tap {
    netns: Netns,
    server: SocketAddr,
    node: IpAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    seen: Mutex<Vec<Seen>>,
    markers: AtomicUsize,
    next_marker: AtomicUsize,
    stop: AtomicBool,
}

impl Tap {
    /// Listens in a namespace for questions to these servers; `node` is who counts as the one that asks.
    pub fn start(netns: &Netns, servers: &[&str], node: &str) -> Self {
        let servers: Vec<IpAddr> = servers.iter().map(|ip| ip.parse().unwrap()).collect();
        let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket =
            netns.run(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            markers: AtomicUsize::new(0),
            next_marker: AtomicUsize::new(1),
            stop: AtomicBool::new(false),
        });
        let server = SocketAddr::new(servers[0], DNS);
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.listen(&socket, &servers)
        });
        let node = node.parse().unwrap();
        Self { netns: netns.clone(), server, node, shared, thread: Some(thread) }
    }

    /// All that had arrived when this was called.
    pub fn seen(&self) -> Vec<Seen> {
        // A question of our own, sent last: when the tap has it, it has all before it.
        let number = self.shared.next_marker.fetch_add(1, Ordering::SeqCst);
        let marker = question(0, &wire(&format!("{MARKER}{number}")), 1);
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        self.netns.run(|| UdpSocket::bind(any).unwrap().send_to(&marker, self.server)).unwrap();
        wait_for("the tap to catch up", PATIENCE, || {
            (self.shared.markers.load(Ordering::SeqCst) >= number).then_some(())
        });
        self.shared.seen.lock().unwrap().clone()
    }

    /// What came from the node itself, not from others through it.
    pub fn of_node(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| self.is_node(seen.from.ip())).collect()
    }

    /// How often the node asked for a name that ends so.
    pub fn count(&self, suffix: &str) -> usize {
        self.of_node().iter().filter(|seen| seen.name.ends_with(suffix)).count()
    }

    /// A fake's own record says the same as the wire.
    pub fn assert_agrees(&self, fake: &FakeCoreDns) {
        let of_node = |seen: Vec<Seen>| {
            let mut names: Vec<String> = seen
                .into_iter()
                .filter(|seen| self.is_node(seen.from.ip()))
                .map(|seen| format!("{} {} {} {}", seen.from, seen.name, seen.qtype, seen.tcp))
                .collect();
            names.sort();
            names
        };
        assert_eq!(of_node(self.seen()), of_node(fake.seen()));
    }

    fn is_node(&self, ip: IpAddr) -> bool {
        ip == self.node || matches!(ip, IpAddr::V6(_))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn listen(&self, socket: &Socket, servers: &[IpAddr]) {
        let mut streams: HashMap<SocketAddr, Stream> = HashMap::new();
        let mut buffer = vec![0; 65_536];
        let mut reader = socket;
        while !self.stop.load(Ordering::SeqCst) {
            let packet = match reader.read(&mut buffer) {
                Ok(len) => &buffer[..len],
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                // The link went down and came back; the socket is still good.
                Err(_) => continue,
            };
            let Some(segment) = Segment::parse(packet) else { continue };
            if segment.to.port() != DNS || !servers.contains(&segment.to.ip()) {
                continue;
            }
            if segment.protocol == UDP {
                self.note(segment.from, segment.payload, false);
                continue;
            }
            let stream = streams.entry(segment.from).or_default();
            stream.take(&segment);
            while let Some((message, rest)) = unframe(&stream.bytes) {
                self.note(segment.from, message, true);
                stream.bytes = rest.to_vec();
            }
        }
    }

    fn note(&self, from: SocketAddr, message: &[u8], tcp: bool) {
        let Some(query) = Query::parse(message) else { return };
        let name = query.name();
        if let Some(number) = name.strip_prefix(MARKER) {
            self.markers.fetch_max(number.parse().unwrap(), Ordering::SeqCst);
            return;
        }
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.len() < MAX_SEEN, "a tap saw more than {MAX_SEEN} questions");
        seen.push(Seen { from, name, qtype: query.qtype, tcp });
    }
}

/// The bytes of one direction of a TCP connection, in order.
#[derive(Default)]
struct Stream {
    next: u32,
    bytes: Vec<u8>,
}

impl Stream {
    fn take(&mut self, segment: &Segment<'_>) {
        if segment.syn {
            *self = Self { next: segment.sequence.wrapping_add(1), bytes: Vec::new() };
            return;
        }
        // What was sent again is skipped; a hole cannot be, since a packet socket sees each segment.
        let already = self.next.wrapping_sub(segment.sequence) as i32;
        assert!(already >= 0 || segment.payload.is_empty(), "the tap missed a TCP segment");
        if let Some(fresh) = segment.payload.get(already.max(0) as usize..) {
            self.bytes.extend(fresh);
            self.next = self.next.wrapping_add(fresh.len() as u32);
        }
    }
}

/// A UDP datagram or TCP segment.
struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    protocol: u8,
    sequence: u32,
    syn: bool,
    payload: &'a [u8],
}

impl<'a> Segment<'a> {
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let (protocol, source, target, rest) = if packet.first()? >> 4 == 4 {
            let header = usize::from(packet[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            let ip = |at: usize| {
                Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?))
            };
            (*packet.get(9)?, ip(12)?.into(), ip(16)?.into(), packet.get(header..total)?)
        } else {
            let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
            let ip = |at: usize| {
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?))
            };
            (*packet.get(6)?, IpAddr::V6(ip(8)?), IpAddr::V6(ip(24)?), packet.get(40..40 + length)?)
        };
        let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let (header, sequence, syn) = match protocol {
            UDP => (8, 0, false),
            TCP => {
                let sequence = u32::from(port(4)?) << 16 | u32::from(port(6)?);
                (usize::from(*rest.get(12)? >> 4) * 4, sequence, rest.get(13)? & 2 != 0)
            }
            _ => return None,
        };
        Some(Self {
            from: SocketAddr::new(source, port(0)?),
            to: SocketAddr::new(target, port(2)?),
            protocol,
            sequence,
            syn,
            payload: rest.get(header..)?,
        })
    }
}
