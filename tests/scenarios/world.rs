//! The server under test, made of the library, on loopback addresses that nobody else has; its clock
//! is the test's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use horizond::config::{Config, Route, UpstreamSource, file};
use horizond::listen::{self, Inbox, tcp, udp::Shard};
use horizond::serve::{Desk, Server};
use horizond::telemetry::querylog::QueryLog;
use horizond::telemetry::stats::Stats;
use horizond::time::Clock;
use horizond::upstream::{RouteState, Upstream};
use tokio::sync::watch;

use crate::upstream::FakeUpstream;

/// Below the ports that the kernel gives away, so that one that is closed stays free.
const PORT: u16 = 5300;

/// A loopback address that no other test has, in this process or in another.
fn address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let process = std::process::id() % 0x800;
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % 0x1000;
    let host = 0x7f80_0000 | process << 12 | number;
    (Ipv4Addr::from_bits(host), PORT).into()
}

/// Server and upstreams.
pub struct World {
    pub server: Arc<Server>,
    pub clock: Clock,
    pub addr: SocketAddr,
    pub upstreams: BTreeMap<String, FakeUpstream>,
    pub routes: Vec<Route>,
    inboxes: Vec<Arc<Inbox>>,
    threads: Vec<JoinHandle<()>>,
    stop_tcp: watch::Sender<bool>,
}

impl World {
    /// From TOML in which each `$word` stands for a fake upstream of that name.
    pub fn start(toml: &str, shards: usize) -> Result<World, String> {
        World::start_to_drain(toml, shards, Duration::ZERO)
    }

    /// The same, with so much time for the answers that connections wait for when it stops.
    pub fn start_to_drain(toml: &str, shards: usize, drain: Duration) -> Result<World, String> {
        let addr = address();
        let mut upstreams = BTreeMap::new();
        let mut text = String::new();
        let listen = format!("[listen]\naddresses = [\"{addr}\"]\n");
        let toml = &match toml.contains("[listen]\n") {
            true => toml.replacen("[listen]\n", &listen, 1),
            false => listen + toml,
        };
        for (number, part) in toml.split('$').enumerate() {
            if number == 0 {
                text.push_str(part);
                continue;
            }
            let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            if !upstreams.contains_key(name) {
                upstreams.insert(name.to_owned(), FakeUpstream::start(address())?);
            }
            text.push_str(&upstreams[name].addr.to_string());
            text.push_str(rest);
        }
        let config = file::parse(&text, Path::new("config")).map_err(|e| e.to_string())?.config;
        World::serve(&config, addr, upstreams, (shards, drain))
            .map_err(|e| format!("no server: {e}"))
    }

    fn serve(
        config: &Config,
        addr: SocketAddr,
        upstreams: BTreeMap<String, FakeUpstream>,
        (shards, drain): (usize, Duration),
    ) -> std::io::Result<World> {
        let clock = Clock::manual();
        let routes = config.routes.iter().enumerate().map(|(index, route)| {
            let servers = route.upstreams.iter().filter_map(|source| match source {
                UpstreamSource::Server(server) => {
                    Some(Arc::new(Upstream::new(server.addr, server.transport)))
                }
                UpstreamSource::ResolvConf(_) => None,
            });
            RouteState::new(index as u16, route, servers.collect())
        });
        let routes = routes.collect();
        let server = Server::new(config, "here".into(), routes, Vec::new(), clock.clone());
        let server = Arc::new(server);
        let inboxes: Vec<Arc<Inbox>> =
            (0..shards).map(|_| Inbox::new(1024).map(Arc::new)).collect::<Result<_, _>>()?;
        let mut threads = Vec::new();
        let desk = |server: &Arc<Server>| {
            let stats = Arc::new(Stats::new(server.policies.len()));
            Desk::new(Arc::clone(server), stats, QueryLog::off())
        };
        for inbox in &inboxes {
            let socket = listen::bind_udp(addr, config.listen.receive_buffer)?;
            let (server, inbox) = (Arc::clone(&server), Arc::clone(inbox));
            let slots = config.listen.in_flight.div_ceil(shards);
            threads.push(std::thread::spawn(move || {
                let shard = Shard::new(desk(&server), vec![socket], inbox, slots);
                shard.and_then(Shard::run).expect("the shard runs");
            }));
        }
        let (stop_tcp, stop) = watch::channel(false);
        let (listener, limits) = (listen::bind_tcp(addr)?, config.listen.tcp.clone());
        let (tcp_server, tcp_inboxes) = (Arc::clone(&server), inboxes.clone());
        threads.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let setup = tcp::Setup {
                desk: desk(&tcp_server),
                inboxes: tcp_inboxes,
                limits,
                open: Arc::new(AtomicUsize::new(0)),
                stop,
                drain,
            };
            let serving = tcp::serve(vec![listener], setup);
            let runtime = runtime.expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, serving).expect("TCP is served");
        }));
        let routes = config.routes.clone();
        Ok(World { server, clock, addr, upstreams, routes, inboxes, threads, stop_tcp })
    }

    /// The first step of the daemon's end: no new questions, what is in flight goes on.
    pub fn leave(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.leave());
        self.stop_tcp.send_replace(true);
    }

    /// Whether it takes no new questions.
    pub fn is_leaving(&self) -> bool {
        *self.stop_tcp.borrow()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_tcp.send_replace(true);
        for inbox in &self.inboxes {
            inbox.stop(self.clock.now());
        }
        // What is still in flight has run out of time.
        self.clock.advance(Duration::from_secs(1));
        self.inboxes.iter().for_each(|inbox| inbox.wake());
        for thread in self.threads.drain(..) {
            let failed = thread.join().is_err();
            assert!(!failed || std::thread::panicking(), "a thread of the server panicked");
        }
    }
}
