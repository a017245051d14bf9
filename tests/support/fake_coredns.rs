//! A stand-in for CoreDNS that does what a plain authoritative server would hide.
//!
//! It answers as CoreDNS' `kubernetes` and `forward` plugins do: AA set, uncompressed records, TTL
//! 5 for Services and 30 for reverse names, ExternalName chased through its own upstream, NXDOMAIN
//! for a headless Service without ready endpoints, answers over UDP cut to what fits. Several
//! replicas stand behind one address, and a flow stays with the replica that it began with, as
//! connection tracking makes it. Every question is recorded, whether or not it is answered.
//!
//! It never opens a socket by itself: a [`Place`] does, so that it can live in another network
//! namespace or on loopback.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[path = "fake_coredns/message.rs"]
pub mod message;
#[path = "fake_coredns/zone.rs"]
pub mod zone;

use message::{Query, Rcode, Reply};
use zone::{Found, Zone};

/// The most questions that are recorded; more is a test that has run away.
const MAX_SEEN: usize = 500_000;
/// The most flows that are remembered.
const MAX_FLOWS: usize = 65_536;
/// The most threads that serve TCP connections or chase names at one time.
const MAX_THREADS: usize = 256;
/// How long its own upstream may take.
const CHASE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a blocked thread looks whether it is to stop.
const TICK: Duration = Duration::from_millis(20);

/// Where sockets are opened.
pub trait Place: Send + Sync + 'static {
    /// A UDP socket bound to `addr`.
    fn udp(&self, addr: SocketAddr) -> io::Result<UdpSocket>;
    /// A listener bound to `addr`.
    fn tcp(&self, addr: SocketAddr) -> io::Result<TcpListener>;
}

/// One question that a server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who asked.
    pub from: SocketAddr,
    /// Lower case, without the last dot.
    pub name: String,
    /// The question's type.
    pub qtype: u16,
    /// Over TCP.
    pub tcp: bool,
}

/// One of the servers behind the address.
#[derive(Debug, Clone, Copy)]
pub struct Replica {
    /// A dead one says nothing.
    pub alive: bool,
    /// One whose API cache is not synced answers SERVFAIL.
    pub synced: bool,
}

struct Shared {
    zone: Zone,
    place: Arc<dyn Place>,
    /// Where names of no zone of ours, and the targets of ExternalName Services, are asked.
    upstream: Option<SocketAddr>,
    replicas: Mutex<Vec<Replica>>,
    flows: Mutex<HashMap<(SocketAddr, bool), usize>>,
    seen: Mutex<Vec<Seen>>,
    delay: Mutex<Duration>,
    threads: AtomicUsize,
    stop: AtomicBool,
}

/// A running server; it stops when dropped.
pub struct FakeCoreDns {
    addr: SocketAddr,
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

impl FakeCoreDns {
    /// Starts `replicas` servers behind `addr`.
    pub fn start(
        place: Arc<dyn Place>,
        addr: SocketAddr,
        zone: Zone,
        upstream: Option<SocketAddr>,
        replicas: usize,
    ) -> io::Result<Self> {
        let shared = Shared {
            zone,
            place,
            upstream,
            replicas: Mutex::new(vec![Replica { alive: true, synced: true }; replicas.max(1)]),
            flows: Mutex::default(),
            seen: Mutex::default(),
            delay: Mutex::default(),
            threads: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        };
        let mut fake = Self { addr, shared: Arc::new(shared), running: Vec::new() };
        fake.resume()?;
        Ok(fake)
    }

    /// Closes every socket: a client over UDP gets an ICMP error, over TCP a reset.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.running.drain(..) {
            let _ = thread.join();
        }
        let end = Instant::now() + CHASE_TIMEOUT * 3;
        while self.shared.threads.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            std::thread::sleep(TICK);
        }
    }

    /// Opens the sockets again after [`Self::stop`].
    pub fn resume(&mut self) -> io::Result<()> {
        let udp = self.shared.place.udp(self.addr)?;
        let tcp = self.shared.place.tcp(self.addr)?;
        udp.set_read_timeout(Some(TICK))?;
        tcp.set_nonblocking(true)?;
        self.shared.stop.store(false, Ordering::SeqCst);
        let shared = self.shared.clone();
        self.running.push(std::thread::spawn(move || serve_udp(&shared, &udp)));
        let shared = self.shared.clone();
        self.running.push(std::thread::spawn(move || serve_tcp(&shared, &tcp)));
        Ok(())
    }

    /// Changes one replica.
    pub fn replica(&self, index: usize, change: impl FnOnce(&mut Replica)) {
        change(&mut lock(&self.shared.replicas)[index]);
    }

    /// Every answer waits this long.
    pub fn delay(&self, delay: Duration) {
        *lock(&self.shared.delay) = delay;
    }

    /// What was asked up to now.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for FakeCoreDns {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn serve_udp(shared: &Arc<Shared>, socket: &UdpSocket) {
    let mut buffer = vec![0; 65_535];
    while !shared.stop.load(Ordering::SeqCst) {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        let Some(query) = Query::parse(&buffer[..len]) else { continue };
        let Some(replica) = shared.admit(&query, from, false) else { continue };
        if shared.is_quick(&query) {
            if let Some(reply) = shared.answer(&query, replica) {
                let _ = socket.send_to(&reply.encode(&query, query.payload()), from);
            }
            continue;
        }
        let Ok(socket) = socket.try_clone() else { continue };
        shared.spawn(move |shared| {
            if let Some(reply) = shared.answer(&query, replica) {
                let _ = socket.send_to(&reply.encode(&query, query.payload()), from);
            }
        });
    }
}

fn serve_tcp(shared: &Arc<Shared>, listener: &TcpListener) {
    while !shared.stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, from)) => shared.spawn(move |shared| {
                let _ = shared.connection(stream, from);
            }),
            Err(_) => std::thread::sleep(TICK / 10),
        }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        if self.threads.fetch_add(1, Ordering::SeqCst) >= MAX_THREADS {
            self.threads.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        let shared = self.clone();
        std::thread::spawn(move || {
            work(&shared);
            shared.threads.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Records the question and names the replica that has it; none if that one is dead.
    fn admit(&self, query: &Query, from: SocketAddr, tcp: bool) -> Option<usize> {
        let mut seen = lock(&self.seen);
        assert!(seen.len() < MAX_SEEN, "the fake CoreDNS was asked more than {MAX_SEEN} times");
        seen.push(Seen { from, name: query.name(), qtype: query.qtype, tcp });
        drop(seen);
        let replicas = lock(&self.replicas).clone();
        let mut flows = lock(&self.flows);
        if flows.len() >= MAX_FLOWS {
            flows.clear();
        }
        let next = flows.len();
        let index = *flows.entry((from, tcp)).or_insert_with(|| {
            // The Service's proxy knows which are alive when a flow begins, not afterwards.
            let alive: Vec<usize> = (0..replicas.len()).filter(|&i| replicas[i].alive).collect();
            if alive.is_empty() { 0 } else { alive[next % alive.len()] }
        });
        replicas[index].alive.then_some(index)
    }

    fn is_quick(&self, query: &Query) -> bool {
        lock(&self.delay).is_zero()
            && !matches!(self.zone.find(query), Found::External(_) | Found::NotOurs)
    }

    fn answer(&self, query: &Query, replica: usize) -> Option<Reply> {
        let delay = *lock(&self.delay);
        let end = Instant::now() + delay;
        while Instant::now() < end && !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep((end - Instant::now()).min(TICK));
        }
        let found = self.zone.find(query);
        if !lock(&self.replicas)[replica].synced && !matches!(found, Found::NotOurs) {
            return Some(Reply::failure(Rcode::ServFail));
        }
        Some(match found {
            Found::Records(records) => Reply::authoritative(records),
            Found::NoData => Reply::negative(Rcode::NoError, self.zone.soa(query)),
            Found::NxDomain => Reply::negative(Rcode::NxDomain, self.zone.soa(query)),
            Found::NotOurs => match self.ask(&query.wire_name(), query.qtype) {
                Some(raw) => Reply::Relayed(raw),
                None => Reply::failure(Rcode::ServFail),
            },
            Found::External(cname) => {
                let chased = self.ask(&cname.data, query.qtype);
                match chased.as_deref().and_then(message::answers) {
                    Some(records) => {
                        Reply::authoritative(std::iter::once(cname).chain(records).collect())
                    }
                    // An error there gives no CNAME at all, and so an answer without data.
                    None => Reply::negative(Rcode::NoError, self.zone.soa(query)),
                }
            }
        })
    }

    /// Asks the upstream, which is a server of the internet and knows no horizon.
    fn ask(&self, name: &[u8], qtype: u16) -> Option<Vec<u8>> {
        let upstream = self.upstream?;
        let any: IpAddr = if upstream.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = self.place.udp(SocketAddr::new(any, 0)).ok()?;
        socket.connect(upstream).ok()?;
        socket.set_read_timeout(Some(CHASE_TIMEOUT)).ok()?;
        let id = socket.local_addr().ok()?.port();
        socket.send(&message::question(id, name, qtype)).ok()?;
        let mut buffer = vec![0; 65_535];
        let len = socket.recv(&mut buffer).ok()?;
        buffer.truncate(len);
        (len >= 12 && buffer[..2] == id.to_be_bytes()).then_some(buffer)
    }

    fn connection(&self, mut stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(CHASE_TIMEOUT))?;
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::SeqCst) {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => read.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            while let Some((message, rest)) = message::unframe(&read) {
                let query = Query::parse(message);
                read = rest.to_vec();
                let Some(query) = query else { return Ok(()) };
                let Some(replica) = self.admit(&query, from, true) else { continue };
                let Some(reply) = self.answer(&query, replica) else { continue };
                stream.write_all(&message::frame(&reply.encode(&query, 65_535)))?;
            }
        }
        Ok(())
    }
}
