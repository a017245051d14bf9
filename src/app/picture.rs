//! What the daemon says of itself: for metrics, status and readiness.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::admin::control::StatusSource;
use crate::admin::http::Ready;
use crate::admin::status::{
    CacheStatus, ConfigStatus, LearntStatus, PodsStatus, RouteStatus, Status, UpstreamStatus,
};
use crate::config::Config;
use crate::listen::Inbox;
use crate::node::repairs::Repairs;
use crate::serve::Server;
use crate::telemetry::metrics::{CacheEntries, CacheFacts, Facts, RepairFacts, UpstreamFacts};
use crate::telemetry::snapshot::Snapshot;
use crate::telemetry::stats::Stats;
use crate::upstream::Upstream;

mod cache;

/// Everything that there is to be told.
pub struct Picture {
    pub server: Arc<Server>,
    pub config: Config,
    pub path: PathBuf,
    pub started: Instant,
    pub inboxes: Vec<Arc<Inbox>>,
    pub tcp_open: Arc<AtomicUsize>,
    pub stats: Vec<Arc<Stats>>,
    pub shards: usize,
    pub repairs: Arc<Repairs>,
}

impl Facts for Picture {
    fn routes(&self) -> Vec<String> {
        self.server.policies.iter().map(|policy| policy.name.to_string()).collect()
    }

    fn cache(&self) -> CacheFacts {
        let cache = &self.server.cache;
        let entries = cache
            .shares()
            .into_iter()
            .map(|share| CacheEntries {
                route: share.route,
                kind: share.kind.into(),
                entries: share.entries,
                bytes: share.bytes,
            })
            .collect();
        CacheFacts { entries, evictions: cache.evictions() }
    }

    fn upstreams(&self) -> Vec<UpstreamFacts> {
        let routes = self.server.routes.load();
        let facts = |route: &str, upstream: &Upstream| {
            let mut facts = UpstreamFacts {
                route: route.to_owned(),
                upstream: upstream.addr.to_string(),
                transport: upstream.transport_name(),
                healthy: upstream.health.is_up(),
                ..UpstreamFacts::default()
            };
            for shard in upstream.stats() {
                shard.counts.add_to(&mut facts);
                facts.in_flight += shard.in_flight.load(Ordering::Relaxed) as u64;
                facts.connections += shard.connections.load(Ordering::Relaxed) as u64;
            }
            facts
        };
        routes
            .iter()
            .flat_map(|route| route.upstreams.iter().map(|u| facts(&route.name, u)))
            .collect()
    }

    fn in_flight(&self) -> u64 {
        self.inboxes.iter().map(|inbox| inbox.in_flight() as u64).sum()
    }

    fn waiting(&self) -> u64 {
        self.server.flights.waiting() as u64
    }

    fn tcp_connections(&self) -> u64 {
        self.tcp_open.load(Ordering::Relaxed) as u64
    }

    fn pods(&self) -> u64 {
        self.server.pods.load().len() as u64
    }

    fn namespaces(&self) -> Vec<String> {
        self.server.pods.load().namespaces().iter().map(ToString::to_string).collect()
    }

    fn config_hash(&self) -> u64 {
        self.config.hash
    }

    fn repairs(&self) -> RepairFacts {
        let repairs = &self.repairs;
        RepairFacts {
            link: [
                ("interface", repairs.interface.get()),
                ("up", repairs.up.get()),
                ("address", repairs.addresses.get()),
            ],
            rules: repairs.rules.get(),
            failures: [
                ("link", repairs.link_failures.get()),
                ("rules", repairs.rules_failures.get()),
                ("self", repairs.unanswered.get()),
            ],
        }
    }
}

impl StatusSource for Picture {
    fn status(&self) -> Status {
        let seen = Snapshot::of(&self.stats);
        let sum = |count: &dyn Fn(u16) -> u64| seen.routes().map(count).sum::<u64>();
        let shares = self.server.cache.shares();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            config: ConfigStatus {
                path: self.path.clone(),
                hash: format!("{:016x}", self.config.hash),
            },
            node: self.server.node.to_string(),
            listen: self.config.listen.addresses.clone(),
            shards: self.shards,
            own_addresses: self.server.acls.load().own.clone(),
            requests: sum(&|route| seen.all_requests(route)),
            in_flight: self.in_flight(),
            waiting: self.waiting(),
            cache: CacheStatus {
                entries: shares.iter().map(|share| share.entries).sum(),
                bytes: shares.iter().map(|share| share.bytes).sum(),
                limit_bytes: self.server.cache.memory(),
                hits: sum(&|route| seen.hits(route)),
                misses: sum(&|route| seen.misses(route)),
            },
            pods: PodsStatus::of(self.config.pods.dir.clone(), &self.server.pods.load()),
            routes: self.route_statuses(),
        }
    }
}

impl Picture {
    fn route_statuses(&self) -> Vec<RouteStatus> {
        let routes = self.server.routes.load();
        let learnt = self.server.learnt.load_full();
        self.config
            .routes
            .iter()
            .zip(routes.iter())
            .map(|(route, state)| {
                let learnt = learnt.as_ref().filter(|learnt| learnt.route == state.index);
                let more = learnt.map_or(&[][..], |learnt| &learnt.suffixes);
                let suffixes = route.suffixes.iter().chain(more).map(ToString::to_string);
                let reverse = route.reverse.iter().map(|p| format!("{}/{}", p.addr, p.len));
                let all: Vec<String> = suffixes.chain(reverse).collect();
                let upstreams = state.upstreams.iter().map(|u| upstream_status(u)).collect();
                let status = RouteStatus::new(&route.name, route.private, all.iter(), upstreams);
                let asked = |addr| state.upstreams.iter().any(|upstream| upstream.addr == addr);
                RouteStatus { learnt: learnt.map(|l| LearntStatus::of(l, asked)), ..status }
            })
            .collect()
    }
}

fn upstream_status(upstream: &Upstream) -> UpstreamStatus {
    let shards = upstream.stats();
    UpstreamStatus {
        address: upstream.addr,
        transport: upstream.transport_name().to_owned(),
        healthy: upstream.health.is_up(),
        srtt_ms: upstream.health.srtt().map(|srtt| srtt.as_secs_f64() * 1000.0),
        in_flight: shards.iter().map(|s| s.in_flight.load(Ordering::Relaxed) as u64).sum(),
        requests: shards.iter().map(|s| s.counts.requests()).sum(),
        failures: shards.iter().map(|s| s.counts.failures()).sum(),
    }
}

impl Ready for Picture {
    /// Asks each listening address a question that every client may ask, through a real shard.
    async fn check(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        for &addr in &self.config.listen.addresses {
            let (udp, tcp) = tokio::join!(
                within(SELF_QUERY, ask_self_udp(addr)),
                within(SELF_QUERY, ask_self_tcp(addr))
            );
            for (answered, proto) in [(udp, "udp"), (tcp, "tcp")] {
                if let Err(reason) = answered {
                    reasons.push(format!("{addr}/{proto}: {reason}"));
                }
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}

/// Below the time that the endpoint gives a check.
const SELF_QUERY: Duration = Duration::from_millis(700);

async fn within(
    limit: Duration,
    ask: impl Future<Output = std::io::Result<()>>,
) -> Result<(), String> {
    match tokio::time::timeout(limit, ask).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("a self-query got no answer".to_owned()),
    }
}

/// id.server CH TXT with RD, under a random id.
fn self_query() -> ([u8; 2], Vec<u8>) {
    let id: [u8; 2] = rand::random();
    let question = b"\x01\0\0\x01\0\0\0\0\0\0\x02id\x06server\0\0\x10\0\x03";
    (id, [&id, &question[..]].concat())
}

async fn ask_self_udp(addr: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = match addr {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(addr).await?;
    let (id, query) = self_query();
    socket.send(&query).await?;
    let mut answer = [0u8; 512];
    loop {
        let len = socket.recv(&mut answer).await?;
        if len >= 12 && answer[..2] == id {
            return Ok(());
        }
    }
}

async fn ask_self_tcp(addr: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    let (_, query) = self_query();
    stream.write_all(&(query.len() as u16).to_be_bytes()).await?;
    stream.write_all(&query).await?;
    stream.read_exact(&mut [0u8; 14]).await.map(drop)
}
