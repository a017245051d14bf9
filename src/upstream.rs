//! Owns the way to the upstreams: sockets, connections, retries, health.
//!
//! Each shard has an [`Engine`]: fixed slots for exchanges, connected UDP sockets at random ports and
//! pipelined TCP connections, all in the shard's own epoll. An exchange asks one upstream after the
//! other of its own route, and of no other route (horizon rule 1). The engine knows no clients: it
//! is given a question and gives back an answer or the reason why there is none. It does not cache.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::accept::{Caps, Rebinding};
use crate::config::{Policy, Route, Transport};
use crate::telemetry::upstream::UpstreamStats;

mod choose;
mod engine;
mod health;
mod lane;
mod slots;
mod tcp;
mod udp;
mod wheel;

pub use engine::{
    Done, Engine, Outcome, Refusal, RouteRef, RouteView, Routes, TOKEN_KIND, TOKEN_TCP, TOKEN_UDP,
};
pub use health::{Health, State};

/// One server of one route, as all shards see it.
#[derive(Debug)]
pub struct Upstream {
    /// Unique in the process; never given twice.
    pub id: u32,
    /// Where it is.
    pub addr: SocketAddr,
    /// How it is asked first.
    pub transport: Transport,
    /// Whether it is fit to be asked.
    pub health: Health,
    shards: Mutex<Vec<Arc<LaneStats>>>,
}

/// What one shard counts about one upstream; written by that shard alone.
#[derive(Debug, Default)]
pub struct LaneStats {
    /// Queries, answers, failures.
    pub counts: UpstreamStats,
    /// Tries that have neither an answer nor been given up.
    pub in_flight: AtomicUsize,
    /// Open TCP connections.
    pub connections: AtomicUsize,
}

impl Upstream {
    /// An upstream that nobody has asked yet.
    pub fn new(addr: SocketAddr, transport: Transport) -> Upstream {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed) as u32;
        Upstream { id, addr, transport, health: Health::default(), shards: Mutex::default() }
    }

    /// What each shard that asked it has counted.
    pub fn stats(&self) -> Vec<Arc<LaneStats>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn register(&self) -> Arc<LaneStats> {
        let stats = Arc::new(LaneStats::default());
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&stats));
        stats
    }

    /// `udp://ADDR` or `tcp://ADDR` without the scheme's slashes: what EDE texts and logs name.
    pub fn describe(&self) -> String {
        format!("{}/{}", self.addr, self.transport_name())
    }

    /// `udp` or `tcp`.
    pub fn transport_name(&self) -> &'static str {
        match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// A route as the engine needs it. Made once per configuration, and anew when the upstreams that
/// come from a file change.
#[derive(Debug)]
pub struct RouteState {
    /// Index in the configuration.
    pub index: u16,
    /// Name of the route.
    pub name: Arc<str>,
    /// Its servers, in the order of the configuration; empty only while its resolver file has none.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Which is asked first.
    pub policy: Policy,
    /// The longest wait for one of them.
    pub timeout: Duration,
    /// The longest wait for all of them.
    pub deadline: Duration,
    /// TTL caps.
    pub caps: Caps,
    /// Sockets per upstream and shard.
    pub ports: usize,
    /// Whether private addresses are removed from its answers.
    pub rebinding: Option<Rebinding>,
    /// Whether names are sent over UDP in random case.
    pub randomize_case: bool,
    /// Shared turn of [`Policy::RoundRobin`].
    turn: AtomicUsize,
}

impl RouteState {
    /// From a validated route and the servers that its sources gave.
    pub fn new(index: u16, route: &Route, upstreams: Vec<Arc<Upstream>>) -> RouteState {
        let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
        RouteState {
            index,
            name: route.name.as_str().into(),
            upstreams,
            policy: route.policy,
            timeout: route.timeout,
            deadline: route.deadline,
            caps: Caps {
                max_ttl: seconds(route.max_ttl),
                max_negative_ttl: seconds(route.max_negative_ttl),
            },
            ports: route.ports,
            rebinding: route
                .rebind_protection
                .then(|| Rebinding { allow: route.rebind_allow.as_slice().into() }),
            randomize_case: route.randomize_case,
            turn: AtomicUsize::new(0),
        }
    }
}

#[cfg(test)]
mod tests;
